/**
 * Usage: npx tsx bench/backlog.ts [--jobs 1000000] [--rounds 7] [--requests 2000] [--connections 10]
 * What a backlog costs: so many jobs wait for one paused app. How long acceptance takes beside an equal gateway and Redis
 * without a backlog, in turns, and beside a second such one, which tells the noise; what a waiting job takes of Redis; and
 * the memory of the gateways. The jobs are spread by what the gateway's own worker runs for a revocation, many at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Job, Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { startOkta } from '../spec/support/okta.js';
import { checkpointsKey } from '../src/audit/checkpoint.js';
import { auditKey } from '../src/audit.js';
import { createDataKeys } from '../src/data-key.js';
import { createBulkGate } from '../src/fanout/bulk-gate.js';
import { createEnqueue } from '../src/fanout/enqueue.js';
import { type AppJob, appQueue, type IntakeJob } from '../src/fanout/job.js';
import { createKnownApps } from '../src/fanout/known-apps.js';
import { createLanes } from '../src/fanout/lanes.js';
import { createRevocationRecords } from '../src/fanout/record.js';
import { spread } from '../src/fanout/spread.js';
import { connectForWorkers } from '../src/redis.js';
import { residentBytes } from './support/children.js';
import { writeFigures } from './support/figure.js';
import { build, createGateway, PATH } from './support/gateway.js';
import { startLoad } from './support/load.js';
import { describeMachine } from './support/machine.js';
import { inFlight } from './support/people.js';
import { startRedis } from './support/redis.js';
import { signRequests } from './support/requests.js';
import { median, percentile, table } from './support/statistics.js';

const TARGET = 1.2;
const WARM_UP = 500;
const DAY_MS = 86_400_000;
const SEALED_WITHIN_MS = 10 * 60_000;
const LANE = { tenant: 'default', app: 'app-1' };
const NOWHERE = 'http://127.0.0.1:9/';

const { values: options } = parseArgs({
  options: {
    jobs: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '7' },
    requests: { type: 'string', default: '2000' },
    connections: { type: 'string', default: '10' },
  },
});
const jobs = Number(options.jobs);
const rounds = Number(options.rounds);
const requests = Number(options.requests);
const connections = Number(options.connections);

build();
const okta = await startOkta();
const sides = { empty: await open(), again: await open(), full: await open() };
type Side = keyof typeof sides;
const { full } = sides;
console.log(describeMachine(full.version));
for (const side of Object.values(sides)) side.memoryBefore = residentBytes(side.gateway.pid());

const redisBefore = await full.memory();
const startedAt = performance.now();
await fill();
console.error(`filled after ${secondsSince(startedAt)} s`);
await sealed();
console.error(`the audit trail is sealed after ${secondsSince(startedAt)} s`);
const redisAfter = await full.memory();
const memoryFilled = residentBytes(full.gateway.pid());
const jobBytes = await full.redis.memory('USAGE', `ul:${appQueue(LANE.tenant, LANE.app)}:${idOf(1)}`);

// Signed now, since a JWT is good for minutes only.
const load = await startLoad(await signRequests(okta, { from: 0, count: WARM_UP + rounds * requests }));
const results: Record<Side, number[][]> = { empty: [], again: [], full: [] };
const order = Object.keys(sides) as Side[];
for (const side of order) await accept(sides[side].gateway.url, 0, WARM_UP);
for (let round = 0; round < rounds; round += 1) {
  // In turns, each as often first as last.
  for (let turn = 0; turn < order.length; turn += 1) {
    const side = order[(round + turn) % order.length] as Side;
    results[side].push(await accept(sides[side].gateway.url, WARM_UP + round * requests, requests));
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
    row('nothing waits, another one', results.again),
    row(`${jobs} jobs wait`, results.full),
  ])}\n`,
);
const backlogRatio = ratioTo(results.empty, results.full);
const noise = ratioTo(results.empty, results.again);
console.log(`p99 ratio ${backlogRatio}, aim ${TARGET}; of two without a backlog ${noise}`);
console.log(
  `Redis: ${((redisAfter - redisBefore) / jobs).toFixed(0)} bytes a waiting job with its record and audit entry, ${jobBytes} of them the job`,
);
console.log(`memory of the gateway that is full: ${megabytes(memoryFilled)} when it was filled`);
for (const side of order) {
  const { memoryBefore, gateway } = sides[side];
  console.log(
    `memory of ${side}: ${megabytes(memoryBefore)} before, ${megabytes(residentBytes(gateway.pid()))} at the end`,
  );
}
writeFigures('backlog', [
  [`p99 of an acceptance while ${jobs} jobs wait, beside none`, `${backlogRatio}; of two without a backlog ${noise}`],
  [
    'Redis memory a waiting job, with its record and audit entry',
    `${((redisAfter - redisBefore) / jobs / 1e3).toFixed(1)} kB`,
  ],
  [
    `memory of the gateway after ${rounds * requests} acceptances with the backlog, beside two without`,
    order
      .toReversed()
      .map((side) => megabytes(residentBytes(sides[side].gateway.pid())))
      .join(', '),
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
    ...{ redis, lanes, gateway, dataKeys, url: server.url, version: server.version, memoryBefore: Number.NaN },
    enqueue: createEnqueue(redis, 'ul', dataKeys),
    memory: async () => Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]),
  };
}

function idOf(index: number): string {
  return `rev_${String(index).padStart(32, '0')}`;
}

/** What a worker does with each accepted revocation, without the queue that it takes them from. */
async function fill(): Promise<void> {
  const connection = connectForWorkers({ url: full.url });
  const keep = { prefix: 'ul', retentionMs: 90 * DAY_MS };
  const queue = new Queue<AppJob>(appQueue(LANE.tenant, LANE.app), {
    connection,
    prefix: 'ul',
    skipVersionCheck: true,
  });
  const spreadOne = spread(
    {
      ...{ dataKeys: full.dataKeys, closed: async () => {}, knownApps: createKnownApps(connection, 'ul') },
      records: createRevocationRecords(connection, keep),
      // As wide open as can be: how a backlog is made is not what is measured.
      ...{ spreadGate: createBulkGate(jobs), bulkGate: createBulkGate(jobs) },
      keepFailedSeconds: (30 * DAY_MS) / 1_000,
    },
    () => ({ queue, priority: 0, known: true }),
  );
  // The file is the same in the end, and the disk is not what is measured here.
  await full.redis.config('SET', 'appendfsync', 'everysec');
  let done = 0;
  await inFlight(jobs, async (index) => {
    const data: IntakeJob = {
      ...{ revocationId: idOf(index), tenant: LANE.tenant, trust: 'okta', user: `9${String(index).padStart(14, '0')}` },
      ...{ mode: 'full', via: ['https://logout.example.com'], acceptedAt: Date.now(), bulk: true },
      accounts: full.dataKeys.seal(
        JSON.stringify([{ app: LANE.app, account: `waiting-${index}@example.com` }]),
        LANE.tenant,
      ),
    };
    await spreadOne({ data } as Job<IntakeJob>);
    done += 1;
    if (done % 50_000 === 0) console.error(`${done} of ${jobs} after ${secondsSince(startedAt)} s`);
  });
  await full.redis.config('SET', 'appendfsync', 'always');
  await queue.close();
  connection.disconnect();
  const { waiting } = await full.lanes.read(LANE);
  if (waiting !== jobs) throw new Error(`${waiting} jobs wait instead of ${jobs}`);
}

