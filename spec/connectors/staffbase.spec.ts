/** Staffbase: a filter by external identifier, and one call for all sessions. */
import { staffbase } from '../../src/connectors/staffbase.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'GET /api/users';
const END = 'DELETE /api/users/{}/sessions';
const headers = { authorization: 'Basic dG9rZW4-s3cret' };

const ADA = { id: '5db0221d0a09a219c4ce9218', externalID: 'Ada.S3cret@example.com', firstName: 'Ada' };

function vendor({ users = [ADA] as object[], end = { status: 204 } as VendorAnswer } = {}): Route[] {
  return [
    {
      call: FIND,
      expects: [
        { headers, query: { filter: `externalId eq "${ACCOUNT}"`, limit: '100' } },
        { headers, query: { filter: 'externalId eq "a\\"b"', limit: '100' } },
        { headers, query: { filter: expect.stringMatching(/^externalId eq "[0-9a-f]{24}"$/), limit: '100' } },
        { headers, query: { limit: '1' } }, // The check.
      ],
      answer: () => ({ json: { total: users.length, limit: 100, offset: 0, data: users } }),
    },
    { call: END, expects: { headers }, answer: () => end },
  ];
}

const optionsAt = (url: string) => ({ url, token: 'dG9rZW4-s3cret' });

keepsContract(staffbase, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [FIND, END],
  outcome: { state: 'revoked', what: ['sessions'] },
  unknown: {
    'nobody is found': () => vendor({ users: [] }),
  },
  check: { ok: true, detail: 'users can be read; whether they can be signed out shows at the first revocation' },
});

describe('staffbase', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (account = ACCOUNT) =>
    staffbase.revoke(account, staffbase.options.parse(optionsAt(app.url)), calls.call());
  const asked = () => app.requests.map(({ call }) => call);

  it('takes the account for the id where nobody has it as the identifier', async () => {
    app.reset(vendor({ users: [] }));
    expect(await revoke(ADA.id)).toMatchObject({ state: 'revoked' });
    expect(app.requests.map(({ call, segments }) => [call, ...segments])).toEqual([[FIND], [END, ADA.id]]);
    expect(app.violations).toEqual([]);
  });

  it('takes an identifier that looks like an id for an identifier', async () => {
    const name = 'a'.repeat(24);
    app.reset(vendor({ users: [{ ...ADA, externalID: name }] }));
    expect(await revoke(name)).toMatchObject({ state: 'revoked' });
    expect(app.requests[1]).toMatchObject({ call: END, segments: [ADA.id] });
    expect(app.violations).toEqual([]);
  });

  it.each([404, 410])(
    'takes %d for a refusal where the user was found a moment ago, and only there',
    async (status) => {
      const end: VendorAnswer = { status, json: { ref: 'ERROR_NOT_FOUND' } };
      app.reset(vendor({ end }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
      app.reset(vendor({ users: [], end }));
      expect(await revoke(ADA.id)).toEqual({ state: 'none', what: [] });

      const options = staffbase.options.parse(optionsAt(app.url));
      const again = () => staffbase.revoke(ACCOUNT, options, calls.call());
      app.reset(vendor());
      expect(await again()).toMatchObject({ state: 'revoked' });
      app.reset(vendor({ users: [], end }));
      expect(await again()).toEqual({ state: 'none', what: [] });
      expect(asked()).toEqual([END, FIND]);
    },
  );

  it('calls for nobody where the answer is about others, as of a filter that is ignored', async () => {
    for (const externalID of [`x${ACCOUNT}`, undefined]) {
      app.reset(vendor({ users: [{ ...ADA, externalID }] }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
      expect(asked()).toEqual([FIND]);
    }
  });

  it('picks the one who is meant, and nobody where several are', async () => {
    app.reset(vendor({ users: [{ ...ADA, id: 'f'.repeat(24), externalID: 'other' }, ADA] }));
    expect(await revoke()).toMatchObject({ state: 'revoked' });
    expect(app.requests[1]?.segments).toEqual([ADA.id]);
    app.reset(vendor({ users: [ADA, { ...ADA, id: 'f'.repeat(24) }] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).toEqual([FIND]);
  });

  it('calls for nobody whose id is none', async () => {
    for (const id of ['', 'me', 'search', '..', ADA.id.slice(1)]) {
      app.reset(vendor({ users: [{ ...ADA, id }] }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
      expect(asked()).toEqual([FIND]);
    }
  });

  it('lets no account out of its quotes in the filter', async () => {
    app.reset(vendor({ users: [] }));
    expect(await revoke('a"b')).toMatchObject({ state: 'none' });
    expect(app.violations).toEqual([]);
  });
});
