/** Auth0: an address that several users may have, a revocation that is done later, and lists that say when it is. */
import { auth0 } from '../../src/connectors/auth0.js';
import type { Outcome, Pending } from '../../src/connectors/connector.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer, type VendorRequest } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /oauth/token';
const FIND = 'GET /api/v2/users-by-email';
const REVOKE = 'POST /api/v2/users/{}/revoke-access';
const REVOKE_TOKENS = 'DELETE /api/v2/users/{}/refresh-tokens';
const SESSIONS = 'GET /api/v2/users/{}/sessions';
const TOKENS = 'GET /api/v2/users/{}/refresh-tokens';
const LIST = 'GET /api/v2/users';
const headers = { authorization: 'Bearer token-s3cret' };

const ADA = { user_id: 'samlp|acme|ada', email: ACCOUNT, identities: [{ connection: 'acme', provider: 'samlp' }] };
const OTHER = { user_id: 'auth0|2', email: ACCOUNT, identities: [{ connection: 'Users', provider: 'auth0' }] };
const error = (statusCode: number, errorCode: string, headers = {}): VendorAnswer => ({
  status: statusCode,
  headers,
  json: { statusCode, error: '…', message: '…', errorCode },
});
const UNKNOWN = error(404, 'inexistent_user');

const optionsAt = (url: string) => ({ url, clientId: 'client-1', clientSecret: 'a-s3cret-of-auth0' });

type Answers = {
  users?: readonly unknown[];
  /** How often Auth0 still has the sessions and tokens when asked. */
  asksUntilDone?: number;
  known?: boolean;
  addresses?: readonly string[];
  /** What the lists have beside, page by page: what was created when. */
  since?: readonly unknown[][];
};

function vendor(url: string, answers: Answers = {}) {
  const { users = [ADA], asksUntilDone = 1, known = true, addresses = [ACCOUNT], since = [[]] } = answers;
  const left = { sessions: 2, tokens: 2 };
  let asked = 0;
  const begin = (what: readonly (keyof typeof left)[]): VendorAnswer => {
    if (!known) return UNKNOWN;
    for (const one of what) left[one] = asksUntilDone;
    return { status: 202 };
  };
  const list =
    (name: keyof typeof left) =>
    (request: VendorRequest): VendorAnswer => {
      if (!known) return UNKNOWN;
      const page = Number(request.query.from?.slice(5) ?? 0);
      const more = (since[page] ?? []).map((created_at, at) => ({ id: `new-${page}-${at}`, created_at }));
      const next = page + 1 < since.length ? { next: `from-${page + 1}` } : {};
      if (page > 0) return { json: { [name]: more, ...next } };
      const still = left[name];
      asked += 1;
      if (asked >= asksUntilDone) left.sessions = left.tokens = 0;
      const old = still > 0 ? [{ id: 'id-1', created_at: '2026-01-01T00:00:00.000Z' }] : [];
      return { json: { [name]: [...more, ...old], ...next } };
    };
  const pages = [
    { headers, query: { take: '50' } },
    { headers, query: { take: '50', from: expect.stringMatching(/^from-\d+$/) } },
    { headers, query: { take: '1' } }, // The check.
  ];
  const routes: Route[] = [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        form: {
          grant_type: 'client_credentials',
          client_id: 'client-1',
          client_secret: 'a-s3cret-of-auth0',
          audience: `${url}/api/v2/`,
        },
      },
      answer: () => ({ json: { access_token: 'token-s3cret', token_type: 'Bearer', expires_in: 86400 } }),
    },
    {
      call: FIND,
      expects: addresses.map((email) => ({
        headers,
        query: { email, fields: 'user_id,email,identities', include_fields: 'true' },
      })),
      // Capitals matter to it.
      answer: ({ query }) => ({ json: users.filter((user) => (user as typeof ADA).email === query.email) }),
    },
    { call: REVOKE, expects: { headers, json: {} }, answer: () => begin(['sessions', 'tokens']) },
    { call: REVOKE_TOKENS, expects: { headers }, answer: () => begin(['tokens']) },
    { call: SESSIONS, expects: pages, answer: list('sessions') },
    { call: TOKENS, expects: pages, answer: list('tokens') },
    {
      call: LIST,
      expects: { headers, query: { per_page: '1', fields: 'user_id', include_fields: 'true' } },
      answer: () => ({ json: users.slice(0, 1).map((user) => ({ user_id: (user as typeof ADA).user_id })) }),
    },
  ];
  return routes;
}

