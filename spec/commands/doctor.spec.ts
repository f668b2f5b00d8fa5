/** `doctor` beside a real gateway: all is well, then one thing at a time is broken, and its line says so. */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Queue, UnrecoverableError, Worker } from 'bullmq';
import { createSealer } from '../../src/audit/seal.js';
import { auditKey } from '../../src/audit.js';
import { checkSettings } from '../../src/commands/doctor/settings.js';
import { readConfig } from '../../src/config.js';
import { createDataKeys, dataKeyText, newDataKey } from '../../src/data-key.js';
import { tellDataKeys } from '../../src/data-key-use.js';
import { startEmbeddedRedis } from '../../src/embedded-redis.js';
import { ALERTS_QUEUE } from '../../src/fanout/alert.js';
import { createEnqueue } from '../../src/fanout/enqueue.js';
import { eventsQueue } from '../../src/fanout/events.js';
import { appQueue } from '../../src/fanout/job.js';
import { loadSigningKeys } from '../../src/outbound/signing-keys.js';
import { certificateOf } from '../support/certificate.js';
import { createFolder, runCommand } from '../support/command.js';
import { SECRET } from '../support/endpoint.js';
import { eventually } from '../support/eventually.js';
import { ADMIN_TOKEN, configOf, startGateway } from '../support/gateway.js';
import { CLIENT, type Okta, startOkta } from '../support/okta.js';
import { type OwnRedis, startOwnRedis } from '../support/own-redis.js';
import { startTargetApp, type TargetApp } from '../support/target-app.js';

const RUN_MS = 90_000;
const API_KEY = 'a-s3cret-api-key';
const OPERATE = new URL('../../docs/operate.md', import.meta.url);
const NOWHERE = 'http://127.0.0.1:1';
const key = { ...newDataKey(), id: 'one' };
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const GOOD = certificateOf(pair);
const EXPIRED = certificateOf({ ...pair, until: new Date('2025-01-31T00:00:00Z') });

type Env = Record<string, string>;
type Run = Awaited<ReturnType<typeof run>>;

let redis: OwnRedis;
let okta: Okta;
let forum: TargetApp;
let proxy: Awaited<ReturnType<typeof startProxy>>;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let env: Env;

