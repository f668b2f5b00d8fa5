/** Which apps the running gateways know, told in Redis: a process without an app in its settings is not the only one. */
import { randomUUID } from 'node:crypto';
import type { RedisClient as Redis } from '../redis.js';

/** An app that nobody knows for so long has left the settings; a rollout, in which some know it, is over sooner. */
export const APP_GONE_AFTER_MS = 300_000;
/** In that time it is told so often, and looked for so often. */
export const LOOKS = 10;

export type KnownApps = ReturnType<typeof createKnownApps>;

/**
 * A hash of all apps that there ever were, with the last word of somebody who knows it. The word is a new one each time
 * and no time: nobody has to agree on one, and while Redis is away no app grows old.
 */
export function createKnownApps(redis: Redis, prefix: string) {
  const key = `${prefix}:known-apps`;
  return {
    /** Of one that this process does not know, so that it is looked for also where whoever knew it never came to tell. */
    async note(name: string): Promise<void> {
      await redis.hsetnx(key, name, '');
    },
    word: (name: string) => redis.hget(key, name),
    words: () => redis.hgetall(key),
    async tell(names: readonly string[]): Promise<void> {
      const word = randomUUID();
      if (names.length > 0) await redis.hset(key, Object.fromEntries(names.map((name) => [name, word])));
    },
  };
}

/** Neither id has a dot. */
export function appName(tenant: string, app: string): string {
  return `${tenant}.${app}`;
}

/** Tells whenever there is a connection, so before anything is accepted over it, and then again and again. */
export function tellApps(
  redis: Redis,
  prefix: string,
  { apps, goneAfterMs }: { apps: readonly { tenant: string; id: string }[]; goneAfterMs: number },
) {
  const names = apps.map(({ tenant, id }) => appName(tenant, id));
  const knownApps = createKnownApps(redis, prefix);
  // What fails is told again the next time.
  const tell = () => void knownApps.tell(names).catch(() => {});
  tell();
  redis.on('ready', tell);
  const timer = setInterval(tell, goneAfterMs / LOOKS);
  return {
    close(): void {
      clearInterval(timer);
      redis.off('ready', tell);
    },
  };
}
