/** What every worker of ours is told: how soon a dead one's jobs are taken over, and when a failed job is tried again. */
import type { Telemetry, WorkerOptions } from 'bullmq';
import type { RedisClient as Redis } from '../redis.js';

// A worker that was killed holds its jobs until their locks end; these bring them back within ten seconds.
const LOCK_MS = 5_000;
const STALLED_CHECK_MS = 2_000;
// What nothing foresaw: short troubles, as the replacement of a master, are over within the first ones.
const REPEAT_MS = { least: 1_000, most: 60_000 };
const REPEATED_SOON = 5;

/** Thrown to have a job tried again; how long to wait is `retry`'s decision. */
export class RetryLater extends Error {
  readonly delayMs: number;
  constructor(cause: Error, delayMs: number) {
    super(cause.message, { cause });
    this.name = 'RetryLater';
    this.delayMs = delayMs;
  }
}

export function workerOptions(connection: Redis, prefix: string, telemetry?: Telemetry) {
  return {
    connection,
    prefix,
    ...(telemetry && { telemetry }),
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: 1_000_000,
    // A lane that somebody resumes moves within a second.
    maximumRateLimitDelay: 1_000,
    skipVersionCheck: true,
    settings: {
      backoffStrategy: (attempts, _type, error) => (error instanceof RetryLater ? error.delayMs : repeatMs(attempts)),
    },
  } satisfies WorkerOptions;
}

/** Doubles, so that nobody waits for the repeat much longer than the trouble has lasted. */
function repeatMs(attempts: number): number {
  return Math.min(REPEAT_MS.least * 2 ** Math.max(0, attempts - REPEATED_SOON), REPEAT_MS.most);
}
