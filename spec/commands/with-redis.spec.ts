/** Commands whose Redis is away, silent, a replica, full, or refuses them: one sentence each, soon, and without a password. */
import { setTimeout as delay } from 'node:timers/promises';
import { createDirectory } from '../../src/directory/directory.js';
import { createFolder, startCommand } from '../support/command.js';
import { SECRET } from '../support/endpoint.js';
import { eventually } from '../support/eventually.js';
import { type OwnRedis, startOwnRedis } from '../support/own-redis.js';
import { startWire } from '../support/wire.js';

const RUN_MS = 90_000;
const ENDS_WITHIN_MS = 40_000;
const PASSWORD = 's3cret-of-the-specs';

const COMMANDS = [
  ['users', 'show', 'ada'],
  ['users', 'check'],
  ['users', 'import', '-'],
  ['users', 'add', '--user-name', 'ada'],
  ['revoke', '--all', '--dry-run'],
  ['audit', 'export'],
  ['data-key', 'rotate'],
];
const DATA_KEY = `k1:${Buffer.alloc(32, 'key').toString('base64')}`;

const apps = [{ id: 'wiki', connector: 'webhook', options: { url: 'https://127.0.0.1:1', secret: SECRET } }];
const folder = createFolder({ tenants: [{ id: 'default', apps }] });

let own: OwnRedis;
beforeAll(async () => {
  own = await startOwnRedis();
});
afterEach(async () => {
  await own.admin.replicaof('NO', 'ONE');
  await own.set('maxmemory', '0');
  await own.set('requirepass', '');
});
afterAll(() => own.close());

const options = (url: string, input = '{"userName":"ada"}\n') => ({
  folder,
  env: { REDIS_URL: url, DATA_KEY, NODE_OPTIONS: '--no-warnings' },
  input,
});

/** One that does not end by itself is ended, and its code is null. */
async function run(args: string[], url: string) {
  const command = startCommand(args, options(url));
  const timer = setTimeout(() => command.kill('SIGKILL'), ENDS_WITHIN_MS);
  const { code } = await command.ended;
  clearTimeout(timer);
  return { args, code, ...command.output };
}

const runAll = (url: string) => Promise.all(COMMANDS.map((args) => run(args, url)));

const ending = (args: string[], stderr: string) => ({ args, code: 1, stdout: '', stderr });

it(
  'wait ten seconds for a Redis that is away, say so once, and end',
  async () => {
    const why = 'connect ECONNREFUSED 127.0.0.1:1';
    const sentences = `Redis: ${why}; trying again\nRedis at REDIS_URL does not answer: ${why}.\n`;
    const startedAt = Date.now();
    expect(await runAll(`redis://ada:${PASSWORD}@127.0.0.1:1`)).toEqual(
      COMMANDS.map((args) => ending(args, sentences)),
    );
    expect(Date.now() - startedAt).toBeGreaterThan(10_000);
  },
  RUN_MS,
);

it(
  'say the same of Sentinels, of a Cluster, of a name that leads nowhere, and of one that takes the connection and is silent',
  async () => {
    const wire = await startWire(own.port);
    wire.stall();
    const urls = ['redis+sentinel://127.0.0.1:1/main', 'redis+cluster://127.0.0.1:1', 'redis://127.0.0.1.invalid'];
    const ends = await Promise.all([...urls, wire.url].map((url) => run(['users', 'show', 'ada'], url)));
    await wire.close();
    const reasons = [
      /^All sentinels are unreachable\. Last error: Connection is closed$/,
      /^(connect ECONNREFUSED 127\.0\.0\.1:1|Connection is closed)$/,
      /^getaddrinfo \w+ 127\.0\.0\.1\.invalid$/,
    ];
    const told = ends.map(({ stderr }) => {
      const [, first, last] =
        /^(?:Redis: (.*); trying again\n)?Redis at REDIS_URL does not answer: (.*)\.\n$/.exec(stderr) ?? [];
      return [first, last];
    });
    expect(told).toEqual([
      ...reasons.map((reason) => [expect.stringMatching(reason), expect.stringMatching(reason)]),
      [undefined, 'it is silent'],
    ]);
    expect(ends.map(({ code }) => code)).toEqual([1, 1, 1, 1]);
  },
  RUN_MS,
);

