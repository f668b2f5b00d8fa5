/** One real redis-server for a whole test run, on a loopback port of its own; specs keep apart by key prefix. */
import { execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { createConnection, createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PORTS = 2_000;
let portsGiven = randomInt(PORTS);
const START_ATTEMPTS = 3;
const ANSWER_WITHIN_MS = 5_000;

// Standard input ends with the run, also when it is killed; then Redis ends too, and its directory goes.
const GUARD = `
dir=$1
shift
exec 3<&0
server=$(command -v redis-server || command -v valkey-server) && {
  "$server" "$@" 3<&- </dev/null &
  redis=$!
  (while read -r line <&3; do :; done; kill -TERM $redis) >/dev/null 2>&1 &
  watch=$!
  wait $redis
  kill $watch 2>/dev/null
}
rm -rf "$dir"
`;

/** jest's globalSetup. It ignores a returned function, so Redis ends by itself when jest has gone. */
export default async function startRedis(): Promise<void> {
  // Specs of the command line run what is built, which is to be what stands in src.
  execFileSync(process.execPath, ['setup.mjs'], {
    stdio: 'inherit',
    env: { ...process.env, npm_lifecycle_event: 'test' },
  });
  for (let attempt = 1; attempt <= START_ATTEMPTS; attempt += 1) {
    const port = await freePort();
    if (await startOn(port)) {
      process.env.TEST_REDIS_URL = `redis://127.0.0.1:${port}`;
      return;
    }
  }
  throw new Error('redis-server does not start: is redis-server or valkey-server installed?');
}

/** False when somebody else took the port in the meantime, or when there is no Redis. */
async function startOn(port: number): Promise<boolean> {
  const dir = mkdtempSync(join(tmpdir(), 'logout-'));
  const path = join(dir, 'redis.sock'); // Answered by ours alone, which opens it after the port.
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--unixsocket', path, '--unixsocketperm', '700'];
  settings.push('--dir', dir, '--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction');
  const guard = spawn('/bin/sh', ['-c', GUARD, 'redis-guard', dir, ...settings], {
    detached: true, // A Ctrl-C would take the guard away from the Redis that it is to stop.
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const end = Date.now() + ANSWER_WITHIN_MS;
  while (guard.exitCode === null && Date.now() < end) {
    if (await answers(path)) {
      guard.unref();
      if (guard.stdin instanceof Socket) guard.stdin.unref();
      return true;
    }
    await sleep(20);
  }
  guard.stdin.end();
  return false;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path, () => socket.write('PING\r\n'));
    socket.on('error', () => resolve(false));
    socket.on('data', (reply) => {
      resolve(reply.toString().startsWith('+PONG'));
      socket.destroy();
    });
  });
}

/** Of this worker of jest alone, and none that the kernel gives to a connection while its server is down on purpose. */
export async function freePort(): Promise<number> {
  const first = 10_000 + Number(process.env.JEST_WORKER_ID ?? 0) * PORTS;
  for (;;) {
    const port = first + (portsGiven++ % PORTS);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
