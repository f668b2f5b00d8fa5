/** Waiting for replicas: what counts as acknowledged, with WAITAOF as Redis 7.2 documents it, and with WAIT. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createAcknowledged } from '../src/acknowledged.js';
import { connectForRequests, type RedisClient } from '../src/redis.js';

const KEY = 'spec-acknowledged';
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
