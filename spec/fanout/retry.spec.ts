/** When a failed call is made again: arithmetic alone. */
import fc from 'fast-check';
import type { Reason } from '../../src/connectors/connector.js';
import { type Failure, retryDelayMs } from '../../src/fanout/retry.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const RETRY_FOR_MS = 72 * HOUR;
const SCHEDULE = [SECOND, 5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR];
const REASONS: Reason[] = ['auth', 'rate_limited', 'refused', 'not_found', 'server', 'network', 'timeout'];

const failure = (reason: Reason, retryAfterMs?: number): Failure => ({ reason, retryable: true, retryAfterMs });

/** Without jitter, for a job that has just begun. */
const delay = (
  of: Failure,
  attempt: number,
  over: { ageMs?: number; retryForMs?: number; random?: () => number } = {},
) => retryDelayMs(of, { attempt, ageMs: 0, retryForMs: RETRY_FOR_MS, random: () => 0.5, ...over });

describe('the schedule', () => {
  it('goes from a second to six hours, and stays there', () => {
    const delays = Array.from({ length: 10 }, (_, index) => delay(failure('server'), index + 1));
    expect(delays).toEqual([...SCHEDULE, 6 * HOUR, 6 * HOUR, 6 * HOUR]);
  });

  it('tries a connection that could not be made again at once, once', () => {
    const delays = [1, 2, 3, 9].map((attempt) => delay(failure('network'), attempt));
    expect(delays).toEqual([0, SECOND, 5 * SECOND, 6 * HOUR]);
  });

  it.each(['rate_limited', 'server', 'timeout', 'refused'] as const)(
    'tries nothing else at once, not even the first time [%s]',
    (reason) => {
      expect(delay(failure(reason), 1)).toBe(SECOND);
    },
  );

  it('varies by a quarter in each direction, and no more', () => {
    for (const [index, step] of SCHEDULE.entries()) {
      expect(delay(failure('server'), index + 1, { random: () => 0 })).toBe(step * 0.75);
      expect(delay(failure('server'), index + 1, { random: () => 1 })).toBe(step * 1.25);
    }
    const seen = new Set(
      Array.from({ length: 50 }, () =>
        retryDelayMs(failure('server'), { attempt: 1, ageMs: 0, retryForMs: RETRY_FOR_MS }),
      ),
    );
    expect(seen.size).toBeGreaterThan(10);
    for (const ms of seen) {
      expect(ms).toBeGreaterThanOrEqual(750);
      expect(ms).toBeLessThanOrEqual(1_250);
    }
  });
});

describe('Retry-After', () => {
  it('is honoured where it is longer than the schedule', () => {
    expect(delay(failure('rate_limited', 20 * SECOND), 1)).toBe(20 * SECOND);
    expect(delay(failure('server', 20 * SECOND), 1, { random: () => 1 })).toBe(20 * SECOND);
  });

  it('shortens nothing: the next attempt is not sooner than the schedule says', () => {
    expect(delay(failure('rate_limited', 0), 3)).toBe(30 * SECOND);
    expect(delay(failure('rate_limited', 2 * SECOND), 3)).toBe(30 * SECOND);
  });

  it('is honoured for six hours at most', () => {
    expect(delay(failure('rate_limited', 400 * HOUR), 1)).toBe(6 * HOUR);
    expect(delay(failure('rate_limited', Number.MAX_SAFE_INTEGER), 1)).toBe(6 * HOUR);
  });

  it('holds for a failed connection too, which then waits', () => {
    expect(delay(failure('network', 3 * SECOND), 1)).toBe(3 * SECOND);
  });
});

describe('giving up', () => {
  it.each(REASONS)('comes at once where trying again cannot help [%s]', (reason) => {
    expect(delay({ reason, retryable: false, retryAfterMs: 5 }, 1)).toBeUndefined();
  });

  it('comes when retryFor is over', () => {
    expect(delay(failure('server'), 9, { ageMs: RETRY_FOR_MS })).toBeUndefined();
    expect(delay(failure('network'), 1, { ageMs: RETRY_FOR_MS + 1 })).toBeUndefined();
    expect(delay(failure('server'), 1, { retryForMs: 0 })).toBeUndefined();
  });

  it('is preceded by one last attempt at the very end, never beyond it', () => {
    expect(delay(failure('server'), 9, { ageMs: RETRY_FOR_MS - HOUR })).toBe(HOUR);
    expect(delay(failure('rate_limited', 6 * HOUR), 1, { ageMs: RETRY_FOR_MS - 1 })).toBe(1);
  });
});

it('every delay is a whole number between nothing and what is left, for any failure', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...REASONS),
      fc.option(fc.integer({ min: 0, max: 2 ** 40 }), { nil: undefined }),
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.integer({ min: 0, max: 2 ** 40 }),
      fc.integer({ min: 1, max: 2 ** 40 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (reason, retryAfterMs, attempt, ageMs, retryForMs, random) => {
        const ms = delay(failure(reason, retryAfterMs), attempt, { ageMs, retryForMs, random: () => random });
        if (ageMs >= retryForMs) return expect(ms).toBeUndefined();
        expect(Number.isInteger(ms)).toBe(true);
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThanOrEqual(Math.min(6 * HOUR * 1.25, retryForMs - ageMs));
      },
    ),
  );
});

it('a job that fails for ever is tried for all of retryFor, and a bounded number of times', () => {
  let ageMs = 0;
  let attempt = 0;
  for (;;) {
    attempt += 1;
    const ms = delay(failure('server'), attempt, { ageMs });
    if (ms === undefined) break;
    ageMs += ms;
  }
  expect(ageMs).toBe(RETRY_FOR_MS);
  expect(attempt).toBeLessThan(30);
});
