/** Kasm: the key is in every body, and errors come with 200. */
import { kasm } from '../../src/connectors/kasm.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'POST /api/public/get_user';
const LIST = 'POST /api/public/get_users';
const LOGOUT = 'POST /api/public/logout_user';
const KEY = { api_key: 'key-s3cret', api_key_secret: 'a-s3cret-of-kasm' };

const ADA = { user_id: '50faa5439c574b518cd868dac9256e4b', username: 'Ada.S3cret@example.com', realm: 'saml' };
const ERROR = { error_message: `No such user ${ACCOUNT}` };

function vendor({ find = { user: ADA } as object, list = [ADA] as object[], logout = {} as object } = {}): Route[] {
  return [
    {
      call: FIND,
      changesNothing: true,
      expects: { json: { ...KEY, target_user: { username: ACCOUNT } } },
      answer: () => ({ json: find }),
    },
    { call: LIST, changesNothing: true, expects: { json: KEY }, answer: () => ({ json: { users: list } }) },
    {
      call: LOGOUT,
      expects: { json: { ...KEY, target_user: { user_id: ADA.user_id } } },
      answer: () => ({ json: logout }),
    },
  ];
}

const optionsAt = (url: string) => ({ url, apiKey: 'key-s3cret', apiKeySecret: 'a-s3cret-of-kasm' });
const OUTCOME = { state: 'revoked' as const, what: ['sessions' as const], partial: 'running workspaces go on' };

keepsContract(kasm, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [FIND, LOGOUT],
  outcome: OUTCOME,
  reads: [FIND, LIST, LOGOUT],
  unknown: {
    'there is an error message, and nobody in the list': () => vendor({ find: ERROR, list: [] }),
    'there is no user, and only others in the list': () =>
      vendor({ find: {}, list: [{ ...ADA, username: `x${ACCOUNT}` }] }),
    'another user is found': () => vendor({ find: { user: { ...ADA, username: `x${ACCOUNT}` } } }),
  },
  exceptions: { [LOGOUT]: { 403: 'refused' } },
  check: { ok: true, detail: 'users can be read; whether they can be logged out shows at the first revocation' },
});

describe('kasm', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = () => kasm.revoke(ACCOUNT, kasm.options.parse(optionsAt(app.url)), calls.call());
  const asked = () => app.requests.map(({ call }) => call);

  it('does not take an error message for an unknown user who is in the list', async () => {
    app.reset(vendor({ find: ERROR }));
    expect(await revoke()).toEqual(OUTCOME);
    expect(asked()).toEqual([FIND, LIST, LOGOUT]);
    expect(app.violations).toEqual([]);
  });

  it('does not take an error message for an unknown user where the list is refused too', async () => {
    app.reset(
      vendor({ find: ERROR }).map((route) =>
        route.call === LIST ? { ...route, answer: () => ({ json: ERROR }) } : route,
      ),
    );
    await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
    const check = await kasm.check(kasm.options.parse(optionsAt(app.url)), calls.call());
    expect(check).toMatchObject({ ok: false });
  });

  it('is no success where the logout is answered with 200 and an error message, whose text stays out of the error', async () => {
    for (const error_message of [ERROR.error_message, '', null, {}]) {
      app.reset(vendor({ logout: { error_message } }));
      await expect(revoke()).rejects.toMatchObject({
        reason: 'refused',
        message: 'kasm: POST /api/public/logout_user answered 200, but with an error message',
      });
    }
  });

  it('calls for nobody whose id is none', async () => {
    for (const user_id of ['', 'all', '../x', ADA.user_id.slice(1), null]) {
      app.reset(vendor({ find: { user: { ...ADA, user_id } } }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
      expect(asked()).toEqual([FIND]);
    }
  });
});
