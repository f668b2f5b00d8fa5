/** Box: a search by prefix, and a job that nobody can ask about. */
import { box } from '../../src/connectors/box.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /oauth2/token';
const ME = 'GET /2.0/users/me';
const FIND = 'GET /2.0/users';
const END = 'POST /2.0/users/terminate_sessions';
const headers = { authorization: 'Bearer token-s3cret' };

type User = { id: string; login: string | null };
const ADA: User = { id: '12345', login: 'Ada.S3cret@example.com' };
const SEARCH = { user_type: 'managed', fields: 'id,login' };

function vendor(
  pages: User[][] = [[ADA]],
  subject = { box_subject_type: 'enterprise', box_subject_id: '777' },
): Route[] {
  const search = { ...SEARCH, filter_term: ACCOUNT, limit: '1000', usemarker: 'true' };
  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        form: {
          grant_type: 'client_credentials',
          client_id: 'client-1',
          client_secret: 'a-s3cret-of-box',
          ...subject,
        },
      },
      answer: () => ({
        json: { access_token: 'token-s3cret', expires_in: 4169, token_type: 'bearer', restricted_to: [] },
      }),
    },
    { call: ME, expects: { headers, query: { fields: 'id' } }, answer: () => ({ json: { type: 'user', id: '999' } }) },
    {
      call: FIND,
      expects: [
        { headers, query: search },
        { headers, query: { ...search, marker: expect.stringMatching(/^m\d+$/) } },
        { headers, query: { ...SEARCH, limit: '1' } }, // The check.
      ],
      answer: ({ query }) => {
        const page = Number(query.marker?.slice(1) ?? 0);
        const last = page >= pages.length - 1;
        const entries = (pages[page] ?? []).map((user) => ({ type: 'user', ...user }));
        return { json: { entries, limit: 1000, next_marker: last ? (page % 2 === 0 ? null : '') : `m${page + 1}` } };
      },
    },
    {
      call: END,
      expects: { headers, json: { user_ids: ['12345'], user_logins: [ACCOUNT] } },
      answer: () => ({
        status: 202,
        json: { message: 'Request is successful, please check the admin events for the status of the job' },
      }),
    },
  ];
}

const optionsOf = (url: string, more = {}) => ({
  ...{ clientId: 'client-1', clientSecret: 'a-s3cret-of-box', subjectId: '777', url, tokenUrl: `${url}/oauth2/token` },
  ...more,
});

keepsContract(box, {
  account: ACCOUNT,
  options: optionsOf,
  vendor: () => vendor(),
  calls: [TOKEN, ME, FIND, END],
  outcome: {
    state: 'accepted',
    what: ['sessions'],
    partial: 'tokens of apps that the user has authorized may live on',
  },
  reads: [TOKEN],
  exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' }, [END]: { 403: 'refused' } },
  unknown: {
    'nobody is found': () => vendor([[]]),
    'only others whose name or login begins like the account are found': () =>
      vendor([[{ id: '2', login: `${ACCOUNT}.evil.example` }], [{ id: '3', login: null }]]),
  },
  check: { ok: true, detail: 'users can be read; whether sessions can be ended shows at the first revocation' },
});

describe('Box', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (more = {}) => box.revoke(ACCOUNT, box.options.parse(optionsOf(app.url, more)), calls.call());
  const called = () => app.requests.map(({ call }) => call);
  const others = (page: number): User[] => [{ id: `${page}`, login: `${ACCOUNT}${page}` }];

  it('looks through all pages, and takes only the one who matches', async () => {
    app.reset(vendor([others(1), others(2), [ADA], others(4)]));
    expect(await revoke()).toMatchObject({ state: 'accepted' });
    expect(called()).toEqual([TOKEN, ME, FIND, FIND, FIND, FIND, END]);
    expect(app.violations).toEqual([]);
  });

  it('gives up on a search that does not end, and calls for nobody', async () => {
    app.reset(vendor(Array.from({ length: 21 }, (_, page) => (page === 0 ? [ADA] : others(page)))));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(called().filter((call) => call === FIND)).toHaveLength(20);
    expect(called()).not.toContain(END);
  });

  it('calls for nobody where several match', async () => {
    app.reset(vendor([[ADA], [{ id: '54321', login: ACCOUNT }]]));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(called()).not.toContain(END);
  });

  it('never signs out the account that it acts as', async () => {
    app.reset(vendor([[{ ...ADA, id: '999' }]], { box_subject_type: 'user', box_subject_id: '999' }));
    await expect(revoke({ subjectType: 'user', subjectId: '999' })).rejects.toMatchObject({ reason: 'refused' });
    expect(called()).not.toContain(END);
    expect(app.violations).toEqual([]);
  });

  it('can act as one admin instead of the enterprise, and as nothing else', async () => {
    app.reset(vendor([[ADA]], { box_subject_type: 'user', box_subject_id: '999' }));
    expect(await revoke({ subjectType: 'user', subjectId: '999' })).toMatchObject({ state: 'accepted' });
    expect(app.violations).toEqual([]);
    expect(box.options.safeParse(optionsOf(app.url, { subjectType: 'everybody' })).success).toBe(false);
  });

  it('never says that sessions have ended, whatever the status of the success', async () => {
    app.reset(vendor());
    app.failAt(END, (res) => res.writeHead(200, { 'content-type': 'application/json' }).end('{"message":"done"}'));
    expect(await revoke()).toMatchObject({ state: 'accepted' });
  });

  it.each([
    [400, 'bad_request', 'refused'],
    [401, 'unauthorized', 'auth'],
    [403, 'insufficient_scope', 'auth'],
    [403, 'access_denied_insufficient_permissions', 'refused'],
    [404, 'not_found', 'refused'],
    [429, 'too_many_requests', 'rate_limited'],
    [500, 'internal_server_error', 'server'],
    [503, 'unavailable', 'server'],
  ])('takes the errors of the description for what they are [%s %s]', async (status, code, reason) => {
    app.reset(vendor());
    app.failAt(END, (res) =>
      res
        .writeHead(status, { 'content-type': 'application/json', ...(status === 429 && { 'retry-after': '30' }) })
        .end(JSON.stringify({ type: 'error', status, code, message: ACCOUNT, request_id: 'r-1' })),
    );
    await expect(revoke()).rejects.toMatchObject({
      reason,
      retryAfterMs: status === 429 ? 30_000 : undefined,
      message: expect.not.stringContaining('s3cret'),
    });
  });
});
