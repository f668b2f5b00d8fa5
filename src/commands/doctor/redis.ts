/** Redis: whether it answers, takes writes and keeps them, how much room it has, and how many replicas. */
import { existsSync } from 'node:fs';
import { Cluster, type Redis } from 'ioredis';
import type { ProcessConfig } from '../../config.js';
import { findBinary, findEmbeddedRedis } from '../../embedded-redis.js';
import { whyRefused } from '../../health.js';
import { isAlive, lastClaim } from '../../process-claim.js';
import { connectForRequests, isTooOld, mastersOf, type RedisClient, versionOf } from '../../redis.js';
import { CommandError } from '../command-error.js';
import { refusalOf } from '../redis-failure.js';
import { firstAnswer } from '../with-redis.js';
import { type Finding, notChecked, ok, problem, warning } from './finding.js';

const FIRST_ANSWER_WITHIN_MS = 2_000;
const PINGS = 5;
const SLOW_MS = 50;
const NEARLY_FULL = 0.75;
const FULL = 0.9;
const CHECK = 'redis';

export type OpenedRedis = { redis: RedisClient; close: () => Promise<void> };

/** The Redis of REDIS_URL, or the embedded one where it runs; a problem where there is none. Starts nothing. */
export async function openRedis(config: ProcessConfig): Promise<OpenedRedis | Finding> {
  const embedded = config.redisUrl ? undefined : await findEmbeddedRedis(config.dataDir);
  if (!config.redisUrl && !embedded) return await noneRuns(config.dataDir);
  const redis = connectForRequests(embedded ?? { url: config.redisUrl as string });
  redis.on('error', () => {
    // Whoever asks it something hears of it.
  });
  const close = async () => {
    redis.disconnect();
    await embedded?.close();
  };
  try {
    await firstAnswer(redis, embedded ? 'the Redis in DATA_DIR' : 'Redis at REDIS_URL', FIRST_ANSWER_WITHIN_MS);
    return { redis, close };
  } catch (error) {
    await close();
    if (!(error instanceof CommandError)) throw error;
    const what = error.message.replace(/\.$/, '');
    const todo = `start it, or ${embedded ? 'the gateway anew' : 'mend REDIS_URL'}`;
    return problem(CHECK, `${what}; until this is mended, every revocation is answered 503`, todo);
  }
}

async function noneRuns(dataDir: string): Promise<Finding> {
  const { owner, redis } = existsSync(dataDir) ? lastClaim(dataDir).claim : {};
  const running = [redis, owner].find(isAlive);
  if (running) {
    return problem(
      CHECK,
      `process ${running.pid} runs the Redis of ${dataDir}, which does not answer`,
      'see redis.log there',
    );
  }
  const { binary, version } = await findBinary(undefined);
  const what = `no gateway runs with ${dataDir}: \`serve\` would start one, with ${binary} ${version}`;
  return problem(CHECK, what, 'start it, or set REDIS_URL and DATA_DIR as it has them');
}

export async function checkRedis(redis: RedisClient, waitReplicas: number): Promise<Finding[]> {
  if (redis instanceof Cluster && !/^cluster_state:ok\r?$/m.test(await redis.cluster('INFO'))) {
    return [problem(CHECK, 'a part of the Cluster is not served', 'see `redis-cli --cluster check`')];
  }
  const masters = mastersOf(redis);
  if (masters.length === 0)
    return [problem(CHECK, 'no master of the Cluster is known', 'see `redis-cli --cluster check`')];
  const found = await Promise.all(masters.map((master) => checkMaster(master, waitReplicas)));
  if (masters.length === 1) return found.flat();
  return found.flatMap((findings, index) => {
    const { host, port } = masters[index]?.options ?? {};
    return findings.map((one) => ({ ...one, check: `${one.check} of ${host}:${port}` }));
  });
}

type Info = Readonly<Record<string, string>>;

