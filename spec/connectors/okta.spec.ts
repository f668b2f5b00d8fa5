/** Okta as a target: two ways to prove who calls, an exact look-up, and devices that are forgotten only where asked. */
import { isDeepStrictEqual } from 'node:util';
import { okta } from '../../src/connectors/okta.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { createServiceAccount } from '../support/signing-client.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /oauth2/v1/token';
const GET_USER = 'GET /api/v1/users/{}';
const LIST = 'GET /api/v1/users';
const CLEAR = 'DELETE /api/v1/users/{}/sessions';

const serviceApp = createServiceAccount();
const ADA = { id: '00u1', status: 'ACTIVE', profile: { login: 'Ada.S3cret@example.com', email: ACCOUNT } };
const OWNER = { id: '00u9', status: 'ACTIVE', profile: { login: 'gateway@example.com' } };
const error = (status: number, errorCode: string, headers = {}): VendorAnswer => ({
  status,
  headers,
  json: { errorCode, errorSummary: '…', errorLink: errorCode, errorId: 'oae1', errorCauses: [] },
});
const UNKNOWN = error(404, 'E0000007');
const REVOKED = {
  state: 'revoked' as const,
  what: ['sessions' as const, 'refresh_tokens' as const, 'access_tokens' as const],
  partial: 'sessions that apps keep by themselves live on',
};

const asApp = (url: string) => ({ url, clientId: '0oa1', privateKey: serviceApp.pem, keyId: 'key-1' });
const asOwner = (url: string) => ({ url, apiToken: '00-a-s3cret-of-okta' });

type Answers = {
  authorization: string;
  user?: { id: string; profile?: object } | null;
  cleared?: VendorAnswer;
  forgetDevices?: string;
};

function vendor(url: string, { authorization, user = ADA, cleared, forgetDevices = 'false' }: Answers): Route[] {
  const headers = { authorization };
  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        form: {
          grant_type: 'client_credentials',
          scope: 'okta.users.read okta.users.manage',
          client_id: '0oa1',
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: expect.any(String),
        },
      },
      answer: ({ form }) => {
        const claims = { iss: '0oa1', sub: '0oa1', aud: `${url}/oauth2/v1/token` };
        const isGood = isDeepStrictEqual(serviceApp.read(form.client_assertion), { kid: 'key-1', claims });
        if (!isGood) return { status: 401, json: { error: 'invalid_client' } };
        return { json: { access_token: 'token-s3cret', token_type: 'Bearer', expires_in: 3600 } };
      },
    },
    {
      call: GET_USER,
      expects: { headers },
      answer: ({ segments }) => (segments[0] === 'me' ? { json: OWNER } : user ? { json: user } : UNKNOWN),
    },
    { call: LIST, expects: { headers, query: { limit: '1' } }, answer: () => ({ json: [ADA] }) },
    {
      call: CLEAR,
      expects: { headers, query: { oauthTokens: 'true', forgetDevices } },
      answer: ({ segments }) => cleared ?? (segments[0] === user?.id ? { status: 204 } : UNKNOWN),
    },
  ];
}

const BEARER = 'Bearer token-s3cret';
const SSWS = 'SSWS 00-a-s3cret-of-okta';
const unknown = (authorization: string) => ({
  'no such user': (url: string) => vendor(url, { authorization, user: null }),
  'a user of another login, whose first part is the same': (url: string) =>
    vendor(url, { authorization, user: { ...ADA, profile: { login: `${ACCOUNT}.au` } } }),
  'a user without a login': (url: string) => vendor(url, { authorization, user: { id: '00u2' } }),
  'the user has gone since': (url: string) => vendor(url, { authorization, cleared: UNKNOWN }),
});
const check = {
  ok: true as const,
  detail: 'users can be read; whether sessions can be cleared shows at the first revocation',
};

describe('as an API Services app', () => {
  keepsContract(okta, {
    account: ACCOUNT,
    options: asApp,
    secrets: [serviceApp.pem],
    vendor: (url) => vendor(url, { authorization: BEARER }),
    calls: [TOKEN, GET_USER, CLEAR],
    outcome: REVOKED,
    reads: [TOKEN],
    exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' }, [CLEAR]: { 403: 'refused' } },
    unknown: unknown(BEARER),
    check,
  });
});

describe('with an API token', () => {
  keepsContract(okta, {
    account: ACCOUNT,
    options: asOwner,
    vendor: (url) => vendor(url, { authorization: SSWS }),
    calls: [GET_USER, GET_USER, CLEAR],
    outcome: REVOKED,
    exceptions: { [CLEAR]: { 403: 'refused' } },
    unknown: unknown(SSWS),
    check,
  });
});

