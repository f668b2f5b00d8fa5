/** GitLab: an exact look-up as an administrator, then only what the settings ask for. */
import type { Pending } from '../../src/connectors/connector.js';
import { gitlab } from '../../src/connectors/gitlab.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { give, type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const ME = 'GET /api/v4/user';
const FIND = 'GET /api/v4/users';
const SHOW = 'GET /api/v4/users/{}';
const BLOCK = 'POST /api/v4/users/{}/block';
const LIST = 'GET /api/v4/personal_access_tokens';
const REVOKE = 'DELETE /api/v4/personal_access_tokens/{}';
const headers = { 'private-token': 'glpat-s3cret' };

type User = { id: number; username: string; email?: string; state?: string };
type Token = { id: number; user_id: number; active?: boolean };
const ADA: User = { id: 7, username: 'ada', email: 'Ada.S3cret@example.com', state: 'active' };
const NO_USER = { status: 404, json: { message: '404 User Not Found' } };

type Given = {
  account?: string;
  me?: { id: number; is_admin?: boolean };
  users?: readonly User[];
  tokens?: readonly Token[];
  known?: boolean;
  reappear?: boolean;
};

function vendor(given: Given = {}): Route[] {
  const { account = ACCOUNT, me = { id: 1, is_admin: true }, users = [ADA], known = true, reappear = false } = given;
  const tokens = [...(given.tokens ?? [11, 12].map((id) => ({ id, user_id: 7 })))];
  let state = users[0]?.state ?? 'active';
  const paged = { per_page: '100', page: expect.stringMatching(/^[1-9]\d*$/) };
  const page = (items: readonly unknown[], at?: string) => items.slice((Number(at) - 1) * 100, Number(at) * 100);
  return [
    { call: ME, expects: { headers }, answer: () => ({ json: me }) },
    {
      call: FIND,
      expects: { headers, query: { [account.includes('@') ? 'search' : 'username']: account, ...paged } },
      answer: ({ query }) => ({ json: page(users, query.page) }),
    },
    {
      call: SHOW,
      expects: { headers },
      answer: ({ segments }) => (known && segments[0] === '7' ? { json: { ...ADA, state } } : NO_USER),
    },
    {
      call: BLOCK,
      expects: { headers },
      answer: () => {
        if (!known) return NO_USER;
        state = 'blocked';
        return { status: 201, json: true };
      },
    },
    {
      call: LIST,
      expects: { headers, query: { user_id: '7', state: 'active', ...paged } },
      answer: ({ query }) => ({ json: page(tokens, query.page) }),
    },
    {
      call: REVOKE,
      expects: { headers },
      answer: ({ segments }) => {
        const at = tokens.findIndex(({ id }) => `${id}` === segments[0]);
        if (at < 0) return { status: 404, json: { message: '404 Not Found' } };
        if (!reappear) tokens.splice(at, 1);
        return { status: 204 };
      },
    },
  ];
}

const options = (url: string) => ({ url, token: 'glpat-s3cret', personalAccessTokens: true, block: true });

keepsContract(gitlab, {
  account: ACCOUNT,
  options,
  vendor: () => vendor(),
  calls: [ME, FIND, SHOW, BLOCK, ME, LIST, REVOKE, REVOKE, LIST],
  main: BLOCK,
  outcome: { state: 'revoked', what: ['access', 'credentials'], removed: [{ blocked: '7' }] },
  repeated: { state: 'none', what: [] },
  unknown: {
    'nobody is found': () => vendor({ users: [] }),
    'only others who resemble the account are found': () =>
      vendor({
        users: [
          { ...ADA, email: `x${ACCOUNT}` },
          { ...ADA, username: ACCOUNT, email: 'grace@example.com' },
          { id: 9, username: 'ada' },
        ],
      }),
    'the user has gone since': () => vendor({ known: false }),
  },
  check: {
    ok: true,
    detail: 'the token is that of an administrator; whether it may also write shows at the first revocation',
  },
});

