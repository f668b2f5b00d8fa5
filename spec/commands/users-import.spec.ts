/** `users import` as people run it: every good line is in the directory, every bad one is named, and none is lost. */
import { randomInt } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { checkDirectory } from '../../src/directory/check.js';
import { createDirectory } from '../../src/directory/directory.js';
import type { User } from '../../src/directory/user.js';
import { startEmbeddedRedis } from '../../src/embedded-redis.js';
import { createFolder, runCommand, startCommand } from '../support/command.js';
import { type Database, openDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';

const RUN_MS = 60_000;
const GRACE = { graceMs: 30 * 86_400_000, now: Date.now };

const folder = createFolder({ tenants: [{ id: 'default' }, { id: 'acme' }] });
let database: Database;
let directory: ReturnType<typeof createDirectory>;

beforeAll(async () => {
  database = await openDatabase();
  directory = createDirectory(database.redis, 'ul', GRACE);
});
beforeEach(() => database.redis.flushdb());
afterAll(() => database.close());

const importing = (file: string, ...more: string[]) => ['users', 'import', file, ...more];
const inFolder = (input?: string) => ({
  folder,
  env: { REDIS_URL: database.url },
  ...(input !== undefined && { input }),
});

function write(name: string, content: string | Buffer): string {
  writeFileSync(join(folder, name), content);
  return name;
}

const jsonLines = (people: object[]) => people.map((person) => `${JSON.stringify(person)}\n`).join('');

async function named(userName: string, tenant = 'default'): Promise<User | undefined> {
  const [[user] = []] = await directory.users.find(tenant, [{ kind: 'userName', value: userName }]);
  return user;
}

async function expectAgreement(tenant = 'default'): Promise<void> {
  const found: string[] = [];
  for await (const { problem } of checkDirectory({ redis: database.redis, prefix: 'ul', tenant })) found.push(problem);
  expect(found).toEqual([]);
}

describe('a file of SCIM Users', () => {
  it(
    'is imported into the tenant, and a second time changes nothing',
    async () => {
      const file = write(
        'people.jsonl',
        jsonLines([
          {
            userName: 'ada',
            externalId: '00u1',
            emails: [{ value: 'ada@example.com' }],
            groups: [{ display: 'Sales' }],
          },
          { userName: 'grace', active: false, groups: [{ value: 'Sales' }, {}] },
        ]),
      );
      const first = await runCommand(importing(file, '--tenant', 'acme'), inFolder());
      expect(first).toMatchObject({ code: 0, stderr: '' });
      expect(first.stdout).toMatch(/^2 users added, 0 replaced, 0 bad lines in tenant acme, in \d+ s\.\n$/);
      const ada = await named('ada', 'acme');
      expect(ada).toMatchObject({ resource: { externalId: '00u1', active: true }, groups: ['Sales'] });
      expect(await named('grace', 'acme')).toMatchObject({ resource: { active: false }, groups: ['Sales'] });
      expect(await directory.users.count('default')).toBe(0);

      const second = await runCommand(importing(file, '--tenant', 'acme'), inFolder());
      expect(second.stdout).toMatch(/^0 users added, 2 replaced, 0 bad lines/);
      expect((await named('ada', 'acme'))?.resource.id).toBe(ada?.resource.id);
      await expectAgreement('acme');
    },
    RUN_MS,
  );

  it(
    'leaves what a line does not name as it is: the externalId, whether the person is active, and the groups',
    async () => {
      const before = [
        { userName: 'ada', externalId: '00u1', title: 'Countess', groups: [{ display: 'Sales' }] },
        { userName: 'grace', externalId: '00u2', active: false },
        { userName: 'lin', externalId: '00u3', active: false },
        { userName: 'kay', externalId: '00u4' },
      ];
      const after = [
        { userName: 'Ada', groups: [] },
        { userName: 'grace', active: null, displayName: 'Grace' },
        { userName: 'lin', Active: true, groups: [{}] },
        { userName: 'kay', ExternalId: null },
      ];
      for (const people of [before, after]) {
        expect((await runCommand(importing('-'), inFolder(jsonLines(people)))).code).toBe(0);
      }
      const ada = await named('ada');
      expect(ada).toMatchObject({ resource: { externalId: '00u1', active: true }, groups: ['Sales'] });
      expect(ada?.resource.title).toBeUndefined();
      expect(await directory.groups.ofUser('default', ada?.resource.id ?? '')).toHaveLength(1);
      expect((await named('grace'))?.resource).toMatchObject({
        externalId: '00u2',
        active: false,
        displayName: 'Grace',
      });
      expect((await named('lin'))?.resource).toMatchObject({ externalId: '00u3', active: true });
      const kay = (await named('kay'))?.resource;
      expect([kay?.externalId, kay?.active]).toEqual([undefined, true]);
      await expectAgreement();
    },
    RUN_MS,
  );

  it(
    'takes effect in its order, however many lines are under way',
    async () => {
      // Each is renamed a hundred times; the externalId goes from the one to the other and back.
      const lines = Array.from({ length: 200 }, (_, index) => [
        { userName: 'ada', displayName: `Ada ${index}`, externalId: index % 2 === 0 ? '00u1' : null },
        { userName: 'Grace', displayName: `Grace ${index}`, externalId: index % 2 === 1 ? '00u1' : '' },
      ]).flatMap(([ada = {}, grace = {}], index) => (index % 2 === 0 ? [grace, ada] : [ada, grace]));
      // Lin's number is free only when Kay has let go of hers, which takes longer.
      const handedOn = [
        { userName: 'kay', externalId: '00u2' },
        ...Array.from({ length: 9 }, () => ({ userName: 'joan', externalId: '00u3' })),
        { userName: 'joan', externalId: null },
        { userName: 'kay', externalId: '00u3' },
        { userName: 'lin', externalId: '00u2' },
      ];
      const input = jsonLines([...lines, ...handedOn]);
      const { code, stdout } = await runCommand(importing('-'), inFolder(input));
      expect(stdout).toMatch(/^5 users added, 408 replaced, 0 bad lines/);
      expect(code).toBe(0);
      const externalIds = ['joan', 'kay', 'lin'].map(async (name) => (await named(name))?.resource.externalId);
      expect(await Promise.all(externalIds)).toEqual([undefined, '00u3', '00u2']);
      expect((await named('ada'))?.resource.displayName).toBe('Ada 199');
      expect((await named('grace'))?.resource).toMatchObject({ displayName: 'Grace 199', externalId: '00u1' });
      await expectAgreement();
    },
    RUN_MS,
  );

  it(
    'gives an externalId that two claim to the first, and names the second',
    async () => {
      const lines = ['ada', 'grace', 'lin'].map((userName) => ({ userName, externalId: '00u1' }));
      const { code, stdout, stderr } = await runCommand(importing('-'), inFolder(jsonLines(lines)));
      expect(code).toBe(1);
      expect(stdout).toMatch(/^1 users added, 0 replaced, 2 bad lines/);
      expect(stderr.split('\n').slice(0, 2)).toEqual([
        '-:2 cannot be added: another user of this tenant has this externalId',
        '-:3 cannot be added: another user of this tenant has this externalId',
      ]);
      expect((await named('ada'))?.resource.externalId).toBe('00u1');
      expect(await named('grace')).toBeUndefined();
    },
    RUN_MS,
  );

  it(
    'has each bad line reported with its number, and each good one imported',
    async () => {
      const bad = [
        '{',
        'null',
        '[]',
        '7',
        '"ada"',
        '{}',
        '{"userName":""}',
        '{"userName":7}',
        '{"userName":"x","emails":7}',
      ];
      const text = bad.map((line, index) => `${JSON.stringify({ userName: `good-${index}` })}\n\n${line}\n`).join('');
      const { code, stdout, stderr } = await runCommand(importing(write('bad.jsonl', text)), inFolder());
      expect(code).toBe(1);
      expect(stdout).toContain(`${bad.length} users added, 0 replaced, ${bad.length} bad lines`);
      const reported = stderr.split('\n').flatMap((line) => /^bad\.jsonl:(\d+) /.exec(line)?.[1] ?? []);
      expect(reported.map(Number).toSorted((a, b) => a - b)).toEqual(bad.map((_, index) => index * 3 + 3));
      expect(stderr).toContain('Bad lines, none of which was imported: 9.');
      expect(stderr).not.toContain('at ');
      expect(await directory.users.count('default')).toBe(bad.length);
    },
    RUN_MS,
  );

  it(
    'loses none of many: what is not imported is reported',
    async () => {
      const lines = Array.from({ length: 6_000 }, (_, index) =>
        index % 100 === 42
          ? '{"userName"'
          : JSON.stringify({ userName: `user-${index}`, groups: [{ display: `g${index % 50}` }] }),
      );
      const { stdout, stderr } = await runCommand(importing('-'), inFolder(lines.join('\n')));
      expect(stdout).toMatch(/^5,940 users added, 0 replaced, 60 bad lines/);
      expect(stderr.match(/^-:\d*43 is not JSON$/gm)).toHaveLength(60);
      expect([await directory.users.count('default'), await directory.groups.count('default')]).toEqual([5_940, 50]);
      await expectAgreement();
    },
    RUN_MS,
  );

  it(
    'leaves a directory that agrees with itself, wherever the import is killed',
    async () => {
      const people = Array.from({ length: 20_000 }, (_, index) => ({
        userName: `user-${index % 4_000}`,
        externalId: `00u${index}`,
        emails: [{ value: `user-${index}@example.com` }],
        groups: [{ display: `g${index % 7}` }, { display: `h${index % 3}` }],
      }));
      const file = write('many.jsonl', jsonLines(people));
      for (let round = 0; round < 4; round++) {
        const command = startCommand(importing(file), inFolder());
        await eventually(
          () => directory.users.count('default'),
          (count) => count > round * 500,
          20_000,
        );
        await delay(randomInt(100));
        await command.stop();
        expect(await directory.users.count('default')).toBeGreaterThan(0);
        await expectAgreement();
      }
    },
    RUN_MS,
  );
});

describe("Okta's CSV export", () => {
  it(
    'is recognised by what is in it, and imported',
    async () => {
      const text =
        '\uFEFFlogin,firstName,lastName,email,department,postalAddress,id,status\r\n' +
        'ada@example.com,Ada,King,ada@example.com,Sales,"1 High St\r\nLondon",00u1,ACTIVE\r\n' +
        'grace@example.com,Grace,Hopper,grace@example.com,,,00u2,DEPROVISIONED\r\n' +
        'lin@example.com,Lin,,,,,00u3,SLEEPING\r\n' +
        ',Nobody,,,,,00u4,ACTIVE\r\n';
      for (const name of ['people.csv', 'people.txt']) {
        await database.redis.flushdb();
        const { code, stdout, stderr } = await runCommand(importing(write(name, text)), inFolder());
        expect(code).toBe(1);
        expect(stdout).toMatch(/^2 users added, 0 replaced, 2 bad lines/);
        expect(stderr).toMatch(new RegExp(`^${name}:5 has a status that is none of Okta's$`, 'm'));
        expect(stderr).toMatch(new RegExp(`^${name}:6 is not a SCIM User: `, 'm'));
      }
      expect((await named('ada@example.com'))?.resource).toMatchObject({ externalId: '00u1', active: true });
      expect((await named('grace@example.com'))?.resource).toMatchObject({ externalId: '00u2', active: false });
    },
    RUN_MS,
  );
});

describe('an import is refused, and nothing is changed', () => {
  it.each<[string, string, string | Buffer | undefined, string[], string]>([
    ['no such file', 'nowhere.jsonl', undefined, [], 'nowhere.jsonl cannot be read.'],
    ['a directory', 'directory', undefined, [], 'directory is a directory.'],
    ['no such tenant', 'a.jsonl', '{"userName":"ada"}', ['--tenant', 'b'], 'There is no tenant b in '],
    ['no such format', 'a.jsonl', '{"userName":"ada"}', ['--format', 'xml'], '--format is jsonl or csv, not xml.'],
    ['one JSON array', 'a.json', '[{"userName":"ada"}]', [], 'a.json is one JSON array: '],
    ['UTF-16', 'a.csv', Buffer.from('\uFEFFlogin\r\nada', 'utf16le'), [], 'a.csv is UTF-16: save it as UTF-8.'],
    ['CSV of something else', 'a.csv', 'name,age\nAda,36\n', [], 'its first line has no column `login`.'],
    [
      'JSON said to be CSV',
      'a.jsonl',
      '{"userName":"ada"}',
      ['--format', 'csv'],
      'its first line has no column `login`.',
    ],
    ['CSV said to be JSON', 'a.csv', 'login\nada\n', ['--format', 'jsonl'], 'a.csv:2 is not JSON'],
  ])(
    '[%s]',
    async (_what, file, content, more, sentence) => {
      if (content !== undefined) write(file, content);
      if (file === 'directory') mkdirSync(join(folder, file));
      const { code, stderr } = await runCommand(importing(file, ...more), inFolder());
      expect(stderr).toContain(sentence);
      expect(stderr).not.toMatch(/^ +at /m);
      expect(code).toBe(1);
      expect(await database.redis.dbsize()).toBe(0);
    },
    RUN_MS,
  );

  it(
    'and where Redis has no room left it stops, with the place and what to do',
    async () => {
      const own = createFolder({ tenants: [{ id: 'default' }] });
      const embedded = await startEmbeddedRedis({ dataDir: join(own, 'data') });
      const redis = new Redis(embedded.path);
      await redis.config('SET', 'maxmemory', '4mb');
      const people = Array.from({ length: 20_000 }, (_, index) => ({
        userName: `user-${index}`,
        title: 'x'.repeat(300),
      }));
      const { code, stderr } = await runCommand(importing('-'), { folder: own, input: jsonLines(people) });
      redis.disconnect();
      await embedded.close();
      expect(stderr).toMatch(/^-:\d+ The import stopped near this line: OOM .* import the file again/m);
      expect(stderr).not.toMatch(/^ +at /m);
      expect(code).toBe(1);
    },
    RUN_MS,
  );
});
