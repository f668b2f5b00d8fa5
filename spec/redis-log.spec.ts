/** What a process says of its Redis in the log: what is wrong, once, and that it is well again; and that it is too old. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { createFolder, type RunningCommand, startCommand } from './support/command.js';
import { eventually } from './support/eventually.js';
import { type OwnRedis, startOwnRedis } from './support/own-redis.js';
import { startWire } from './support/wire.js';

const SETTINGS = {
  tenants: [
    {
      id: 'default',
      apps: [
        {
          id: 'intranet',
          connector: 'webhook',
          options: { url: 'https://intranet.example.com', secret: `whsec_${Buffer.alloc(24).toString('base64')}` },
        },
      ],
    },
  ],
};
const PASSWORD = 'right-one';
const WRONG = 'wr0ng-one';

let redis: OwnRedis;
const running: RunningCommand[] = [];

beforeEach(async () => {
  redis = await startOwnRedis();
});
afterEach(async () => {
  for (const command of running.splice(0)) await command.stop();
  await redis.close();
});

function serve(role: string, url: string) {
  const env = { REDIS_URL: url, PORT: '0', LOG_LEVEL: 'info' };
  const command = startCommand(['serve', '--role', role], { folder: createFolder(SETTINGS), env });
  running.push(command);
  return command;
}

/** The lines about Redis so far. */
const linesOf = ({ output }: RunningCommand) =>
  output.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { level: number; msg: string; problem?: string })
    .filter(({ msg }) => msg !== 'listening' && !msg.startsWith('job data in Redis'))
    .map(({ level, msg, problem }) => ({ level, msg, problem }));

const WRONGPASS = { level: 40, msg: 'redis.troubled', problem: expect.stringMatching(/^WRONGPASS /) };

it.each([['api'], ['worker']])(
  'a wrong password is told once, and when it is right again [%s]',
  async (role) => {
    await redis.set('requirepass', PASSWORD);
    const command = serve(role, `redis://:${WRONG}@127.0.0.1:${redis.port}`);
    await eventually(
      () => linesOf(command),
      ({ length }) => length > 0,
      15_000,
    );
    // Many tries.
    await delay(3_000);
    expect(linesOf(command)).toEqual([WRONGPASS]);
    expect(command.output.stdout + command.output.stderr).not.toContain(WRONG);
    await redis.set('requirepass', WRONG);
    await eventually(
      () => linesOf(command).at(-1)?.msg,
      (msg) => msg === 'redis.well',
    );
    expect(linesOf(command)).toEqual([WRONGPASS, { level: 40, msg: 'redis.well', problem: undefined }]);
  },
  40_000,
);

it('another trouble is told too, and one that comes back after all was well', async () => {
  const command = serve('api', redis.url);
  await command.listening();
  expect(linesOf(command)).toEqual([]);
  const told = () => linesOf(command).map(({ msg, problem }) => (problem ?? msg).replace(/[^A-Za-z]*\d.*$/, ''));
  for (const times of [1, 2]) {
    await redis.kill();
    await eventually(told, (lines) => lines.filter((line) => line === 'connect ECONNREFUSED').length === times);
    await redis.start();
    await eventually(told, (lines) => lines.filter((line) => line === 'redis.well').length === times);
  }
}, 40_000);

it('a Redis that is too old is told at the start, in one sentence', async () => {
  const wire = await startWire(redis.port);
  wire.answerAs((bytes) => bytes.replace(/redis_version:\d\.\d\.\d\d/, 'redis_version:6.0.16'));
  const command = serve('api', wire.url);
  try {
    await eventually(
      () => linesOf(command),
      ({ length }) => length > 0,
      15_000,
    );
    expect(linesOf(command)).toEqual([
      {
        level: 50,
        msg: 'redis.too_old',
        problem: 'Redis 6.0.16 is too old: no revocation is accepted until it is Redis or Valkey 7 or later',
      },
    ]);
  } finally {
    await command.stop();
    await wire.close();
  }
}, 40_000);
