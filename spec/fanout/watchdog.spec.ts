/** A worker that looks alive and is not is noticed within fifteen seconds and replaced; one that has a reason to rest is not. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import request from 'supertest';
import { type Watched, watch } from '../../src/fanout/watchdog.js';
import { eventually } from '../support/eventually.js';
import { startGateway } from '../support/gateway.js';

const prefix = `spec-${randomUUID().slice(0, 8)}`;
const connection = new Redis(process.env.TEST_REDIS_URL as string, { maxRetriesPerRequest: null });
const errors: Error[] = [];
const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  expect(errors).toEqual([]);
});
afterAll(async () => {
  const keys = await connection.keys(`${prefix}:*`);
  if (keys.length > 0) await connection.del(keys);
  connection.disconnect();
});

/** A real queue with a real worker, whose jobs take as long as they are told. */
function lane(name: string) {
  const done: string[] = [];
  const activity = { active: 0, begunAt: 0 };
  const queue = new Queue(`{${name}}`, { connection, prefix });
  const start = () =>
    new Worker(
      queue.name,
      async (job) => {
        activity.active += 1;
        activity.begunAt = performance.now();
        await delay(job.data.ms ?? 0);
        done.push(String(job.id));
        activity.active -= 1;
      },
      { connection, prefix, limiter: { max: 1_000, duration: 1_000 } },
    ).on('error', () => {});
  let worker = start();
  open.push({ close: () => Promise.all([worker.close(), queue.close()]) });
  const watched: Watched = {
    queue,
    worker: () => worker,
    activity: () => activity,
    replace() {
      void worker.close(true);
      worker = start();
    },
  };
  return { queue, done, watched, worker: () => worker };
}

function watching(lanes: { watched: Watched }[]): string[] {
  const replaced: string[] = [];
  open.push(
    watch(
      lanes.map(({ watched }) => watched),
      { onReplaced: (queue) => replaced.push(queue), onError: (error) => errors.push(error) },
    ),
  );
  return replaced;
}

it('the jobs of one that takes none are done by its successor within 15 s; all others keep theirs', async () => {
  const [stuck, idle, busy, paused, limited] = ['stuck', 'idle', 'busy', 'paused', 'limited'].map(lane) as [
    ReturnType<typeof lane>,
    ReturnType<typeof lane>,
    ReturnType<typeof lane>,
    ReturnType<typeof lane>,
    ReturnType<typeof lane>,
  ];
  const all = [stuck, idle, busy, paused, limited];
  await Promise.all(all.map(({ worker }) => worker().waitUntilReady()));
  // It is there, and takes no job: what BullMQ 6.2 did after Redis had been away.
  await stuck.worker().pause(true);
  // The one that it may have been waiting for already; the next is not taken.
  await stuck.queue.add('job', {});
  await paused.queue.pause();
  await limited.queue.rateLimit(60_000);
  await busy.queue.add('job', { ms: 14_000 });
  const replaced = watching(all);
  const startedAt = performance.now();
  for (const { queue } of [stuck, busy, paused, limited]) await queue.add('job', {});
  await eventually(
    () => stuck.done.length,
    (count) => count === 2,
    16_000,
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  console.info(`a stuck worker was replaced, and its job done, after ${seconds.toFixed(1)} s`);
  expect(seconds).toBeLessThan(15);
  await delay(1_000);
  expect(replaced).toEqual(['{stuck}']);
}, 40_000);

it('a process is ready when a job has gone through a worker of its own, and says how long ago that was', async () => {
  const gateway = await startGateway({ tenants: [{ id: 'default' }] });
  open.push(gateway);
  await eventually(
    async () => (await request(gateway.url).get('/readyz')).status,
    (status) => status === 200,
  );
  const { text } = await request(gateway.url).get('/metrics');
  const [, age] = /^universal_logout_canary_age_seconds (\S+)$/m.exec(text) ?? [];
  expect(Number(age)).toBeLessThan(15);
  // Its jobs go as they come.
  const keys = await gateway.redis.keys(`${gateway.prefix}:{canary.*`);
  expect(keys.filter((key) => /:(completed|failed)$/.test(key))).toEqual([]);
});

it('what its canary leaves in Redis goes by itself where nobody renews it, and is small however long it flies', async () => {
  const gateway = await startGateway({ tenants: [{ id: 'default' }] }, { roles: ['worker'] });
  open.push(gateway);
  const lifetimes = async () => {
    const keys = await gateway.redis.keys(`${gateway.prefix}:{canary.*`);
    const kept = keys.filter((key) => /:(meta|id|events)$/.test(key));
    return Promise.all(kept.map((key) => gateway.redis.ttl(key)));
  };
  await eventually(lifetimes, (seen) => seen.length === 3 && seen.every((ttl) => ttl > 0 && ttl <= 600));

  const [meta = ''] = await gateway.redis.keys(`${gateway.prefix}:{canary.*:meta`);
  const name = meta.slice(gateway.prefix.length + 1, -':meta'.length);
  const queue = new Queue(name, { connection, prefix: gateway.prefix, skipMetasUpdate: true });
  open.push(queue);
  await queue.addBulk(
    Array.from({ length: 100 }, () => ({ name: 'canary', data: {}, opts: { removeOnComplete: true } })),
  );
  await eventually(
    () => queue.getJobCountByTypes('wait', 'active'),
    (count) => count === 0,
  );
  // Redis cuts whole blocks of a hundred off.
  expect(await gateway.redis.xlen(`${gateway.prefix}:${name}:events`)).toBeLessThan(200);
});

it('a process without workers does not wait for any', async () => {
  const gateway = await startGateway({ tenants: [{ id: 'default' }] }, { roles: ['api'] });
  open.push(gateway);
  expect((await request(gateway.url).get('/readyz')).status).toBe(200);
});
