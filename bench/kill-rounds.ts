/**
 * Usage: npx tsx bench/kill-rounds.ts [--rounds 20] [--embedded-rounds 2] [--seed 1] [--requests 200] [--connections 50]
 * Kills the gateway (kill -9), in every second round its Redis too, at a random moment while it accepts revocations and
 * calls the apps, starts it again, sends again what got no answer, as Okta would, and waits until every 204 has reached all three apps.
 * The last rounds run on the embedded Redis. Exit code 1 where a single accepted revocation was lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { startOkta } from '../spec/support/okta.js';
import { mulberry32 } from '../spec/support/random.js';
import { startCountingApp } from './support/counting-apps.js';
import { build, createGateway, emailOf, type GatewayProcess, PATH } from './support/gateway.js';
import { startRedis } from './support/redis.js';
import { type RevocationRequest, signRequests } from './support/requests.js';
import { table } from './support/statistics.js';

const KILLED_WITHIN_MS = 20_000;
const BOTH_KILLED_WITHIN_MS = 200;
const ANSWERED_WITHIN_MS = 30_000;
const DELIVERED_WITHIN_MS = 45_000;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    'embedded-rounds': { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    requests: { type: 'string', default: '200' },
    connections: { type: 'string', default: '50' },
  },
});
const rounds = Number(options.rounds);
const embeddedRounds = Number(options['embedded-rounds']);
const perRound = Number(options.requests);
const connections = Number(options.connections);
const random = mulberry32(Number(options.seed));

/** What the gateway is at when it is killed. */
type Phase = 'accepting' | 'calling';
type Killable = { kill: () => Promise<unknown>; start: () => Promise<void> };
type Round = {
  killed: string;
  /** 204 before the gateway was killed. */
  answered: number;
  /** Calls that apps had by then. */
  called: number;
  /** No answer, then 204 when sent again. */
  again: number;
  delivered: number;
  lost: number;
  /** Second calls whose first came before the kill: it was under way, or made and not yet recorded. */
  twice: number;
  /** Second calls for which no kill accounts. */
  unexplained: number;
  seconds: number;
};

build();
const okta = await startOkta();
const apps = await Promise.all([startCountingApp(), startCountingApp(), startCountingApp()]);
const appUrls = apps.map(({ url }) => url);
const results: Round[] = [];

if (rounds > 0) {
  const redis = await startRedis();
  console.log(`${redis.version}, appendfsync always; seed ${options.seed}`);
  const gateway = await createGateway({ okta, apps: appUrls, redisUrl: redis.url });
  await gateway.importUsers(rounds * perRound);
  await gateway.start();
  for (let index = 0; index < rounds; index++) {
    const victims: Killable[] = index % 2 === 0 ? [gateway] : [gateway, redis];
    const phase = index % 4 < 2 ? 'accepting' : 'calling';
    report(await playRound(gateway, victims, { phase, from: index * perRound }));
  }
  await gateway.stop();
  await redis.stop();
}
if (embeddedRounds > 0) {
  console.log('the embedded Redis, which ends and starts with the gateway');
  const gateway = await createGateway({ okta, apps: appUrls });
  await gateway.importUsers((rounds + embeddedRounds) * perRound);
  await gateway.start();
  for (let index = 0; index < embeddedRounds; index++) {
    const phase = index % 2 === 0 ? 'accepting' : 'calling';
    report(await playRound(gateway, [gateway], { phase, from: (rounds + index) * perRound }));
  }
  await gateway.stop();
}
summarize();
process.exit(results.some(({ lost }) => lost > 0) ? 1 : 0);

async function playRound(
  gateway: GatewayProcess,
  victims: readonly Killable[],
  { phase, from }: { phase: Phase; from: number },
): Promise<Round> {
  const startedAt = performance.now();
  const requests = await signRequests(okta, { from, count: perRound });
  const answers = new Array<number | undefined>(perRound).fill(undefined);

  const callsBefore = totalCalls();
  const progress = () => answers.filter((status) => status === 204).length + totalCalls() - callsBefore;
  const killed = killAtRandom(victims, phase, progress);
  await send(gateway, requests, answers);
  await killed;
  const restartedAt = performance.now();
  const answered = answers.filter((status) => status === 204).length;
  const called = totalCalls() - callsBefore;

  // Redis first: a gateway finds it there when it starts.
  for (const victim of [...victims].reverse()) await victim.start();
  const deadline = Date.now() + ANSWERED_WITHIN_MS;
  while (answers.some((status) => status !== 204) && Date.now() < deadline) await send(gateway, requests, answers);
  const accepted = requests.flatMap((_, index) => (answers[index] === 204 ? emailOf(from + index) : []));
  if (accepted.length < perRound) {
    throw new Error(`not every request was accepted in the end: ${JSON.stringify(tally(answers))}`);
  }

  const reached = () => accepted.filter((account) => apps.every(({ calls }) => calls.has(account))).length;
  const lostAt = Date.now() + DELIVERED_WITHIN_MS;
  while (reached() < accepted.length && Date.now() < lostAt) await sleep(50);
  // Whatever is called twice is called soon: the stalled jobs are back by now.
  await sleep(200);
  const second = accepted.flatMap((account) => callsFor(account).flatMap(repeats));
  const twice = second.filter(([before, after]) => before < restartedAt && after > restartedAt).length;
  return {
    killed: `${phase}: killed ${victims.length === 1 ? 'the gateway' : 'the gateway and Redis'}`,
    answered,
    called,
    again: accepted.length - answered,
    delivered: reached(),
    lost: accepted.length - reached(),
    twice,
    unexplained: second.length - twice,
    seconds: (performance.now() - startedAt) / 1000,
  };
}

