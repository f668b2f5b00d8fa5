/**
 * Usage: npx tsx bench/latency.ts [--requests 200] [--pause 40]
 * How long from the request to an idle gateway until it reaches an idle app, beside a POST straight to the same app,
 * in turns in one run. Everything but the gateway and Redis is in this process, so that there is one clock.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client } from 'undici';
import { startOkta } from '../spec/support/okta.js';
import { writeFigures } from './support/figure.js';
import { build, createGateway, PATH } from './support/gateway.js';
import { describeMachine } from './support/machine.js';
import { startRedis } from './support/redis.js';
import { type RevocationRequest, signRequests } from './support/requests.js';
import { median, percentile, table } from './support/statistics.js';

const WARM_UP = 1_000;
const CALLED_WITHIN_MS = 10_000;
const TARGET_MS = 5;

const { values: options } = parseArgs({
  options: { requests: { type: 'string', default: '200' }, pause: { type: 'string', default: '40' } },
});
const count = Number(options.requests);
const pauseMs = Number(options.pause);

build();
const redis = await startRedis();
const okta = await startOkta();
const app = await startApp();
const gateway = await createGateway({ okta, apps: [app.url], redisUrl: redis.url });
await gateway.importUsers(WARM_UP + count);
await gateway.start();
const requests = await signRequests(okta, { from: 0, count: WARM_UP + count });
console.log(describeMachine(redis.version));
console.log(`${count} revocations, one every ${2 * pauseMs} ms, and as many direct calls between them`);

const clients = { gateway: new Client(gateway.url), direct: new Client(app.url) };
const times = { direct: [] as number[], through: [] as number[], answered: [] as number[] };
for (const [index, request] of requests.entries()) {
  const warm = index >= WARM_UP;
  if (index % 100 === 0) console.error(warm ? `${index - WARM_UP} of ${count}` : `warming up: ${index} of ${WARM_UP}`);
  const direct = await timeCall(clients.direct, request);
  if (warm) await sleep(pauseMs);
  const through = await timeCall(clients.gateway, request);
  if (warm) await sleep(pauseMs);
  if (!warm) continue;
  times.direct.push(direct.reachedMs);
  times.through.push(through.reachedMs);
  times.answered.push(through.answeredMs);
}

const added = times.through.map((ms, index) => ms - (times.direct[index] ?? Number.NaN));
const rows = [
  row('straight to the app', times.direct),
  row('through the gateway', times.through),
  row('added by the gateway', added),
  row("the gateway's 204", times.answered),
];
console.log(`\n${table([['milliseconds until', 'p50', 'p90', 'p99', 'min'], ...rows])}\n`);
console.log('"Reached" is when the app has the head of the request; the 204 is when the client has the answer.');
console.log(`aim: at most ${TARGET_MS} ms`);
writeFigures('latency', [
  [
    'request sent to first byte at an idle app, beside calling the app directly',
    `${median(added).toFixed(1)} ms more at the median`,
  ],
]);
process.exit();

/** Milliseconds until the app was reached, and until the client had its answer. */
async function timeCall(client: Client, { jwt, body }: RevocationRequest) {
  const reached = app.nextCall();
  const sentAt = performance.now();
  const response = await client.request({
    path: PATH,
    method: 'POST',
    headers: { authorization: `Bearer ${jwt}`, 'content-type': 'application/json' },
    body,
  });
  const answeredMs = performance.now() - sentAt;
  await response.body.dump();
  if (response.statusCode !== 204) throw new Error(`answered ${response.statusCode}`);
  return { reachedMs: (await reached) - sentAt, answeredMs };
}

/** An app that notes when each call arrives. */
async function startApp() {
  let arrived = (_at: number): void => {};
  const server = createServer((req: IncomingMessage, res) => {
    arrived(performance.now());
    req.resume().on('end', () => res.writeHead(204).end());
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    nextCall: () =>
      new Promise<number>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('the app was not called')), CALLED_WITHIN_MS);
        arrived = (at) => {
          clearTimeout(timer);
          resolve(at);
        };
      }),
  };
}

function row(name: string, values: readonly number[]): string[] {
  const sorted = values.toSorted((a, b) => a - b);
  return [name, ...[0.5, 0.9, 0.99, 0].map((part) => percentile(sorted, part).toFixed(2))];
}
