/** What the gateway says of people's watermarks, kept for a moment, and asked for again as soon as Redis tells of a change. */
import type { RedisClient } from '../redis.js';
import { parseRedisUrl } from '../redis-url.js';

const ASK_WITHIN_MS = 2_000;
const MOST_KEPT = 10_000;

/** One person by one name, as the directory of the gateway knows it. */
export type PersonName = { id: string } | { externalId: string } | { userName: string } | { email: string };

/** Milliseconds since the epoch; undefined where the person was never logged out. */
export type Watermark = number | undefined;

export type WatermarksOptions = {
  gateway: string;
  token: string;
  tenant: string;
  redis: string | undefined;
  prefix: string;
  cacheMs: number;
  staleMs: number;
  onError: (error: Error) => void;
};

type Answer = { user: string | null; watermark: Watermark };
/** `doubted`: a change may have been missed. It is asked for again, and serves only while the gateway does not answer. */
type Kept = Answer & { at: number; doubted?: true };

/** Throws TypeError where `gateway` is no URL, or `redis` none of Redis. */
export function createWatermarks(options: WatermarksOptions) {
  const { gateway, token, tenant, cacheMs, staleMs, onError } = options;
  const url = new URL('api/sessions/valid-after', gateway.endsWith('/') ? gateway : `${gateway}/`);
  const kept = new Map<string, Kept>();
  const underWay = new Map<string, Promise<Answer>>();
  // An environment variable that is there may be empty.
  const push = options.redis ? listen(addressOf(options.redis)) : undefined;
  push?.catch(onError);

  /** The newest that can be had: throws where the gateway does not answer and nothing young enough is kept. */
  async function read(person: PersonName): Promise<Watermark> {
    const [[kind, value] = []] = Object.entries(person);
    const key = JSON.stringify([kind, value]);
    const before = kept.get(key);
    if (before && !before.doubted && Date.now() - before.at < cacheMs) return before.watermark;
    try {
      return (await (underWay.get(key) ?? ask(key, String(kind), String(value)))).watermark;
    } catch (error) {
      onError(error as Error);
      // Read anew: what Redis told meanwhile counts.
      const old = kept.get(key);
      if (old && Date.now() - old.at < staleMs) return old.watermark;
      throw error;
    }
  }

  /** Concurrent questions about one person are one. */
  function ask(key: string, kind: string, value: string): Promise<Answer> {
    const at = Date.now();
    const answer = fetchAnswer(kind, value)
      .then((found) => {
        // Where a change was told meanwhile, this answer may be older than the change.
        if (underWay.get(key) === answer) keep(key, { ...found, at });
        return found;
      })
      .finally(() => {
        if (underWay.get(key) === answer) underWay.delete(key);
      });
    underWay.set(key, answer);
    return answer;
  }

  function keep(key: string, answer: Kept): void {
    kept.delete(key);
    kept.set(key, answer);
    const [oldest] = kept.keys();
    if (kept.size > MOST_KEPT && oldest !== undefined) kept.delete(oldest);
  }

  async function fetchAnswer(kind: string, value: string): Promise<Answer> {
    const asked = new URL(url);
    asked.search = new URLSearchParams({ tenant, [kind]: value }).toString();
    const response = await fetch(asked, {
      headers: { authorization: `Bearer ${token}` },
      redirect: 'error',
      signal: AbortSignal.timeout(ASK_WITHIN_MS),
    });
    const text = await response.text();
    if (response.status !== 200) {
      throw new Error(`the logout gateway answered ${response.status} at ${url.href}: look at its token and tenant`);
    }
    const { user, validAfter } = JSON.parse(text) as { user?: unknown; validAfter?: unknown };
    const watermark = typeof validAfter === 'string' ? Date.parse(validAfter) : undefined;
    if ((validAfter !== null && watermark === undefined) || Number.isNaN(watermark)) {
      throw new Error(`what answered at ${url.href} is no logout gateway`);
    }
    return { user: typeof user === 'string' ? user : null, watermark };
  }

  async function listen(redisUrl: string): Promise<RedisClient> {
    // Who has no Redis to listen to needs no client for it.
    const { connectForNews } = await import('../redis.js');
    const redis = connectForNews({ url: redisUrl });
    redis.on('error', onError);
    redis.on('message', (_channel, message) => changed(message));
    // The last one in a Cluster, where the client listens at one node, then at another.
    for (const lost of ['close', '-subscriber', '+subscriber']) redis.on(lost, askAgain);
    redis.on('ready', () => {
      redis.subscribe(`${options.prefix}:{${tenant}}:valid-after`).then(askAgain, onError);
    });
    return redis;
  }

  function changed(message: string): void {
    const [user = '', time] = message.split(' ');
    // Who has no watermark yet is not named by the gateway, and may be the very one. Forgotten, nobody who was never
    // logged out would get in while the gateway is away, over the logout of anybody.
    for (const [key, answer] of kept) {
      const named = answer.user ?? (key === JSON.stringify(['id', user]) ? user : null);
      if (named === null) answer.doubted = true;
      else if (named === user) answer.watermark = Math.max(answer.watermark ?? 0, Number(time));
    }
    underWay.clear();
  }

  function askAgain(): void {
    for (const answer of kept.values()) answer.doubted = true;
    underWay.clear();
  }

  return {
    read,
    async close(): Promise<void> {
      (await push?.catch(() => undefined))?.disconnect();
    },
  };
}

function addressOf(redisUrl: string): string {
  parseRedisUrl(redisUrl, (problem) => {
    throw new TypeError(`redis of the session guard ${problem}`);
  });
  return redisUrl;
}
