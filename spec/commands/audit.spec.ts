/** `audit verify` and `audit export` as people run them. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { type AuditTrail, openAuditTrail } from '../support/audit-trail.js';
import { createFolder, runCommand } from '../support/command.js';
import { type Database, openDatabase } from '../support/database.js';

const RUN_MS = 60_000;
const LITTLE_MEMORY = '--max-old-space-size=60';

const folder = createFolder({ tenants: [{ id: 'default' }, { id: 'acme' }] });
const dataDir = join(folder, 'data');
let database: Database;
let trail: AuditTrail;

beforeAll(async () => {
  mkdirSync(dataDir);
  database = await openDatabase();
  trail = await openAuditTrail({ url: database.url, prefix: 'ul', dataDir });
});
beforeEach(async () => {
  await database.redis.flushdb();
  writeFileSync(trail.file, '');
});
afterAll(async () => {
  await trail.close();
  await database.close();
});

const run = (...args: string[]) => runIn({}, ...args);
const runIn = (env: Record<string, string>, ...args: string[]) =>
  runCommand(['audit', ...args], { folder, env: { REDIS_URL: database.url, ...env } });

describe('audit verify', () => {
  it(
    'says since when how many records are as they were sealed',
    async () => {
      await trail.record(3);
      await trail.sealer().seal('default');
      await trail.record(1);
      const since = new Date(Number((await trail.entries())[0]?.[0].split('-')[0])).toISOString();
      expect(await run('verify')).toEqual({
        code: 0,
        signal: null,
        stdout:
          `Tenant default: 3 records since ${since} are as they were sealed; 1 are not sealed yet; checkpoints in files: 1.\n` +
          'Tenant acme: 0 records are as they were sealed; 0 are not sealed yet; checkpoints in files: 0.\n',
        stderr: '',
      });
    },
    RUN_MS,
  );

  it(
    'says what is wrong, and ends with 1',
    async () => {
      await trail.record(3);
      await trail.sealer().seal('default');
      const [, [id] = ['']] = await trail.entries();
      await trail.redis.xdel(trail.key, id);
      const { code, stdout, stderr } = await run('verify', '--tenant', 'default');
      expect(code).toBe(1);
      expect(stdout).toMatch(new RegExp(`^Tenant default: Record ${id} \\(.*\\) is missing\\.\\n`));
      expect(stderr).toBe('The audit trail is not as it was sealed: 1 findings.\n');
    },
    RUN_MS,
  );

  it(
    'takes checkpoints that were kept elsewhere: a copy of the file, or an export',
    async () => {
      await trail.record(3);
      await trail.sealer().seal('default');
      const copy = join(folder, 'copy.jsonl');
      const exported = join(folder, 'export.jsonl');
      writeFileSync(exported, (await run('export', '--tenant', 'default')).stdout);
      renameSync(trail.file, copy);
      await database.redis.flushdb();
      expect((await run('verify')).code).toBe(0);
      for (const file of [copy, exported]) {
        const { code, stdout } = await run('verify', '--checkpoints', file);
        expect(code).toBe(1);
        expect(stdout).toContain(`Tenant default: The end is cut off: ${file}:`);
      }
    },
    RUN_MS,
  );

  it(
    'reads the file also where it was rotated, and says what it does not read',
    async () => {
      await trail.record(3);
      await trail.sealer().seal('default');
      await database.redis.flushdb();
      for (const name of ['-2026.jsonl', '.jsonl.1', '.jsonl-20260331', '.jsonl-2026-03-31-1774915200']) {
        const rotated = join(dataDir, `audit-checkpoints${name}`);
        renameSync(trail.file, rotated);
        const { code, stdout } = await run('verify', '--tenant', 'default');
        expect({ name, code, stdout }).toEqual({ name, code: 1, stdout: expect.stringContaining(`${rotated}:1 has`) });
        renameSync(rotated, trail.file);
      }
      const packed = join(dataDir, 'audit-checkpoints.jsonl.2.gz');
      renameSync(trail.file, packed);
      expect(await run('verify', '--tenant', 'default')).toMatchObject({
        code: 0,
        stderr: `Not read: ${packed}. If it has checkpoints, unpack it and name it with --checkpoints.\n`,
      });
      rmSync(packed);
    },
    RUN_MS,
  );

  it(
    'has room for forty thousand checkpoints in little memory',
    async () => {
      await trail.record(1);
      await trail.sealer().seal('default');
      writeFileSync(trail.file, readFileSync(trail.file, 'utf8').repeat(40_000));
      const { code, stdout, stderr } = await runIn({ NODE_OPTIONS: LITTLE_MEMORY }, 'verify', '--tenant', 'default');
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toContain('checkpoints in files: 40,000.');
    },
    RUN_MS,
  );

  it(
    'counts lines that are no checkpoints, and shows a thousand findings at the most',
    async () => {
      const other = await openAuditTrail({ url: database.url, prefix: 'other' });
      await other.record(1);
      await other.sealer({ file: trail.file }).seal('default');
      await other.close();
      writeFileSync(trail.file, `${readFileSync(trail.file, 'utf8').repeat(1_200)}null\n{"checkpoint":"x"}\n{}\n`);
      const { code, stdout, stderr } = await run('verify');
      expect([code, stderr]).toEqual([1, 'The audit trail is not as it was sealed: 1,200 findings.\n']);
      const lines = stdout.trim().split('\n');
      expect(lines.filter((line) => line.includes('was not signed by a key'))).toHaveLength(1_000);
      expect(lines).toContain('Tenant default: and 200 more.');
      expect(lines.filter((line) => /passed over/i.test(line))).toEqual([
        'Passed over in files, since they are no checkpoints: 2 lines.',
      ]);
    },
    RUN_MS,
  );

  it.each<[string, string[], RegExp]>([
    ['a tenant that nobody knows', ['--tenant', 'nobody'], /^There is no tenant nobody, neither/],
    ['a file that is not there', ['--checkpoints', 'nowhere.jsonl'], /^nowhere\.jsonl cannot be read/],
    ['a folder', ['--checkpoints', 'data'], /^data cannot be read \(EISDIR\): name a file of checkpoints\.\n$/],
  ])(
    'refuses %s',
    async (_, args, wording) => {
      const { code, stderr } = await run('verify', ...args);
      expect([code, stderr]).toEqual([1, expect.stringMatching(wording)]);
    },
    RUN_MS,
  );

  it(
    'refuses a file without a single checkpoint, which nobody would name on purpose',
    async () => {
      await trail.record(1);
      await trail.sealer().seal('default');
      const [good, records, empty] = ['good', 'records', 'empty'].map((name) => join(folder, `${name}.jsonl`));
      writeFileSync(good as string, readFileSync(trail.file));
      writeFileSync(records as string, '{"event":"revocation.accepted"}\nnull\n');
      writeFileSync(empty as string, '');
      for (const file of [records, empty] as string[]) {
        const { code, stderr } = await run('verify', '--checkpoints', good as string, file);
        expect([code, stderr]).toEqual([
          1,
          `${file} has no checkpoint in it: name a copy of audit-checkpoints.jsonl, or an export.\n`,
        ]);
      }
      // One of another tenant is one.
      expect(await run('verify', '--tenant', 'acme', '--checkpoints', good as string)).toMatchObject({ code: 0 });
      // The gateway begins with an empty file of its own.
      writeFileSync(trail.file, '');
      expect(await run('verify', '--tenant', 'acme')).toMatchObject({ code: 0 });
    },
    RUN_MS,
  );

  it(
    'makes no keys where there are none',
    async () => {
      const elsewhere = createFolder({ tenants: [{ id: 'default' }] });
      const { code, stderr } = await runCommand(['audit', 'verify'], {
        folder: elsewhere,
        env: { REDIS_URL: database.url },
      });
      expect([code, stderr]).toEqual([1, expect.stringMatching(/^There is no .*signing-keys\.json: run this with/)]);
      expect(() => readFileSync(join(elsewhere, 'data', 'signing-keys.json'))).toThrow(/ENOENT/);
    },
    RUN_MS,
  );
});

describe('audit export', () => {
  const parsed = (text: string) =>
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, string>);

  it(
    'writes each record with its time, and each checkpoint after its records',
    async () => {
      await trail.record(1_000);
      await trail.sealer().seal('default');
      await trail.record(2);
      await trail.sealer().seal('default');
      await trail.record(1);
      const { code, stdout } = await run('export');
      const lines = parsed(stdout);
      expect([code, lines.length]).toEqual([0, 1_005]);
      const [id, [, text = '']] = (await trail.entries())[0] as [string, string[]];
      expect(lines[0]).toEqual({
        id,
        time: new Date(Number(id.split('-')[0])).toISOString(),
        event: 'revocation.accepted',
        tenant: 'default',
        trust: 'okta',
        user: 'ada',
        revocationId: expect.stringMatching(/^rev_\d+$/),
      });
      expect(text).toContain(`revocationId=${lines[0]?.revocationId}`);
      expect(
        lines.flatMap(({ checkpoint }, index) => (checkpoint ? [[index, decodeJwt(checkpoint).count]] : [])),
      ).toEqual([
        [1_000, 1_000],
        [1_003, 1_002],
      ]);
    },
    RUN_MS,
  );

  it(
    'writes what was said of tenants that there are not, and verify looks at it',
    async () => {
      const fields = ['event', 'revocation.refused', 'tenant', 'nobody'];
      await trail.redis.xadd('ul:{_}:audit', '1700000000000-0', ...fields);
      await trail.sealer().seal('_');
      expect(parsed((await run('export')).stdout)[0]).toMatchObject({ id: '1700000000000-0', tenant: 'nobody' });
      expect((await run('verify')).stdout).toContain('Tenant _: 1 records since 2023-11-14T22:13:20.000Z are as');
      await trail.redis.del('ul:{_}:audit');
      expect(await run('verify')).toMatchObject({
        code: 1,
        stdout: expect.stringContaining('Tenant _: The last sealed'),
      });
    },
    RUN_MS,
  );

  it(
    'writes the records of a span of time',
    async () => {
      for (const day of ['01', '02', '03', '04']) {
        await trail.redis.xadd(trail.key, `${Date.parse(`2026-03-${day}`)}-0`, 'event', 'app.paused', 'app', `a${day}`);
        await trail.sealer().seal('default');
      }
      const { stdout } = await run('export', '--since', '2026-03-02', '--until', '2026-03-03T00:00:00Z');
      expect(parsed(stdout).map(({ app, checkpoint }) => app ?? checkpoint?.slice(0, 2))).toEqual([
        ...['a02', 'ey', 'a03', 'ey'],
      ]);
    },
    RUN_MS,
  );

  it(
    'takes a day, to its last moment, where that alone is said',
    async () => {
      const times = ['2026-03-01T23:59:59.999Z', '2026-03-02T00:00:00Z', '2026-03-02T23:59:59.999Z', '2026-03-03'];
      for (const time of times) {
        await trail.redis.xadd(trail.key, `${Date.parse(time)}-0`, 'event', 'app.paused', 'app', time);
        await trail.redis.xadd(trail.key, `${Date.parse(time)}-1`, 'event', 'app.resumed', 'app', time);
      }
      const { stdout } = await run('export', '--since', '2026-03-02', '--until', '2026-03-02');
      expect(parsed(stdout).map(({ app }) => app)).toEqual([times[1], times[1], times[2], times[2]]);
    },
    RUN_MS,
  );

  it.each<[string, string[], RegExp]>([
    ['a time that is none', ['--since', 'yesterday'], /^--since is not a time: write it as 2026-03-31 or/],
    ['half a date', ['--until', '2026-03'], /^--until is not a time: write it as 2026-03-31 or/],
    ['a day that there is not', ['--until', '2026-02-30'], /^--until is not a time: write it as 2026-03-31 or/],
    [
      'a span that ends before it begins',
      ['--since', '2026-03-02', '--until', '2026-03-01'],
      /^--since is later than --until: nothing is between them\.\n$/,
    ],
    ['a tenant that nobody knows', ['--tenant', 'nobody'], /^There is no tenant nobody, neither/],
  ])(
    'refuses %s',
    async (_, args, wording) => {
      const { code, stdout, stderr } = await run('export', ...args);
      expect([code, stdout, stderr]).toEqual([1, '', expect.stringMatching(wording)]);
    },
    RUN_MS,
  );
});
