/** Connections to Redis: what goes out together is answered together, whatever is asked in between, or has failed. */
import { once } from 'node:events';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { connectForRequests, connectForWorkers, isRedisFailure } from '../src/redis.js';
import { startWire } from './support/wire.js';

describe('a script that is defined while a pipeline waits for another one', () => {
  it('can be called at once', async () => {
    const redis = connectForRequests({ url: process.env.TEST_REDIS_URL as string });
    await once(redis, 'ready');
    try {
      // It is not answered before its time is over, since there are no replicas.
      const underWay = redis.wait(1, 100);
      await nextTurn();
      const waiting = redis.get('spec-redis');
      redis.defineCommand('late', { numberOfKeys: 0, lua: "return 'late'" });
      const { late } = redis as unknown as { late: () => Promise<string> };
      const answers = [underWay, waiting, late.call(redis)] as const;
      expect(await Promise.all(answers)).toEqual([0, null, 'late']);
    } finally {
      redis.disconnect();
    }
  });
});

describe('a connection that breaks amid the answers to what was asked together', () => {
  it('is a failure of Redis to a request that was not answered', async () => {
    const wire = await startWire(Number(new URL(process.env.TEST_REDIS_URL as string).port));
    const redis = connectForRequests({ url: wire.url });
    redis.on('error', () => {});
    await once(redis, 'ready');
    try {
      const answered = redis.get('spec-redis');
      const open = redis.wait(1, 5_000).catch((error: unknown) => error);
      await delay(50);
      wire.mend();
      expect(isRedisFailure(await open)).toBe(true);
      await answered.catch(() => {});
    } finally {
      redis.disconnect();
      await wire.close();
    }
  });

  it('has a worker ask again, over the next connection', async () => {
    const wire = await startWire(Number(new URL(process.env.TEST_REDIS_URL as string).port));
    const redis = connectForWorkers({ url: wire.url });
    redis.on('error', () => {});
    await once(redis, 'ready');
    try {
      const answered = redis.get('spec-redis');
      const open = redis.wait(1, 200);
      await delay(50);
      wire.mend();
      expect(await Promise.all([answered, open])).toEqual([null, 0]);
    } finally {
      redis.disconnect();
      await wire.close();
    }
  });
});