/**
 * Kills each at a moment of its own between the first request and the last 204, or from there to the last call to an app;
 * told by how far it has come and not by the clock, so that a busy machine is killed at the same moments. When one is dead
 * the other follows soon.
 */
async function killAtRandom(victims: readonly Killable[], phase: Phase, progress: () => number): Promise<void> {
  const until = performance.now() + KILLED_WITHIN_MS;
  let latest = until;
  await Promise.all(
    victims.map(async (victim) => {
      const moment = perRound * (phase === 'accepting' ? random() : 1 + random() * apps.length);
      const afterTheOther = random() * BOTH_KILLED_WITHIN_MS;
      while (progress() < moment && performance.now() < Math.min(until, latest + afterTheOther)) await sleep(1);
      latest = Math.min(latest, performance.now());
      await victim.kill();
    }),
  );
}

function totalCalls(): number {
  return apps.reduce((sum, { total }) => sum + total(), 0);
}

/** Sends what has no 204 yet, the same JWT with the same body each time; a request without an answer stays undefined. */
async function send(
  gateway: GatewayProcess,
  requests: readonly RevocationRequest[],
  answers: (number | undefined)[],
): Promise<void> {
  const pool = new Pool(gateway.url, { connections, pipelining: 1 });
  await Promise.all(
    requests.map(async ({ jwt, body }, index) => {
      if (answers[index] === 204) return;
      const headers = { authorization: `Bearer ${jwt}`, 'content-type': 'application/json' };
      try {
        const response = await pool.request({ path: PATH, method: 'POST', headers, body });
        answers[index] = response.statusCode;
        await response.body.dump();
      } catch {
        // Killed before it could answer: it may have been accepted or not.
      }
    }),
  );
  await pool.destroy();
}

/** For each app that was told to revoke the account, when. */
function callsFor(account: string): number[][] {
  return apps.flatMap(({ calls }) => {
    const times = calls.get(account);
    return times ? [times] : [];
  });
}

/** Each pair of a call and the next one for the same account. */
function repeats(times: readonly number[]): [before: number, after: number][] {
  return times.slice(1).map((after, index) => [times[index] as number, after]);
}

function tally(answers: readonly (number | undefined)[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const status of answers) counts[status ?? 'none'] = (counts[status ?? 'none'] ?? 0) + 1;
  return counts;
}

function report(round: Round): void {
  results.push(round);
  const { killed, answered, called, again, delivered, lost, twice, unexplained, seconds } = round;
  console.log(
    `round ${results.length}, ${killed} after ${answered} × 204 and ${called} calls, ${again} sent again; ${delivered} reached all apps, ` +
      `${lost} lost, calls made twice: ${twice + unexplained}, ${seconds.toFixed(1)} s`,
  );
}

function summarize(): void {
  const sum = (pick: (round: Round) => number) => results.reduce((total, round) => total + pick(round), 0);
  const lost = sum((round) => round.lost);
  const unexplained = sum((round) => round.unexplained);
  console.log(
    `\n${table([
      ['rounds', String(results.length)],
      ['accepted', String(sum(({ answered, again }) => answered + again))],
      ['  with a 204 before the kill', String(sum(({ answered }) => answered))],
      ['  without an answer, sent again', String(sum(({ again }) => again))],
      ['reached all three apps', String(sum(({ delivered }) => delivered))],
      ['lost', String(lost)],
      ['calls made twice: killed between call and record', String(sum(({ twice }) => twice))],
      ['calls made twice: for no such reason', String(unexplained)],
      ['seconds', sum(({ seconds }) => seconds).toFixed(0)],
    ])}\n`,
  );
  if (lost > 0) console.log('A 204 was lost.');
}
