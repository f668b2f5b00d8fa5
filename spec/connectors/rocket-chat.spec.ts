/** Rocket.Chat: a look-up, and a logout that would be the caller's own without a user id. */
import { rocketChat } from '../../src/connectors/rocket-chat.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { give, type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'GET /api/v1/users.info';
const SELF = 'GET /api/v1/me';
const LOGOUT = 'POST /api/v1/users.logout';
const headers = { 'x-auth-token': 'a-s3cret-of-rocket', 'x-user-id': 'gatewayId' };

const ADA = {
  _id: 'JxemcN9PDCdfzJeZr',
  username: 'ada',
  emails: [{ address: 'a@example.com' }, { address: 'Ada.S3cret@example.com', verified: true }],
};
const refusal = (error: string, more = {}) => ({ status: 400, json: { success: false, error, ...more } });
const UNKNOWN = refusal('User not found.');
const GONE = refusal('Invalid user id [error-invalid-user-id]', { errorType: 'error-invalid-user-id' });

function vendor({
  user = ADA as object,
  find,
  logout,
}: {
  user?: object;
  find?: VendorAnswer;
  logout?: VendorAnswer;
} = {}): Route[] {
  return [
    {
      call: FIND,
      expects: [
        { headers, query: { email: ACCOUNT } },
        { headers, query: { username: 'ada' } },
      ],
      answer: () => find ?? { json: { user, success: true } },
    },
    { call: SELF, expects: { headers }, answer: () => ({ json: { _id: 'gatewayId', success: true } }) },
    {
      call: LOGOUT,
      expects: { headers, json: { userId: ADA._id } },
      answer: () => logout ?? { json: { message: `User ${ADA._id} has been logged out!`, success: true } },
    },
  ];
}

const optionsAt = (url: string) => ({ url, userId: 'gatewayId', token: 'a-s3cret-of-rocket', endPersonalTokens: true });

keepsContract(rocketChat, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [FIND, LOGOUT],
  outcome: { state: 'revoked', what: ['sessions', 'credentials'] },
  reads: [LOGOUT],
  unknown: {
    'nobody is found': () => vendor({ find: UNKNOWN }),
    'another user resembles the account': () => vendor({ user: { ...ADA, emails: [{ address: `x${ACCOUNT}` }] } }),
    'the user has no address': () => vendor({ user: { ...ADA, emails: [] } }),
    'the user has gone since': () => vendor({ logout: GONE }),
  },
  check: { ok: true, detail: 'the token is good; whether it may log others out shows at the first revocation' },
});

describe('rocket-chat', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const options = () => rocketChat.options.parse(optionsAt(app.url));
  const revoke = (account = ACCOUNT, over = {}) => rocketChat.revoke(account, options(), calls.call(over));
  const asked = () => app.requests.map(({ call }) => call);

  it('does not start before somebody has said that personal access tokens may go too', () => {
    for (const endPersonalTokens of [undefined, false]) {
      expect(rocketChat.options.safeParse({ ...optionsAt(app.url), endPersonalTokens }).success).toBe(false);
    }
  });

  it('finds a user by name too', async () => {
    app.reset(vendor());
    expect(await revoke('ada')).toMatchObject({ state: 'revoked' });
    expect(app.violations).toEqual([]);
  });

  it('never logs itself out', async () => {
    app.reset(vendor({ user: { ...ADA, _id: 'gatewayId' } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(asked()).toEqual([FIND]);
  });

  it.each([[''], [undefined], [null]])('never sends a logout without a user id [%j]', async (_id) => {
    app.reset(vendor({ user: { ...ADA, _id } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
    expect(asked()).toEqual([FIND]);
  });

  it('takes addresses that it may not see for a missing permission, not for another user', async () => {
    app.reset(vendor({ user: { _id: ADA._id, username: 'ada' } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'auth' });
    expect(asked()).toEqual([FIND]);
  });

  it.each([
    ['a server that cannot look up by address', refusal('must have required property [invalid-params]'), 'refused'],
    ['a wrong path', { status: 404, json: { success: false, error: 'User not found.' } }, 'refused'],
    ['a success that is none', { json: { success: false, user: ADA } }, 'refused'],
  ])('takes nothing else for an unknown user [%s]', async (_what, find, reason) => {
    app.reset(vendor({ find }));
    await expect(revoke()).rejects.toMatchObject({ reason });
  });

  it.each([
    ['a permission that is missing', { status: 401, json: { status: 'error', message: 'unauthorized' } }, 'auth'],
    ['200 that is a failure', { json: { success: false } }, 'refused'],
  ])('is no success where the logout is refused [%s]', async (_what, logout, reason) => {
    app.reset(vendor({ logout }));
    await expect(revoke()).rejects.toMatchObject({ reason });
  });

  it.each([
    ['429', 429],
    ['400, as older servers do', 400],
  ])('waits as long as Rocket.Chat says, in milliseconds since the epoch [%s]', async (_what, status) => {
    const now = () => new Date('2026-10-21T07:28:00Z');
    app.reset(vendor());
    app.failAt(LOGOUT, (res) =>
      give(res, {
        status,
        headers: { 'x-ratelimit-reset': String(now().getTime() + 42_000) },
        json: { success: false, error: 'Error, too many requests. [error-too-many-requests]' },
      }),
    );
    await expect(revoke(ACCOUNT, { now })).rejects.toMatchObject({ reason: 'rate_limited', retryAfterMs: 42_000 });
  });

  it('finds in the check that the token is somebody else’s', async () => {
    app.reset(
      vendor().map((route) =>
        route.call === SELF ? { ...route, answer: () => ({ json: { ...ADA, success: true } }) } : route,
      ),
    );
    expect(await rocketChat.check(options(), calls.call())).toEqual({
      ok: false,
      problem: 'rocket-chat: the token is not that of `userId`',
    });
  });
});
