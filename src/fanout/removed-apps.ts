/** Ends what waits for apps that have left the settings, so that nobody waits for it; it can be retried once they are back. */
import { DelayedError, type Processor, type Queue, type Worker } from 'bullmq';
import type { RedisClient as Redis } from '../redis.js';
import { type App, AppRemoved, type CallableApp, type CallDependencies, callApp } from './call-app.js';
import { type AppJob, appQueue } from './job.js';
import { tenantKeys } from './keys.js';
import { appName, createKnownApps, LOOKS } from './known-apps.js';

const CLEANED_AT_ONCE = 1_000;
const STATES = ['wait', 'prioritized', 'delayed', 'active', 'failed'] as const;
// What holds the jobs of an app back, beside a pause.
const HOLDS = ['until', 'since', 'trips', 'why', 'probe', 'probeUntil', 'retryAfter'];

export type RemovedAppsDependencies = CallDependencies & {
  connection: Redis;
  prefix: string;
  /** Those of this process. */
  apps: readonly App[];
  goneAfterMs: number;
  keepFailedSeconds: number;
  openQueue: (name: string) => Queue<AppJob>;
  openWorker: (queue: Queue<AppJob>, carryOut: Processor<AppJob, void>) => Worker;
};

/**
 * An app has left where nobody has told of it between `LOOKS` looks of this process, which Redis answered all. Every
 * worker process looks; what two of them find they share, as the workers of any queue do.
 */
export function watchRemovedApps(dependencies: RemovedAppsDependencies) {
  const { connection, prefix, apps, goneAfterMs, keepFailedSeconds, openQueue, logger } = dependencies;
  const mine = new Set(apps.map(({ tenant, id }) => appName(tenant, id)));
  const knownApps = createKnownApps(connection, prefix);
  const heard = new Map<string, { word: string; looks: number }>();
  const left = new Map<string, { queue: Queue<AppJob>; worker: Worker }>();
  let closed = false;
  let timer = setTimeout(look, goneAfterMs / LOOKS);
  timer.unref();

  async function look(): Promise<void> {
    await lookAtAll().catch(warn);
    if (closed) return;
    timer = setTimeout(look, goneAfterMs / LOOKS);
    timer.unref();
  }

  function warn(error: unknown): void {
    if (!closed) logger.warn({ error }, 'removed apps');
  }

  async function lookAtAll(): Promise<void> {
    const words = Object.entries(await knownApps.words()).filter(([name]) => !mine.has(name));
    for (const [name, word] of words) {
      const before = heard.get(name);
      const looks = before?.word === word ? before.looks + 1 : 0;
      heard.set(name, { word, looks });
      if (looks >= LOOKS) await attendTo(name, word).catch(warn);
      else if (left.has(name)) await leave(name).catch(warn);
    }
  }

  async function attendTo(name: string, word: string): Promise<void> {
    const [tenant = '', app = ''] = name.split('.');
    const queue = left.get(name)?.queue ?? openQueue(appQueue(tenant, app));
    const { failed = 0, ...unfinished } = await queue.getJobCounts(...STATES);
    // A queue in which nothing fails any more would keep for good what has failed.
    if (failed > 0) await queue.clean(keepFailedSeconds * 1_000, CLEANED_AT_ONCE, 'failed');
    const none = Object.values(unfinished).every((count) => count === 0);
    if (closed || none) return leave(name, queue);
    if (!left.has(name)) left.set(name, { queue, worker: openWorker(queue, name, word) });
    // Nothing holds a job back that only ends: no breaker, no pause, no time to wait.
    await connection.hdel(laneOf(name), ...HOLDS);
    await queue.removeRateLimitKey();
    await queue.resume();
    await queue.promoteJobs();
  }

  /** Nothing waits any more, or somebody knows the app again. What its operators have paused is paused when it is back. */
  async function leave(name: string, queue = left.get(name)?.queue): Promise<void> {
    const closing = left.get(name)?.worker.close();
    left.delete(name);
    if (await connection.hexists(laneOf(name), 'paused')) await queue?.pause();
    await closing;
    await queue?.close();
  }

  function laneOf(name: string): string {
    const [tenant = '', app = ''] = name.split('.');
    return tenantKeys(prefix, tenant).lane(app);
  }

  function openWorker(queue: Queue<AppJob>, name: string, word: string): Worker {
    const end = callApp(dependencies, removedApp(name), queue, new AbortController().signal);
    return dependencies.openWorker(queue, async (job, token) => {
      if ((await knownApps.word(name)) === word) return end(job, token);
      // Somebody knows the app again, and is to have this job.
      void leave(name).catch(warn);
      await job.moveToDelayed(Date.now(), token);
      throw new DelayedError();
    });
  }

  return {
    async close(): Promise<void> {
      closed = true;
      clearTimeout(timer);
      await Promise.all([...left.keys()].map((name) => leave(name)));
    },
  };
}

/** An app like any other, so that its jobs end like any others; but nobody is called. */
function removedApp(name: string): CallableApp {
  const [tenant = '', id = ''] = name.split('.');
  const connector = {
    name: 'app_removed',
    async revoke(): Promise<never> {
      throw new AppRemoved();
    },
  };
  return {
    ...{ tenant, id, connector, options: undefined, mode: 'full' },
    delivery: {
      ...{ concurrency: 1, timeoutMs: 1_000, retryFor: 0, priority: 0 },
      // What the app had begun it is asked about once it is back.
      pendingFor: Number.POSITIVE_INFINITY,
      breaker: { failureRatio: 1, minimumCalls: 1, window: 1, openFor: 1 },
    },
  };
}
