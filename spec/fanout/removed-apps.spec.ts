/** Apps that some processes know and others do not: in a rollout nothing is lost, and what waits for an app that has left ends. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Job, Queue, Worker } from 'bullmq';
import { Webhook } from 'standardwebhooks';
import request from 'supertest';
import { createDataKeys } from '../../src/data-key.js';
import { createEnqueue, type Enqueue } from '../../src/fanout/enqueue.js';
import { type AppJob, appQueue } from '../../src/fanout/job.js';
import { APP_GONE_AFTER_MS } from '../../src/fanout/known-apps.js';
import { createRevocationRecords, type RevocationRecord } from '../../src/fanout/record.js';
import { openGateway, type Role } from '../../src/gateway.js';
import { eventually } from '../support/eventually.js';
import { ADMIN_TOKEN, configOf, startGateway } from '../support/gateway.js';
import { startOwnRedis } from '../support/own-redis.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'removed').toString('base64')}`;
const GONE_AFTER_MS = 600;

let apps: Record<'intranet' | 'wiki' | 'operators', TargetApp>;
/** Knows no app: for what is in Redis, and for what operators ask. */
let gateway: Awaited<ReturnType<typeof startGateway>>;
let enqueue: Enqueue;
let wiki: Queue<AppJob>;
let open: { close(): Promise<unknown> }[];

beforeEach(async () => {
  const [one, two, three] = await Promise.all([startTargetApp(), startTargetApp(), startTargetApp()]);
  apps = { intranet: one, wiki: two, operators: three };
  gateway = await startGateway({ tenants: [{ id: 'default' }] }, { roles: ['api'], appGoneAfterMs: GONE_AFTER_MS });
  enqueue = createEnqueue(gateway.redis, gateway.prefix, createDataKeys([]));
  const { redis: connection, prefix } = gateway;
  wiki = new Queue(appQueue('default', 'wiki'), { connection, prefix, skipVersionCheck: true });
  open = [gateway, enqueue, wiki, one, two, three];
});
afterEach(async () => {
  for (const process of open.reverse()) await process.close();
});

type Options = { redisUrl?: string; delivery?: object; appGoneAfterMs?: number };

/** With these apps in its settings. */
async function startProcess(
  role: Role,
  ids: ('intranet' | 'wiki')[],
  { delivery = {}, appGoneAfterMs = GONE_AFTER_MS, ...over }: Options = {},
) {
  const of = (id: 'intranet' | 'wiki') => ({ url: apps[id].url, secret: SECRET });
  const settings = {
    tenants: [{ id: 'default', apps: ids.map((id) => ({ id, connector: 'webhook', options: of(id), delivery })) }],
    alerts: { webhook: { url: apps.operators.url, secret: SECRET } },
  };
  const started = await openGateway(configOf(settings, over), {
    ...{ roles: [role], prefix: gateway.prefix, appGoneAfterMs },
  });
  let closing: Promise<void> | undefined;
  const process = {
    close: () => {
      closing ??= started.close();
      return closing;
    },
  };
  open.push(process);
  return process;
}

const startWorker = (ids: ('intranet' | 'wiki')[], options?: Options) => startProcess('worker', ids, options);

/** As a process accepts it that knows both apps. */
async function accept(of: { user?: string; to?: string[]; enqueue?: Enqueue } = {}): Promise<string> {
  const { user = 'ada', to = ['wiki'] } = of;
  const revocationId = `rev_${randomUUID().replaceAll('-', '')}`;
  await (of.enqueue ?? enqueue).add({
    ...{ revocationId, tenant: 'default', trust: 'okta', user, mode: 'full', via: [], acceptedAt: Date.now() },
    accounts: to.map((app) => ({ app, account: `${user}@example.com` })),
  });
  return revocationId;
}

/** A revocation, once it looks like this. */
function seen(id: string, holds: (record: RevocationRecord) => boolean, withinMs?: number): Promise<RevocationRecord> {
  const records = createRevocationRecords(gateway.redis, { prefix: gateway.prefix, retentionMs: 60_000 });
  return eventually(
    async () => (await records.read('default', id)) as RevocationRecord,
    (record) => record !== undefined && holds(record),
    withinMs,
  );
}

