/** Connections to Redis: what goes out together is answered together, whatever is asked in between. */
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connectForRequests, connectForWorkers } from '../src/redis.js';

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
