/** Zendesk: an exact look-up, all sessions at once, and the tokens of one user among those of everybody. */
import type { Mode, Outcome, Pending } from '../../src/connectors/connector.js';
import { zendesk } from '../../src/connectors/zendesk.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { give, type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /oauth/tokens';
const ME = 'GET /api/v2/users/me';
const FIND = 'GET /api/v2/users/search';
const END = 'DELETE /api/v2/users/{}/sessions';
const SESSIONS = 'GET /api/v2/users/{}/sessions';
const TOKENS = 'GET /api/v2/oauth/tokens';
const REVOKE = 'DELETE /api/v2/oauth/tokens/{}';
const BASIC = `Basic ${Buffer.from('gateway@example.com/token:a-s3cret-of-zendesk').toString('base64')}`;

const BEARER = 'Bearer a-token-s3cret';

const ADA = { id: 35436, email: 'Ada.S3cret@example.com' };
const NOT_FOUND = { status: 404, json: { error: 'RecordNotFound', description: 'Not found' } };

type Given = {
  authorization?: string;
  scope?: string;
  me?: { id: number | null; role?: string };
  users?: readonly { id: number; email: string | null }[];
  tokens?: readonly { id: number; user_id: number | null }[];
  /** Sessions that the deletion leaves. */
  left?: number;
  known?: boolean;
  reappear?: boolean;
};

function vendor(given: Given = {}): Route[] {
  const { authorization = BASIC, me = { id: 1, role: 'admin' }, users = [ADA], left = 0, known = true } = given;
  const headers = { authorization };
  const tokens = [
    ...(given.tokens ?? [
      { id: 501, user_id: 35436 },
      { id: 502, user_id: 1 },
      { id: 503, user_id: 35436 },
    ]),
  ];
  let sessions = 3;
  const bySize = (size: string) => ({ all: 'true', 'page[size]': size });
  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        json: {
          ...{ grant_type: 'client_credentials', client_id: 'gateway', client_secret: 'a-s3cret-of-a-client' },
          scope: given.scope ?? 'read write',
        },
      },
      answer: () => ({
        status: 201,
        json: { access_token: 'a-token-s3cret', token_type: 'bearer', scope: 'read write', expires_in: 1800 },
      }),
    },
    { call: ME, expects: { headers }, answer: () => ({ json: { user: me } }) },
    {
      call: FIND,
      expects: { headers, query: { query: `email:${ACCOUNT}`, per_page: '100', page: expect.stringMatching(/^\d+$/) } },
      answer: ({ query }) => {
        const to = Number(query.page) * 100;
        const next_page = to < users.length ? `https://acme.zendesk.com/api/v2/users/search?page=${query.page}0` : null;
        return { json: { users: users.slice(to - 100, to), next_page, count: users.length } };
      },
    },
    {
      call: END,
      expects: { headers },
      answer: () => {
        sessions = left;
        return known ? { status: 204 } : NOT_FOUND;
      },
    },
    {
      call: SESSIONS,
      expects: { headers },
      answer: () => ({ json: { sessions: Array.from({ length: sessions }, (_, id) => ({ id, user_id: 35436 })) } }),
    },
    {
      call: TOKENS,
      expects: [
        { headers, query: bySize('100') },
        { headers, query: { ...bySize('100'), 'page[after]': expect.stringMatching(/^after-\d+$/) } },
        { headers, query: bySize('1') }, // The check.
      ],
      answer: ({ query }) => {
        const from = Number(query['page[after]']?.slice(6) ?? 0);
        const has_more = from + 100 < tokens.length;
        const meta = { has_more, after_cursor: has_more ? `after-${from + 100}` : null, before_cursor: null };
        return { json: { tokens: tokens.slice(from, from + 100), meta } };
      },
    },
    {
      call: REVOKE,
      expects: { headers },
      answer: ({ segments }) => {
        const at = tokens.findIndex(({ id }) => `${id}` === segments[0]);
        if (at < 0) return NOT_FOUND;
        if (!given.reappear) tokens.splice(at, 1);
        return { status: 204 };
      },
    },
  ];
}

