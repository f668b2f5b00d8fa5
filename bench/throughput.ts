/**
 * Usage: npx tsx bench/throughput.ts [--jobs 5000] [--rounds 5] [--concurrency 50]
 * How many jobs a second a worker process delivers to a local app that does nothing, beside a bare BullMQ worker with the
 * same concurrency, payload, Redis and an equal HTTP call, in turns; then what a job costs when a revocation goes to 1,
 * 10 and 100 apps.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { startOkta } from '../spec/support/okta.js';
import { createDataKeys } from '../src/data-key.js';
import { createEnqueue } from '../src/fanout/enqueue.js';
import { createLanes } from '../src/fanout/lanes.js';
import type { BareOrder } from './support/bare-worker.js';
import { cpuMs, end, keep } from './support/children.js';
import { writeFigures } from './support/figure.js';
import { build, createGateway } from './support/gateway.js';
import { describeMachine } from './support/machine.js';
import { startRedis } from './support/redis.js';
import { median, table } from './support/statistics.js';

const TARGET = 0.8;
const FLAT_WITHIN = 0.2;

const { values: options } = parseArgs({
  options: {
    jobs: { type: 'string', default: '5000' },
    rounds: { type: 'string', default: '5' },
    concurrency: { type: 'string', default: '50' },
  },
});
const jobs = Number(options.jobs);
const rounds = Number(options.rounds);
const concurrency = Number(options.concurrency);

build();
const okta = await startOkta();
const app = await startApp();
const server = await startRedis();
const redis = new Redis(server.url);
const lanes = createLanes(redis, { prefix: 'ul', now: Date.now, dataKeys: createDataKeys([]) });
const enqueue = createEnqueue(redis, 'ul', createDataKeys([]));
console.log(describeMachine(server.version));
console.log(`${jobs} jobs a round, ${concurrency} at once, ${rounds} rounds in turns`);

const ours: number[] = [];
const bare: number[] = [];
const cpu = { ours: [] as number[], bare: [] as number[] };
for (let round = 0; round < rounds; round += 1) {
  const mine = await deliverOurs(1, jobs);
  const theirs = await deliverBare();
  ours.push(mine.perSecond);
  bare.push(theirs.perSecond);
  cpu.ours.push(mine.cpuUs);
  cpu.bare.push(theirs.cpuUs);
  console.error(`round ${round + 1}: ${mine.perSecond.toFixed(0)} beside ${theirs.perSecond.toFixed(0)} jobs/s`);
}
const ratios = ours.map((one, index) => one / (bare[index] ?? Number.NaN));
console.log(
  `\n${table([
    ['', 'jobs/s', 'CPU of the worker, µs a job'],
    ['universal-logout', median(ours).toFixed(0), median(cpu.ours).toFixed(0)],
    ['bare BullMQ', median(bare).toFixed(0), median(cpu.bare).toFixed(0)],
  ])}\n`,
);
const [low, high] = [Math.min(...ratios), Math.max(...ratios)];
const ratio = `${median(ratios).toFixed(2)} of it (${low.toFixed(2)} – ${high.toFixed(2)})`;
console.log(`aim ${TARGET}`);

const costs: [apps: number, us: number][] = [];
for (const apps of [1, 10, 100]) {
  const runs: number[] = [];
  for (let round = 0; round < 3; round += 1) runs.push((await deliverOurs(apps, jobs, true)).cpuUs);
  costs.push([apps, median(runs)]);
}
console.log(
  `\n${table([['apps of a revocation', 'CPU µs a job, spread included'], ...costs.map(([apps, us]) => [String(apps), us.toFixed(0)])])}\n`,
);
const [one = Number.NaN, ...more] = costs.map(([, us]) => us);
const worst = Math.max(...more.map((us) => us / one));
console.log(`aim ${1 + FLAT_WITHIN}`);
writeFigures('throughput', [
  ['jobs delivered a second to an app that does nothing, beside a bare BullMQ worker with an equal HTTP call', ratio],
  [
    'CPU time of a job where a revocation goes to 10 or 100 apps, beside one alone',
    `${worst.toFixed(2)} times at most`,
  ],
]);
process.exit(0);

type Delivery = { perSecond: number; cpuUs: number };

/** Jobs wait in paused lanes before the clock starts, unless the spread is to be part of it. */
async function deliverOurs(apps: number, count: number, withSpread = false): Promise<Delivery> {
  await redis.flushall();
  const delivery = { concurrency };
  const gateway = await createGateway({
    ...{ okta, redisUrl: server.url, role: 'worker' as const },
    apps: Array.from({ length: apps }, () => ({ url: app.url, delivery })),
  });
  const names = Array.from({ length: apps }, (_, index) => ({ tenant: 'default', app: `app-${index + 1}` }));
  const revocations = Math.ceil(count / apps);
  const fill = () =>
    enqueue.addMany(
      Array.from({ length: revocations }, (_, index) => ({
        revocationId: `rev_${String(index).padStart(32, '0')}`,
        ...{ tenant: 'default', trust: 'okta', user: String(index), mode: 'full' as const },
        ...{ via: ['https://logout.example.com'], acceptedAt: Date.now() },
        accounts: names.map(({ app: name }) => ({ app: name, account: `user-${index}@example.com` })),
      })),
    );
  if (!withSpread) {
    for (const name of names) await lanes.pause(name);
    await fill();
  }
  await gateway.start();
  const total = revocations * apps;
  if (!withSpread) {
    for (const name of names) while ((await lanes.read(name)).waiting < revocations) await sleep(20);
  }
  const before = cpuMs(gateway.pid());
  const delivered = app.expect(total);
  if (withSpread) await fill();
  else for (const name of names) await lanes.resume(name);
  const seconds = await delivered;
  await sleep(200);
  const cpuUs = ((cpuMs(gateway.pid()) - before) * 1_000) / total;
  await gateway.stop();
  return { perSecond: total / seconds, cpuUs };
}

