/** The embedded Redis with real processes: killed, shared, taken over, refused, and never two on one directory. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { type EmbeddedRedis, startEmbeddedRedis } from '../src/embedded-redis.js';

const root = fileURLToPath(new URL('..', import.meta.url));

const otherProcess = `
import { Redis } from 'ioredis';
import { startEmbeddedRedis } from ${JSON.stringify(join(root, 'src/embedded-redis.ts'))};
const redis = await startEmbeddedRedis({ dataDir: process.argv[1], onRestart: (sentence) => console.log(sentence) });
process.on('SIGINT', async () => {
  await new Promise((resolve) => setTimeout(resolve, 300));
  const client = new Redis({ path: redis.path });
  console.log('said', await client.set('last words', 'goodbye'));
  client.disconnect();
  await redis.close();
});
console.log('up');
`;

let scratch: string;
let dataDir: string;
let opened: EmbeddedRedis[];
let others: ChildProcessWithoutNullStreams[];

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'logout-'));
  dataDir = join(scratch, 'data');
  opened = [];
  others = [];
});

afterEach(async () => {
  for (const other of others) other.kill('SIGKILL');
  await Promise.all(opened.map((redis) => redis.close()));
  rmSync(scratch, { recursive: true, force: true, maxRetries: 10 });
});

describe('one process', () => {
  it('starts Redis, durable and out of reach of others', async () => {
    const redis = await open();
    expect(await ask(redis.path, (client) => client.ping())).toBe('PONG');
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(statSync(redis.path).mode & 0o077).toBe(0);
    const settings = await ask(redis.path, (client) => client.config('GET', '*'));
    const wanted = { port: '0', appendonly: 'yes', appendfsync: 'always', save: '', 'maxmemory-policy': 'noeviction' };
    expect(pairs(settings)).toMatchObject(wanted);
  });

  it('keeps the data over close and start, and leaves no process behind', async () => {
    const first = await open();
    const pid = await redisPid(first.path);
    await ask(first.path, (client) => client.set('kept', 'yes'));
    await first.close();
    expect(isRunning(pid)).toBe(false);
    const second = await open();
    expect(await ask(second.path, (client) => client.get('kept'))).toBe('yes');
  });

  it('starts Redis again with its data when it is killed, as often as that happens', async () => {
    const sentences: string[] = [];
    const redis = await open({ onRestart: (sentence) => sentences.push(sentence) });
    for (const round of [1, 2]) {
      await ask(redis.path, (client) => client.set('round', round));
      const pid = await redisPid(redis.path);
      process.kill(pid, 'SIGKILL');
      await until(async () => (await redisPid(redis.path)) !== pid, 1_500);
      // Killed before it is known to answer, it would count as one that did not start.
      const known = (client: Redis) =>
        client.info('commandstats').then((info) => /cmdstat_ping:calls=[1-9]/.test(info));
      await until(() => ask(redis.path, known), 5_000);
      expect(await ask(redis.path, (client) => client.get('round'))).toBe(String(round));
    }
    expect(sentences).toEqual(Array(2).fill('redis-server ended (exit code 137).'));
  });

  it('does not start Redis again after close()', async () => {
    const redis = await open();
    process.kill(await redisPid(redis.path), 'SIGKILL');
    await redis.close();
    await sleep(300);
    expect(await answers(redis.path)).toBe(false);
  });

  it('works in a directory whose path is too long for a Unix socket', async () => {
    dataDir = join(dataDir, 'long'.repeat(30));
    const redis = await open();
    expect(await ask(redis.path, (client) => client.ping())).toBe('PONG');
    await redis.close();
    expect(() => statSync(join(redis.path, '../..'))).toThrow('ENOENT');
  });

  it('takes valkey-server where there is no redis-server', async () => {
    const bin = join(scratch, 'bin');
    mkdirSync(bin);
    const found = process.env.PATH?.split(':').flatMap((dir) => [
      join(dir, 'redis-server'),
      join(dir, 'valkey-server'),
    ]);
    symlinkSync(found?.find((file) => statSync(file, { throwIfNoEntry: false })) ?? '', join(bin, 'valkey-server'));
    const redis = await open({ env: { PATH: bin } });
    expect(await ask(redis.path, (client) => client.ping())).toBe('PONG');
  });

  it('refuses a redis-server that is too old, in a sentence, and starts nothing', async () => {
    const bin = join(scratch, 'bin');
    mkdirSync(bin);
    // What Ubuntu 22.04's says of itself.
    const old =
      '#!/bin/sh\necho "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=a3fdef44459b3ad6"\n';
    writeFileSync(join(bin, 'redis-server'), old, { mode: 0o755 });
    await expect(open({ env: { PATH: bin } })).rejects.toThrow(
      `${join(bin, 'redis-server')} is version 6.0.16, and the gateway needs 7.0 or later: install a newer redis-server or valkey-server, or set REDIS_URL to one elsewhere.`,
    );
    expect(readdirSync(dataDir).filter((file) => file === 'redis.log')).toEqual([]);
  });

  it('is gone when the gateway was killed', async () => {
    const other = await openElsewhere();
    const path = join(dataDir, 'redis.sock');
    const pid = await redisPid(path);
    other.kill('SIGKILL');
    await until(() => !isRunning(pid), 2_000);
    expect(await answers(path)).toBe(false);
  });

  it('outlives a Ctrl-C until the gateway has said its last words', async () => {
    const other = await openElsewhere();
    process.kill(-(other.pid ?? 0), 'SIGINT');
    expect(await nextLine(other)).toBe('said OK');
    expect(await once(other, 'exit')).toEqual([0, null]);
    expect(await answers(join(dataDir, 'redis.sock'))).toBe(false);
  });
});

describe('several processes', () => {
  it('share one Redis, which stays when the one who came second leaves', async () => {
    const first = await open();
    const second = await open();
    const other = await openElsewhere();
    await second.close();
    other.kill('SIGKILL');
    await once(other, 'exit');
    await sleep(200);
    expect(await answers(first.path)).toBe(true);
    expect(starts()).toBe(1);
  });

  it('start exactly one Redis when they start at the same time', async () => {
    const [here, there] = await Promise.all([open(), open(), openElsewhere(), openElsewhere()]);
    expect(await redisPid(here.path)).toBe(await redisPid(there.path));
    expect(starts()).toBe(1);
  });

  it.each(['SIGKILL', 'SIGINT'] as const)('take over when the owner ends by %s', async (signal) => {
    const other = await openElsewhere();
    const sentences: string[] = [];
    const redis = await open({ onRestart: (sentence) => sentences.push(sentence) });
    await ask(redis.path, (client) => client.set('kept', 'yes'));
    const pid = await redisPid(redis.path);
    process.kill(other.pid ?? 0, signal);
    await until(async () => (await redisPid(redis.path)) !== pid, 3_000);
    expect(await ask(redis.path, (client) => client.get('kept'))).toBe('yes');
    expect(sentences).toEqual(['The redis-server of another process went away.']);
    expect(isRunning(pid)).toBe(false);
  });

  it('never start a second Redis beside one that a killed owner left and that cannot end yet', async () => {
    const other = await openElsewhere();
    const pid = await redisPid(join(dataDir, 'redis.sock'));
    process.kill(pid, 'SIGSTOP');
    other.kill('SIGKILL');
    const opening = open();
    await sleep(1_500);
    expect(isRunning(pid)).toBe(true);
    expect(starts()).toBe(1);
    process.kill(pid, 'SIGCONT');
    const redis = await opening;
    expect(isRunning(pid)).toBe(false);
    expect(await redisPid(redis.path)).not.toBe(pid);
    expect(starts()).toBe(2);
  });
});

describe('refusals', () => {
  it('says what to run when neither redis-server nor valkey-server is installed', async () => {
    await expect(open({ env: { PATH: '' } })).rejects.toThrow(
      'Neither redis-server nor valkey-server is installed: run "apt-get install redis-server", "dnf install valkey" or "brew install redis", or set REDIS_URL.',
    );
    await open();
  });

  it("says Redis' own reason when Redis does not start", async () => {
    mkdirSync(join(dataDir, 'appendonlydir'), { recursive: true });
    for (const file of ['appendonly.aof', 'appendonlydir/appendonly.aof.manifest']) {
      writeFileSync(join(dataDir, file), 'this was never written by Redis\n');
    }
    await expect(open()).rejects.toThrow(/^redis-server did not start: .*redis\.log\)$/);
  });

  it('says the reason of the file system when the directory cannot be made', async () => {
    writeFileSync(dataDir, 'a file');
    await expect(open()).rejects.toThrow('EEXIST');
  });

  it.each([
    ['whose pid belongs to a later process', JSON.stringify({ owner: { pid: process.pid, birth: 'another' } })],
    ['of a process that has gone', JSON.stringify({ owner: { pid: 2 ** 22 + 1, birth: 'another' } })],
    ['cut by a power failure', '{"owner":{"pi'],
  ])('is not kept from starting by a claim %s', async (_, claim) => {
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, 'redis.owner.9'), claim);
    await open();
    expect(readdirSync(dataDir).filter((name) => name.startsWith('redis.owner'))).toEqual(['redis.owner.10']);
  });
});

async function open(options: Omit<Parameters<typeof startEmbeddedRedis>[0], 'dataDir'> = {}): Promise<EmbeddedRedis> {
  const redis = await startEmbeddedRedis({ dataDir, ...options });
  opened.push(redis);
  return redis;
}

/** A process of its own, in a process group of its own as a terminal would give it. */
async function openElsewhere(): Promise<ChildProcessWithoutNullStreams> {
  const args = ['--import', 'tsx', '--input-type=module', '-e', otherProcess, dataDir];
  const other = spawn(process.execPath, args, { cwd: root, detached: true });
  others.push(other);
  let problems = '';
  other.stderr.on('data', (chunk) => {
    problems += chunk;
  });
  const line = await Promise.race([nextLine(other), once(other, 'exit').then(() => problems)]);
  expect(line).toBe('up');
  return other;
}