describe('what is particular to Okta', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const called = () => app.requests.map(({ call, segments }) => [call, ...segments].join(' '));
  function revoke(account: string, answers: Partial<Answers> = {}, over = {}) {
    app.reset(vendor(app.url, { authorization: SSWS, ...answers }));
    const options = okta.options.parse({ ...asOwner(app.url), ...over });
    return revokeToTheEnd(okta as never, account, options as never, () => calls.call());
  }

  it('forgets devices only where that is asked for', async () => {
    expect(await revoke(ACCOUNT, { forgetDevices: 'true' }, { forgetDevices: true })).toEqual(REVOKED);
    expect(app.violations).toEqual([]);
  });

  it('never signs out the user who owns the API token, by login or id', async () => {
    for (const account of ['gateway@example.com', '00u9']) {
      await expect(revoke(account, { user: OWNER })).rejects.toMatchObject({ reason: 'refused', retryable: false });
      expect(called()).toEqual([`${GET_USER} ${account}`, `${GET_USER} me`]);
    }
  });

  it('takes the id for an account too, and a user whom Okta found by a part of the login for nobody', async () => {
    expect(await revoke('00u1')).toEqual(REVOKED);
    expect(await revoke('ada.s3cret')).toEqual({ state: 'none', what: [] });
    expect(called()).toEqual([`${GET_USER} ada.s3cret`]);
  });

  it('asks once for whom the account is and who it is itself, and looks up anew where the id has gone', async () => {
    app.reset(vendor(app.url, { authorization: SSWS }));
    const options = okta.options.parse(asOwner(app.url));
    for (let time = 0; time < 2; time += 1) await okta.revoke(ACCOUNT, options, calls.call());
    expect(called().slice(3)).toEqual([`${CLEAR} 00u1`]);
    app.reset(vendor(app.url, { authorization: SSWS, user: { ...ADA, id: '00u5' } }));
    expect(await okta.revoke(ACCOUNT, options, calls.call())).toEqual(REVOKED);
    expect(called()).toEqual([`${CLEAR} 00u1`, `${GET_USER} ${ACCOUNT}`, `${GET_USER} me`, `${CLEAR} 00u5`]);
  });

  it('waits until the quota is reset', async () => {
    const at = Math.floor(Date.now() / 1000);
    const tooMany = error(429, 'E0000047', { 'x-rate-limit-reset': String(at + 40), 'x-rate-limit-remaining': '0' });
    const failure = await revoke(ACCOUNT, { cleared: tooMany }).catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ reason: 'rate_limited', retryable: true });
    const { retryAfterMs } = failure as { retryAfterMs: number };
    expect(retryAfterMs).toBeGreaterThan(35_000);
    expect(retryAfterMs).toBeLessThanOrEqual(40_000);
  });

  it('takes a user whom its role may not touch for refused, and says so; a missing scope concerns everybody', async () => {
    await expect(revoke(ACCOUNT, { cleared: error(403, 'E0000006') })).rejects.toMatchObject({
      reason: 'refused',
      message: expect.stringMatching(/403: the credential may not do this, at least not for this account$/),
    });
    const challenge =
      'Bearer authorization_uri="https://acme.okta.com/", error="insufficient_scope", scope="okta.users.manage"';
    const unscoped = error(403, 'E0000006', { 'www-authenticate': challenge });
    await expect(revoke(ACCOUNT, { cleared: unscoped })).rejects.toMatchObject({ reason: 'auth' });
  });

  it('takes a 404 of another kind for a wrong URL', async () => {
    const wrong = error(404, 'E0000022');
    await expect(revoke(ACCOUNT, { cleared: wrong })).rejects.toMatchObject({ reason: 'refused' });
  });

  it.each([
    ['neither', { url: 'https://acme.okta.com' }],
    ['both', { ...asApp('https://acme.okta.com'), apiToken: '00-token' }],
    ['a client without a key', { url: 'https://acme.okta.com', clientId: '0oa1' }],
    ['a key without a client', { url: 'https://acme.okta.com', privateKey: serviceApp.pem }],
    ['a token and the id of a key', { url: 'https://acme.okta.com', apiToken: '00-token', keyId: 'key-1' }],
  ])('wants exactly one way to prove who calls [%s]', (_what, given) => {
    expect(okta.options.safeParse(given).error?.issues[0]?.message).toMatch(/either .* or/);
  });
});
