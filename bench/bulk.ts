/**
 * Usage: npx tsx bench/bulk.ts [--people 100000] [--apps 10] [--singles 30] [--concurrency 20] [--split]
 * A bulk revocation of so many people, and in the middle of it one person's logout after the other: from the 204 to the
 * call of the last app, beside the same while the gateway is idle. With --split receiving and carrying out are processes
 * of their own.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { startOkta } from '../spec/support/okta.js';
import { temporaryDirectory } from './support/children.js';
import { writeFigures } from './support/figure.js';
import { build, createGateway, emailOf, PATH } from './support/gateway.js';
import { describeMachine } from './support/machine.js';
import { startRedis } from './support/redis.js';
import { type RevocationRequest, signRequests } from './support/requests.js';
import { median, table } from './support/statistics.js';

const TARGET = 2;
const WARM_UP = 20;
const BETWEEN_MS = 300;
const REACHED_WITHIN_MS = 60_000;

const { values: options } = parseArgs({
  options: {
    people: { type: 'string', default: '100000' },
    apps: { type: 'string', default: '10' },
    singles: { type: 'string', default: '30' },
    concurrency: { type: 'string', default: '20' },
    split: { type: 'boolean', default: false },
  },
});
const people = Number(options.people);
const appCount = Number(options.apps);
const singles = Number(options.singles);

build();
const okta = await startOkta();
const redis = await startRedis();
console.log(describeMachine(redis.version));
const apps = await startApps();
const delivery = { concurrency: Number(options.concurrency) };
const more = { okta, redisUrl: redis.url, apps: apps.urls.map((url) => ({ url, delivery })) };
const gateway = await createGateway({ ...more, ...(options.split && { role: 'api' as const }) });
// The first ones are the bulk's; nobody of them is logged out singly.
console.error(`loading ${people} people`);
await gateway.importUsers(people + WARM_UP + 2 * singles);
await gateway.start();
if (options.split) await (await createGateway({ ...more, role: 'worker' })).start();
const pool = new Pool(gateway.url);
let next = people;

for (let count = 0; count < WARM_UP; count += 1) await logOutOne();
const idle: number[] = [];
for (let count = 0; count < singles; count += 1) idle.push(await logOutOne());

const file = join(temporaryDirectory(), 'people.txt');
writeFileSync(file, Array.from({ length: people }, (_, index) => `${emailOf(index)}\n`).join(''));
const startedAt = performance.now();
const command = gateway.command(['revoke', '--file', file, '--yes']);
const ended = once(command, 'exit').then(([code]) => {
  if (code !== 0) throw new Error(`revoke ended with ${code}`);
  return (performance.now() - startedAt) / 1_000;
});
const total = people * appCount;
while (apps.calls() === 0) await sleep(20);
const firstCallAt = performance.now();
while (apps.calls() < total / 10) await sleep(20);
const beside: { took: number; waiting: number }[] = [];
// As evenly over the whole as can be known before.
const every = Math.max(BETWEEN_MS, ((performance.now() - firstCallAt) * 7) / singles);
while (beside.length < singles && apps.calls() < total * 0.95) {
  const took = await logOutOne();
  beside.push({ took, waiting: total - apps.calls() });
  await sleep(Math.max(0, every - took));
}
const acceptedAfter = await ended;
while (apps.calls() < total) await sleep(100);
const doneAfter = (performance.now() - startedAt) / 1_000;

console.log(
  `${people} people × ${appCount} apps, ${options.split ? 'two processes' : 'one process'}, ${options.concurrency} calls at once an app: ` +
    `accepted after ${acceptedAfter.toFixed(0)} s, ${total} calls made after ${doneAfter.toFixed(0)} s`,
);
const times = beside.map(({ took }) => took);
const row = (name: string, values: readonly number[]) => [
  name,
  String(values.length),
  median(values).toFixed(1),
  Math.max(...values).toFixed(1),
];
console.log(
  `\n${table([
    [`from 204 to the last of ${appCount} apps, ms`, 'logouts', 'median', 'worst'],
    row('idle', idle),
    row('amid the bulk', times),
  ])}\n`,
);
console.log(`calls still to be made at the first ${beside[0]?.waiting}, at the last ${beside.at(-1)?.waiting}`);
console.log(
  `ratio of the medians ${(median(times) / median(idle)).toFixed(2)}, of the worst ${(Math.max(...times) / Math.max(...idle)).toFixed(2)}, aim ${TARGET}`,
);
writeFigures('bulk', [
  [
    `a single logout, 204 to the last of ${appCount} apps, amid a bulk one of ${people} people, beside idle`,
    `${(median(times) / median(idle)).toFixed(1)} times at the median`,
  ],
]);
process.exit(0);

/** Milliseconds from the 204 to the call of the last app. */
async function logOutOne(): Promise<number> {
  const account = emailOf(next);
  const [{ jwt, body }] = (await signRequests(okta, { from: next, count: 1 })) as [RevocationRequest];
  next += 1;
  const reached = apps.reached(account);
  const headers = { authorization: `Bearer ${jwt}`, 'content-type': 'application/json' };
  const response = await pool.request({ path: PATH, method: 'POST', headers, body });
  const answeredAt = performance.now();
  await response.body.dump();
  if (response.statusCode !== 204) throw new Error(`answered ${response.statusCode}`);
  const late = sleep(REACHED_WITHIN_MS, undefined, { ref: false }).then(() => {
    throw new Error(`${account} was not at every app within ${REACHED_WITHIN_MS / 1_000} s`);
  });
  return Math.max(0, (await Promise.race([reached, late])) - answeredAt);
}

/** They answer 204 at once, and tell when each of them was told of an account. */
async function startApps() {
  const missing = new Map<string, { left: number; done: (at: number) => void }>();
  let calls = 0;

  async function start(): Promise<string> {
    const server = createServer(async (req, res) => {
      const at = performance.now();
      let body = '';
      for await (const chunk of req) body += chunk;
      res.writeHead(204).end();
      const { account } = (JSON.parse(body) as { data: { account: string } }).data;
      const single = missing.get(account);
      if (!single) {
        calls += 1;
        return;
      }
      single.left -= 1;
      if (single.left === 0) single.done(at);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  return {
    urls: await Promise.all(Array.from({ length: appCount }, start)),
    /** Of the bulk's. */
    calls: () => calls,
    reached: (account: string): Promise<number> =>
      new Promise((done) => {
        missing.set(account, { left: appCount, done });
      }),
  };
}
