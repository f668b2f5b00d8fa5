/** Finds revocations that are not over in time, and tells the operators of each one once. */
import { Queue } from 'bullmq';
import type { Logger } from '../logger.js';
import type { Metrics } from '../metrics.js';
import { isRedisFailure, type RedisClient as Redis } from '../redis.js';
import type { Alerts } from './alert.js';
import { INTAKE_QUEUE, type IntakeJob } from './job.js';
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
  /** There is a next look; without it each is logged. */
  onRedisFailure?: (error: Error) => void;
  now: () => number;
  /** Milliseconds from acceptance. */
  overdueAfterMs: number;
};

// KEYS: open, overdue, record. What has ended meanwhile is in neither.
const NOTE = `
local wasOpen = redis.call('ZREM', KEYS[1], ARGV[1]) == 1
local isSpread = redis.call('EXISTS', KEYS[3]) == 1
if wasOpen == isSpread then redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1]) end`;

/** Every worker process looks; an alert that two of them raise is one alert. */
export function watchOverdue(dependencies: OverdueDependencies) {
  const { connection, prefix, tenants, records, alerts, metrics, logger, onRedisFailure, now, overdueAfterMs } =
    dependencies;
  connection.defineCommand('overdueNote', { numberOfKeys: 3, lua: NOTE });
  const commands = connection as unknown as Record<'overdueNote', (...args: string[]) => Promise<unknown>>;
  const intake = new Queue<IntakeJob>(INTAKE_QUEUE, { connection, prefix, skipVersionCheck: true });
  // The connection reports its own errors, and what fails is tried again.
  intake.on('error', () => {});
  let looking: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    looking = looking.then(look).catch((error: Error) => {
      if (onRedisFailure && isRedisFailure(error)) onRedisFailure(error);
      else logger.warn({ error }, 'overdue');
    });
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
        if (waitingFor.length > 0) await tell(tenant, revocationId, waitingFor);
        await note(tenant, revocationId, record?.acceptedAt ?? 0);
      }
    }
    for (const { id, data } of await intake.getJobs(
      ['prioritized', 'wait', 'active', 'delayed'],
      0,
      AT_ONCE - 1,
      true,
    )) {
      if (id === undefined || data.acceptedAt > now() - overdueAfterMs) continue;
      // Else it is among those above.
      if (await records.exists(data.tenant, id)) continue;
      await tell(data.tenant, id);
      await note(data.tenant, id, data.acceptedAt);
    }
  }

  /** `waitingFor` is missing where it has not been spread over its apps. */
  async function tell(tenant: string, revocationId: string, waitingFor?: string[]): Promise<void> {
    const { overdue } = tenantKeys(prefix, tenant);
    if ((await connection.zscore(overdue, revocationId)) !== null) return;
    logger.warn({ tenant, revocationId, waitingFor }, 'revocation.overdue');
    await alerts?.raise({
      type: 'revocation.overdue',
      tenant,
      revocationId,
      ...(waitingFor && { waitingFor }),
      at: now(),
    });
  }

  /** After it is told: a crash in between costs a repeat and never the alert. */
  async function note(tenant: string, revocationId: string, acceptedAt: number): Promise<void> {
    const { open, overdue, record } = tenantKeys(prefix, tenant);
    await commands.overdueNote(open, overdue, record(revocationId), revocationId, String(acceptedAt));
  }

  return {
    async close(): Promise<void> {
      clearInterval(timer);
      await looking;
      await intake.close();
    },
  };
}

const OPEN = ['waiting', 'retrying', 'pending'];
