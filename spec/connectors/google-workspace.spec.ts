/** Google Workspace: a sign-out, OAuth grants and app passwords that are listed until none is left, and an admin who is never meant. */
import { isDeepStrictEqual } from 'node:util';
import { googleWorkspace } from '../../src/connectors/google-workspace.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { createServiceAccount } from '../support/signing-client.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const ADMIN = 'gateway.admin@example.com';
const TOKEN = 'POST /token';
const SIGN_OUT = 'POST /admin/directory/v1/users/{}/signOut';
const GRANTS = 'GET /admin/directory/v1/users/{}/tokens';
const DELETE_GRANT = 'DELETE /admin/directory/v1/users/{}/tokens/{}';
const PASSWORDS = 'GET /admin/directory/v1/users/{}/asps';
const DELETE_PASSWORD = 'DELETE /admin/directory/v1/users/{}/asps/{}';
const headers = { authorization: 'Bearer token-s3cret' };

const serviceAccount = createServiceAccount();
const error = (status: number, reason: string, message: string): VendorAnswer => ({
  status,
  json: { error: { code: status, message, errors: [{ message, domain: 'global', reason }] } },
});
const UNKNOWN = error(404, 'notFound', 'Resource Not Found: userKey');

const optionsAt = (url: string) => ({
  serviceAccount: 'gateway@acme.iam.gserviceaccount.com',
  privateKey: serviceAccount.pem,
  keyId: 'key-1',
  admin: ADMIN,
  url,
  tokenUrl: `${url}/token`,
});

function vendor(url: string, { known = true, grants = ['wiki.apps', 'anonymous'], passwords = [7, 8] } = {}): Route[] {
  const left = { grants: [...grants], passwords: [...passwords] };
  const of = (user: string | undefined, answer: () => VendorAnswer): VendorAnswer =>
    known && (user === ACCOUNT || user === ADMIN) ? answer() : UNKNOWN;
  function take<T>(list: T[], item: T): VendorAnswer {
    const at = list.indexOf(item);
    if (at < 0) return error(404, 'notFound', 'Resource Not Found');
    list.splice(at, 1);
    return { status: 204 };
  }
  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        form: { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: expect.any(String) },
      },
      answer: ({ form }) => {
        const wanted = {
          kid: 'key-1',
          claims: {
            iss: 'gateway@acme.iam.gserviceaccount.com',
            sub: ADMIN,
            aud: `${url}/token`,
            scope: 'https://www.googleapis.com/auth/admin.directory.user.security',
          },
        };
        if (!isDeepStrictEqual(serviceAccount.read(form.assertion), wanted))
          return { status: 400, json: { error: 'invalid_grant' } };
        return { json: { access_token: 'token-s3cret', token_type: 'Bearer', expires_in: 3599 } };
      },
    },
    { call: SIGN_OUT, expects: { headers }, answer: ({ segments }) => of(segments[0], () => ({ status: 204 })) },
    {
      call: GRANTS,
      expects: { headers },
      answer: ({ segments }) =>
        of(segments[0], () => ({
          json: {
            kind: 'admin#directory#tokenList',
            // Without any, Google leaves the list away.
            ...(left.grants.length > 0 && { items: left.grants.map((clientId) => ({ clientId, scopes: [] })) }),
          },
        })),
    },
    {
      call: DELETE_GRANT,
      expects: { headers },
      answer: ({ segments }) => of(segments[0], () => take(left.grants, segments[1] as string)),
    },
    {
      call: PASSWORDS,
      expects: { headers },
      answer: ({ segments }) =>
        of(segments[0], () => ({ json: { items: left.passwords.map((codeId) => ({ codeId, name: 'Mail' })) } })),
    },
    {
      call: DELETE_PASSWORD,
      expects: { headers },
      answer: ({ segments }) => of(segments[0], () => take(left.passwords, Number(segments[1]))),
    },
  ];
}

const WITH_GRANTS = {
  state: 'revoked' as const,
  what: ['sessions' as const, 'refresh_tokens' as const, 'access_tokens' as const],
  partial: 'app passwords live on',
};

keepsContract(googleWorkspace, {
  account: ACCOUNT,
  options: optionsAt,
  secrets: [serviceAccount.pem],
  vendor,
  calls: [TOKEN, SIGN_OUT, GRANTS, DELETE_GRANT, DELETE_GRANT, GRANTS],
  main: SIGN_OUT,
  outcome: WITH_GRANTS,
  reads: [TOKEN],
  exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' } },
  unknown: { 'no such user': (url) => vendor(url, { known: false }) },
  check: {
    ok: true,
    detail: 'OAuth grants can be read; whether users can be signed out shows at the first revocation',
  },
});

