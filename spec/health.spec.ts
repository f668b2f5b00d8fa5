/** `/readyz` of an api process tells the truth: where it says 200, a revocation is accepted, and where none is it says why. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import request from 'supertest';
import { type Endpoint, person, startEndpoint } from './support/endpoint.js';
import { eventually } from './support/eventually.js';
import { type OwnRedis, startOwnRedis } from './support/own-redis.js';
import { startWire } from './support/wire.js';

let redis: OwnRedis;
let other: OwnRedis;
let endpoint: Endpoint;

beforeEach(async () => {
  [redis, other] = await Promise.all([startOwnRedis(), startOwnRedis()]);
  endpoint = await startEndpoint({ gateway: { roles: ['api'], config: { redisUrl: redis.url } } });
});

afterEach(async () => {
  redis.resume();
  await redis.admin.replicaof('NO', 'ONE');
  await redis.set('maxmemory', '0');
  await redis.set('min-replicas-to-write', '0');
  await endpoint.close();
  await Promise.all([redis.close(), other.close()]);
});

const READY = { status: 200, body: { status: 'ok' } };
const unready = (reason: string) => ({ status: 503, body: { status: 'unavailable', reason } });

async function probe(url = endpoint.gateway.url) {
  const { status, body } = await request(url).get('/readyz');
  return { status, body };
}

const post = async () => (await endpoint.post(await endpoint.sign())).status;

it.each<[string, () => Promise<unknown>, () => Promise<unknown>]>([
  [
    'has become a replica',
    () => redis.admin.replicaof('127.0.0.1', other.port),
    () => redis.admin.replicaof('NO', 'ONE'),
  ],
  ['is full', () => redis.set('maxmemory', '1mb'), () => redis.set('maxmemory', '0')],
  [
    'lacks the replicas that it wants',
    () => redis.set('min-replicas-to-write', '1'),
    () => redis.set('min-replicas-to-write', '0'),
  ],
])('a Redis that %s takes no revocation: not ready, until it does again', async (_, fail, mend) => {
  expect([await probe(), await post()]).toEqual([READY, 204]);
  await fail();
  // What a replica refuses has the connection look for another master, and there is a moment without one.
  const refused = await eventually(probe, ({ body }) => body.reason === 'redis_refuses_writes');
  expect([refused, await post()]).toEqual([unready('redis_refuses_writes'), 503]);
  await mend();
  await eventually(probe, ({ status }) => status === 200);
  // A replica has the data of its master, and nothing else.
  await endpoint.gateway.directory.put('default', person('ada'));
  await eventually(post, (status) => status === 204);
});

it('a Redis that does not answer is told as such, within a second', async () => {
  expect(await probe()).toEqual(READY);
  redis.pause();
  const start = performance.now();
  expect(await probe()).toEqual(unready('redis_unavailable'));
  expect(performance.now() - start).toBeLessThan(1_000);
});

it('a Redis that may evict is told as such', async () => {
  await redis.set('maxmemory-policy', 'allkeys-lru');
  expect(await probe()).toEqual(unready('redis_evicts'));
  await redis.set('maxmemory-policy', 'noeviction');
  expect(await probe()).toEqual(READY);
});

it('a Redis older than 7 is told as such', async () => {
  const wire = await startWire(redis.port);
  // What Ubuntu 22.04 has says this of itself; all else it answers as the newer one does.
  wire.answerAs((bytes) =>
    bytes.replace(
      /redis_version:\d\.\d\.\d+/,
      (version) => `redis_version:6.0.${'16'.padEnd(version.length - 18, '0')}`,
    ),
  );
  const wired = await startEndpoint({ gateway: { roles: ['api'], config: { redisUrl: wire.url } } });
  try {
    await delay(100);
    expect(await probe(wired.gateway.url)).toEqual(unready('redis_too_old'));
  } finally {
    await wired.close();
    await wire.close();
  }
});
