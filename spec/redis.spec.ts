/** Connections to Redis: what goes out together is answered together, whatever is asked in between, or has failed. */
import { once } from 'node:events';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { connectForRequests, connectForWorkers, isRedisFailure } from '../src/redis.js';
import { startWire } from './support/wire.js';

describe('a script that is defined while a pipeline waits for another one', () => {
  it.each([
    ['requests', connectForRequests],
    ['workers', connectForWorkers],
  ])('can be called at once [%s]', async (_, connect) => {
    const redis = connect({ url: process.env.TEST_REDIS_URL as string });
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

describe('a connection that breaks amid the answers to a pipeline', () => {
  it.each([
    ['requests', connectForRequests],
    ['workers', connectForWorkers],
  ])('is a failure of Redis to what was not answered [%s]', async (_, connect) => {
    const wire = await startWire(Number(new URL(process.env.TEST_REDIS_URL as string).port));
    const redis = connect({ url: wire.url });
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
});
