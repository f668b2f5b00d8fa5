/** How often a minute one may ask: refused requests per source address, accepted ones per trust. */
import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { orUnavailable } from '../redis.js';
import { RequestError } from '../request-error.js';
import type { Trust } from './trust.js';

const MINUTE_SECONDS = 60;

export type Limits = ReturnType<typeof createLimits>;

/** Refusals are counted in this process, so that they cost Redis nothing; acceptances by all processes together. */
export function createLimits(
  redis: Redis,
  options: { prefix: string; refusedPerMinute: number; acceptedPerMinute: number },
) {
  const refused = new RateLimiterMemory({ points: options.refusedPerMinute, duration: MINUTE_SECONDS });
  const perTrust = new RateLimiterRedis({
    storeClient: redis,
    keyPrefix: `${options.prefix}:accepted`,
    points: options.acceptedPerMinute,
    duration: MINUTE_SECONDS,
    inMemoryBlockOnConsumed: options.acceptedPerMinute + 1,
    rejectIfRedisNotReady: true,
  });

  return {
    /** Throws a RequestError 429 where this address has been refused too often. */
    async checkRefused(address: string): Promise<void> {
      const soFar = await refused.get(address);
      if (soFar && soFar.consumedPoints >= options.refusedPerMinute) throw tooMany(soFar);
    },
    countRefused(address: string): void {
      // Beyond the limit the rejection is the count.
      refused.consume(address).catch(() => {});
    },
    /** Counts one request of this trust; throws a RequestError 429 beyond its limit. */
    async accepted({ tenant, id }: Trust): Promise<void> {
      const consumed = perTrust.consume(`${tenant}.${id}`).catch((error: unknown) => {
        if (error instanceof RateLimiterRes) return error;
        throw error;
      });
      const result = await orUnavailable(consumed);
      if (result.consumedPoints > options.acceptedPerMinute) throw tooMany(result);
    },
  };
}

function tooMany({ msBeforeNext }: RateLimiterRes): RequestError {
  return new RequestError(429, 'too_many_requests', 'Too many requests.', {
    headers: { 'retry-after': String(Math.max(1, Math.ceil(msBeforeNext / 1000))) },
  });
}
