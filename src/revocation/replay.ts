/** One JWT is good for one body: its `jti` is bound, in Redis, to a hash of the body that it came with. */
import type { RedisClient } from '../redis.js';

/** The answer that a refused request got, for the same request to get again. */
export type StoredAnswer = { status: number; code: string; detail: string };

export type Claim =
  | { state: 'new' }
  /** The same request again, which was accepted or is still under way. */
  | { state: 'repeat' }
  | { state: 'answered'; answer: StoredAnswer }
  /** The same JWT with another body. */
  | { state: 'other_body' };

// Only the request that holds the claim, or a repeat of it, has this body hash. A space behind it: both may be at work.
const SHARE = `
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[1] .. ' ', unpack(held and { 'KEEPTTL' } or { 'EX', ARGV[2] }))
return ARGV[1]`;
const SETTLE = `
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] or held == ARGV[1] .. ' ' then redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'KEEPTTL') end`;
const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`;

export type Replay = ReturnType<typeof createReplay>;

/** `jwt` names tenant, trust and `jti`: never the token's text, of which one JWT has many spellings. */
export function createReplay(redis: RedisClient, prefix: string) {
  redis.defineCommand('replayShare', { numberOfKeys: 1, lua: SHARE });
  redis.defineCommand('replaySettle', { numberOfKeys: 1, lua: SETTLE });
  redis.defineCommand('replayRelease', { numberOfKeys: 1, lua: RELEASE });
  const commands = redis as unknown as Record<
    'replayShare' | 'replaySettle' | 'replayRelease',
    (...args: string[]) => Promise<unknown>
  >;
  const key = (jwt: string) => `${prefix}:replay:${jwt}`;
  const wholeSeconds = (seconds: number) => Math.max(1, Math.ceil(seconds));

  return {
    /** Binds the JWT to this body for `ttlSeconds`, or tells how it is bound already. */
    async claim(jwt: string, bodyHash: string, ttlSeconds: number): Promise<Claim> {
      const held = await redis.set(key(jwt), bodyHash, 'EX', wholeSeconds(ttlSeconds), 'NX', 'GET');
      return held === null ? { state: 'new' } : claimIn(held, bodyHash);
    },
    /** For a repeat that goes on: the request that was first may fail, and must not give back what this one still needs. */
    async share(jwt: string, bodyHash: string, ttlSeconds: number): Promise<Claim> {
      const held = await commands.replayShare(key(jwt), bodyHash, String(wholeSeconds(ttlSeconds)));
      return claimIn(held as string, bodyHash);
    },
    async settle(jwt: string, bodyHash: string, answer: StoredAnswer): Promise<void> {
      await commands.replaySettle(key(jwt), bodyHash, JSON.stringify(answer));
    },
    /** After a failure of ours the JWT may come again as if for the first time. Only for the request whose claim was new. */
    async release(jwt: string, bodyHash: string): Promise<void> {
      await commands.replayRelease(key(jwt), bodyHash);
    },
  };
}

function claimIn(held: string, bodyHash: string): Claim {
  if (!held.startsWith(bodyHash)) return { state: 'other_body' };
  const answer = held.slice(bodyHash.length).trim();
  return answer === '' ? { state: 'repeat' } : { state: 'answered', answer: JSON.parse(answer) as StoredAnswer };
}
