/** `universal-logout serve`: starts, says why not, and stops in time with nothing lost. */
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { whyNotListening } from '../../src/commands/serve.js';
import { createDirectory } from '../../src/directory/directory.js';
import { createRevocationRecords } from '../../src/fanout/record.js';
import { createFolder, type RunningCommand, runCommand, startCommand } from '../support/command.js';
import { type Database, openDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { PUBLIC_URL, startGateway } from '../support/gateway.js';
import { CLIENT, type Okta, signRevocation, startOkta } from '../support/okta.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'serve').toString('base64')}`;
const PATH = '/global-token-revocation';

let database: Database;
let okta: Okta;
let app: TargetApp;
let settings: { tenants: object[] };
const running: RunningCommand[] = [];
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  // Slow enough for calls to be under way at any moment.
  const slowly: Parameters<typeof startTargetApp>[0] = (res) => setTimeout(() => res.writeHead(204).end(), 100);
  [database, okta, app] = await Promise.all([openDatabase(), startOkta(), startTargetApp(slowly)]);
  const trusts = [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }];
  const apps = [{ id: 'intranet', connector: 'webhook', options: { url: app.url, secret: SECRET } }];
  settings = { tenants: [{ id: 'default', trusts, apps }] };
  await provisionAda();
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  for (const command of running) await command.stop();
  await Promise.all([okta.close(), app.close()]);
  await database.close();
});

/** Also after a gateway of a spec, which takes everything with it. */
async function provisionAda(): Promise<void> {
  const { put } = createDirectory(database.redis, 'ul', { graceMs: 60_000, now: Date.now });
  await put('default', { userName: 'ada', emails: [{ value: 'ada@example.com' }] });
}

function serve(args: string[] = [], over: Record<string, string> = {}, its: object = settings) {
  const env = { REDIS_URL: database.url, PORT: '0', ...over };
  const command = startCommand(['serve', ...args], { folder: createFolder(its), env });
  running.push(command);
  return command;
}

async function post(url: string): Promise<number> {
  const { headers, body } = await requestFor('ada@example.com');
  const { status } = await fetch(url + PATH, { method: 'POST', headers, body });
  return status;
}

async function requestFor(email: string) {
  const jwt = await signRevocation(okta.key, { issuer: okta.issuer, audience: PUBLIC_URL + PATH });
  return {
    headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}` },
    body: JSON.stringify({ sub_id: { format: 'email', email } }),
  };
}

/** Sends all of a request but its body, which `finish` sends; the gateway has the rest by then. */
async function slowly(port: number, email: string) {
  const { headers, body } = await requestFor(email);
  const all = { ...headers, 'content-length': body.length, expect: '100-continue' };
  const asked = request({ port, path: PATH, method: 'POST', headers: all });
  const answered = once(asked, 'response') as Promise<[IncomingMessage]>;
  // It may be cut off.
  answered.catch(() => {});
  await once(asked, 'continue');
  return {
    async finish(): Promise<number | undefined> {
      asked.end(body);
      return (await answered)[0].statusCode;
    },
  };
}

it('stops under load within ten seconds, with 0, and loses nothing that it has accepted', async () => {
  const command = serve();
  const url = `http://127.0.0.1:${await command.listening()}`;
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  let stopped = false;
  let accepted = 0;
  const other: unknown[] = [];
  const clients = Array.from({ length: 8 }, async () => {
    while (!stopped) {
      await post(url).then(
        (status) => (status === 204 ? accepted++ : other.push(status)),
        // The connection was refused or not kept: the caller knows that nothing was accepted.
        () => {
          stopped = true;
        },
      );
    }
  });
  await eventually(
    () => accepted,
    (count) => count >= 40,
  );
  const signalled = Date.now();
  command.kill('SIGTERM');
  const { code } = await command.ended;
  const ms = Date.now() - signalled;
  stopped = true;
  await Promise.all(clients);
  expect({ code, other }).toEqual({ code: 0, other: [] });
  expect(ms).toBeLessThan(10_000);
  expect(command.output.stdout).toContain('"msg":"stopped"');
  expect(command.output.stderr).toBe('');

  const successor = await startGateway(settings, {
    roles: ['worker'],
    prefix: 'ul',
    config: { redisUrl: database.url },
  });
  const records = createRevocationRecords(database.redis, { prefix: 'ul', retentionMs: 60_000 });
  const all = await eventually(
    () => records.list('default', { limit: 10_000 }),
    (list) => list.length >= accepted && list.every(({ status }) => status === 'completed'),
    15_000,
  );
  // One more for each client whose answer the stop may have cut off.
  expect(all.length).toBeLessThanOrEqual(accepted + clients.length);
  // They are of one person: a call may serve several.
  const called = new Set(app.calls.map(({ headers }) => String(headers['webhook-id']).replace('_intranet', '')));
  for (const { revocationId, apps } of all) expect(called).toContain(apps.intranet?.servedBy ?? revocationId);
  await successor.close();
});

