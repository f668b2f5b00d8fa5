/**
 * Usage: npx tsx bench/chaos.ts [--revocations 20000] [--minutes 5] [--seed 1] [--sentinel [--wait-replicas 1] [--behind 300]]
 * Accepts revocations for ten apps (one dead, one slow, one answering 429 in bursts, one dropping half its connections)
 * while it kills (kill -9) the api, the worker and Redis at random. The caller repeats what got no 204, as Okta might.
 * Then the apps calm down, an operator has everything retried, and every accepted revocation must have reached every app.
 * Exit code 1 where one has not.
 * With --sentinel Redis is a master with two replicas, the master is killed when they have been cut off from it for so many
 * milliseconds, Sentinel puts a replica in its place, and it comes back as a replica. --wait-replicas is REDIS_WAIT_REPLICAS;
 * with 0 what has been accepted in those milliseconds is lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { startOkta } from '../spec/support/okta.js';
import { mulberry32 } from '../spec/support/random.js';
import { writeFigures } from './support/figure.js';
import { ADMIN_TOKEN, build, createGateway, PATH } from './support/gateway.js';
import { describeMachine } from './support/machine.js';
import { type Mood, startMoodyApp } from './support/moody-apps.js';
import { startRedis } from './support/redis.js';
import { signRequests } from './support/requests.js';
import { startReplicatedRedis } from './support/sentinel.js';
import { median, table } from './support/statistics.js';

const MOODS: Mood[] = [
  ...Array.from({ length: 6 }, () => 'healthy' as const),
  ...(['dead', 'slow', 'bursts of 429', 'drops half'] as const),
];
const SENDERS = 20;
const SIGNED_AHEAD = 50;
const PAUSE_MS = { least: 3_000, most: 12_000 };
const DOWN_MS = { least: 200, most: 3_000 };
const DRAINED_WITHIN_MS = 40 * 60_000;
// Longer than anything waits that an operator has had retried.
const QUIET_MS = 60_000;

const { values: options } = parseArgs({
  options: {
    revocations: { type: 'string', default: '20000' },
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
    sentinel: { type: 'boolean', default: false },
    'wait-replicas': { type: 'string', default: '1' },
    behind: { type: 'string', default: '300' },
  },
});
const count = Number(options.revocations);
const durationMs = Number(options.minutes) * 60_000;
const random = mulberry32(Number(options.seed));

type Victim = {
  name: string;
  kill(): Promise<void>;
  /** Until it serves again. */
  start(): Promise<void>;
  /** What there is to wait for before anything else is killed. */
  afterwards?(): Promise<void>;
};

build();
const okta = await startOkta();
const waitReplicas = options.sentinel ? Number(options['wait-replicas']) : 0;
const redis = options.sentinel ? await startReplicatedRedis(Number(options.behind)) : await startSingleRedis();
const apps = await Promise.all(MOODS.map((mood) => startMoodyApp(mood, random)));
const described = apps.map(({ url }) => ({ url, delivery: { concurrency: 50, timeoutMs: 5_000 } }));
const common = { okta, apps: described, redisUrl: redis.url, waitReplicas };
const api = await createGateway({ ...common, role: 'api' });
const worker = await createGateway({ ...common, role: 'worker' });
console.log(describeMachine(redis.version));
console.log(
  `${count} revocations in ${options.minutes} min for ${MOODS.length} apps (${MOODS.slice(6).join(', ')}), seed ${options.seed}`,
);
if (options.sentinel) {
  console.log(
    `Sentinel, two replicas that are cut off ${options.behind} ms before a master is killed, REDIS_WAIT_REPLICAS=${waitReplicas}`,
  );
}
await api.importUsers(count);
await api.start();
await worker.start();

const victims: Victim[] = [{ name: 'api', ...api }, { name: 'worker', ...worker }, redis];
/** When each master of several was killed, and when a revocation was accepted that had been sent after that. */
const failovers: { killedAt: number; acceptedAt?: number }[] = [];
/** When each was killed, and was there again. */
const outages: { name: string; from: number; to: number }[] = [];
const answers: Record<string, number> = {};
let accepted = 0;
const startedAt = performance.now();

