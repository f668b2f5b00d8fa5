/** The private Redis of the embedded default: one redis-server per data directory, kept up while any gateway process has it open. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isAlive, isCode, lastClaim, type Running, running, takeClaim } from './process-claim.js';
import { isTooOld } from './redis.js';

export type EmbeddedRedis = {
  path: string; // A Unix socket, for ioredis' `{ path }`.
  close(): Promise<void>;
};

export type EmbeddedRedisOptions = {
  dataDir: string;
  onRestart?: (sentence: string) => void; // Hears why Redis went away, or why it could not be started again.
  env?: NodeJS.ProcessEnv; // Where PATH leads to redis-server; inherited if absent.
};

const MAX_SOCKET_PATH_BYTES = 100; // The kernel takes 103 on macOS, 107 on Linux.
const KNOCK_EVERY_MS = 20;
const SILENCE_MS = 1_000; // "-LOADING" breaks the silence: a long append-only file has all the time it needs.
const ANSWER_WITHIN_MS = 30_000;
const LEFTOVER_WITHIN_MS = 10_000;
const OTHER_OWNER_WITHIN_MS = 45_000; // Longer than the other one may itself take to start or to give up.
const STOP_WITHIN_MS = 8_000;
const FIRST_RESTART_MS = 50;
const LAST_RESTART_MS = 5_000;
const STEADY_MS = 1_000;

// Waits to be noted in the claim before it starts Redis, then stops Redis when standard input ends: also when the gateway was killed.
const GUARD = `
trap '' PIPE
umask 077
exec 2>>redis.log
read -r go || exit 0
exec 3<&0
"$@" 3<&- </dev/null >&2 &
redis=$!
(while read -r line <&3; do :; done; kill -TERM $redis) >/dev/null 2>&1 &
watch=$!
echo $redis
wait $redis
code=$?
kill $watch 2>/dev/null
exit $code
`;

/** Resolves when Redis answers and rejects when it cannot be started; whatever happens later is mended and told to `onRestart`. */
export async function startEmbeddedRedis({ dataDir, onRestart, env }: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const dir = resolve(dataDir);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const door = openDoor(dir);
  const closing = new AbortController();
  let supervised: Promise<void> = Promise.resolve();

  async function close(): Promise<void> {
    closing.abort();
    await supervised;
    door.close();
  }

  try {
    await new Promise<void>((ready, failed) => {
      supervised = supervise({ dir, path: door.path, signal: closing.signal, env }, { ready, failed, onRestart });
    });
  } catch (error) {
    await close();
    throw error;
  }
  return { path: door.path, close };
}

/** The one that runs on this data directory, whoever started it, as long as it answers; `close` stops nothing. */
export async function findEmbeddedRedis(dataDir: string): Promise<EmbeddedRedis | undefined> {
  const dir = resolve(dataDir);
  const door = openDoor(dir);
  const connection = await knock(door.path, AbortSignal.timeout(SILENCE_MS));
  connection?.destroy();
  if (connection) return { path: door.path, close: async () => door.close() };
  door.close();
  return undefined;
}

type Place = { dir: string; path: string; signal: AbortSignal; env: NodeJS.ProcessEnv | undefined };
type Watchers = {
  ready: () => void;
  failed: (error: unknown) => void;
  onRestart: ((sentence: string) => void) | undefined;
};

async function supervise(place: Place, { ready, failed, onRestart }: Watchers): Promise<void> {
  const { dir, path, signal } = place;
  let answered = false;
  let restartMs = FIRST_RESTART_MS;
  let upSince = Date.now();
  let waitingSince = Date.now();
  const up = (): void => {
    answered = true;
    upSince = Date.now();
    ready();
  };
  while (!signal.aborted) {
    upSince = Date.now();
    try {
      const ended = (await useRunning(path, signal, up)) ?? (await runOwn(place, up));
      if (signal.aborted) return;
      if (!ended) {
        refuseEndlessWait(dir, Date.now() - waitingSince);
        await pause(FIRST_RESTART_MS, signal);
        continue;
      }
      onRestart?.(ended);
    } catch (error) {
      if (!answered) return failed(error);
      if (signal.aborted) return;
      onRestart?.(error instanceof Error ? error.message : String(error));
    }
    restartMs = Date.now() - upSince > STEADY_MS ? FIRST_RESTART_MS : Math.min(restartMs * 2, LAST_RESTART_MS);
    await pause(restartMs, signal);
    waitingSince = Date.now();
  }
}

