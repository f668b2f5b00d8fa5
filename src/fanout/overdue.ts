/** Finds revocations that are not over in time, and tells the operators of each one once. */
import type { Logger } from '../logger.js';
import type { Metrics } from '../metrics.js';
import type { RedisClient as Redis } from '../redis.js';
import type { Alerts } from './alert.js';
import { tenantKeys } from './keys.js';
import type { RevocationRecords } from './record.js';

const LOOK_EVERY_MS = 5_000;
const AT_ONCE = 100;

export type OverdueDependencies = {
  connection: Redis;
  prefix: string;
  tenants: readonly string[];
  records: RevocationRecords;
  alerts: Alerts | undefined;
  metrics: Metrics;
  logger: Logger;
  now: () => number;
  /** Milliseconds from acceptance. */
  overdueAfterMs: number;
};

/** Every worker process looks; an alert that two of them raise is one alert. */
export function watchOverdue(dependencies: OverdueDependencies) {
  const { connection, prefix, tenants, records, alerts, metrics, logger, now, overdueAfterMs } = dependencies;
  let looking: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    looking = looking.then(look).catch((error: unknown) => logger.warn({ error }, 'overdue'));
  }, LOOK_EVERY_MS);
  timer.unref();

  async function look(): Promise<void> {
    for (const tenant of tenants) {
      const { open, overdue } = tenantKeys(prefix, tenant);
      const late = await connection.zrangebyscore(open, '-inf', now() - overdueAfterMs, 'LIMIT', 0, AT_ONCE);
      metrics.openRevocations.set({ tenant }, (await connection.zcard(open)) + (await connection.zcard(overdue)));
      for (const revocationId of late) {
        const record = await records.read(tenant, revocationId);
        const apps = Object.entries(record?.apps ?? {});
        const waitingFor = apps.flatMap(([app, { state }]) => (OPEN.includes(state) ? [app] : []));
        if (record && waitingFor.length > 0) {
          logger.warn({ tenant, revocationId, waitingFor }, 'revocation.overdue');
          // Raised before it is noted as told: a crash in between costs a repeat and never the alert.
          await alerts?.raise({ type: 'revocation.overdue', tenant, revocationId, waitingFor, at: now() });
        }
        await connection
          .multi()
          .zrem(open, revocationId)
          .zadd(overdue, record?.acceptedAt ?? 0, revocationId)
          .exec();
      }
    }
  }

  return {
    async close(): Promise<void> {
      clearInterval(timer);
      await looking;
    },
  };
}

const OPEN = ['waiting', 'retrying', 'pending'];
