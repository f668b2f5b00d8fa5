/** Mattermost: a look-up, a logout of one user beside one of everybody, and a look afterwards. */
import { mattermost } from '../../src/connectors/mattermost.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'GET /api/v4/users/email/{}';
const BY_NAME = 'GET /api/v4/users/username/{}';
const SELF = 'GET /api/v4/users/me';
const LOGOUT = 'POST /api/v4/users/{}/sessions/revoke/all';
const SESSIONS = 'GET /api/v4/users/{}/sessions';
const TOKENS = 'GET /api/v4/users/{}/tokens';
const REVOKE_TOKEN = 'POST /api/v4/users/tokens/revoke';
const headers = { authorization: 'Bearer a-s3cret-of-mattermost' };

const ID = 'a'.repeat(26);
const ADA = { id: ID, username: 'ada', email: 'Ada.S3cret@example.com', delete_at: 0 };
const GATEWAY = { id: 'g'.repeat(26), username: 'gateway', email: 'gateway@example.com' };
const error = (status: number, id: string) => ({ status, json: { id, message: 'No.', status_code: status } });
const UNKNOWN = error(404, 'app.user.missing_account.const');
const OK = { json: { status: 'OK' } };

type Session = { id: string; props?: object | null };
type State = { user?: object; unknown?: boolean; left?: Session[]; tokens?: string[]; stubborn?: string };

function vendor({ user = ADA, unknown = false, left = [], tokens = [], stubborn }: State = {}): Route[] {
  let sessions: Session[] = [
    { id: 's-1', props: { browser: 'Firefox' } },
    { id: 's-2', props: null },
  ];
  const pats = tokens.map((letter) => letter.repeat(26));
  const one = () => (unknown ? UNKNOWN : { json: user });
  return [
    { call: FIND, expects: { headers }, answer: one },
    { call: BY_NAME, expects: { headers }, answer: one },
    { call: SELF, expects: { headers }, answer: () => ({ json: GATEWAY }) },
    {
      call: LOGOUT,
      expects: { headers },
      answer: () => {
        sessions = left;
        return OK;
      },
    },
    { call: SESSIONS, expects: { headers }, answer: () => ({ json: sessions }) },
    { call: TOKENS, expects: { headers }, answer: () => ({ json: pats.map((id) => ({ id, is_active: true })) }) },
    {
      call: REVOKE_TOKEN,
      expects: { headers, json: { token_id: expect.stringMatching(/^[a-z0-9]{26}$/) } },
      answer: ({ json }) => {
        const { token_id: id } = json as { token_id: string };
        if (id.startsWith(stubborn ?? '!')) return error(400, 'app.user_access_token.delete.app_error');
        pats.splice(pats.indexOf(id), 1);
        return OK;
      },
    },
  ];
}

const optionsAt = (url: string) => ({ url, token: 'a-s3cret-of-mattermost' });
const OUTCOME = {
  state: 'revoked',
  what: ['sessions', 'access_tokens'],
  partial: 'personal access tokens live on',
  verified: true,
} as const;

keepsContract(mattermost, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [FIND, SELF, LOGOUT, SESSIONS],
  main: LOGOUT,
  outcome: { ...OUTCOME, what: [...OUTCOME.what] },
  unknown: {
    'nobody is found': () => vendor({ unknown: true }),
    'nobody is found, as older servers say it': () =>
      vendor().map((route) =>
        route.call === FIND ? { ...route, answer: () => error(404, 'store.sql_user.missing_account.const') } : route,
      ),
    'another user resembles the account': () => vendor({ user: { ...ADA, email: `x${ACCOUNT}` } }),
  },
  exceptions: { [LOGOUT]: { 403: 'refused' }, [SESSIONS]: { 403: 'refused' } },
  check: {
    ok: true,
    detail: 'the token is good; whether it may end the sessions of others shows at the first revocation',
  },
});

describe('mattermost', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (account = ACCOUNT, more = {}) =>
    mattermost.revoke(account, mattermost.options.parse({ ...optionsAt(app.url), ...more }), calls.call());
  const asked = () => app.requests.map(({ call }) => call);
  const expectNothingEnded = () => expect(asked().filter((call) => call.startsWith('POST '))).toEqual([]);

  it('finds a user by name too, and calls for this one alone', async () => {
    app.reset(vendor());
    expect(await revoke('ada')).toEqual(OUTCOME);
    expect(asked()).toEqual([BY_NAME, SELF, LOGOUT, SESSIONS]);
    expect(app.requests.at(2)?.segments).toEqual([ID]);
    expect(app.violations).toEqual([]);
  });

  it('never ends its own sessions', async () => {
    app.reset(vendor({ user: { ...GATEWAY, email: ACCOUNT } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expectNothingEnded();
  });

  it.each(['', 'sessions', 'me', '../a', 'A'.repeat(26), 'a'.repeat(27)])(
    'calls for nobody whose id is no id of Mattermost [%j]',
    async (id) => {
      app.reset(vendor({ user: { ...ADA, id } }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
      expectNothingEnded();
    },
  );

  it('takes an address that it may not see for a missing permission, not for another user', async () => {
    app.reset(vendor({ user: { ...ADA, email: '' } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'auth' });
    expectNothingEnded();
  });

  it.each([
    ['a wrong path', error(404, 'api.context.404.app_error')],
    ['a page', { status: 404, text: '<html>missing_account</html>' }],
  ])('takes no other 404 for an unknown user [%s]', async (_what, answer) => {
    app.reset(vendor().map((route) => (route.call === FIND ? { ...route, answer: () => answer } : route)));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
  });

  it('is no success while a session is left, other than one of a personal access token', async () => {
    app.reset(vendor({ left: [{ id: 's-3', props: { type: 'UserAccessToken' } }] }));
    expect(await revoke()).toEqual(OUTCOME);
    for (const props of [{}, null, { type: 'CloudKey' }]) {
      app.reset(vendor({ left: [{ id: 's-3', props }] }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'server', retryable: true });
    }
  });

  describe('with revokePersonalTokens', () => {
    const revokeAll = () => revoke(ACCOUNT, { revokePersonalTokens: true });

    it('deletes each token too, until none is left', async () => {
      app.reset(vendor({ tokens: ['b', 'c'] }));
      expect(await revokeAll()).toEqual({
        state: 'revoked',
        what: ['sessions', 'access_tokens', 'credentials'],
        verified: true,
      });
      expect(asked()).toEqual([FIND, SELF, LOGOUT, TOKENS, REVOKE_TOKEN, REVOKE_TOKEN, TOKENS, SESSIONS]);
      expect(app.violations).toEqual([]);
    });

    it('is no success where one stays, and deletes the others', async () => {
      app.reset(vendor({ tokens: ['b', 'c'], stubborn: 'b' }));
      await expect(revokeAll()).rejects.toMatchObject({ reason: 'refused' });
      expect(asked().filter((call) => call === REVOKE_TOKEN)).toHaveLength(2);
    });

    it('is no success where the session of a token is left', async () => {
      app.reset(vendor({ left: [{ id: 's-3', props: { type: 'UserAccessToken' } }] }));
      await expect(revokeAll()).rejects.toMatchObject({ reason: 'server' });
    });
  });

  it('waits as long as Mattermost says, in seconds from now', async () => {
    app.reset(vendor());
    app.failAt(LOGOUT, (res) => res.writeHead(429, { 'x-ratelimit-reset': '1' }).end('limit exceeded'));
    await expect(revoke()).rejects.toMatchObject({ reason: 'rate_limited', retryAfterMs: 1_000 });
  });
});
