/** OneLogin: an exact look-up over pages, and a status that is written into the answer as well. */
import { onelogin } from '../../src/connectors/onelogin.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /auth/oauth2/v2/token';
const FIND = 'GET /api/2/users';
const LOGOUT = 'PUT /api/1/users/{}/logout';
const headers = { authorization: 'Bearer token-s3cret' };
const fields = 'id,email,username';

const ADA = { id: 54963040, email: 'Ada.S3cret@example.com', username: 'ada' };
const OTHER = { id: 7, email: `x${ACCOUNT}`, username: 'ada.s' };
const status = (code: number, type: string, message: string): VendorAnswer => ({
  status: code,
  json: { status: { error: code !== 200, code, type, message } },
});
const UNKNOWN = status(404, 'not found', 'User not found');

const optionsAt = (url: string) => ({ url, clientId: 'client-1', clientSecret: 'a-s3cret-of-onelogin' });

type Answers = { pages?: readonly (readonly unknown[])[]; logout?: VendorAnswer; by?: Record<string, string> };

function vendor({ pages = [[ADA]], logout, by = { email: ACCOUNT } }: Answers = {}): Route[] {
  const known = pages.flat().map((user) => String((user as typeof ADA).id));
  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        form: {
          grant_type: 'client_credentials',
          client_id: 'client-1',
          client_secret: 'a-s3cret-of-onelogin',
        },
      },
      answer: () => ({
        json: { access_token: 'token-s3cret', token_type: 'bearer', expires_in: 36000, account_id: 555555 },
      }),
    },
    {
      call: FIND,
      expects: [
        { headers, query: { ...by, fields } },
        { headers, query: { ...by, fields, cursor: expect.stringMatching(/^page-\d+$/) } },
        { headers, query: { limit: '1', fields } }, // The check.
      ],
      answer: ({ query }) => {
        const page = Number(query.cursor?.replace('page-', '') ?? 0);
        const next = page + 1 < pages.length ? { 'after-cursor': `page-${page + 1}` } : {};
        return { json: pages[page], headers: next };
      },
    },
    {
      call: LOGOUT,
      expects: { headers },
      answer: ({ segments }) =>
        logout ?? (known.includes(segments[0] as string) ? status(200, 'success', 'Success') : UNKNOWN),
    },
  ];
}

const REVOKED = {
  state: 'revoked' as const,
  what: ['sessions' as const],
  partial: 'sessions of the apps and their tokens live on',
};

keepsContract(onelogin, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [TOKEN, FIND, LOGOUT],
  outcome: REVOKED,
  reads: [TOKEN, LOGOUT],
  exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' } },
  unknown: {
    'nobody is found': () => vendor({ pages: [[]] }),
    'only others who resemble the account are found': () => vendor({ pages: [[OTHER], [{ ...OTHER, email: null }]] }),
    'the user has gone since': () => vendor({ logout: UNKNOWN }),
    'the user has gone since, and the status is in the answer alone': () =>
      vendor({ logout: { ...UNKNOWN, status: 200 } }),
  },
  check: {
    ok: true,
    detail: 'users can be read; whether they can be logged out shows at the first revocation',
  },
});

describe('what is particular to OneLogin', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const called = () => app.requests.map(({ call }) => call);
  function revoke(answers: Answers, account = ACCOUNT) {
    app.reset(vendor(answers));
    const options = onelogin.options.parse(optionsAt(app.url));
    return revokeToTheEnd(onelogin as never, account, options as never, () => calls.call());
  }

  it('reads every page before it takes somebody for the only one', async () => {
    expect(await revoke({ pages: [[OTHER], [], [ADA]] })).toEqual(REVOKED);
    expect(app.requests.at(-1)?.segments).toEqual([String(ADA.id)]);
    await expect(revoke({ pages: [[ADA], [{ ...ADA, id: 8 }]] })).rejects.toMatchObject({ reason: 'refused' });
    expect(called()).toEqual([TOKEN, FIND, FIND]);
    expect(app.violations).toEqual([]);
  });

  it('ends its search after twenty pages, and logs out nobody then', async () => {
    const pages = Array.from({ length: 30 }, (_, page) => (page === 0 ? [ADA] : []));
    await expect(revoke({ pages })).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(called()).toEqual([TOKEN, ...Array(20).fill(FIND)]);
  });

  it('takes an account without @ for a user name', async () => {
    expect(await revoke({ pages: [[OTHER, ADA]], by: { username: 'ada' } }, 'ada')).toEqual(REVOKED);
    expect(app.requests.at(-1)?.segments).toEqual([String(ADA.id)]);
    expect(app.violations).toEqual([]);
  });

  it.each([
    [401, 'auth'],
    [403, 'auth'],
    [429, 'rate_limited'],
    [400, 'refused'],
    [500, 'server'],
  ])('takes a 200 whose own status is %d for a failure', async (code, reason) => {
    const logout = { ...status(code, 'error', 'Ada S3cret'), status: 200 };
    const error = await revoke({ logout }).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ reason, forbidden: code === 403 });
    expect((error as Error).message).not.toContain('S3cret');
  });

  it('takes a user whom the owner of the credential may not manage for refused, and other 403s for a missing right', async () => {
    const one = status(403, 'forbidden', 'user is not authorized to access this User');
    await expect(revoke({ logout: one })).rejects.toMatchObject({ reason: 'refused', retryable: false });
    await expect(revoke({ logout: status(403, 'forbidden', 'no') })).rejects.toMatchObject({ reason: 'auth' });
  });

  it('takes a 404 of another kind for a wrong URL', async () => {
    const logout = { status: 404, json: { message: 'no Route matched' } };
    await expect(revoke({ logout })).rejects.toMatchObject({ reason: 'refused' });
  });

  it('waits for as many seconds as the quota takes to be reset', async () => {
    const logout = { ...status(429, 'too many', 'Rate limit'), headers: { 'x-ratelimit-reset': '1800' } };
    await expect(revoke({ logout })).rejects.toMatchObject({ reason: 'rate_limited', retryAfterMs: 1_800_000 });
  });
});
