/** Linear: GraphQL, where an error can come with any status, and a mutation beside ours signs out the caller. */
import { linear } from '../../src/connectors/linear.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { type Route, startVendor, type Vendor, type VendorAnswer, type VendorRequest } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const GRAPHQL = 'POST /graphql';
const headers = { authorization: 'lin_api_s3cret' };

const ADA = { id: '0c2d-ada', email: 'Ada.S3cret@example.com' };

type World = {
  viewer?: string;
  users?: { id: string; email: string }[];
  more?: boolean;
  /** Instead of the usual answer of one operation. */
  answers?: Partial<Record<'Find' | 'Revoke' | 'Sessions' | 'Viewer', VendorAnswer>>;
  undying?: boolean;
};

const FIND =
  'query Find($email: String!) { viewer { id } users(filter: { email: { eqIgnoreCase: $email } }, includeDisabled: true) { nodes { id email } pageInfo { hasNextPage } } }';
const OPERATIONS: Record<string, string> = {
  Find: FIND,
  Revoke: 'mutation Revoke($id: String!) { userRevokeAllSessions(id: $id) { success } }',
  Sessions: 'query Sessions($id: String!) { userSessions(id: $id) { id } }',
  Viewer: 'query Viewer { viewer { id } }',
};

const sent = ({ json }: VendorRequest) => json as { query: string; variables: Record<string, string> };
const nameOf = (request: VendorRequest) => sent(request).query.match(/^\w+ (\w+)/)?.[1] ?? '';
const squeezed = (text: string) => text.replaceAll(/\s+/g, ' ');

function vendor({ viewer = '0c2d-admin', users = [ADA], more = false, answers = {}, undying }: World = {}): Route[] {
  let sessions = [{ id: 's-1' }, { id: 's-2' }];
  return [
    {
      call: GRAPHQL,
      changesNothing: true, // But for one mutation, of which a test below says that the check does not send it.
      expects: {
        headers,
        json: {
          query: expect.stringMatching(/^(query|mutation) (Find|Revoke|Sessions|Viewer)\b/),
          variables: expect.anything(),
        },
      },
      answer: (request) => {
        const operation = nameOf(request) as keyof NonNullable<World['answers']>;
        const { query, variables } = sent(request);
        if (squeezed(query) !== OPERATIONS[operation]) return { status: 400, json: graphqlError('graphql error') };
        const instead = answers[operation];
        if (instead) return instead;
        if (operation === 'Viewer') return { json: { data: { viewer: { id: viewer } } } };
        if (operation === 'Find') {
          if (variables.email !== ACCOUNT) return { status: 400, json: graphqlError('invalid input') };
          return {
            json: { data: { viewer: { id: viewer }, users: { nodes: users, pageInfo: { hasNextPage: more } } } },
          };
        }
        if (operation === 'Sessions') return { json: { data: { userSessions: sessions } } };
        if (!undying) sessions = [];
        return { json: { data: { userRevokeAllSessions: { success: true } } } };
      },
    },
  ];
}

function graphqlError(type: string, message = `something about ${ACCOUNT}`) {
  return { errors: [{ message, path: ['userRevokeAllSessions'], extensions: { type, userError: true } }], data: null };
}

keepsContract(linear, {
  account: ACCOUNT,
  options: (url) => ({ apiKey: 'lin_api_s3cret', url }),
  vendor: () => vendor(),
  calls: [GRAPHQL, GRAPHQL, GRAPHQL],
  outcome: {
    state: 'revoked',
    what: ['sessions'],
    partial: 'API keys of the user and OAuth apps that the user has authorized may live on',
    verified: true,
  },
  reads: [GRAPHQL],
  unknown: {
    'nobody is found': () => vendor({ users: [] }),
    'others are found': () => vendor({ users: [{ id: '2', email: `x${ACCOUNT}` }] }),
    'the user has gone since': () =>
      vendor({ answers: { Revoke: { status: 400, json: graphqlError('invalid input', 'Entity not found: User') } } }),
    'the user has gone since, said with 200': () =>
      vendor({ answers: { Revoke: { json: graphqlError('invalid input', 'Entity not found: User') } } }),
  },
  check: { ok: true, detail: 'sessions can be listed; whether they can be ended shows at the first revocation' },
});

