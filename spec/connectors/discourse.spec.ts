/** Discourse: a list for administrators that filters by address, and a logout that says OK. */
import { discourse } from '../../src/connectors/discourse.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { give, type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const LIST = 'GET /admin/users/list/active.json';
const LOGOUT = 'POST /admin/users/{}/log_out.json';
const headers = { 'api-key': 'a-s3cret-of-discourse', 'api-username': 'gateway' };

const ADA = { id: 7, username: 'ada', email: 'Ada.S3cret@example.com', active: true };
const NOT_FOUND = {
  status: 404,
  json: { errors: ['The requested URL or resource could not be found.'], error_type: 'not_found' },
};

function vendor({ users = [ADA] as object[], logout }: { users?: object[]; logout?: VendorAnswer } = {}): Route[] {
  return [
    {
      call: LIST,
      expects: [
        { headers, query: { email: ACCOUNT, show_emails: 'true' } },
        { headers, query: { email: 'nobody@universal-logout.invalid' } }, // The check.
      ],
      answer: ({ query }) => ({ json: query.show_emails ? users : [] }),
    },
    { call: LOGOUT, expects: { headers }, answer: () => logout ?? { json: { success: 'OK' } } },
  ];
}

const optionsAt = (url: string) => ({ url, apiKey: 'a-s3cret-of-discourse', apiUser: 'gateway' });

keepsContract(discourse, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [LIST, LOGOUT],
  outcome: { state: 'revoked', what: ['sessions'], partial: 'user API keys live on' },
  reads: [LOGOUT],
  unknown: {
    'nobody is found': () => vendor({ users: [] }),
    'only others who resemble the account are found': () => vendor({ users: [{ ...ADA, email: `x${ACCOUNT}` }] }),
    'the user has gone since': () => vendor({ logout: NOT_FOUND }),
    'the user has gone since, in another form': () =>
      vendor({ logout: { status: 404, json: { error: 'No such id' } } }),
  },
  exceptions: { [LOGOUT]: { 403: 'refused' } },
  check: { ok: true, detail: 'users can be listed; whether they can be logged out shows at the first revocation' },
});

describe('discourse', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = () => discourse.revoke(ACCOUNT, discourse.options.parse(optionsAt(app.url)), calls.call());
  const asked = () => app.requests.map(({ call }) => call);

  it('logs out the one whom it found', async () => {
    app.reset(vendor({ users: [{ ...ADA, id: 8, email: 'b@example.com' }, ADA] }));
    expect(await revoke()).toMatchObject({ state: 'revoked' });
    expect(app.requests.at(1)?.segments).toEqual(['7']);
  });

  it('calls for nobody where several match', async () => {
    app.reset(vendor({ users: [ADA, { ...ADA, id: 8 }] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).toEqual([LIST]);
  });

  it('never logs itself out', async () => {
    app.reset(vendor({ users: [{ ...ADA, username: 'Gateway' }] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(asked()).toEqual([LIST]);
  });

  it('takes addresses that are not shown for a missing permission', async () => {
    app.reset(vendor({ users: [{ id: 7, username: 'ada' }] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'auth' });
    expect(asked()).toEqual([LIST]);
  });

  it('calls for nobody whose id is none', async () => {
    for (const id of [0, -1, '7', null, 'all']) {
      app.reset(vendor({ users: [{ ...ADA, id }] }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
      expect(asked()).toEqual([LIST]);
    }
  });

  it('takes a 404 of the list for a key without the right, as Discourse says it, and not for an unknown user', async () => {
    app.reset(vendor());
    app.failAt(LIST, (res) => give(res, NOT_FOUND));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    const check = await discourse.check(discourse.options.parse(optionsAt(app.url)), calls.call());
    expect(check).toMatchObject({ ok: false });
  });

  it('takes a page that is not found for a wrong URL', async () => {
    app.reset(vendor({ logout: { status: 404, text: '<html>"error": not_found</html>' } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
  });

  it.each([[{}], [{ success: 'FAILED' }], [{ success: true }], [{ failed: 'FAILED' }]])(
    'takes 200 without its OK for a failure [%j]',
    async (json) => {
      app.reset(vendor({ logout: { json } }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
    },
  );

  it('waits as long as Discourse says', async () => {
    app.reset(
      vendor({
        logout: {
          status: 429,
          headers: { 'retry-after': '31' },
          json: { error_type: 'rate_limit', errors: ['Wait.'] },
        },
      }),
    );
    await expect(revoke()).rejects.toMatchObject({ reason: 'rate_limited', retryAfterMs: 31_000 });
  });
});
