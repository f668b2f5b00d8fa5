/** A worker as a process of its own, to be killed, halted and stopped at work. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settingsText } from './gateway.js';

export type WorkerProcess = Awaited<ReturnType<typeof startWorkerProcess>>;

/** `universal-logout serve --role worker`; its keys in Redis start with `ul`. */
export async function startWorkerProcess(settings: object, redisUrl: string, nodeOptions = '') {
  const dir = mkdtempSync(join(tmpdir(), 'universal-logout-worker-'));
  const configFile = join(dir, 'universal-logout.yaml');
  writeFileSync(configFile, settingsText(settings));
  const child = spawn(process.execPath, ['bin/universal-logout.mjs', 'serve', '--role', 'worker'], {
    env: { CONFIG_FILE: configFile, DATA_DIR: dir, REDIS_URL: redisUrl, PORT: '0', NODE_OPTIONS: nodeOptions },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit') as Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  await Promise.race([once(child.stdout, 'data'), ended]);
  child.stdout.resume();
  return {
    signal: (name: NodeJS.Signals) => child.kill(name),
    ended,
    async kill(): Promise<void> {
      child.kill('SIGKILL');
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