const isOver = ({ status }: RevocationRecord) => status !== 'pending';
const bearer = { authorization: `Bearer ${ADMIN_TOKEN}` };
const retry = (id: string) => request(gateway.url).post(`/api/revocations/${id}/retry?app=wiki`).set(bearer);
const counts = () => wiki.getJobCounts('wait', 'prioritized', 'delayed', 'active', 'failed');
const FAILED = { wait: 0, prioritized: 0, delayed: 0, active: 0, failed: 1 };

const failures = async () => (await gateway.audit()).filter(({ event }) => event === 'job.failed');

describe('an app that the worker which spreads does not know yet', () => {
  it('is called by the worker that does', async () => {
    await startWorker(['intranet'], { appGoneAfterMs: APP_GONE_AFTER_MS });
    const id = await accept({ to: ['intranet', 'wiki'] });
    await seen(id, ({ apps: { intranet } }) => intranet?.state === 'revoked');
    await startWorker(['intranet', 'wiki']);
    const { status, apps: done } = await seen(id, isOver);
    expect([status, done.wiki?.state, apps.wiki.calls.length]).toEqual(['completed', 'revoked', 1]);
    expect(await failures()).toEqual([]);
  });

  it('is waited for as long as somebody knows it, though nobody calls it', async () => {
    await startWorker(['intranet']);
    const api = await startProcess('api', ['wiki']);
    const id = await accept();
    await seen(id, ({ apps: { wiki: part } }) => part?.state === 'waiting');
    await delay(3 * GONE_AFTER_MS);
    expect((await seen(id, () => true)).status).toBe('pending');
    await api.close();
    expect((await seen(id, isOver)).apps.wiki).toMatchObject({ state: 'failed', reason: 'app_removed' });
  });

  it('has not left because Redis was away', async () => {
    const own = await startOwnRedis();
    open.push(own);
    // Long enough for a connection that was lost to be made anew.
    const options = { redisUrl: own.url, appGoneAfterMs: 2_000 };
    const processes = [await startProcess('api', ['wiki'], options), await startProcess('worker', [], options)];
    const id = await accept({ enqueue: createEnqueue(own.admin, gateway.prefix, createDataKeys([])) });
    const records = createRevocationRecords(own.admin, { prefix: gateway.prefix, retentionMs: 60_000 });
    const status = async () => (await records.read('default', id))?.status;
    await eventually(status, (now) => now === 'pending');
    own.pause();
    await delay(3_000);
    own.resume();
    await delay(3_000);
    expect(await status()).toBe('pending');
    for (const process of processes) await process.close();
  }, 20_000);
});

