/** The Redis of the environment, or the embedded one, for as long as a command needs it. */
import { type Config, readConfig } from '../config.js';
import { startEmbeddedRedis } from '../embedded-redis.js';
import { connectForWorkers, isRedisFailure, type RedisClient } from '../redis.js';
import { Unavailable } from '../request-error.js';
import { CommandError } from './command-error.js';
import { isRefusal, reasonOf, refusalOf } from './redis-failure.js';

/** What `serve` gives its keys. */
export const PREFIX = 'ul';
const FIRST_ANSWER_WITHIN_MS = 10_000;
/** A failover takes seconds: what refuses writes for longer is no master to be. */
const MASTER_WITHIN_MS = 10_000;
/** Refusals that are further apart are of two failovers. */
const APART_MS = 2_000;

export type Opened = { config: Config; redis: RedisClient; prefix: string };

/**
 * Throws a CommandError where Redis does not answer at first, or refuses. Later a command waits for a Redis that is away, as
 * workers do, since it may have run for hours.
 */
export async function withRedis(act: (opened: Opened) => Promise<void>, config = readConfig()): Promise<void> {
  const embedded = config.redisUrl ? undefined : await startEmbeddedRedis({ dataDir: config.dataDir });
  const name = embedded ? 'The Redis in DATA_DIR' : 'Redis at REDIS_URL';
  const redis = connectForWorkers(embedded ?? { url: config.redisUrl as string }, createPatience());
  tellTroubles(redis);
  try {
    await firstAnswer(redis, name);
    await act({ config, redis, prefix: PREFIX });
  } catch (error) {
    if (error instanceof CommandError || !(error instanceof Unavailable || isRedisFailure(error))) throw error;
    throw new CommandError(refusalOf(name, error as Error), { cause: error });
  } finally {
    redis.disconnect();
    await embedded?.close();
  }
}

/** Each once, however often it is tried, until all is well again. */
function tellTroubles(redis: RedisClient): void {
  const told = new Set<string>();
  redis.on('ready', () => told.clear());
  redis.on('error', (error: Error) => {
    const reason = reasonOf(error);
    // What cannot get better is told where the command ends.
    if (isRefusal(error) || told.has(reason)) return;
    told.add(reason);
    console.error(`Redis: ${reason}; trying again`);
  });
}

/** Whether to go on asking a Redis that refuses writes, as a master does that was replaced. */
function createPatience(): () => boolean {
  let since = Number.NEGATIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    const now = Date.now();
    if (now - last > APART_MS) {
      since = now;
      console.error('Redis: it is a replica, which takes no writes; waiting for it to become the master');
    }
    last = now;
    return now - since < MASTER_WITHIN_MS;
  };
}

/** Throws a CommandError where Redis refuses, or does not answer in time. */
export async function firstAnswer(redis: RedisClient, name: string, withinMs = FIRST_ANSWER_WITHIN_MS): Promise<void> {
  if (redis.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    let last = 'it is silent';
    const timer = setTimeout(() => end(`${name} does not answer: ${last}.`), withinMs);
    redis.on('ready', end).on('error', hear);

    function hear(error: Error): void {
      last = reasonOf(error);
      if (isRefusal(error)) end(refusalOf(name, error));
    }

    function end(sentence?: string): void {
      clearTimeout(timer);
      redis.off('ready', end).off('error', hear);
      if (sentence === undefined) resolve();
      else reject(new CommandError(sentence));
    }
  });
}
