/** Microsoft Entra ID: one call by user principal name, or a look-up by mail before it; guests are refused. */
import { ConnectorError } from '../../src/connectors/connector.js';
import { microsoftEntra } from '../../src/connectors/microsoft-entra.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { give, type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /tenant-1/oauth2/v2.0/token';
const FIND = 'GET /v1.0/users';
const REVOKE = 'POST /v1.0/users/{}/revokeSignInSessions';
const REVOKE_QUOTED = "POST /v1.0/users('{}')/revokeSignInSessions";
const headers = { authorization: 'Bearer token-s3cret' };

const ADA = { id: 'id-1', mail: 'Ada.S3cret@example.com', userPrincipalName: 'ada@example.onmicrosoft.com' };
const UNKNOWN = {
  status: 404,
  json: { error: { code: 'Request_ResourceNotFound', message: "Resource '…' does not exist" } },
};
const DONE = {
  json: { '@odata.context': 'https://graph.microsoft.com/v1.0/$metadata#Edm.Boolean', value: true },
};
const REVOKED = {
  state: 'revoked' as const,
  what: ['sessions' as const, 'refresh_tokens' as const],
  partial: 'access tokens live on until they expire',
};

const optionsAt = (url: string) => ({
  tenantId: 'tenant-1',
  clientId: 'client-1',
  clientSecret: 'a-s3cret-of-entra',
  url,
  loginUrl: url,
});

type Answers = { users?: unknown[]; nextLink?: string; known?: readonly string[]; mail?: string };

const vendor = (url: string, { users = [ADA], nextLink, known = [ACCOUNT, 'id-1'], mail }: Answers = {}): Route[] => [
  {
    call: TOKEN,
    changesNothing: true,
    expects: {
      form: {
        grant_type: 'client_credentials',
        scope: `${url}/.default`,
        client_id: 'client-1',
        client_secret: 'a-s3cret-of-entra',
      },
    },
    answer: () => ({ json: { token_type: 'Bearer', expires_in: 3599, access_token: 'token-s3cret' } }),
  },
  {
    call: FIND,
    expects: [
      {
        headers,
        query: { $filter: `mail eq '${mail ?? ACCOUNT}'`, $select: 'id,mail,userPrincipalName', $top: '100' },
      },
      { headers, query: { $select: 'id,mail,userPrincipalName', $top: '1' } }, // The check.
    ],
    answer: () => ({ json: { value: users, ...(nextLink && { '@odata.nextLink': nextLink }) } }),
  },
  {
    call: REVOKE,
    expects: { headers },
    answer: ({ segments }) => (known.includes(segments[0] as string) ? DONE : UNKNOWN),
  },
  {
    call: REVOKE_QUOTED,
    expects: { headers },
    answer: ({ segments }) => (known.includes(segments[0] as string) ? DONE : UNKNOWN),
  },
];

describe('by user principal name', () => {
  keepsContract(microsoftEntra, {
    account: ACCOUNT,
    options: optionsAt,
    vendor,
    calls: [TOKEN, REVOKE],
    outcome: REVOKED,
    reads: [TOKEN],
    exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' } },
    unknown: { 'no such user': (url) => vendor(url, { known: [] }) },
    check: { ok: true, detail: 'Entra gave a token; whether it may revoke shows at the first revocation' },
  });
});

describe('by mail', () => {
  keepsContract(microsoftEntra, {
    account: ACCOUNT,
    options: (url) => ({ ...optionsAt(url), findBy: 'mail' }),
    vendor,
    calls: [TOKEN, FIND, REVOKE],
    outcome: REVOKED,
    reads: [TOKEN],
    exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' }, [REVOKE]: { 403: 'refused' } },
    unknown: {
      'nobody is found': (url) => vendor(url, { users: [] }),
      'only others who resemble the account are found': (url) =>
        vendor(url, {
          users: [
            { ...ADA, mail: `x${ACCOUNT}` },
            { ...ADA, mail: null },
          ],
        }),
      'the user has gone since': (url) => vendor(url, { known: [] }),
    },
    check: { ok: true, detail: 'users can be read; whether it may revoke shows at the first revocation' },
  });
});