/** Nothing at once when nobody answers; otherwise waits until the one who answered has gone. */
async function useRunning(path: string, signal: AbortSignal, up: () => void): Promise<string | undefined> {
  const connection = await knock(path, signal);
  if (!connection) return;
  up();
  if (!connection.closed) await once(connection, 'close');
  return 'The redis-server of another process went away.';
}

/** Nothing at once when another process has the claim; otherwise runs Redis until it ends or is to stop. */
async function runOwn({ dir, path, signal, env }: Place, up: () => void): Promise<string | undefined> {
  const claim = signal.aborted ? undefined : takeClaim(dir);
  if (!claim) return;
  const over = new AbortController();
  let killTimer: NodeJS.Timeout | undefined;
  let guard: ReturnType<typeof spawnGuard> | undefined;
  let redis: Running | undefined;
  try {
    guard = spawnGuard(dir, (await findBinary(env)).binary, env);
    const { stdin, stdout } = guard;
    await once(guard, 'spawn');
    const ended = once(guard, 'exit').finally(() => over.abort());
    claim.note({ guard: running(guard.pid) });
    stdin.write('go\n');
    const line = await Promise.race([once(stdout, 'data').then(String), ended.then(() => '')]);
    redis = running(Number(line));
    claim.note({ guard: running(guard.pid), redis });

    const stop = (): void => {
      kill(redis, 'SIGTERM');
      stdin.end();
      killTimer = setTimeout(() => kill(redis, 'SIGKILL'), STOP_WITHIN_MS);
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true, signal: over.signal });

    const answered = await untilAnswers(path, over.signal);
    if (answered) up();
    else if (!over.signal.aborted) stop();
    const [code, killedBy] = await ended;
    if (!answered && !signal.aborted) throw expected(`redis-server did not start: ${lastLogLine(dir)}`);
    return `redis-server ended (${killedBy ?? `exit code ${code}`}).`;
  } finally {
    over.abort();
    guard?.stdin.destroy();
    guard?.stdout.destroy();
    // A guard that was killed leaves Redis running, but the one who watches has still seen the end of its standard input.
    for (const end = Date.now() + LEFTOVER_WITHIN_MS; isAlive(redis) && Date.now() < end; ) await sleep(KNOCK_EVERY_MS);
    clearTimeout(killTimer);
    claim.release();
  }
}

function spawnGuard(dir: string, binary: string, env: NodeJS.ProcessEnv | undefined) {
  const settings = ['--port', '0', '--unixsocket', 'redis.sock', '--unixsocketperm', '700', '--dir', dir];
  settings.push('--appendonly', 'yes', '--appendfsync', 'always', '--save', '', '--maxmemory-policy', 'noeviction');
  settings.push('--daemonize', 'no');
  const guard = spawn('/bin/sh', ['-c', GUARD, 'redis-guard', binary, ...settings], {
    cwd: dir,
    detached: true, // A Ctrl-C in the terminal is for the gateway, which needs Redis until it has stopped.
    stdio: ['pipe', 'pipe', 'ignore'],
    env,
  });
  guard.stdin.on('error', () => {}); // The guard has gone, which its exit says better.
  return guard;
}

