/** What an app has begun to take away stays on record, however the rest of it goes; and each attempt knows its number. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { createAudit } from '../../src/audit.js';
import { anyName } from '../../src/connectors/account.js';
import {
  type Connector,
  ConnectorError,
  defineConnector,
  NONE,
  type Outcome,
  type Pending,
} from '../../src/connectors/connector.js';
import { createDataKeys } from '../../src/data-key.js';
import { createAttempts } from '../../src/fanout/attempt.js';
import { createEnqueue } from '../../src/fanout/enqueue.js';
import { createEvidenceStore } from '../../src/fanout/evidence.js';
import { createLanes } from '../../src/fanout/lanes.js';
import { createRevocationRecords } from '../../src/fanout/record.js';
import { startWorkers } from '../../src/fanout/worker.js';
import { createLogger } from '../../src/logger.js';
import { createMetrics } from '../../src/metrics.js';
import { createCalls } from '../support/call.js';
import { eventually } from '../support/eventually.js';

const SEAT = { integration: 'integration-1', role: 'owner' };
const OTHER = { integration: 'integration-2', role: 'member' };

const keys = createDataKeys([{ id: 'spec', key: Buffer.alloc(32, 1) }]);
let prefix: string;
let redis: Redis;
let calls: Awaited<ReturnType<typeof createCalls>>;
let close: (() => Promise<unknown>)[];

beforeAll(async () => {
  calls = await createCalls();
});
beforeEach(() => {
  prefix = `spec-${randomUUID().slice(0, 8)}`;
  redis = new Redis(process.env.TEST_REDIS_URL as string, { maxRetriesPerRequest: null });
  close = [];
});
afterEach(async () => {
  for (const one of close) await one();
  const left = await redis.keys(`${prefix}:*`);
  if (left.length > 0) await redis.del(left);
  redis.disconnect();
});
afterAll(() => calls.close());

type Script = (call: { attempt: number; poll: unknown; evidence: unknown }) => Outcome | Pending;

/** Revokes one account at an app that does as the script says, and answers a look at its record. */
async function start(script: Script) {
  const connector = defineConnector({
    ...{ name: 'scripted', options: z.strictObject({}), account: anyName, modes: ['full'] },
    docs: {} as never,
    async revoke(_account, _options, call) {
      return script({ attempt: call.attempt, poll: undefined, evidence: await call.evidence(['account-1']) });
    },
    async poll(poll, _options, call) {
      return script({ attempt: call.attempt, poll, evidence: await call.evidence(['account-1']) });
    },
    check: async () => ({ ok: true, detail: 'nothing to ask' }),
  });
  const keep = { prefix, retentionMs: 60_000 };
  const { publicUrl, signingKeys, send } = calls.call();
  const records = createRevocationRecords(redis, keep);
  const workers = startWorkers({
    ...{ connection: redis, prefix, alerts: undefined, dataKeys: keys, now: Date.now, keepFailedSeconds: 60 },
    ...{ closed: async () => {}, records, attempts: createAttempts(redis, keep), metrics: createMetrics() },
    ...{ audit: createAudit(redis, { prefix, tenants: ['default'] }), logger: createLogger('silent') },
    callContext: { publicUrl, signingKeys, send },
    apps: [
      {
        ...{ tenant: 'default', id: 'cerby', connector: connector as Connector<unknown>, options: {}, mode: 'full' },
        delivery: {
          ...{ concurrency: 5, timeoutMs: 2_000, retryFor: 60_000, pendingFor: 60_000, priority: 0 },
          breaker: { failureRatio: 0.7, minimumCalls: 10, window: 60_000, openFor: 1_000 },
        },
      },
    ],
  });
  const enqueue = createEnqueue(redis, prefix, keys);
  const lanes = createLanes(redis, { prefix, now: Date.now, dataKeys: keys });
  close.push(
    () => workers.close(),
    () => enqueue.close(),
    () => lanes.close(),
  );
  const revocationId = `rev_${randomUUID().replaceAll('-', '')}`;
  await enqueue.add({
    ...{ revocationId, tenant: 'default', trust: 'okta', user: '1', mode: 'full', via: [], acceptedAt: Date.now() },
    accounts: [{ app: 'cerby', account: 'ada@example.com' }],
  });
  const read = async () => (await records.read('default', revocationId))?.apps.cerby;
  return { read, retry: () => lanes.retryAll({ tenant: 'default', app: 'cerby' }) };
}

