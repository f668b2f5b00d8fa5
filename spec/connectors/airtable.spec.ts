/** Airtable: a logout that is refused for some users, with the status of a bad token. */
import { airtable } from '../../src/connectors/airtable.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const WHO = 'GET /v0/meta/whoami';
const USERS = 'GET /v0/meta/enterpriseAccounts/entAcme/users';
const LOGOUT = 'POST /v0/meta/enterpriseAccounts/entAcme/users/{}/logout';
const headers = { authorization: 'Bearer pat-s3cret' };

type User = { id: string; email?: string };
const ADA: User = { id: 'usrsOEchC9xuwRgKk', email: 'Ada.S3cret@example.com' };
const ADMIN = { id: 'usrL2PNC5o3H4lBEi' };

type World = { who?: object; users?: User[]; logout?: VendorAnswer };
const vendor = ({ who = ADMIN, users = [ADA], logout }: World = {}): Route[] => [
  { call: WHO, expects: { headers }, answer: () => ({ json: who }) },
  {
    call: USERS,
    expects: [
      { headers, query: { 'email[]': ACCOUNT } },
      { headers, query: { 'id[]': ADMIN.id } }, // The check.
    ],
    answer: () => ({ json: { users: users.map((user) => ({ ...user, state: 'provisioned', isManaged: true })) } }),
  },
  {
    call: LOGOUT,
    expects: { headers },
    answer: ({ segments }) =>
      logout ?? (segments[0] === ADA.id ? { status: 200, text: '' } : { status: 404, json: { error: 'NOT_FOUND' } }),
  },
];

const optionsOf = (url: string) => ({ enterpriseAccountId: 'entAcme', token: 'pat-s3cret', url });

keepsContract(airtable, {
  account: ACCOUNT,
  options: optionsOf,
  vendor: () => vendor(),
  calls: [WHO, USERS, LOGOUT],
  outcome: {
    state: 'revoked',
    what: ['sessions'],
    partial: 'personal access tokens and OAuth integrations may live on',
  },
  unknown: {
    'nobody is found': () => vendor({ users: [] }),
    'others are found': () => vendor({ users: [{ id: 'usr2', email: `x${ACCOUNT}` }, { id: 'usr3' }] }),
  },
  check: { ok: true, detail: 'users can be read; whether they can be logged out shows at the first revocation' },
});

describe('Airtable', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const options = () => airtable.options.parse(optionsOf(app.url));
  const revoke = () => airtable.revoke(ACCOUNT, options(), calls.call());
  const called = () => app.requests.map(({ call }) => call);

  it('never logs out the admin whose token it holds', async () => {
    app.reset(vendor({ who: { id: ADA.id } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(called()).toEqual([WHO, USERS]);
  });

  it('calls for nobody where several match', async () => {
    app.reset(vendor({ users: [ADA, { ...ADA, id: 'usrOther' }] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(called()).toEqual([WHO, USERS]);
  });

  it.each(['..', '', 'me/../usrOther', 'usr?x', 'usr#x'])(
    'keeps an odd id of an answer in one segment of the path, or does not call [%j]',
    async (id) => {
      app.reset(vendor({ users: [{ ...ADA, id }] }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
      expect(app.violations).toEqual([]);
    },
  );

  it.each([
    ['Cannot perform action on self', 'INVALID_PERMISSIONS', 'refused'],
    ['User does not belong to the enterprise email domain', 'INVALID_PERMISSIONS', 'refused'],
    ['User is not managed by the enterprise account', 'INVALID_PERMISSIONS', 'refused'],
    ['You are not permitted to perform this operation', 'INVALID_PERMISSIONS', 'auth'],
    ['Invalid permissions, or the requested model was not found', 'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND', 'auth'],
  ])('tells a user whom Airtable will not log out from a bad token [%s]', async (message, type, reason) => {
    app.reset(vendor({ logout: { status: 403, json: { error: { type, message } } } }));
    await expect(revoke()).rejects.toMatchObject({ reason });
  });

  it.each([
    [401, { error: { type: 'AUTHENTICATION_REQUIRED', message: 'Authentication required' } }, 'auth'],
    [404, { error: 'NOT_FOUND' }, 'refused'],
    [422, { error: { type: 'INVALID_REQUEST_UNKNOWN', message: 'Invalid request' } }, 'refused'],
    [429, { errors: [{ error: 'RATE_LIMIT_REACHED', message: 'Rate limit exceeded' }] }, 'rate_limited'],
    [503, { error: { type: 'SERVICE_UNAVAILABLE' } }, 'server'],
  ])('takes the errors of the description for what they are, at each call [%s]', async (status, json, reason) => {
    for (const call of [WHO, USERS, LOGOUT]) {
      app.reset(vendor());
      app.failAt(call, (res) =>
        res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json)),
      );
      await expect(revoke()).rejects.toMatchObject({ reason });
    }
  });

  it('finds at the check that the scope to write is missing, where Airtable tells the scopes', async () => {
    app.reset(vendor({ who: { ...ADMIN, scopes: ['enterprise.user:read'] } }));
    expect(await airtable.check(options(), calls.call())).toEqual({
      ok: false,
      problem: expect.stringContaining('enterprise.user:write'),
    });
    app.reset(vendor({ who: { ...ADMIN, scopes: ['enterprise.user:read', 'enterprise.user:write'] } }));
    expect(await airtable.check(options(), calls.call())).toMatchObject({ ok: true });
  });
});