/** What is started where none runs yet. Throws where there is none, or one that is too old. */
export async function findBinary(env: NodeJS.ProcessEnv | undefined): Promise<{ binary: string; version: string }> {
  const binary = await lookUpBinary(env);
  // A Valkey of any version is new enough: its first was 7.2.
  const { stdout } = await promisify(execFile)(binary, ['--version'], { env });
  const [, version = ''] = /\bv=(\d\S*)/.exec(stdout) ?? [];
  if (isTooOld(version)) {
    throw expected(
      `${binary} is version ${version}, and the gateway needs 7.0 or later: install a newer redis-server or valkey-server, or set REDIS_URL to one elsewhere.`,
    );
  }
  return { binary, version };
}

async function lookUpBinary(env: NodeJS.ProcessEnv | undefined): Promise<string> {
  try {
    const lookUp = 'command -v redis-server || command -v valkey-server';
    const { stdout } = await promisify(execFile)('/bin/sh', ['-c', lookUp], { env });
    return stdout.trim();
  } catch (cause) {
    throw expected(
      'Neither redis-server nor valkey-server is installed: run "apt-get install redis-server", "dnf install valkey" or "brew install redis", or set REDIS_URL.',
      { cause },
    );
  }
}

/** A failure that its sentence explains: the command line shows no stack. */
function expected(sentence: string, options?: ErrorOptions): Error {
  return Object.assign(new Error(sentence, options), { expected: true });
}

function lastLogLine(dir: string): string {
  const file = join(dir, 'redis.log');
  return `${readFileSync(file, 'utf8').trim().split('\n').at(-1)} (${file})`;
}

async function untilAnswers(path: string, signal: AbortSignal): Promise<boolean> {
  for (const end = Date.now() + ANSWER_WITHIN_MS; !signal.aborted && Date.now() < end; ) {
    const connection = await knock(path, signal);
    connection?.destroy();
    if (connection) return true;
    await pause(KNOCK_EVERY_MS, signal);
  }
  return false;
}

/** A connection on which Redis has answered PING and is not loading any more. */
function knock(path: string, signal: AbortSignal): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection({ path, timeout: SILENCE_MS });
    const leave = (): unknown => socket.destroy();
    const ping = (): boolean => socket.write('PING\r\n');
    socket.once('connect', ping);
    socket.on('error', () => {}); // "close" follows.
    socket.on('timeout', leave);
    socket.once('close', () => {
      signal.removeEventListener('abort', leave);
      resolve(undefined);
    });
    signal.addEventListener('abort', leave);
    socket.on('data', (reply) => {
      if (reply.toString().startsWith('-LOADING')) return setTimeout(ping, KNOCK_EVERY_MS);
      socket.setTimeout(0);
      return resolve(socket);
    });
  });
}

/** The way to the socket in `dir`: a symbolic link from a private short directory where the plain path is too long for the kernel. */
function openDoor(dir: string): { path: string; close: () => void } {
  const path = join(dir, 'redis.sock');
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES) return { path, close: () => {} };
  const short = mkdtempSync(join(tmpdir(), 'logout-'));
  symlinkSync(dir, join(short, 'data'));
  return { path: join(short, 'data', 'redis.sock'), close: () => rmSync(short, { recursive: true, force: true }) };
}

function refuseEndlessWait(dir: string, waitedMs: number): void {
  const { owner, guard, redis } = lastClaim(dir).claim;
  if (owner && isAlive(owner)) {
    if (waitedMs < OTHER_OWNER_WITHIN_MS) return;
    throw expected(`Process ${owner.pid} runs the redis-server of ${dir}, which does not answer.`);
  }
  const left = [redis, guard].find(isAlive);
  if (!left || waitedMs < LEFTOVER_WITHIN_MS) return;
  throw expected(`A redis-server left over from an earlier run still uses ${dir}: stop it with "kill ${left.pid}".`);
}

function kill(who: Running | undefined, signal: NodeJS.Signals): void {
  if (!who || !isAlive(who)) return;
  try {
    process.kill(who.pid, signal);
  } catch (error) {
    if (!isCode(error, 'ESRCH')) throw error;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    // Cut short by close(), which the caller's loop sees.
  }
}
