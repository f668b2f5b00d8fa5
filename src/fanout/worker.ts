/** Carries accepted revocations out: one worker spreads each over its apps, one worker for each app calls it. */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { type Processor, Queue, type QueueOptions, type Telemetry, Worker, type WorkerOptions } from 'bullmq';
import { isRedisFailure, type RedisClient as Redis } from '../redis.js';
import { BULK_AT_ONCE, createBulkGate } from './bulk-gate.js';
import { type App, type CallDependencies, callApp } from './call-app.js';
import { createEvidenceStore } from './evidence.js';
import { type AppJob, appQueue, INTAKE_QUEUE } from './job.js';
import { APP_GONE_AFTER_MS, createKnownApps } from './known-apps.js';
import { watchRemovedApps } from './removed-apps.js';
import { type Entrance, type SpreadDependencies, spread } from './spread.js';
import { tellUnforeseen } from './unforeseen.js';
import { type Watched, watch } from './watchdog.js';
import { workerOptions } from './worker-options.js';

const INTAKE_CONCURRENCY = 50;
const CLOSE_WITHIN_MS = 8_000;
// A lane can only be paused for a while (429, breaker) where its queue has a limit; this one is never reached.
const NO_LIMIT = 1_000_000_000;
// Beside what is called, what only ends may take its time.
const REMOVED = { concurrency: 2, limiter: { max: NO_LIMIT, duration: 1_000 } };
const CANARY_EVERY_MS = 2_000;
// Longer than any halt of a process or of Redis from which both carry on.
const CANARY_KEPT_S = 600;

export type HandOver = { connection: Redis; acknowledged: (write: () => Promise<void>) => Promise<void> };

type MadeHere = 'bulkGate' | 'spreadGate' | 'evidence' | 'knownApps';

export type WorkerDependencies = Omit<CallDependencies & SpreadDependencies, MadeHere> & {
  connection: Redis;
  prefix: string;
  apps: readonly App[];
  /** After what time without a word of anybody who knows an app its jobs are ended, in milliseconds. */
  goneAfterMs?: number;
  telemetry?: Telemetry | undefined;
  /** Every queue and every worker hears of one trouble with Redis, at every try; without it each is logged. */
  onRedisFailure?: (error: Error) => void;
  /** Where `records` and the jobs of the apps are written to, if not over `connection`, and what waits until they are safe. */
  handOver?: HandOver | undefined;
};