/** What stands in front of the gateway, and may rewrite its answers. */
async function startProxy() {
  const state = {
    target: '',
    hides: '',
    keys: undefined as object | undefined,
    status: undefined as number | undefined,
  };
  const server = createServer(async (req, res) => {
    if (req.url === '/.well-known/jwks.json' && state.keys) {
      res.end(JSON.stringify(state.keys));
      return;
    }
    const answer = await fetch(state.target + req.url, { method: req.method ?? 'GET' });
    const headers = [...answer.headers].filter(([name]) => ![state.hides, 'transfer-encoding'].includes(name));
    res.writeHead(state.status ?? answer.status, Object.fromEntries(headers)).end(await answer.text());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => new Promise((resolve) => server.close(resolve).closeAllConnections());
  return { state, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

const origin = () => new URL(forum.url).origin;
const trust = (id: string, more: object = {}) => ({
  ...{ id, issuers: [`https://${id}.example.com`], client: CLIENT, keys: { jwksUri: okta.jwksUri } },
  ...more,
});
const app = (id: string, more: object = {}, { url = origin(), apiKey = API_KEY } = {}) => ({
  ...{ id, connector: 'discourse', options: { url, apiKey, apiUser: 'system' } },
  ...more,
});
const webhook = (id: string, url: string) => ({ id, connector: 'webhook', options: { url, secret: SECRET } });
const operators = (issuer: string, subjectIssuers: string[] = []) => ({
  oidc: { issuer, clientId: '0oa9', clientSecret: 'a-s3cret-of-oidc', groups: ['SecOps'], subjectIssuers },
});
const good = () => ({
  publicUrl: proxy.url,
  alerts: { webhook: { url: `${origin()}/alert`, secret: SECRET } },
  tenants: [{ id: 'default', trusts: [trust('okta')], apps: [app('forum', { assignedTo: { groups: ['Staff'] } })] }],
});

function folderOf(settings: object): string {
  const folder = createFolder(settings);
  chmodSync(join(folder, 'universal-logout.yaml'), 0o600);
  return folder;
}

/** Has a job of this queue fail. */
async function failIn(connection: OwnRedis['admin'], name: string, error: Error): Promise<void> {
  const queue = new Queue(name, { connection, prefix: 'ul' });
  await queue.add('call', {}, { attempts: 9, backoff: 60_000 });
  const worker = new Worker(name, () => Promise.reject(error), { connection, prefix: 'ul' });
  await once(worker, 'failed');
  await Promise.all([worker.close(), queue.close()]);
}

const run = (settings: object, more: Env = {}, args: string[] = []) => runIn(folderOf(settings), more, args);

async function runIn(folder: string, more: Env = {}, args: string[] = []) {
  const { code, stdout, stderr } = await runCommand(['doctor', '--all', ...args], { folder, env: { ...env, ...more } });
  expect(stdout + stderr).not.toMatch(/s3cret|whsec_|@example| {4}at /);
  const lines = stdout.split('\n').flatMap((line) => {
    const [, state, check, text] = /^(ok|warning|problem|not checked) {2,}(\S.*?) {2,}(\S.*)$/.exec(line) ?? [];
    return state === undefined ? [] : [`${state} ${check}: ${text}`];
  });
  return { code, stdout, stderr, lines, amiss: lines.filter((line) => !line.startsWith('ok ')) };
}

beforeAll(async () => {
  [redis, okta, forum, proxy] = await Promise.all([startOwnRedis(), startOkta(), startTargetApp(), startProxy()]);
  forum.answerWith((res, { headers, path }) => {
    if (path.startsWith('/hangs')) return;
    const status = headers['api-key'] === API_KEY ? 200 : 403;
    res.writeHead(status, { 'content-type': 'application/json' }).end('[]');
  });
  const both = { ...good(), tenants: [...good().tenants, { id: 'acme' }] };
  gateway = await startGateway(both, { prefix: 'ul', config: { redisUrl: redis.url, dataKeys: [key] } });
  proxy.state.target = gateway.url;
  const { dataDir } = gateway.config;
  env = { REDIS_URL: redis.url, DATA_DIR: dataDir, ADMIN_TOKEN, DATA_KEY: dataKeyText(key) };
  const ada = { userName: 'ada', externalId: '00u1ada', emails: ['ada@example.com'], groups: ['Staff'] };
  await Promise.all([gateway.directory.put('default', ada), gateway.directory.put('acme', { userName: 'grace' })]);
  const job = { account: createDataKeys([key]).seal('ada@example.com', 'acme') };
  await redis.admin.hset(`ul:${appQueue('acme', 'gone')}:rev_1`, { data: JSON.stringify(job) });
  // The first record of the audit trail, so that there is something to seal.
  await fetch(`${gateway.url}/global-token-revocation`, { method: 'POST' });
  await eventually(
    () => existsSync(join(dataDir, 'audit-checkpoints.jsonl')),
    (exists) => exists,
  );
}, RUN_MS);

afterAll(async () => {
  await gateway.close();
  await Promise.all([redis.close(), okta.close(), forum.close(), proxy.close()]);
});

it(
  'finds nothing where all is well, and changes nothing, not even for an app that is new',
  async () => {
    const before = await gateway.state();
    const settings = good();
    settings.tenants[0]?.apps.push(app('newcomer'));
    const { code, stdout, lines, amiss } = await run({
      ...settings,
      operators: operators(okta.issuer, ['https://okta.example.com']),
    });
    expect([code, amiss]).toEqual([0, []]);
    expect(stdout).toMatch(/\n0 problems, 0 warnings, \d\d ok\n$/);
    expect(await gateway.state()).toEqual(before);
    expect(await redis.admin.keys('*newcomer*')).toEqual([]);
    const order = ['settings', 'redis', 'data keys', 'endpoint default', 'keys default/okta', 'app default/forum'];
    const checks = lines.map((line) => /^ok (.*?): /.exec(line)?.[1] ?? '');
    expect(checks.filter((check) => order.includes(check))).toEqual(order);
    // The page that says what each is about leaves none out.
    const table = /\n\| check \| looks at \|\n(.*?)\n\n/s.exec(readFileSync(OPERATE, 'utf8'))?.[1] ?? '';
    const documented = [...table.matchAll(/`([a-z A-Z]+?)( …)?`/g)].map(([, name]) => name);
    expect(checks.filter((check) => !documented.some((name) => `${check} `.startsWith(`${name} `)))).toEqual([]);
  },
  RUN_MS,
);

type Amiss = [what: string, line: RegExp][];

function tellsJust(amiss: Amiss, found: () => Run): void {
  it.each(amiss)('%s', (_what, line) => {
    expect(found().amiss).toContainEqual(expect.stringMatching(line));
  });

  it('and nothing else, in this order, with exit code 1', () => {
    expect(found().amiss).toEqual(amiss.map(([, line]) => expect.stringMatching(line)));
    expect(found().code).toBe(1);
  });
}

/** Each thing in the settings is wrong in one way; nothing else is to be told. */
const inSettings: Amiss = [
  ['no operators', /^warning operators: ADMIN_TOKEN is not set: .* → set it/],
  ['operators unknown to every trust', /^warning operators: a universal logout of an operator .* → name the issuer/],
  ['no alerts', /^warning alerts: nobody is told .* → set alerts\.webhook$/],
  ['a trust that is disabled', /^warning tenant default: a trust is disabled: .* 403 \(off\) → /],
  [
    'audiences without the endpoint',
    /^warning tenant default: audiences of none lack the endpoint: a JWT of Okta, made for http\S+, is answered 401 → add/,
  ],
  [
    'a gateway that runs with another settings file',
    /^problem metadata default: names another endpoint than these settings: "http\S+\/global-token-revocation" → /,
  ],
  [
    'and for another tenant',
    /^problem metadata acme: names another endpoint than these settings: "http\S+\/acme\/glob/,
  ],
  [
    'an issuer of operators that is away',
    /^problem operators: nobody can sign in at \/console, since .*: 127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\) → look/,
  ],
  ['an issuer that is away', /^problem keys default\/away: cannot be fetched: 127\.0\.0\.1:1 .*\(ECONNREFUSED\) → /],
  ['an issuer without a key for the algorithm', /^problem keys default\/none: 0 usable keys for ES256: every request/],
  [
    'a certificate that ran out',
    /^problem certificates default\/saml: all ran out \(2025-01-31\): Okta signs with oth/,
  ],
  ['one that ran out beside a good one', /^warning certificates default\/two: ran out on 2025-01-31; good until 2049-/],
  [
    'a trust that looks for what nobody has',
    /^problem identifiers acme\/okta: none of 1 user looked at has externalId/,
  ],
  [
    'credentials that the app refuses',
    /^problem app default\/refused: discourse: GET \S+ answered 403.* → `universal-/,
  ],
  [
    'a group that is not there',
    /^problem assigned default\/group: the directory has no group Engineering: a revocation/,
  ],
  ['an app that hangs', /^problem app default\/hangs: discourse: .*in time/],
  ['and another', /^problem app default\/hangs-too: discourse: .*in time/],
  [
    'a webhook where nobody listens',
    /^problem app default\/closed: webhook: 127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\) → /,
  ],
  [
    'one that may not be called',
    /^problem app default\/private: webhook: 10\.1\.2\.3: private and special addresses are refu/,
  ],
  [
    'one that cannot be asked',
    /^not checked app default\/silent: webhook: nothing to ask: .*; somebody listens at its address$/,
  ],
  ['an account that nobody has', /^problem assigned acme\/forum: none of 1 who are assigned has email/],
];

describe('says of each thing in the settings what is wrong with it', () => {
  let found: Run;
  beforeAll(async () => {
    const hangs = { url: `${origin()}/hangs` };
    const delivery = { timeoutMs: 300 };
    const tenants = [
      {
        id: 'default',
        trusts: [
          trust('off', { enabled: false, keys: { jwksUri: `${NOWHERE}/keys` } }),
          trust('away', { keys: { jwksUri: `${NOWHERE}/keys` } }),
          trust('none', { algorithms: ['ES256'], audiences: ['https://logout.example.com'] }),
          trust('saml', { keys: { certificates: [EXPIRED] } }),
          trust('two', { keys: { certificates: [EXPIRED, GOOD] } }),
        ],
        apps: [
          app('refused', {}, { apiKey: 'another-s3cret' }),
          app('group', { assignedTo: { groups: ['Engineering'] } }),
          app('hangs', { delivery }, hangs),
          app('hangs-too', { delivery }, hangs),
          webhook('closed', `${NOWHERE}/hook`),
          webhook('private', 'https://10.1.2.3/hook'),
          webhook('silent', `${origin()}/hook`),
        ],
      },
      { id: 'acme', trusts: [trust('okta', { identifiers: ['externalId'] })], apps: [app('forum')] },
    ];
    // The same address in another spelling.
    const publicUrl = proxy.url.replace('127.0.0.1', '127.1');
    found = await run(
      { ...good(), publicUrl, alerts: {}, operators: operators(NOWHERE), tenants },
      { ADMIN_TOKEN: '' },
    );
  }, RUN_MS);

  it.each(inSettings)('%s', (_what, line) => {
    expect(found.amiss).toContainEqual(expect.stringMatching(line));
  });

  it('and nothing else, in this order, with exit code 1', () => {
    expect(found.amiss).toEqual(inSettings.map(([, line]) => expect.stringMatching(line)));
    const count = (state: string) => inSettings.filter(([, line]) => line.source.startsWith(`^${state}`)).length;
    const counts = `${count('problem')} problems, ${count('warning')} warnings, \\d+ ok, ${count('not')} not checked`;
    expect(found.stdout).toMatch(new RegExp(`\\n${counts}\\n$`));
    expect(found.code).toBe(1);
  });
});

it('tells operators without a token what that closes', () => {
  const oidc = { issuer: 'https://acme.okta.com', clientId: '0oa9', clientSecret: 'x', groups: ['SecOps'] };
  for (const [operators, words] of [
    [{}, 'refuse everybody'],
    [{ oidc }, 'nobody comes in while the issuer of operators.oidc is away'],
  ] as const) {
    const config = configOf({ tenants: [{ id: 'default' }], operators }, { adminToken: undefined });
    const found = checkSettings(config, []).find(({ check }) => check === 'operators');
    expect(found).toMatchObject({ state: 'warning', what: expect.stringContaining(words) });
  }
});

const admin = { method: 'POST', headers: { authorization: `Bearer ${ADMIN_TOKEN}` } };

describe.each<{ what: string; spoil: () => Promise<unknown>; mend: () => Promise<unknown>; amiss: Amiss }>([
  {
    what: 'of Redis, the clock and the proxy, and of an app that is paused',
    async spoil() {
      okta.state.headers = { date: new Date(Date.now() - 95_000).toUTCString() };
      proxy.state.hides = 'www-authenticate';
      proxy.state.keys = { keys: [pair.publicKey.export({ format: 'jwk' })] };
      await redis.set('maxmemory-policy', 'allkeys-lru');
      await redis.set('appendfsync', 'everysec');
      await fetch(`${gateway.url}/api/apps/default/forum/pause`, admin);
    },
    async mend() {
      okta.state.headers = {};
      proxy.state.hides = '';
      proxy.state.keys = undefined;
      await redis.set('maxmemory-policy', 'noeviction');
      await redis.set('appendfsync', 'always');
      await fetch(`${gateway.url}/api/apps/default/forum/resume`, admin);
    },
    amiss: [
      [
        'it evicts',
        /^problem redis eviction: maxmemory-policy allkeys-lru: .* → CONFIG SET maxmemory-policy noeviction/,
      ],
      ['it is slow to write to disk', /^warning redis disk: appendfsync everysec: a crash loses .* → CONFIG SET app/],
      ['the gateway says so too', /^problem public URL: \/readyz says redis_evicts → /],
      [
        'another gateway is there',
        /^problem public URL: another gateway answers there: it has none of the keys of DATA_DIR/,
      ],
      ['our challenge is taken away', /^problem endpoint default: .*: 401 without WWW-Authenticate: Bearer, .* → look/],
      [
        'a clock is off',
        /^problem clock: ours is \d+ s ahead of that of 127\.0\.0\.1:\d+: JWTs are refused beyond 60 s/,
      ],
      [
        'an operator has paused it',
        /^warning queue default\/forum: paused by an operator since \S+Z; 0 calls waiting → POST/,
      ],
    ],
  },
  {
    what: 'of a Redis that is full, a proxy behind which nobody is, and an app that is not called',
    async spoil() {
      const lane = { until: Date.now() + 600_000, since: Date.now(), why: 'auth' };
      await redis.admin.hset('ul:{default}:lane:forum', lane);
      await redis.set('appendonly', 'no');
      await redis.set('maxmemory', '1mb');
      proxy.state.status = 502;
    },
    async mend() {
      proxy.state.status = undefined;
      await redis.set('maxmemory', '0');
      await redis.set('appendonly', 'yes');
      await redis.admin.del('ul:{default}:lane:forum');
    },
    amiss: [
      ['it takes no writes', /^problem redis writes: it has no memory left \(OOM\): raise its maxmemory.* → until/],
      [
        'it keeps nothing',
        /^problem redis disk: appendonly is off: a restart of Redis loses accepted revocations → CONFIG/,
      ],
      [
        'it has no room',
        /^problem redis memory: \d\.\d MB used of 1\.0 MB \(\d+ %\): when it is full, revocations are 503/,
      ],
      ['no gateway answers', /^problem public URL: \S+ answers 502, not by the gateway → /],
      [
        'nor who it is',
        /^not checked public URL: whether the gateway there is ours, which its signing keys would tell$/,
      ],
      ['nor its endpoint', /^problem endpoint default: \S+ answers 502 to a request without a token, not 401 → /],
      ['nor its metadata', /^warning metadata default: the metadata of RFC 8414 is not shown \(502\) → /],
      [
        'it is held',
        /^problem queue default\/forum: held since \S+Z: the app refuses our credentials; 0 calls waiting → /,
      ],
    ],
  },
])('says what is wrong outside $what', ({ spoil, mend, amiss }) => {
  let found: Run;
  beforeAll(async () => {
    await spoil();
    found = await run(good()).finally(mend);
  }, RUN_MS);

  tellsJust(amiss, () => found);
});

describe('says what is wrong with the processes that run', () => {
  const amiss: Amiss = [
    [
      'no worker',
      /^problem gateways: none carries anything out: what is accepted waits → start `universal-logout serve/,
    ],
    [
      'one with older settings',
      /^problem gateways: process \d+ on \S+ runs with other settings than are in \S+ now → rest/,
    ],
    [
      'nobody takes what is accepted',
      /^problem intake: 1 accepted revocation not yet handed to the apps, the first for 20 mi/,
    ],
    [
      'one without a data key',
      /^problem data keys: the gateway of process \d+ on \S+ has none, and seals nothing → give/,
    ],
    [
      'what was not looked at',
      /^not checked data keys: whether what is sealed opens beyond the first 20,000 of 20,\d\d\d keys$/,
    ],
    [
      'nobody of those looked at has an identifier',
      /^warning identifiers many\/okta: none of 200 users looked at has externalId: req/,
    ],
    [
      'nobody of a group has an account',
      /^problem assigned many\/middle: none of 1 who are assigned has email, by which/,
    ],
    [
      'nobody of those looked at has one',
      /^warning assigned many\/wide: none of 200 who are assigned has externalId, .* looked at: /,
    ],
    [
      'what was given up, and why',
      /^problem queue many\/given-up: 1 call failed for good, the last one so: discourse: POST answered 422; 0 calls .* → me/,
    ],
    [
      'an alert that was given up',
      /^warning alerts: 1 message given up, the last one so: alert: POST answered 410 → look/,
    ],
    [
      'events not taken',
      /^problem events many\/refuses: 1 message not taken so far: events: POST of a webhook answered 401 → /,
    ],
    [
      'and nobody to take them',
      /^problem events many\/closed: 127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\) → look/,
    ],
    ['a trail without a checkpoint', /^problem audit default: nothing in it is sealed → is a worker running\?/],
    ['one that has not been sealed lately', /^problem audit acme: not sealed since \S+Z → is a worker running\?/],
  ];
  let found: Run;
  beforeAll(async () => {
    // Another Redis to all that counts.
    const elsewhere = { REDIS_URL: `${redis.url}/1` };
    const admin = redis.admin.duplicate({ db: 1 });
    const parts = { trusts: [trust('okta')], apps: [app('forum')] };
    const receiver = (id: string, url: string) => ({ id, webhook: { url, secret: SECRET } });
    const many = {
      events: [receiver('refuses', `${origin()}/events`), receiver('closed', `${NOWHERE}/events`)],
      trusts: [trust('okta', { identifiers: ['externalId'] })],
      apps: [
        app('middle', { assignedTo: { groups: ['Middle'] } }),
        app('wide', { account: 'externalId' }),
        app('given-up', { account: 'userName' }),
      ],
    };
    const tenants = [
      { id: 'default', ...parts },
      { id: 'acme', ...parts },
      { id: 'many', ...many },
    ];
    const settings = { ...good(), tenants };
    const folder = folderOf(settings);
    const file = join(folder, 'universal-logout.yaml');
    const { settingsDigest } = readConfig({ CONFIG_FILE: file });
    appendFileSync(file, '# mended\n');
    const api = await startGateway(settings, {
      ...{ prefix: 'ul', roles: ['api'] },
      config: { redisUrl: elsewhere.REDIS_URL, ...(settingsDigest !== undefined && { settingsDigest }) },
    });
    const newer = readConfig({ CONFIG_FILE: file }).settingsDigest;
    const restarted = tellDataKeys(admin, 'ul', createDataKeys([key]), { roles: ['api'], settings: newer });
    const ada = { userName: 'ada', externalId: '00u1ada', emails: ['ada@example.com'] };
    await Promise.all(['default', 'acme'].map((tenant) => api.directory.put(tenant, ada)));
    const putMany = (from: number) =>
      Promise.all(Array.from({ length: 100 }, (_, n) => api.directory.put('many', { userName: `user${from + n}` })));
    await putMany(0);
    await api.directory.put('many', { userName: 'middle', externalId: '00u1middle', groups: ['Middle'] });
    await putMany(100);
    await Promise.all([
      failIn(admin, appQueue('many', 'given-up'), new UnrecoverableError('discourse: POST answered 422')),
      failIn(admin, ALERTS_QUEUE, new UnrecoverableError('alert: POST answered 410')),
      failIn(
        admin,
        eventsQueue({ tenant: 'many', id: 'refuses' }),
        new Error('events: POST of a webhook answered 401'),
      ),
    ]);
    const { dataDir } = api.config;
    const ago = (minutes: number) => Date.now() - minutes * 60_000;
    const revocation = { revocationId: 'rev_1', tenant: 'default', trust: 'okta', user: 'u1', via: [], accounts: [] };
    const enqueue = createEnqueue(admin, 'ul', createDataKeys([]));
    await enqueue.add({ ...revocation, mode: 'full', acceptedAt: ago(20) });
    await admin.xadd(auditKey('ul', 'acme'), `${ago(4)}-0`, 'entry', 'event=app.paused');
    const sealer = createSealer({
      ...{ redis: admin, prefix: 'ul', now: Date.now, retentionMs: 86_400_000 },
      ...{ signingKeys: await loadSigningKeys(join(dataDir, 'signing-keys.json')) },
      file: join(dataDir, 'audit-checkpoints.jsonl'),
    });
    await sealer.seal('acme');
    for (const tenant of ['default', 'acme']) {
      for (const id of [`${ago(3)}-0`, '*']) await admin.xadd(auditKey('ul', tenant), id, 'entry', 'event=app.resumed');
    }
    await admin.eval("for i = 1, 20000 do redis.call('SET', 'filler:' .. i, '') end", 0);
    proxy.state.target = api.url;
    found = await runIn(folder, { ...elsewhere, DATA_DIR: dataDir });
    proxy.state.target = gateway.url;
    await Promise.all([restarted.close(), enqueue.close()]);
    await api.close();
    await admin.flushdb();
    admin.disconnect();
  }, RUN_MS);

  tellsJust(amiss, () => found);
});

