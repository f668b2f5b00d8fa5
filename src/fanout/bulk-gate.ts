/** Bulk work goes to Redis a few pieces at a time, and makes room, so that a single person's logout passes. */

/**
 * In each process. What these few ask is answered in one turn of Redis, a few milliseconds at most; more of them would
 * only wait there instead of here, and a single logout behind them.
 */
export const BULK_AT_ONCE = { beginning: 2, spreading: 1 };

export type BulkGate = ReturnType<typeof createBulkGate>;

/**
 * For what is done in Redis, never for the call of an app: apps that are slow are called as many at once as ever, and
 * keep no other from being called.
 */
export function createBulkGate(most: number) {
  const waiting: { lane: string; enter: (mayEnter: boolean) => void }[] = [];
  let free = most;

  return {
    /** Carries out a piece of bulk work when it is its turn, in the order of asking; undefined where it has made room. */
    async pass<T>(lane: string, work: () => Promise<T>): Promise<T | undefined> {
      if (free > 0) free -= 1;
      else if (!(await new Promise<boolean>((enter) => waiting.push({ lane, enter })))) return undefined;
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next) next.enter(true);
        else free += 1;
      }
    },

    /** Whatever waits last in this lane gives its place in it to somebody who is logged out alone. */
    makeRoom(lane: string): void {
      const last = waiting.findLastIndex((one) => one.lane === lane);
      if (last >= 0) waiting.splice(last, 1)[0]?.enter(false);
    },
  };
}