async function deliverBare(): Promise<Delivery> {
  await redis.flushall();
  const queue = new Queue('bare', { connection: redis });
  await queue.pause();
  const message = {
    ...{ type: 'revocation.requested', timestamp: new Date().toISOString() },
    data: {
      revocationId: `rev_${'0'.repeat(32)}`,
      tenant: 'default',
      app: 'app-1',
      account: 'user-1@example.com',
      mode: 'full',
    },
  };
  const opts = { removeOnComplete: true };
  await queue.addBulk(Array.from({ length: jobs }, () => ({ name: 'revoke', data: { message }, opts })));
  const file = fileURLToPath(new URL('./support/bare-worker.ts', import.meta.url));
  const child: ChildProcess = keep(fork(file, { execArgv: ['--import', 'tsx'] }));
  child.send({ redisUrl: server.url, queue: 'bare', url: app.url, concurrency } satisfies BareOrder);
  await once(child, 'message');
  const before = cpuMs(child.pid);
  const delivered = app.expect(jobs);
  await queue.resume();
  const seconds = await delivered;
  await sleep(200);
  const cpuUs = ((cpuMs(child.pid) - before) * 1_000) / jobs;
  await queue.close();
  await end(child);
  return { perSecond: jobs / seconds, cpuUs };
}

/** Answers 204 at once, and tells how long it took from the first call to the last of so many. */
async function startApp() {
  let [calls, wanted, first] = [0, Number.POSITIVE_INFINITY, 0];
  let done: (seconds: number) => void = () => {};
  const http = createServer((req, res) => {
    req.resume().on('end', () => {
      res.writeHead(204).end();
      calls += 1;
      if (calls === 1) first = performance.now();
      if (calls === wanted) done((performance.now() - first) / 1_000);
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/`,
    expect(count: number): Promise<number> {
      [calls, wanted] = [0, count];
      return new Promise((resolve) => {
        done = resolve;
      });
    },
  };
}
