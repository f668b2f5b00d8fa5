/** Calls that a settings file describes: what may stand in it, what is made of it, and `better-auth` described so. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { toNodeHandler } from 'better-auth/node';
import { admin, bearer } from 'better-auth/plugins';
import fc from 'fast-check';
import type { Call } from '../../src/connectors/connector.js';
import { http } from '../../src/connectors/http.js';
import { createCalls } from '../support/call.js';
import { keepsContract } from '../support/connector-contract.js';
import { freePort } from '../support/redis-server.js';
import { give, type Route, startVendor, type Vendor } from '../support/vendor.js';

const ACCOUNT = 'ada.s3cret@example.com';
const FIND = 'GET /api/users';
const TOKENS = 'DELETE /api/users/{}/tokens';
const GRANTS = 'POST /api/grants/revoke';
const ME = 'GET /api/me';
const headers = { authorization: 'Bearer a-s3cret-token', 'x-tenant': 'tenant-s3cret', accept: 'application/json' };

function app(users: unknown = [{ login: 'Ada.S3cret@example.com', uid: 7 }]): Route[] {
  return [
    {
      call: FIND,
      expects: { headers, query: { email: ACCOUNT, limit: '100' } },
      answer: () => ({ json: { data: { users } } }),
    },
    { call: TOKENS, expects: { headers, query: { kind: 'refresh' } }, answer: () => ({ status: 204 }) },
    {
      call: GRANTS,
      expects: { headers, json: { user: '7', filter: [{ by: `mail is ${ACCOUNT}` }], limit: 100 } },
      answer: () => ({ json: { ok: true } }),
    },
    { call: ME, expects: { headers }, answer: () => ({ json: { ok: true } }) },
  ];
}

const described = (url: string) => ({
  url: `${url}/api/`,
  auth: { type: 'bearer', token: 'a-s3cret-token' },
  headers: { 'x-tenant': 'tenant-s3cret' },
  find: { path: '/users?email={account}&limit=100', items: '/data/users', where: '/login', id: '/uid' },
  steps: [
    { method: 'DELETE', path: '/users/{id}/tokens?kind=refresh' },
    {
      method: 'POST',
      path: '/grants/revoke',
      json: { user: '{id}', filter: [{ by: 'mail is {account}' }], limit: 100 },
      failsWhen: [{ at: '/ok', is: false }],
    },
  ],
  ends: ['refresh_tokens'],
  check: { path: '/me', failsWhen: [{ at: '/ok', is: false }] },
});

keepsContract(http, {
  account: ACCOUNT,
  options: described,
  vendor: () => app(),
  calls: [FIND, TOKENS, GRANTS],
  main: TOKENS,
  outcome: { state: 'revoked', what: ['refresh_tokens'] },
  reads: [GRANTS],
  exceptions: { [TOKENS]: { 202: 'accepted' }, [GRANTS]: { 202: 'accepted' } },
  unknown: {
    'nobody is found': () => app([]),
    'only others who resemble the account are found': () => app([{ login: `x${ACCOUNT}`, uid: 8 }, { uid: 9 }]),
  },
  check: { ok: true, detail: 'the described check went well; whether the steps do shows at the first revocation' },
});

describe('http', () => {
  let vendor: Vendor;
  let calls: Awaited<ReturnType<typeof createCalls>>;
  const closers: (() => unknown)[] = [];

  beforeAll(async () => {
    vendor = await startVendor();
    calls = await createCalls();
  });
  afterEach(() => Promise.all(closers.splice(0).map((close) => close())));
  afterAll(() => Promise.all([vendor.close(), calls.close()]));

  const revoke = (options: object, account = ACCOUNT, call: Partial<Call> = {}) =>
    http.revoke(account, http.options.parse({ url: vendor.url, ends: ['sessions'], ...options }), calls.call(call));

  /** One step and nothing else; answers what was sent. */
  async function send(step: object, account = ACCOUNT, answer: object = {}) {
    const seen: (typeof vendor.requests)[number][] = [];
    vendor.reset(
      ['POST /x', 'POST /x/{}', 'DELETE /x/{}', 'POST /x/{}/y'].map((call) => ({
        call,
        expects: {},
        answer: (request) => {
          seen.push(request);
          return answer;
        },
      })),
    );
    const outcome = await revoke({ steps: [step] }, account);
    return { outcome, request: seen.at(-1), urls: vendor.requests.map(({ call }) => call) };
  }

  describe('what is filled in', () => {
    it('is one segment, one value of the query, one text, whatever is in it', async () => {
      const account = "o'br&e=n+1@exämple.com";
      const { request } = await send(
        { method: 'POST', path: '/x/{account}?q={account}&r=1', form: { who: '{account}' } },
        account,
      );
      expect(request?.segments).toEqual([account]);
      expect(request?.query).toEqual({ q: account, r: '1' });
      expect(request?.form).toEqual({ who: account });
    });

    it('can end no string of JSON, since it is filled in after the JSON was read', async () => {
      await fc.assert(
        fc.asyncProperty(fc.stringMatching(/^[a-z"'{}[\]:,&=<>$`]{1,20}$/), async (account) => {
          const json = { a: '{account}', b: [1, null, { c: '{account}' }], __proto__x: true };
          const sent = await send({ method: 'POST', path: '/x', json }, account).catch(() => undefined);
          if (sent) expect(sent.request?.json).toEqual({ a: account, b: [1, null, { c: account }], __proto__x: true });
          else expect(account).toMatch(/^(all|any|me|self|none|null|current|undefined|everyone)$/);
        }),
        { numRuns: 50 },
      );
    });

    it.each([
      ['a text', { method: 'POST', path: '/x', json: { filter: 'mail eq "{account}"' } }],
      ['a form', { method: 'POST', path: '/x', form: { q: "login='{account}'" } }],
      ['a query', { method: 'POST', path: '/x?filter=mail+eq+"{account}"'.replaceAll('"', '%22') }],
      ['a segment', { method: 'POST', path: "/x/Users('{account}')" }],
    ])('is nothing that needs quoting where it stands inside of %s', async (_what, step) => {
      for (const account of ['ada"@example.com', "ada'or'1", 'ada(x)', 'ada`', 'ada;x', 'ada,x', 'ada$x']) {
        await expect(send(step, account)).rejects.toMatchObject({ reason: 'refused', retryable: false });
        expect(vendor.requests).toEqual([]);
      }
      await expect(send(step, 'ada.king+1@exämple.com')).resolves.toMatchObject({ outcome: { state: 'revoked' } });
    });

    it('is no id that climbs or means everybody', async () => {
      for (const uid of ['', ' ', '.', '..', 'all', '*', '../7', '7/../8', 2 ** 53, 7.5, null, {}, [], true]) {
        vendor.reset(app([{ login: ACCOUNT, uid }]));
        await expect(revoke(described(vendor.url))).rejects.toMatchObject({ reason: 'refused', retryable: false });
        expect(vendor.requests.map(({ call }) => call)).toEqual([FIND]);
      }
    });
  });

  describe('find', () => {
    it('calls for nobody where several are the account, or where its list is not where it should be', async () => {
      vendor.reset(app(['7', '8'].map((uid) => ({ login: ACCOUNT, uid }))));
      await expect(revoke(described(vendor.url))).rejects.toMatchObject({ reason: 'refused' });
      vendor.reset(app(null));
      await expect(revoke(described(vendor.url))).rejects.toMatchObject({ reason: 'refused' });
      expect(vendor.requests.map(({ call }) => call)).toEqual([FIND]);
    });

    it('takes one user for a list of one, and a 404 for nobody only where that is said', async () => {
      vendor.reset(app({ login: ACCOUNT, uid: 7 }));
      expect(await revoke(described(vendor.url))).toMatchObject({ state: 'revoked' });
      const { find, ...others } = described(vendor.url);
      vendor.failAt(FIND, (res) => give(res, { status: 404, json: { error: 'no such route' } }));
      await expect(revoke({ ...others, find })).rejects.toMatchObject({ reason: 'refused' });
      expect(await revoke({ ...others, find: { ...find, statuses: { gone: [404] } } })).toEqual({
        state: 'none',
        what: [],
      });
    });

    describe('has just found a user whom no step finds', () => {
      const GONE = { status: 404, json: { error: 'Cannot DELETE /user/7/sesions' } };
      const only = (answers: object[], users: () => object[] = () => [{ mail: ACCOUNT, id: 7 }]): Route[] => [
        { call: 'GET /users', expects: {}, answer: () => ({ json: users() }) },
        ...answers.map((answer, index) => ({
          call: `DELETE /user/{}/${index}`,
          expects: {},
          answer: () => answer,
        })),
      ];
      const optionsOf = (...statuses: object[]) => ({
        find: { path: '/users', where: '/mail' },
        steps: statuses.map((named, index) => ({ method: 'DELETE', path: `/user/{id}/${index}`, statuses: named })),
      });

      it.each([
        ['a step', [GONE], [{}]],
        ['two steps', [GONE, { ...GONE, status: 410 }], [{}, {}]],
        ['a step, beside one whose status is named', [GONE, GONE], [{ gone: [404] }, {}]],
        ['a step that names another status', [GONE], [{ gone: [422] }]],
      ])('and is no success: %s', async (_what, answers, statuses) => {
        vendor.reset(only(answers));
        await expect(revoke(optionsOf(...statuses))).rejects.toMatchObject({
          reason: 'refused',
          retryable: false,
          message: expect.stringMatching(/look at the paths of the steps and at what the credential may do/),
        });
      });

      it.each([
        ['the settings name the status', [GONE], [{ gone: [404] }], 'none'],
        ['another step has done something', [GONE, {}], [{}, {}], 'revoked'],
        ['another step is accepted', [{ status: 202 }, GONE], [{}, {}], 'accepted'],
      ])('but it is one where %s', async (_what, answers, statuses, state) => {
        vendor.reset(only(answers));
        expect(await revoke(optionsOf(...statuses))).toMatchObject({ state });
      });

      it('unless the id was remembered: then it is looked up again, and counts as new if it is found again', async () => {
        const answers: object[] = [{}];
        let users: object[] = [{ mail: ACCOUNT, id: 7 }];
        const routes = only(answers, () => users).map((route) =>
          route.call.startsWith('GET') ? route : { ...route, answer: () => answers[0] as object },
        );
        const parsed = http.options.parse({ url: vendor.url, ends: ['sessions'], ...optionsOf({}) });
        const again = () => http.revoke(ACCOUNT, parsed, calls.call());
        vendor.reset(routes);
        expect(await again()).toMatchObject({ state: 'revoked' });
        answers[0] = GONE;
        await expect(again()).rejects.toMatchObject({ reason: 'refused' });
        answers[0] = {};
        expect(await again()).toMatchObject({ state: 'revoked' });
        answers[0] = GONE;
        users = [];
        expect(await again()).toEqual({ state: 'none', what: [] });
      });
    });

    it('goes through every page, to a bound', async () => {
      const pages: Record<string, object> = {
        '': { users: [{ mail: 'a@example.com', id: '1' }], next: 2 },
        2: { users: [{ mail: ACCOUNT, id: '7' }], next: 'c&d' },
        'c&d': { users: [], next: '' },
      };
      const routes: Route[] = [
        {
          call: 'GET /u',
          expects: { query: expect.anything() as never },
          answer: ({ query }) => ({ json: pages[query.page ?? ''] }),
        },
        { call: 'DELETE /u/{}', expects: {}, answer: () => ({ status: 204 }) },
      ];
      const options = {
        find: { path: '/u', items: '/users', where: '/mail', cursor: { at: '/next', query: 'page' } },
        steps: [{ method: 'DELETE', path: '/u/{id}' }],
      };
      vendor.reset(routes);
      expect(await revoke(options)).toMatchObject({ state: 'revoked' });
      expect(vendor.requests.map(({ query, segments }) => query.page ?? segments[0])).toEqual([
        undefined,
        '2',
        'c&d',
        '7',
      ]);
      pages['c&d'] = { users: [], next: 2 };
      await expect(revoke(options)).rejects.toMatchObject({
        reason: 'refused',
        message: expect.stringContaining('20 pages'),
      });
    });
  });

  describe('what an answer means', () => {
    const step = { method: 'POST', path: '/x/{account}' };
    const means = (status: number, statuses: object = {}) =>
      send({ ...step, statuses }, ACCOUNT, { status, json: {} }).then(
        ({ outcome }) => (outcome as { state: string }).state,
        ({ reason }) => reason,
      );

    it.each([
      [200, {}, 'revoked'],
      [202, {}, 'accepted'],
      [404, {}, 'none'],
      [409, {}, 'refused'],
      [202, { done: [202] }, 'revoked'],
      [200, { accepted: [200] }, 'accepted'],
      [409, { done: [409] }, 'revoked'],
      [302, { accepted: [302] }, 'accepted'],
      [422, { gone: [422] }, 'none'],
      [204, { gone: [204] }, 'none'],
      [404, { never: [404] }, 'refused'],
      [409, { retry: [409] }, 'server'],
      [200, { retry: [200] }, 'server'],
      [429, { retry: [429] }, 'rate_limited'],
      [200, { never: [200] }, 'refused'],
      [503, { never: [503] }, 'refused'],
    ])(
      'is what the settings say, and otherwise what it is everywhere [%s %j: %s]',
      async (status, statuses, wanted) => {
        expect(await means(status, statuses)).toBe(wanted);
      },
    );

    describe('is no success where it is a web page', () => {
      const PAGE = '<!doctype html><title>Acme</title><div id="root"></div>';
      const html = { 'content-type': 'text/html; charset=utf-8' };

      it.each([200, 201, 202])('as an app answers whatever its path [%d]', async (status) => {
        for (const text of [PAGE, `\n  ${PAGE}`, '<html lang="en">']) {
          const error = await send(step, ACCOUNT, { status, headers: html, text }).catch((thrown: unknown) => thrown);
          expect(error).toMatchObject({
            ...{ reason: 'server', retryable: true },
            message: `http: POST of step 1 answered ${status} with a web page`,
          });
        }
      });

      it.each([
        ['nothing', { headers: html, text: '' }, {}, 'revoked'],
        ['a word', { headers: html, text: 'OK' }, {}, 'revoked'],
        ['JSON, of whatever type', { headers: html, text: '{"ok":true}' }, {}, 'revoked'],
        ['what is no web page', { headers: { 'content-type': 'application/xml' }, text: '<ok/>' }, {}, 'revoked'],
        ['of a status that the settings name', { headers: html, text: PAGE }, { done: [200] }, 'revoked'],
        ['of one that they name as accepted', { headers: html, text: PAGE }, { accepted: [200] }, 'accepted'],
      ])('but is one where it is %s', async (_what, answer, statuses, state) => {
        expect((await send({ ...step, statuses }, ACCOUNT, answer)).outcome).toMatchObject({ state });
      });

      it('not even of a check', async () => {
        vendor.reset([{ call: 'GET /me', expects: {}, answer: () => ({ headers: html, text: PAGE }) }]);
        const options = { url: vendor.url, ends: ['sessions'], steps: [step], check: { path: '/me' } };
        expect(await http.check(http.options.parse(options), calls.call())).toEqual({
          ok: false,
          problem: 'http: GET of check answered 200 with a web page',
        });
      });
    });

    it('may be failure for all its 200', async () => {
      const fails = (failsWhen: object[], json: unknown) => send({ ...step, failsWhen }, ACCOUNT, { json });
      for (const [rule, json] of [
        [
          { at: '/ok', is: false },
          { ok: false, error: 's3cret' },
        ],
        [{ at: '/errors' }, { errors: [{ message: ACCOUNT }] }],
        [{ at: '/a~1b/0', is: null }, { 'a/b': [null] }],
      ] as const) {
        const error = await fails([{ at: '/x', is: 1 }, rule], json).catch((thrown: Error) => thrown);
        expect(error).toMatchObject({ reason: 'refused', message: expect.not.stringContaining('s3cret') });
      }
      for (const json of [{ ok: true }, { errors: [] }, { errors: null }, {}]) {
        const rules = [{ at: '/ok', is: false }, { at: '/errors' }];
        await expect(fails(rules, json)).resolves.toMatchObject({ outcome: { state: 'revoked' } });
      }
    });

    it('is success where one step finds all gone and another does not; a step that fails ends the call', async () => {
      const steps = [1, 2, 3].map((number) => ({ method: 'POST', path: `/${number}/{account}` }));
      const answers: Record<number, object> = { 1: { status: 404, json: {} }, 2: { status: 202 }, 3: { status: 200 } };
      const routes = [1, 2, 3].map((n) => ({ call: `POST /${n}/{}`, expects: {}, answer: () => answers[n] as object }));
      vendor.reset(routes);
      expect(await revoke({ steps, livesOn: 'the rest' })).toEqual({
        state: 'accepted',
        what: ['sessions'],
        partial: 'the rest',
      });
      answers[2] = { status: 500 };
      vendor.reset(routes);
      await expect(revoke({ steps })).rejects.toMatchObject({ reason: 'server' });
      expect(vendor.requests).toHaveLength(2);
    });
  });

  it('has no path in an error, a log or a watcher, since a secret may stand in it', async () => {
    const hook = '/hooks/a-s3cret';
    const names: string[] = [];
    const onRequest = ({ operation }: { operation: string }) => names.push(operation);
    const options = (url: string) => ({
      url,
      find: { path: `${hook}/{account}`, where: '/mail' },
      steps: [
        { method: 'POST', path: `${hook}/{id}/first` },
        { method: 'POST', path: `${hook}/{id}/second(x)` },
      ],
      check: { path: `${hook}/of/check` },
    });
    const routes = (answers: object[]): Route[] =>
      [`GET ${hook}/{}`, `POST ${hook}/{}/first`, `POST ${hook}/{}/second(x)`].map((call, index) => ({
        call,
        expects: {},
        answer: () => answers[index] ?? { status: 500 },
      }));
    const found = { json: { mail: ACCOUNT, id: '7' } };
    const odd = { json: { mail: ACCOUNT, id: '7(' } };
    const inside = { ...options(vendor.url), steps: [{ method: 'POST', path: `${hook}/x{id}` }] };
    for (const [answers, over, message] of [
      [[], options(vendor.url), 'http: GET of find answered 500'],
      [[{ text: 'garbage' }], options(vendor.url), 'http: GET of find answered with what is not JSON'],
      [[found], options(vendor.url), 'http: POST of step 1 answered 500'],
      [[found, {}], options(vendor.url), 'http: POST of step 2 answered 500'],
      [[odd], inside, 'http: POST of step 1 was not called, since {id} has characters that need quoting'],
    ] as const) {
      vendor.reset(routes([...answers]));
      const error = await revoke(over, ACCOUNT, { onRequest }).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ message });
      expect(inspect(error, { depth: 6 })).not.toContain('s3cret');
    }
    const away = await revoke(options(`http://127.0.0.1:${await freePort()}`), ACCOUNT, { onRequest }).catch(String);
    const checked = http.options.parse({ ...options(vendor.url), ends: ['sessions'] });
    expect(await http.check(checked, calls.call({ onRequest }))).toEqual({
      ok: false,
      problem: 'http: GET of check answered 501',
    });
    expect(JSON.stringify([away, names])).not.toContain('s3cret');
    expect(new Set(names)).toEqual(
      new Set(['http: GET of find', 'http: POST of step 1', 'http: POST of step 2', 'http: GET of check']),
    );
  });

  it.each(['sessions', 'access'])('calls nobody for refresh-only where it ends %s', async (what) => {
    vendor.reset([]);
    const options = { steps: [{ method: 'POST', path: '/x/{account}' }], ends: ['refresh_tokens', what] };
    await expect(revoke(options, ACCOUNT, { mode: 'refresh-only' })).rejects.toMatchObject({ reason: 'refused' });
    expect(vendor.requests).toEqual([]);
  });

  it.each([
    ['none', { type: 'none' }, {}],
    ['basic', { type: 'basic', user: 'u', password: 'p:s3cret' }, { authorization: `Basic ${btoa('u:p:s3cret')}` }],
    ['header', { type: 'header', name: 'x-api-key', value: 'k-s3cret' }, { 'x-api-key': 'k-s3cret' }],
    [
      'oauth',
      { type: 'oauth', clientId: 'c', clientSecret: 's3cret', parameters: { scope: 'a b' } },
      { authorization: 'Bearer t-s3cret' },
    ],
  ])('proves who calls [%s]', async (_what, auth, wanted) => {
    vendor.reset([
      {
        call: 'POST /token',
        expects: {
          headers: { authorization: `Basic ${btoa('c:s3cret')}`, accept: 'application/json' },
          form: { grant_type: 'client_credentials', scope: 'a b' },
        },
        answer: () => ({ json: { access_token: 't-s3cret', token_type: 'bearer' } }),
      },
      {
        call: 'DELETE /u/{}',
        expects: { headers: { accept: 'application/json', ...wanted } },
        answer: () => ({ status: 204 }),
      },
    ]);
    const full = auth.type === 'oauth' ? { ...auth, tokenUrl: `${vendor.url}/token` } : auth;
    const options = {
      url: vendor.url,
      auth: full,
      steps: [{ method: 'DELETE', path: '/u/{account}' }],
      ends: ['sessions'],
    };
    const parsed = http.options.parse(options);
    const check = await http.check(parsed, calls.call());
    expect([check.ok, 'unasked' in check]).toEqual([true, auth.type !== 'oauth']);
    expect(vendor.requests.map(({ call }) => call)).toEqual(auth.type === 'oauth' ? ['POST /token'] : []);
    expect(await http.revoke(ACCOUNT, parsed, calls.call())).toEqual({ state: 'revoked', what: ['sessions'] });
    expect(vendor.violations).toEqual([]);
  });

  describe('a mistake is named at the start, with its place', () => {
    const one = { method: 'POST', path: '/u/{account}' };
    const steps = (over: object) => ({ steps: [one, { ...one, ...over }] });
    it.each([
      ['url', { url: 'https://app.example.com/#/' }],
      ['url', { url: 'https://app.example.com/api?' }],
      ['url', { url: 'https://app.example.com/api?tenant=1' }],
      ['url', { url: 'https://ada:s3cret@app.example.com' }],
      [
        'auth.tokenUrl',
        { auth: { type: 'oauth', tokenUrl: 'https://a.example.com/#', clientId: 'c', clientSecret: 's' } },
      ],
      ['steps', { steps: [] }],
      ['steps', { steps: Array.from({ length: 6 }, () => one) }],
      ['steps.1', steps({ path: '/logout-everybody' })],
      ['steps.1', steps({ path: '/logout', json: { everybody: true } })],
      ['ends', { ends: [] }],
      ['ends', { ends: ['sessions', 'sessions'] }],
      ['ends.0', { ends: ['everything'] }],
      ['steps.1.method', steps({ method: 'TRACE' })],
      ['steps.1.method', steps({ method: 'GET', json: {} })],
      ['steps.1.form', steps({ json: {}, form: { a: '1' } })],
      ['steps.1.path', steps({ path: 'u/{account}' })],
      ['steps.1.path', steps({ path: 'https://elsewhere.example.com/{account}' })],
      ['steps.1.path', steps({ path: '//elsewhere.example.com/{account}' })],
      ['steps.1.path', steps({ path: '/\\elsewhere/{account}' })],
      ['steps.1.path', steps({ path: '/a/../{account}' })],
      ['steps.1.path', steps({ path: '/a/%2e%2E/{account}' })],
      ['steps.1.path', steps({ path: '/a b/{account}' })],
      ['steps.1.path', steps({ path: '/a/{account}#x' })],
      ['steps.1.path', steps({ path: '/a/{acount}' })],
      ['steps.1.path', steps({ path: '/a/{account' })],
      ['steps.1.path', steps({ path: '/a?{account}=1' })],
      ['steps.1.path', steps({ path: '/a?x=1&x={account}' })],
      ['steps.1.path', steps({ path: '/a/{id}' })],
      ['steps.1.json', steps({ json: { a: '{id}' } })],
      ['steps.1.json', steps({ json: { a: ['{acount}'] } })],
      ['steps.1.json', steps({ json: { '{account}': 1 } })],
      ['steps.1.form', steps({ form: { '{account}': '1' } })],
      ['steps.1.form.a', steps({ form: { a: '{user}' } })],
      ['steps.1.headers.x-user', steps({ headers: { 'x-user': '{account}' } })],
      ['steps.1.headers.x-user', steps({ headers: { 'x-user': 'a\nb' } })],
      ['steps.1.headers.X-User', steps({ headers: { 'X-User': 'a' } })],
      ['steps.1.headers.host', steps({ headers: { host: 'elsewhere' } })],
      ['steps.1.headers.{account}', steps({ headers: { '{account}': 'a' } })],
      ['steps.1.statuses', steps({ statuses: { done: [409], never: [409] } })],
      ['steps.1.statuses.done.0', steps({ statuses: { done: [99] } })],
      ['steps.1.failsWhen.0.at', steps({ failsWhen: [{ at: 'ok', is: false }] })],
      ['find', { find: { path: '/u?q={account}', where: '/mail' } }],
      ['find.path', { find: { path: '/u/{id}', where: '/mail' }, steps: [{ method: 'POST', path: '/u/{id}' }] }],
      ['find.where', { find: { path: '/u', where: 'mail' } }],
      ['find.method', { find: { path: '/u', where: '/mail', method: 'DELETE' } }],
      ['check.path', { check: { path: '/u/{account}' } }],
      ['auth', { auth: { type: 'oauth' } }],
      ['auth.name', { auth: { type: 'header', name: 'Content-Length', value: '1' } }],
    ])('%s: %j', (place, over) => {
      const options = { url: 'https://app.example.com', steps: [one], ends: ['sessions'], ...over };
      const { error } = http.options.safeParse(options);
      const places = error?.issues.map(({ path }) => path.join('.')) ?? [];
      expect(places.some((found) => found === place || found.startsWith(`${place}.`))).toBe(true);
    });

    it('and braces of a query language are none', () => {
      const json = {
        query: 'mutation($mail: String!) { logout(mail: $mail) { ok } }',
        variables: { mail: '{account}' },
      };
      const options = {
        url: 'https://app.example.com',
        steps: [{ method: 'POST', path: '/graphql', json }],
        ends: ['sessions'],
      };
      expect(http.options.safeParse(options).error).toBeUndefined();
    });
  });

  it('ends the sessions of one user at better-auth, found by e-mail address', async () => {
    const database = { user: [], session: [], account: [], verification: [] } as Record<
      string,
      { email: string; role: string }[]
    >;
    const server = createServer((req, res) => handler(req, res));
    closers.push(() => server.close().closeAllConnections());
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const auth = betterAuth({
      baseURL: url,
      secret: 'a secret of the spec, long enough',
      database: memoryAdapter(database),
      emailAndPassword: { enabled: true },
      rateLimit: { enabled: false },
      telemetry: { enabled: false },
      plugins: [admin(), bearer()],
    });
    const handler = toNodeHandler(auth);
    const post = (path: string, body: object) =>
      fetch(`${url}/api/auth${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin: url },
        body: JSON.stringify(body),
      });
    const signUp = async (email: string) =>
      (await post('/sign-up/email', { email, name: email, password: 'a password of the spec' })).headers.get(
        'set-auth-token',
      );
    const isSignedIn = async (token: string | null) =>
      (await (await fetch(`${url}/api/auth/get-session`, { headers: { authorization: `Bearer ${token}` } })).json()) !==
      null;

    const operator = await signUp('operator@example.com');
    for (const user of database.user as { role: string }[]) user.role = 'admin';
    const [ada, adas, lookAlike] = [
      await signUp('ada@example.com'),
      (await post('/sign-in/email', { email: 'ada@example.com', password: 'a password of the spec' })).headers.get(
        'set-auth-token',
      ),
      await signUp('xada@example.com'),
    ];
    expect(await Promise.all([operator, ada, adas, lookAlike].map(isSignedIn))).toEqual([true, true, true, true]);

    const options = http.options.parse({
      url: `${url}/api/auth`,
      auth: { type: 'bearer', token: operator },
      find: {
        path: '/admin/list-users?searchField=email&searchOperator=contains&searchValue={account}&limit=100',
        items: '/users',
        where: '/email',
      },
      steps: [
        {
          method: 'POST',
          path: '/admin/revoke-user-sessions',
          json: { userId: '{id}' },
          failsWhen: [{ at: '/success', is: false }],
        },
      ],
      ends: ['sessions'],
      check: { path: '/admin/list-users?limit=1' },
    });
    expect(await http.check(options, calls.call())).toMatchObject({ ok: true });
    expect(await http.revoke('ada@example.com', options, calls.call())).toEqual({
      state: 'revoked',
      what: ['sessions'],
    });
    expect(await Promise.all([operator, ada, adas, lookAlike].map(isSignedIn))).toEqual([true, false, false, true]);
    expect(await http.revoke('alan@example.com', options, calls.call())).toEqual({ state: 'none', what: [] });

    const wrong = http.options.parse({
      ...described(url),
      url: `${url}/api/auth`,
      check: { path: '/admin/list-users?limit=1' },
    });
    expect(await http.check(wrong, calls.call())).toMatchObject({
      ok: false,
      problem: 'http: GET of check answered 401',
    });
  });
});