const killing = new AbortController();
const killed = killAtRandom();
const progress = setInterval(() => {
  const seconds = (performance.now() - startedAt) / 1_000;
  console.error(
    `${seconds.toFixed(0)} s: ${accepted} accepted, ${outages.length} kills, ${reachedPairs()} of ${count * apps.length} calls`,
  );
}, 10_000);
await accept();
killing.abort();
await killed;
const acceptedSeconds = (performance.now() - startedAt) / 1_000;
const heldThen = count * apps.length - reachedPairs();
console.error(`all accepted after ${acceptedSeconds.toFixed(0)} s; the apps calm down`);
for (const app of apps) await app.calmDown();
await drain();
clearInterval(progress);

const seen = await askWorker();
const lost = count * apps.length - reachedPairs();
const second = apps.flatMap(({ reached, unheard }) =>
  [...reached].flatMap(([account, times]) => repeats(times).map((pair) => ({ pair, unheard: unheard.has(account) }))),
);
const explained = (what: string) =>
  second.filter(({ pair: [first, again], unheard }) => (whyRepeated(first, again) || (unheard ? 'late' : '')) === what)
    .length;
console.log(
  `\n${table([
    ['accepted', String(accepted)],
    [
      '  sent again before they were',
      String(Object.entries(answers).reduce((sum, [status, n]) => sum + (status === '204' ? 0 : n), 0)),
    ],
    ['kill -9 of the api', String(outages.filter(({ name }) => name === 'api').length)],
    ['kill -9 of the worker', String(outages.filter(({ name }) => name === 'worker').length)],
    [`kill -9 of ${redis.name}`, String(outages.filter(({ name }) => name === redis.name).length)],
    ...(options.sentinel ? failoverRows() : []),
    ['processes that ended by themselves', String(api.crashes() + worker.crashes())],
    ['calls owed', String(count * apps.length)],
    ['  still owed when the apps calmed down', String(heldThen)],
    ['lost', String(lost)],
    ['calls refused with 429, and made again', String(sumOf('429'))],
    ['connections dropped by the app, call made again', String(sumOf('reset'))],
    ['calls repeated after a success', String(second.length)],
    ['  worker killed in between', String(explained('worker'))],
    [
      options.sentinel
        ? '  the master replaced in between, by one that had not heard of the success'
        : '  Redis killed in between',
      String(explained(redis.name)),
    ],
    ['  the app was done after the deadline of the call', String(explained('late'))],
    ['  for no such reason', String(explained(''))],
    ['calls that the last worker took for too late, answered or not', String(seen.late)],
    ['records of revocations that are not over', String(seen.open)],
    ['minutes', ((performance.now() - startedAt) / 60_000).toFixed(1)],
  ])}\n`,
);
console.log(`answers: ${JSON.stringify(answers)}`);
const figures = [
  [
    `${options.minutes} min of \`kill -9\` of api, worker and ${redis.name}, ten apps, four of them in trouble: accepted, lost`,
    `${accepted}, ${lost}`,
  ],
  ['calls repeated after a success, for want of a word that it was one', `${second.length} of ${count * apps.length}`],
] as const;
if (options.sentinel) {
  const failedOver = `failovers, the replicas ${options.behind} ms behind: number; s from \`kill -9\` to the first 204`;
  const row = [failedOver, `${failovers.length}; ${failoverTimes()}`] as const;
  writeFigures('chaos', [...figures, row], ['--sentinel', `--wait-replicas ${waitReplicas}`]);
} else writeFigures('chaos', figures);
process.exit(lost > 0 || accepted < count || api.crashes() + worker.crashes() > 0 ? 1 : 0);

/** Evenly over the time, whatever dies meanwhile. */
async function accept(): Promise<void> {
  let next = 0;
  const pool = new Pool(api.url, { connections: SENDERS, headersTimeout: 5_000 });
  const sender = async () => {
    while (next < count) {
      const from = next;
      const many = Math.min(SIGNED_AHEAD, count - from);
      next += many;
      const requests = await signRequests(okta, { from, count: many });
      for (const [index, request] of requests.entries()) {
        const due = startedAt + ((from + index) / count) * durationMs;
        await sleep(Math.max(0, due - performance.now()));
        await untilAccepted(pool, request, from + index);
      }
    }
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));
  await pool.destroy();
}

