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

/** Below `root`; `settings` may begin with a file. Every write is on disk at once, and replicas are served at once. */
export async function startRedisProcess(root: string, settings: (port: number) => string[] | Promise<string[]>) {
  const port = await freePort();
  const dir = join(root, String(port));
  mkdirSync(dir);
  const all = [...(await settings(port)), '--port', String(port), '--bind', '127.0.0.1', '--dir', dir];
  const guard = spawn('/bin/sh', ['-c', GUARD, 'redis-process', ...all], { stdio: ['pipe', 'pipe', 'ignore'] });
  const [line] = (await once(guard.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  const admin = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  admin.on('error', () => {
    // It is away on purpose.
  });
  await eventually(
    () => admin.ping(),
    (answer) => answer === 'PONG',
  );
  let closed = false;
  return {
    port,
    pid,
    admin,
    /** As power failure does: without a word to anybody. */
    async kill(): Promise<void> {
      if (closed) return;
      closed = true;
      admin.disconnect();
      guard.stdin.end();
      await once(guard, 'exit');
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