const REVOKED = {
  state: 'revoked' as const,
  what: ['sessions' as const, 'refresh_tokens' as const],
  partial: 'access tokens live on until they expire',
  verified: true as const,
};
const NONE = { state: 'none', what: [] };

keepsContract(auth0, {
  account: ACCOUNT,
  options: optionsAt,
  vendor,
  calls: [TOKEN, FIND, REVOKE, SESSIONS, SESSIONS, TOKENS],
  main: REVOKE,
  outcome: REVOKED,
  reads: [TOKEN],
  exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' } },
  unknown: {
    'nobody is found': (url) => vendor(url, { users: [] }),
    'only others who resemble the account are found': (url) =>
      vendor(url).map((route) =>
        route.call === FIND
          ? { ...route, answer: () => ({ json: [{ ...ADA, email: `x${ACCOUNT}` }, { user_id: 'auth0|3' }] }) }
          : route,
      ),
    'the user has gone since': (url) => vendor(url, { known: false }),
  },
  check: {
    ok: true,
    detail:
      'users, sessions and refresh tokens can be listed; whether they can be revoked shows at the first revocation',
  },
});

describe('what is particular to Auth0', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  type Asked = { mode?: 'full' | 'refresh-only'; account?: string; connection?: string };
  const called = () => app.requests.map(({ call }) => call);
  const parse = (connection?: string) =>
    auth0.options.parse({ ...optionsAt(app.url), ...(connection && { connection }) });
  function revoke(answers: Answers, { mode = 'full', account = ACCOUNT, connection }: Asked = {}) {
    app.reset(vendor(app.url, answers));
    return revokeToTheEnd(auth0 as never, account, parse(connection) as never, () => calls.call({ mode }));
  }
  const answerAt = (call: string, answer: VendorAnswer) =>
    app.reset(vendor(app.url).map((route) => (route.call === call ? { ...route, answer: () => answer } : route)));

  it('calls for nobody where several users have the address and no connection is set', async () => {
    await expect(revoke({ users: [ADA, OTHER] })).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(called()).toEqual([TOKEN, FIND]);
  });

  it('calls for the one user of the connection, also where that is not the first of the linked identities', async () => {
    const linked = { ...OTHER, identities: [...OTHER.identities, { connection: 'acme-2' }] };
    for (const [connection, id] of [
      ['acme', ADA.user_id],
      ['Users', OTHER.user_id],
      ['acme-2', OTHER.user_id],
    ]) {
      expect(await revoke({ users: [ADA, linked] }, { connection: connection as string })).toEqual(REVOKED);
      expect(app.requests.find(({ call }) => call === REVOKE)?.segments).toEqual([id]);
    }
    expect(await revoke({ users: [ADA, linked] }, { connection: 'acm' })).toEqual(NONE);
    expect(called()).toEqual([TOKEN, FIND]);
  });

  it('asks for an address with capitals as it is and in lower case, and takes what both find for one', async () => {
    const account = 'Ada.S3cret@example.com';
    const addresses = [account, ACCOUNT];
    expect(await revoke({ users: [ADA], addresses }, { account })).toEqual(REVOKED);
    expect(await revoke({ users: [{ ...ADA, email: account }], addresses }, { account })).toEqual(REVOKED);
    const both = { users: [ADA, { ...OTHER, email: account }], addresses };
    await expect(revoke(both, { account })).rejects.toMatchObject({ reason: 'refused' });
    expect(app.violations).toEqual([]);
  });

  it('is not done when Auth0 has accepted it, but when nothing is left', async () => {
    app.reset(vendor(app.url, { asksUntilDone: 3 }));
    const options = parse();
    let answer: Outcome | Pending = await auth0.revoke(ACCOUNT, options, calls.call());
    const states: string[] = [];
    while ('pending' in answer) {
      expect(answer.pending.afterMs).toBeGreaterThan(0);
      states.push('pending');
      answer = (await auth0.poll?.(answer.pending.poll, options, calls.call())) as Outcome | Pending;
    }
    expect(states).toHaveLength(4);
    expect(answer).toEqual(REVOKED);
  });

  const SOON = new Date(Date.now() + 60_000).toISOString();

  it('does not wait for who has signed in again since, on whatever page that stands', async () => {
    for (const since of [[[SOON]], [[SOON, SOON], [SOON]]]) {
      for (const mode of ['full', 'refresh-only'] as const) {
        expect(await revoke({ since, asksUntilDone: 2 }, { mode })).toMatchObject({ state: 'revoked', verified: true });
        expect(app.violations).toEqual([]);
        expect(called().filter((call) => call === REVOKE || call === REVOKE_TOKENS)).toHaveLength(1);
      }
    }
  });

  it.each([
    ['from before', new Date(Date.now() - 60_000).toISOString()],
    ['without a date', undefined],
    ['with a date that nobody can read', {}],
  ])('is not done while there is one beside %s', async (_what, created_at) => {
    await expect(revoke({ since: [[SOON], [created_at]] })).rejects.toThrow('it never ends');
    expect(app.violations).toEqual([]);
  });

  it('goes by the clock of Auth0, and by its own where Auth0 does not say', async () => {
    for (const [date, wanted] of [
      ['Wed, 21 Oct 2026 07:28:30 GMT', Date.parse('2026-10-21T07:28:30.999Z')],
      ['soon', Date.parse('2026-10-21T07:00:00Z')],
    ] as const) {
      answerAt(REVOKE, { status: 202, headers: { date } });
      const now = () => new Date('2026-10-21T07:00:00Z');
      expect(await auth0.revoke(ACCOUNT, parse(), calls.call({ now }))).toMatchObject({
        pending: { poll: { before: wanted } },
      });
    }
  });

  it('gives up on a list that never ends', async () => {
    const since = Array.from({ length: 21 }, () => [SOON]);
    await expect(revoke({ since })).rejects.toMatchObject({ reason: 'server', message: expect.stringContaining('20') });
  });

  it('goes on with what an earlier version has kept', async () => {
    app.reset(vendor(app.url, { since: [[SOON]] }));
    const poll = { id: ADA.user_id, tokensOnly: true };
    expect(await auth0.poll?.(poll, parse(), calls.call())).toHaveProperty('pending');
  });

  it('asks for the refresh tokens too before it is done', async () => {
    app.reset(vendor(app.url));
    let still = 1;
    app.failAt(TOKENS, (res) => {
      const tokens = still > 0 ? [{ id: 'rt-1' }] : [];
      still -= 1;
      res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ tokens }));
    });
    expect(await revokeToTheEnd(auth0 as never, ACCOUNT, parse() as never, () => calls.call())).toEqual(REVOKED);
    expect(called().filter((call) => call === TOKENS)).toHaveLength(2);
  });

  it('leaves sessions alone, and does not ask for them, in the mode refresh-only', async () => {
    expect(await revoke({}, { mode: 'refresh-only' })).toEqual({
      state: 'revoked',
      what: ['refresh_tokens'],
      partial: 'sessions and access tokens live on',
      verified: true,
    });
    expect(called()).toEqual([TOKEN, FIND, REVOKE_TOKENS, TOKENS, TOKENS]);
    expect(app.violations).toEqual([]);
  });

  it('has nothing more to do where the user is gone while it asks', async () => {
    app.reset(vendor(app.url));
    const begun = (await auth0.revoke(ACCOUNT, parse(), calls.call())) as Pending;
    app.reset(vendor(app.url, { known: false }));
    expect(await auth0.poll?.(begun.pending.poll, parse(), calls.call())).toEqual(NONE);
  });

  it('takes a 404 of a call that the tenant does not have for a refusal, and not for an unknown user', async () => {
    for (const call of [REVOKE, SESSIONS, TOKENS]) {
      answerAt(call, { status: 404, json: { statusCode: 404, error: 'Not Found', message: 'Not Found' } });
      const asked = revokeToTheEnd(auth0 as never, ACCOUNT, parse() as never, () => calls.call());
      await expect(asked).rejects.toMatchObject({ reason: 'refused' });
    }
  });

  it('waits until the quota is reset', async () => {
    const at = Math.floor(Date.now() / 1000) + 30;
    answerAt(REVOKE, error(429, 'too_many_requests', { 'x-ratelimit-reset': String(at) }));
    const failure = await auth0.revoke(ACCOUNT, parse(), calls.call()).catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ reason: 'rate_limited' });
    expect((failure as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(25_000);
  });

  it('finds out in the check whether the plan and the scopes have the lists, with a user where there is one', async () => {
    app.reset(vendor(app.url));
    await auth0.check(parse(), calls.call());
    expect(called()).toEqual([TOKEN, LIST, SESSIONS, TOKENS]);
    for (const call of [SESSIONS, TOKENS]) {
      answerAt(call, error(403, 'insufficient_scope'));
      expect(await auth0.check(parse(), calls.call())).toMatchObject({ ok: false });
    }
    app.reset(vendor(app.url, { users: [] }));
    expect(await auth0.check(parse(), calls.call())).toEqual({
      ok: true,
      detail: expect.stringContaining('none to prove'),
    });
  });
});