describe('what is particular to Entra', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  function revoke(account: string, over: Record<string, unknown>, answers?: Answers) {
    app.reset(vendor(app.url, answers));
    const options = microsoftEntra.options.parse({ ...optionsAt(app.url), ...over });
    return revokeToTheEnd(microsoftEntra as never, account, options as never, () => calls.call());
  }
  const called = () => app.requests.map(({ call }) => call);

  it('takes a user of a restricted unit for refused, and by user principal name every other 403 for a missing right', async () => {
    const restricted = 'Target object is a member of a restricted management administrative unit and can only be …';
    for (const [message, reason] of [
      [`Insufficient privileges to complete the operation. ${restricted}`, 'refused'],
      ['Insufficient privileges to complete the operation.', 'auth'],
    ]) {
      const options = microsoftEntra.options.parse(optionsAt(app.url));
      app.reset(vendor(app.url));
      app.failAt(REVOKE, (res) =>
        give(res, { status: 403, json: { error: { code: 'Authorization_RequestDenied', message } } }),
      );
      await expect(microsoftEntra.revoke(ACCOUNT, options, calls.call())).rejects.toMatchObject({ reason });
    }
  });

  it.each([
    ['a guest', { users: [{ ...ADA, userPrincipalName: 'ada_example.com#EXT#@acme.onmicrosoft.com' }] }],
    ['a guest beside a member', { users: [ADA, { ...ADA, id: 'id-2', userPrincipalName: 'ada#EXT#@acme.example' }] }],
    ['several members', { users: [ADA, { ...ADA, id: 'id-2' }] }],
    ['more than a page', { nextLink: 'https://graph.microsoft.com/v1.0/users?$skiptoken=x' }],
  ])('refuses, and revokes for nobody, where the mail is that of %s', async (_whose, answers) => {
    await expect(revoke(ACCOUNT, { findBy: 'mail' }, answers)).rejects.toMatchObject({ reason: 'refused' });
    expect(called()).toEqual([TOKEN, FIND]);
    expect(app.violations).toEqual([]);
  });

  it('writes an apostrophe twice in a filter, so that no account can say more than its name', async () => {
    const account = "o'hara.s3cret@example.com";
    const answers = { users: [{ ...ADA, mail: account }], mail: "o''hara.s3cret@example.com" };
    expect(await revoke(account, { findBy: 'mail' }, answers)).toEqual(REVOKED);
    expect(app.violations).toEqual([]);
  });

  it('writes a name that begins with $ in quotes, and an apostrophe in it twice', async () => {
    expect(await revoke("$o'hara@example.com", {}, { known: ["$o''hara@example.com"] })).toEqual(REVOKED);
    expect(called()).toEqual([TOKEN, REVOKE_QUOTED]);
    expect(await revoke("o'hara@example.com", {}, { known: ["o'hara@example.com"] })).toEqual(REVOKED);
    expect(called()).toEqual([TOKEN, REVOKE]);
    expect(app.violations).toEqual([]);
  });

  it('does not read the value of the answer, which is always true, and takes the 204 that it should be', async () => {
    for (const answer of [{ json: { value: false } }, { status: 204 }]) {
      app.reset(vendor(app.url).map((route) => (route.call === REVOKE ? { ...route, answer: () => answer } : route)));
      const options = microsoftEntra.options.parse(optionsAt(app.url));
      expect(await microsoftEntra.revoke(ACCOUNT, options, calls.call())).toEqual(REVOKED);
    }
  });

  it('takes a 404 that does not say that the user is unknown for a wrong URL', async () => {
    app.reset(vendor(app.url));
    app.failAt(REVOKE, (res) => {
      res.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"code":"ResourceNotFound"}}');
    });
    const options = microsoftEntra.options.parse(optionsAt(app.url));
    const error = await microsoftEntra.revoke(ACCOUNT, options, calls.call()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConnectorError);
    expect(error).toMatchObject({ reason: 'refused' });
  });

  it('waits as long as Graph says, also with decimals', async () => {
    app.reset(vendor(app.url));
    app.failAt(REVOKE, (res) => res.writeHead(429, { 'retry-after': '2.128' }).end());
    const options = microsoftEntra.options.parse(optionsAt(app.url));
    await expect(microsoftEntra.revoke(ACCOUNT, options, calls.call())).rejects.toMatchObject({
      reason: 'rate_limited',
      retryAfterMs: 2_128,
    });
  });

  it('takes no tenant that would be more than one segment of the URL', () => {
    for (const tenantId of ['a/b', '..', '../common', 'a?b', 'a#b', '']) {
      const { success } = microsoftEntra.options.safeParse({ ...optionsAt('https://graph.example.com'), tenantId });
      expect([tenantId, success]).toEqual([tenantId, false]);
    }
  });
});
