/** What the gateway does when Redis is killed, stopped, starved or not there yet, and when a worker dies at work. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { ADA, type Endpoint, PATH, startEndpoint } from './support/endpoint.js';
import { eventually } from './support/eventually.js';
import { type OwnRedis, startOwnRedis } from './support/own-redis.js';
import { answer } from './support/target-app.js';
import { startWire } from './support/wire.js';
import { startWorkerProcess } from './support/worker-process.js';

let redis: OwnRedis;
let endpoint: Endpoint;

beforeEach(async () => {
  redis = await startOwnRedis();
  endpoint = await startEndpoint({ gateway: { config: { redisUrl: redis.url } } });
  // The keys of the issuer are known from here on.
  expect((await endpoint.post(await endpoint.sign(), '{')).status).toBe(400);
});

afterEach(async () => {
  redis.resume();
  await redis.start();
  await endpoint.close();
  await redis.close();
});

/** One request, and how long its answer took. */
async function timed(jwt: string | undefined, url = endpoint.gateway.url) {
  const start = performance.now();
  const post = request(url).post(PATH).set('content-type', 'application/json');
  const response = await (jwt === undefined ? post : post.set('authorization', `Bearer ${jwt}`)).send(ADA);
  return { status: response.status, response, ms: performance.now() - start };
}

async function expectUnavailable(jwt: string, url?: string): Promise<void> {
  const { response, ms } = await timed(jwt, url);
  expect(response.status).toBe(503);
  expect(response.body.code).toBe('redis_unavailable');
  expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
  expect(ms).toBeLessThan(1_000);
}

const ready = async (url = endpoint.gateway.url) => (await request(url).get('/readyz')).status;

/** Each of so many revocations once; they are of one person, so that a call may serve several. */
async function completed(count: number): Promise<void> {
  const of = async () => (await endpoint.gateway.audit()).filter(({ event }) => event === 'revocation.completed');
  await eventually(of, (entries) => entries.length >= count, 15_000);
  await endpoint.rest();
  expect(new Set((await of()).map(({ revocationId }) => revocationId)).size).toBe(count);
  expect(await of()).toHaveLength(count);
}

/** Sends until it is accepted, as a caller does that is told to come again. */
const acceptedAtLast = (jwt: string, url?: string) =>
  eventually(
    async () => (await timed(jwt, url)).status,
    (status) => status === 204,
  );

