/**
 * Usage: npx tsx bench/ingest.ts [--rounds 6] [--requests 2000] [--connections 50] [--fsync always|everysec] [--profile]
 * How many revocations a second the gateway accepts, beside Express that verifies the same JWTs, without and with one
 * Redis SET, in turns on one machine; --profile says instead where the gateway's time goes. Exit code 1 where a request
 * was not answered 204. On a busy machine it ends after fewer rounds.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { startOkta } from '../spec/support/okta.js';
import { startTargetApp } from '../spec/support/target-app.js';
import { startBaseline } from './support/baseline.js';
import { cpuMs, temporaryDirectory } from './support/children.js';
import { writeFigures } from './support/figure.js';
import { AUDIENCE, build, createGateway, PATH } from './support/gateway.js';
import { type LoadResult, startLoad } from './support/load.js';
import { describeMachine } from './support/machine.js';
import { summarizeProfile } from './support/profile.js';
import { type Fsync, startRedis } from './support/redis.js';
import { signRequests } from './support/requests.js';
import { median, percentile, table } from './support/statistics.js';

const WARM_UP = 1_500;
const MOST_EXTRA_ROUNDS = 2;
const MEASURED_FOR_MS = 40_000;
const DRAINED_WITHIN_MS = 30_000;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '6' },
    requests: { type: 'string', default: '2000' },
    connections: { type: 'string', default: '50' },
    fsync: { type: 'string', default: 'always' },
    profile: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const perRun = Number(options.requests);
const connections = Number(options.connections);
const extraRounds = Math.min(MOST_EXTRA_ROUNDS, rounds);
const total = WARM_UP + rounds * perRun;

type Variant = { name: string; url: string; path: string; pid: () => number | undefined };
type Run = LoadResult & { rate: number; serverMs: number; redisMs: number };

build();
const redis = await startRedis({ fsync: options.fsync as Fsync, rewrite: false });
const okta = await startOkta();
const noOp = await startTargetApp();
console.log(describeMachine(redis.version));
console.log(
  `appendfsync ${options.fsync}, ${connections} connections, up to ${rounds} rounds of ${perRun} requests a variant`,
);

const profileDirectory = temporaryDirectory();
const nodeOptions = options.profile ? ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`] : [];
progress(`loading ${total} users`);
const gateway = await createGateway({ okta, apps: [noOp.url], redisUrl: `${redis.url}/0`, role: 'api', nodeOptions });
await gateway.importUsers(total);
await gateway.start();
progress(`signing ${total} JWTs`);
const load = await startLoad(await signRequests(okta, { from: 0, count: total }));

const jobs = await (options.profile ? profile() : measure());
const directory = new Redis(redis.url);
const waiting = await directory.llen('ul:{intake}:wait');
if (waiting !== jobs) fail(`${waiting} jobs are in Redis where ${jobs} were accepted`);
console.log(`${waiting} accepted revocations, and as many jobs in Redis`);
process.exit();

/** Everything goes through one gateway, under the profiler. */
async function profile(): Promise<number> {
  const variant = { name: 'gateway', url: gateway.url, path: PATH, pid: gateway.pid };
  await run(variant, 0, WARM_UP);
  const { rate, serverMs } = await run(variant, WARM_UP, total - WARM_UP);
  await gateway.stop();
  console.log(
    `${rate.toFixed(0)} req/s and ${((serverMs / (total - WARM_UP)) * 1000).toFixed(0)} µs CPU under the profiler\n`,
  );
  console.log(summarizeProfile(profileDirectory, total));
  return total;
}

