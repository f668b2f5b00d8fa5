/** `revoke` as people run it: everybody who is meant is accepted once, nobody else is, and single logouts overtake. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import request from 'supertest';
import { readAudit } from '../../src/audit.js';
import { createDirectory } from '../../src/directory/directory.js';
import { createFolder, runCommand, startCommand } from '../support/command.js';
import { type Database, openDatabase } from '../support/database.js';
import { SECRET } from '../support/endpoint.js';
import { eventually } from '../support/eventually.js';
import { ADMIN_TOKEN, startGateway } from '../support/gateway.js';
import { startTargetApp, type TargetApp } from '../support/target-app.js';

const RUN_MS = 90_000;
const CONCURRENCY = 4;

let database: Database;
let app: TargetApp;
let directory: ReturnType<typeof createDirectory>;
let settings: { tenants: object[] };
let folder: string;
const closing: { close: () => Promise<void> }[] = [];

beforeAll(async () => {
  [database, app] = await Promise.all([openDatabase(), startTargetApp()]);
  directory = createDirectory(database.redis, 'ul', { graceMs: 30 * 86_400_000, now: Date.now });
  const delivery = { concurrency: CONCURRENCY };
  const apps = [{ id: 'wiki', connector: 'webhook', options: { url: app.url, secret: SECRET }, delivery }];
  settings = { tenants: [{ id: 'default', apps }, { id: 'acme', apps }, { id: 'empty' }] };
  folder = createFolder(settings);
});
beforeEach(async () => {
  await database.redis.flushdb();
  app.calls.length = 0;
  app.answerWith((res) => res.writeHead(204).end());
});
afterEach(async () => {
  for (const one of closing.splice(0)) await one.close();
});
afterAll(async () => {
  await app.close();
  await database.close();
});

const options = () => ({ folder, env: { REDIS_URL: database.url } });
const revoke = (...args: string[]) => runCommand(['revoke', ...args], options());

function start(...args: string[]) {
  const command = startCommand(['revoke', ...args], options());
  closing.push({ close: command.stop });
  return command;
}

async function serve() {
  const gateway = await startGateway(settings, { prefix: 'ul', config: { redisUrl: database.url } });
  closing.push(gateway);
  return gateway;
}

async function people(count: number, tenant = 'default'): Promise<string[]> {
  const all = Array.from({ length: count }, (_, index) => {
    const userName = `ada${index}@example.com`;
    return directory.users.create(tenant, { userName, active: true, emails: [{ value: userName }] });
  });
  return (await Promise.all(all)).map(({ id }) => id);
}

const intake = () => database.redis.zcard('ul:{intake}:prioritized');

/** The persons of the audit's entries of this kind, in their order. */
async function audited(event: string, tenant = 'default'): Promise<string[]> {
  const entries = await database.redis.xrange(`ul:{${tenant}}:audit`, '-', '+');
  const all = entries.map(([, fields]) => readAudit(fields));
  return all.flatMap((one) => (one.event === event ? [String(one.user ?? one.run)] : []));
}

/** So many revocations are over, and no other is open. */
const completed = (count: number, tenant = 'default') =>
  eventually(
    () => Promise.all(['revocations', 'open'].map((name) => database.redis.zcard(`ul:{${tenant}}:${name}`))),
    ([all, open]) => all === count && open === 0,
    60_000,
  );

/** These and nobody else, once each. */
async function expectAccepted(ids: (string | undefined)[], tenant?: string): Promise<void> {
  const seen = await audited('revocation.accepted', tenant);
  expect(seen).toHaveLength(ids.length);
  expect(new Set(seen)).toEqual(new Set(ids));
}

const runIn = (text: string) => /bulk_[0-9a-f]{16}/.exec(text)?.[0] ?? '';

/** A run that waits, since no gateway spreads what it has added. */
async function waitingRun(...args: string[]) {
  const command = start(...args, '--yes');
  await eventually(intake, (seen) => seen > 2_000, 20_000);
  // By now it has kept its place after the last page.
  await delay(500);
  return command;
}