describe('where Redis', () => {
  it.each<[string, () => void | Promise<void>]>([
    ['is killed', () => redis.kill()],
    ['is stopped', () => redis.pause()],
  ])('%s: every request is told so within a second', async (_, fail) => {
    const jwts = await Promise.all(Array.from({ length: 10 }, () => endpoint.sign()));
    await fail();
    await Promise.all(jwts.map((jwt) => expectUnavailable(jwt)));
    for (const jwt of jwts.slice(0, 3)) await expectUnavailable(jwt);
    expect(await ready()).toBe(503);
    expect((await request(endpoint.gateway.url).get('/livez')).status).toBe(200);
    // A stranger needs no Redis to be refused.
    expect((await timed('x')).status).toBe(401);
    expect((await timed(undefined)).status).toBe(401);

    redis.resume();
    await redis.start();
    await eventually(
      () => ready(),
      (status) => status === 200,
    );
    for (const jwt of jwts) await acceptedAtLast(jwt);
    await completed(10);
  });

  it('goes silent between the claim of a JWT and its revocation: within a second too, and the JWT is good again', async () => {
    const wire = await startWire(redis.port);
    const wired = await startEndpoint({ gateway: { roles: ['api'], config: { redisUrl: wire.url } } });
    const jwt = await wired.sign();
    const send = async () => {
      const start = performance.now();
      const response = await wired.post(jwt);
      return { response, ms: performance.now() - start };
    };
    try {
      expect((await wired.post(await wired.sign(), '{')).status).toBe(400);
      let claimed = false;
      wire.deadFrom((bytes) => {
        claimed ||= bytes.includes(':replay:');
        return claimed && bytes.includes(':{intake}:') && bytes.includes('acceptedAt');
      });
      const { response, ms } = await send();
      expect({ status: response.status, claimed }).toEqual({ status: 503, claimed: true });
      expect(ms).toBeLessThan(1_000);
      wire.mend();
      await eventually(
        async () => (await send()).response.status,
        (status) => status === 204,
      );
    } finally {
      wire.mend();
      await wired.close();
      await wire.close();
    }
  });

  it('is not there yet: 503 until it is, and then all is well without a restart', async () => {
    await redis.kill();
    const late = await endpoint.startSibling();
    try {
      const jwt = await endpoint.sign();
      await expectUnavailable(jwt, late.url);
      expect(await ready(late.url)).toBe(503);
      await redis.start();
      await acceptedAtLast(jwt, late.url);
      await eventually(
        () => ready(late.url),
        (status) => status === 200,
      );
      await eventually(
        () => endpoint.app.calls.length,
        (calls) => calls === 1,
      );
    } finally {
      await redis.start();
      await late.close();
    }
  });

  it('comes back: what was accepted before is carried out, and what comes then is accepted', async () => {
    const { app } = endpoint;
    app.answerWith(answer(503));
    expect((await timed(await endpoint.sign())).status).toBe(204);
    await eventually(
      () => app.calls.length,
      (calls) => calls === 1,
    );
    await redis.kill();
    await expectUnavailable(await endpoint.sign());
    app.answerWith(answer(204));
    await redis.start();
    await acceptedAtLast(await endpoint.sign());
    await completed(2);
  });

  it('may evict what it was given: not ready', async () => {
    expect(await ready()).toBe(200);
    for (const policy of ['allkeys-lru', 'volatile-ttl', 'allkeys-random']) {
      await redis.set('maxmemory-policy', policy);
      expect(await ready()).toBe(503);
    }
    await redis.set('maxmemory-policy', 'noeviction');
    expect(await ready()).toBe(200);
  });

  it.each([
    ['has no memory left', 'maxmemory', '1', '0'],
    ['takes no writes, for want of a replica', 'min-replicas-to-write', '1', '0'],
  ])('%s: 503 within a second, and nothing is half done', async (_, name, bad, good) => {
    await endpoint.rest();
    const before = await endpoint.gateway.state();
    const jwt = await endpoint.sign();
    await redis.set(name, bad);
    await expectUnavailable(jwt);
    await expectUnavailable(jwt);
    expect(await endpoint.gateway.state()).toEqual(before);
    expect((await timed('x')).status).toBe(401);
    await redis.set(name, good);
    expect((await timed(jwt)).status).toBe(204);
    await endpoint.rest();
    expect(endpoint.app.calls).toHaveLength(1);
  });
});

describe('a worker that is killed at work', () => {
  it('leaves its job to the next one, which tells the app again under the same id', async () => {
    const api = await startEndpoint({ gateway: { roles: ['api'], prefix: 'ul', config: { redisUrl: redis.url } } });
    const workers: { kill(): Promise<void> }[] = [];
    try {
      api.app.answerWith(() => {
        // Never: the worker dies first.
      });
      workers.push(await startWorkerProcess(api.settings, redis.url));
      expect((await api.post(await api.sign())).status).toBe(204);
      await eventually(
        () => api.app.calls.length,
        (calls) => calls === 1,
      );
      await workers[0]?.kill();
      api.app.answerWith(answer(204));
      workers.push(await startWorkerProcess(api.settings, redis.url));
      await eventually(
        () => api.app.calls.length,
        (calls) => calls === 2,
        20_000,
      );
      await api.rest();
      expect(new Set(api.app.calls.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
      expect((await api.gateway.audit()).map(({ event }) => event)).toContain('revocation.completed');
    } finally {
      await Promise.all(workers.map((worker) => worker.kill()));
      await api.close();
    }
  }, 60_000);
});
