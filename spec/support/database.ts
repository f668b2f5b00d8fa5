/** A Redis database that one spec has to itself, for commands, whose keys all start alike. */
import { Redis } from 'ioredis';

const DATABASES = 15;

/** Takes the first free one of the suite's Redis. `close` empties it and gives it back. */
export async function openDatabase() {
  const server = process.env.TEST_REDIS_URL as string;
  const register = new Redis(server);
  for (let number = 1; number <= DATABASES; number += 1) {
    if ((await register.set(`database:${number}`, 'taken', 'NX')) === null) continue;
    const url = `${server}/${number}`;
    const redis = new Redis(url);
    return {
      url,
      redis,
      async close(): Promise<void> {
        await redis.flushdb();
        await register.del(`database:${number}`);
        redis.disconnect();
        register.disconnect();
      },
    };
  }
  register.disconnect();
  throw new Error('no database of the Redis is free');
}

export type Database = Awaited<ReturnType<typeof openDatabase>>;
