/** PagerDuty: a search, a user among pages of users, a deletion, and a list that has to be empty afterwards. */
import type { Outcome, Pending } from '../../src/connectors/connector.js';
import { pagerduty } from '../../src/connectors/pagerduty.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { give, type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /oauth/token';
const USERS = 'GET /users';
const DELETE = 'DELETE /oauth_delegations';
const LIST = 'GET /users/{}/oauth_delegations';

const versioned = { accept: 'application/vnd.pagerduty+json;version=2', 'content-type': 'application/json' };
const ISSUED = { delegation_type: 'web,mobile', status: 'issued' };
const ADA = { id: 'PXPGF42', name: 'Ada', email: 'Ada.S3cret@example.com' };
const UNKNOWN = { status: 404, json: { error: { message: 'Not Found', code: 2100 } } };

type Given = {
  users?: readonly { id: string; email: string }[];
  perPage?: number;
  /** What the list has after the deletion, page by page. */
  left?: readonly unknown[][];
  known?: boolean;
  authorization?: string;
  /** Whether the search looks at addresses too. */
  searches?: boolean;
};

function vendor(given: Given = {}): Route[] {
  const { users: all = [ADA], perPage = 100, left = [[]], known = true, authorization, searches = true } = given;
  const headers = { authorization: authorization ?? 'Bearer token-s3cret', ...versioned };
  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        form: {
          grant_type: 'client_credentials',
          client_id: 'client-1',
          client_secret: 'a-s3cret-of-pagerduty',
          scope: 'as_account-eu.acme oauth_delegations.read oauth_delegations.write users.read',
        },
      },
      answer: () => ({ json: { access_token: 'token-s3cret', token_type: 'bearer', expires_in: 864_000 } }),
    },
    {
      call: USERS,
      expects: [
        { headers, query: { limit: '100', offset: expect.stringMatching(/^\d+$/) } },
        { headers, query: { query: ACCOUNT, limit: '100', offset: expect.stringMatching(/^\d+$/) } },
        { headers, query: { limit: '1', offset: '0' } }, // The check.
      ],
      answer: ({ query }) => {
        const isFound = ({ email }: { email: string }) => searches && email.toLowerCase().includes(ACCOUNT);
        const users = query.query === undefined ? all : all.filter(isFound);
        const [page = users] = [users.slice(Number(query.offset), Number(query.offset) + perPage)];
        return { json: { users: page, more: Number(query.offset) + perPage < users.length, limit: 100, total: null } };
      },
    },
    {
      call: DELETE,
      expects: { headers, query: { user_id: 'PXPGF42', type: 'web,mobile' } },
      answer: () => ({ json: { status: 'ok' } }),
    },
    {
      call: LIST,
      expects: [
        { headers, query: ISSUED },
        { headers, query: { ...ISSUED, cursor: expect.stringMatching(/^page-\d$/) } },
      ],
      answer: ({ query }) => {
        const page = Number(query.cursor?.slice(5) ?? 0);
        const more = page + 1 < left.length;
        const json = {
          oauth_delegations: left[page],
          limit: 25,
          more,
          next_cursor: more ? `page-${page + 1}` : null,
        };
        return known ? { json } : UNKNOWN;
      },
    },
  ];
}

const options = (url: string) => ({
  clientId: 'client-1',
  clientSecret: 'a-s3cret-of-pagerduty',
  subdomain: 'acme',
  region: 'eu',
  url,
  tokenUrl: `${url}/oauth/token`,
});

keepsContract(pagerduty, {
  account: ACCOUNT,
  options,
  vendor: () => vendor(),
  calls: [TOKEN, USERS, DELETE, LIST],
  main: DELETE,
  outcome: {
    state: 'revoked',
    what: ['sessions', 'refresh_tokens', 'access_tokens'],
    partial: 'integrations and API keys of the user live on',
    verified: true,
  },
  reads: [TOKEN, DELETE],
  exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' } },
  unknown: {
    'nobody is found': () => vendor({ users: [] }),
    'only others who resemble the account are found': () =>
      vendor({ users: [`x${ACCOUNT}`, `${ACCOUNT}.org`].map((email, at) => ({ id: `PX${at}`, email })) }),
    'the user has gone since': () => vendor({ known: false }),
  },
  check: {
    ok: true,
    detail: 'users and their delegations can be read; whether these can be deleted shows at the first revocation',
  },
});

