/** Clerk: users and sessions by filters that must never be left out, revoked one by one. */
import { clerk } from '../../src/connectors/clerk.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'GET /v1/users';
const LIST = 'GET /v1/sessions';
const REVOKE = 'POST /v1/sessions/{}/revoke';
const headers = { authorization: 'Bearer sk_live_s3cret' };

const ADA = {
  id: 'user_2NNEqL2nrIRdJ194ndJqAHwEfxC',
  username: 'ada',
  email_addresses: [{ email_address: 'a@example.com' }, { email_address: 'Ada.S3cret@example.com' }],
};
const failure = (status: number, code: string) => ({ status, json: { errors: [{ code, message: 'No.' }] } });
const GONE = failure(404, 'resource_not_found');

type State = {
  users?: object[];
  sessions?: object[];
  gone?: ReturnType<typeof failure>;
  stubborn?: string;
  endless?: boolean;
};

function vendor({ users = [ADA], sessions, gone, stubborn, endless }: State = {}): Route[] {
  const left = (sessions ?? ['sess_1', 'sess_2'].map((id) => ({ id, user_id: ADA.id, status: 'active' }))) as {
    id: string;
  }[];
  return [
    {
      call: FIND,
      expects: [
        { headers, query: { email_address: ACCOUNT, limit: '500' } },
        { headers, query: { username: 'ada', limit: '500' } },
        { headers, query: { username: expect.stringMatching(/^user_/), limit: '500' } },
        { headers, query: { email_address: expect.stringMatching(/^user_/), limit: '500' } },
        { headers, query: { limit: '1' } }, // The check.
      ],
      answer: () => ({ json: users }),
    },
    {
      call: LIST,
      expects: { headers, query: { user_id: ADA.id, status: 'active', limit: '500' } },
      answer: () => ({ json: left }),
    },
    {
      call: REVOKE,
      expects: { headers },
      answer: ({ segments }) => {
        if (segments[0] === stubborn) return failure(422, 'form_param_invalid');
        if (!endless)
          left.splice(
            left.findIndex(({ id }) => id === segments[0]),
            1,
          );
        return gone ?? { json: { id: segments[0], status: 'revoked' } };
      },
    },
  ];
}

const optionsAt = (url: string) => ({ url, secretKey: 'sk_live_s3cret' });
const OUTCOME = {
  state: 'revoked' as const,
  what: ['sessions' as const],
  partial: 'tokens of OAuth applications and API keys live on',
  verified: true as const,
};

keepsContract(clerk, {
  account: ACCOUNT,
  options: optionsAt,
  vendor: () => vendor(),
  calls: [FIND, LIST, REVOKE, REVOKE, LIST],
  main: REVOKE,
  outcome: OUTCOME,
  repeated: { state: 'none', what: [] },
  // The sessions are then still in the list.
  exceptions: { [REVOKE]: { 400: 'server' } },
  unknown: {
    'nobody is found': () => vendor({ users: [] }),
    'only others who resemble the account are found': () =>
      vendor({ users: [{ ...ADA, email_addresses: [{ email_address: `x${ACCOUNT}` }] }, { id: 'user_x' }] }),
    'there is no session': () => vendor({ sessions: [] }),
  },
  check: { ok: true, detail: 'users can be read, by which right their sessions can be revoked too' },
});

describe('clerk', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (account = ACCOUNT) => clerk.revoke(account, clerk.options.parse(optionsAt(app.url)), calls.call());
  const revoked = () => app.requests.filter(({ call }) => call === REVOKE).map(({ segments }) => segments[0]);

  it('finds a user by name too, and takes an id for what it is', async () => {
    for (const account of ['ada', ADA.id]) {
      app.reset(vendor());
      expect(await revoke(account)).toEqual(OUTCOME);
      expect(app.violations).toEqual([]);
    }
    expect(app.requests.map(({ call }) => call)).toEqual([LIST, REVOKE, REVOKE, LIST]);
  });

  it.each([
    'user_admin',
    'user_2NNEqL2nrIRdJ194ndJqAHwEf',
    'user_2NNEqL2nrIRdJ194ndJqAHwEfxCx',
    'user_ada@example.com',
  ])('looks up a name that begins like an id, and is none [%s]', async (account) => {
    app.reset(vendor({ users: [{ ...ADA, username: account, email_addresses: [{ email_address: account }] }] }));
    expect(await revoke(account)).toEqual(OUTCOME);
    expect(app.requests[0]?.call).toBe(FIND);
    expect(app.violations).toEqual([]);
  });

  it('calls for nobody where several match', async () => {
    app.reset(vendor({ users: [ADA, { ...ADA, id: 'user_other' }] }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    expect(revoked()).toEqual([]);
  });

  it('revokes no session of anybody else, should the filter be ignored', async () => {
    app.reset(
      vendor({
        sessions: [
          { id: 'sess_x', user_id: 'user_other' },
          { id: 'sess_1', user_id: ADA.id },
        ],
      }),
    );
    expect(await revoke()).toEqual(OUTCOME);
    expect(revoked()).toEqual(['sess_1']);
  });

  it('takes a session that has ended in the meantime for ended', async () => {
    for (const gone of [GONE, failure(400, 'session_ended')]) {
      app.reset(vendor({ gone }));
      expect(await revoke()).toEqual(OUTCOME);
    }
  });

  it('takes no other 404 for that', async () => {
    app.reset(vendor({ gone: failure(404, 'not_a_route') }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
  });

  it('is no success where one session stays, and revokes the others', async () => {
    app.reset(vendor({ stubborn: 'sess_1' }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    expect(revoked()).toEqual(['sess_1', 'sess_2']);
  });

  it('gives up on sessions that keep reappearing', async () => {
    app.reset(vendor({ endless: true }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', message: expect.stringContaining('3 rounds') });
  });
});
