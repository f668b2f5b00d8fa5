/**
 * Usage: npx tsx bench/backlog.ts [--jobs 1000000] [--rounds 5] [--requests 1000] [--connections 10]
 * What a backlog costs: so many jobs wait for one paused app. How long acceptance takes beside an equal gateway and Redis
 * without a backlog, in turns; what a waiting job takes of Redis; and the memory of the gateway before and after.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { startOkta } from '../spec/support/okta.js';
import { createDataKeys } from '../src/data-key.js';
import { createEnqueue } from '../src/fanout/enqueue.js';
import { appQueue } from '../src/fanout/job.js';
import { createLanes } from '../src/fanout/lanes.js';
import { residentBytes } from './support/children.js';
import { writeFigures } from './support/figure.js';
import { build, createGateway, PATH } from './support/gateway.js';
import { startLoad } from './support/load.js';
import { describeMachine } from './support/machine.js';
import { startRedis } from './support/redis.js';
import { signRequests } from './support/requests.js';
import { median, percentile, table } from './support/statistics.js';

const TARGET = 1.2;
const WARM_UP = 500;
const PAGE = 500;
const UNSPREAD = 5_000;
const LANE = { tenant: 'default', app: 'app-1' };
const NOWHERE = 'http://127.0.0.1:9/';
const MB = 1024 ** 2;

const { values: options } = parseArgs({
  options: {
    jobs: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    requests: { type: 'string', default: '1000' },
    connections: { type: 'string', default: '10' },
  },
});
const jobs = Number(options.jobs);
const rounds = Number(options.rounds);
const requests = Number(options.requests);
const connections = Number(options.connections);

build();
const okta = await startOkta();
const empty = await open();
const full = await open();
console.log(describeMachine(full.version));

const before = { redis: await full.memory(), gateway: residentBytes(full.gateway.pid()) };
const startedAt = performance.now();
await fill();
console.error(`filled after ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
// What the workers held while they spread is let go.
await sleep(5_000);
const after = { redis: await full.memory(), gateway: residentBytes(full.gateway.pid()) };
const jobBytes = await full.redis.memory('USAGE', `ul:${appQueue(LANE.tenant, LANE.app)}:${idOf(1)}`);

// Signed now, since a JWT is good for minutes only.
const load = await startLoad(await signRequests(okta, { from: 0, count: WARM_UP + rounds * requests }));
const results = { empty: [] as number[][], full: [] as number[][] };
for (const side of [empty, full]) await accept(side.gateway.url, 0, WARM_UP);
for (let round = 0; round < rounds; round += 1) {
  // In turns, and every second time the other way round.
  for (const kind of round % 2 === 0 ? (['empty', 'full'] as const) : (['full', 'empty'] as const)) {
    const { url } = (kind === 'full' ? full : empty).gateway;
    results[kind].push(await accept(url, WARM_UP + round * requests, requests));
  }
}

const p99 = (sorted: readonly number[]) => percentile(sorted, 0.99);
const row = (name: string, runs: readonly (readonly number[])[]) => [
  name,
  median(runs.map((run) => percentile(run, 0.5))).toFixed(1),
  median(runs.map(p99)).toFixed(1),
];
console.log(
  `\n${table([
    [`acceptance over ${connections} connections, ms`, 'p50', 'p99'],
    row('nothing waits', results.empty),
    row(`${jobs} jobs wait`, results.full),
  ])}\n`,
);
const ratios = results.full.map((run, index) => p99(run) / p99(results.empty[index] ?? []));
console.log(
  `p99 ratio ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} – ${Math.max(...ratios).toFixed(2)} by round), aim ${TARGET}`,
);
console.log(
  `Redis: ${((after.redis - before.redis) / jobs).toFixed(0)} bytes a waiting job with its record and audit entry, ${jobBytes} of them the job`,
);
console.log(
  `the gateway's memory: ${(before.gateway / MB).toFixed(0)} MB before, ${(after.gateway / MB).toFixed(0)} MB after, ${(residentBytes(full.gateway.pid()) / MB).toFixed(0)} MB at the end`,
);
writeFigures('backlog', [
  [
    `p99 of an acceptance while ${jobs} jobs wait, beside none`,
    `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} – ${Math.max(...ratios).toFixed(2)} by round)`,
  ],
  [
    'Redis memory a waiting job, with its record and audit entry',
    `${((after.redis - before.redis) / jobs / 1e3).toFixed(1)} kB`,
  ],
]);
process.exit(0);

/** A gateway whose one app is paused, with a Redis of its own. */
async function open() {
  const server = await startRedis({ rewrite: false });
  const redis = new Redis(server.url);
  const dataKeys = createDataKeys([]);
  const lanes = createLanes(redis, { prefix: 'ul', now: Date.now, dataKeys });
  await lanes.pause(LANE);
  const gateway = await createGateway({ okta, redisUrl: server.url, apps: [NOWHERE] });
  await gateway.importUsers(WARM_UP + rounds * requests);
  await gateway.start();
  return {
    ...{ redis, lanes, gateway, version: server.version },
    enqueue: createEnqueue(redis, 'ul', dataKeys),
    memory: async () => Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]),
  };
}

function idOf(index: number): string {
  return `rev_${String(index).padStart(32, '0')}`;
}

async function fill(): Promise<void> {
  for (let start = 0; start < jobs; start += PAGE) {
    while ((await full.enqueue.waiting()) > UNSPREAD) await sleep(50);
    const page = Array.from({ length: Math.min(PAGE, jobs - start) }, (_, index) => ({
      revocationId: idOf(start + index),
      ...{ tenant: LANE.tenant, trust: 'okta', user: `9${String(start + index).padStart(14, '0')}` },
      ...{ mode: 'full' as const, via: ['https://logout.example.com'], acceptedAt: Date.now(), bulk: true as const },
      accounts: [{ app: LANE.app, account: `waiting-${start + index}@example.com` }],
    }));
    await full.enqueue.addMany(page);
    if (start % 50_000 === 0) console.error(`${start} of ${jobs}`);
  }
  while ((await full.lanes.read(LANE)).waiting < jobs) await sleep(100);
}

/** Milliseconds for each, ascending; nothing of it is left to be spread when the next one begins. */
async function accept(url: string, from: number, count: number): Promise<number[]> {
  const { statuses, latencies } = await load.run({ url, path: PATH, from, count, connections });
  if (statuses[204] !== count) throw new Error(`answered ${JSON.stringify(statuses)}`);
  for (const side of [empty, full]) while ((await side.enqueue.waiting()) > 0) await sleep(50);
  return latencies;
}
