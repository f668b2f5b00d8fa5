/** Notion: one call of the Admin API, about an e-mail address. */
import { notion } from '../../src/connectors/notion.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const REVOKE = 'POST /admin/v1/managed_users/revoke_session';
const HOLDS = 'GET /admin/v1/legal_holds';
const headers = { authorization: 'Bearer ntn_s3cret', 'notion-version': '2026-06-01' };

const no = (status: number, code: string): VendorAnswer => ({
  status,
  json: { type: 'error', status, code, message: ACCOUNT },
});

const vendor = ({ revoke, holds }: { revoke?: VendorAnswer; holds?: VendorAnswer } = {}): Route[] => [
  {
    call: REVOKE,
    expects: { headers, json: { user: { type: 'email', email: ACCOUNT } } },
    answer: () => revoke ?? { json: { status: 'revoked' } },
  },
  { call: HOLDS, expects: { headers }, answer: () => holds ?? no(403, 'restricted_resource') },
];

const GOOD = {
  ok: true,
  detail: 'the token is good; whether its scope suffices shows at the first revocation',
} as const;

keepsContract(notion, {
  account: ACCOUNT,
  options: (url) => ({ token: 'ntn_s3cret', url }),
  vendor: () => vendor(),
  calls: [REVOKE],
  outcome: {
    state: 'revoked',
    what: ['sessions'],
    partial:
      'personal access tokens and connections live on, and the sessions too if the organization does not manage the user',
  },
  reads: [REVOKE],
  unknown: {
    'as the public API says it': () => vendor({ revoke: no(404, 'object_not_found') }),
    'in short': () => vendor({ revoke: no(404, 'not_found') }),
  },
  check: GOOD,
});

describe('Notion', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const options = () => notion.options.parse({ token: 'ntn_s3cret', url: app.url });
  const revoke = () => notion.revoke(ACCOUNT, options(), calls.call());
  const check = () => notion.check(options(), calls.call());

  it.each([{ status: 'queued' }, { status: 'REVOKED' }, { status: null }, {}, { object: 'error' }, 'revoked'])(
    'takes nothing for success but "revoked" [%j]',
    async (json) => {
      app.reset(vendor({ revoke: { json } }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
    },
  );

  it('promises nothing for a user who is not managed, of whom Notion may say the same', async () => {
    app.reset(vendor());
    const outcome = await revoke();
    expect(outcome).not.toHaveProperty('verified');
    expect(outcome).toMatchObject({ partial: expect.stringContaining('if the organization does not manage the user') });
    expect(notion.docs.unknown).toEqual([expect.stringContaining('not managed')]);
  });

  it.each([
    [400, 'validation_error', 'refused'],
    [400, 'invalid_request_url', 'refused'],
    [401, 'unauthorized', 'auth'],
    [403, 'restricted_resource', 'auth'],
    [404, 'invalid_request_url', 'refused'],
    [429, 'rate_limited', 'rate_limited'],
    [500, 'internal_server_error', 'server'],
  ])('takes the errors of the description for what they are [%s %s]', async (status, code, reason) => {
    app.reset(vendor({ revoke: { ...no(status, code), headers: status === 429 ? { 'retry-after': '12' } : {} } }));
    await expect(revoke()).rejects.toMatchObject({
      reason,
      retryAfterMs: status === 429 ? 12_000 : undefined,
      message: expect.not.stringContaining('s3cret'),
    });
  });

  it.each([
    ['which lacks the scope of the read that the check makes', no(403, 'restricted_resource'), GOOD],
    ['which has it', { json: { results: [], has_more: false, next_cursor: null } }, GOOD],
    ['which is not known', no(401, 'unauthorized'), { ok: false, problem: expect.stringContaining('401') }],
  ])('finds at the check whether the token is good [%s]', async (_what, holds, expected) => {
    app.reset(vendor({ holds: holds as VendorAnswer }));
    expect(await check()).toEqual(expected);
    expect(app.requests.map(({ call }) => call)).toEqual([HOLDS]);
  });

  it('finds at the check that the URL is wrong', async () => {
    for (const status of [403, 404]) {
      app.reset(vendor({ holds: { status, text: '<html>' } }));
      expect(await check()).toMatchObject({ ok: false });
    }
    app.reset(vendor({ holds: no(404, 'object_not_found') }));
    expect(await check()).toMatchObject({ ok: false });
  });
});
