/** Google Cloud workforce identity: an operation that is asked about until it is done, and a pool that has to be there. */
import { isDeepStrictEqual } from 'node:util';
import type { Pending } from '../../src/connectors/connector.js';
import { googleCloudWorkforce } from '../../src/connectors/google-cloud-workforce.js';
import { createCalls } from '../support/call.js';
import { keepsContract, revokeToTheEnd } from '../support/connector-contract.js';
import { createServiceAccount } from '../support/signing-client.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /token';
const POOL = 'GET /v1/locations/global/workforcePools/acme-pool';
const REVOKE = 'POST /v1/locations/global/workforcePools/acme-pool/subjects/{}:revokeSessions';
const OPERATION = 'GET /v1/locations/global/workforcePools/acme-pool/subjects/{}/operations/{}';
const NAME = `locations/global/workforcePools/acme-pool/subjects/${ACCOUNT}/operations/op-1`;
const headers = { authorization: 'Bearer token-s3cret' };

const serviceAccount = createServiceAccount();
const error = (code: number, status: string): VendorAnswer => ({
  status: code,
  json: { error: { code, message: '…', status } },
});
const NOT_FOUND = error(404, 'NOT_FOUND');

const optionsAt = (url: string) => ({
  pool: 'acme-pool',
  serviceAccount: 'gateway@acme.iam.gserviceaccount.com',
  privateKey: serviceAccount.pem,
  url,
  tokenUrl: `${url}/token`,
});

type Answers = { begun?: VendorAnswer; operations?: readonly unknown[]; pool?: VendorAnswer };

const AT_WORK = { name: NAME, metadata: {} };
const DONE = { name: NAME, done: true, response: {} };

function vendor(url: string, { begun, operations = [AT_WORK, DONE], pool }: Answers = {}): Route[] {
  let asked = 0;
  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: {
        form: { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: expect.any(String) },
      },
      answer: ({ form }) => {
        const claims = {
          iss: 'gateway@acme.iam.gserviceaccount.com',
          aud: `${url}/token`,
          scope: 'https://www.googleapis.com/auth/iam',
        };
        const isGood = isDeepStrictEqual(serviceAccount.read(form.assertion).claims, claims);
        if (!isGood) return { status: 400, json: { error: 'invalid_grant' } };
        return { json: { access_token: 'token-s3cret', token_type: 'Bearer', expires_in: 3599 } };
      },
    },
    { call: REVOKE, expects: { headers }, answer: () => begun ?? { json: AT_WORK } },
    {
      call: OPERATION,
      expects: { headers },
      answer: ({ segments }) => {
        if (segments[0] !== ACCOUNT || segments[1] !== 'op-1') return NOT_FOUND;
        const answer = operations[Math.min(asked, operations.length - 1)];
        asked += 1;
        return { json: answer };
      },
    },
    {
      call: POOL,
      expects: { headers },
      answer: () => pool ?? { json: { name: 'locations/global/workforcePools/acme-pool', state: 'ACTIVE' } },
    },
  ];
}

const REVOKED = { state: 'revoked' as const, what: ['sessions' as const, 'access_tokens' as const] };
const NONE = { state: 'none', what: [] };

keepsContract(googleCloudWorkforce, {
  account: ACCOUNT,
  options: optionsAt,
  secrets: [serviceAccount.pem],
  vendor,
  calls: [TOKEN, REVOKE, OPERATION, OPERATION],
  main: REVOKE,
  outcome: REVOKED,
  reads: [TOKEN, REVOKE],
  exceptions: {
    [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' },
    [OPERATION]: { 404: 'server', 410: 'server' },
  },
  unknown: {
    'no such subject': (url) => vendor(url, { begun: NOT_FOUND }),
    'no such subject, says the operation': (url) =>
      vendor(url, { operations: [{ name: NAME, done: true, error: { code: 5 } }] }),
  },
  check: {
    ok: true,
    detail: 'the pool can be read; whether sessions can be revoked shows at the first revocation',
  },
});

describe('what is particular to workforce identity', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const called = () => app.requests.map(({ call }) => call);
  const parse = (over = {}) => googleCloudWorkforce.options.parse({ ...optionsAt(app.url), ...over });
  function revoke(answers: Answers = {}) {
    app.reset(vendor(app.url, answers));
    return revokeToTheEnd(googleCloudWorkforce as never, ACCOUNT, parse() as never, () => calls.call());
  }

  it('is not done while the operation is at work', async () => {
    expect(await revoke({ operations: [AT_WORK, AT_WORK, { ...AT_WORK, done: false }, DONE] })).toEqual(REVOKED);
    expect(called().filter((call) => call === OPERATION)).toHaveLength(4);
    expect(app.violations).toEqual([]);
  });

  it('asks about nothing where the operation is done at once', async () => {
    expect(await revoke({ begun: { json: DONE } })).toEqual(REVOKED);
    expect(called()).toEqual([TOKEN, REVOKE]);
  });

  it('takes an empty answer, which says of no operation how it went, for accepted', async () => {
    expect(await revoke({ begun: { json: {} } })).toEqual({ ...REVOKED, state: 'accepted' });
  });

  it.each([
    [7, 'auth'],
    [16, 'auth'],
    [8, 'rate_limited'],
    [13, 'server'],
    [14, 'server'],
    [undefined, 'server'],
    [3, 'refused'],
    [9, 'refused'],
  ])('takes an operation that is done with the error %s for a failure', async (code, reason) => {
    const failed = { name: NAME, done: true, error: { code, message: 'Ada S3cret' } };
    const failure = await revoke({ operations: [failed] }).catch((thrown: Error) => thrown);
    expect(failure).toMatchObject({ reason, forbidden: code === 7 });
    expect((failure as Error).message).not.toContain('S3cret');
    await expect(revoke({ begun: { json: failed } })).rejects.toMatchObject({ reason });
  });

  it('does not take a pool that is not there for a subject that is not there', async () => {
    expect(await revoke({ begun: NOT_FOUND })).toEqual(NONE);
    expect(called()).toEqual([TOKEN, REVOKE, POOL]);
    for (const pool of [NOT_FOUND, error(403, 'PERMISSION_DENIED')]) {
      await expect(revoke({ begun: NOT_FOUND, pool })).rejects.toMatchObject({ name: 'ConnectorError' });
    }
    await expect(revoke({ begun: { status: 404, json: {} } })).rejects.toMatchObject({ reason: 'refused' });
  });

  it('asks again later about an operation that it is told nothing of', async () => {
    app.reset(vendor(app.url));
    const begun = (await googleCloudWorkforce.revoke(ACCOUNT, parse(), calls.call())) as Pending;
    const poll = { ...(begun.pending.poll as object), operationId: 'op-2' };
    const asked = googleCloudWorkforce.poll?.(poll, parse(), calls.call());
    await expect(asked).rejects.toMatchObject({ reason: 'server', retryable: true });
  });

  it('keeps the subject in one segment, and takes no operation of another form', async () => {
    await revoke();
    expect(app.requests.at(-1)?.segments).toEqual([ACCOUNT, 'op-1']);
    for (const name of ['op-1', 'operations/', 'a/operations/op/../x']) {
      await expect(revoke({ begun: { json: { name } } })).rejects.toMatchObject({ reason: 'server' });
    }
  });

  it('takes no pool that would be more than one segment of the URL', () => {
    for (const pool of ['', 'a/b', '..', 'A', 'a:revokeSessions']) {
      const { success } = googleCloudWorkforce.options.safeParse({ ...optionsAt('https://iam.example.com'), pool });
      expect([pool, success]).toEqual([pool, false]);
    }
  });
});
