/** Carries accepted revocations out: one worker spreads each over its apps, one worker for each app calls it. */
import { setTimeout as delay } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { type App, type CallDependencies, callApp } from './call-app.js';
import { type AppJob, appQueue, INTAKE_QUEUE, type IntakeJob } from './job.js';
import { type SpreadDependencies, spread } from './spread.js';
import { workerOptions } from './worker-options.js';

const INTAKE_CONCURRENCY = 50;
const CLOSE_WITHIN_MS = 8_000;
// A lane can only be paused for a while (429, breaker) where its queue has a limit; this one is never reached.
const NO_LIMIT = 1_000_000_000;

export type WorkerDependencies = CallDependencies &
  SpreadDependencies & { connection: Redis; prefix: string; apps: readonly App[] };

/** Starts all workers. `close` waits for calls that are under way, then leaves the rest to another worker. */
export function startWorkers(dependencies: WorkerDependencies) {
  const { connection, prefix, apps, logger } = dependencies;
  const stop = new AbortController();
  const lanes = apps.map((app) => ({ app, name: appQueue(app.tenant, app.id), queue: openQueue(app) }));
  const queues = new Map(lanes.map(({ app, name, queue }) => [name, { queue, priority: app.delivery.priority }]));

  function openQueue({ tenant, id }: App): Queue<AppJob> {
    const queue = new Queue<AppJob>(appQueue(tenant, id), { connection, prefix, skipVersionCheck: true });
    queue.on('error', logError);
    return queue;
  }

  function logError(error: Error): void {
    logger.error({ error }, 'redis');
  }

  const options = workerOptions(connection, prefix);
  const workers = [
    new Worker<IntakeJob>(INTAKE_QUEUE, spread(dependencies, queues), { ...options, concurrency: INTAKE_CONCURRENCY }),
    ...lanes.map(
      ({ app, name, queue }) =>
        new Worker<AppJob>(name, callApp(dependencies, app, queue, stop.signal), {
          ...options,
          concurrency: app.delivery.concurrency,
          limiter: { max: app.delivery.ratePerSecond ?? NO_LIMIT, duration: 1_000 },
        }),
    ),
  ];
  for (const worker of workers) worker.on('error', logError);

  return {
    async close(): Promise<void> {
      const closing = Promise.all(workers.map((worker) => worker.close()));
      const closed = await Promise.race([closing.then(() => true), delay(CLOSE_WITHIN_MS, false, { ref: false })]);
      stop.abort();
      if (!closed) await Promise.race([closing, delay(1_000, undefined, { ref: false })]);
      await Promise.all(lanes.map(({ queue }) => queue.close()));
    },
  };
}
