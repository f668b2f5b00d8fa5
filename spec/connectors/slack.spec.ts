/** Slack: every failure is a 200 with `ok: false`, and the owner of the token is never signed out. */
import { slack } from '../../src/connectors/slack.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const WHO = 'POST /api/auth.test';
const FIND = 'GET /api/users.lookupByEmail';
const RESET = 'POST /api/admin.users.session.reset';
const headers = { authorization: 'Bearer xoxp-s3cret-1' };

const ADMIN = { ok: true, user_id: 'W0ADMIN', team_id: 'E0ORG', enterprise_id: 'E0ORG', is_enterprise_install: true };
const ADA = { id: 'W0ADA', team_id: 'T0ONE', deleted: false, profile: { email: 'Ada.S3cret@example.com' } };
const SCOPES = { 'x-oauth-scopes': 'identify,admin.users:write,users:read,users:read.email' };

type Answers = { who?: VendorAnswer; find?: VendorAnswer; reset?: VendorAnswer };

const vendor = ({ who, find, reset }: Answers = {}): Route[] => [
  {
    call: WHO,
    changesNothing: true,
    expects: { headers },
    answer: () => who ?? { json: ADMIN, headers: SCOPES },
  },
  {
    call: FIND,
    expects: { headers, query: { email: ACCOUNT } },
    answer: () => find ?? { json: { ok: true, user: ADA } },
  },
  {
    call: RESET,
    // Neither web_only nor mobile_only: both would leave sessions.
    expects: { headers, json: { user_id: 'W0ADA' } },
    answer: () => reset ?? { json: { ok: true } },
  },
];

const no = (error: string): VendorAnswer => ({ json: { ok: false, error } });

keepsContract(slack, {
  account: ACCOUNT,
  options: (url) => ({ token: 'xoxp-s3cret-1', url }),
  vendor: () => vendor(),
  calls: [WHO, FIND, RESET],
  outcome: { state: 'revoked', what: ['sessions'], partial: 'tokens of apps that the user has authorized may live on' },
  reads: [WHO, RESET],
  unknown: {
    'the look-up finds nobody': () => vendor({ find: no('users_not_found') }),
    'the look-up finds another address': () =>
      vendor({ find: { json: { ok: true, user: { ...ADA, profile: { email: `x${ACCOUNT}` } } } } }),
    'the look-up finds somebody without an address': () =>
      vendor({ find: { json: { ok: true, user: { ...ADA, profile: {} } } } }),
    'the user has gone since': () => vendor({ reset: no('user_not_found') }),
  },
  check: { ok: true, detail: 'the token is good; whether its user is an admin shows at the first revocation' },
});

describe('Slack', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const optionsAt = () => slack.options.parse({ token: 'xoxp-s3cret-1', url: app.url });
  const revoke = () => slack.revoke(ACCOUNT, optionsAt(), calls.call());
  const check = () => slack.check(optionsAt(), calls.call());

  it.each([
    ['invalid_auth', 'auth'],
    ['not_authed', 'auth'],
    ['token_revoked', 'auth'],
    ['token_expired', 'auth'],
    ['account_inactive', 'auth'],
    ['missing_scope', 'auth'],
    ['not_an_admin', 'auth'],
    ['access_denied', 'refused'],
    ['not_allowed_token_type', 'auth'],
    ['ratelimited', 'rate_limited'],
    ['cannot_reset_bot', 'refused'],
    ['cannot_reset_primary_owner', 'refused'],
    ['feature_not_enabled', 'refused'],
    ['unknown_method', 'refused'],
    ['user_session_reset_failed', 'server'],
    ['internal_error', 'server'],
    ['fatal_error', 'server'],
    ['service_unavailable', 'server'],
    ['an_error_of_tomorrow', 'server'],
    ['', 'server'],
    ['constructor', 'server'],
  ])('takes a 200 that is not ok for a failure [%s]', async (error, reason) => {
    app.reset(vendor({ reset: no(error) }));
    await expect(revoke()).rejects.toMatchObject({ name: 'ConnectorError', reason });
  });

  it('names a known failure and never what Slack adds to it', async () => {
    app.reset(vendor({ reset: { json: { ok: false, error: 'feature_not_enabled', detail: ACCOUNT } } }));
    await expect(revoke()).rejects.toThrow(/^slack: POST \/api\/admin\.users\.session\.reset .* feature_not_enabled$/);
    app.reset(vendor({ reset: no(ACCOUNT) }));
    await expect(revoke()).rejects.not.toThrow(/s3cret/);
  });

  it.each([{ ok: 'true' }, { ok: 1 }, { ok: null }, {}, [], 'ok', null])(
    'takes nothing for success but ok: true [%j]',
    async (json) => {
      app.reset(vendor({ reset: { json } }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
    },
  );

  it('takes a failed look-up for a failure, not for an unknown user', async () => {
    app.reset(vendor({ find: no('missing_scope') }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'auth' });
    expect(app.requests.map(({ call }) => call)).toEqual([WHO, FIND]);
  });

  it('never signs out the owner of its token', async () => {
    app.reset(vendor({ who: { json: { ...ADMIN, user_id: ADA.id } } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(app.requests.map(({ call }) => call)).toEqual([WHO, FIND]);
  });

  it('takes a 404 for a wrong URL, also in JSON', async () => {
    for (const call of [WHO, FIND, RESET]) {
      app.reset(vendor());
      app.failAt(call, (res) => res.writeHead(404, { 'content-type': 'application/json' }).end('{"ok":false}'));
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    }
  });

  it.each([
    ['of one workspace', { ok: true, user_id: 'U1', team_id: 'T1' }],
    ['of one workspace of an organization', { ...ADMIN, is_enterprise_install: false }],
  ])('finds at the check that the plan or the installation is not the right one [%s]', async (_what, json) => {
    app.reset(vendor({ who: { json, headers: SCOPES } }));
    expect(await check()).toEqual({ ok: false, problem: expect.stringContaining('Enterprise') });
  });

  it('finds at the check which scope is missing, where Slack names the scopes', async () => {
    app.reset(vendor({ who: { json: ADMIN, headers: { 'x-oauth-scopes': 'users:read, users:read.email' } } }));
    expect(await check()).toEqual({ ok: false, problem: expect.stringContaining('admin.users:write') });
    app.reset(vendor({ who: { json: ADMIN } }));
    expect(await check()).toMatchObject({ ok: true });
    app.reset(vendor({ who: no('invalid_auth') }));
    expect(await check()).toEqual({ ok: false, problem: expect.stringContaining('invalid_auth') });
  });
});
