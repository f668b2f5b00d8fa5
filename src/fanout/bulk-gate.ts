/** Bulk work goes to Redis a few pieces at a time, so that a single person's logout never finds a long queue there. */

/**
 * In each process. What these few ask is answered in one turn of Redis, a few milliseconds at most; more of them would
 * only wait there instead of here, and a single logout behind them.
 */
export const BULK_AT_ONCE = { beginning: 4, spreading: 1 };

/** Carries out a piece of bulk work once it is its turn: so many at a time, in the order of asking. */
export type BulkGate = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * For what is done in Redis, never for the call of an app: apps that are slow are called as many at once as ever, and
 * keep no other from being called.
 */
export function createBulkGate(most: number): BulkGate {
  const waiting: (() => void)[] = [];
  let free = most;

  return async (work) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((begin) => waiting.push(begin));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}
