/** What `/metrics` says of queues, keys and clocks, and that nothing it depends on can hold it up. */
import { setTimeout as delay } from 'node:timers/promises';
import { ADA, type Endpoint, startEndpoint } from './support/endpoint.js';
import { eventually } from './support/eventually.js';
import { ADMIN_TOKEN } from './support/gateway.js';
import { startOwnRedis } from './support/own-redis.js';
import { answer } from './support/target-app.js';

const APP = 'tenant="default",app="intranet"';
const TRUST = 'tenant="default",trust="okta"';

/** The sample's value, by its name without the prefix, and its labels as they are written. */
async function scrape({ gateway }: Endpoint) {
  const response = await fetch(`${gateway.url}/metrics`);
  expect(response.status).toBe(200);
  const text = await response.text();
  return {
    text,
    value: (sample: string) => {
      const line = text.split('\n').find((one) => one.startsWith(`universal_logout_${sample} `));
      return line === undefined ? undefined : Number(line.split(' ').at(-1));
    },
  };
}

const pause = ({ gateway }: Endpoint) =>
  fetch(`${gateway.url}/api/apps/default/intranet/pause`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });

describe('while everything works', () => {
  let endpoint: Endpoint;
  beforeEach(async () => {
    endpoint = await startEndpoint();
  });
  afterEach(() => endpoint.close());

  it('a queue shows its jobs, its state and how long its oldest job waits', async () => {
    expect((await pause(endpoint)).status).toBe(200);
    expect((await endpoint.post(await endpoint.sign())).status).toBe(204);
    endpoint.clock.now += 90_000;
    await eventually(
      () => endpoint.gateway.state(),
      (state) => Object.keys(state).some((key) => /app\.default\.intranet\}:rev_/.test(key)),
    );
    const { value } = await scrape(endpoint);
    expect(value('redis_up')).toBe(1);
    expect(value('intake_jobs')).toBe(0);
    expect(value(`jobs{${APP},state="waiting"}`)).toBe(1);
    expect(value(`jobs{${APP},state="failed"}`)).toBe(0);
    expect(value(`oldest_job_seconds{${APP}}`)).toBe(90);
    expect(value(`lane_state{${APP},state="paused"}`)).toBe(1);
    expect(value(`lane_state{${APP},state="moving"}`)).toBe(0);
    expect(value(`lane_state{${APP},state="held"}`)).toBe(0);
  });

  it('a call that is made again is counted by the reason', async () => {
    endpoint.app.answerWith((res, call, count) => answer(count === 1 ? 503 : 204)(res, call, count));
    expect((await endpoint.post(await endpoint.sign())).status).toBe(204);
    await endpoint.rest();
    const { value } = await scrape(endpoint);
    expect(value(`retries_total{${APP},reason="server"}`)).toBe(1);
    expect(value(`attempts_total{${APP},result="server"}`)).toBe(1);
    expect(value(`attempts_total{${APP},result="revoked"}`)).toBe(1);
  });

  it('the age of JWTs is shown for those alone that are good', async () => {
    expect((await endpoint.post(await endpoint.sign({ now: endpoint.clock.now + 20_000 }))).status).toBe(204);
    expect((await endpoint.post(await endpoint.sign({ claims: { iss: 'https://eve.example.com' } }))).status).toBe(401);
    expect((await endpoint.post(await endpoint.sign({ claims: { jti: '' } }))).status).toBe(401);
    const { value } = await scrape(endpoint);
    expect(value(`jwt_age_seconds_count{${TRUST}}`)).toBe(1);
    expect(value(`jwt_age_seconds_sum{${TRUST}}`)).toBe(-20);
  });

  it('keys show when they were fetched, and how often they could not be', async () => {
    endpoint.okta.state.status = 500;
    expect((await endpoint.post(await endpoint.sign())).status).toBe(503);
    const before = await scrape(endpoint);
    expect(before.value(`key_fetches_total{${TRUST},outcome="failed"}`)).toBe(1);
    expect(before.value(`keys_fetched_timestamp_seconds{${TRUST}}`)).toBeUndefined();

    endpoint.okta.state.status = 200;
    endpoint.clock.now += 31_000;
    expect((await endpoint.post(await endpoint.sign())).status).toBe(204);
    const after = await scrape(endpoint);
    expect(after.value(`key_fetches_total{${TRUST},outcome="fetched"}`)).toBe(1);
    expect(after.value(`keys_fetched_timestamp_seconds{${TRUST}}`)).toBe(endpoint.clock.now / 1_000);
  });
});

it('a storm of scrapes reads the queues once', async () => {
  const redis = await startOwnRedis();
  const endpoint = await startEndpoint({ gateway: { config: { redisUrl: redis.url }, roles: ['api'] } });
  const reads = async () => {
    const stats = await endpoint.gateway.redis.info('commandstats');
    return Number(/^cmdstat_hmget:calls=(\d+)/m.exec(stats)?.[1] ?? 0);
  };
  try {
    await Promise.all(Array.from({ length: 50 }, () => scrape(endpoint)));
    await scrape(endpoint);
    expect(await reads()).toBe(1);
  } finally {
    await endpoint.close();
    await redis.close();
  }
});

describe('where Redis', () => {
  it.each(['is killed', 'is stopped'] as const)(
    '%s: a scrape has what the process counted, within a second',
    async (how) => {
      const redis = await startOwnRedis();
      const endpoint = await startEndpoint({ gateway: { config: { redisUrl: redis.url } } });
      try {
        expect((await endpoint.post(await endpoint.sign(), ADA)).status).toBe(204);
        await endpoint.rest();
        expect((await scrape(endpoint)).value('redis_up')).toBe(1);
        if (how === 'is killed') await redis.kill();
        else redis.pause();
        await delay(5_100);
        for (let round = 0; round < 2; round++) {
          const start = performance.now();
          const { value, text } = await scrape(endpoint);
          expect(performance.now() - start).toBeLessThan(1_000);
          expect(value('requests_total{status="204"}')).toBe(1);
          if (round === 0) continue;
          expect(value('redis_up')).toBe(0);
          expect(text).not.toMatch(/^universal_logout_(intake_jobs|jobs|oldest_job_seconds|lane_state)\b/m);
        }
        redis.resume();
        await redis.start();
        await eventually(
          () => scrape(endpoint),
          ({ value }) => value('redis_up') === 1 && value(`jobs{${APP},state="waiting"}`) === 0,
          15_000,
        );
      } finally {
        redis.resume();
        await redis.start();
        await endpoint.close();
        await redis.close();
      }
    },
  );
});
