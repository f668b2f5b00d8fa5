/** How often a minute one may ask: unauthenticated requests per source address, authenticated ones per trust. */
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { orUnavailable, type RedisClient } from '../redis.js';
import { RequestError } from '../request-error.js';
import type { Trust } from './trust.js';

const MINUTE_SECONDS = 60;

export type Limits = ReturnType<typeof createLimits>;

/** Refusals are counted in this process, so that they cost Redis nothing; acceptances by all processes together. */
export function createLimits(
  redis: RedisClient,
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
    /**
     * Counts one refusal of this address; beyond its limit answers the RequestError 429 that takes its place. A good
     * request is never counted nor stopped, so that a flood behind one proxy shuts nobody else out.
     */
    async refused(address: string): Promise<RequestError | undefined> {
      try {
        await refused.consume(address);
        return undefined;
      } catch (error) {
        if (error instanceof RateLimiterRes) return tooMany(error);
        throw error;
      }
    },
    /** Counts one request of this trust; throws a RequestError 429 beyond its limit. */
    async accepted({ tenant, id }: Trust): Promise<void> {
      const consumed = perTrust.consume(`${tenant}.${id}`).then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof RateLimiterRes) return error;
          throw error;
        },
      );
      const refused = await orUnavailable(consumed);
      if (refused) throw tooMany(refused);
    },
  };
}

function tooMany({ msBeforeNext }: RateLimiterRes): RequestError {
  return new RequestError(429, 'too_many_requests', 'Too many requests.', {
    headers: { 'retry-after': String(Math.max(1, Math.ceil(msBeforeNext / 1000))) },
  });
}
