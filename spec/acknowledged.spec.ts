/** Waiting for replicas: what counts as acknowledged, with WAITAOF as Redis 7.2 documents it, and with WAIT. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReplyError } from 'ioredis';
import { createAcknowledged, writeSafely } from '../src/acknowledged.js';
import { connectForRequests, type RedisClient } from '../src/redis.js';
import { eventually } from './support/eventually.js';
import { DURABLE, startRedisProcess } from './support/redis-process.js';

const KEY = 'spec-acknowledged';
const VERSION = '"$(command -v redis-server || command -v valkey-server)" --version';
const WAITAOF = /\*4\r\n\$7\r\nWAITAOF\r\n\$\d+\r\n(\d+)\r\n\$\d+\r\n(\d+)\r\n\$\d+\r\n(\d+)\r\n/g;

const command = (...words: string[]) =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;

/** A wire to the suite's Redis, which answers WAITAOF with what this script returns, in its turn. */
async function startWireWithWaitAof(script: string) {
  const target = new URL(process.env.TEST_REDIS_URL as string);
  const asked: string[][] = [];
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    sockets.push(near, far);
    near.on('data', (bytes) => {
      const text = bytes.toString('latin1').replace(WAITAOF, (_, ...words: string[]) => {
        asked.push(words.slice(0, 3));
        return command('EVAL', script, '0', ...words.slice(0, 3));
      });
      far.write(text, 'latin1');
    });
    far.pipe(near);
    for (const socket of [near, far]) socket.on('error', () => {});
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    asked,
    cut,
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close(): Promise<void> {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}

type Wire = Awaited<ReturnType<typeof startWireWithWaitAof>>;

async function ready(url: string): Promise<RedisClient> {
  const redis = connectForRequests({ url });
  redis.on('error', () => {});
  await once(redis, 'ready');
  return redis;
}

/** Every attempt at one write with `replicas` wanted. */
async function attempt(script: string, replicas: number): Promise<{ outcome: unknown; asked: string[][] }> {
  const wire = await startWireWithWaitAof(script);
  const redis = await ready(wire.url);
  try {
    const acknowledged = createAcknowledged(redis, KEY, replicas);
    const outcome = await acknowledged(async () => 'written').catch((error: Error) => error.message);
    return { outcome, asked: wire.asked };
  } finally {
    redis.disconnect();
    await wire.close();
  }
}

describe('a write is acknowledged', () => {
  it.each(['return {1, 2}', 'return {1, 3}'])(
    'by WAITAOF: on this disk and on those of two replicas [%s]',
    async (script) => {
      const { outcome, asked } = await attempt(script, 2);
      expect(outcome).toBe('written');
      expect(asked).toEqual([['1', '2', '400']]);
    },
  );

  it.each([
    ['too few replicas have it', 'return {1, 1}', /^1 of the 2 replicas/],
    ['this disk does not have it', 'return {0, 2}', /^0 of the 2 replicas/],
    [
      'this server keeps no append-only file',
      "return redis.error_reply('ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.')",
      /appendonly is disabled/,
    ],
  ])('not where %s', async (_, script, problem) => {
    expect((await attempt(script, 2)).outcome).toMatch(problem);
  });

  it('by WAIT where the server knows no WAITAOF, which is asked for once', async () => {
    const { outcome, asked } = await attempt('return redis.error_reply("ERR unknown command \'WAITAOF\'")', 1);
    expect(outcome).toMatch(/^0 of the 1 replicas/);
    expect(asked).toHaveLength(1);
  });

  it('by one WAITAOF together with what was written while another one was under way', async () => {
    const wire = await startWireWithWaitAof('return {1, 1}');
    const redis = await ready(wire.url);
    try {
      const acknowledged = createAcknowledged(redis, KEY, 1);
      const written: string[] = [];
      const writes = Array.from({ length: 40 }, async (_, index) => {
        await acknowledged(() => redis.set(`${KEY}-${index % 2}`, String(index)));
        written.push(String(index));
      });
      await Promise.all(writes);
      expect(written).toHaveLength(40);
      expect(wire.asked.length).toBeLessThanOrEqual(3);
      // Nobody is served by one that went out before the write was answered.
      const before = wire.asked.length;
      await acknowledged(() => redis.set(KEY, 'again'));
      expect(wire.asked).toHaveLength(before + 1);
    } finally {
      redis.disconnect();
      await wire.close();
    }
  });

  it('not where the connection was cut in between, whatever the next one says', async () => {
    const wire = await startWireWithWaitAof('return {1, 1}');
    const redis = await ready(wire.url);
    try {
      const acknowledged = createAcknowledged(redis, KEY, 1);
      const written = acknowledged(async () => {
        wire.cut();
        await once(redis, 'ready');
      });
      await expect(written).rejects.toThrow('another one');
      expect(await acknowledged(async () => 'written')).toBe('written');
    } finally {
      redis.disconnect();
      await wire.close();
    }
  });

  it('not where the write itself failed', async () => {
    const wire = await startWireWithWaitAof('return {1, 1}');
    const redis = await ready(wire.url);
    try {
      const refused = createAcknowledged(redis, KEY, 1)(() => Promise.reject(new Error('not written')));
      await expect(refused).rejects.toThrow('not written');
      expect(wire.asked).toEqual([]);
    } finally {
      redis.disconnect();
      await wire.close();
    }
  });
});

describe('what cannot be refused any more', () => {
  /** Written through a wire whose server answers WAITAOF with what this script returns. */
  async function writing(script: string, write: (count: number, wire: Wire, redis: RedisClient) => Promise<void>) {
    const wire = await startWireWithWaitAof(script);
    const redis = await ready(wire.url);
    const stop = new AbortController();
    let count = 0;
    const numbered = async () => {
      count += 1;
      await write(count, wire, redis);
      return count;
    };
    const outcome = writeSafely(createAcknowledged(redis, KEY, 1), numbered, stop.signal);
    return {
      stop,
      written: () => count,
      outcome: outcome.finally(async () => {
        redis.disconnect();
        await wire.close();
      }),
    };
  }

  it('is written again where nobody knows which master has it', async () => {
    const { outcome } = await writing('return {1, 1}', async (count, wire, redis) => {
      if (count > 2) return;
      wire.cut();
      await once(redis, 'ready');
      if (count === 2) throw new Error('Connection is closed.');
    });
    expect(await outcome).toEqual({ answer: 3, safe: true });
  });

  it.each([
    'return {1, 0}',
    "return redis.error_reply('ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.')",
  ])('is written once, and not safe, where the master is there and the replicas are not [%s]', async (script) => {
    const { outcome } = await writing(script, async () => {});
    expect(await outcome).toEqual({ answer: 1, safe: false });
  });

  it('is written once more where the master turns into a replica meanwhile', async () => {
    const { outcome } = await writing('return {1, 1}', async (count) => {
      if (count === 1) throw new ReplyError("READONLY You can't write against a read only replica.");
    });
    expect(await outcome).toEqual({ answer: 2, safe: true });
  });

  it('is not written again where it is wrong', async () => {
    const { outcome, written } = await writing('return {1, 1}', () => Promise.reject(new ReplyError('WRONGTYPE')));
    await expect(outcome).rejects.toThrow('WRONGTYPE');
    expect(written()).toBe(1);
  });

  it('is given up where no master comes before the end', async () => {
    const { outcome, stop } = await writing('return {1, 1}', () => Promise.reject(new Error('Connection is closed.')));
    setTimeout(() => stop.abort(), 250);
    await expect(outcome).rejects.toThrow('aborted');
  });
});

// Valkey has gone on counting from Redis 7.2.
const [, major = 0, minor = 0] =
  /v=(\d+)\.(\d+)/.exec(execFileSync('/bin/sh', ['-c', VERSION], { encoding: 'utf8' })) ?? [];
const hasWaitAof = Number(major) > 7 || (Number(major) === 7 && Number(minor) >= 2);

(hasWaitAof ? describe : describe.skip)('by WAITAOF for real, where the installed server has it (7.2)', () => {
  it('a write counts only where a replica has it on disk', async () => {
    const root = mkdtempSync(join(tmpdir(), 'universal-logout-waitaof-'));
    const master = await startRedisProcess(root, () => DURABLE);
    const replica = await startRedisProcess(root, () => [...DURABLE, '--replicaof', '127.0.0.1', String(master.port)]);
    const redis = await ready(`redis://127.0.0.1:${master.port}`);
    try {
      const acknowledged = createAcknowledged(redis, KEY, 1);
      const write = () => acknowledged(() => redis.set(KEY, 'written'));
      await eventually(
        () => write().catch(() => 'not yet'),
        (answer) => answer === 'OK',
      );
      expect(await redis.info('commandstats')).toMatch(/^cmdstat_waitaof:/m);
      await replica.admin.config('SET', 'appendonly', 'no');
      await expect(write()).rejects.toThrow('0 of the 1 replicas');
      await replica.admin.config('SET', 'appendonly', 'yes');
      await eventually(
        () => write().catch(() => 'not yet'),
        (answer) => answer === 'OK',
      );
    } finally {
      redis.disconnect();
      await Promise.all([master.kill(), replica.kill()]);
      rmSync(root, { recursive: true, force: true });
    }
  }, 30_000);
});