const options = (url: string) => ({ url, email: 'gateway@example.com', apiToken: 'a-s3cret-of-zendesk' });
const isLike = (one: object, other: object) => Object.keys(one).join() === Object.keys(other).join();
const client = (url: string) => ({ url, clientId: 'gateway', clientSecret: 'a-s3cret-of-a-client' });

const ofClient = (given: Given = {}) => vendor({ ...given, authorization: BEARER });

keepsContract(zendesk, {
  account: ACCOUNT,
  options: client,
  vendor: () => ofClient(),
  calls: [TOKEN, ME, FIND, END, SESSIONS, ME, TOKENS, REVOKE, REVOKE, TOKENS],
  main: END,
  reads: [TOKEN],
  exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' } },
  outcome: { state: 'revoked', what: ['sessions', 'refresh_tokens', 'access_tokens'], verified: true },
  unknown: {
    'nobody is found': () => ofClient({ users: [] }),
    'only others who resemble the account are found': () =>
      ofClient({
        users: [
          { id: 9, email: `x${ACCOUNT}` },
          { id: 10, email: null },
        ],
      }),
    'the user has gone since': () => ofClient({ known: false }),
  },
  check: {
    ok: true,
    detail:
      'the credential is that of an admin, and tokens can be listed; whether it may also delete shows at the first revocation',
  },
});

