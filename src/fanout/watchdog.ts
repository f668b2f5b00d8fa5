/** Finds workers that look alive and are not: jobs wait for them, nothing holds those back, and they begin none. */
import type { Queue, Worker } from 'bullmq';

const LOOK_EVERY_MS = 3_000;
const STUCK_AFTER_MS = 9_000;

/** A queue and the worker of this process that serves it. */
export type Watched = {
  queue: Queue;
  worker: () => Worker;
  /** How many jobs this process is at, and when it last began one: milliseconds of `performance.now()`. */
  activity: () => { active: number; begunAt: number };
  /** Puts a new worker in the place of the one that is stuck. */
  replace: () => void;
};

/** Looks every three seconds; within fifteen a worker that is stuck is replaced, and `onReplaced` is told of its queue. */
export function watch(
  watched: readonly Watched[],
  { onReplaced, onError }: { onReplaced: (queue: string) => void; onError: (error: Error) => void },
) {
  const suspectSince = new Map<string, number>();
  let closed = false;
  let timer = setTimeout(look, LOOK_EVERY_MS);
  timer.unref();

  async function look(): Promise<void> {
    await Promise.all(watched.map(lookAt)).catch(onError);
    if (closed) return;
    timer = setTimeout(look, LOOK_EVERY_MS);
    timer.unref();
  }

  async function lookAt({ queue, activity, replace }: Watched): Promise<void> {
    const lookedAt = performance.now();
    const stuck = activity().active === 0 && (await isHeldUp(queue));
    const { active, begunAt } = activity();
    if (closed) return;
    if (!stuck || active > 0 || begunAt >= (suspectSince.get(queue.name) ?? lookedAt)) {
      suspectSince.delete(queue.name);
      if (stuck && active === 0) suspectSince.set(queue.name, lookedAt);
      return;
    }
    const since = suspectSince.get(queue.name) ?? lookedAt;
    suspectSince.set(queue.name, since);
    if (lookedAt - since < STUCK_AFTER_MS) return;
    suspectSince.delete(queue.name);
    replace();
    onReplaced(queue.name);
  }

  return {
    close(): void {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** Jobs wait, and neither an operator nor the breaker nor a rate is the reason. */
async function isHeldUp(queue: Queue): Promise<boolean> {
  const { wait = 0, prioritized = 0 } = await queue.getJobCounts('wait', 'prioritized');
  if (wait + prioritized === 0) return false;
  const [paused, limitedMs] = await Promise.all([queue.isPaused(), queue.getRateLimitTtl()]);
  return !paused && limitedMs <= 0;
}
