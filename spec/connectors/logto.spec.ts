/** Logto: an exact search, sessions one by one with their grants, and the grants that are left. */
import { logto } from '../../src/connectors/logto.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /oidc/token';
const FIND = 'GET /api/users';
const SESSIONS = 'GET /api/users/{}/sessions';
const END = 'DELETE /api/users/{}/sessions/{}';
const GRANTS = 'GET /api/users/{}/grants';
const TAKE_BACK = 'DELETE /api/users/{}/grants/{}';
const headers = { authorization: 'Bearer token-s3cret' };

const ADA = { id: 'a1b2c3d4e5f6', username: 'ada', primaryEmail: 'Ada.S3cret@example.com' };
const notFound = (code: string) => ({ status: 404, json: { code, message: 'No.' } });

type State = {
  users?: object[];
  sessions?: string[];
  grants?: string[];
  stubborn?: string;
  gone?: string;
  endless?: boolean;
};

function vendor({
  users = [ADA],
  sessions = ['uid-1', 'uid-2'],
  grants = ['g-1'],
  stubborn,
  gone,
  endless,
}: State = {}): Route[] {
  const uids = [...sessions];
  const ids = [...grants];
  const drop = (from: string[], what: string | undefined) => from.splice(from.indexOf(what ?? ''), 1);
  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        headers: { authorization: `Basic ${Buffer.from('m2m:a-s3cret-of-logto').toString('base64')}` },
        form: { grant_type: 'client_credentials', resource: 'https://default.logto.app/api', scope: 'all' },
      },
      answer: () => ({ json: { access_token: 'token-s3cret', token_type: 'Bearer', expires_in: 3600, scope: 'all' } }),
    },
    {
      call: FIND,
      expects: [
        { headers, query: { 'search.primaryEmail': ACCOUNT, 'mode.primaryEmail': 'exact' } },
        { headers, query: { 'search.username': 'ada', 'mode.username': 'exact' } },
        { headers, query: { page_size: '1' } }, // The check.
      ],
      answer: () => ({ json: users }),
    },
    {
      call: SESSIONS,
      expects: { headers },
      answer: () => ({ json: { sessions: uids.map((uid) => ({ payload: { uid, kind: 'Session' }, expiresAt: 1 })) } }),
    },
    {
      call: END,
      expects: { headers, query: { revokeGrantsTarget: 'all' } },
      answer: ({ segments }) => {
        const uid = segments[1];
        if (uid === stubborn) return { status: 500, json: { code: 'oidc.failed_to_revoke_grant' } };
        if (!endless) drop(uids, uid);
        return uid === gone ? notFound('oidc.session_not_found') : { status: 204 };
      },
    },
    {
      call: GRANTS,
      expects: { headers },
      answer: () => ({ json: { grants: ids.map((id) => ({ id, payload: {} })) } }),
    },
    {
      call: TAKE_BACK,
      expects: { headers },
      answer: ({ segments }) => {
        drop(ids, segments[1]);
        return segments[1] === gone ? notFound('oidc.invalid_grant') : { status: 204 };
      },
    },
  ];
}

const optionsAt = (url: string) => ({
  url,
  resource: 'https://default.logto.app/api',
  clientId: 'm2m',
  clientSecret: 'a-s3cret-of-logto',
});
const OUTCOME = {
  state: 'revoked' as const,
  what: ['sessions', 'refresh_tokens', 'access_tokens'],
  verified: true as const,
};
const NOTHING = { state: 'none' as const, what: [], verified: true as const };

keepsContract(logto, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [TOKEN, FIND, SESSIONS, END, END, SESSIONS, GRANTS, TAKE_BACK, GRANTS],
  main: FIND,
  outcome: { state: 'revoked', what: ['sessions', 'refresh_tokens', 'access_tokens'], verified: true },
  repeated: NOTHING,
  reads: [TOKEN],
  exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' } },
  unknown: {
    'nobody is found': () => vendor({ users: [] }),
    'only others who resemble the account are found': () =>
      vendor({ users: [{ ...ADA, primaryEmail: `x${ACCOUNT}` }] }),
    'the user has neither sessions nor grants': () => vendor({ sessions: [], grants: [] }),
  },
  check: { ok: true, detail: 'users can be read, by which right their sessions can be ended too' },
});

describe('logto', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (account = ACCOUNT, over = {}) =>
    logto.revoke(account, logto.options.parse(optionsAt(app.url)), calls.call(over));
  const asked = () => app.requests.map(({ call }) => call).slice(1); // The token comes first.

  it('finds a user by name too', async () => {
    app.reset(vendor());
    expect(await revoke('ada')).toEqual(OUTCOME);
    expect(app.violations).toEqual([]);
  });

  it('calls for nobody where several match', async () => {
    app.reset(vendor({ users: [ADA, { ...ADA, id: 'other' }] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).toEqual([FIND]);
  });

  it('takes back grants alone if told to', async () => {
    app.reset(vendor());
    expect(await revoke(ACCOUNT, { mode: 'refresh-only' })).toEqual({ ...OUTCOME, what: OUTCOME.what.slice(1) });
    expect(asked()).toEqual([FIND, GRANTS, TAKE_BACK, GRANTS]);
  });

  it('takes what has gone in the meantime for ended', async () => {
    for (const gone of ['uid-1', 'g-1']) {
      app.reset(vendor({ gone }));
      expect(await revoke()).toEqual(OUTCOME);
    }
  });

  it('takes no other 404 for that', async () => {
    for (const call of [END, TAKE_BACK, SESSIONS, GRANTS, FIND]) {
      app.reset(vendor());
      app.failAt(call, (res) =>
        res.writeHead(404, { 'content-type': 'application/json' }).end('{"message":"Not Found"}'),
      );
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    }
  });

  it('is no success where one session stays, and ends the others', async () => {
    app.reset(vendor({ stubborn: 'uid-1' }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', retryable: true });
    expect(app.requests.filter(({ call }) => call === END).map(({ segments }) => segments[1])).toEqual([
      'uid-1',
      'uid-2',
    ]);
  });

  it('gives up on sessions that keep reappearing', async () => {
    app.reset(vendor({ endless: true }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', message: expect.stringContaining('3 rounds') });
  });
});
