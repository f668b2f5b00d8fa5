/** Salesforce: SOQL that nothing escapes from, and two lists that are emptied one by one. */
import { generateKeyPairSync } from 'node:crypto';
import { jwtVerify } from 'jose';
import type { Mode } from '../../src/connectors/connector.js';
import { salesforce } from '../../src/connectors/salesforce.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { give, type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const TOKEN = 'POST /services/oauth2/token';
const QUERY = 'GET /services/data/v64.0/query';
const END = 'DELETE /services/data/v64.0/sobjects/AuthSession/{}';
const REVOKE = 'POST /services/oauth2/revoke';
const headers = { authorization: 'Bearer token-s3cret' };

const ID = '005xx0000012345AAA';
const ADA = { Id: ID, Username: 'Ada.S3cret@example.com', Email: 'ada@example.com', FederationIdentifier: 'ada-1' };
const OWN = { Id: '005xx0000099999AAA', Username: 'gateway@example.com', Email: null, FederationIdentifier: null };
const GONE = { status: 404, json: [{ errorCode: 'NOT_FOUND', message: 'The requested resource does not exist' }] };

type Session = { Id: string; UsersId: string; ParentId?: string };
type Given = {
  users?: readonly (typeof ADA | typeof OWN)[];
  sessions?: readonly Session[];
  tokens?: readonly { DeleteToken: string | null; UserId: string }[];
  may?: { PermissionsManageUsers?: boolean; PermissionsCustomizeApplication?: boolean };
  /** Whose session the credential has. */
  current?: string | null;
  /** How many records one answer has. */
  batch?: number;
  reappear?: boolean;
};

const session = (at: number, more: Partial<Session> = {}): Session => ({
  Id: `0Ak${`${at}`.padStart(12, '0')}AAA`,
  UsersId: ID,
  ...more,
});

