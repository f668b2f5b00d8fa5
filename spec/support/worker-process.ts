/** A worker as a process of its own, to be killed at work. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settingsText } from './gateway.js';

/** `universal-logout serve --role worker`; its keys in Redis start with `ul`. */
export async function startWorkerProcess(settings: object, redisUrl: string) {
  const dir = mkdtempSync(join(tmpdir(), 'universal-logout-worker-'));
  const configFile = join(dir, 'universal-logout.yaml');
  writeFileSync(configFile, settingsText(settings));
  const child = spawn(process.execPath, ['bin/universal-logout.mjs', 'serve', '--role', 'worker'], {
    env: { CONFIG_FILE: configFile, DATA_DIR: dir, REDIS_URL: redisUrl, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return {
    async kill(): Promise<void> {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
