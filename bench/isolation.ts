/**
 * Usage: npx tsx bench/isolation.ts [--rounds 3] [--seconds 15] [--rate 20]
 * From a revocation's 204 to the call of nine healthy apps while a tenth hangs for 30 s each call, beside the same load
 * with a tenth that is healthy, in turns.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { startOkta } from '../spec/support/okta.js';
import { writeFigures } from './support/figure.js';
import { build, createGateway, emailOf, PATH } from './support/gateway.js';
import { describeMachine } from './support/machine.js';
import { startRedis } from './support/redis.js';
import { signRequests } from './support/requests.js';
import { median, percentile, table } from './support/statistics.js';

const APPS = 10;
const HANG_MS = 30_000;
const TARGET = 1.2;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '15' },
    rate: { type: 'string', default: '20' },
  },
});
const rounds = Number(options.rounds);
const rate = Number(options.rate);
const count = Number(options.seconds) * rate;
// The first ones meet code that has not run yet.
const warmUp = 3 * rate;

build();
const okta = await startOkta();
const results = { beside: [] as number[][], alone: [] as number[][] };
for (let round = 0; round < rounds; round += 1) {
  // In turns, and every second time the other way round.
  const order = round % 2 === 0 ? (['alone', 'beside'] as const) : (['beside', 'alone'] as const);
  for (const kind of order) {
    const times = await run(kind === 'beside');
    results[kind].push(times);
    console.error(
      `round ${round + 1}, ${kind}: median ${median(times).toFixed(1)} ms, p99 ${p99(times).toFixed(1)} ms`,
    );
  }
}
const all = { alone: results.alone.flat(), beside: results.beside.flat() };
const row = (name: string, times: readonly number[]) => [name, median(times).toFixed(1), p99(times).toFixed(1)];
console.log(
  `\n${table([
    ['from 204 to the call of nine healthy apps, ms', 'median', 'p99'],
    row('the tenth is healthy', all.alone),
    row(`the tenth hangs for ${HANG_MS / 1000} s each call`, all.beside),
  ])}\n`,
);
const ratios = results.beside.map((times, index) => p99(times) / p99(results.alone[index] ?? []));
const [low, high] = [Math.min(...ratios), Math.max(...ratios)];
console.log(`aim ${TARGET}`);
const ratio = `${median(ratios).toFixed(2)} (${low.toFixed(2)} – ${high.toFixed(2)} by round)`;
writeFigures('isolation', [
  ['p99 from 204 to the calls of nine apps while a tenth hangs for 30 s each call, beside a healthy tenth', ratio],
]);
process.exit(0);

function p99(times: readonly number[]): number {
  return percentile(
    times.toSorted((a, b) => a - b),
    0.99,
  );
}

/** Milliseconds for each call of the nine. */
async function run(tenthHangs: boolean): Promise<number[]> {
  const redis = await startRedis();
  if (results.alone.length + results.beside.length === 0) {
    console.log(describeMachine(redis.version));
    console.log(`${rounds} rounds of ${count} revocations, ${rate} a second, ${APPS} apps`);
  }
  const accepted = new Map<string, number>();
  const times: number[] = [];
  const arrived = (account: string, at: number) => times.push(Math.max(0, at - (accepted.get(account) ?? at)));
  const calls: [string, number][] = [];
  const apps = await Promise.all(
    Array.from({ length: APPS }, (_, index) =>
      startApp(
        (account) => index < APPS - 1 && calls.push([account, performance.now()]),
        tenthHangs && index === APPS - 1,
      ),
    ),
  );
  const gateway = await createGateway({
    ...{ okta, redisUrl: redis.url },
    apps: apps.map(({ url }) => ({ url, delivery: { timeoutMs: HANG_MS } })),
  });
  await gateway.importUsers(warmUp + count);
  await gateway.start();
  const requests = await signRequests(okta, { from: 0, count: warmUp + count });
  const pool = new Pool(gateway.url, { connections: 10 });
  const startedAt = performance.now();
  await Promise.all(
    requests.map(async ({ jwt, body }, index) => {
      await sleep(Math.max(0, startedAt + (index * 1_000) / rate - performance.now()));
      const headers = { authorization: `Bearer ${jwt}`, 'content-type': 'application/json' };
      const response = await pool.request({ path: PATH, method: 'POST', headers, body });
      if (response.statusCode !== 204) throw new Error(`answered ${response.statusCode}`);
      accepted.set(emailOf(index), performance.now());
      await response.body.dump();
    }),
  );
  while (calls.length < (warmUp + count) * (APPS - 1)) await sleep(20);
  const warm = new Set(Array.from({ length: warmUp }, (_, index) => emailOf(index)));
  for (const [account, at] of calls) if (!warm.has(account)) arrived(account, at);
  await pool.destroy();
  await gateway.kill();
  for (const app of apps) app.close();
  await redis.stop();
  return times;
}

async function startApp(onCall: (account: string) => unknown, hangs: boolean) {
  const server = createServer(async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    onCall((JSON.parse(body) as { data: { account: string } }).data.account);
    if (hangs) await sleep(HANG_MS, undefined, { ref: false });
    res.writeHead(204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
