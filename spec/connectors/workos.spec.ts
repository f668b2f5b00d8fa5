/** WorkOS: pages of sessions, of which the active ones are revoked one by one. */
import { workos } from '../../src/connectors/workos.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'GET /user_management/users';
const LIST = 'GET /user_management/users/{}/sessions';
const REVOKE = 'POST /user_management/sessions/revoke';
const headers = { authorization: 'Bearer sk_s3cret' };

const ADA = { object: 'user', id: 'user_01E4ZCR3C56J083X43JQXF3JK5', email: 'Ada.S3cret@example.com' };
const UNKNOWN = { status: 404, json: { message: `User not found: '${ADA.id}'.`, code: 'entity_not_found' } };

type Session = { id: string; status: string };
const active = (id: string): Session => ({ id, status: 'active' });

type State = {
  users?: object[];
  pages?: Session[][];
  answer?: VendorAnswer;
  stubborn?: string;
  keeps?: boolean;
  known?: boolean;
  endless?: boolean;
};

function vendor(state: State = {}): Route[] {
  const { users = [ADA], pages = [[active('session_1'), active('session_2')]], known = true, keeps, endless } = state;
  const page = <T>(data: T[], after: string | null) => ({
    json: { object: 'list', data, list_metadata: { before: null, after } },
  });
  return [
    {
      call: FIND,
      expects: [
        { headers, query: { email: ACCOUNT, limit: '100' } },
        { headers, query: { email: 'user_ada@example.com', limit: '100' } },
        { headers, query: { limit: '1' } }, // The check.
      ],
      answer: () => page(users, null),
    },
    {
      call: LIST,
      expects: [
        { headers, query: { limit: '100' } },
        { headers, query: { limit: '100', after: expect.stringMatching(/^\d+$/) } },
      ],
      answer: ({ query }) => {
        const at = Number(query.after ?? 0);
        const next = endless || at + 1 < pages.length ? String(at + 1) : null;
        return known ? page(pages[at] ?? [], next) : UNKNOWN;
      },
    },
    {
      call: REVOKE,
      expects: { headers, json: { session_id: expect.stringMatching(/^session_/) } },
      answer: ({ json }) => {
        const { session_id } = json as { session_id: string };
        if (session_id === state.stubborn) return { status: 422, json: { message: 'Validation failed.' } };
        for (const one of pages.flat()) if (!keeps && one.id === session_id) one.status = 'revoked';
        return state.answer ?? { status: 200 };
      },
    },
  ];
}

const optionsAt = (url: string) => ({ url, apiKey: 'sk_s3cret' });
const OUTCOME = {
  state: 'revoked' as const,
  what: ['sessions' as const, 'refresh_tokens' as const],
  partial: 'tokens of Connect applications and API keys live on',
  verified: true as const,
};

keepsContract(workos, {
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
    'only others who resemble the account are found': () => vendor({ users: [{ ...ADA, email: `x${ACCOUNT}` }] }),
    'the user has gone since': () => vendor({ known: false }),
    'there is no active session': () => vendor({ pages: [[{ id: 'session_1', status: 'expired' }]] }),
  },
  check: {
    ok: true,
    detail: 'users can be read; whether their sessions can be revoked shows at the first revocation',
  },
});

describe('workos', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const revoke = (account = ACCOUNT) => workos.revoke(account, workos.options.parse(optionsAt(app.url)), calls.call());
  const asked = () => app.requests.map(({ call }) => call);
  const revoked = () => app.requests.flatMap(({ call, json }) => (call === REVOKE ? [json] : []));

  it('takes an id for what it is', async () => {
    app.reset(vendor());
    expect(await revoke(ADA.id)).toEqual(OUTCOME);
    expect(asked()).toEqual([LIST, REVOKE, REVOKE, LIST]);
  });

  it('looks up an address that begins like an id', async () => {
    app.reset(vendor({ users: [{ ...ADA, email: 'user_ada@example.com' }] }));
    expect(await revoke('user_ada@example.com')).toEqual(OUTCOME);
    expect(asked()).toEqual([FIND, LIST, REVOKE, REVOKE, LIST]);
    expect(app.violations).toEqual([]);
  });

  it('revokes what is active, on every page', async () => {
    app.reset(
      vendor({ pages: [[active('session_1'), { id: 'session_2', status: 'revoked' }], [active('session_3')]] }),
    );
    expect(await revoke()).toEqual(OUTCOME);
    expect(revoked()).toEqual([{ session_id: 'session_1' }, { session_id: 'session_3' }]);
    expect(app.violations).toEqual([]);
  });

  it('gives up on a list that has no end', async () => {
    app.reset(vendor({ endless: true }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', message: expect.stringContaining('20 pages') });
    expect(revoked()).toEqual([]);
  });

  it('takes a session that has ended in the meantime for ended', async () => {
    app.reset(vendor({ answer: { status: 400, json: { message: 'The session has already ended.' } } }));
    expect(await revoke()).toEqual(OUTCOME);
  });

  it('takes no other 404 for an unknown user', async () => {
    for (const call of [FIND, LIST, REVOKE]) {
      app.reset(vendor());
      app.failAt(call, (res) =>
        res.writeHead(404, { 'content-type': 'application/json' }).end('{"message":"Not Found"}'),
      );
      await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    }
  });

  it('is no success where one session stays, and revokes the others', async () => {
    app.reset(vendor({ stubborn: 'session_1' }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused' });
    expect(revoked()).toHaveLength(2);
  });

  it('gives up on sessions that stay active', async () => {
    app.reset(vendor({ keeps: true }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', message: expect.stringContaining('3 rounds') });
  });
});
