/**
 * Usage: npx tsx bench/directory.ts [--users 1000000] [--groups 10000] [--rounds 5] [--quick]
 * A directory of a million users beside one of a thousand in the same Redis: bytes of Redis a user, how long a subject
 * identifier of each format takes in either, SCIM creates a second beside bare SETs, and the gateway's own memory.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { startOkta } from '../spec/support/okta.js';
import { startTargetApp } from '../spec/support/target-app.js';
import { createDirectory } from '../src/directory/directory.js';
import { startBaseline } from './support/baseline.js';
import { residentBytes } from './support/children.js';
import { writeFigures } from './support/figure.js';
import { AUDIENCE, build, createGateway, SCIM_TOKEN } from './support/gateway.js';
import { startLoad } from './support/load.js';
import { describeMachine } from './support/machine.js';
import * as people from './support/people.js';
import { startRedis } from './support/redis.js';
import { measureResolution } from './support/resolution.js';
import { median, table } from './support/statistics.js';

const SMALL = 1_000;
const QUICK = 50_000;
const CREATES = 2_000;
const CONNECTIONS = 50;
const RATIO_TARGET = 1.3;
const IDLE_MS = 2_000;

const { values: options } = parseArgs({
  options: {
    users: { type: 'string' },
    groups: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
  },
});
const userCount = Number(options.users ?? (options.quick ? QUICK : 1_000_000));
const groupCount = Math.min(Number(options.groups), userCount / 10);
const rounds = Number(options.rounds);
const grace = { graceMs: 30 * 86_400_000, now: Date.now };

build();
const redis = await startRedis({ fsync: 'everysec', rewrite: false });
const [okta, app] = [await startOkta(), await startTargetApp()];
console.log(describeMachine(redis.version));
console.log(`${say(userCount)} users and ${say(groupCount)} groups, beside ${say(SMALL)} users\n`);
const admin = new Redis(redis.url, { enableAutoPipelining: true });
const small = createDirectory(admin, 'small', grace);
const big = createDirectory(admin, 'ul', grace);
await people.createGroups(small, await people.createUsers(small, SMALL, () => {}), SMALL / 100, () => {});

const gateway = await createGateway({ okta, apps: [app.url], redisUrl: redis.url, role: 'api' });
await gateway.start();
const { jwk } = okta.key;
const baseline = await startBaseline({ jwk, issuer: okta.issuer, audience: AUDIENCE, redisUrl: redis.url });
const creates = await startLoad(
  Array.from({ length: 3 * (rounds + 1) * CREATES }, (_, index) => ({ jwt: SCIM_TOKEN, body: scimBody(index) })),
);

// The same work thrice, so that what the work itself leaves in the gateway's memory is told from what the load does.
const resident: number[] = [];
await measureCreates(0);
resident.push(await residentAtRest());
const before = await measureCreates((rounds + 1) * CREATES);
resident.push(await residentAtRest());
const bytesPerUser = await load();
resident.push(await residentAtRest());
const after = await measureCreates(2 * (rounds + 1) * CREATES);
resident.push(await residentAtRest());
console.log(`\n${createTable()}\n`);
const [first, second, loaded, last] = resident.map((bytes) => `${(bytes / 2 ** 20).toFixed(0)} MB`);
console.log(
  `The gateway's own memory after some creates, and as many more: ${first}, ${second}. ` +
    `After ${say(userCount)} users were loaded: ${loaded}. After as many creates again: ${last}.\n`,
);
const sizes = [
  { prefix: 'small', count: SMALL },
  { prefix: 'ul', count: userCount },
];
const resolution = await measureResolution({ redisUrl: redis.url, sizes, rounds, onBegin: progress });
progress('');
console.log(resolution.text);
const worst = Math.max(...resolution.ratios);
console.log(`\nThe worst ratio of the p99s: ${worst.toFixed(2)} (aim: at most ${RATIO_TARGET}).`);
if (!options.quick) {
  writeFigures('directory', [
    [
      `resolution among ${say(userCount)} users beside ${say(SMALL)}: p99 of the worst format`,
      `${worst.toFixed(2)} times`,
    ],
    ['Redis memory a user, indexes included', `${(bytesPerUser / 1_000).toFixed(1)} kB`],
  ]);
}
process.exit();

/** Users, then groups, through the directory's own functions, with many in flight. Answers the bytes of Redis a user. */
async function load(): Promise<number> {
  const empty = await usedBytes();
  let startedAt = performance.now();
  const ids = await people.createUsers(big, userCount, (done) => progress(`${say(done)} users`));
  const users = { seconds: (performance.now() - startedAt) / 1_000, bytes: (await usedBytes()) - empty };
  startedAt = performance.now();
  await people.createGroups(big, ids, groupCount, (done) => progress(`${say(done)} groups`));
  const groups = { seconds: (performance.now() - startedAt) / 1_000, bytes: (await usedBytes()) - empty - users.bytes };
  progress('');
  const row = (name: string, { seconds, bytes }: typeof users) => [
    name,
    seconds.toFixed(0),
    say(userCount / seconds),
    say(bytes / userCount),
  ];
  const head = ['loaded', 'seconds', 'users/s', 'bytes of Redis a user'];
  const rows = [row('users with their indexes', users), row('groups, three for each user', groups)];
  console.log(`\n${table([head, ...rows])}\n`);
  console.log(await breakdown(ids));
  return users.bytes / userCount;
}