it(
  'read from a replica, and write once it has become the master',
  async () => {
    await own.admin.replicaof('127.0.0.1', 1);
    expect(await run(['users', 'show', 'ada'], own.url)).toMatchObject({
      stderr: 'No user of tenant default is known by that name.\n',
    });
    const adding = startCommand(['users', 'add', '--user-name', 'grace'], options(own.url));
    await eventually(
      () => adding.output.stderr,
      (stderr) => stderr === 'Redis: it is a replica, which takes no writes; waiting for it to become the master\n',
    );
    await delay(1_000);
    await own.admin.replicaof('NO', 'ONE');
    expect(await adding.ended).toMatchObject({ code: 0 });
    expect(adding.output.stdout).toMatch(/^Added user \d+ in tenant default\.\n$/);
  },
  RUN_MS,
);

it(
  'end where it stays a replica',
  async () => {
    await own.admin.replicaof('127.0.0.1', 1);
    const ended = await run(['users', 'add', '--user-name', 'ada'], own.url);
    const sentences = [
      'Redis: it is a replica, which takes no writes; waiting for it to become the master',
      'Redis at REDIS_URL is a replica, which takes no writes (READONLY): name its master.',
    ];
    expect(ended).toEqual(ending(ended.args, `${sentences.join('\n')}\n`));
  },
  RUN_MS,
);

it.each<[string, (port: number) => string, string]>([
  [
    'no password',
    (port) => `redis://127.0.0.1:${port}`,
    'asks for a password (NOAUTH): write one into the address, as in redis://user:password@host:6379.',
  ],
  [
    'a wrong password',
    (port) => `redis://:not-${PASSWORD}@127.0.0.1:${port}`,
    'does not know this user name with this password (WRONGPASS): mend them in the address.',
  ],
  [
    'a database that there is not',
    (port) => `redis://:${PASSWORD}@127.0.0.1:${port}/99`,
    'refuses: ERR DB index is out of range.',
  ],
])(
  'say at once what is refused: %s',
  async (_, urlOf, sentence) => {
    await own.set('requirepass', PASSWORD);
    const ends = await runAll(urlOf(own.port));
    await own.admin.auth(PASSWORD);
    expect(ends).toEqual(COMMANDS.map((args) => ending(args, `Redis at REDIS_URL ${sentence}\n`)));
  },
  RUN_MS,
);

it(
  'say that Redis is full, in a script and in a transaction',
  async () => {
    const { users } = createDirectory(own.admin, 'ul', { graceMs: 60_000, now: Date.now });
    await users.create('default', { userName: 'lin', active: true, emails: [{ value: 'lin@example.com' }] });
    await own.set('maxmemory', '1');
    const full = 'Redis at REDIS_URL has no memory left (OOM): raise its maxmemory, then run this again.\n';
    for (const args of [
      ['users', 'add', '--user-name', 'kay'],
      ['revoke', '--all', '--yes'],
    ]) {
      expect(await run(args, own.url)).toEqual(ending(args, full));
    }
  },
  RUN_MS,
);

it(
  'outlive a Redis that goes away amid a long one',
  async () => {
    const count = 6_000;
    const people = Array.from({ length: count }, (_, index) => `{"userName":"user-${index}"}\n`).join('');
    await own.admin.flushall();
    const importing = startCommand(['users', 'import', '-'], options(own.url, people));
    await eventually(
      () => own.admin.hlen('ul:{default}:users-by-userName'),
      (added) => added > 200,
      20_000,
    );
    await own.kill();
    await delay(13_000);
    await own.start();
    expect(await importing.ended).toMatchObject({ code: 0 });
    expect(importing.output.stdout).toMatch(/ 0 bad lines in tenant default/);
    // The end of the connection, and that there is no other, once each.
    const told = importing.output.stderr.match(/^.*trying again$/gm) ?? [];
    expect(told.length).toBeGreaterThan(0);
    expect(told).toEqual([...new Set(told)]);
    expect(await own.admin.hlen('ul:{default}:users-by-userName')).toBe(count);
  },
  RUN_MS,
);
