/** authentik: sessions listed by user name and refresh tokens by user id, and lists that are empty for want of a right. */
import { authentik } from '../../src/connectors/authentik.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'GET /api/v3/core/users/';
const ME = 'GET /api/v3/core/users/me/';
const USER = 'GET /api/v3/core/users/{}/';
const SESSIONS = 'GET /api/v3/core/authenticated_sessions/';
const END = 'DELETE /api/v3/core/authenticated_sessions/{}/';
const TOKENS = 'GET /api/v3/oauth2/refresh_tokens/';
const TAKE = 'DELETE /api/v3/oauth2/refresh_tokens/{}/';
const headers = { authorization: 'Bearer token-s3cret' };

const GATEWAY = { pk: 2, username: 'gateway', email: '' };
const ADA = { pk: 7, username: 'ada', email: 'Ada.S3cret@example.com' };
const GRACE = { pk: 8, username: 'grace', email: `x${ACCOUNT}` };
const session = (user: typeof ADA, uuid: string) => ({ uuid, user: user.pk, current: false });
const token = (user: typeof ADA, pk: number, revoked = false) => ({ pk, user, provider: { pk: 1 }, revoked });
const unknown = (model: string): VendorAnswer => ({
  status: 404,
  json: { detail: `No ${model} matches the given query.` },
});

type State = {
  users?: (typeof ADA)[];
  /** What the token may see. */
  sessions?: ReturnType<typeof session>[];
  tokens?: ReturnType<typeof token>[];
  perPage?: number;
  /** Whether authentik minds the filters. */
  filters?: boolean;
  /** Whether it finds everybody, whoever is looked for. */
  findsAll?: boolean;
  /** Sessions that come back when they are ended. */
  undying?: boolean;
};

function vendor({
  users = [GATEWAY, ADA, GRACE],
  sessions = [session(ADA, 's-1'), session(GRACE, 's-2'), session(ADA, 's-3')],
  tokens = [token(ADA, 11), token(GRACE, 12), token(ADA, 13, true)],
  perPage = 20,
  filters = true,
  findsAll = !filters,
  undying = false,
}: State = {}): Route[] {
  const page = (items: readonly unknown[], { page: number = '1' }: Record<string, string>): VendorAnswer => {
    const at = Number(number);
    const pages = Math.max(1, Math.ceil(items.length / perPage));
    if (at > pages) return { status: 404, json: { detail: 'Invalid page.' } };
    const results = items.slice((at - 1) * perPage, at * perPage);
    return { json: { pagination: { next: at < pages ? at + 1 : 0, count: items.length }, results, autocomplete: {} } };
  };
  const remove = (list: { [key: string]: unknown }[], key: string, id: string | undefined, model: string) => {
    const at = list.findIndex((item) => String(item[key]) === id);
    if (at < 0) return unknown(model);
    if (!undying) list.splice(at, 1);
    return { status: 204 };
  };
  const paging = { page: expect.stringMatching(/^\d+$/), page_size: '20' };
  const brief = { include_groups: 'false', include_roles: 'false' };
  return [
    { call: ME, expects: { headers }, answer: () => ({ json: { user: GATEWAY, users: [] } }) },
    {
      call: FIND,
      expects: [
        { headers, query: { email: expect.any(String), ...paging, ...brief } },
        { headers, query: { username: expect.any(String), ...paging, ...brief } },
        { headers, query: { page_size: '1', ...brief } }, // The check.
      ],
      // As in Django, which minds capitals; that Ada is found all the same is for the spec's own sake.
      answer: ({ query }) =>
        page(
          users.filter(
            ({ email, username }) =>
              findsAll ||
              ((query.email === undefined || email.toLowerCase() === query.email) &&
                (query.username === undefined || username === query.username)),
          ),
          query,
        ),
    },
    {
      call: USER,
      expects: { headers },
      answer: ({ segments }) => {
        const json = users.find(({ pk }) => String(pk) === segments[0]);
        return json ? { json } : unknown('User');
      },
    },
    {
      call: SESSIONS,
      expects: [
        { headers, query: { user__username: ADA.username, ...paging } },
        { headers, query: { page_size: '20' } },
      ],
      answer: ({ query }) =>
        page(
          sessions.filter(({ user }) => !filters || !query.user__username || user === ADA.pk),
          query,
        ),
    },
    {
      call: END,
      expects: { headers },
      answer: (it) => remove(sessions, 'uuid', it.segments[0], 'AuthenticatedSession'),
    },
    {
      call: TOKENS,
      expects: [
        { headers, query: { user: String(ADA.pk), ...paging } },
        { headers, query: { page_size: '20' } },
      ],
      answer: ({ query }) =>
        page(
          tokens.filter(({ user }) => !filters || !query.user || String(user.pk) === query.user),
          query,
        ),
    },
    { call: TAKE, expects: { headers }, answer: (it) => remove(tokens, 'pk', it.segments[0], 'RefreshToken') },
  ];
}