/** What Redis itself says of each key. */
async function breakdown(ids: readonly string[]): Promise<string> {
  const of = (name: string) => admin.memory('USAGE', `ul:{${people.TENANT}}:${name}`, 'SAMPLES', 2_000);
  const shared = [
    'users',
    'users-by-userName',
    'users-by-externalId',
    'users-by-email',
    'users-by-phone',
    'user-order',
  ];
  const stored = await big.users.count(people.TENANT);
  const rows = await Promise.all(shared.map(async (name) => [name, say(Number(await of(name)) / stored)]));
  const own = await Promise.all(ids.slice(0, 500).map((id) => of(`groups-of:${id}`)));
  return table([['key', 'bytes a user'], ...rows, ['groups-of:…', say(median(own.map(Number)))]]);
}

type Rates = { set: number; express: number; scim: number };

/** In turns: bare SETs, Express with one SET, and the gateway's SCIM, each with the same bodies. */
async function measureCreates(from: number): Promise<Rates[]> {
  // The embedded Redis of a gateway writes like this.
  await admin.config('SET', 'appendfsync', 'always');
  const results: Rates[] = [];
  for (let round = 0; round <= rounds; round++) {
    const start = from + round * CREATES;
    const rates = {
      set: await measureSets(start),
      express: await measureLoad(baseline.url, '/set', start),
      scim: await measureLoad(gateway.url, '/scim/v2/Users', start),
    };
    progress(`round ${round}: ${say(rates.scim)} creates/s`);
    if (round > 0) results.push(rates);
  }
  await admin.config('SET', 'appendfsync', 'everysec');
  return results;
}

async function measureSets(from: number): Promise<number> {
  const plain = new Redis(redis.url);
  const startedAt = performance.now();
  const set = async (index: number) => void (await plain.set(`bare:${from + index}`, scimBody(from + index)));
  await people.inFlight(CREATES, set, CONNECTIONS);
  const rate = CREATES / ((performance.now() - startedAt) / 1_000);
  plain.disconnect();
  return rate;
}

async function measureLoad(url: string, path: string, from: number): Promise<number> {
  const { statuses, seconds } = await creates.run({ url, path, from, count: CREATES, connections: CONNECTIONS });
  if (statuses[201] !== CREATES) throw new Error(`${path} answered ${JSON.stringify(statuses)}`);
  return CREATES / seconds;
}

function createTable(): string {
  const row = (name: string, pick: (rates: Rates) => number) => [
    name,
    ...[before, after].flatMap((results) => [
      say(median(results.map(pick))),
      median(results.map((rates) => pick(rates) / rates.set)).toFixed(3),
    ]),
  ];
  const full = `at ${say(userCount)}`;
  return table([
    ['of the same bodies', 'a second, empty', 'ratio', `a second, ${full}`, 'ratio'],
    row('bare SET', ({ set }) => set),
    row('Express, JSON and one SET', ({ express }) => express),
    row('SCIM create', ({ scim }) => scim),
  ]);
}

async function residentAtRest(): Promise<number> {
  await sleep(IDLE_MS);
  return residentBytes(gateway.pid());
}

function scimBody(index: number): string {
  const own = people.person(userCount + index);
  return JSON.stringify({ schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], ...own });
}

async function usedBytes(): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await admin.info('memory'))?.[1]);
}

function say(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}