describe('gitlab', () => {
  let server: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    server = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([server.close(), calls.close()]));

  const parse = (more: Record<string, unknown> = {}) => gitlab.options.parse({ ...options(server.url), ...more });
  const revoke = (given: Given = {}, more?: Record<string, unknown>) => {
    server.reset(vendor(given));
    return toTheEnd(given.account, more);
  };
  const toTheEnd = (account = ACCOUNT, more?: Record<string, unknown>) =>
    revokeToTheEnd(gitlab as never, account, parse(more) as never, () => calls.call());
  const asked = () => server.requests.map(({ call }) => call);
  const revoked = () => server.requests.filter(({ call }) => call === REVOKE).map(({ segments }) => segments[0]);

  it('does not start where neither is asked for', () => {
    const given = { url: 'https://gitlab.example.com', token: 'glpat-s3cret' };
    expect(gitlab.options.safeParse(given).error?.issues).toEqual([
      expect.objectContaining({
        path: ['personalAccessTokens'],
        message: expect.stringContaining('no call that ends'),
      }),
    ]);
    for (const more of [{ personalAccessTokens: true }, { block: true }]) {
      expect(gitlab.options.safeParse({ ...given, ...more }).success).toBe(true);
    }
  });

  it('blocks nobody where only tokens are to be revoked', async () => {
    expect(await revoke({}, { block: false })).toEqual({
      state: 'revoked',
      what: ['credentials'],
      partial: 'browser sessions, OAuth tokens and SSH keys live on',
      verified: true,
    });
    expect(asked()).toEqual([ME, FIND, LIST, REVOKE, REVOKE, LIST]);
    expect(server.violations).toEqual([]);
  });

  it('revokes no token where only a block is asked for', async () => {
    expect(await revoke({}, { personalAccessTokens: false })).toEqual({
      state: 'revoked',
      what: ['access'],
      removed: [{ blocked: '7' }],
    });
    expect(asked()).toEqual([ME, FIND, SHOW, BLOCK]);
  });

  it('finds by user name too, exactly', async () => {
    const users = [ADA, { id: 8, username: 'ada2', email: 'ada@example.org' }];
    expect(await revoke({ account: 'ada', users })).toMatchObject({ state: 'revoked' });
    expect(server.violations).toEqual([]);
  });

  it('reads all pages of users, and is sure of nobody where two match', async () => {
    const others = Array.from({ length: 130 }, (_, at) => ({ id: 100 + at, username: `u${at}`, email: `${at}@x.org` }));
    expect(await revoke({ users: [...others, ADA] })).toMatchObject({ state: 'revoked' });
    expect(asked().filter((call) => call === FIND)).toHaveLength(2);
    const twice = revoke({ users: [ADA, ...others, { ...ADA, id: 8 }] });
    await expect(twice).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).not.toContain(BLOCK);
  });

  it('gives up after twenty pages, and says so', async () => {
    const users = Array.from({ length: 2_100 }, (_, id) => ({ id, username: `u${id}` }));
    await expect(revoke({ users })).rejects.toMatchObject({
      reason: 'refused',
      message: expect.stringContaining('20'),
    });
    expect(asked()).not.toContain(BLOCK);
  });

  it.each([{ id: 1 }, { id: 1, is_admin: false }])(
    'does not believe an empty list that GitLab shows to no administrator [%j]',
    async (me) => {
      await expect(revoke({ me, users: [] })).rejects.toMatchObject({ reason: 'auth' });
      expect(asked()).toEqual([ME]);
      expect(await gitlab.check(parse(), calls.call())).toEqual({
        ok: false,
        problem: 'gitlab: the token is not that of an administrator',
      });
    },
  );

  it('does not act on the administrator whose token it has', async () => {
    await expect(revoke({ me: { id: 7, is_admin: true } })).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).toEqual([ME, FIND]);
  });

  it('revokes no token of others, as GitLab lists them where the user has gone', async () => {
    const tokens = [
      { id: 11, user_id: 7 },
      { id: 21, user_id: 1 },
      { id: 22, user_id: 70 },
      { id: 23, user_id: 7, active: false },
    ];
    await revoke({ tokens });
    expect(revoked()).toEqual(['11']);
  });

  it('reads all pages of tokens', async () => {
    await revoke({ tokens: Array.from({ length: 205 }, (_, at) => ({ id: 1_000 + at, user_id: 7 })) });
    expect(revoked()).toHaveLength(205);
    expect(server.violations).toEqual([]);
  });

  it.each(['blocked', 'ldap_blocked', 'banned'])('has nothing to block where the user is %s', async (state) => {
    expect(await revoke({ users: [{ ...ADA, state }], tokens: [] })).toEqual({ state: 'none', what: [] });
    expect(asked()).not.toContain(BLOCK);
  });

  const attempt = (number: number, more?: Record<string, unknown>) =>
    gitlab.revoke(ACCOUNT, parse(more), calls.call({ attempt: number }));
  const goOn = ({ pending }: Pending, number: number) =>
    gitlab.poll?.(JSON.parse(JSON.stringify(pending.poll)), parse(), calls.call({ attempt: number }));

  it('has the block on record before it touches a token, and goes on with these where they failed', async () => {
    server.reset(vendor());
    const begun = (await attempt(1)) as Pending;
    expect(begun.pending.removed).toEqual([{ blocked: '7' }]);
    expect(asked()).toEqual([ME, FIND, SHOW, BLOCK]);
    server.failAt(LIST, (res) => give(res, { status: 502 }));
    await expect(goOn(begun, 2)).rejects.toMatchObject({ reason: 'server' });
    server.failAt('', () => {});
    expect(await goOn(begun, 3)).toEqual({
      ...{ state: 'revoked', what: ['access', 'credentials'], removed: [{ blocked: '7' }] },
    });
    expect(asked().filter((call) => call === BLOCK)).toHaveLength(1);
    expect(server.violations).toEqual([]);
  });

  it('says that an earlier attempt may have blocked the user, where it finds that done', async () => {
    const removed = [{ blocked: '7', by: 'an earlier attempt or somebody else' }];
    server.reset(vendor());
    server.failAt(BLOCK, (res, _request, usual) => {
      usual();
      give(res, { status: 502 });
    });
    await expect(attempt(1)).rejects.toMatchObject({ reason: 'server' });
    const begun = (await attempt(2)) as Pending;
    expect(begun.pending.removed).toEqual(removed);
    expect(await goOn(begun, 3)).toEqual({ state: 'revoked', what: ['access', 'credentials'], removed });
    expect(await attempt(2, { personalAccessTokens: false })).toEqual({ state: 'revoked', what: ['access'], removed });
  });

  it.each(['ldap_blocked', 'banned', 'blocked_pending_approval'])(
    'takes no credit on a retry for what it never does [%s]',
    async (state) => {
      server.reset(vendor({ users: [{ ...ADA, state }], tokens: [] }));
      expect(await attempt(2, { personalAccessTokens: false })).toEqual({ state: 'none', what: [] });
      const begun = (await attempt(2)) as Pending;
      expect(begun.pending).not.toHaveProperty('removed');
      expect(await goOn(begun, 3)).toEqual({ state: 'none', what: [] });
      expect(asked()).not.toContain(BLOCK);
    },
  );

  it('says of tokens that they are revoked where an attempt that broke off may have done it', async () => {
    server.reset(vendor({ tokens: [] }));
    expect(await attempt(1, { block: false })).toEqual({ state: 'none', what: [] });
    expect(await attempt(2, { block: false })).toMatchObject({
      state: 'revoked',
      what: ['credentials'],
      verified: true,
    });
    const begun = (await attempt(1)) as Pending;
    expect(await goOn(begun, 2)).toMatchObject({ what: ['access'] });
    expect(await goOn(begun, 3)).toMatchObject({ what: ['access', 'credentials'] });
  });

  it('keeps a user who cannot be blocked and a token that may not apart', async () => {
    for (const [message, reason] of [
      ['403 Forbidden - An internal user cannot be blocked', 'refused'],
      ['403 Forbidden', 'auth'],
    ]) {
      server.reset(vendor());
      server.failAt(BLOCK, (res) => give(res, { status: 403, json: { message } }));
      await expect(gitlab.revoke(ACCOUNT, parse(), calls.call())).rejects.toMatchObject({ reason });
    }
  });

  it('is no success where one token is not revoked, but revokes the others', async () => {
    server.reset(vendor({ tokens: [11, 12, 13].map((id) => ({ id, user_id: 7 })) }));
    server.failAt(REVOKE, (res, { segments }, usual) =>
      give(res, segments[0] === '12' ? { status: 400, json: { message: '400 Bad request' } } : usual()),
    );
    await expect(toTheEnd()).rejects.toMatchObject({ reason: 'refused' });
    expect(revoked()).toEqual(['11', '12', '13']);
  });

  it('takes a token that is gone already for revoked, and a path that is not there for a wrong URL', async () => {
    for (const [json, wanted] of [
      [{ message: '404 Not Found' }, 'revoked'],
      [{ error: '404 Not Found' }, 'refused'],
    ] as const) {
      server.reset(vendor());
      server.failAt(REVOKE, (res, _request, usual) => {
        usual();
        give(res, { status: 404, json });
      });
      const got = await toTheEnd().catch((error) => error);
      expect(got.state ?? got.reason).toBe(wanted);
    }
  });

  it('is no success while tokens are there again and again', async () => {
    await expect(revoke({ reappear: true })).rejects.toMatchObject({ reason: 'server' });
  });

  it('waits as long as Retry-After says', async () => {
    server.reset(vendor());
    const limited = { 'retry-after': '30', 'ratelimit-reset': '1792567730', 'ratelimit-remaining': '0' };
    server.failAt(REVOKE, (res) => give(res, { status: 429, headers: limited, text: 'Retry later' }));
    await expect(toTheEnd()).rejects.toMatchObject({ reason: 'rate_limited', retryAfterMs: 30_000 });
    expect(revoked()).toHaveLength(1);
  });
});
