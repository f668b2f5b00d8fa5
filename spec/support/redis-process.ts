/** One redis-server of several that make a Sentinel set-up or a Cluster, which ends with the spec, however that ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { eventually } from './eventually.js';
import { GUARD } from './own-redis.js';
import { freePort } from './redis-server.js';

export type RedisProcess = Awaited<ReturnType<typeof startRedisProcess>>;

const LOADED_WITHIN_MS = 20_000;

/** Below `root`; `settings` may begin with a file. Every write is on disk at once, and replicas are served at once. */
export async function startRedisProcess(root: string, settings: (port: number) => string[] | Promise<string[]>) {
  const port = await freePort();
  const dir = join(root, String(port));
  mkdirSync(dir);
  const all = [...(await settings(port)), '--port', String(port), '--bind', '127.0.0.1', '--dir', dir];
  const admin = new Redis(port, '127.0.0.1', {
    lazyConnect: true,
    maxRetriesPerRequest: null,
    retryStrategy: () => 50,
  });
  admin.on('error', () => {
    // It is away on purpose.
  });
  let running: { pid: number; end(): Promise<void> } | undefined;

  /** On the data that it has. */
  async function start(): Promise<void> {
    if (running) return;
    const guard = spawn('/bin/sh', ['-c', GUARD, 'redis-process', ...all], { stdio: ['pipe', 'pipe', 'ignore'] });
    const [line] = (await once(guard.stdout, 'data')) as [Buffer];
    running = {
      pid: Number(line.toString()),
      async end() {
        guard.stdin.end();
        await once(guard, 'exit');
      },
    };
    await admin.connect().catch(() => {
      // It goes on trying.
    });
    await eventually(
      () => admin.ping().catch(() => ''),
      (answer) => answer === 'PONG',
      LOADED_WITHIN_MS,
    );
  }

  await start();
  return {
    port,
    admin,
    start,
    /** As power failure does: without a word to anybody. */
    async kill(): Promise<void> {
      const ended = running;
      running = undefined;
      admin.disconnect();
      await ended?.end();
    },
  };
}

export const DURABLE = [
  '--save',
  '',
  '--appendonly',
  'yes',
  '--appendfsync',
  'always',
  '--repl-diskless-sync-delay',
  '0',
];
