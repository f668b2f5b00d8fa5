/** A master that its replicas had not heard from is replaced while a worker writes down what became of a call. */
import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import { createAcknowledged, writeSafely } from '../src/acknowledged.js';
import { createAudit, readAudit } from '../src/audit.js';
import type { Connector } from '../src/connectors/connector.js';
import { webhook } from '../src/connectors/webhook.js';
import { createDataKeys } from '../src/data-key.js';
import { createAttempts } from '../src/fanout/attempt.js';
import { createEnqueue } from '../src/fanout/enqueue.js';
import { appQueue } from '../src/fanout/job.js';
import { createRevocationRecords } from '../src/fanout/record.js';
import { startWorkers } from '../src/fanout/worker.js';
import { createLogger } from '../src/logger.js';
import { createMetrics } from '../src/metrics.js';
import { connectForRequests, connectForWorkers, type RedisClient } from '../src/redis.js';
import { createCalls } from './support/call.js';
import { SECRET } from './support/endpoint.js';
import { eventually } from './support/eventually.js';
import { type SentinelSet, startSentinelSet } from './support/sentinel.js';
import { startTargetApp, type TargetApp } from './support/target-app.js';

const OVER_WITHIN_MS = 20_000;

let set: SentinelSet;
let app: TargetApp;
let connection: RedisClient;
let accepting: RedisClient;
let calls: Awaited<ReturnType<typeof createCalls>>;
const open: { close(): Promise<unknown> }[] = [];

beforeEach(async () => {
  [set, app, calls] = await Promise.all([startSentinelSet(), startTargetApp(), createCalls()]);
  [connection, accepting] = [connectForWorkers({ url: set.url }), connectForRequests({ url: set.url })];
  for (const redis of [connection, accepting]) redis.on('error', () => {});
}, 40_000);

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  for (const redis of [connection, accepting]) redis.disconnect();
  await Promise.all([app.close(), calls.close(), set.close()]);
}, 20_000);

/** A worker whose jobs are finished when `closed` has answered, as where a receiver of events is told first. */
function startWorker(keep: { prefix: string; retentionMs: number }, closed: () => Promise<void>): void {
  const { publicUrl, signingKeys, send } = calls.call();
  const stop = new AbortController();
  const acknowledged = createAcknowledged(accepting, `${keep.prefix}:ended`, 1);
  const workers = startWorkers({
    ...{ connection, prefix: keep.prefix, alerts: undefined, dataKeys: createDataKeys([]), now: Date.now },
    ...{ keepFailedSeconds: 60, closed, callContext: { publicUrl, signingKeys, send } },
    records: createRevocationRecords(connection, keep),
    attempts: createAttempts(connection, keep, {
      connection: accepting,
      safely: (write) => writeSafely(acknowledged, write, stop.signal),
    }),
    audit: createAudit(connection, { prefix: keep.prefix, tenants: ['default'] }),
    metrics: createMetrics(),
    logger: createLogger('silent'),
    apps: [
      {
        ...{ tenant: 'default', id: 'crm', connector: webhook as Connector<unknown> },
        ...{ options: webhook.options.parse({ url: app.url, secret: SECRET }), mode: 'full' },
        delivery: {
          ...{ concurrency: 5, timeoutMs: 10_000, retryFor: 60_000, pendingFor: 60_000, priority: 0 },
          breaker: { failureRatio: 0.7, minimumCalls: 10, window: 60_000, openFor: 1_000 },
        },
      },
    ],
  });
  open.push({
    close() {
      stop.abort();
      return workers.close();
    },
  });
}

/** One revocation, whose app answers when no replica hears of it any more; what is there when all is over. */
async function outcome({ killed }: { killed: 'as soon as it is written' | 'before the job is finished' }) {
  const keep = { prefix: `spec-${randomUUID().slice(0, 8)}`, retentionMs: 600_000 };
  const records = createRevocationRecords(connection, keep);
  let answerApp = () => {};
  app.answerWith((res) => {
    answerApp = () => res.writeHead(204).end();
    if (app.calls.length > 1) answerApp();
  });
  let replaced: Promise<void> | undefined;
  const kill = () => {
    replaced ??= set.kill(set.master).then(set.replaced);
    return replaced;
  };
  startWorker(keep, kill);
  const enqueue = createEnqueue(connection, keep.prefix, createDataKeys([]));
  const lane = new Queue(appQueue('default', 'crm'), { connection, prefix: keep.prefix, skipVersionCheck: true });
  // It may be away on purpose.
  lane.on('error', () => {});
  open.push(enqueue, lane);
  const revocationId = `rev_${randomUUID().replaceAll('-', '')}`;
  await enqueue.add({
    ...{ revocationId, tenant: 'default', trust: 'okta', user: '1', mode: 'full', via: [], acceptedAt: Date.now() },
    accounts: [{ app: 'crm', account: 'ada@example.com' }],
  });
  await eventually(
    async () => [app.calls.length, await enqueue.waiting()],
    ([called, waiting]) => called === 1 && waiting === 0,
  );
  // WAIT is for what its own connection has written, and for all before that.
  await set.master.admin.set(`${keep.prefix}:called`, '1');
  expect(await set.master.admin.wait(2, 5_000)).toBe(2);
  await set.cutOff(set.master);
  answerApp();
  const record = `${keep.prefix}:{default}:revocation:${revocationId}`;
  await eventually(
    () => (replaced ? 'revoked' : set.master.admin.hget(record, 'state:crm')),
    (state) => state === 'revoked',
  );
  if (killed === 'as soon as it is written') void kill();
  await eventually(() => replaced !== undefined, Boolean);
  await replaced;

  const counts = await eventually(
    () => lane.getJobCounts('wait', 'active', 'delayed', 'failed'),
    (all) => Object.values(all).every((count) => count === 0),
    OVER_WITHIN_MS,
  );
  const trail = await connection.xrange(`${keep.prefix}:{default}:audit`, '-', '+');
  return {
    counts,
    status: (await records.read('default', revocationId))?.status,
    entries: trail.map(([, fields]) => readAudit(fields).event),
    ids: app.calls.map(({ headers }) => headers['webhook-id']),
    id: `${revocationId}_crm`,
  };
}

const ALL = ['revocation.accepted', 'account.revoked', 'revocation.completed'];

it('what was written on the master that is gone is written again on the next one, and the app is not called again', async () => {
  const { status, entries, ids } = await outcome({ killed: 'as soon as it is written' });
  expect({ status, entries }).toEqual({ status: 'completed', entries: ALL });
  expect(ids).toHaveLength(1);
}, 60_000);

it('a job whose end no replica had in time is not finished: the next master has it, and the app is called again', async () => {
  const { status, entries, ids, id } = await outcome({ killed: 'before the job is finished' });
  expect({ status, entries }).toEqual({ status: 'completed', entries: ALL });
  expect(ids).toEqual([id, id]);
}, 60_000);
