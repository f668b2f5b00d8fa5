/** What a job throws that nothing foresaw: told in the log and counted, repeated more and more seldom, and kept nowhere. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { DelayedError, Queue, RateLimitError, UnrecoverableError } from 'bullmq';
import { Redis } from 'ioredis';
import { pino, stdSerializers } from 'pino';
import { createAcknowledged } from '../../src/acknowledged.js';
import { createAudit } from '../../src/audit.js';
import { type Connector, ConnectorError } from '../../src/connectors/connector.js';
import { webhook } from '../../src/connectors/webhook.js';
import { createDataKeys, newDataKey } from '../../src/data-key.js';
import { startAlerts } from '../../src/fanout/alert.js';
import { createAttempts } from '../../src/fanout/attempt.js';
import { createEnqueue } from '../../src/fanout/enqueue.js';
import { startEvents } from '../../src/fanout/events.js';
import { type AppJob, appQueue, INTAKE_QUEUE, jobOptions } from '../../src/fanout/job.js';
import { createRevocationRecords } from '../../src/fanout/record.js';
import { tellUnforeseen, type Unforeseen } from '../../src/fanout/unforeseen.js';
import { startWorkers } from '../../src/fanout/worker.js';
import { RetryLater, workerOptions } from '../../src/fanout/worker-options.js';
import { createMetrics } from '../../src/metrics.js';
import { connectForRequests } from '../../src/redis.js';
import { createCalls } from '../support/call.js';
import { eventually } from '../support/eventually.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'unforeseen').toString('base64')}`;
const INTRANET = appQueue('default', 'intranet');
const REPLICAS_AWAY = '0 of the 1 replicas of REDIS_WAIT_REPLICAS had it within 400 ms';

const [mine, theirs] = [
  { ...newDataKey(), id: 'mine' },
  { ...newDataKey(), id: 'theirs' },
];
let prefix: string;
let redis: Redis;
let calls: Awaited<ReturnType<typeof createCalls>>;
let app: TargetApp;
let close: (() => Promise<unknown>)[];

beforeAll(async () => {
  calls = await createCalls();
});
beforeEach(async () => {
  prefix = `spec-${randomUUID().slice(0, 8)}`;
  redis = new Redis(process.env.TEST_REDIS_URL as string, { maxRetriesPerRequest: null });
  app = await startTargetApp();
  close = [];
});
afterEach(async () => {
  for (const one of close) await one();
  await app.close();
  const left = await redis.keys(`${prefix}:*`);
  if (left.length > 0) await redis.del(left);
  redis.disconnect();
});
afterAll(() => calls.close());

const callContext = () => {
  const { publicUrl, signingKeys, send } = calls.call();
  return { publicUrl, signingKeys, send };
};

/** Workers with these keys and one app, what they have logged, and what they have counted. */
function start(keys = [mine], replicas = 0) {
  const lines: string[] = [];
  const metrics = createMetrics();
  const keep = { prefix, retentionMs: 60_000 };
  const connection = connectForRequests({ url: process.env.TEST_REDIS_URL as string });
  const workers = startWorkers({
    ...{ connection: redis, prefix, alerts: undefined, dataKeys: createDataKeys(keys), now: Date.now },
    ...{ closed: async () => {}, records: createRevocationRecords(redis, keep), attempts: createAttempts(redis, keep) },
    ...{ audit: createAudit(redis, { prefix, tenants: ['default'] }), metrics, keepFailedSeconds: 60 },
    logger: pino(
      { level: 'trace', serializers: { error: stdSerializers.err } },
      { write: (line) => void lines.push(line) },
    ),
    handOver: { connection, acknowledged: createAcknowledged(connection, `${prefix}:handed-over`, replicas) },
    callContext: callContext(),
    apps: [
      {
        ...{ tenant: 'default', id: 'intranet', connector: webhook as Connector<unknown>, mode: 'full' },
        options: webhook.options.parse({ url: app.url, secret: SECRET }),
        delivery: {
          ...{ concurrency: 5, timeoutMs: 2_000, retryFor: 60_000, pendingFor: 60_000, priority: 0 },
          breaker: { failureRatio: 1, minimumCalls: 100, window: 60_000, openFor: 1_000 },
        },
      },
    ],
  });
  close.push(async () => {
    await workers.close();
    connection.disconnect();
  });
  return {
    ready: once(connection, 'ready'),
    log: () => lines.join(''),
    threw: () => lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'job.threw'),
    async counted(queue: string) {
      const { values } = await metrics.unforeseenFailures.get();
      return values.find(({ labels }) => labels.queue === queue)?.value ?? 0;
    },
  };
}

