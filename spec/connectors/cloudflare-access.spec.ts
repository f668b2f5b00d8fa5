/** Cloudflare Access: one call, whose answer may be 200 and a failure all the same. */
import { cloudflareAccess } from '../../src/connectors/cloudflare-access.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const ID = '023e105f4ecef8ad9ca31a8372d0c353';
const REVOKE = `POST /accounts/${ID}/access/organizations/revoke_user`;
const ORGANIZATION = `GET /accounts/${ID}/access/organizations`;
const headers = { authorization: 'Bearer token-s3cret' };

const DONE = { json: { success: true, errors: [], messages: [], result: true } };

const vendor = (json: unknown = { email: ACCOUNT }, answer: VendorAnswer = DONE): Route[] => [
  { call: REVOKE, expects: { headers, json }, answer: () => answer },
  {
    call: ORGANIZATION,
    expects: { headers },
    answer: () => ({ json: { success: true, errors: [], messages: [], result: { auth_domain: 'acme' } } }),
  },
];

const options = (url: string) => ({ accountId: ID, apiToken: 'token-s3cret', url });

keepsContract(cloudflareAccess, {
  account: ACCOUNT,
  options,
  vendor: () => vendor(),
  calls: [REVOKE],
  outcome: {
    state: 'revoked',
    what: ['sessions'],
    partial: 'devices, the session of the Cloudflare client, sessions that applications keep by themselves live on',
  },
  reads: [REVOKE],
  check: {
    ok: true,
    detail: 'the organization can be read; whether the token may also write shows at the first revocation',
  },
});

describe('cloudflare-access', () => {
  let server: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    server = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([server.close(), calls.close()]));

  const parse = (more: Record<string, unknown> = {}) =>
    cloudflareAccess.options.parse({ ...options(server.url), ...more });
  const revoke = (more?: Record<string, unknown>) => cloudflareAccess.revoke(ACCOUNT, parse(more), calls.call());
  const failed = (errors: unknown, result: unknown = null) => ({
    json: { success: false, errors, messages: [], result },
  });

  it.each([
    ['for a reason of its own', failed([{ code: 12130, message: ACCOUNT }]), 'refused'],
    ['without a reason', failed([]), 'refused'],
    ['with a result that says otherwise', failed([], true), 'refused'],
    ['since the token is not good', failed([{ code: 10000, message: 'Authentication error' }]), 'auth'],
    ['since the token may not', failed([{ code: 9109, message: 'Unauthorized' }]), 'auth'],
    ['success, but with the result false', { json: { success: true, errors: [], result: false } }, 'refused'],
  ])('takes 200 for a failure where it is one [%s]', async (_what, answer, reason) => {
    server.reset(vendor(undefined, answer));
    await expect(revoke()).rejects.toMatchObject({ name: 'ConnectorError', reason });
  });

  it.each([
    ['a header of the wrong form', 400, 6003, 'auth'],
    ['a wrong account', 400, 7003, 'refused'],
    ['nobody of that name, or no such account', 404, 12130, 'refused'],
  ])('keeps a wrong credential and a wrong call apart [%s]', async (_what, status, code, reason) => {
    server.reset(vendor(undefined, { ...failed([{ code, message: 'x' }]), status }));
    await expect(revoke()).rejects.toMatchObject({ reason });
  });

  it('revokes devices, and ends the session of the client, only where it is asked to', async () => {
    server.reset(vendor({ email: ACCOUNT, devices: true, warp_session_reauth: true }));
    expect(await revoke({ devices: true, clientSessions: true })).toMatchObject({
      state: 'revoked',
      partial: 'sessions that applications keep by themselves live on',
    });
    server.reset(vendor({ email: ACCOUNT, devices: true }));
    await revoke({ devices: true });
    expect(server.violations).toEqual([]);
  });

  it('takes nothing but an account id for one', () => {
    for (const accountId of ['', 'acme', '../zones', ID.toUpperCase(), `${ID}0`]) {
      expect(cloudflareAccess.options.safeParse({ ...options(server.url), accountId }).success).toBe(false);
    }
  });
});
