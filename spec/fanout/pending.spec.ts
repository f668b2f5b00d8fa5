/** An app whose logout is itself a job: asked again until it is done, also by another worker, and not for ever. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { createAudit } from '../../src/audit.js';
import { anyName } from '../../src/connectors/account.js';
import { type Connector, defineConnector } from '../../src/connectors/connector.js';
import { request } from '../../src/connectors/request.js';
import { createDataKeys } from '../../src/data-key.js';
import { createAttempts } from '../../src/fanout/attempt.js';
import { createEnqueue } from '../../src/fanout/enqueue.js';
import { createRevocationRecords, type RevocationRecord } from '../../src/fanout/record.js';
import { startWorkers } from '../../src/fanout/worker.js';
import { createLogger } from '../../src/logger.js';
import { createMetrics } from '../../src/metrics.js';
import { createCalls } from '../support/call.js';
import { eventually } from '../support/eventually.js';
import { startTargetApp, type TargetApp } from '../support/target-app.js';

/** Begins with POST, which answers the number of a job; GET of that answers 202 for as long as it runs. */
const slowly = defineConnector({
  name: 'slowly',
  options: z.strictObject({ url: z.url() }),
  account: anyName,
  modes: ['full'],
  docs: {
    ...{
      app: 'Slow',
      coverage: 'full',
      does: 'It begins.',
      ends: ['sessions'],
      livesOn: 'Nothing.',
      lingers: 'A while.',
    },
    ...{ permission: 'None.', credential: ['None.'], rateLimit: 'None.' },
    sources: ['https://www.rfc-editor.org/rfc/rfc9110#status.202'],
  },
  async revoke(account, { url }, call) {
    const body = JSON.stringify({ account });
    const { body: job } = await request('slowly: POST', url, { method: 'POST', body }, call);
    return { pending: { poll: { job: String(job), account }, afterMs: 1 } };
  },
  async poll(poll, { url }, call) {
    const { job } = poll as { job: string };
    const { status } = await request('slowly: GET', `${url}/${job}`, { method: 'GET' }, call);
    if (status === 202) return { pending: { poll, afterMs: 1 } };
    return { state: 'revoked', what: ['sessions'], verified: true, removed: [{ seat: 'crm', role: 'owner' }] };
  },
  check: async () => ({ ok: true, detail: 'nothing to ask' }),
});

const keys = createDataKeys([{ id: 'spec', key: Buffer.alloc(32, 1) }]);
const open: { close(): Promise<unknown> }[] = [];
let prefix: string;
let app: TargetApp;
let redis: Redis;
let calls: Awaited<ReturnType<typeof createCalls>>;

beforeAll(async () => {
  calls = await createCalls();
});
beforeEach(async () => {
  prefix = `spec-${randomUUID().slice(0, 8)}`;
  app = await startTargetApp();
  redis = new Redis(process.env.TEST_REDIS_URL as string, { maxRetriesPerRequest: null });
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  const left = await redis.keys(`${prefix}:*`);
  if (left.length > 0) await redis.del(left);
  redis.disconnect();
  await app.close();
});
afterAll(() => calls.close());

const keep = () => ({ prefix, retentionMs: 60_000 });

function startWorker(delivery: { pendingFor?: number; retryFor?: number } = {}, connector = slowly) {
  const { publicUrl, signingKeys, send } = calls.call();
  const workers = startWorkers({
    ...{ connection: redis, prefix, alerts: undefined, dataKeys: keys, now: Date.now, keepFailedSeconds: 60 },
    closed: async () => {},
    records: createRevocationRecords(redis, keep()),
    attempts: createAttempts(redis, keep()),
    audit: createAudit(redis, { prefix, tenants: ['default'] }),
    metrics: createMetrics(),
    logger: createLogger('silent'),
    callContext: { publicUrl, signingKeys, send },
    apps: [
      {
        ...{ tenant: 'default', id: 'crm', connector: connector as Connector<unknown>, options: { url: app.url } },
        mode: 'full',
        delivery: {
          ...{ concurrency: 5, timeoutMs: 2_000, retryFor: 60_000, pendingFor: 60_000, priority: 0 },
          breaker: { failureRatio: 0.7, minimumCalls: 10, window: 60_000, openFor: 1_000 },
          ...delivery,
        },
      },
    ],
  });
  open.push(workers);
  return workers;
}

async function accept(): Promise<() => Promise<RevocationRecord | undefined>> {
  const enqueue = createEnqueue(redis, prefix, keys);
  open.push(enqueue);
  const revocationId = `rev_${randomUUID().replaceAll('-', '')}`;
  await enqueue.add({
    ...{ revocationId, tenant: 'default', trust: 'okta', user: '1', mode: 'full', via: [], acceptedAt: Date.now() },
    accounts: [{ app: 'crm', account: 'ada@example.com' }],
  });
  return () => createRevocationRecords(redis, keep()).read('default', revocationId);
}