it('hands back what is under way though clients hold on to it, and takes what one of them still sends', async () => {
  const own = await openDatabase();
  const hanging = await startTargetApp(() => {});
  closing.push(own.close, hanging.close);
  const [tenant] = settings.tenants;
  const apps = [
    {
      ...{ id: 'intranet', connector: 'webhook', options: { url: hanging.url, secret: SECRET } },
      delivery: { timeoutMs: 60_000, concurrency: 1 },
    },
  ];
  const theirs = { tenants: [{ ...tenant, apps }] };
  const { put } = createDirectory(own.redis, 'ul', { graceMs: 60_000, now: Date.now });
  await put('default', { userName: 'ada', emails: [{ value: 'ada@example.com' }] });
  await put('default', { userName: 'grace', emails: [{ value: 'grace@example.com' }] });
  const command = serve([], { REDIS_URL: own.url }, theirs);
  closing.push(command.stop);
  const port = await command.listening();
  const url = `http://127.0.0.1:${port}`;
  expect(await post(url)).toBe(204);
  await eventually(
    () => hanging.calls.length,
    (count) => count === 1,
  );

  const silent = connect(port, '127.0.0.1').on('error', () => {});
  closing.push(() => silent.destroy());
  silent.write(`POST ${PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n`);
  const late = await slowly(port, 'grace@example.com');
  const signalled = Date.now();
  command.kill('SIGTERM');
  await eventually(
    () => command.output.stdout,
    (stdout) => stdout.includes('"msg":"stopping"'),
  );
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(await late.finish()).toBe(204);
  const { code } = await command.ended;
  expect({ code, stderr: command.output.stderr }).toEqual({ code: 0, stderr: '' });
  expect(Date.now() - signalled).toBeLessThan(9_400);
  expect(command.output.stdout).toContain('"msg":"stopped"');
  expect(hanging.calls).toHaveLength(1);
  expect(await own.redis.llen('ul:{app.default.intranet}:active')).toBe(0);
  expect(await own.redis.keys('ul:{canary*')).toEqual([]);

  hanging.answerWith((res) => res.writeHead(204).end());
  const successor = await startGateway(theirs, { roles: ['worker'], prefix: 'ul', config: { redisUrl: own.url } });
  closing.push(successor.close);
  const records = createRevocationRecords(own.redis, { prefix: 'ul', retentionMs: 60_000 });
  await eventually(
    () => records.list('default', { limit: 10 }),
    (list) => list.length === 2 && list.every(({ status }) => status === 'completed'),
  );
});

