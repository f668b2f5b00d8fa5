/** Probes: `/livez` says that the process answers, `/readyz` that Redis does and keeps what it is given. */
import { Router } from 'express';
import type { Redis } from 'ioredis';
import type { Metrics } from './metrics.js';

export function createHealthRouter(redis: Redis, metrics: Metrics): Router {
  const router = Router();
  router.get('/livez', (_req, res) => {
    res.json({ status: 'ok' });
  });
  router.get('/readyz', async (_req, res) => {
    const ready = await isReady(redis);
    res.status(ready ? 200 : 503).json({ status: ready ? 'ok' : 'unavailable' });
  });
  router.get('/metrics', async (_req, res) => {
    res.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  return router;
}

/** A Redis that may evict keys may evict an accepted revocation, so it is not good enough. */
async function isReady(redis: Redis): Promise<boolean> {
  try {
    const info = await redis.info('memory');
    return /^maxmemory_policy:noeviction\r?$/m.test(info);
  } catch {
    return false;
  }
}
