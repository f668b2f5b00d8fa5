/** What operators see of an app's queue and breaker, and what they may do: pause, resume, and have failed jobs retried. */
import { type JobType, Queue } from 'bullmq';
import type { DataKeys } from '../data-key.js';
import type { RedisClient as Redis } from '../redis.js';
import { type AppJob, appQueue } from './job.js';
import { tenantKeys } from './keys.js';
import type { FailureReason } from './record.js';

/** `held`: its breaker is open, and one call at a time finds out whether the app is back. */
export type LaneState = 'moving' | 'held' | 'paused';

export type Lane = {
  tenant: string;
  app: string;
  state: LaneState;
  /** Since when it is held or paused: milliseconds since the epoch, as all times here. */
  since?: number;
  /** Why it is held: refused credentials, or a run of failures. */
  why?: 'auth' | 'bad';
  nextProbeAt?: number;
  waiting: number;
  retrying: number;
  active: number;
  failed: number;
  /** When the revocation was accepted that waits longest, as far as the heads of the queue show it. */
  oldestAcceptedAt?: number;
};

export type Retried = 'retried' | 'waiting' | 'gone';

export type Lanes = ReturnType<typeof createLanes>;

type Name = { tenant: string; app: string };

const WAITING: JobType[] = ['wait', 'prioritized', 'delayed'];

/** `now` is the gateway's clock. Where one `reads` only, nothing in Redis is changed. */
export function createLanes(
  redis: Redis,
  { prefix, now, dataKeys, reads }: { prefix: string; now: () => number; dataKeys: DataKeys; reads?: 'only' },
) {
  const queues = new Map<string, Queue<AppJob>>();

  function queueOf({ tenant, app }: Name): Queue<AppJob> {
    const name = appQueue(tenant, app);
    const known = queues.get(name);
    if (known) return known;
    const queue = new Queue<AppJob>(name, {
      ...{ connection: redis, prefix, skipVersionCheck: true },
      // A queue that is opened is noted in Redis.
      skipMetasUpdate: reads === 'only',
    });
    queue.on('error', () => {
      // The connection reports its own errors; a failed call is thrown to whoever asked.
    });
    queues.set(name, queue);
    return queue;
  }

  const laneKey = ({ tenant, app }: Name) => tenantKeys(prefix, tenant).lane(app);

  async function read(name: Name): Promise<Lane> {
    const queue = queueOf(name);
    const [lane, counts, heads] = await Promise.all([
      redis.hmget(laneKey(name), 'paused', 'until', 'since', 'why'),
      queue.getJobCounts('wait', 'prioritized', 'delayed', 'active', 'failed'),
      Promise.all(WAITING.map((type) => queue.getJobs([type], 0, 0, true))),
    ]);
    const [paused, until, since, why] = lane;
    const { wait = 0, prioritized = 0, delayed = 0, active = 0, failed = 0 } = counts;
    const accepted = heads.flat().flatMap((job) => (job ? [job.data.acceptedAt] : []));
    const numbers = { waiting: wait + prioritized, retrying: delayed, active, failed };
    const oldest = accepted.length > 0 ? { oldestAcceptedAt: Math.min(...accepted) } : {};
    if (paused) return { ...name, state: 'paused', since: Number(paused), ...numbers, ...oldest };
    if (!until) return { ...name, state: 'moving', ...numbers, ...oldest };
    const held = { since: Number(since), why: why as 'auth' | 'bad', nextProbeAt: Number(until) };
    return { ...name, state: 'held', ...held, ...numbers, ...oldest };
  }

  return {
    read,

    /** Jobs wait, and lose nothing by it, until `resume`. */
    async pause(name: Name): Promise<void> {
      await redis.hsetnx(laneKey(name), 'paused', String(now()));
      await queueOf(name).pause();
    },

    async resume(name: Name): Promise<void> {
      // As long as it was paused nobody called.
      await redis.hset(laneKey(name), 'retriedAt', String(now()));
      await queueOf(name).resume();
      await redis.hdel(laneKey(name), 'paused');
    },

    /** Has every failed and every waiting job of the app tried now, with the whole of `retryFor` before it again. */
    async retryAll(name: Name): Promise<void> {
      const queue = queueOf(name);
      await redis.hset(laneKey(name), 'retriedAt', String(now()));
      // A probe may go at once, whatever the breaker or Retry-After say.
      await redis.hdel(laneKey(name), 'retryAfter');
      if (await redis.hexists(laneKey(name), 'until')) await redis.hset(laneKey(name), 'until', '0');
      await queue.removeRateLimitKey();
      await queue.retryJobs({ state: 'failed' });
      await queue.promoteJobs();
    },

    /** One app's part of a revocation. `waiting`: nothing is to be done; `gone`: its job was not kept so long. */
    async retry(name: Name, jobId: string): Promise<Retried> {
      const job = await queueOf(name).getJob(jobId);
      const state = await job?.getState();
      if (!job || state === 'unknown' || state === 'completed') return 'gone';
      if (state !== 'failed' && state !== 'delayed') return 'waiting';
      // Keys may be rotated meanwhile: what is written back is sealed with the first one of now.
      const { data } = job;
      const resealed = (text: string) => dataKeys.seal(dataKeys.open(text, name.tenant), name.tenant);
      const poll = data.poll === undefined ? {} : { poll: resealed(data.poll) };
      await job.updateData({ ...data, account: resealed(data.account), ...poll, retriedAt: now() });
      try {
        await (state === 'failed' ? job.retry('failed', { resetAttemptsMade: true }) : job.promote());
      } catch (error) {
        // Somebody else was faster.
        if ((await job.getState()) === state) throw error;
      }
      return 'retried';
    },

    async close(): Promise<void> {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
    },
  };
}

/** Whose it is to mend: ours (or whoever wrote the settings), or the app's. */
export function faultOf(reason: FailureReason): 'ours' | 'app' {
  return reason === 'internal' || reason === 'app_removed' ? 'ours' : 'app';
}