/** An accepted revocation of Ada in the intake, sealed with that key, or with none. */
async function accept(keys = [mine]): Promise<string> {
  const enqueue = createEnqueue(redis, prefix, createDataKeys(keys));
  close.push(() => enqueue.close());
  const revocationId = `rev_${randomUUID().replaceAll('-', '')}`;
  await enqueue.add({
    ...{ revocationId, tenant: 'default', trust: 'okta', user: '1', mode: 'full', via: [], acceptedAt: Date.now() },
    accounts: [{ app: 'intranet', account: 'ada@example.com' }],
  });
  return revocationId;
}

const inRedis = (queue: string, id: string) => redis.hgetall(`${prefix}:${queue}:${id}`);

it('a key that the worker lacks: said at once, said once, counted each time; carried out by one that has it', async () => {
  const { threw, counted, log } = start();
  const revocationId = await accept([theirs]);
  await eventually(
    () => counted(INTAKE_QUEUE),
    (count) => count >= 3,
  );
  expect(threw()).toEqual([
    expect.objectContaining({
      ...{ level: 50, queue: INTAKE_QUEUE, revocationId },
      error: expect.objectContaining({
        message: expect.stringContaining('data key "theirs", which this process lacks'),
      }),
    }),
  ]);
  expect(log()).not.toContain('ada@');
  const { stacktrace, failedReason, atm } = await inRedis(INTAKE_QUEUE, revocationId);
  expect([stacktrace, Number(atm) >= 2]).toEqual(['[]', true]);
  expect(failedReason).toContain('theirs');

  const other = start([mine, theirs]);
  await eventually(
    () => app.calls.length,
    (count) => count === 1,
    20_000,
  );
  expect(other.threw()).toEqual([]);
}, 40_000);

it('a key that is lacking for an app: with the queue of that app', async () => {
  const { threw, counted } = start();
  const queue = new Queue<AppJob>(INTRANET, { connection: redis, prefix });
  close.push(() => queue.close());
  const account = createDataKeys([theirs]).seal('ada@example.com', 'default');
  const data = { user: '1', mode: 'full' as const, via: [], acceptedAt: Date.now(), account };
  await queue.add('revoke', data, { ...jobOptions, jobId: 'rev_1' });
  await eventually(
    () => counted(INTRANET),
    (count) => count >= 2,
  );
  expect(threw()).toEqual([expect.objectContaining({ queue: INTRANET, revocationId: 'rev_1' })]);
  expect(await counted(INTAKE_QUEUE)).toBe(0);
});

it('replicas that are away: each hand-over is told of once, grows by nothing, and the app is called all the same', async () => {
  const { threw, counted, ready } = start([mine], 1);
  await ready;
  const ids = [await accept(), await accept()];
  await eventually(
    () => counted(INTAKE_QUEUE),
    (count) => count >= 4,
  );
  const told = threw().map(({ revocationId, error }) => [revocationId, error.message]);
  expect(new Set(told.map(([id]) => id))).toEqual(new Set(ids));
  expect(told.map(([, message]) => message)).toEqual([REPLICAS_AWAY, REPLICAS_AWAY]);
  for (const id of ids) expect(await inRedis(INTAKE_QUEUE, id)).toMatchObject({ stacktrace: '[]' });
  expect(app.calls.length).toBeGreaterThanOrEqual(1);
});

it('a text that is no JSON: nobody is quoted, not in the log and not beside the job', async () => {
  const { threw, log } = start();
  const revocationId = await accept();
  await eventually(
    () => app.calls.length,
    (count) => count === 1,
  );
  const intake = new Queue(INTAKE_QUEUE, { connection: redis, prefix });
  close.push(() => intake.close());
  const data = { revocationId: 'rev_2', tenant: 'default', user: '1', accounts: 'plain.ada@example.com' };
  await intake.add('revocation', data, { ...jobOptions, jobId: 'rev_2' });
  const [{ error }] = (await eventually(threw, ({ length }) => length > 0)) as [{ error: { stack: string } }];
  expect(error).toMatchObject({ type: 'SyntaxError', message: 'a text is no JSON' });
  expect(error.stack).toContain('spread.ts');
  const { failedReason } = await eventually(
    () => inRedis(INTAKE_QUEUE, 'rev_2'),
    (job) => job.failedReason !== undefined,
  );
  expect(failedReason).toBe('a text is no JSON');
  expect(log()).not.toContain('ada@');
  expect(log()).toContain(revocationId);
});

it.each([
  ['is tried again', 503, { retries: true }],
  ['asks for time', 429, { retries: true }],
  ['refuses', 400, { retries: false }],
])('an app that %s is no such thing, and no stack is kept of it', async (_, status, { retries }) => {
  app.answerWith(answer(status));
  const { threw, counted, log } = start();
  const revocationId = await accept();
  await eventually(log, (text) => text.includes('"msg":"attempt.failed"'));
  await eventually(
    () => app.calls.length,
    (count) => count >= (retries ? 2 : 1),
  );
  await delay(200);
  expect([threw(), await counted(INTRANET), await counted(INTAKE_QUEUE)]).toEqual([[], 0, 0]);
  expect((await inRedis(INTRANET, revocationId)).stacktrace ?? '[]').toBe('[]');
});

