/** Probes: `/livez` says that the process answers, `/readyz` that every master of Redis takes and keeps what is written, and our workers work. */
import { Router } from 'express';
import { Cluster, type Redis, ReplyError } from 'ioredis';
import type { Metrics } from './metrics.js';
import { isTooOld, mastersOf, type RedisClient, versionOf } from './redis.js';

const CANARY_WITHIN_MS = 15_000;

/**
 * `readQueues` brings into `metrics` what only Redis knows. `canaryAgeMs`: of a process that has workers, since when
 * none of them has been seen at work.
 */
export function createHealthRouter(
  redis: RedisClient,
  metrics: Metrics,
  readQueues: () => Promise<void>,
  canaryAgeMs?: () => number,
): Router {
  const router = Router();
  router.get('/livez', (_req, res) => {
    res.json({ status: 'ok' });
  });
  router.get('/readyz', async (_req, res) => {
    const atWork = canaryAgeMs === undefined || canaryAgeMs() < CANARY_WITHIN_MS;
    const reason = (await redisTrouble(redis)) ?? (atWork ? undefined : 'workers_stuck');
    if (reason) res.status(503).json({ status: 'unavailable', reason });
    else res.json({ status: 'ok' });
  });
  router.get('/metrics', async (_req, res) => {
    if (canaryAgeMs) metrics.canaryAgeSeconds.set(canaryAgeMs() / 1_000);
    await readQueues();
    res.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  return router;
}

type Trouble = 'redis_unavailable' | 'redis_too_old' | 'redis_evicts' | 'redis_refuses_writes';

/** A Redis that may evict keys may evict an accepted revocation, so it is not good enough; nor is a Cluster in parts. */
async function redisTrouble(redis: RedisClient): Promise<Trouble | undefined> {
  try {
    if (redis instanceof Cluster && !/^cluster_state:ok\r?$/m.test(await redis.cluster('INFO'))) {
      return 'redis_unavailable';
    }
    const masters = mastersOf(redis);
    if (masters.length === 0) return 'redis_unavailable';
    const troubles = await Promise.all(masters.map(troubleOf));
    return troubles.find((trouble) => trouble !== undefined);
  } catch {
    return 'redis_unavailable';
  }
}

async function troubleOf(master: Redis): Promise<Trouble | undefined> {
  const [version, memory, refusal] = await Promise.all([versionOf(master), master.info('memory'), whyRefused(master)]);
  if (isTooOld(version)) return 'redis_too_old';
  if (!/^maxmemory_policy:noeviction\r?$/m.test(memory)) return 'redis_evicts';
  return refusal ? 'redis_refuses_writes' : undefined;
}

/**
 * Redis refuses a script that says that it may write wherever it would refuse a write: on a replica, where memory or the
 * disk is full, without the replicas it wants. This one writes nothing, so it needs no key, which every master of a
 * Cluster would have other ones of.
 */
export async function whyRefused(master: Redis): Promise<Error | undefined> {
  try {
    await master.eval('#!lua\nreturn 1', 0);
    return undefined;
  } catch (error) {
    if (error instanceof ReplyError) return error as Error;
    throw error;
  }
}