it('is on record while the app is at it, once it has failed, and after another beginning that found nothing left', async () => {
  const attempts: unknown[] = [];
  let fails = true;
  const { read, retry } = await start(({ attempt, poll }) => {
    attempts.push([attempt, poll]);
    if (!fails) return NONE;
    if (poll === undefined) return { pending: { poll: { step: 1 }, afterMs: 1_000, removed: [SEAT] } };
    if ((poll as { step: number }).step === 1) {
      return { pending: { poll: { step: 2 }, afterMs: 1_000, removed: [SEAT, OTHER] } };
    }
    throw new ConnectorError('refused', 'scripted: it needs a person');
  });
  await eventually(read, (record) => record?.state === 'pending' && record.removed?.length === 1);
  const failed = await eventually(read, (record) => record?.state === 'failed', 15_000);
  expect(failed).toMatchObject({ reason: 'refused', removed: [SEAT, OTHER] });
  expect(attempts).toEqual([
    [1, undefined],
    [2, { step: 1 }],
    [3, { step: 2 }],
  ]);
  fails = false;
  await retry();
  const done = await eventually(read, (record) => record?.state === 'none', 15_000);
  expect(done?.removed).toEqual([SEAT, OTHER]);
  // It was begun anew.
  expect(attempts.at(-1)).toEqual([expect.any(Number), undefined]);
}, 40_000);

it('an attempt that failed has been counted by the next, which gets what was kept before', async () => {
  const attempts: unknown[] = [];
  const { read } = await start(({ attempt, poll }) => {
    attempts.push([attempt, poll]);
    if (poll === undefined) return { pending: { poll: { since: attempt }, afterMs: 1_000 } };
    if (attempt === 2) throw new ConnectorError('server', 'scripted: it failed');
    return { state: 'revoked', what: ['access'], removed: [SEAT] };
  });
  const done = await eventually(read, (record) => record?.state === 'revoked', 15_000);
  expect(done?.removed).toEqual([SEAT]);
  expect(attempts).toEqual([
    [1, undefined],
    [2, { since: 1 }],
    [3, { since: 1 }],
  ]);
}, 30_000);

it('what the app has reported can be read back, the oldest first, and is kept once', async () => {
  const store = createEvidenceStore(redis, prefix);
  const cerby = { tenant: 'default', app: 'cerby' };
  const event = { about: 'account-1', type: 'automation.password.rotated', at: 5_000, ok: true, eventId: 'event-1' };
  const older = { ...event, at: 4_000, ok: false, eventId: 'event-0' };
  expect(await store.add(cerby, [event, older, { ...event, about: 'job-1' }])).toBe(3);
  expect(await store.add(cerby, [{ ...event, at: 9_000 }])).toBe(0);
  expect(await store.add({ ...cerby, app: 'other' }, [{ ...event, eventId: 'event-2' }])).toBe(1);
  const seen: unknown[] = [];
  const { read } = await start(({ evidence }) => {
    seen.push(evidence);
    return NONE;
  });
  await eventually(read, (record) => record?.state === 'none', 15_000);
  expect(seen).toEqual([[older, event]]);
  for (const key of await redis.keys(`${prefix}:*:evidence:*`)) {
    expect(await redis.pttl(key)).toBeGreaterThan(24 * 3_600_000);
  }
}, 30_000);

it('of one account no more is kept than a connector could ever need', async () => {
  const store = createEvidenceStore(redis, prefix);
  const cerby = { tenant: 'default', app: 'cerby' };
  const events = Array.from({ length: 500 }, (_, i) => ({
    ...{ about: 'account-1', type: 'automation.succeeded', at: i, ok: true, eventId: `event-${i}` },
  }));
  expect(await store.add(cerby, events)).toBe(200);
});