it('an alert that cannot be sent at all: told to its operators’ log with the job, once', async () => {
  const errors: Error[] = [];
  const alerts = startAlerts({
    ...{ connection: redis, prefix, target: { url: app.url, secret: SECRET }, send: callContext().send, now: Date.now },
    onError: (error) => errors.push(error),
  });
  close.push(() => alerts.stop().then(alerts.close));
  // No date is so late.
  await alerts.raise({ type: 'job.failed', tenant: 'default', app: 'intranet', revocationId: 'rev_1', at: 1e20 });
  const jobId = 'job.failed_default_intranet_rev_1_';
  await eventually(
    () => inRedis('{alerts}', jobId),
    ({ atm }) => Number(atm) >= 2,
  );
  expect(errors.map(({ message, cause }) => [message, (cause as Error).name])).toEqual([
    [`alert: job ${jobId} threw`, 'RangeError'],
  ]);
  expect(app.calls).toEqual([]);
});

it('an event whose person cannot be looked up: told with the job and the receiver, once', async () => {
  const records = createRevocationRecords(redis, { prefix, retentionMs: 60_000 });
  const revocation = { revocationId: 'rev_1', tenant: 'default', trust: 'okta', user: '1', mode: 'full' } as const;
  await records.open({ ...revocation, via: [], acceptedAt: Date.now(), accounts: [] });
  const told: unknown[] = [];
  const receiver = { tenant: 'default', id: 'caep', caep: { url: app.url, audience: 'x', subject: 'email' as const } };
  let asked = 0;
  const events = startEvents({
    ...{ connection: redis, prefix, receivers: [receiver], records, callContext: callContext(), now: Date.now },
    async subjectOf() {
      asked += 1;
      throw new TypeError('the directory is not as it should be');
    },
    onError: (error, { id }) => told.push([error.message, (error.cause as Error).message, id]),
  });
  close.push(() => events.stop().then(events.close));
  await events.closed('default', ['rev_1'], ['completed']);
  await eventually(
    () => asked,
    (count) => count >= 2,
  );
  expect(told).toEqual([
    [
      expect.stringMatching(/^events: job event_rev_1_completed_\d+ threw$/),
      'the directory is not as it should be',
      'caep',
    ],
  ]);
});

describe('of what a job throws', () => {
  async function tell(thrown: unknown, job: Partial<Unforeseen['job']> = {}) {
    const told: Unforeseen[] = [];
    const all = { id: 'rev_1', failedReason: '', attemptsMade: 0, ...job };
    const rejected = await tellUnforeseen(
      () => Promise.reject(thrown),
      (what) => told.push(what),
    )(all).catch((error: unknown) => error);
    return { told, rejected };
  }

  it.each([
    ['RetryLater', new RetryLater(new ConnectorError('server', 'app: answered 503'), 5)],
    ['UnrecoverableError', new UnrecoverableError('no')],
    ['DelayedError', new DelayedError()],
    ['RateLimitError', new RateLimitError()],
  ])('%s is thrown on without a word', async (_, error) => {
    const { told, rejected } = await tell(error);
    expect(told).toEqual([]);
    expect(rejected).toBe(error);
  });

  it.each<[boolean, string, Partial<Unforeseen['job']>]>([
    [true, 'at first', {}],
    [true, 'after something else', { failedReason: 'app: answered 503', attemptsMade: 7 }],
    [false, 'once more', { failedReason: 'no', attemptsMade: 1 }],
    [false, 'still', { failedReason: 'no', attemptsMade: 58 }],
    [true, 'after an hour', { failedReason: 'no', attemptsMade: 59 }],
    [false, 'after more than an hour', { failedReason: 'no', attemptsMade: 60 }],
    [true, 'after two', { failedReason: 'no', attemptsMade: 119 }],
  ])('it is news: %s, where it comes %s', async (news, _, job) => {
    expect(await tell(new Error('no'), job)).toMatchObject({ told: [{ news }] });
  });

  it.each([
    ['undefined', undefined],
    ['string', 'ada@example.com'],
    ['object', { email: 'ada@example.com' }],
  ])('what is no error is one in the end, and quotes nothing [%s]', async (type, thrown) => {
    const { told, rejected } = await tell(thrown);
    expect(rejected).toEqual(new Error(`a ${type} was thrown`));
    expect(told).toHaveLength(1);
  });
});

it('is repeated every second at first, then after twice as long each time, once a minute in the end', () => {
  const { backoffStrategy } = workerOptions(redis, prefix).settings;
  const after = (attempts: number) => backoffStrategy(attempts, 'custom', new Error('no'));
  expect(Array.from({ length: 12 }, (_, index) => after(index + 1))).toEqual(
    [1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1_000),
  );
  expect(after(1_000_000)).toBe(60_000);
  expect(backoffStrategy(9, 'custom', new RetryLater(new Error('no'), 7))).toBe(7);
});