const stateOf = (record: RevocationRecord | undefined) => record?.apps.crm?.state;
const methods = () => app.calls.map(({ method }) => method);

it('is begun once, asked until it is done, and no attempt is spent; what it is asked by is sealed', async () => {
  app.answerWith((res, { method }, count) =>
    method === 'POST' ? res.writeHead(202).end('job-7') : res.writeHead(count < 4 ? 202 : 200).end(),
  );
  const read = await accept();
  startWorker();
  await eventually(read, (record) => stateOf(record) === 'pending');
  const keysOf = await redis.keys(`${prefix}:{app.default.crm}:rev_*`);
  const job = keysOf.find((key) => !key.endsWith(':lock')) as string;
  expect(await redis.hget(job, 'data')).toMatch(/"poll":"v1\.spec\./);
  expect(await redis.hget(job, 'data')).not.toMatch(/ada@|job-7/);
  const record = await eventually(read, (seen) => seen?.status === 'completed', 15_000);
  expect(methods()).toEqual(['POST', 'GET', 'GET', 'GET']);
  expect(app.calls[1]?.path).toMatch(/\/job-7$/);
  expect(record?.apps.crm).toMatchObject({
    ...{ state: 'revoked', what: ['sessions'], verified: true, removed: [{ seat: 'crm', role: 'owner' }] },
  });
  expect(record?.apps.crm).not.toHaveProperty('failures');
});

it('is asked by another worker where the first has gone', async () => {
  app.answerWith((res, { method }, count) =>
    method === 'POST' ? res.writeHead(202).end('job-7') : res.writeHead(count < 3 ? 202 : 200).end(),
  );
  const read = await accept();
  const first = startWorker();
  await eventually(read, (record) => stateOf(record) === 'pending');
  await first.close();
  startWorker();
  await eventually(read, (record) => record?.status === 'completed', 15_000);
  expect(methods().filter((method) => method === 'POST')).toHaveLength(1);
});

it('that cannot be asked for a moment is asked again, not begun again', async () => {
  app.answerWith((res, { method }, count) => {
    if (method === 'POST') return res.writeHead(202).end('job-7');
    return res.writeHead(count === 2 ? 503 : 200).end();
  });
  const read = await accept();
  startWorker();
  const record = await eventually(read, (seen) => seen?.status === 'completed', 15_000);
  expect(methods()).toEqual(['POST', 'GET', 'GET']);
  expect(record?.apps.crm?.failures).toMatchObject([{ reason: 'server' }]);
});

it('that does not finish in time is begun anew, and has failed when that is of no use either', async () => {
  app.answerWith((res, { method }) => (method === 'POST' ? res.writeHead(202).end('job-7') : res.writeHead(202).end()));
  const read = await accept();
  startWorker({ pendingFor: 1_500, retryFor: 6_000 });
  const record = await eventually(read, (seen) => seen?.status === 'failed', 25_000);
  expect(record?.apps.crm).toMatchObject({ state: 'failed', reason: 'timeout' });
  expect(methods().filter((method) => method === 'POST').length).toBeGreaterThanOrEqual(2);
}, 40_000);

it.each([
  ['once, where to begin anew would do harm', { ...slowly, beginsOnce: true as const }, 1],
  ['anew otherwise', slowly, 2],
])(
  'that is away for longer than it may take is begun %s',
  async (_when, connector, begun) => {
    app.answerWith((res, { method }, count) => {
      if (method === 'POST') return res.writeHead(202).end('job-7');
      // Away twice; back, it has not finished yet, and then it has.
      return res.writeHead(count <= 3 ? 503 : count === 4 ? 202 : 200).end();
    });
    const read = await accept();
    startWorker({ pendingFor: 1_500 }, connector);
    const record = await eventually(read, (seen) => seen?.status === 'completed', 30_000);
    expect(record?.apps.crm).toMatchObject({ state: 'revoked' });
    expect(methods().filter((method) => method === 'POST')).toHaveLength(begun);
  },
  40_000,
);

it('that is begun once is begun anew all the same where it answers and does not finish in time', async () => {
  app.answerWith((res) => res.writeHead(202).end('job-7'));
  const read = await accept();
  startWorker({ pendingFor: 1_500, retryFor: 6_000 }, { ...slowly, beginsOnce: true });
  const record = await eventually(read, (seen) => seen?.status === 'failed', 25_000);
  expect(record?.apps.crm).toMatchObject({ state: 'failed', reason: 'timeout' });
  expect(methods().filter((method) => method === 'POST').length).toBeGreaterThanOrEqual(2);
}, 40_000);