describe('nobody is logged out', () => {
  it.each<[what: string, args: string[], sentence: RegExp]>([
    ['of whom nothing is said', [], /^Say whom to log out with one of --all, --group, --file or --resume\.$/m],
    ['of whom two things are said', ['--all', '--group', 'Sales', '--yes'], /^Say whom to log out with one of/m],
    ['of no such tenant', ['--all', '--tenant', 'nowhere', '--yes'], /^There is no tenant nowhere in /m],
    ['of a tenant without apps', ['--all', '--tenant', 'empty', '--yes'], /^Tenant empty has no apps/m],
    ['of no such group', ['--group', 'Nobody', '--yes'], /^There is no group Nobody in tenant default\.$/m],
    ["of another tenant's group", ['--group', 'Foreign', '--yes'], /^There is no group Foreign in tenant default\.$/m],
    ['of no such file', ['--file', 'nowhere.txt', '--yes'], /nowhere\.txt cannot be read\.$/m],
    ['of a directory', ['--file', 'directory', '--yes'], /directory cannot be read\.$/m],
    ['in no such mode', ['--all', '--mode', 'gently', '--yes'], /^--mode is full or refresh-only, not gently\.$/m],
    ['of no such run', ['--resume', 'bulk_0123456789abcdef'], /^Tenant default has no bulk revocation bulk_0123/m],
    ['of a run in another mode', ['--resume', 'bulk_1', '--mode', 'refresh-only'], /^--resume does what was asked/m],
    ['of a run, but not really', ['--resume', 'bulk_1', '--dry-run'], /^--resume does what was asked/m],
    [
      'when nobody is there to say yes',
      ['--all'],
      /^Nobody is there to ask: --yes logs out all 3 people, out of 1 app of tenant default\.$/m,
    ],
  ])(
    '%s',
    async (_what, args, sentence) => {
      await people(3);
      await directory.groups.create('acme', { displayName: 'Foreign' });
      mkdirSync(join(folder, 'directory'), { recursive: true });
      const { code, stdout, stderr } = await revoke(...args);
      expect(stderr).toMatch(sentence);
      expect(stderr).not.toMatch(/^ +at /m);
      expect(stdout).toBe('');
      expect(code).toBe(1);
      expect(await database.redis.keys('ul:*intake*')).toEqual([]);
      expect(await database.redis.keys('ul:*:bulk:*')).toEqual([]);
    },
    RUN_MS,
  );

  it.each<[string[], string]>([
    [['--all'], 'all 3 people'],
    [['--group', 'SALES'], 'the 2 people of the group Sales'],
    [['--file', 'two.txt'], 'the people whom the 2 lines of '],
  ])(
    'by --dry-run %s',
    async (args, sentence) => {
      const [ada = '', grace = ''] = await people(3);
      await directory.groups.create('default', { displayName: 'Sales' }, [ada, grace]);
      writeFileSync(join(folder, 'two.txt'), 'ada0@example.com\nada1@example.com\n');
      const { code, stdout } = await revoke(...args, '--dry-run', '--yes');
      expect(stdout).toContain(`Would log out ${sentence}`);
      expect(stdout).toContain('out of 1 app of tenant default. Nothing was done.');
      expect(code).toBe(0);
      expect(await database.redis.keys('ul:*intake*')).toEqual([]);
      expect(await database.redis.keys('ul:*:bulk:*')).toEqual([]);
    },
    RUN_MS,
  );
});

it(
  'a dry run of a file counts people, not lines, and tells the lines by which a run would log out nobody',
  async () => {
    await people(2);
    const lines = ['ada0@example.com', '', 'nobody@example.com', 'ADA0@example.com', '  ', 'x'.repeat(20_000)];
    writeFileSync(join(folder, 'dry.txt'), `${[...lines, 'ada1@example.com'].join('\n')}\n\n`);
    const file = join(folder, 'dry.txt');
    expect(await revoke('--file', 'dry.txt', '--dry-run')).toMatchObject({
      code: 1,
      stdout: [
        `Would log out the people whom the 5 lines of ${file} name, out of 1 app of tenant default. Nothing was done.`,
        'They name 2 people.\n',
      ].join('\n'),
      stderr: [
        `${file}:3 names nobody`,
        `${file}:6 is longer than 10000 bytes`,
        'Lines by which nobody would be logged out: 2.\n',
      ].join('\n'),
    });
    expect(await database.redis.keys('ul:*:bulk:*')).toEqual([]);
  },
  RUN_MS,
);