describe('Linear', () => {
  let app: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    app = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([app.close(), calls.close()]));

  const options = () => linear.options.parse({ apiKey: 'lin_api_s3cret', url: app.url });
  const revoke = () => linear.revoke(ACCOUNT, options(), calls.call());
  const asked = () => app.requests.map(nameOf);

  it('asks for the one user by id, and never for the caller', async () => {
    app.reset(vendor());
    await revoke();
    expect(app.requests.map((request) => [nameOf(request), sent(request).variables])).toEqual([
      ['Find', { email: ACCOUNT }],
      ['Revoke', { id: ADA.id }],
      ['Sessions', { id: ADA.id }],
    ]);
    for (const { body } of app.requests) expect(body).not.toMatch(/logout/i);
  });

  it.each([
    ['authentication error', 'auth'],
    ['ratelimited', 'rate_limited'],
    ['feature not accessible', 'refused'],
    ['usage limit exceeded', 'refused'],
    ['invalid input', 'refused'],
    ['user error', 'refused'],
    ['graphql error', 'refused'],
    ['internal error', 'server'],
    ['lock timeout', 'server'],
    ['an error of tomorrow', 'server'],
  ])('takes an error for one, with status 200 and with 400 [%s]', async (type, reason) => {
    for (const status of [200, 400]) {
      for (const operation of ['Find', 'Revoke', 'Sessions'] as const) {
        app.reset(vendor({ answers: { [operation]: { status, json: graphqlError(type) } } }));
        const error = await revoke().catch((thrown: unknown) => thrown);
        expect([status, operation, error]).toEqual([status, operation, expect.objectContaining({ reason })]);
        expect((error as Error).message).not.toContain('s3cret');
      }
    }
  });

  it('takes a user whom the key may not touch for refused, unless it may not even look users up', async () => {
    for (const status of [200, 400, 403]) {
      for (const [operation, reason] of [
        ['Find', 'auth'],
        ['Revoke', 'refused'],
        ['Sessions', 'refused'],
      ] as const) {
        app.reset(vendor({ answers: { [operation]: { status, json: graphqlError('forbidden') } } }));
        await expect(revoke()).rejects.toMatchObject({ reason, forbidden: status !== 400 });
      }
    }
  });

  it.each([
    ['RATELIMITED', 400, 'rate_limited'],
    ['RATELIMITED', 200, 'rate_limited'],
    ['AN_ERROR_OF_TOMORROW', 200, 'server'],
  ])('takes an error that has a code and no type [%s, %s: %s]', async (code, status, reason) => {
    const json = { errors: [{ message: `something about ${ACCOUNT}`, extensions: { code } }] };
    const reset = String(Date.now() + 90_000);
    const headers = { 'x-ratelimit-requests-limit': '2500', 'x-ratelimit-requests-reset': reset };
    app.reset(vendor({ answers: { Revoke: { status, headers, json } } }));
    const error = await revoke().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ reason, message: expect.not.stringContaining('s3cret') });
    if (reason !== 'rate_limited' || status === 200) return;
    expect((error as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(60_000);
    expect((error as { retryAfterMs: number }).retryAfterMs).toBeLessThanOrEqual(90_000);
  });

  it('takes the type for what it is where it has a code too', async () => {
    const errors = [{ message: 'no', extensions: { code: 'INPUT_ERROR', type: 'authentication error' } }];
    app.reset(vendor({ answers: { Revoke: { status: 400, json: { errors } } } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'auth' });
  });

  it.each([{ code: 'RATELIMITED' }, { code: 7 }, {}, 'no'])(
    'takes an error beside data for one, whatever it says of itself [%j]',
    async (extensions) => {
      const data = { userRevokeAllSessions: { success: true } };
      app.reset(vendor({ answers: { Revoke: { json: { data, errors: [{ message: 'no', extensions }] } } } }));
      await expect(revoke()).rejects.toMatchObject({ name: 'ConnectorError' });
      expect(asked()).toEqual(['Find', 'Revoke']);
    },
  );

  it('takes an error beside data for an error', async () => {
    const json = { ...graphqlError('internal error'), data: { userRevokeAllSessions: { success: true } } };
    app.reset(vendor({ answers: { Revoke: { json } } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
  });

  it.each([
    { data: { userRevokeAllSessions: { success: false } } },
    { data: { userRevokeAllSessions: null } },
    { data: null },
    { data: {}, errors: [] },
  ])('takes nothing for success but success: true [%j]', async (json) => {
    app.reset(vendor({ answers: { Revoke: { json } } }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server' });
    expect(asked()).toEqual(['Find', 'Revoke']);
  });

  it('is no success while sessions are left', async () => {
    app.reset(vendor({ undying: true }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'server', message: expect.stringContaining('2 are still') });
  });

  it('never signs out the user whose API key it holds', async () => {
    app.reset(vendor({ viewer: ADA.id }));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(asked()).toEqual(['Find']);
  });

  it.each([
    ['on the page', { users: [ADA, { ...ADA, id: 'other' }] }],
    ['beyond the page', { more: true }],
  ])('calls for nobody where several match [%s]', async (_where, world) => {
    app.reset(vendor(world));
    await expect(revoke()).rejects.toMatchObject({ reason: 'refused', retryable: false });
    expect(asked()).toEqual(['Find']);
  });

  it('checks with queries alone, and finds that the key is not an admin’s', async () => {
    app.reset(vendor());
    expect(await linear.check(options(), calls.call())).toMatchObject({ ok: true });
    expect(asked()).toEqual(['Viewer', 'Sessions']);
    for (const request of app.requests) expect(sent(request).query).toMatch(/^query /);
    app.reset(vendor({ answers: { Sessions: { json: graphqlError('forbidden') } } }));
    expect(await linear.check(options(), calls.call())).toEqual({
      ok: false,
      problem: expect.stringContaining('forbidden'),
    });
  });
});