async function nextLine(other: ChildProcessWithoutNullStreams): Promise<string> {
  return String(await once(other.stdout, 'data')).trim();
}

async function ask<T>(path: string, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis({ path, maxRetriesPerRequest: null, retryStrategy: () => 20 });
  client.on('error', () => {}); // It tries again until the spec's own deadline.
  try {
    return await question(client);
  } finally {
    client.disconnect();
  }
}

async function answers(path: string): Promise<boolean> {
  const client = new Redis({ path, lazyConnect: true, retryStrategy: null });
  client.on('error', () => {}); // The rejection of connect() says it.
  const answer = await client.connect().then(
    () => true,
    () => false,
  );
  client.disconnect();
  return answer;
}

async function redisPid(path: string): Promise<number> {
  const server = await ask(path, (client) => client.info('server'));
  return Number(/process_id:(\d+)/.exec(server)?.[1]);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false; // ESRCH.
  }
}

/** How many times a Redis has been started on the directory so far. */
function starts(): number {
  return readFileSync(join(dataDir, 'redis.log'), 'utf8').match(/ is starting /g)?.length ?? 0;
}

function pairs(reply: unknown): Record<string, unknown> {
  if (!Array.isArray(reply)) return reply as Record<string, unknown>;
  return Object.fromEntries(reply.flatMap((value, i) => (i % 2 ? [] : [[value, reply[i + 1]]])));
}

async function until(condition: () => boolean | Promise<boolean>, withinMs: number): Promise<void> {
  for (const end = Date.now() + withinMs; !(await condition()); await sleep(20)) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms`);
  }
}
