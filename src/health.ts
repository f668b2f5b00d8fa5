/** Probes: `/livez` says that the process answers, `/readyz` that every master of Redis and our workers do, and nothing is evicted. */
import { Router } from 'express';
import { Cluster } from 'ioredis';
import type { Metrics } from './metrics.js';
import { mastersOf, type RedisClient } from './redis.js';

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
    const ready = atWork && (await isReady(redis));
    res.status(ready ? 200 : 503).json({ status: ready ? 'ok' : 'unavailable' });
  });
  router.get('/metrics', async (_req, res) => {
    if (canaryAgeMs) metrics.canaryAgeSeconds.set(canaryAgeMs() / 1_000);
    await readQueues();
    res.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  return router;
}

/** A Redis that may evict keys may evict an accepted revocation, so it is not good enough; nor is a Cluster in parts. */
async function isReady(redis: RedisClient): Promise<boolean> {
  try {
    if (redis instanceof Cluster && !/^cluster_state:ok\r?$/m.test(await redis.cluster('INFO'))) return false;
    const masters = mastersOf(redis);
    const infos = await Promise.all(masters.map((master) => master.info('memory')));
    return masters.length > 0 && infos.every((info) => /^maxmemory_policy:noeviction\r?$/m.test(info));
  } catch {
    return false;
  }
}
