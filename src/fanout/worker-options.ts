/** What every worker of ours is told: how soon a dead one's jobs are taken over, and when a failed job is tried again. */
import type { Telemetry, WorkerOptions } from 'bullmq';
import type { RedisClient as Redis } from '../redis.js';

// A worker that was killed holds its jobs until their locks end; these bring them back within ten seconds.
const LOCK_MS = 5_000;
const STALLED_CHECK_MS = 2_000;

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
    settings: { backoffStrategy: (_attempts, _type, error) => (error instanceof RetryLater ? error.delayMs : 1_000) },
  } satisfies WorkerOptions;
}