it('stops in time though whoever is told of what became of revocations hangs, and another process tells it', async () => {
  const own = await openDatabase();
  const [hanging, broken] = await Promise.all([startTargetApp(() => {}), startTargetApp(answer(400))]);
  let finish = () => {};
  const slow = await startTargetApp((res) => {
    finish = () => res.writeHead(204).end();
  });
  closing.push(own.close, hanging.close, broken.close, slow.close);
  const [tenant] = settings.tenants;
  const intranet = (url: string) => ({ id: 'intranet', connector: 'webhook', options: { url, secret: SECRET } });
  const told = { url: hanging.url, secret: SECRET };
  const events = [{ id: 'hook', webhook: told }];
  const theirs = {
    alerts: { webhook: told },
    tenants: [{ ...tenant, apps: [intranet(broken.url), { ...intranet(slow.url), id: 'wiki' }], events }],
  };
  const { put } = createDirectory(own.redis, 'ul', { graceMs: 60_000, now: Date.now });
  await put('default', { userName: 'ada', emails: [{ value: 'ada@example.com' }] });
  await put('default', { userName: 'grace', emails: [{ value: 'grace@example.com' }] });
  const command = serve([], { REDIS_URL: own.url }, theirs);
  closing.push(command.stop);
  const url = `http://127.0.0.1:${await command.listening()}`;
  const tellings = (type: string) => hanging.calls.filter(({ body }) => JSON.parse(body).type === type).length;

  // Of the first one all are told; the call of the second one's app ends only after the stop has begun.
  expect(await post(url)).toBe(204);
  await eventually(
    () => slow.calls.length,
    (count) => count === 1,
  );
  finish();
  await eventually(
    () => [tellings('job.failed'), tellings('revocation.failed')],
    ([alerts, ended]) => alerts === 1 && ended === 1,
  );
  const { headers, body } = await requestFor('grace@example.com');
  expect((await fetch(url + PATH, { method: 'POST', headers, body })).status).toBe(204);
  await eventually(
    () => [slow.calls.length, broken.calls.length],
    ([of, others]) => of === 2 && others === 2,
  );
  const signalled = Date.now();
  command.kill('SIGTERM');
  await eventually(
    () => command.output.stdout,
    (stdout) => stdout.includes('"msg":"stopping"'),
  );
  await new Promise((resolve) => setTimeout(resolve, 500));
  finish();
  const { code } = await command.ended;
  expect({ code, stderr: command.output.stderr }).toEqual({ code: 0, stderr: '' });
  expect(Date.now() - signalled).toBeLessThan(9_400);
  expect(command.output.stdout).toContain('"msg":"stopped"');
  expect([tellings('job.failed'), tellings('revocation.failed')]).toEqual([1, 1]);

  hanging.answerWith(answer(204));
  const successor = await startGateway(theirs, { roles: ['worker'], prefix: 'ul', config: { redisUrl: own.url } });
  closing.push(successor.close);
  await eventually(
    () => [tellings('job.failed'), tellings('revocation.failed')],
    ([alerts, ended]) => alerts === 3 && ended === 3,
    15_000,
  );
});

it('answers probes whatever its role, and takes revocations only where it is an api', async () => {
  const [api, worker] = [serve(['--role', 'api']), serve(['--role', 'worker'])];
  for (const command of [api, worker]) {
    const url = `http://127.0.0.1:${await command.listening()}`;
    for (const path of ['/livez', '/readyz', '/metrics']) expect((await fetch(url + path)).status).toBe(200);
  }
  const [toApi, toWorker] = [await api.listening(), await worker.listening()].map((port) => `http://127.0.0.1:${port}`);
  await provisionAda();
  expect(await post(String(toApi))).toBe(204);
  expect(await post(String(toWorker))).toBe(404);
  for (const path of ['/api/revocations', '/scim/v2/Users', '/console', '/.well-known/jwks.json']) {
    expect([path, (await fetch(`${toApi}${path}`)).status]).not.toEqual([path, 404]);
    expect([path, (await fetch(`${toWorker}${path}`)).status]).toEqual([path, 404]);
  }
  for (const command of [api, worker]) command.kill('SIGINT');
  expect((await Promise.all([api.ended, worker.ended])).map(({ code }) => code)).toEqual([0, 0]);
});

it('does not wait for a connection on which nothing has ever come, as it waits for a request', async () => {
  const command = serve(['--role', 'api']);
  const unused = connect(Number(await command.listening()), '127.0.0.1');
  await once(unused, 'connect');
  const signalled = Date.now();
  command.kill('SIGTERM');
  await once(unused.resume(), 'close');
  expect((await command.ended).code).toBe(0);
  // A request has eight seconds.
  expect(Date.now() - signalled).toBeLessThan(6_000);
});