it(
  'tells another data key of the same name, and a certificate of publicUrl that ran out',
  async () => {
    const server = createTlsServer({ key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }), cert: EXPIRED });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const publicUrl = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const other = dataKeyText({ ...newDataKey(), id: 'one' });
    const { code, amiss } = await run({ ...good(), publicUrl }, { DATA_KEY: other });
    server.close();
    expect(amiss).toEqual([
      expect.stringMatching(
        /^problem data keys: 1 sealed text cannot be opened: the key is another one of the same id → /,
      ),
      expect.stringMatching(/^problem certificate: ran out on 2025-01-31: Okta does not call → renew it$/),
      expect.stringMatching(
        /^warning public URL: https:\S+ 127\.0\.0\.1:\d+ cannot be reached \(CERT_HAS_EXPIRED\) → /,
      ),
      expect.stringMatching(/^not checked endpoint default: /),
    ]);
    expect(code).toBe(1);
  },
  RUN_MS,
);

it(
  'tells keys that are not at hand and replicas that are away, and warns of a publicUrl that it cannot reach',
  async () => {
    const other = dataKeyText({ ...newDataKey(), id: 'two' });
    const dataDir = createFolder();
    await loadSigningKeys(join(dataDir, 'signing-keys.json'));
    const { code, amiss } = await run(
      { ...good(), publicUrl: NOWHERE },
      { DATA_KEY: other, REDIS_WAIT_REPLICAS: '1', DATA_DIR: dataDir },
    );
    expect(amiss).toEqual([
      expect.stringMatching(
        /^problem redis replicas: 0 online, REDIS_WAIT_REPLICAS 1: every revocation is answered 503/,
      ),
      expect.stringMatching(/^problem data keys: sealed with a key that is not at hand: 1 text with "one" → /),
      expect.stringMatching(
        /^problem data keys: the gateway of process \d+ on \S+ seals with "one", which is not at hand/,
      ),
      expect.stringMatching(/^warning public URL: \S+ 127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\) → /),
      expect.stringMatching(/^not checked endpoint default: /),
      expect.stringMatching(
        /^problem audit default: its last checkpoint was not signed by a key in DATA_DIR\/signing-k/,
      ),
      expect.stringMatching(/^warning audit checkpoints: there is no /),
    ]);
    expect(code).toBe(1);
  },
  RUN_MS,
);