// Reads SOQL as the language is defined: a string ends at the first quote without a backslash before it.
const STRING = String.raw`'((?:[^'\\]|\\['\\])*)'`;
const OF_USERS = new RegExp(
  `^SELECT Id, Username(?:, FederationIdentifier, Email)? FROM User WHERE (Username|Email|FederationIdentifier) = ${STRING}$`,
);
const unquote = (text: string) => text.replace(/\\(['\\])/g, '$1');

function vendor(given: Given = {}): Route[] {
  const { users = [ADA, OWN], may = {}, current = OWN.Id, batch = 2_000 } = given;
  const sessions = [...(given.sessions ?? [session(1), session(2)])];
  const tokens = [...(given.tokens ?? ['d-1', 'd-2'].map((DeleteToken) => ({ DeleteToken, UserId: ID })))];
  function records(soql: string): unknown[] | undefined {
    if (soql === 'SELECT PermissionsManageUsers, PermissionsCustomizeApplication FROM UserPermissionAccess LIMIT 1') {
      return [{ PermissionsManageUsers: true, PermissionsCustomizeApplication: true, ...may }];
    }
    const ofUsers = soql.match(OF_USERS);
    if (ofUsers) {
      const [field, value] = [ofUsers[1] as keyof typeof ADA, unquote(ofUsers[2] ?? '').toLowerCase()];
      // As fuzzy as can be, so that the connector has to be exact.
      return users.filter((user) => user[field]?.toLowerCase().includes(value));
    }
    if (soql === 'SELECT Id, UsersId FROM AuthSession WHERE IsCurrent = true') {
      return current === null ? [] : [session(99, { UsersId: current })];
    }
    if (soql === `SELECT Id, UsersId FROM AuthSession WHERE UsersId = '${ID}' AND IsCurrent = false`) return sessions;
    if (soql === `SELECT DeleteToken, UserId FROM OauthToken WHERE UserId = '${ID}'`) return tokens;
    return undefined;
  }

  return [
    {
      call: TOKEN,
      changesNothing: true,
      expects: [
        {
          headers: { authorization: `Basic ${Buffer.from('key-1:a-s3cret-of-salesforce').toString('base64')}` },
          form: { grant_type: 'client_credentials' },
        },
        {
          form: {
            grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
            assertion: expect.stringMatching(/^eyJ/),
          },
        },
      ],
      answer: () => ({ json: { access_token: 'token-s3cret', token_type: 'Bearer', scope: 'api' } }),
    },
    {
      call: QUERY,
      expects: { headers, query: { q: expect.stringMatching(/^SELECT /) } },
      answer: ({ query }) => {
        const all = records(query.q ?? '');
        if (!all) return { status: 400, json: [{ errorCode: 'MALFORMED_QUERY', message: query.q }] };
        return { json: { totalSize: all.length, done: all.length <= batch, records: all.slice(0, batch) } };
      },
    },
    {
      call: END,
      expects: { headers },
      answer: ({ segments }) => {
        const at = sessions.findIndex(({ Id }) => Id === segments[0]);
        if (at < 0) return GONE;
        if (given.reappear) return { status: 204 };
        const [ended] = sessions.splice(at, 1);
        for (const child of sessions.filter(({ ParentId }) => ParentId === ended?.Id)) {
          sessions.splice(sessions.indexOf(child), 1);
        }
        return { status: 204 };
      },
    },
    {
      call: REVOKE,
      expects: { form: { token: expect.any(String) } },
      answer: ({ form }) => {
        const at = tokens.findIndex(({ DeleteToken }) => DeleteToken === form.token);
        if (at < 0) return { status: 400, json: { error: 'invalid_token', error_description: 'invalid token' } };
        tokens.splice(at, 1);
        return { status: 200, text: '' };
      },
    },
  ];
}

const options = (url: string) => ({
  url,
  clientId: 'key-1',
  clientSecret: 'a-s3cret-of-salesforce',
  username: 'gateway@example.com',
});

keepsContract(salesforce, {
  account: ACCOUNT,
  options,
  vendor: () => vendor(),
  calls: [TOKEN, QUERY, QUERY, QUERY, END, END, QUERY, QUERY, REVOKE, REVOKE, QUERY, QUERY],
  main: END,
  outcome: { state: 'revoked', what: ['sessions', 'refresh_tokens', 'access_tokens'], verified: true },
  repeated: { state: 'none', what: [] },
  reads: [TOKEN],
  exceptions: {
    [TOKEN]: { 400: 'auth', 404: 'auth', 410: 'auth' },
    [END]: { 403: 'refused' },
    [REVOKE]: { 403: 'refused' },
  },
  unknown: {
    'nobody is found': () => vendor({ users: [OWN] }),
    'only others who resemble the account are found': () =>
      vendor({
        users: [
          { ...ADA, Username: `x${ACCOUNT}` },
          { ...ADA, Username: `${ACCOUNT}.sandbox` },
        ],
      }),
    'the user has neither session nor token': () => vendor({ sessions: [], tokens: [] }),
  },
  check: { ok: true, detail: 'users and sessions can be read, and the permissions are there' },
});

describe('salesforce', () => {
  let server: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  beforeAll(async () => {
    server = await startVendor();
    calls = await createCalls();
  });
  afterAll(() => Promise.all([server.close(), calls.close()]));

  const parse = (more: Record<string, unknown> = {}) => salesforce.options.parse({ ...options(server.url), ...more });
  const again = (more?: Record<string, unknown>, account = ACCOUNT, mode: Mode = 'full') =>
    salesforce.revoke(account, parse(more), calls.call({ mode }));
  const revoke = (given: Given = {}, ...rest: Parameters<typeof again>) => {
    server.reset(vendor(given));
    return again(...rest);
  };
  const asked = () => server.requests.map(({ call }) => call);
  const soql = () => server.requests.filter(({ call }) => call === QUERY).map(({ query }) => query.q);
  const ended = () => server.requests.filter(({ call }) => call === END).map(({ segments }) => segments[0]);
  const revoked = () => server.requests.filter(({ call }) => call === REVOKE).map(({ form }) => form.token);

  describe('SOQL', () => {
    it.each([
      ["o'hara@example.com", String.raw`WHERE Username = 'o\'hara@example.com'`],
      ["x'OR'Username!='@example.com", String.raw`WHERE Username = 'x\'OR\'Username!=\'@example.com'`],
      ["''@example.com", String.raw`WHERE Username = '\'\'@example.com'`],
    ])('is not left by a quote [%s]', async (account, where) => {
      const users = [ADA, { ...ADA, Id: '005xx0000055555AAA', Username: 'grace@example.com' }];
      expect(await revoke({ users }, {}, account)).toEqual({ state: 'none', what: [] });
      expect(soql().at(-1)).toContain(where);
      expect(asked()).not.toContain(END);
    });

    it('finds who really has a quote in the name', async () => {
      const users = [{ ...ADA, Username: "o'hara@example.com" }];
      expect(await revoke({ users }, {}, "O'Hara@example.com")).toMatchObject({ state: 'revoked' });
    });

    it('is not left by a backslash, in an account or in a setting', async () => {
      await expect(revoke({}, {}, String.raw`ada\@example.com`)).rejects.toMatchObject({ reason: 'refused' });
      expect(server.requests).toEqual([]);
      server.reset(vendor());
      const username = String.raw`x\' OR Username != \'`;
      const problem = { ok: false, problem: 'salesforce: there is no user of the name that `username` has' };
      expect(await salesforce.check(parse({ username }), calls.call())).toEqual(problem);
      expect(soql().at(-1)).toContain(String.raw`WHERE Username = 'x\\\' OR Username != \\\''`);
    });

    it.each(['%@example.com', '_da.s3cret@example.com', 'a%a.s3cret@example.com'])(
      'has no wildcards [%s]',
      async (account) => {
        const outcome = await revoke({}, {}, account).catch((error) => error);
        expect(outcome.state ?? outcome.reason).toMatch(/^(none|refused)$/);
        expect(asked()).not.toContain(END);
        for (const asked of soql()) expect(asked).not.toMatch(/LIKE/i);
      },
    );

    it('is given no id that is none', async () => {
      const users = [{ ...ADA, Id: "005' OR Id != '" }];
      await expect(revoke({ users })).rejects.toMatchObject({ reason: 'server' });
      expect(soql()).toHaveLength(2);
    });
  });

  it.each([
    ['Email', 'ada@example.com'],
    ['FederationIdentifier', 'ADA-1'],
  ])('finds by the field that is chosen [%s]', async (match, account) => {
    expect(await revoke({}, { match }, account)).toMatchObject({ state: 'revoked' });
    expect(server.violations).toEqual([]);
  });

  it('is sure of nobody where two users have the address', async () => {
    const users = [ADA, { ...ADA, Id: '005xx0000055555AAA', Username: 'ada@example.org' }];
    await expect(revoke({ users }, { match: 'Email' }, 'ada@example.com')).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).not.toContain(END);
  });

  it('does not act on the user it acts as, by whatever field that is found', async () => {
    await expect(revoke({}, {}, 'Gateway@example.com')).rejects.toMatchObject({ reason: 'refused' });
    const users = [{ ...ADA, Username: 'gateway@example.com' }];
    await expect(revoke({ users }, { match: 'Email' }, 'ada@example.com')).rejects.toMatchObject({ reason: 'refused' });
    expect(asked()).not.toContain(END);
    expect(asked()).not.toContain(REVOKE);
  });

  it('never lists the session that it has, and ends those of nobody else', async () => {
    const sessions = [session(1), session(2, { UsersId: OWN.Id }), session(3, { UsersId: ID.slice(0, 15) })];
    await revoke({ sessions: [...sessions] });
    expect(ended()).toEqual([session(1).Id, session(3).Id]);
    for (const asked of soql().filter((one) => one?.includes('AuthSession')))
      expect(asked).toContain('IsCurrent = false');
  });

  it('takes a child session that has gone with its parent for ended', async () => {
    const parent = session(1);
    const sessions = [parent, session(2, { ParentId: parent.Id }), session(3, { ParentId: parent.Id })];
    expect(await revoke({ sessions })).toMatchObject({ state: 'revoked', verified: true });
    expect(ended()).toHaveLength(3);
  });

  it('goes on where an answer has not held all sessions', async () => {
    expect(await revoke({ sessions: [1, 2, 3, 4, 5].map((at) => session(at)), batch: 2 })).toMatchObject({
      verified: true,
    });
    expect(ended()).toHaveLength(5);
  });

  it('is no success where one is not ended, but ends the others', async () => {
    server.reset(vendor({ sessions: [1, 2, 3].map((at) => session(at)) }));
    server.failAt(END, (res, { segments }, usual) =>
      give(res, segments[0] === session(2).Id ? { status: 500, json: [{ errorCode: 'UNKNOWN_EXCEPTION' }] } : usual()),
    );
    await expect(again()).rejects.toMatchObject({ reason: 'server' });
    expect(ended()).toHaveLength(3);
  });

  it('is no success while sessions are there again and again', async () => {
    await expect(revoke({ reappear: true })).rejects.toMatchObject({ reason: 'server' });
    expect(ended()).toHaveLength(6);
  });

  it('revokes the OAuth tokens of the user alone, each by its DeleteToken, in the body and without a credential', async () => {
    const tokens = [
      { DeleteToken: 'd-1', UserId: ID },
      { DeleteToken: 'd-own', UserId: OWN.Id },
      { DeleteToken: 'd-3', UserId: ID },
    ];
    await revoke({ tokens });
    expect(revoked()).toEqual(['d-1', 'd-3']);
    expect(server.violations).toEqual([]);
    for (const { headers } of server.requests.filter(({ call }) => call === REVOKE)) {
      expect(headers.authorization).toBeUndefined();
    }
  });

  it('ends a session too that a token has begun in the meantime', async () => {
    const routes = vendor({ sessions: [session(1)] });
    let late = false;
    const later = vendor({ sessions: [session(7)] });
    server.reset(
      routes.map((route) => ({
        ...route,
        answer: (request) => {
          if (route.call === REVOKE) late = true;
          const isOfSessions = route.call === END || request.query.q?.includes('FROM AuthSession');
          const instead = late && isOfSessions ? later.find(({ call }) => call === route.call) : undefined;
          return (instead ?? route).answer(request);
        },
      })),
    );
    expect(await again()).toMatchObject({ state: 'revoked', verified: true });
    expect(ended()).toEqual([session(1).Id, session(7).Id]);
  });

  it('takes a token that is gone already for revoked, and one that has no DeleteToken for a failure', async () => {
    server.reset(vendor());
    server.failAt(REVOKE, (res, _request, usual) => {
      usual();
      give(res, { status: 400, json: { error: 'invalid_token' } });
    });
    expect(await again()).toMatchObject({ state: 'revoked', verified: true });
    const tokens = [
      { DeleteToken: null, UserId: ID },
      { DeleteToken: 'd-2', UserId: ID },
    ];
    await expect(revoke({ tokens })).rejects.toMatchObject({ reason: 'refused' });
    expect(revoked()).toEqual(['d-2']);
  });

  it('leaves sessions alone where only tokens are to go, and refuses where these are off too', async () => {
    expect(await revoke({}, {}, ACCOUNT, 'refresh-only')).toEqual({
      state: 'revoked',
      what: ['refresh_tokens', 'access_tokens'],
      verified: true,
    });
    expect(asked()).not.toContain(END);
    await expect(revoke({}, { oauthTokens: false }, ACCOUNT, 'refresh-only')).rejects.toMatchObject({
      reason: 'refused',
    });
    expect(server.requests).toEqual([]);
  });

  it('says that tokens live on where they are off', async () => {
    const may = { PermissionsCustomizeApplication: false };
    expect(await revoke({ may }, { oauthTokens: false })).toEqual({
      state: 'revoked',
      what: ['sessions'],
      partial: 'OAuth tokens live on',
      verified: true,
    });
    expect(asked()).not.toContain(REVOKE);
  });

  it.each(['PermissionsManageUsers', 'PermissionsCustomizeApplication'])(
    'does not believe lists that look empty without the permission [%s]',
    async (permission) => {
      const given = { may: { [permission]: false }, sessions: [], tokens: [] };
      await expect(revoke(given)).rejects.toMatchObject({ reason: 'auth' });
      expect(soql()).toHaveLength(1);
      const said = await salesforce.check(parse(), calls.call());
      expect(said).toEqual({
        ok: false,
        problem: expect.stringMatching(/^salesforce: the permission \w+ \w+ is missing/),
      });
    },
  );

  it.each([
    ['too many', 403, 'REQUEST_LIMIT_EXCEEDED', 'rate_limited'],
    ['not permitted', 403, 'INSUFFICIENT_ACCESS', 'auth'],
    ['an edition without the API', 403, 'API_DISABLED_FOR_ORG', 'refused'],
    ['an object that the user may not see', 400, 'INVALID_TYPE', 'auth'],
    ['SOQL that is wrong', 400, 'MALFORMED_QUERY', 'refused'],
    ['no such version', 404, 'NOT_FOUND', 'refused'],
  ])('tells refusals apart [%s]', async (_what, status, errorCode, reason) => {
    server.reset(vendor());
    server.failAt(QUERY, (res) => give(res, { status, json: [{ errorCode, message: ACCOUNT }] }));
    const error = await again().catch((thrown) => thrown);
    expect(error).toMatchObject({ name: 'ConnectorError', reason, retryAfterMs: undefined });
  });

  it('stops ending the others where it is told that it has asked too much', async () => {
    server.reset(vendor());
    server.failAt(END, (res) => give(res, { status: 403, json: [{ errorCode: 'REQUEST_LIMIT_EXCEEDED' }] }));
    await expect(again()).rejects.toMatchObject({ reason: 'rate_limited' });
    expect(ended()).toHaveLength(1);
  });

  it('finds out in its check that it acts as another user than the settings say', async () => {
    server.reset(vendor({ current: ID }));
    expect(await salesforce.check(parse(), calls.call())).toEqual({
      ok: false,
      problem: 'salesforce: the credential acts as another user than `username` says',
    });
    server.reset(vendor({ current: null }));
    expect(await salesforce.check(parse(), calls.call())).toMatchObject({ ok: true });
  });

  it('signs a JWT where it is given a key', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    const chosen = { clientSecret: undefined, privateKey: pem, audience: 'https://test.salesforce.com' };
    expect(await revoke({}, chosen)).toMatchObject({ state: 'revoked' });
    expect(server.violations).toEqual([]);
    const { payload } = await jwtVerify(server.requests[0]?.form.assertion ?? '', publicKey, {
      algorithms: ['RS256'],
      issuer: 'key-1',
      subject: 'gateway@example.com',
      audience: 'https://test.salesforce.com',
      maxTokenAge: 60,
    });
    expect(Number(payload.exp) - Number(payload.iat)).toBeLessThanOrEqual(300);
  });

  it('wants a secret or a key', () => {
    for (const wrong of [
      { clientSecret: undefined },
      { privateKey: 'not a key' },
      { match: 'Name' },
      { username: '' },
    ]) {
      expect(salesforce.options.safeParse({ ...options('https://acme.my.salesforce.com'), ...wrong }).success).toBe(
        false,
      );
    }
  });
});
