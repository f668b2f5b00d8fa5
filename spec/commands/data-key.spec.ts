/** `universal-logout data-key rotate`: while gateways run, killed half-way, and never before everybody has the key. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createDataKeys, dataKeyText, keyIdOf, newDataKey } from '../../src/data-key.js';
import { appQueue } from '../../src/fanout/job.js';
import { createFolder, type RunningCommand, runCommand, startCommand } from '../support/command.js';
import { type Database, openDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { PUBLIC_URL } from '../support/gateway.js';
import { CLIENT, type Okta, signRevocation, startOkta } from '../support/okta.js';
import { startTargetApp, type TargetApp } from '../support/target-app.js';

const PATH = '/global-token-revocation';
const SECRET = `whsec_${Buffer.alloc(24, 'keys').toString('base64')}`;
const SLOW_MS = 60_000;
const [old, fresh] = [
  { ...newDataKey(), id: 'old' },
  { ...newDataKey(), id: 'new' },
];
const OLD = dataKeyText(old);
const BOTH = `${dataKeyText(fresh)},${OLD}`;

let database: Database;
let okta: Okta;
let app: TargetApp;
let folder: string;
const running: RunningCommand[] = [];

beforeAll(async () => {
  [database, okta, app] = await Promise.all([openDatabase(), startOkta(), startTargetApp()]);
  const trusts = [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }];
  const apps = [{ id: 'wiki', connector: 'webhook', options: { url: app.url, secret: SECRET } }];
  folder = createFolder({ tenants: [{ id: 'default', trusts, apps }] });
});
afterAll(async () => {
  for (const command of running) await command.stop();
  await Promise.all([okta.close(), app.close()]);
  await database.close();
});

function start(args: string[], env: Record<string, string>): RunningCommand {
  const command = startCommand(args, { folder, env: { PORT: '0', ...env } });
  running.push(command);
  return command;
}

const jobKey = (index: number) => `ul:${appQueue('acme', 'gone')}:rev_${index}`;

/** Jobs of an app that no gateway serves, so that they stay. */
async function fill(count: number): Promise<void> {
  const { seal } = createDataKeys([old]);
  const jobs = Array.from({ length: count }, (_, index) => index);
  const write = database.redis.pipeline();
  for (const index of jobs) {
    write.hset(jobKey(index), { data: JSON.stringify({ account: seal(`user${index}@example.com`, 'acme') }) });
  }
  await write.exec();
}

async function accounts(count: number): Promise<string[]> {
  const read = database.redis.pipeline();
  for (let index = 0; index < count; index++) read.hget(jobKey(index), 'data');
  const answers = (await read.exec()) ?? [];
  return answers.map(([, data]) => (JSON.parse(data as string) as { account: string }).account);
}

const sealedWith = async (id: string, count: number) =>
  (await accounts(count)).filter((account) => keyIdOf(account) === id).length;

it('says what to set where there is no key', async () => {
  const { code, stderr } = await runCommand(['data-key', 'rotate'], { folder, env: { REDIS_URL: database.url } });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^There is no data key: set DATA_KEY to what `universal-logout data-key new` prints/);
});

it(
  'killed half-way, goes on when it runs again, and says which key may go',
  async () => {
    const count = 20_000;
    await fill(count);
    const env = { REDIS_URL: database.url, DATA_KEY: BOTH };
    const killed = start(['data-key', 'rotate'], env);
    const first = async () => keyIdOf(JSON.parse((await database.redis.hget(jobKey(3), 'data')) ?? '{}').account);
    await eventually(
      () => first(),
      (id) => id === 'new',
      20_000,
    );
    killed.kill('SIGKILL');
    await killed.ended;
    const done = await sealedWith('new', count);
    const { code, stdout, stderr } = await runCommand(['data-key', 'rotate'], { folder, env });
    expect([code, stderr.includes('needs')]).toEqual([0, false]);
    expect(stdout).toContain(`Sealed anew: ${(count - done).toLocaleString('en-US')}.\n`);
    expect(stdout).toContain('sealed with "new". Drop "old" from DATA_KEY in every process.');
    const { open } = createDataKeys([fresh]);
    const texts = (await accounts(count)).map((account) => open(account, 'acme'));
    expect(texts).toEqual(Array.from({ length: count }, (_, index) => `user${index}@example.com`));
  },
  SLOW_MS,
);

it(
  'seals nothing while a gateway does not have the key, and names what is missing where a job needs another one',
  async () => {
    await fill(3);
    const gateway = start(['serve'], { REDIS_URL: database.url, DATA_KEY: OLD });
    await gateway.listening();
    const env = { REDIS_URL: database.url, DATA_KEY: BOTH };
    const refused = await runCommand(['data-key', 'rotate'], { folder, env });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^The gateway of process \d+ on \S+ does not have the data key "new"\./);
    expect(refused.stderr).toContain('Nothing was sealed anew.');
    expect(await sealedWith('old', 3)).toBe(3);
    await gateway.stop();

    const second = start(['serve'], { REDIS_URL: database.url, DATA_KEY: dataKeyText(fresh) });
    await second.listening();
    const withoutOld = { ...env, DATA_KEY: dataKeyText(fresh) };
    const missing = await runCommand(['data-key', 'rotate'], { folder, env: withoutOld });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain('Sealed with the data key "old", which is not in DATA_KEY: 3.');
    expect(missing.stderr).toContain('no key was dropped');
    expect(await sealedWith('old', 3)).toBe(3);
    await second.stop();
  },
  SLOW_MS,
);

it(
  'gives the embedded Redis a new key while the gateway runs; what waits for its app is delivered without the old one',
  async () => {
    let up = false;
    app.answerWith((res) => (up ? res.writeHead(204).end() : res.writeHead(503, { 'retry-after': '15' }).end()));
    await runCommand(['users', 'add', '--user-name', 'ada', '--email', 'ada@example.com'], { folder });
    const gateway = start(['serve'], {});
    const url = `http://127.0.0.1:${await gateway.listening()}`;
    const keys = () => JSON.parse(readFileSync(join(folder, 'data', 'data-keys.json'), 'utf8')) as string[];
    const before = keys();
    expect(await post(url)).toBe(204);
    await eventually(
      () => app.calls.length,
      (calls) => calls > 0,
    );

    const rotations = [1, 2].map(() => runCommand(['data-key', 'rotate'], { folder }));
    const ended = await Promise.all(rotations);
    expect(ended.map(({ code, stderr }) => [code, stderr])).toEqual([
      [0, ''],
      [0, ''],
    ]);
    expect(keys()).toHaveLength(1);
    expect(keys()).not.toEqual(before);
    expect(statSync(join(folder, 'data', 'data-keys.json')).mode & 0o777).toBe(0o600);
    expect(await post(url)).toBe(204);

    gateway.kill('SIGTERM');
    await gateway.ended;
    up = true;
    const callsBefore = app.calls.length;
    const next = start(['serve'], {});
    await next.listening();
    await eventually(
      () => app.calls.length - callsBefore,
      (calls) => calls >= 1,
      30_000,
    );
    expect(gateway.output.stdout + next.output.stdout).not.toContain('sealed');
    next.kill('SIGTERM');
    await next.ended;
  },
  2 * SLOW_MS,
);

async function post(url: string): Promise<number> {
  const jwt = await signRevocation(okta.key, { issuer: okta.issuer, audience: PUBLIC_URL + PATH });
  const { status } = await fetch(url + PATH, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}` },
    body: JSON.stringify({ sub_id: { format: 'email', email: 'ada@example.com' } }),
  });
  return status;
}
