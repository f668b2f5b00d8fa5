/** Brings the state of every queue from Redis into the metrics when they are asked for, and seldom enough to cost nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Enqueue } from './fanout/enqueue.js';
import type { Lane, Lanes } from './fanout/lanes.js';
import type { Metrics } from './metrics.js';
import type { RedisClient } from './redis.js';
import { orUnavailable } from './redis.js';

const FRESH_FOR_MS = 5_000;
const ANSWER_WITHIN_MS = 900;
const AT_ONCE = 50;
const LANE_STATES = ['moving', 'held', 'paused'] as const;
const JOB_STATES = ['waiting', 'retrying', 'active', 'failed'] as const;

export type QueueMetricsDependencies = {
  redis: RedisClient;
  lanes: Lanes;
  enqueue: Enqueue;
  metrics: Metrics;
  apps: readonly { tenant: string; id: string }[];
  now: () => number;
};

/** What it returns answers within a second and never throws: where Redis is slow, the figures are those of the last time. */
export function createQueueMetrics({ redis, lanes, enqueue, metrics, apps, now }: QueueMetricsDependencies) {
  const fromRedis = [metrics.intakeJobs, metrics.jobs, metrics.oldestJobSeconds, metrics.laneState];
  let reading: Promise<void> | undefined;
  let readAt = Number.NEGATIVE_INFINITY;
  leaveOut();

  /** A figure that nobody could read is better missing than old. */
  function leaveOut(): void {
    metrics.redisUp.set(0);
    for (const gauge of fromRedis) gauge.reset();
    metrics.intakeJobs.remove();
  }

  async function read(): Promise<void> {
    // Fails at once where there is no connection, for which BullMQ would wait.
    await redis.ping();
    const waiting = await orUnavailable(enqueue.waiting());
    const found: Lane[] = [];
    for (let start = 0; start < apps.length; start += AT_ONCE) {
      const some = apps.slice(start, start + AT_ONCE).map(({ tenant, id }) => lanes.read({ tenant, app: id }));
      found.push(...(await orUnavailable(Promise.all(some))));
    }
    metrics.intakeJobs.set(waiting);
    for (const lane of found) show(lane);
    metrics.redisUp.set(1);
  }

  function show(lane: Lane): void {
    const { tenant, app, oldestAcceptedAt } = lane;
    for (const state of JOB_STATES) metrics.jobs.set({ tenant, app, state }, lane[state]);
    for (const state of LANE_STATES) metrics.laneState.set({ tenant, app, state }, lane.state === state ? 1 : 0);
    const age = oldestAcceptedAt === undefined ? 0 : Math.max(0, now() - oldestAcceptedAt);
    metrics.oldestJobSeconds.set({ tenant, app }, age / 1_000);
  }

  return async function readQueues(): Promise<void> {
    if (performance.now() - readAt < FRESH_FOR_MS) return;
    reading ??= read()
      .catch(leaveOut)
      .finally(() => {
        readAt = performance.now();
        reading = undefined;
      });
    await Promise.race([reading, delay(ANSWER_WITHIN_MS, undefined, { ref: false })]);
  };
}