describe('what is particular to Google Workspace', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  beforeEach(() => app.reset(vendor(app.url)));
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const called = () => app.requests.map(({ call }) => call);
  function revoke(over: Record<string, unknown> = {}, mode: 'full' | 'refresh-only' = 'full', account = ACCOUNT) {
    const options = googleWorkspace.options.parse({ ...optionsAt(app.url), ...over });
    return revokeToTheEnd(googleWorkspace as never, account, options as never, () => calls.call({ mode }));
  }
  const without = (route: string, answer: VendorAnswer) =>
    app.reset(vendor(app.url).map((one) => (one.call === route ? { ...one, answer: () => answer } : one)));

  it.each([ADMIN, 'Gateway.Admin@EXAMPLE.com'])('calls nobody for the admin as whom it acts [%s]', async (account) => {
    for (const mode of ['full', 'refresh-only'] as const) {
      await expect(revoke({}, mode, account)).rejects.toMatchObject({ reason: 'refused', retryable: false });
    }
    expect(app.requests).toEqual([]);
  });

  it('leaves the grants where that is asked for, and says so', async () => {
    expect(await revoke({ oauthGrants: false })).toEqual({
      state: 'revoked',
      what: ['sessions'],
      partial: 'OAuth grants of third-party apps and app passwords live on',
    });
    expect(called()).toEqual([TOKEN, SIGN_OUT]);
  });

  it('touches app passwords only where that is asked for', async () => {
    await revoke();
    expect(called().filter((call) => call.includes('/asps'))).toEqual([]);
    app.reset(vendor(app.url));
    const { partial: _, ...all } = WITH_GRANTS;
    expect(await revoke({ appPasswords: true })).toEqual({ ...all, what: [...all.what, 'credentials'] });
    expect(called().slice(6)).toEqual([PASSWORDS, DELETE_PASSWORD, DELETE_PASSWORD, PASSWORDS]);
    expect(app.violations).toEqual([]);
  });

  it('leaves sessions alone in the mode refresh-only, and has nothing to do where there are no grants', async () => {
    expect(await revoke({}, 'refresh-only')).toEqual({
      state: 'revoked',
      what: ['refresh_tokens', 'access_tokens'],
      verified: true,
    });
    expect(called()).toEqual([TOKEN, GRANTS, DELETE_GRANT, DELETE_GRANT, GRANTS]);
    expect(await revoke({}, 'refresh-only')).toEqual({ state: 'none', what: [] });
    app.reset(vendor(app.url, { known: false }));
    expect(await revoke({}, 'refresh-only')).toEqual({ state: 'none', what: [] });
  });

  it('says of a retry that finds no grants what an attempt before it may have taken back, of an unknown user nothing', async () => {
    const options = googleWorkspace.options.parse(optionsAt(app.url));
    const retry = () => googleWorkspace.revoke(ACCOUNT, options, calls.call({ mode: 'refresh-only', attempt: 2 }));
    await revoke({}, 'refresh-only');
    expect(await retry()).toMatchObject({ state: 'revoked', what: ['refresh_tokens', 'access_tokens'] });
    app.reset(vendor(app.url, { known: false }));
    expect(await retry()).toEqual({ state: 'none', what: [] });
  });

  it('calls nobody in the mode refresh-only where grants are to be left alone', async () => {
    await expect(revoke({ oauthGrants: false }, 'refresh-only')).rejects.toMatchObject({ reason: 'refused' });
    expect(app.requests).toEqual([]);
  });

  it('takes a grant that is gone already for deleted', async () => {
    app.failAt(DELETE_GRANT, (res, _request, usual) => {
      usual();
      const { status, json } = error(404, 'notFound', 'Resource Not Found');
      res.writeHead(status as number, { 'content-type': 'application/json' }).end(JSON.stringify(json));
    });
    expect(await revoke()).toEqual(WITH_GRANTS);
  });

  it('deletes the other grants where one fails, and is no success then', async () => {
    app.failAt(DELETE_GRANT, (res, { segments }, usual) => {
      if (segments[1] === 'wiki.apps') res.writeHead(500).end();
      else res.writeHead(usual().status as number).end();
    });
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', retryable: true });
    expect(called()).toEqual([TOKEN, SIGN_OUT, GRANTS, DELETE_GRANT, DELETE_GRANT]);
  });

  it('is no success while grants come back', async () => {
    without(DELETE_GRANT, { status: 204 });
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', retryable: true });
    expect(called().filter((call) => call === GRANTS)).toHaveLength(4);
  });

  it.each(['userRateLimitExceeded', 'rateLimitExceeded', 'quotaExceeded', 'dailyLimitExceeded'])(
    'takes a 403 that says %s for too many calls',
    async (reason) => {
      without(SIGN_OUT, error(403, reason, 'Quota exceeded'));
      await expect(revoke()).rejects.toMatchObject({ reason: 'rate_limited', retryable: true });
    },
  );

  it('takes a 403 that says forbidden for a no to this one user', async () => {
    without(SIGN_OUT, error(403, 'forbidden', 'Not Authorized to access this resource/api'));
    await expect(revoke()).rejects.toMatchObject({
      reason: 'refused',
      message: expect.stringContaining('this account'),
    });
  });

  it('takes every other 403 for a missing right, and a 404 without its reason for a wrong URL', async () => {
    for (const reason of ['insufficientPermissions', 'accessNotConfigured']) {
      without(SIGN_OUT, error(403, reason, 'Request had insufficient authentication scopes.'));
      await expect(revoke()).rejects.toMatchObject({ reason: 'auth' });
    }
    without(SIGN_OUT, { status: 404, json: { error: { code: 404, message: 'Method not found.' } } });
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
  });

  it('checks with the grants of the admin, which it only reads', async () => {
    const options = googleWorkspace.options.parse(optionsAt(app.url));
    await googleWorkspace.check(options, calls.call());
    expect(app.requests.map(({ call, segments }) => [call, ...segments])).toEqual([[TOKEN], [GRANTS, ADMIN]]);
  });
});