describe('who is logged out', () => {
  it(
    'with --all is everyone of the tenant, once each, and it says where to look',
    async () => {
      const ids = await people(1_203);
      await people(3, 'acme');
      await serve();
      const { code, stdout, stderr } = await revoke('--all', '--yes');
      expect(stderr).toBe('');
      expect(stdout).toMatch(/^1,203 people are accepted to be logged out, in \d+ s\. .*GET \/api\/revocations/m);
      expect(code).toBe(0);
      await completed(1_203);
      await expectAccepted(ids);
      expect(await audited('bulk.started')).toEqual([runIn(stdout)]);
      expect(await audited('bulk.completed')).toEqual([runIn(stdout)]);
      expect(app.calls).toHaveLength(1_203);
      expect(await database.redis.keys('ul:{default}:valid-after:*')).toHaveLength(1_203);
      expect(app.calls.every(({ body }) => body.includes('"tenant":"default"'))).toBe(true);
      const again = await revoke('--resume', runIn(stdout));
      expect(again).toMatchObject({ code: 1, stdout: '' });
      expect(again.stderr).toBe(`The bulk revocation ${runIn(stdout)} is complete: nothing is left to do.\n`);
    },
    RUN_MS,
  );

  it(
    'with --group is its members and nobody else, in the mode and the tenant that were asked for',
    async () => {
      const ids = await people(1_100, 'acme');
      const members = [ids[3], ids[700], ids[1_099]] as string[];
      await directory.groups.create('acme', { displayName: 'Sales' }, members);
      await serve();
      const { code } = await revoke('--group', 'sales', '--tenant', 'acme', '--mode', 'refresh-only', '--yes');
      expect(code).toBe(0);
      await completed(3, 'acme');
      await expectAccepted(members, 'acme');
      expect(app.calls.map(({ body }) => JSON.parse(body).data.mode)).toEqual(Array(3).fill('refresh-only'));
      expect(await database.redis.keys('ul:*:valid-after:*')).toEqual([]);
    },
    RUN_MS,
  );

  it(
    'with --file is whoever one line names, and every other line is told by its number alone',
    async () => {
      const [ada, grace, both] = await people(3);
      for (const userName of ['one', 'two']) {
        await directory.users.create('default', { userName, emails: [{ value: 'shared@example.com' }] });
      }
      const lines = ['\uFEFFADA0@example.com', '', 'nobody@example.com\r', 'shared@example.com', 'ada1@example.com'];
      const more = ['ada0@example.com', 'x'.repeat(20_000), ' ada2@example.com '];
      writeFileSync(join(folder, 'some.txt'), [...lines, ...more].join('\n'));
      await serve();
      const { code, stdout, stderr } = await revoke('--file', 'some.txt', '--yes');
      expect(stdout).toContain('3 people are accepted');
      const file = join(folder, 'some.txt');
      expect(stderr.split('\n')).toEqual([
        `${file}:3 names nobody`,
        `${file}:4 names several people`,
        `${file}:7 is longer than 10000 bytes`,
        'Lines by which nobody was logged out: 3.',
        '',
      ]);
      expect(code).toBe(1);
      await completed(3);
      await expectAccepted([ada, grace, both]);
      const kept = await Promise.all(
        (await database.redis.keys('ul:*:bulk:*:problems')).map((key) => database.redis.hvals(key)),
      );
      expect(kept.flat().join()).not.toContain('@');
    },
    RUN_MS,
  );
});

it(
  'a line of --file that names who is gone is not for whoever has the address since',
  async () => {
    const { users } = directory;
    const emails = (...list: string[]) => list.map((value) => ({ value }));
    const gone = await users.create('default', { userName: 'ada', emails: emails('ada@example.com') });
    await users.remove('default', gone);
    await users.create('default', { userName: 'boss', emails: emails('boss@example.com', 'ada@example.com') });
    const lives: string[] = [];
    for (let life = 0; life < 2; life++) {
      const lin = await users.create('default', { userName: 'lin', emails: emails('lin@example.com') });
      await users.remove('default', lin);
      lives.push(lin.id);
    }
    writeFileSync(join(folder, 'gone.txt'), 'ada@example.com\nlin@example.com\n');
    await serve();
    const { stderr } = await revoke('--file', 'gone.txt', '--yes');
    expect(stderr.split('\n')[0]).toBe(`${join(folder, 'gone.txt')}:1 names several people`);
    await completed(1);
    await expectAccepted(lives.slice(-1));
  },
  RUN_MS,
);