describe('pagerduty', () => {
  let server: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    server = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([server.close(), calls.close()]));

  const revoke = (given?: Given, chosen: Record<string, unknown> = options(server.url)) => {
    server.reset(vendor(given));
    const parsed = pagerduty.options.parse(chosen);
    return revokeToTheEnd(pagerduty as never, ACCOUNT, parsed as never, () => calls.call());
  };
  const others = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ id: `PX${at}`, email: `user-${at}@example.com` }));
  const asked = () => server.requests.map(({ call }) => call);

  const pages = () => server.requests.filter(({ call }) => call === USERS).map(({ query }) => query);

  it('finds one of thousands by one search', async () => {
    expect(await revoke({ users: [...others(4_000), ADA] })).toMatchObject({ state: 'revoked', verified: true });
    expect(asked()).toEqual([TOKEN, USERS, DELETE, LIST]);
    expect(pages()).toEqual([{ query: ACCOUNT, limit: '100', offset: '0' }]);
  });

  it('reads all pages of users where the search finds nobody', async () => {
    const users = [...others(250), ADA];
    expect(await revoke({ users, searches: false })).toMatchObject({ state: 'revoked', verified: true });
    expect(server.violations).toEqual([]);
    expect(pages().map(({ query, offset }) => query ?? offset)).toEqual([ACCOUNT, '0', '100', '200']);
  });

  it('reads a thousand users in an attempt, and goes on from there, also after a failure', async () => {
    server.reset(vendor({ users: [...others(4_000), ADA], searches: false }));
    const parsed = pagerduty.options.parse(options(server.url));
    let answer: Outcome | Pending = await pagerduty.revoke(ACCOUNT, parsed, calls.call());
    const readIn: number[] = [];
    let fails = true;
    while ('pending' in answer) {
      const poll: unknown = JSON.parse(JSON.stringify(answer.pending.poll));
      if (fails) {
        server.failAt(USERS, (res) => give(res, { status: 502 }));
        await expect(pagerduty.poll?.(poll, parsed, calls.call())).rejects.toMatchObject({ reason: 'server' });
        server.failAt('', () => {});
        fails = false;
      }
      server.requests.length = 0;
      answer = (await pagerduty.poll?.(poll, parsed, calls.call())) as Outcome | Pending;
      readIn.push(Number(pages()[0]?.offset));
    }
    expect(answer).toMatchObject({ state: 'revoked', verified: true });
    expect(readIn).toEqual([1_000, 2_000, 3_000, 4_000]);
    expect(server.violations).toEqual([]);
  });

  it('is sure of nobody where two users have the address', async () => {
    for (const searches of [true, false]) {
      const twins = revoke({ users: [ADA, ...others(1_500), { ...ADA, id: 'PTWIN' }], searches });
      await expect(twins).rejects.toMatchObject({ reason: 'refused' });
      expect(asked()).not.toContain(DELETE);
    }
  });

  it('gives up where the API counts no further, and says so', async () => {
    const endless = revoke({ users: others(10_001) });
    await expect(endless).rejects.toMatchObject({ reason: 'refused', message: expect.stringContaining('10000') });
    expect(asked()).not.toContain(DELETE);
  });

  it.each([
    ['on the first page', [[{ id: 'd-1' }]]],
    ['on a later page, after an empty one', [[], [{ id: 'd-1' }]]],
  ])('is no success while delegations are still there [%s]', async (_where, left) => {
    await expect(revoke({ left })).rejects.toMatchObject({ reason: 'server', retryable: true });
    expect(server.violations).toEqual([]);
  });

  it('takes a 404 without the code of PagerDuty for a wrong URL, and for no missing user', async () => {
    for (const call of [DELETE, LIST]) {
      server.reset(vendor());
      server.failAt(call, (res) => give(res, { status: 404, json: { error: 'not found' } }));
      const asked = pagerduty.revoke(ACCOUNT, pagerduty.options.parse(options(server.url)), calls.call());
      await expect(asked).rejects.toMatchObject({ reason: 'refused' });
    }
  });

  it('takes an answer without its ok for a failure', async () => {
    for (const json of [{ status: 'error' }, {}, { status: 'pending' }]) {
      server.reset(vendor());
      server.failAt(DELETE, (res) => give(res, { json }));
      const asked = pagerduty.revoke(ACCOUNT, pagerduty.options.parse(options(server.url)), calls.call());
      await expect(asked).rejects.toMatchObject({ reason: 'server' });
    }
  });

  it('waits for as many seconds as ratelimit-reset says', async () => {
    server.reset(vendor());
    server.failAt(DELETE, (res) =>
      give(res, {
        status: 429,
        headers: { 'ratelimit-limit': '960', 'ratelimit-remaining': '0', 'ratelimit-reset': '42' },
        json: { error: { message: 'Rate Limit Exceeded', code: 2020 } },
      }),
    );
    const refused = pagerduty.revoke(ACCOUNT, pagerduty.options.parse(options(server.url)), calls.call());
    await expect(refused).rejects.toMatchObject({ reason: 'rate_limited', retryAfterMs: 42_000 });
  });

  it('takes a REST API key too', async () => {
    const outcome = await revoke(
      { authorization: 'Token token=key-s3cret' },
      { apiKey: 'key-s3cret', url: server.url },
    );
    expect(outcome).toMatchObject({ state: 'revoked' });
    expect(server.violations).toEqual([]);
  });

  it('calls the API of the service region', async () => {
    for (const [region, host] of [
      ['us', 'https://api.pagerduty.com/'],
      ['eu', 'https://api.eu.pagerduty.com/'],
    ]) {
      const urls: string[] = [];
      const send = async (url: string) => {
        urls.push(url);
        return { status: 401, headers: {}, body: '' };
      };
      const chosen = pagerduty.options.parse({ apiKey: 'key-s3cret', region });
      await expect(pagerduty.revoke(ACCOUNT, chosen, calls.call({ send }))).rejects.toMatchObject({ reason: 'auth' });
      expect(urls).toEqual([expect.stringMatching(`^${host}users`)]);
    }
  });

  it('wants either an app or a key', () => {
    const url = 'https://api.pagerduty.com';
    for (const wrong of [
      { url },
      { url, clientId: 'client-1', clientSecret: 'x' },
      { url, clientId: 'client-1', subdomain: 'acme' },
      { ...options(url), apiKey: 'key' },
      { ...options(url), subdomain: 'acme.pagerduty.com users.write' },
      { ...options(url), region: 'mars' },
    ]) {
      expect(pagerduty.options.safeParse(wrong).success).toBe(false);
    }
  });
});