describe('zendesk', () => {
  let server: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    server = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([server.close(), calls.close()]));

  const parse = (chosen?: Record<string, unknown>) => zendesk.options.parse(chosen ?? options(server.url));
  const toTheEnd = (chosen: unknown, mode: Mode = 'full') =>
    revokeToTheEnd(zendesk as never, ACCOUNT, chosen as never, () => calls.call({ mode }));
  const call = (mode?: Mode) => toTheEnd(parse(), mode);
  const revoke = (given: Given = {}, mode?: Mode) => {
    server.reset(vendor(given));
    return call(mode);
  };
  const asked = () => server.requests.map(({ call }) => call);
  const revoked = () => server.requests.filter(({ call }) => call === REVOKE).map(({ segments }) => segments[0]);
  const others = (count: number) => Array.from({ length: count }, (_, at) => ({ id: 1_000 + at, user_id: 2_000 + at }));

  it('revokes the tokens of this user alone, from all pages', async () => {
    await revoke({
      tokens: [
        ...others(150),
        { id: 501, user_id: 35436 },
        { id: 502, user_id: 354360 },
        { id: 503, user_id: null },
        ...others(90),
        { id: 504, user_id: 35436 },
      ],
    });
    expect(revoked()).toEqual(['501', '504']);
    expect(server.violations).toEqual([]);
  });

  it('leaves sessions alone where only tokens are to go', async () => {
    expect(await revoke({}, 'refresh-only')).toEqual({
      state: 'revoked',
      what: ['refresh_tokens', 'access_tokens'],
      verified: true,
    });
    expect(asked()).toEqual([ME, FIND, TOKENS, REVOKE, REVOKE, TOKENS]);
    expect(await revoke({ tokens: others(2) }, 'refresh-only')).toEqual({ state: 'none', what: [] });
  });

  it('is no success while a session is still there', async () => {
    await expect(revoke({ left: 1 })).rejects.toMatchObject({ reason: 'server', retryable: true });
  });

  it.each([{ id: null }, { id: null, role: 'end-user' }, { id: 1, role: 'agent' }, { id: 1 }])(
    'does not believe lists that Zendesk shows to no admin [%j]',
    async (me) => {
      await expect(revoke({ me })).rejects.toMatchObject({ reason: 'auth' });
      expect(asked()).toEqual([ME]);
      expect(await zendesk.check(parse(), calls.call())).toEqual({
        ok: false,
        problem: 'zendesk: the credential is not that of an admin',
      });
    },
  );

  it('does not act on the admin whose token it has', async () => {
    await expect(revoke({ me: { id: 35436, role: 'admin' } })).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).toEqual([ME, FIND]);
  });

  it('reads all pages of the search, and is sure of nobody where two match', async () => {
    const found = Array.from({ length: 120 }, (_, at) => ({ id: 5_000 + at, email: `ada${at}@example.com` }));
    expect(await revoke({ users: [...found, ADA] })).toMatchObject({ state: 'revoked' });
    expect(asked().filter((call) => call === FIND)).toHaveLength(2);
    await expect(revoke({ users: [ADA, ...found, { ...ADA, id: 7 }] })).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).not.toContain(END);
  });

  it('gives up after twenty pages of users, and says so', async () => {
    const users = Array.from({ length: 2_100 }, (_, id) => ({ id: id + 9, email: `${id}@example.com` }));
    await expect(revoke({ users })).rejects.toMatchObject({
      reason: 'refused',
      message: expect.stringContaining('20'),
    });
    expect(asked()).not.toContain(END);
  });

  it('is no success where one token is not revoked, but revokes the others', async () => {
    server.reset(vendor({ tokens: [501, 502, 503].map((id) => ({ id, user_id: 35436 })) }));
    server.failAt(REVOKE, (res, { segments }, usual) =>
      give(res, segments[0] === '501' ? { status: 500, json: { error: 'InternalError' } } : usual()),
    );
    await expect(call()).rejects.toMatchObject({ reason: 'server' });
    expect(revoked()).toEqual(['501', '502', '503']);
  });

  it('takes a token that is gone already for revoked', async () => {
    server.reset(vendor());
    server.failAt(REVOKE, (res, _request, usual) => {
      usual();
      give(res, NOT_FOUND);
    });
    expect(await call()).toMatchObject({ state: 'revoked', verified: true });
  });

  const begin = async (given: Given, mode: Mode = 'full', attempt = 1) => {
    server.reset(vendor(given));
    return zendesk.revoke(ACCOUNT, parse(), calls.call({ mode, attempt }));
  };
  const goOn = async (answer: Outcome | Pending, attempt: number) => {
    if (!('pending' in answer)) throw new Error('it has ended');
    const poll: unknown = JSON.parse(JSON.stringify(answer.pending.poll));
    return (await zendesk.poll?.(poll, parse(), calls.call({ attempt }))) as Outcome | Pending;
  };

  it('is no success while tokens are there again and again', async () => {
    await expect(revoke({ reappear: true })).rejects.toMatchObject({ reason: 'server' });
    expect(revoked()).toHaveLength(6);
  });

  it('signs the person out once, however often the tokens fail', async () => {
    const answer = await begin({});
    expect(asked()).toEqual([ME, FIND, END, SESSIONS]);
    server.failAt(TOKENS, (res) => give(res, { status: 502 }));
    await expect(goOn(answer, 2)).rejects.toMatchObject({ reason: 'server' });
    server.failAt('', () => {});
    expect(await goOn(answer, 3)).toEqual({
      ...{ state: 'revoked', what: ['sessions', 'refresh_tokens', 'access_tokens'], verified: true },
    });
    expect(asked().filter((call) => call === END)).toHaveLength(1);
  });

  it('reads a thousand tokens in an attempt, and goes on from there, also after a failure', async () => {
    const mine = (id: number) => ({ id, user_id: 35436 });
    const tokens = [mine(1), ...others(2_400), mine(2), ...others(100), mine(3)];
    let answer = await begin({ tokens });
    const from: (string | undefined)[] = [];
    for (let attempt = 2; 'pending' in answer; attempt += 1) {
      if (attempt === 3) {
        server.failAt(TOKENS, (res) => give(res, { status: 502 }));
        await expect(goOn(answer, attempt)).rejects.toMatchObject({ reason: 'server' });
        server.failAt('', () => {});
      }
      const before = server.requests.length;
      answer = await goOn(answer, attempt);
      const pages = server.requests.slice(before).filter(({ call }) => call === TOKENS);
      expect(pages.length).toBeLessThanOrEqual(10);
      from.push(pages[0]?.query['page[after]']);
    }
    expect(answer).toMatchObject({ state: 'revoked', verified: true });
    expect(revoked()).toEqual(['1', '2', '3']);
    // The last pass finds none.
    expect(from).toEqual([undefined, 'after-1000', 'after-2000', 'after-400', 'after-1400', 'after-2400']);
    expect(server.violations).toEqual([]);
  });

  it('says of tokens that they are revoked where an attempt that broke off may have done it', async () => {
    const none = { tokens: others(2) };
    const done = { state: 'revoked', what: ['refresh_tokens', 'access_tokens'], verified: true };
    expect(await begin(none, 'refresh-only', 2)).toEqual(done);
    const long = { tokens: others(1_500) };
    const answer = await begin(long, 'refresh-only');
    expect(await goOn(answer, 2)).toEqual({ state: 'none', what: [] });
    // What it had found may have come back on a page from before, so that all are read once more.
    expect(await goOn(await goOn(answer, 3), 4)).toEqual(done);
  });

  it('takes an endpoint that is not there for a wrong URL, and for no missing user', async () => {
    server.reset(vendor());
    const json = { error: { title: 'Invalid endpoint', message: 'Not found' } };
    server.failAt(END, (res) => give(res, { status: 404, json }));
    await expect(call()).rejects.toMatchObject({ reason: 'refused' });
  });

  it('waits as long as Retry-After says', async () => {
    server.reset(vendor());
    const limited = { 'retry-after': '93', 'ratelimit-reset': '41', 'ratelimit-remaining': '0' };
    server.failAt(TOKENS, (res) => give(res, { status: 429, headers: limited, json: {} }));
    await expect(call()).rejects.toMatchObject({ reason: 'rate_limited', retryAfterMs: 93_000 });
  });

  it('takes an OAuth token too', async () => {
    server.reset(vendor({ authorization: 'Bearer oauth-s3cret' }));
    const chosen = parse({ url: server.url, oauthToken: 'oauth-s3cret' });
    expect(await toTheEnd(chosen)).toMatchObject({ state: 'revoked' });
    expect(server.violations).toEqual([]);
  });

  it('asks for a token with the scopes that are set, and keeps it', async () => {
    server.reset(ofClient({ scope: 'users:read write' }));
    const chosen = parse({ ...client(`${server.url}/`), scope: 'users:read write' });
    for (let time = 1; time <= 2; time += 1) {
      expect(await toTheEnd(chosen)).toMatchObject({ state: 'revoked' });
    }
    expect(asked().filter((call) => call === TOKEN)).toHaveLength(1);
    expect(server.violations).toEqual([]);
  });

  it('takes a refused scope for its own trouble', async () => {
    server.reset(ofClient());
    const json = { error: 'invalid_scope', error_description: 's3cret' };
    server.failAt(TOKEN, (res) => give(res, { status: 400, json }));
    const error = await zendesk.revoke(ACCOUNT, parse(client(server.url)), calls.call()).catch((thrown) => thrown);
    expect(error).toMatchObject({ reason: 'auth', message: expect.not.stringContaining('s3cret') });
    expect(asked()).toEqual([TOKEN]);
  });

  it('wants exactly one of its credentials, and all of it', () => {
    const { url, email, apiToken } = options('https://acme.zendesk.com');
    const { clientId, clientSecret } = client(url);
    const [whole, half] = [
      [{ clientId, clientSecret }, { email, apiToken }, { oauthToken: 'x' }],
      [{ clientId }, { clientSecret }, { email }, { apiToken }],
    ];
    for (const right of whole) expect(zendesk.options.safeParse({ url, ...right }).success).toBe(true);
    const mixed = whole.flatMap((one) => [...whole, ...half].map((other) => ({ ...one, ...other })));
    const wrong = [{}, { scope: 'read' }, ...half, ...mixed.filter((one) => !whole.some((way) => isLike(way, one)))];
    expect(wrong).toHaveLength(6 + 6 + 8);
    for (const chosen of wrong) {
      expect(zendesk.options.safeParse({ url, ...chosen }).error?.issues[0]?.message).toBe(
        'takes exactly one of: clientId and clientSecret; email and apiToken; oauthToken',
      );
    }
  });
});
