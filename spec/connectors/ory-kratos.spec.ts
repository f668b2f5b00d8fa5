/** Ory Kratos: an exact look-up over free-form traits, and a 404 that means there was no session. */
import { oryKratos } from '../../src/connectors/ory-kratos.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'GET /admin/identities';
const END = 'DELETE /admin/identities/{}/sessions';
const SESSIONS = 'GET /admin/identities/{}/sessions';
const headers = { authorization: 'Bearer ory_pat_s3cret' };

const ID = '4f9b2a10-7c3e-4a8e-9d35-6b1c0a7f2e11';
const ADA = { id: ID, schema_id: 'default', traits: { name: { first: 'Ada' }, emails: ['Ada.S3cret@example.com'] } };
const error = (code: number, message: string) => ({ status: code, json: { error: { code, message } } });
const NO_SESSION = error(404, 'Unable to locate the resource');

type State = { found?: unknown[]; sessions?: number; stays?: number; authorization?: Record<string, string> };

function vendor({ found = [ADA], sessions = 2, stays = 0, authorization = headers }: State = {}): Route[] {
  let left = sessions;
  return [
    {
      call: FIND,
      expects: [
        { headers: authorization, query: { credentials_identifier: ACCOUNT } },
        { headers: authorization, query: { credentials_identifier: expect.stringMatching(/^4f9b2a10-/) } },
        { headers: authorization, query: { page_size: '1' } }, // The check.
      ],
      answer: () => ({ json: found }),
    },
    {
      call: END,
      expects: { headers: authorization },
      answer: () => {
        if (left === 0) return NO_SESSION;
        left = stays;
        return { status: 204 };
      },
    },
    {
      call: SESSIONS,
      expects: { headers: authorization, query: { active: 'true' } },
      answer: () => ({ json: Array.from({ length: left }, (_, id) => ({ id, active: true })) }),
    },
  ];
}

const optionsAt = (url: string) => ({ url, token: 'ory_pat_s3cret' });

keepsContract(oryKratos, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [FIND, END, SESSIONS],
  main: END,
  outcome: { state: 'revoked', what: ['sessions'], verified: true },
  repeated: { state: 'none', what: [] },
  unknown: {
    'nobody is found': () => vendor({ found: [] }),
    'there is no session, or no identity (any more)': () => vendor({ sessions: 0 }),
  },
  check: { ok: true, detail: 'identities can be read, by which right their sessions can be deleted too' },
});

describe('ory-kratos', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (account = ACCOUNT, options: object = optionsAt(app.url)) =>
    oryKratos.revoke(account, oryKratos.options.parse(options), calls.call());
  const asked = () => app.requests.map(({ call }) => call);

  it.each([
    ['a trait', { traits: { login: ACCOUNT } }],
    ['an address to verify', { traits: null, verifiable_addresses: [{ value: ACCOUNT, via: 'email' }] }],
    ['an address to recover by', { traits: {}, recovery_addresses: [{ value: ACCOUNT, via: 'email' }] }],
  ])('knows the account again by %s', async (_what, identity) => {
    app.reset(vendor({ found: [{ id: ID, ...identity }] }));
    expect(await revoke()).toMatchObject({ state: 'revoked' });
    expect(app.requests.at(1)?.segments).toEqual([ID]);
  });

  it('calls for nobody where the identity found only resembles the account', async () => {
    for (const traits of [{ email: `x${ACCOUNT}` }, { bio: `write to ${ACCOUNT}` }, { [ACCOUNT]: 1 }, null]) {
      app.reset(vendor({ found: [{ id: ID, traits }] }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
      expect(asked()).toEqual([FIND]);
    }
  });

  it('calls for nobody where several identities have the account', async () => {
    app.reset(vendor({ found: [ADA, { ...ADA, id: ID.replace('4', '5') }] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).toEqual([FIND]);
  });

  it('takes an id that is none for an answer that is not documented', async () => {
    for (const id of ['', '..', 'sessions', 7]) {
      app.reset(vendor({ found: [{ ...ADA, id }] }));
      await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
      expect(asked()).toEqual([FIND]);
    }
  });

  it('takes the account for the id of the identity where nobody has it as an identifier', async () => {
    app.reset(vendor({ found: [] }));
    expect(await revoke(ID)).toMatchObject({ state: 'revoked' });
    expect(asked()).toEqual([FIND, END, SESSIONS]);
    expect(app.violations).toEqual([]);
  });

  it('has nothing to say of an id that nobody may have, however often it asks', async () => {
    app.reset(vendor({ found: [], sessions: 0 }));
    const options = oryKratos.options.parse(optionsAt(app.url));
    expect(await oryKratos.revoke(ID, options, calls.call({ attempt: 2 }))).toEqual({ state: 'none', what: [] });
  });

  it('takes an identifier that looks like an id for an identifier', async () => {
    const name = ID.replace('e11', 'e12');
    app.reset(vendor({ found: [{ ...ADA, traits: { username: name } }] }));
    expect(await revoke(name)).toMatchObject({ state: 'revoked' });
    expect(app.requests[1]).toMatchObject({ call: END, segments: [ID] });
    expect(app.violations).toEqual([]);
  });

  it('takes no other 404 for an identity without sessions', async () => {
    for (const answer of [error(404, 'page not found'), { status: 404, text: '404 page not found' }]) {
      app.reset(vendor().map((route) => (route.call === END ? { ...route, answer: () => answer } : route)));
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    }
  });

  it('is no success while a session is still active', async () => {
    app.reset(vendor({ stays: 1 }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', retryable: true });
  });

  it('sends no authorization where none is set', async () => {
    app.reset(vendor({ authorization: {} }));
    expect(await revoke(ACCOUNT, { url: app.url })).toMatchObject({ state: 'revoked' });
    expect(app.violations).toEqual([]);
  });
});
