/** A change of data keys over real jobs in every state: all are sealed anew, none is changed otherwise. */
import { randomUUID } from 'node:crypto';
import { type Job, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { createDataKeys, keyIdOf, newDataKey } from '../../src/data-key.js';
import { appQueue, INTAKE_QUEUE } from '../../src/fanout/job.js';
import { reseal } from '../../src/fanout/reseal.js';
import { eventually } from '../support/eventually.js';

const [old, fresh] = [
  { ...newDataKey(), id: 'old' },
  { ...newDataKey(), id: 'new' },
];
const before = createDataKeys([old]);
const after = createDataKeys([fresh, old]);
const ACCOUNTS = '[{"app":"wiki","account":"ada@example.com"}]';
const POLL = '{"job":"7"}';

const redis = new Redis(process.env.TEST_REDIS_URL as string, { maxRetriesPerRequest: null });
const connection = redis;
const blocking = redis.duplicate();
const queues: Queue[] = [];
const workers: Worker[] = [];

afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.close(true)));
  await Promise.all(queues.map((queue) => queue.close()));
  redis.disconnect();
  blocking.disconnect();
});

function open(prefix: string, name: string): Queue {
  const queue = new Queue(name, { connection, prefix });
  queues.push(queue);
  return queue;
}

const newPrefix = () => `spec-${randomUUID().slice(0, 8)}`;

function appJob(keys: typeof before, tenant: string, user = 'ada') {
  return { user, via: ['x'], account: keys.seal(`${user}@example.com`, tenant), poll: keys.seal(POLL, tenant) };
}

/** One job in each state, of two apps and of the intake. */
async function fill(prefix: string) {
  const queue = open(prefix, appQueue('acme', 'wiki'));
  const data = () => appJob(before, 'acme');
  let release = () => {};
  const worker = new Worker(
    queue.name,
    async ({ name }) => {
      if (name === 'failed' || name === 'retrying') throw new Error('no');
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    },
    { connection: blocking, prefix, concurrency: 1 },
  );
  workers.push(worker);
  const failed = await queue.add('failed', data(), { jobId: 'rev_failed' });
  const retrying = await queue.add('retrying', data(), {
    ...{ jobId: 'rev_retrying', attempts: 9 },
    backoff: { type: 'fixed', delay: 1e8 },
  });
  const active = await queue.add('active', data(), { jobId: 'rev_active' });
  await stateOf(failed, 'failed');
  await stateOf(retrying, 'delayed');
  await stateOf(active, 'active');
  const waiting = await queue.add('waiting', data(), { jobId: 'rev_waiting' });
  const prioritized = await queue.add('prioritized', data(), { jobId: 'rev_prioritized', priority: 7 });
  const delayed = await queue.add('delayed', data(), { jobId: 'rev_delayed', delay: 1e8 });
  const paused = open(prefix, appQueue('default', 'shop'));
  await paused.pause();
  const held = await paused.add('paused', appJob(before, 'default'), { jobId: 'rev_paused' });
  const accounts = before.seal(ACCOUNTS, 'acme');
  const intake = await open(prefix, INTAKE_QUEUE).add('revocation', { tenant: 'acme', user: 'ada', accounts });
  const plain = await queue.add('plain', appJob(createDataKeys([]), 'acme'), { jobId: 'rev_plain' });
  return {
    jobs: [failed, retrying, active, waiting, prioritized, delayed, held, plain],
    intake,
    release: () => release(),
  };
}

const stateOf = (job: Job, state: string) =>
  eventually(
    () => job.getState(),
    (seen) => seen === state,
  );

/** All that Redis has of a job but its data, and all of its data but what is sealed. */
async function restOf(prefix: string, queue: string, id: string) {
  const { data, ...fields } = await redis.hgetall(`${prefix}:${queue}:${id}`);
  const { account, poll, accounts, ...rest } = JSON.parse(data ?? '{}') as Record<string, unknown>;
  return { fields, rest };
}

it('seals the texts of jobs in every state anew, each for its tenant, and leaves all else as it was', async () => {
  const prefix = newPrefix();
  const { jobs, intake, release } = await fill(prefix);
  const all = [...jobs, intake];
  const look = () =>
    Promise.all(
      all.map(async (job) => [await job.getState(), await restOf(prefix, job.queueName, job.id as string)] as const),
    );
  const seenBefore = await look();
  expect(seenBefore.map(([state]) => state)).toEqual([
    ...['failed', 'delayed', 'active', 'waiting', 'prioritized', 'delayed', 'waiting', 'waiting', 'waiting'],
  ]);

  const pass = await reseal({ redis, prefix, dataKeys: after });
  expect(pass).toEqual({ sealedAnew: 9, missed: 0, missing: new Map(), broken: [] });

  const onlyNew = createDataKeys([fresh]);
  for (const job of jobs) {
    const tenant = job.id === 'rev_paused' ? 'default' : 'acme';
    const { account, poll } = JSON.parse((await redis.hget(keyOf(prefix, job), 'data')) ?? '') as Record<
      string,
      string
    >;
    expect([job.name, onlyNew.open(account ?? '', tenant)]).toEqual([job.name, 'ada@example.com']);
    expect(onlyNew.open(poll ?? '', tenant)).toBe(POLL);
    expect(keyIdOf(account ?? '')).toBe('new');
  }
  const { accounts } = JSON.parse((await redis.hget(keyOf(prefix, intake), 'data')) ?? '') as { accounts: string };
  expect(onlyNew.open(accounts, 'acme')).toBe(ACCOUNTS);
  expect(await look()).toEqual(seenBefore);

  expect(await reseal({ redis, prefix, dataKeys: after })).toMatchObject({ sealedAnew: 0, missed: 0 });
  release();
  await stateOf(jobs[2] as Job, 'completed');
});