const optionsAt = (url: string) => ({ url, token: 'token-s3cret' });
const LIVES_ON = 'sessions of apps that take no back-channel logout, API tokens and app passwords live on';
const REVOKED = {
  state: 'revoked' as const,
  what: ['sessions' as const, 'refresh_tokens' as const],
  partial: LIVES_ON,
  verified: true as const,
};
const SEEN =
  'users, sessions and refresh tokens can be listed; whether they can be ended shows at the first revocation';

keepsContract(authentik, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [FIND, USER, SESSIONS, END, END, SESSIONS, TOKENS, TAKE, TOKENS],
  main: END,
  outcome: REVOKED,
  unknown: {
    'nobody is found': () => vendor({ users: [] }),
    'only others who resemble the account are found': () => vendor({ users: [GRACE], filters: false }),
  },
  check: { ok: true, detail: SEEN },
});

describe('what is particular to authentik', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const called = () => app.requests.map(({ call }) => call);
  const deleted = () => called().filter((call) => call.startsWith('DELETE '));
  const options = () => authentik.options.parse(optionsAt(app.url));
  function revoke(state: State, account = ACCOUNT, mode: 'full' | 'refresh-only' = 'full', known = options()) {
    app.reset(vendor(state));
    return revokeToTheEnd(authentik as never, account, known as never, () => calls.call({ mode }));
  }
  const check = (state: State) => {
    app.reset(vendor(state));
    return authentik.check(options(), calls.call());
  };

  it('ends what is hers on every page, and nothing of anybody else', async () => {
    const sessions = Array.from({ length: 5 }, (_, n) => session(n === 2 ? GRACE : ADA, `s-${n}`));
    const tokens = Array.from({ length: 5 }, (_, n) => token(n === 2 ? GRACE : ADA, n));
    expect(await revoke({ sessions, tokens, perPage: 2 })).toEqual(REVOKED);
    expect(sessions.map(({ user }) => user)).toEqual([GRACE.pk]);
    expect(tokens.map(({ user }) => user)).toEqual([GRACE]);
    expect(app.violations).toEqual([]);
  });

  it('leaves refresh tokens that are revoked already, which stay on the list', async () => {
    const tokens = [token(ADA, 1, true), token(ADA, 2, true), token(ADA, 3)];
    expect(await revoke({ tokens, perPage: 2 })).toEqual(REVOKED);
    expect(tokens.map(({ pk }) => pk)).toEqual([1, 2]);
  });

  it('takes an account without @ for a user name', async () => {
    expect(await revoke({}, 'ada')).toEqual(REVOKED);
    expect(app.requests[0]?.query).toMatchObject({ username: 'ada' });
    expect(app.violations).toEqual([]);
  });

  it('asks for an address as given and in lower case', async () => {
    expect(await revoke({}, 'Ada.S3cret@Example.com')).toEqual(REVOKED);
    expect(app.requests.slice(0, 2).map(({ query }) => query.email)).toEqual(['Ada.S3cret@Example.com', ACCOUNT]);
  });

  it('looks for the user among those who only resemble, where authentik minds no filter of users', async () => {
    expect(await revoke({ findsAll: true })).toEqual(REVOKED);
    expect(app.requests[1]).toMatchObject({ call: USER, segments: [String(ADA.pk)] });
    expect(await revoke({ findsAll: true, users: [GRACE] })).toEqual({ state: 'none', what: [] });
    expect(called()).toEqual([FIND]);
  });

  it('calls for nobody where several users have the address', async () => {
    const error = await revoke({ users: [ADA, { ...ADA, pk: 9, username: 'ada2' }] }).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ reason: 'refused', retryable: false });
    expect(called()).toEqual([FIND]);
  });

  it('ends nothing where authentik lists things of others too', async () => {
    const users = [ADA];
    await expect(revoke({ users, filters: false })).rejects.toMatchObject({ reason: 'refused', retryable: false });
    await expect(revoke({ users, filters: false }, ACCOUNT, 'refresh-only')).rejects.toMatchObject({
      reason: 'refused',
    });
    expect(deleted()).toEqual([]);
  });

  it.each([
    ['has gone', []],
    ['has another address', [{ ...ADA, email: 'ada@elsewhere.example' }]],
  ])('ends nothing of a user who was found before and %s since', async (_what, users) => {
    const known = options();
    await revoke({}, ACCOUNT, 'full', known);
    expect(await revoke({ users }, ACCOUNT, 'full', known)).toEqual({ state: 'none', what: [] });
    expect(called()).toEqual([USER, FIND]);
  });

  it('ends the sessions of the one who has the address now', async () => {
    const known = options();
    await revoke({}, ACCOUNT, 'full', known);
    const users = [{ ...ADA, pk: 70, email: 'old@example.com' }, ADA];
    expect(await revoke({ users: [{ ...ADA, email: 'old@example.com' }, GRACE] }, ACCOUNT, 'full', known)).toEqual({
      state: 'none',
      what: [],
    });
    expect(await revoke({ users }, ACCOUNT, 'full', known)).toEqual(REVOKED);
  });

  it('leaves sessions alone where only refresh tokens are meant', async () => {
    expect(await revoke({}, ACCOUNT, 'refresh-only')).toEqual({
      state: 'revoked',
      what: ['refresh_tokens'],
      partial: 'sessions and access tokens live on',
      verified: true,
    });
    expect(deleted()).toEqual([TAKE]);
  });

  it('takes a 404 of another kind for a wrong URL', async () => {
    app.reset(vendor());
    app.failAt(USER, (res) => res.writeHead(404, { 'content-type': 'application/json' }).end('{"detail":"no route"}'));
    await expect(
      revokeToTheEnd(authentik as never, ACCOUNT, options() as never, () => calls.call()),
    ).rejects.toMatchObject({ reason: 'refused', retryable: false });
  });

  it('takes a session that has ended meanwhile for ended, and a list that has become shorter for one to be read anew', async () => {
    app.reset(vendor());
    app.failAt(END, (res, { segments }, usual) => {
      usual();
      res
        .writeHead(404, { 'content-type': 'application/json' })
        .end(JSON.stringify(unknown('AuthenticatedSession').json));
      expect(segments).toHaveLength(1);
    });
    expect(await revokeToTheEnd(authentik as never, ACCOUNT, options() as never, () => calls.call())).toEqual(REVOKED);
    app.reset(vendor());
    app.failAt(SESSIONS, (res) =>
      res.writeHead(404, { 'content-type': 'application/json' }).end('{"detail":"Invalid page."}'),
    );
    await expect(
      revokeToTheEnd(authentik as never, ACCOUNT, options() as never, () => calls.call()),
    ).rejects.toMatchObject({ reason: 'server', retryable: true });
  });

  it('is no success while sessions are left', async () => {
    await expect(revoke({ undying: true })).rejects.toMatchObject({ reason: 'server', retryable: true });
  });

  it('gives up a list without end', async () => {
    const sessions = Array.from({ length: 101 }, (_, n) => session(ADA, `s-${n}`));
    await expect(revoke({ sessions, perPage: 1 })).rejects.toMatchObject({ reason: 'refused' });
    expect(deleted()).toEqual([]);
  });

  describe('where the token may not see what is not its own, and authentik answers 200 all the same', () => {
    const own = session(GATEWAY, 's-own');

    it.each([
      ['nothing', []],
      ['its own alone', [own]],
    ])('takes sessions for not ended where it sees %s', async (_what, sessions) => {
      await expect(revoke({ sessions })).rejects.toMatchObject({ reason: 'auth', retryable: true });
      expect(deleted()).toEqual([]);
      expect(await check({ sessions })).toEqual({ ok: false, problem: expect.stringMatching(/permission/) });
    });

    it('takes sessions for ended where it sees those of others', async () => {
      expect(await revoke({ sessions: [own, session(GRACE, 's-2')] })).toEqual(REVOKED);
      expect(app.violations).toEqual([]);
    });

    it('says that it does not know of refresh tokens', async () => {
      const partial = 'no refresh token of anybody is shown, so whether some live on is not known';
      expect(await revoke({ tokens: [] })).toEqual({
        state: 'revoked',
        what: ['sessions'],
        partial: `${partial}; ${LIVES_ON}`,
      });
      expect(await revoke({ tokens: [token(GATEWAY, 1)] }, ACCOUNT, 'refresh-only')).toEqual({
        state: 'none',
        what: [],
        partial: `${partial}; sessions and access tokens live on`,
      });
      expect(await check({ tokens: [] })).toMatchObject({
        ok: true,
        detail: expect.stringMatching(/no refresh token/),
      });
    });
  });
});
