/** What the log says of the connections to Redis: each trouble once, that it is over, and that Redis is too old. */
import type { Logger } from './logger.js';
import { isTooOld, mastersOf, type RedisClient, versionOf } from './redis.js';

/** Of all the connections of a process: what troubles one troubles the others. */
export function createRedisLog(logger: Logger) {
  const told = new Set<string>();
  const troubled = new Set<RedisClient>();

  function tell(error: Error): void {
    // Of a Cluster that no node answers, the last one says why.
    const { message } = (error as { lastNodeError?: Error }).lastNodeError ?? error;
    // The same trouble may come with another number each time: how long until the next try.
    const kind = message.replace(/\d+/g, '0');
    if (told.has(kind)) return;
    told.add(kind);
    logger.warn({ problem: message }, 'redis.troubled');
  }

  function isWell(redis: RedisClient): void {
    if (!troubled.delete(redis) || troubled.size > 0) return;
    told.clear();
    logger.warn('redis.well');
  }

  async function tellVersion(redis: RedisClient): Promise<void> {
    const versions = await Promise.all(mastersOf(redis).map(versionOf));
    const version = versions.find(isTooOld);
    if (version === undefined) return;
    const problem = `Redis ${version} is too old: no revocation is accepted until it is Redis or Valkey 7 or later`;
    logger.error({ problem }, 'redis.too_old');
  }

  return {
    /** For errors that are told anew with every try, by whatever uses a connection. */
    tell,
    watch(redis: RedisClient): void {
      redis.on('error', (error: Error) => {
        troubled.add(redis);
        tell(error);
      });
      redis.on('ready', () => isWell(redis));
    },
    /** Once for each connection: the next one may be to another server. */
    watchVersion(redis: RedisClient): void {
      // What goes wrong here goes wrong everywhere, and is told there.
      redis.on('ready', () => void tellVersion(redis).catch(() => {}));
    },
  };
}