/** The same JWT with the same body each time, and a new one when it is too old. */
async function untilAccepted(pool: Pool, first: { jwt: string; body: string }, user: number): Promise<void> {
  let request = first;
  for (;;) {
    const headers = { authorization: `Bearer ${request.jwt}`, 'content-type': 'application/json' };
    const sentAt = performance.now();
    const status = await pool.request({ path: PATH, method: 'POST', headers, body: request.body }).then(
      async ({ statusCode, body }) => {
        await body.dump();
        return String(statusCode);
      },
      () => 'no answer',
    );
    answers[status] = (answers[status] ?? 0) + 1;
    if (status === '204') {
      accepted += 1;
      for (const failover of failovers) {
        if (sentAt > failover.killedAt) failover.acceptedAt ??= performance.now();
      }
      return;
    }
    if (status === '401') [request = first] = await signRequests(okta, { from: user, count: 1 });
    await sleep(200);
  }
}

async function killAtRandom(): Promise<void> {
  const between = ({ least, most }: { least: number; most: number }) => least + random() * (most - least);
  const pause = (ms: number) => sleep(ms, undefined, { signal: killing.signal }).catch(() => {});
  for (;;) {
    await pause(between(PAUSE_MS));
    if (killing.signal.aborted) return;
    const victim = victims[Math.floor(random() * victims.length)] as Victim;
    const outage = { name: victim.name, from: performance.now(), to: Number.POSITIVE_INFINITY };
    outages.push(outage);
    await victim.kill();
    if (victim === redis && options.sentinel) failovers.push({ killedAt: performance.now() });
    await pause(between(DOWN_MS));
    await victim.start();
    outage.to = performance.now();
    await victim.afterwards?.();
  }
}

/** As an operator does when an app is back. */
async function drain(): Promise<void> {
  const until = performance.now() + DRAINED_WITHIN_MS;
  let [reached, since] = [0, performance.now()];
  while (reachedPairs() < count * apps.length && performance.now() < Math.min(until, since + QUIET_MS)) {
    if (reachedPairs() > reached) [reached, since] = [reachedPairs(), performance.now()];
    for (let app = 1; app <= apps.length; app += 1) {
      await fetch(`${api.url}/api/apps/default/app-${app}/retry`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
      }).catch(() => undefined);
    }
    for (let waited = 0; waited < 50 && reachedPairs() < count * apps.length; waited += 1) await sleep(200);
  }
  await sleep(1_000);
}

/**
 * What the worker tells when all is over: revocations that operators see as not over, whatever the apps have got, since an
 * outcome was lost and not the call; and calls over their deadline since it was started last, which a busy machine makes many.
 */
async function askWorker(): Promise<{ open: number; late: number }> {
  // It looks every five seconds.
  await sleep(6_000);
  const metrics = await (await fetch(`${worker.url}/metrics`)).text();
  const sum = (pattern: RegExp) =>
    [...metrics.matchAll(pattern)].reduce((total, [, value]) => total + Number(value), 0);
  return {
    open: sum(/^universal_logout_open_revocations{.*} (\d+)$/gm),
    late: sum(/^universal_logout_attempts_total{.*result="timeout".*} (\d+)$/gm),
  };
}

function reachedPairs(): number {
  return apps.reduce((sum, { reached }) => sum + reached.size, 0);
}

function sumOf(failure: string): number {
  return apps.reduce((sum, { failed }) => sum + (failed[failure] ?? 0), 0);
}

/** Each pair of a call that was answered with success and the next one for the same account. */
function repeats(times: readonly number[]): [first: number, again: number][] {
  return times.slice(1).map((again, index) => [times[index] as number, again]);
}

/** The worker could not say that the first had succeeded: it, or Redis, was killed before or soon after. */
function whyRepeated(first: number, again: number): string {
  const meanwhile = outages.filter(({ from, to }) => from < again && to > first - 1_000);
  return ['worker', redis.name].find((one) => meanwhile.some(({ name }) => name === one)) ?? '';
}

async function startSingleRedis(): Promise<Victim & { url: string; version: string }> {
  return { name: 'Redis', ...(await startRedis()) };
}

function failoverRows(): string[][] {
  return [
    ['  replaced by Sentinel', String(failovers.length)],
    ['  s from the kill to the first 204: median, least, most', failoverTimes()],
  ];
}

function failoverTimes(): string {
  const took = failovers.flatMap(({ killedAt, acceptedAt }) => (acceptedAt ? [(acceptedAt - killedAt) / 1_000] : []));
  const [middle, least, most] = [median(took), Math.min(...took), Math.max(...took)].map((seconds) =>
    seconds?.toFixed(1),
  );
  return `${middle} (${least} – ${most})`;
}