/** Until the gateway has signed what the backlog has put into its audit trail, and has nothing left to do. */
async function sealed(): Promise<void> {
  const [last] = await full.redis.xrevrange(auditKey('ul', LANE.tenant), '+', '-', 'COUNT', 1);
  const until = performance.now() + SEALED_WITHIN_MS;
  for (;;) {
    const text = (await full.redis.lindex(checkpointsKey('ul', LANE.tenant), -1)) ?? '';
    const [, claims = ''] = text.split('.');
    if (claims && JSON.parse(Buffer.from(claims, 'base64url').toString()).last === last?.[0]) return;
    if (performance.now() > until) throw new Error('the audit trail is not sealed');
    await sleep(500);
  }
}

/** Milliseconds for each, ascending; nothing of it is left to be spread when the next one begins. */
async function accept(url: string, from: number, count: number): Promise<number[]> {
  const { statuses, latencies } = await load.run({ url, path: PATH, from, count, connections });
  if (statuses[204] !== count) throw new Error(`answered ${JSON.stringify(statuses)}`);
  for (const side of Object.values(sides)) while ((await side.enqueue.waiting()) > 0) await sleep(50);
  return latencies;
}

/** Median of the rounds, with the least and the most. */
function ratioTo(baseline: readonly (readonly number[])[], runs: readonly (readonly number[])[]): string {
  const ratios = runs.map((run, round) => p99(run) / p99(baseline[round] ?? []));
  return `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} – ${Math.max(...ratios).toFixed(2)} by round)`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(0)} MB`;
}

function secondsSince(time: number): string {
  return ((performance.now() - time) / 1_000).toFixed(0);
}
