/** The watermark of each person: sessions that began before it are over, in every app that asks for it. */
import type { RedisClient } from './redis.js';

// It never goes back, whichever gateway's clock is ahead.
const RAISE = `
if tonumber(redis.call('GET', KEYS[1]) or '-1') >= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('PUBLISH', KEYS[2], ARGV[1] .. ' ' .. ARGV[2])
return 1`;

export type ValidAfter = ReturnType<typeof createValidAfter>;

/** `retentionMs`: sessions that live longer than this need a limit of their own. */
export function createValidAfter(redis: RedisClient, { prefix, retentionMs }: { prefix: string; retentionMs: number }) {
  redis.defineCommand('validAfterRaise', { numberOfKeys: 2, lua: RAISE });
  const commands = redis as unknown as Record<'validAfterRaise', (...args: string[]) => Promise<unknown>>;
  /** Also the channel on which every change is told, as `<id of the user> <milliseconds>`. */
  const channel = (tenant: string) => `${prefix}:{${tenant}}:valid-after`;
  const key = (tenant: string, user: string) => `${channel(tenant)}:${user}`;

  return {
    /**
     * To be called in the same tick as `enqueue.add`, and before it: both go out in one round trip, and Redis never has
     * the revocation without its watermark, so that a repeat of the request need not write it.
     */
    async raise({ tenant, user, acceptedAt }: { tenant: string; user: string; acceptedAt: number }): Promise<void> {
      const args = [user, String(acceptedAt), String(retentionMs)];
      await commands.validAfterRaise(key(tenant, user), channel(tenant), ...args);
    },

    /** Milliseconds since the epoch; of several users the newest, undefined where none has one. */
    async read(tenant: string, users: readonly string[]): Promise<number | undefined> {
      if (users.length === 0) return undefined;
      const found = await redis.mget(users.map((user) => key(tenant, user)));
      const times = found.flatMap((text) => (text === null ? [] : Number(text)));
      return times.length === 0 ? undefined : Math.max(...times);
    },
  };
}