describe('goes on as far as it can', () => {
  it(
    'without Redis: says why, and what was not checked for that',
    async () => {
      const { code, lines, amiss } = await run(good(), { REDIS_URL: 'redis://:a-s3cret-password@127.0.0.1:1' });
      expect(amiss).toEqual([
        expect.stringMatching(
          /^problem redis: Redis at REDIS_URL does not answer: connect ECONNREFUSED \S+; until .* → start it, or mend R/,
        ),
        ...[
          'gateways',
          'intake',
          'data keys',
          'clock',
          'directory default',
          'assigned default/forum',
          'queue default/forum',
        ]
          .concat('alerts', 'audit trail')
          .map((check) => `not checked ${check}: Redis does not answer`),
      ]);
      for (const check of ['keys default/okta', 'app default/forum', 'endpoint default']) {
        expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^ok ${check}: `)));
      }
      expect(code).toBe(1);
    },
    RUN_MS,
  );

  it(
    'with mistakes in the settings: tells each, and looks at Redis all the same',
    async () => {
      const { code, lines, amiss } = await run({ ...good(), alerts: 3, limits: 4 });
      expect(amiss).toEqual([
        expect.stringMatching(/^problem settings: \S+\.yaml:\d+:\d+ limits is missing or is not an object/),
        expect.stringMatching(/^problem settings: \S+\.yaml:\d+:\d+ alerts is missing or is not an object/),
        'not checked everything else: the settings have mistakes',
      ]);
      expect(lines).toContainEqual(expect.stringMatching(/^ok redis writes: /));
      expect(code).toBe(1);
    },
    RUN_MS,
  );

  it(
    'with the embedded Redis, where one runs: looks at it, and makes no keys',
    async () => {
      const dataDir = createFolder();
      const embedded = await startEmbeddedRedis({ dataDir });
      const { code, lines, amiss } = await run(good(), { REDIS_URL: '', DATA_KEY: '', DATA_DIR: dataDir });
      await embedded.close();
      expect(lines).toContainEqual(expect.stringMatching(/^ok redis disk: appendonly yes, appendfsync always/));
      expect(amiss.map((line) => line.slice(0, line.indexOf(':')))).toEqual([
        ...['problem gateways', 'not checked data keys', 'warning directory default'],
        ...['not checked assigned default/forum', 'not checked audit trail'],
      ]);
      expect([code, readdirSync(dataDir).filter((name) => name.endsWith('.json'))]).toEqual([1, []]);
    },
    RUN_MS,
  );

  it(
    'where no gateway runs: says so, and makes neither Redis nor keys',
    async () => {
      const folder = createFolder(good());
      const { code, stdout } = await runCommand(['doctor'], { folder });
      expect(stdout).toMatch(
        /^problem +redis +no gateway runs with \S+: `serve` would start one, with \S+-server \S+ → start it, /m,
      );
      // What is well is told with --all alone.
      expect(stdout).not.toMatch(/^ok/m);
      expect(stdout).toMatch(/^warning +files +everybody may read \S+, which has secrets in it \(secret, apiKey\) → /m);
      expect([code, existsSync(join(folder, 'data'))]).toEqual([1, false]);
    },
    RUN_MS,
  );
});

it(
  'looks at one tenant alone with --tenant, and says the same in JSON with --json',
  async () => {
    const settings = { ...good(), tenants: [...good().tenants, { id: 'acme' }] };
    const { code, stdout } = await run(settings, {}, ['--tenant', 'acme', '--json']);
    const { summary, checks } = JSON.parse(stdout) as { summary: object; checks: { check: string }[] };
    expect(checks.filter(({ check }) => /default|okta|forum/.test(check))).toEqual([]);
    const [what, todo] = ['has no trusts: nobody may ask for a revocation', 'add one'];
    expect(checks).toContainEqual({ check: 'tenant acme', state: 'warning', what, todo });
    expect(summary).toEqual({ problems: 0, warnings: 2, ok: checks.length - 2, notChecked: 0 });
    expect(code).toBe(0);
  },
  RUN_MS,
);

it(
  'refuses a tenant that there is not, in one sentence',
  async () => {
    const { code, stderr, stdout } = await run(good(), {}, ['--tenant', 'shop']);
    expect([code, stdout, stderr]).toEqual([
      1,
      '',
      expect.stringMatching(/^There is no tenant shop in \S+: it has default\.\n$/),
    ]);
  },
  RUN_MS,
);
