/** A Redis of one spec's own, to be killed, stopped and starved. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { eventually } from './eventually.js';
import { freePort } from './redis-server.js';

// Ends Redis when standard input ends, which it does with the spec, however that ends.
export const GUARD = `
"$(command -v redis-server || command -v valkey-server)" "$@" </dev/null >/dev/null 2>&1 &
echo $!
cat >/dev/null
kill -9 $! 2>/dev/null`;

export type OwnRedis = Awaited<ReturnType<typeof startOwnRedis>>;

/** Keeps every write on disk at once, as the gateway's own does. */
export async function startOwnRedis() {
  const dir = mkdtempSync(join(tmpdir(), 'universal-logout-redis-'));
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', ''];
  settings.push('--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction');
  const admin = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  admin.on('error', () => {
    // It is away on purpose.
  });
  let running: { pid: number; end(): Promise<void> } | undefined;

  async function start(): Promise<void> {
    if (running) return;
    const guard = spawn('/bin/sh', ['-c', GUARD, 'own-redis', ...settings], { stdio: ['pipe', 'pipe', 'ignore'] });
    const [line] = (await once(guard.stdout, 'data')) as [Buffer];
    running = {
      pid: Number(line.toString()),
      async end() {
        guard.stdin.end();
        await once(guard, 'exit');
      },
    };
    await eventually(
      () => admin.ping().catch(() => ''),
      (answer) => answer === 'PONG',
    );
  }

  /** As power failure does: without a word to anybody. */
  async function kill(): Promise<void> {
    const ended = running;
    running = undefined;
    await ended?.end();
  }

  const signal = (name: 'SIGSTOP' | 'SIGCONT') => {
    if (running) process.kill(running.pid, name);
  };

  await start();
  return {
    url,
    port,
    start,
    kill,
    /** Still there, and silent. */
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    /** Past every wire. */
    admin,
    set: (name: string, value: string) => admin.config('SET', name, value),
    async close(): Promise<void> {
      admin.disconnect();
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
