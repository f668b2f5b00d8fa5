/** How often a minute one may ask: unauthenticated requests per source address, authenticated ones per trust. */
import ipaddr from 'ipaddr.js';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { orUnavailable, type RedisClient } from '../redis.js';
import { RequestError } from '../request-error.js';
import type { Trust } from './trust.js';

const MINUTE_SECONDS = 60;

export type Limits = ReturnType<typeof createLimits>;

/** Refusals are counted in this process, so that they cost Redis nothing; acceptances by all processes together. */
export function createLimits(
  redis: RedisClient,
  options: { prefix: string; refusedPerMinute: number; acceptedPerMinute: number; auditedPerMinute: number },
) {
  const refused = new RateLimiterMemory({ points: options.refusedPerMinute, duration: MINUTE_SECONDS });
  const audited = new RateLimiterMemory({ points: options.auditedPerMinute, duration: MINUTE_SECONDS });
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
        await refused.consume(sourceOf(address));
        return undefined;
      } catch (error) {
        if (error instanceof RateLimiterRes) return tooMany(error);
        throw error;
      }
    },
    /**
     * Whether one more refusal of a stranger is written into the audit trail. All addresses together have one limit: who
     * has many of them would else fill Redis.
     */
    async audited(): Promise<boolean> {
      return audited.consume('strangers').then(
        () => true,
        () => false,
      );
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

/** Who has one address of an IPv6 network of 64 bits has them all, so they count as one. */
function sourceOf(address: string): string {
  const bare = address.replace(/%.*$/, '');
  if (!ipaddr.isValid(bare)) return address;
  const parsed = ipaddr.process(bare);
  return parsed.kind() === 'ipv6' ? parsed.toByteArray().slice(0, 8).join(':') : parsed.toString();
}

function tooMany({ msBeforeNext }: RateLimiterRes): RequestError {
  return new RequestError(429, 'too_many_requests', 'Too many requests.', {
    headers: { 'retry-after': String(Math.max(1, Math.ceil(msBeforeNext / 1000))) },
  });
}
