/** When a failed call is made again: pure arithmetic over the attempt, the app's own wish and the age of the job. */
import type { FailureReason } from './record.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const SCHEDULE_MS = [SECOND, 5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR];
const JITTER = 0.25;

export type Failure = { reason: FailureReason; retryable: boolean; retryAfterMs?: number | undefined };

/** The longest that an app may have us wait, in milliseconds. */
export function boundedRetryAfterMs(retryAfterMs: number): number {
  return Math.min(retryAfterMs, SCHEDULE_MS.at(-1) as number);
}

/**
 * Milliseconds to wait after the `attempt`-th failure (1 is the first), or undefined where it is time to give up.
 * A connection that could not be made is tried again at once, once. The app's `Retry-After` is honoured up to
 * six hours. The last attempt falls on the end of `retryForMs`, never beyond it.
 */
export function retryDelayMs(
  failure: Failure,
  {
    attempt,
    ageMs,
    retryForMs,
    random = Math.random,
  }: { attempt: number; ageMs: number; retryForMs: number; random?: () => number },
): number | undefined {
  if (!failure.retryable || ageMs >= retryForMs) return undefined;
  if (failure.reason === 'network' && attempt === 1 && failure.retryAfterMs === undefined) return 0;
  const longest = SCHEDULE_MS.at(-1) as number;
  const step = SCHEDULE_MS[Math.max(0, attempt - (failure.reason === 'network' ? 2 : 1))] ?? longest;
  const jittered = step * (1 - JITTER + 2 * JITTER * random());
  const wished = boundedRetryAfterMs(failure.retryAfterMs ?? 0);
  return Math.round(Math.min(Math.max(jittered, wished), retryForMs - ageMs));
}