/** Starts all workers. `close` waits for calls that are under way, then leaves the rest to another worker. */
export function startWorkers(given: WorkerDependencies) {
  const { connection, prefix, apps, logger, metrics, telemetry } = given;
  const handOver = given.handOver ?? { connection, acknowledged: (write) => write() };
  const dependencies = {
    ...given,
    bulkGate: createBulkGate(BULK_AT_ONCE.beginning),
    spreadGate: createBulkGate(BULK_AT_ONCE.spreading),
    evidence: createEvidenceStore(connection, prefix),
    knownApps: createKnownApps(handOver.connection, prefix),
    goneAfterMs: given.goneAfterMs ?? APP_GONE_AFTER_MS,
  };
  const stop = new AbortController();
  // Each lane listens.
  setMaxListeners(0, stop.signal);
  const options = workerOptions(connection, prefix);

  const traced = telemetry ? { telemetry } : {};

  function openQueue<Data>(name: string, more: Partial<QueueOptions> = {}): Queue<Data> {
    const queue = new Queue<Data>(name, { connection, prefix, skipVersionCheck: true, ...more });
    queue.on('error', logError);
    return queue;
  }

  function logError(error: Error): void {
    if (given.onRedisFailure && isRedisFailure(error)) given.onRedisFailure(error);
    else logger.error({ error }, 'redis');
  }

  /** A worker that can be replaced, and what the watchdog has to know of it. */
  function work(queue: Queue, processor: Processor, more: Partial<WorkerOptions>): Watched {
    const activity = { active: 0, begunAt: 0 };
    const told = tellUnforeseen(processor, ({ job, error, news }) => {
      metrics.unforeseenFailures.inc({ queue: queue.name });
      if (news) logger.error({ queue: queue.name, revocationId: job.id, error }, 'job.threw');
    });
    const counted: Processor = async (job, token) => {
      activity.active += 1;
      activity.begunAt = performance.now();
      try {
        return await told(job, token);
      } finally {
        activity.active -= 1;
      }
    };
    const start = () => new Worker(queue.name, counted, { ...options, ...more }).on('error', logError);
    let worker = start();
    return {
      queue,
      worker: () => worker,
      activity: () => activity,
      replace() {
        // Whatever it holds comes back as stalled.
        void worker.close(true).catch(logError);
        worker = start();
      },
    };
  }

  const lanes = apps.map((app) => ({ app, queue: openQueue<AppJob>(appQueue(app.tenant, app.id), traced) }));
  const entrances = new Map<string, Entrance>();
  for (const { app, queue } of lanes) {
    const entrance = dependencies.handOver
      ? openQueue<AppJob>(queue.name, { ...traced, connection: handOver.connection })
      : queue;
    entrances.set(queue.name, { queue: entrance, priority: app.delivery.priority, known: true });
  }

  function entranceTo(tenant: string, app: string): Entrance {
    const name = appQueue(tenant, app);
    const there = entrances.get(name);
    if (there) return there;
    const queue = openQueue<AppJob>(name, { ...traced, connection: handOver.connection });
    const unknown = { queue, priority: 0, known: false };
    entrances.set(name, unknown);
    return unknown;
  }

  const spreadOne = spread(dependencies, entranceTo);

  // A job that goes through Redis and a worker of this process and back: the process is alive if that is.
  const canary = openQueue(`{canary.${randomUUID()}}`, { streams: { events: { maxLen: 1 } } });
  let canaryBackAt = performance.now();
  const fly = async () => {
    await canary.add('canary', {}, { jobId: 'canary', removeOnComplete: true });
    // A process that is killed leaves them behind, and nobody else knows of them.
    const keys = [...Object.values(canary.keys), canary.toKey('canary')];
    await Promise.all(keys.map((key) => connection.expire(key, CANARY_KEPT_S)));
  };
  const flights = setInterval(() => void fly().catch(logError), CANARY_EVERY_MS);
  void fly().catch(logError);

  const watched = [
    // The accepted revocation is done with, on whichever master, only when the jobs of its apps cannot be lost any more.
    work(openQueue(INTAKE_QUEUE), (job) => handOver.acknowledged(() => spreadOne(job)), {
      ...{ ...traced, concurrency: INTAKE_CONCURRENCY },
    }),
    work(
      canary,
      async () => {
        canaryBackAt = performance.now();
      },
      {},
    ),
    ...lanes.map(({ app, queue }) =>
      work(queue, callApp(dependencies, app, queue, stop.signal), {
        ...traced,
        concurrency: app.delivery.concurrency,
        limiter: { max: app.delivery.ratePerSecond ?? NO_LIMIT, duration: 1_000 },
      }),
    ),
  ];
  const watchdog = watch(watched, {
    onReplaced(queue) {
      metrics.workersReplaced.inc();
      logger.error({ queue }, 'worker.replaced');
    },
    onError: logError,
  });
  const removedApps = watchRemovedApps({
    ...dependencies,
    openQueue: (name) => openQueue<AppJob>(name, traced),
    openWorker: (queue, carryOut) => work(queue, carryOut, { ...traced, ...REMOVED }).worker(),
  });

  return {
    /** Milliseconds since the last canary came back, or since the start. */
    canaryAgeMs: () => performance.now() - canaryBackAt,

    async close(): Promise<void> {
      watchdog.close();
      clearInterval(flights);
      const closing = Promise.all([...watched.map(({ worker }) => worker().close()), removedApps.close()]);
      const closed = await Promise.race([closing.then(() => true), delay(CLOSE_WITHIN_MS, false, { ref: false })]);
      stop.abort();
      if (!closed) await Promise.race([closing, delay(1_000, undefined, { ref: false })]);
      // Nobody else has this one.
      await Promise.race([canary.obliterate({ force: true }).catch(() => {}), delay(300, undefined, { ref: false })]);
      await Promise.all([...watched, ...entrances.values()].map(({ queue }) => queue.close()));
    },
  };
}