describe('an app that has left the settings', () => {
  it('has failed where it was accepted before, with its time, and the others are called', async () => {
    const acceptedAt = Date.now();
    const id = await accept({ to: ['intranet', 'wiki'] });
    await startWorker(['intranet']);
    const record = await seen(id, isOver);
    expect(record).toMatchObject({
      status: 'failed',
      apps: {
        intranet: { state: 'revoked' },
        wiki: { state: 'failed', reason: 'app_removed', failures: [{ reason: 'app_removed' }] },
      },
    });
    expect(record.apps.wiki?.at).toBeGreaterThanOrEqual(acceptedAt + GONE_AFTER_MS);
    expect(record.completedAt).toBe(record.apps.wiki?.at);
    expect(apps.wiki.calls).toEqual([]);
    const events = (await gateway.audit()).map(({ event }) => event);
    expect(events.filter((event) => event === 'job.failed')).toHaveLength(1);
    expect(events.filter((event) => event === 'revocation.failed')).toHaveLength(1);
    const [alert] = await eventually(
      () => apps.operators.calls,
      (calls) => calls.length === 1,
    );
    expect(new Webhook(SECRET).verify(alert?.body ?? '', alert?.headers as never)).toMatchObject({
      type: 'job.failed',
      data: { tenant: 'default', app: 'wiki', revocationId: id, reason: 'app_removed' },
    });
  });

  it('can be retried once it is back, and not before', async () => {
    const id = await accept();
    const without = await startWorker([]);
    await seen(id, isOver);
    await eventually(counts, ({ failed }) => failed === 1);
    expect((await retry(id)).body).toEqual({ apps: [{ app: 'wiki', result: 'retried' }] });
    await eventually(failures, ({ length }) => length === 2);
    await eventually(counts, (now) => JSON.stringify(now) === JSON.stringify(FAILED));
    await startWorker(['wiki']);
    expect((await retry(id)).body).toEqual({ apps: [{ app: 'wiki', result: 'retried' }] });
    expect(await seen(id, ({ status }) => status === 'completed')).toMatchObject({
      apps: { wiki: { state: 'revoked' } },
    });
    expect(apps.wiki.calls).toHaveLength(1);
    // Who knows it no more does not end what comes now.
    expect((await seen(await accept(), isOver)).status).toBe('completed');
    await without.close();
  });

  it('leaves nothing that waits: for its next try, for its breaker, for its operators, for another job', async () => {
    apps.wiki.answerWith(answer(503));
    const before = await startWorker(['wiki'], {
      delivery: { breaker: { failureRatio: 0.7, minimumCalls: 6, window: '1m', openFor: '1h' } },
    });
    const retrying = await accept();
    await seen(retrying, ({ apps: { wiki: part } }) => (part?.attempts ?? 0) >= 2);
    const joined = await accept();
    const held = [];
    for (let user = 0; user < 8; user += 1) held.push(await accept({ user: `person-${user}` }));
    const lane = `${gateway.prefix}:{default}:lane:wiki`;
    await eventually(
      () => gateway.redis.hget(lane, 'until'),
      (until) => until !== null,
    );
    await before.close();
    await gateway.redis.hset(lane, 'paused', String(Date.now()));
    await wiki.pause();
    await startWorker([]);
    for (const id of [retrying, joined, ...held]) {
      const { apps: parts } = await seen(id, isOver);
      expect(parts.wiki).toMatchObject({ state: 'failed', reason: 'app_removed' });
    }
    expect(await gateway.redis.zcard(`${gateway.prefix}:{default}:open`)).toBe(0);
    const { failed, ...others } = await eventually(counts, ({ active }) => active === 0);
    expect(Object.values(others)).toEqual([0, 0, 0, 0]);
    // The two of Ada's are one job.
    expect(failed).toBe(9);
    // It is back, as its operators had left it.
    await eventually(
      () => wiki.isPaused(),
      (paused) => paused,
    );
    apps.wiki.answerWith(answer(204));
    apps.wiki.calls.length = 0;
    await startWorker(['wiki']);
    await retry(joined);
    await delay(500);
    expect(apps.wiki.calls).toEqual([]);
    await wiki.resume();
    for (const id of [retrying, joined]) await seen(id, ({ status }) => status === 'completed');
    expect(apps.wiki.calls).toHaveLength(1);
  });

  it('is ended once by two workers, also what a worker had in its hands that was killed', async () => {
    const before = await startWorker(['intranet']);
    const ids = await Promise.all(Array.from({ length: 30 }, (_, user) => accept({ user: `person-${user}` })));
    await eventually(counts, ({ wait }) => wait === 30);
    await before.close();
    const { redis: connection, prefix } = gateway;
    const killed = new Worker<AppJob>(wiki.name, undefined, { connection, prefix, lockDuration: 1_000 });
    const taken = (await killed.getNextJob('killed')) as Job<AppJob>;
    expect(ids).toContain(taken.id);
    await killed.close(true);
    await Promise.all([startWorker([]), startWorker(['intranet'])]);
    for (const id of ids) expect((await seen(id, isOver, 15_000)).apps.wiki?.reason).toBe('app_removed');
    const told = await failures();
    expect(told).toHaveLength(30);
    expect(new Set(told.map(({ revocationId }) => revocationId))).toEqual(new Set(ids));
    await eventually(counts, ({ failed, active }) => failed === 30 && active === 0);
  }, 30_000);

  it('keeps its failed jobs no longer than any other', async () => {
    await startWorker([]);
    const [old, young] = [await accept({ user: 'grace' }), await accept()];
    for (const id of [old, young]) await seen(id, isOver);
    await eventually(counts, ({ failed }) => failed === 2);
    const longAgo = Date.now() - 401 * 86_400_000;
    await gateway.redis.zadd(wiki.toKey('failed'), longAgo, old);
    await eventually(counts, ({ failed }) => failed === 1);
    expect((await retry(old)).body).toEqual({ apps: [{ app: 'wiki', result: 'gone' }] });
    expect(await wiki.getJob(young)).toBeDefined();
  });
});
