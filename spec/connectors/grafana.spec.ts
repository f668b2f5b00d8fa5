/** Grafana: a look-up by login or e-mail address, a logout, and a look afterwards. */
import { grafana } from '../../src/connectors/grafana.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'GET /api/users/lookup';
const LOGOUT = 'POST /api/admin/users/{}/logout';
const TOKENS = 'GET /api/admin/users/{}/auth-tokens';
const headers = { authorization: `Basic ${Buffer.from('gateway:a-s3cret-of-grafana').toString('base64')}` };

const ADA = { id: 7, login: 'ada', email: 'Ada.S3cret@example.com', isDisabled: false };
const GATEWAY = { id: 1, login: 'gateway', email: 'gateway@localhost', isGrafanaAdmin: true };
const UNKNOWN = { status: 404, json: { message: 'user not found', messageId: 'user.not-found' } };

type State = { user?: object | undefined; known?: boolean; stays?: number };

function vendor({ user = ADA, known = true, stays = 0 }: State = {}): Route[] {
  const tokens = [{ id: 361 }, { id: 364 }];
  return [
    {
      call: FIND,
      expects: [
        { headers, query: { loginOrEmail: ACCOUNT } },
        { headers, query: { loginOrEmail: 'ada' } },
        { headers, query: { loginOrEmail: 'gateway@localhost' } },
        { headers, query: { loginOrEmail: 'gateway' } }, // The check.
      ],
      answer: ({ query }) => {
        if (/^gateway/.test(query.loginOrEmail ?? '')) return { json: GATEWAY };
        return 'id' in user ? { json: user } : UNKNOWN;
      },
    },
    {
      call: LOGOUT,
      expects: { headers },
      answer: ({ segments }) => {
        if (!known) return UNKNOWN;
        if (segments[0] === '1') return { status: 400, json: { message: 'You cannot logout yourself' } };
        tokens.length = stays;
        return { json: { message: 'User logged out' } };
      },
    },
    { call: TOKENS, expects: { headers }, answer: () => (known ? { json: tokens } : UNKNOWN) },
  ];
}

const optionsAt = (url: string) => ({ url, user: 'gateway', password: 'a-s3cret-of-grafana' });

keepsContract(grafana, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [FIND, LOGOUT, TOKENS],
  main: LOGOUT,
  outcome: { state: 'revoked', what: ['sessions'], verified: true },
  unknown: {
    'nobody is found': () => vendor({ user: {} }),
    'the user has gone since': () => vendor({ known: false }),
    'another user resembles the account': () => vendor({ user: { ...ADA, login: 'xada', email: `x${ACCOUNT}` } }),
  },
  exceptions: { [LOGOUT]: { 403: 'refused' }, [TOKENS]: { 403: 'refused' } },
  check: {
    ok: true,
    detail: 'users and their sessions can be read; whether they can be ended shows at the first revocation',
  },
});

describe('grafana', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (account: string) => grafana.revoke(account, grafana.options.parse(optionsAt(app.url)), calls.call());
  const asked = () => app.requests.map(({ call }) => call);

  it('finds a user by login too', async () => {
    app.reset(vendor());
    expect(await revoke('ada')).toMatchObject({ state: 'revoked' });
    expect(app.requests.at(1)?.segments).toEqual(['7']);
  });

  it('never logs itself out, whichever name it goes by', async () => {
    app.reset(vendor());
    for (const own of ['gateway', 'Gateway', 'gateway@localhost']) {
      await expect(revoke(own)).rejects.toMatchObject({ reason: 'refused', retryable: false });
    }
    expect(asked()).toEqual([FIND]);
  });

  it('is no success where sessions are still there after the logout', async () => {
    app.reset(vendor({ stays: 1 }));
    await expect(revoke(ACCOUNT)).rejects.toMatchObject({ reason: 'server', retryable: true });
  });

  it.each([
    ['a page that is not found, of a wrong URL', { status: 404, text: '<html>Not found</html>' }],
    ['another thing that is not found', { status: 404, json: { message: 'Not found' } }],
    ['a name that two users share', { status: 409, json: { message: 'User has conflicting login or email' } }],
  ])('takes nothing else for an unknown user [%s]', async (_what, answer) => {
    app.reset(vendor().map((route) => (route.call === FIND ? { ...route, answer: () => answer } : route)));
    await expect(revoke(ACCOUNT)).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).toEqual([FIND]);
  });

  it('calls for nobody whose id is none', async () => {
    for (const id of [0, -1, 1.5, '', 'all', '../1', null]) {
      app.reset(vendor({ user: { ...ADA, id } }));
      await expect(revoke(ACCOUNT)).rejects.toMatchObject({ reason: 'server' });
      expect(asked()).toEqual([FIND]);
    }
  });

  it('finds in the check that the administrator is none', async () => {
    for (const [call, status] of [
      [FIND, 403],
      [TOKENS, 403],
    ] as const) {
      app.reset(vendor());
      app.failAt(call, (res) => res.writeHead(status).end('{"message":"Permission denied"}'));
      const check = await grafana.check(grafana.options.parse(optionsAt(app.url)), calls.call());
      expect(check).toEqual({ ok: false, problem: `grafana: ${call} answered 403` });
    }
  });
});
