/** The Redis of the environment, or the embedded one, for as long as a command needs it. */
import { type Config, readConfig } from '../config.js';
import { startEmbeddedRedis } from '../embedded-redis.js';
import { connectForWorkers, type RedisClient } from '../redis.js';

/** What `serve` gives its keys. */
const PREFIX = 'ul';

export type Opened = { config: Config; redis: RedisClient; prefix: string };

export async function withRedis(act: (opened: Opened) => Promise<void>, config = readConfig()): Promise<void> {
  const embedded = config.redisUrl ? undefined : await startEmbeddedRedis({ dataDir: config.dataDir });
  const redis = connectForWorkers(embedded ?? { url: config.redisUrl as string });
  redis.on('error', (error) => console.error(`Redis: ${error.message}; trying again`));
  try {
    await act({ config, redis, prefix: PREFIX });
  } finally {
    redis.disconnect();
    await embedded?.close();
  }
}