it('touches no other gateway, no other key, and nothing that is no job', async () => {
  const [prefix, other] = [newPrefix(), newPrefix()];
  const data = JSON.stringify(appJob(before, 'acme'));
  const untouched = [
    `${other}:${appQueue('acme', 'wiki')}:rev_1`,
    `${prefix}x:${appQueue('acme', 'wiki')}:rev_1`,
    `x${prefix}:${appQueue('acme', 'wiki')}:rev_1`,
    `${prefix}:${appQueue('acme', 'wiki')}:rev_1:dependencies`,
    `${prefix}:{acme}:users:rev_1`,
    `${prefix}:alerts:rev_1`,
  ];
  await Promise.all(untouched.map((key) => redis.hset(key, { data })));
  await redis.rpush(`${prefix}:${appQueue('acme', 'wiki')}:wait`, 'rev_1');
  await redis.hset(`${prefix}:${appQueue('acme', 'wiki')}:meta`, { version: '1' });
  expect(await reseal({ redis, prefix, dataKeys: after })).toMatchObject({ sealedAnew: 0, missed: 0, broken: [] });
  for (const key of untouched) expect([key, await redis.hgetall(key)]).toEqual([key, { data }]);
});

it('counts what needs a key that is not there, names what opens with none, and seals the rest', async () => {
  const prefix = newPrefix();
  const queue = open(prefix, appQueue('acme', 'wiki'));
  const lost = createDataKeys([{ ...newDataKey(), id: 'lost' }]);
  const another = createDataKeys([{ ...newDataKey(), id: 'old' }]);
  await queue.add('lost', appJob(lost, 'acme'), { jobId: 'rev_lost' });
  await queue.add('another', appJob(another, 'acme'), { jobId: 'rev_another' });
  await queue.add('elsewhere', appJob(before, 'default'), { jobId: 'rev_elsewhere' });
  await queue.add('good', appJob(before, 'acme'), { jobId: 'rev_good' });
  const { sealedAnew, missing, broken } = await reseal({ redis, prefix, dataKeys: after });
  expect(sealedAnew).toBe(1);
  expect([...missing]).toEqual([['lost', 2]]);
  expect(new Set(broken)).toEqual(
    new Set(['rev_another', 'rev_elsewhere'].map((id) => `${prefix}:${queue.name}:${id}`)),
  );
  const left = JSON.parse((await redis.hget(`${prefix}:${queue.name}:rev_lost`, 'data')) ?? '') as { account: string };
  expect(lost.open(left.account, 'acme')).toBe('ada@example.com');
});

it('overwrites nothing that a worker writes in the same moment, and brings back no job that has gone', async () => {
  const prefix = newPrefix();
  const queue = open(prefix, appQueue('acme', 'wiki'));
  const jobs = await Promise.all(
    Array.from({ length: 20 }, (_, index) => queue.add('revoke', appJob(before, 'acme'), { jobId: `rev_${index}` })),
  );
  let over = false;
  let sealedAnew = 0;
  const write = async () => {
    let step = 0;
    // The machine may give the passes few turns: written on until they had enough.
    while (step < 60 || (sealedAnew <= 10 && step < 6_000)) {
      step++;
      await Promise.all(jobs.slice(0, 10).map((job) => job.updateData({ ...appJob(before, 'acme'), step })));
    }
    over = true;
    return step;
  };
  const remove = async () => {
    for (const job of jobs.slice(10)) await job.remove();
  };
  const passes = async () => {
    while (!over) sealedAnew += (await reseal({ redis, prefix, dataKeys: after })).sealedAnew;
  };
  const [last] = await Promise.all([write(), remove(), passes()]);
  expect(sealedAnew).toBeGreaterThan(10);
  for (const job of jobs.slice(0, 10)) {
    expect((await queue.getJob(job.id as string))?.data).toMatchObject({ step: last });
  }
  expect(await Promise.all(jobs.slice(10).map((job) => redis.exists(keyOf(prefix, job))))).toEqual(Array(10).fill(0));
});

function keyOf(prefix: string, { queueName, id }: Job): string {
  return `${prefix}:${queueName}:${id}`;
}