async function measure(): Promise<number> {
  const { jwk } = okta.key;
  const baseline = await startBaseline({ jwk, issuer: okta.issuer, audience: AUDIENCE, redisUrl: redis.url });
  const pid = () => baseline.pid;
  const verify: Variant = { name: '(a) Express + jose', url: baseline.url, path: '/verify', pid };
  const set: Variant = { name: '(b) Express + jose + one SET', url: baseline.url, path: '/verify-and-set', pid };
  const api: Variant = { name: 'gateway, role api', url: gateway.url, path: PATH, pid: gateway.pid };
  const turns = [verify, set, api];

  progress('warming up');
  for (const variant of turns) await run(variant, 0, WARM_UP);
  const runs = new Map<Variant, Run[]>(turns.map((variant) => [variant, []]));
  const until = performance.now() + MEASURED_FOR_MS;
  let done = 0;
  for (; done < rounds && performance.now() < until; done++) {
    for (const variant of turns) {
      const result = await run(variant, WARM_UP + done * perRun, perRun);
      runs.get(variant)?.push(result);
      progress(`round ${done + 1}: ${variant.name} ${result.rate.toFixed(0)} req/s`);
    }
  }
  progress('the same with the worker in the same process, as information');
  const extra = await measureWithWorker(set);
  progress('');
  const reference = runs.get(set) ?? [];
  const rows = turns.map((variant) => row(variant.name, runs.get(variant) ?? [], reference));
  rows.push(row('gateway, api + worker, one app', extra.runs, extra.reference));
  const head = ['', 'req/s', 'p50 ms', 'p99 ms', 'CPU µs/req', 'Redis µs/req', 'ratio to (b)', 'min – max'];
  console.log(`\n${table([head, ...rows])}\n`);
  const [ours, theirs] = [row('', runs.get(api) ?? [], reference), row('', reference, reference)];
  writeFigures('ingest', [
    [
      'accepted revocations a second beside Express + jose + one Redis `SET` for the same JWTs',
      `${ours[6]} of it (${ours[7]}); p99 ${ours[3]} ms beside ${theirs[3]} ms at ${connections} connections`,
    ],
  ]);
  console.log(
    'Medians of all rounds; the ratio is the median of the ratios within each round. CPU counts all threads.',
  );
  return WARM_UP + done * perRun;
}

/** A gateway of both roles, on a database of its own where the JWTs are new, drained before the next run starts. */
async function measureWithWorker(set: Variant): Promise<{ runs: Run[]; reference: Run[] }> {
  const whole = await createGateway({ okta, apps: [noOp.url], redisUrl: `${redis.url}/1` });
  await whole.importUsers(WARM_UP + extraRounds * perRun);
  await whole.start();
  const both = { name: 'api + worker', url: whole.url, path: PATH, pid: whole.pid };
  const results = { runs: [] as Run[], reference: [] as Run[] };
  let sent = 0;
  for (let round = -1; round < extraRounds; round++) {
    const from = round < 0 ? 0 : WARM_UP + round * perRun;
    const count = round < 0 ? WARM_UP : perRun;
    if (round >= 0) results.reference.push(await run(set, from, count));
    const result = await run(both, from, count);
    if (round >= 0) results.runs.push(result);
    sent += count;
    const deadline = Date.now() + DRAINED_WITHIN_MS;
    while (noOp.calls.length < sent && Date.now() < deadline) await sleep(20);
    if (noOp.calls.length !== sent) fail(`the app was called ${noOp.calls.length} times for ${sent} revocations`);
  }
  await whole.stop();
  return results;
}

async function run(variant: Variant, from: number, count: number): Promise<Run> {
  const { url, path } = variant;
  const before = [cpuMs(variant.pid()), cpuMs(redis.pid())] as const;
  const result = await load.run({ url, path, from, count, connections });
  const serverMs = cpuMs(variant.pid()) - before[0];
  if (result.statuses[204] !== count) fail(`${variant.name} answered ${JSON.stringify(result.statuses)}`);
  return { ...result, rate: count / result.seconds, serverMs, redisMs: cpuMs(redis.pid()) - before[1] };
}

function row(name: string, runs: readonly Run[], reference: readonly Run[]): string[] {
  const ratios = runs.map(({ rate }, index) => rate / (reference[index]?.rate ?? Number.NaN));
  const of = (pick: (run: Run) => number) => median(runs.map(pick));
  const perRequest = (pick: (run: Run) => number) => ((of(pick) / perRun) * 1000).toFixed(0);
  return [
    name,
    of(({ rate }) => rate).toFixed(0),
    of(({ latencies }) => percentile(latencies, 0.5)).toFixed(1),
    of(({ latencies }) => percentile(latencies, 0.99)).toFixed(1),
    perRequest(({ serverMs }) => serverMs),
    perRequest(({ redisMs }) => redisMs),
    median(ratios).toFixed(2),
    `${Math.min(...ratios).toFixed(2)} – ${Math.max(...ratios).toFixed(2)}`,
  ];
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
  else if (text) process.stderr.write(`${text}\n`);
}

function fail(problem: string): never {
  console.error(`\n${problem}`);
  process.exit(1);
}