describe('a run that ends early', () => {
  it(
    'by kill -9 is resumed, and everyone is accepted once',
    async () => {
      const ids = await people(3_000);
      const killed = await waitingRun('--all');
      await killed.stop();
      expect(await intake()).toBeLessThan(3_000);
      await serve();
      const { code, stdout } = await revoke('--resume', runIn(killed.output.stdout));
      expect(code).toBe(0);
      expect(stdout).toContain('3,000 people are accepted');
      await completed(3_000);
      await expectAccepted(ids);
      expect(await audited('bulk.resumed')).toEqual([runIn(stdout)]);
      expect(app.calls).toHaveLength(3_000);
    },
    RUN_MS,
  );

  it(
    'with a page that was added and not yet kept does it again, and nobody is called twice',
    async () => {
      const ids = await people(1_000);
      await serve();
      const { stdout } = await revoke('--all', '--yes');
      await completed(1_000);
      const key = `ul:{default}:bulk:${runIn(stdout)}`;
      const run = JSON.parse((await database.redis.get(key)) ?? '');
      await database.redis.set(key, JSON.stringify({ ...run, place: '', walked: 0, added: 0, completed: false }));
      expect(await revoke('--resume', runIn(stdout))).toMatchObject({ code: 0 });
      await eventually(intake, (seen) => seen === 0);
      await delay(300);
      await expectAccepted(ids);
      expect(app.calls).toHaveLength(1_000);
    },
    RUN_MS,
  );

  it(
    'by Ctrl-C says how to go on, and keeps what is wrong with lines that were read before',
    async () => {
      const ids = await people(3_000);
      const text = ['nobody', ...ids.map((_, index) => `ada${index}@example.com`), 'nobody'].join('\n');
      writeFileSync(join(folder, 'many.txt'), text);
      const command = await waitingRun('--file', 'many.txt');
      command.kill('SIGINT');
      expect(await command.ended).toEqual({ code: 1, signal: null });
      const run = runIn(command.output.stdout);
      expect(command.output.stderr).toMatch(
        new RegExp(`^Stopped after 2,\\d99 people\\. To go on: universal-logout revoke --resume ${run}$`, 'm'),
      );

      writeFileSync(join(folder, 'many.txt'), `${text}\nada0@example.com`);
      const changed = await revoke('--resume', run);
      expect(changed.stderr).toMatch(/many\.txt is not what it was when this began: begin anew with --file\.$/m);
      expect(changed.code).toBe(1);

      writeFileSync(join(folder, 'many.txt'), text);
      await serve();
      const { code, stderr } = await revoke('--resume', run);
      expect(stderr).toMatch(/many\.txt:1 names nobody\n.*many\.txt:3002 names nobody\n/);
      expect(code).toBe(1);
      await completed(3_000);
      await expectAccepted(ids);
    },
    RUN_MS,
  );

  it(
    'for a group that is gone by then is not taken for done',
    async () => {
      const ids = await people(3_000);
      const { id } = await directory.groups.create('default', { displayName: 'Sales' }, ids);
      const command = await waitingRun('--group', 'Sales');
      await command.stop();
      await directory.groups.remove('default', id);
      const { code, stderr } = await revoke('--resume', runIn(command.output.stdout));
      expect(stderr).toMatch(/^The group Sales was deleted meanwhile\.$/m);
      expect(code).toBe(1);
    },
    RUN_MS,
  );
});

it(
  'a single logout overtakes thousands of bulk ones that wait, those of the app too',
  async () => {
    const count = 2_500;
    await people(count);
    const single = await directory.users.create('default', { userName: 'grace@example.com' });
    await database.redis.zrem('ul:{default}:user-order', single.id);
    app.answerWith((res) => void setTimeout(() => res.writeHead(204).end(), 20));
    const gateway = await serve();
    expect(await revoke('--all', '--yes')).toMatchObject({ code: 0 });
    const queue = 'ul:{app.default.wiki}:prioritized';
    await eventually(
      () => database.redis.zcard(queue),
      (seen) => seen > 1_500,
      20_000,
    );

    const before = app.calls.length;
    const response = await request(gateway.url)
      .post('/api/revocations')
      .set('authorization', `Bearer ${ADMIN_TOKEN}`)
      .send({ id: single.id });
    expect(response.status).toBe(202);
    const isGraces = ({ body }: { body: string }) => body.includes('grace@example.com');
    await eventually(
      () => app.calls.some(isGraces),
      (seen) => seen,
    );
    expect(await database.redis.zcard(queue)).toBeGreaterThan(1_000);
    // Those that were under way, and those of the time that her request took.
    expect(app.calls.findIndex(isGraces) - before).toBeLessThan(count / 10);
  },
  RUN_MS,
);