async function checkMaster(master: Redis, waitReplicas: number): Promise<Finding[]> {
  const [info, version, refusal] = [infoOf(await master.info()), await versionOf(master), await whyRefused(master)];
  return [
    await checkAnswer(master, version),
    checkWrites(info, refusal),
    info.maxmemory_policy === 'noeviction'
      ? ok('redis eviction', 'maxmemory-policy noeviction')
      : problem(
          'redis eviction',
          `maxmemory-policy ${info.maxmemory_policy ?? 'is not told'}: an evicted key may be somebody's revocation`,
          'CONFIG SET maxmemory-policy noeviction, and in its configuration file',
        ),
    await checkDisk(master, info),
    checkMemory(info),
    checkReplicas(info, waitReplicas),
  ];
}

function infoOf(text: string): Info {
  return Object.fromEntries([...text.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name, value]));
}

async function checkAnswer(master: Redis, version: string): Promise<Finding> {
  if (isTooOld(version)) {
    return problem(CHECK, `is version ${version}, and the gateway needs 7.0 or later`, 'replace it by a newer one');
  }
  const times: number[] = [];
  for (let count = 0; count < PINGS; count++) {
    const at = performance.now();
    await master.ping();
    times.push(performance.now() - at);
  }
  // The others waited for something here.
  const best = Math.min(...times);
  const what = `version ${version} answers in ${best.toFixed(1)} ms`;
  return best < SLOW_MS ? ok(CHECK, what) : warning(CHECK, what, 'put it nearer, or see `redis-cli --latency`');
}

function checkWrites({ role }: Info, refusal: Error | undefined): Finding {
  const check = 'redis writes';
  if (role !== 'master') {
    return problem(check, `it is a ${role === 'slave' ? 'replica' : role}, which takes no writes`, 'name its master');
  }
  if (!refusal) return ok(check, 'it is a master and takes writes');
  return problem(
    check,
    refusalOf('it', refusal).replace(/\.$/, ''),
    'until it takes writes, every revocation is answered 503',
  );
}

async function checkDisk(master: Redis, info: Info): Promise<Finding> {
  const check = 'redis disk';
  if (info.aof_enabled !== '1') {
    return problem(
      check,
      'appendonly is off: a restart of Redis loses accepted revocations',
      'CONFIG SET appendonly yes',
    );
  }
  if (info.aof_last_write_status !== undefined && info.aof_last_write_status !== 'ok') {
    return problem(check, 'the last write to the append-only file failed', 'is its disk full? see the log of Redis');
  }
  const fsync = await master.config('GET', 'appendfsync').then(
    (answer) => (answer as string[])[1],
    () => undefined,
  );
  if (fsync === 'always') return ok(check, 'appendonly yes, appendfsync always: a 204 survives a crash');
  const todo = 'CONFIG SET appendfsync always';
  if (fsync === 'everysec')
    return warning(check, 'appendfsync everysec: a crash loses what was accepted in the last 2 s', todo);
  if (fsync === 'no')
    return warning(check, 'appendfsync no: a crash loses what was accepted in the last 30 s or more', todo);
  return notChecked(check, 'appendonly yes; CONFIG GET appendfsync is not allowed to us');
}

function checkMemory(info: Info): Finding {
  const check = 'redis memory';
  const [used, most] = [Number(info.used_memory), Number(info.maxmemory)];
  if (most === 0) return ok(check, `${mb(used)} used, no maxmemory`);
  const what = `${mb(used)} used of ${mb(most)} (${Math.round((100 * used) / most)} %)`;
  if (used > FULL * most) return problem(check, `${what}: when it is full, revocations are 503`, 'raise maxmemory');
  return used > NEARLY_FULL * most ? warning(check, what, 'raise maxmemory') : ok(check, what);
}

function checkReplicas(info: Info, wanted: number): Finding {
  const check = 'redis replicas';
  const there = Object.entries(info).filter(
    ([name, text]) => /^slave\d+$/.test(name) && /state=online/.test(text),
  ).length;
  const what = `${there} online, REDIS_WAIT_REPLICAS ${wanted}`;
  if (there < wanted) return problem(check, `${what}: every revocation is answered 503`, 'bring the replicas back');
  if (wanted > 0 && there === wanted) return warning(check, `${what}: none to spare`, 'have one replica more');
  return ok(check, what);
}

function mb(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MB`;
}