it.each<[string, () => string]>([
  ['', () => database.url],
  [', also while Redis is away', () => 'redis://127.0.0.1:1'],
])('says in one sentence that the port is taken, and ends%s', async (_, urlOf) => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const { port } = holder.address() as AddressInfo;
  const startedAt = Date.now();
  const command = serve([], { REDIS_URL: urlOf(), PORT: String(port) });
  const { code } = await command.ended;
  expect(Date.now() - startedAt).toBeLessThan(9_000);
  expect({ code, stderr: command.output.stderr }).toEqual({
    code: 1,
    stderr: `Port ${port} on 127.0.0.1 is taken: stop what listens there, or set PORT.\n`,
  });
  holder.close();
});

it.each([
  [
    '192.0.2.1',
    'HOST 192.0.2.1 is no address of this machine: use one of its own, 127.0.0.1, or 0.0.0.0 for all of them.',
  ],
  [
    'nowhere.invalid',
    'HOST nowhere.invalid is a name without an address: use an address of this machine, such as 127.0.0.1.',
  ],
])('says in one sentence why it cannot listen at %s, and ends', async (host, sentence) => {
  const command = serve([], { HOST: host });
  const { code } = await command.ended;
  expect({ code, stderr: command.output.stderr }).toEqual({ code: 1, stderr: `${sentence}\n` });
});

it('says in one sentence that the port is not for everybody', async () => {
  const { message } = whyNotListening(Object.assign(new Error(), { code: 'EACCES' }), { host: '127.0.0.1', port: 443 });
  expect(message).toBe(
    'Port 443 on 127.0.0.1 is not for this user: set PORT to one above 1023, or run where it is allowed.',
  );
});

it.each<[string, (url: string) => Record<string, string>]>([
  ['a Redis elsewhere', (url) => ({ REDIS_URL: url })],
  ['the embedded Redis', () => ({})],
])('says in one sentence which file of keys is broken, and ends with nothing left open: %s', async (_, redisOf) => {
  for (const name of ['signing-keys.json', ...('REDIS_URL' in redisOf('') ? [] : ['data-keys.json'])]) {
    const folder = createFolder(settings);
    const data = join(folder, 'data');
    mkdirSync(data);
    writeFileSync(join(data, name), '{');
    const command = startCommand(['serve'], { folder, env: { ...redisOf(database.url), PORT: '0' } });
    running.push(command);
    const { code } = await command.ended;
    expect({ code, ...command.output }).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(new RegExp(`^${join(data, name)} [^\\n]*\\n$`)),
    });
    expect(readdirSync(data).filter((file) => file.startsWith('redis'))).toEqual([]);
  }
});

it('lists every mistake in the settings, and does not start', async () => {
  const folder = createFolder({ tenants: [{ id: 'A' }], colour: 'green' });
  const { code, stdout, stderr } = await runCommand(['serve'], { folder, env: { LOG_LEVEL: 'loud', PORT: '0' } });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  const lines = stderr.trim().split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/^LOG_LEVEL is not a level/);
  expect(stderr).toMatch(/universal-logout\.yaml:\d+:\d+ tenants\[0\]\.id is not an id/);
  expect(stderr).toMatch(/universal-logout\.yaml:\d+:\d+ colour is not a setting/);
});

it('names `universal-logout init` where there is no settings file', async () => {
  const { code, stderr } = await runCommand(['serve'], { folder: createFolder() });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^There is no settings file at .*: run `universal-logout init` to write one/);
  expect(stderr.trim().split('\n')).toHaveLength(1);
});

it('warns where a universal logout of operators would leave them signed in at the console', async () => {
  const oidc = { issuer: 'https://login.example.com', clientId: '0oa9', clientSecret: 'a-secret', groups: ['SecOps'] };
  const command = serve([], {}, { ...settings, operators: { oidc } });
  await eventually(
    () => command.output.stdout,
    (text) => text.includes("a universal logout of an operator does not end the operator's console session"),
  );
});

it.each([['both'], ['']])('knows no other role than api and worker [%j]', async (role) => {
  const { code, stderr } = await runCommand(['serve', '--role', role], { folder: createFolder(settings) });
  expect({ code, stderr }).toEqual({ code: 1, stderr: `--role is api or worker, not ${role}.\n` });
});
