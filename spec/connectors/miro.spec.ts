/** Miro: the address is in the query, beside a path that says "reset all". */
import { miro } from '../../src/connectors/miro.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'GET /v1/oauth-token';
const MEMBERS = 'GET /v2/orgs/{}/members';
const RESET = 'POST /v2/sessions/reset_all';
const headers = { authorization: 'Bearer miro-s3cret' };

type Member = { id: string; email: string };
const ADA: Member = { id: '3074457345821140934', email: 'Ada.S3cret@example.com' };
const INFO = {
  type: 'oAuthToken',
  organization: { type: 'organization', name: 'Acme', id: '777' },
  team: { type: 'team', name: 'Security', id: '1' },
  createdBy: { type: 'user', name: 'Admin', id: '42' },
  user: { type: 'user', name: 'Admin', id: '42' },
  scopes: ['organizations:read', 'sessions:delete'],
};

type World = { info?: object; members?: Member[]; reset?: VendorAnswer };
const no = (status: number, code: string): VendorAnswer => ({
  status,
  json: { type: 'error', status, code, message: ACCOUNT },
});

const vendor = ({ info = INFO, members = [ADA], reset }: World = {}): Route[] => [
  { call: TOKEN, expects: { headers }, answer: () => ({ json: info }) },
  {
    call: MEMBERS,
    expects: [
      { headers, query: { emails: ACCOUNT } },
      { headers, query: { limit: '1' } }, // The check.
    ],
    answer: ({ segments, query }) => {
      if (segments[0] !== '777') return no(404, 'notFound');
      const found = members.map((member) => ({ type: 'organization-member', active: true, ...member }));
      return { json: query.emails ? found : { limit: 1, size: 1, data: found } };
    },
  },
  { call: RESET, expects: { headers, query: { email: ACCOUNT } }, answer: () => reset ?? { status: 200 } },
];

keepsContract(miro, {
  account: ACCOUNT,
  options: (url) => ({ token: 'miro-s3cret', url }),
  vendor: () => vendor(),
  calls: [TOKEN, MEMBERS, RESET],
  outcome: { state: 'revoked', what: ['sessions'], partial: 'tokens of apps that the user has authorized may live on' },
  exceptions: { [TOKEN]: { 400: 'auth' }, [RESET]: { 403: 'refused' } },
  unknown: {
    'nobody is found': () => vendor({ members: [] }),
    'another member is found': () => vendor({ members: [{ id: '2', email: `x${ACCOUNT}` }] }),
    'the member has gone since': () => vendor({ reset: no(404, 'userNotFound') }),
  },
  check: { ok: true, detail: 'the token has the scopes, and members of the organization can be read' },
});

describe('Miro', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const options = () => miro.options.parse({ token: 'miro-s3cret', url: app.url });
  const revoke = () => miro.revoke(ACCOUNT, options(), calls.call());
  const check = () => miro.check(options(), calls.call());
  const called = () => app.requests.map(({ call }) => call);

  it('never signs out the admin whose token it holds', async () => {
    app.reset(vendor({ members: [{ ...ADA, id: '42' }] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(called()).toEqual([TOKEN, MEMBERS]);
  });

  it('calls for nobody where several match', async () => {
    app.reset(vendor({ members: [ADA, { ...ADA, id: '5' }] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(called()).toEqual([TOKEN, MEMBERS]);
  });

  it('never asks for a reset without the address', async () => {
    for (const odd of ['', ' ', '*', 'all', 'ada@example.com,ada@example.org']) {
      app.reset(vendor());
      await expect(miro.revoke(odd, options(), calls.call())).rejects.toMatchObject({ reason: 'refused' });
      expect(called()).toEqual([]);
    }
  });

  it('sends an odd address as one parameter', async () => {
    app.reset(vendor());
    expect(await miro.revoke('ada@example.com&emails=x', options(), calls.call())).toMatchObject({ state: 'none' });
    expect(app.requests.at(-1)?.query).toEqual({ emails: 'ada@example.com&emails=x' });
  });

  it.each([
    [400, 'invalidParameters', 'refused'],
    [401, 'tokenNotProvided', 'auth'],
    [403, 'insufficientPermissions', 'refused'],
    [429, 'tooManyRequests', 'rate_limited'],
  ])('takes the errors of the description for what they are [%s %s]', async (status, code, reason) => {
    const epoch = Math.floor(Date.now() / 1000) + 30;
    app.reset(vendor({ reset: { ...no(status, code), headers: { 'x-ratelimit-reset': `${epoch}` } } }));
    const error = await revoke().catch((thrown: unknown) => thrown as { retryAfterMs?: number });
    expect(error).toMatchObject({ reason, message: expect.not.stringContaining('s3cret') });
    if (status !== 429) expect((error as { retryAfterMs?: number }).retryAfterMs).toBeUndefined();
    else expect((error as { retryAfterMs?: number }).retryAfterMs).toBeGreaterThan(25_000);
  });

  it('asks for nobody’s logout where the token says that it lacks the scope for that', async () => {
    app.reset(vendor({ info: { ...INFO, scopes: ['organizations:read'] } }));
    await expect(revoke()).rejects.toMatchObject({
      reason: 'auth',
      message: expect.stringContaining('sessions:delete'),
    });
    expect(app.requests.map(({ call }) => call)).toEqual([TOKEN]);
  });

  it('takes a 404 that is not Miro’s own for a wrong URL', async () => {
    app.reset(vendor({ reset: { status: 404, json: { message: 'no route' } } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    app.reset(vendor({ info: { ...INFO, organization: { id: '778' } } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
  });

  it.each([
    ['organizations:read', ['sessions:delete']],
    ['sessions:delete', ['organizations:read', 'boards:read']],
    ['sessions:delete and organizations:read', undefined],
  ])('finds at the check which scope is missing [%s]', async (missing, scopes) => {
    app.reset(vendor({ info: { ...INFO, scopes } }));
    expect(await check()).toEqual({ ok: false, problem: `miro: the token lacks the scope ${missing}` });
  });
});
