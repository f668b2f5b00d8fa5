/** Databricks: tokens of exactly one user, listed and deleted until none is left. */
import { databricks } from '../../src/connectors/databricks.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { give, type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /oidc/v1/token';
const LIST = 'GET /api/2.0/token-management/tokens';
const DELETE = 'DELETE /api/2.0/token-management/tokens/{}';
const headers = { authorization: 'Bearer token-s3cret' };

type Info = { token_id: string; created_by_username?: string; created_by_id?: number; owner_id?: number | undefined };
const ofAda = (token_id: string, more: Partial<Info> = {}): Info => ({
  token_id,
  created_by_username: 'Ada.S3cret@example.com',
  created_by_id: 7,
  owner_id: 7,
  ...more,
});
const gone = { status: 404, json: { error_code: 'RESOURCE_DOES_NOT_EXIST', message: 'Token does not exist' } };

function vendor(all: readonly Info[] = [ofAda('t-1'), ofAda('t-2')], reappear = false): Route[] {
  const infos = [...all];
  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        headers: { authorization: `Basic ${Buffer.from('sp-1:a-s3cret-of-databricks').toString('base64')}` },
        form: { grant_type: 'client_credentials', scope: 'all-apis' },
      },
      answer: () => ({ json: { access_token: 'token-s3cret', token_type: 'Bearer', expires_in: 3600 } }),
    },
    {
      call: LIST,
      expects: [
        { headers, query: { created_by_username: ACCOUNT } },
        { headers, query: { created_by_username: 'sp-1' } }, // The check.
      ],
      answer: () => ({ json: infos.length > 0 ? { token_infos: infos } : {} }),
    },
    {
      call: DELETE,
      expects: { headers },
      answer: ({ segments }) => {
        const at = infos.findIndex(({ token_id }) => token_id === segments[0]);
        if (at < 0) return gone;
        if (!reappear) infos.splice(at, 1);
        return { json: {} };
      },
    },
  ];
}

const options = (url: string) => ({
  url,
  clientId: 'sp-1',
  clientSecret: 'a-s3cret-of-databricks',
  personalAccessTokens: true,
});

keepsContract(databricks, {
  account: ACCOUNT,
  options,
  vendor: () => vendor(),
  calls: [TOKEN, LIST, DELETE, DELETE, LIST],
  main: LIST,
  outcome: {
    state: 'revoked',
    what: ['credentials'],
    partial: 'browser sessions and OAuth tokens live on',
    verified: true,
  },
  repeated: { state: 'none', what: [] },
  reads: [TOKEN],
  exceptions: { [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' } },
  unknown: {
    'an empty list': () => vendor([]),
    'an error that says so': () =>
      vendor().map((route) => (route.call === LIST ? { ...route, answer: () => gone } : route)),
  },
  check: { ok: true, detail: 'tokens can be listed; whether they can be deleted shows at the first revocation' },
});

describe('databricks', () => {
  let server: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    server = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([server.close(), calls.close()]));

  const revoke = (account = ACCOUNT, more: Record<string, unknown> = {}) =>
    databricks.revoke(account, databricks.options.parse({ ...options(server.url), ...more }), calls.call());
  const deleted = () => server.requests.filter(({ call }) => call === DELETE).map(({ segments }) => segments[0]);

  it('deletes tokens of nobody else, whatever the filter of the list has let through', async () => {
    server.reset(
      vendor([
        ofAda('t-1'),
        ofAda('t-grace', { created_by_username: 'grace@example.com' }),
        ofAda('t-alike', { created_by_username: `x${ACCOUNT}` }),
        { token_id: 't-nobody' },
      ]),
    );
    expect(await revoke()).toMatchObject({ state: 'revoked' });
    expect(deleted()).toEqual(['t-1']);
  });

  it('leaves tokens alone that the user has made for a service principal', async () => {
    server.reset(
      vendor([ofAda('t-1'), ofAda('t-of-a-service', { owner_id: 99 }), ofAda('t-old', { owner_id: undefined })]),
    );
    await revoke();
    expect(deleted()).toEqual(['t-1', 't-old']);
  });

  it('never asks for a list without the filter, not even in its check', async () => {
    server.reset(vendor());
    await revoke();
    await databricks.check(databricks.options.parse(options(server.url)), calls.call());
    const lists = server.requests.filter(({ call }) => call === LIST);
    expect(lists.length).toBeGreaterThan(2);
    for (const { query } of lists) expect(query.created_by_username).toMatch(/./);
  });

  it('has nothing to say of a user whom the workspace does not know, however often it asks', async () => {
    server.reset(vendor().map((route) => (route.call === LIST ? { ...route, answer: () => gone } : route)));
    const retry = calls.call({ attempt: 2 });
    const answer = await databricks.revoke(ACCOUNT, databricks.options.parse(options(server.url)), retry);
    expect(answer).toEqual({ state: 'none', what: [] });
  });

  it('takes one that is gone already for deleted', async () => {
    server.reset(vendor());
    server.failAt(DELETE, (res, _request, usual) => {
      usual();
      give(res, gone);
    });
    expect(await revoke()).toMatchObject({ state: 'revoked', verified: true });
  });

  it('is no success where one cannot be deleted, but deletes the others', async () => {
    server.reset(vendor([ofAda('t-1'), ofAda('t-2'), ofAda('t-3')]));
    server.failAt(DELETE, (res, { segments }, usual) =>
      give(res, segments[0] === 't-2' ? { status: 500, json: { error_code: 'INTERNAL_ERROR' } } : usual()),
    );
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', retryable: true });
    expect(deleted()).toEqual(['t-1', 't-2', 't-3']);
  });

  it('is no success while tokens are there again and again', async () => {
    server.reset(vendor(undefined, true));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
    expect(deleted()).toHaveLength(6);
  });

  it.each([LIST, DELETE])('takes a feature that is off for no missing user or token [%s]', async (call) => {
    server.reset(vendor());
    server.failAt(call, (res) => give(res, { status: 404, json: { error_code: 'FEATURE_DISABLED', message: 'off' } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
  });

  it('does not act on the account it acts as', async () => {
    server.reset(vendor());
    const own = { clientId: 'gateway@example.com' };
    await expect(revoke('Gateway@example.com', own)).rejects.toMatchObject({ reason: 'refused' });
    expect(server.requests).toEqual([]);
  });

  it('wants to be told that it is to revoke tokens', () => {
    for (const personalAccessTokens of [undefined, false, 'true']) {
      const { success } = databricks.options.safeParse({
        ...options('https://acme.example.com'),
        personalAccessTokens,
      });
      expect(success).toBe(false);
    }
  });
});
