/** FusionAuth: one call with a filter that must never be left out, and 404s without a body. */
import { fusionauth } from '../../src/connectors/fusionauth.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'GET /api/user';
const REVOKE = 'DELETE /api/jwt/refresh';
const LIST = 'GET /api/jwt/refresh';
const TENANT = '3c219e58-ed0e-4b18-ad48-f4f92793ae32';
const KEY = { authorization: 'a-s3cret-of-fusionauth' };

const ID = '4f9b2a10-7c3e-4a8e-9d35-6b1c0a7f2e11';
const ADA = { id: ID, email: 'Ada.S3cret@example.com', username: 'ada', active: true };
const UNKNOWN = { status: 404 };

type State = {
  user?: object;
  find?: VendorAnswer;
  revoke?: VendorAnswer;
  stays?: unknown[];
  headers?: Record<string, string>;
};

function vendor({ user = ADA, find, revoke, stays = [], headers = KEY }: State = {}): Route[] {
  let tokens: unknown[] = [{ id: 't-1', applicationId: 'app' }, { id: 't-2' }];
  return [
    {
      call: FIND,
      expects: [
        { headers, query: { loginId: ACCOUNT } },
        { headers, query: { loginId: 'ada' } },
        { headers, query: { loginId: expect.stringMatching(/^4f9b2a10-/) } },
      ],
      answer: () => find ?? { json: { user } },
    },
    {
      call: REVOKE,
      expects: { headers, query: { userId: ID } },
      answer: () => {
        tokens = stays;
        return revoke ?? { status: 200 };
      },
    },
    {
      call: LIST,
      expects: [
        { headers, query: { userId: ID } },
        { headers, query: { userId: '00000000-0000-0000-0000-000000000000' } }, // The check.
      ],
      answer: ({ query }) => ({ json: query.userId === ID && tokens.length > 0 ? { refreshTokens: tokens } : {} }),
    },
  ];
}

const optionsAt = (url: string) => ({ url, apiKey: 'a-s3cret-of-fusionauth' });

keepsContract(fusionauth, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [FIND, REVOKE, LIST],
  main: REVOKE,
  outcome: { state: 'revoked', what: ['sessions', 'refresh_tokens'], verified: true },
  unknown: {
    'nobody is found': () => vendor({ find: UNKNOWN }),
    'another user resembles the account': () => vendor({ user: { ...ADA, email: `x${ACCOUNT}`, username: 'x' } }),
    'the user has gone since': () => vendor({ revoke: UNKNOWN }),
  },
  check: {
    ok: true,
    detail: 'the key may read refresh tokens; whether it may revoke them shows at the first revocation',
  },
});

describe('fusionauth', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (account = ACCOUNT, more = {}) =>
    fusionauth.revoke(account, fusionauth.options.parse({ ...optionsAt(app.url), ...more }), calls.call());
  const asked = () => app.requests.map(({ call }) => call);

  it('finds a user by name too', async () => {
    app.reset(vendor());
    expect(await revoke('ada')).toMatchObject({ state: 'revoked' });
  });

  it('takes the account for the id of the user where nobody has it as a name', async () => {
    app.reset(vendor({ find: UNKNOWN }));
    expect(await revoke(ID)).toMatchObject({ state: 'revoked' });
    expect(asked()).toEqual([FIND, REVOKE, LIST]);
    expect(app.violations).toEqual([]);
  });

  it('takes a name that looks like an id for a name', async () => {
    const name = ID.replace('e11', 'e12');
    app.reset(vendor({ user: { ...ADA, username: name } }));
    expect(await revoke(name)).toMatchObject({ state: 'revoked' });
    expect(app.violations).toEqual([]);
    app.reset(vendor());
    expect(await revoke(name)).toMatchObject({ state: 'none' });
    expect(asked()).toEqual([FIND]);
  });

  it('names the tenant where it is set', async () => {
    app.reset(vendor({ headers: { ...KEY, 'x-fusionauth-tenantid': TENANT } }));
    expect(await revoke(ACCOUNT, { tenantId: TENANT })).toMatchObject({ state: 'revoked' });
    expect(app.violations).toEqual([]);
  });

  it.each(['', ' ', undefined, null, 'all', `${ID}&applicationId=x`])(
    'never revokes without the id of one user [%j]',
    async (id) => {
      app.reset(vendor({ user: { ...ADA, id } }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
      expect(asked()).toEqual([FIND]);
    },
  );

  it('takes a 404 that says something for a wrong URL, not for an unknown user', async () => {
    for (const answer of [
      { status: 404, text: '<html>' },
      { status: 404, json: { error: 'no such route' } },
    ]) {
      app.reset(vendor({ find: answer }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
      app.reset(vendor({ revoke: answer }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    }
  });

  it('is no success while a token is left', async () => {
    app.reset(vendor({ stays: [{ id: 't-3' }] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', retryable: true });
  });
});
