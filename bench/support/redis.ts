/** A redis-server of the script's own, with an append-only file, that can be killed and started again on its data. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { end, freePort, keep, temporaryDirectory } from './children.js';

const BINARIES = ['redis-server', 'valkey-server'];
const ANSWER_WITHIN_MS = 20_000;

export type Fsync = 'always' | 'everysec';

/** Throws where no Redis is installed. `rewrite: false` keeps the append-only file from being rewritten meanwhile. */
export async function startRedis({ fsync = 'always', rewrite = true }: { fsync?: Fsync; rewrite?: boolean } = {}) {
  const [binary, version] = findBinary();
  const dir = temporaryDirectory();
  const port = await freePort();
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', ''];
  settings.push('--appendonly', 'yes', '--appendfsync', fsync, '--maxmemory-policy', 'noeviction');
  if (!rewrite) settings.push('--auto-aof-rewrite-percentage', '0');
  let child: ChildProcess;

  async function start(): Promise<void> {
    child = keep(spawn(binary, settings, { stdio: 'ignore' }));
    const deadline = Date.now() + ANSWER_WITHIN_MS;
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error(`${binary} ended at once`);
      if (Date.now() > deadline) throw new Error(`${binary} does not answer`);
      await sleep(10);
    }
  }

  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    version,
    start,
    pid: () => child.pid,
    kill: () => end(child, 'SIGKILL'),
    stop: () => end(child),
  };
}

function findBinary(): [name: string, version: string] {
  for (const name of BINARIES) {
    try {
      const output = execFileSync(name, ['--version'], { encoding: 'utf8' });
      return [name, `${name} ${/v=(\S+)/.exec(output)?.[1] ?? ''}`];
    } catch {
      // Not installed: the next one may be.
    }
  }
  throw new Error(`Install ${BINARIES.join(' or ')}: this measures with a real one.`);
}

/** Whether Redis has read its append-only file and takes commands. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.on('error', () => resolve(false));
    socket.on('data', (reply) => {
      resolve(reply.toString().startsWith('+PONG'));
      socket.destroy();
    });
  });
}
