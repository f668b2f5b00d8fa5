/** How accepted revocations reach apps that are slow, refuse, hang, or limit. */
import { setTimeout as delay } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { createDataKeys } from '../../src/data-key.js';
import { appQueue, jobOptions, type Revocation } from '../../src/fanout/job.js';
import { createRevocationRecords, type RevocationRecord } from '../../src/fanout/record.js';
import { openGateway } from '../../src/gateway.js';
import { eventually } from '../support/eventually.js';
import { PUBLIC_URL, startGateway } from '../support/gateway.js';
import { CLIENT, type Okta, signRevocation, startOkta } from '../support/okta.js';
import { createOutcomes } from '../support/outcome.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'worker').toString('base64')}`;
const PATH = '/global-token-revocation';

type Gateway = Awaited<ReturnType<typeof startGateway>>;

let okta: Okta;
const open: { close(): Promise<unknown> }[] = [];

beforeAll(async () => {
  okta = await startOkta();
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});
afterAll(() => okta.close());

async function startApp(...args: Parameters<typeof startTargetApp>): Promise<TargetApp> {
  const app = await startTargetApp(...args);
  open.push(app);
  return app;
}

const webhookApp = (id: string, { url }: TargetApp, delivery: object = {}) => ({
  id,
  connector: 'webhook',
  options: { url, secret: SECRET },
  delivery,
});

// Revocations of different people are never one call.
const CROWD = Array.from({ length: 6 }, (_, index) => `person-${index}`);

/** A gateway with these apps, and Ada and a crowd, who are assigned to all of them. */
async function startWith(apps: object[], options: Parameters<typeof startGateway>[1] = {}): Promise<Gateway> {
  const trusts = [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }];
  const gateway = await startGateway({ tenants: [{ id: 'default', trusts, apps }] }, options);
  open.push(gateway);
  for (const name of ['ada', ...CROWD]) {
    await gateway.directory.put('default', { userName: name, emails: [`${name}@example.com`] });
  }
  return gateway;
}

async function revoke({ url }: Gateway, name = 'ada'): Promise<void> {
  const jwt = await signRevocation(okta.key, { issuer: okta.issuer, audience: PUBLIC_URL + PATH });
  const { status } = await fetch(url + PATH, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}` },
    body: JSON.stringify({ sub_id: { format: 'email', email: `${name}@example.com` } }),
  });
  expect(status).toBe(204);
}

const recordsOf = ({ redis, prefix }: Gateway) => createRevocationRecords(redis, { prefix, retentionMs: 60_000 });

const queueOf = ({ redis, prefix }: Gateway, app: string) =>
  new Queue(appQueue('default', app), { connection: redis, prefix, skipVersionCheck: true });

/** The newest revocation, once it looks like this. */
function newest(gateway: Gateway, holds: (record: RevocationRecord) => boolean): Promise<RevocationRecord> {
  const records = recordsOf(gateway);
  return eventually(
    async () => (await records.list('default', { limit: 1 }))[0] as RevocationRecord,
    (record) => record !== undefined && holds(record),
  );
}

const isOver = ({ status }: RevocationRecord) => status !== 'pending';

describe('an app that asks for time', () => {
  it('gets it: Retry-After is honoured', async () => {
    const app = await startApp((res, _call, count) =>
      count === 1 ? res.writeHead(429, { 'retry-after': '2' }).end() : res.writeHead(204).end(),
    );
    const gateway = await startWith([webhookApp('intranet', app)]);
    await revoke(gateway);
    const waiting = await newest(gateway, ({ apps }) => apps.intranet?.state === 'retrying');
    expect(waiting.apps.intranet).toMatchObject({ attempts: 1, reason: 'rate_limited' });
    const { at = 0, nextAttemptAt = 0 } = waiting.apps.intranet ?? {};
    expect(nextAttemptAt - at).toBe(2_000);
    const record = await newest(gateway, isOver);
    expect(record).toMatchObject({ status: 'completed', apps: { intranet: { state: 'revoked', attempts: 2 } } });
    expect((app.calls[1]?.at ?? 0) - (app.calls[0]?.at ?? 0)).toBeGreaterThanOrEqual(1_950);
  });

  it('gets the longest that it asked for, not the last', async () => {
    const held: (() => void)[] = [];
    const app = await startApp((res, _call, count) => {
      if (count > 2) res.writeHead(204).end();
      else held.push(() => void res.writeHead(429, { 'retry-after': count === 1 ? '4' : '1' }).end());
    });
    const gateway = await startWith([webhookApp('intranet', app)]);
    for (const name of CROWD.slice(0, 2)) await revoke(gateway, name);
    await eventually(
      () => held.length,
      (count) => count === 2,
    );
    const askedAt = Date.now();
    for (const answerNow of held) {
      answerNow();
      await delay(200);
    }
    await revoke(gateway);
    await eventually(
      () => app.calls.length,
      (count) => count === 5,
    );
    expect((app.calls[2]?.at ?? 0) - askedAt).toBeGreaterThanOrEqual(3_900);
  });

  it('gets it also where it only allows so many calls a second [ratePerSecond]', async () => {
    const app = await startApp();
    const gateway = await startWith([webhookApp('intranet', app, { ratePerSecond: 2 })]);
    await Promise.all(CROWD.slice(1).map((name) => revoke(gateway, name)));
    await eventually(
      () => app.calls.length,
      (count) => count === 5,
    );
    const times = app.calls.map(({ at }) => at).toSorted((a, b) => a - b);
    // Never three in one second; the calls of a busy machine arrive a little early or late.
    for (let first = 0; first + 2 < times.length; first += 1) {
      expect((times[first + 2] as number) - (times[first] as number)).toBeGreaterThan(600);
    }
  });

  it('is never called by more at once than it can take [concurrency]', async () => {
    let underway = 0;
    let most = 0;
    const app = await startApp((res) => {
      underway += 1;
      most = Math.max(most, underway);
      setTimeout(() => {
        underway -= 1;
        res.writeHead(204).end();
      }, 50);
    });
    const gateway = await startWith([webhookApp('intranet', app, { concurrency: 2 })]);
    await Promise.all(CROWD.map((name) => revoke(gateway, name)));
    await eventually(
      () => app.calls.length,
      (count) => count === 6,
    );
    expect(most).toBe(2);
  });
});

describe('an app that hangs', () => {
  it('delays no other app, and is tried again after its deadline [timeoutMs]', async () => {
    const hanging = await startApp(() => {});
    const quick = await startApp();
    const gateway = await startWith([
      webhookApp('hanging', hanging, { timeoutMs: 400, concurrency: 1 }),
      webhookApp('quick', quick),
    ]);
    const started = Date.now();
    await Promise.all(CROWD.map((name) => revoke(gateway, name)));
    await eventually(
      () => quick.calls.length,
      (count) => count === 6,
    );
    // The hanging app, one call at a time, needs 2.4 s for its six first attempts.
    expect(Date.now() - started).toBeLessThan(1_500);
    expect(hanging.calls.length).toBeLessThan(6);
    const record = await newest(gateway, ({ apps }) => apps.hanging?.state === 'retrying');
    expect(record).toMatchObject({
      status: 'pending',
      apps: { hanging: { reason: 'timeout', attempts: 1 }, quick: { state: 'revoked' } },
    });
  });
});

describe('an app that refuses', () => {
  it.each([
    [410, 'not_found'],
    [404, 'not_found'],
    [400, 'refused'],
    [302, 'refused'],
  ] as const)('is not asked again, and the revocation has failed [%s]', async (status, reason) => {
    const refusing = await startApp(answer(status, { location: 'http://127.0.0.1:1/' }));
    const quick = await startApp();
    const gateway = await startWith([webhookApp('refusing', refusing), webhookApp('quick', quick)]);
    await revoke(gateway);
    const record = await newest(gateway, isOver);
    expect(record).toMatchObject({
      status: 'failed',
      apps: { refusing: { state: 'failed', reason, attempts: 1 }, quick: { state: 'revoked' } },
    });
    expect(record.completedAt).toBeGreaterThanOrEqual(record.acceptedAt);
    const events = await eventually(
      async () => (await gateway.audit()).map(({ event }) => event),
      (seen) => seen.includes('revocation.failed'),
    );
    expect(events.filter((event) => event === 'job.failed')).toHaveLength(1);
    expect(events).not.toContain('revocation.completed');
    const queue = queueOf(gateway, 'refusing');
    await eventually(
      () => queue.getJobCounts(),
      ({ failed, ...others }) => failed === 1 && Object.values(others).every((count) => count === 0),
    );
    await queue.close();
    expect(refusing.calls).toHaveLength(1);
  });

  it('is given up when retryFor is over', async () => {
    const app = await startApp(answer(503));
    const gateway = await startWith([webhookApp('intranet', app, { retryFor: '1s' })]);
    await revoke(gateway);
    const record = await newest(gateway, isOver);
    expect(record).toMatchObject({ status: 'failed', apps: { intranet: { state: 'failed', reason: 'server' } } });
    expect(app.calls.length).toBeGreaterThanOrEqual(2);
  });
});

describe('a worker that starts', () => {
  it('finds what waits', async () => {
    const app = await startApp();
    const apps = [webhookApp('intranet', app)];
    const api = await startWith(apps, { roles: ['api'] });
    await revoke(api);
    await delay(200);
    expect(app.calls).toEqual([]);
    const worker = await startWith(apps, { roles: ['worker'], prefix: api.prefix });
    expect((await newest(worker, isOver)).status).toBe('completed');
    expect(app.calls).toHaveLength(1);
  });

  it('does not call an app whose success is on record, though the queue does not know yet', async () => {
    const app = await startApp();
    const apps = [webhookApp('intranet', app)];
    const api = await startWith(apps, { roles: ['api'] });
    const revocation: Omit<Revocation, 'accounts'> = {
      revocationId: 'rev_done',
      tenant: 'default',
      trust: 'okta',
      user: '1',
      mode: 'full',
      via: [PUBLIC_URL],
      acceptedAt: Date.now(),
    };
    // As a worker leaves them that dies after it has called the app and noted the success.
    const account = 'ada@example.com';
    await recordsOf(api).open({ ...revocation, accounts: [{ app: 'intranet', account }] });
    const queue = queueOf(api, 'intranet');
    const job = { ...revocation, account: createDataKeys([]).seal(account, 'default') };
    await queue.add('revoke', job, { ...jobOptions, jobId: revocation.revocationId });
    await createOutcomes(api.redis, api.prefix)(revocation, 'intranet', {
      state: 'revoked',
      attempts: 1,
      at: Date.now(),
    });

    await startWith(apps, { roles: ['worker'], prefix: api.prefix });
    await eventually(
      () => queue.getJobCounts(),
      (counts) => Object.values(counts).every((count) => count === 0),
    );
    expect(app.calls).toEqual([]);
    await queue.close();
  });
});

describe('a worker that stops', () => {
  it('lets a call that is under way end, and notes its success', async () => {
    const app = await startApp((res) => setTimeout(() => res.writeHead(204).end(), 400));
    const gateway = await startWith([webhookApp('intranet', app)], { roles: ['api'] });
    const worker = await openGateway(gateway.config, { roles: ['worker'], prefix: gateway.prefix });
    await revoke(gateway);
    await eventually(
      () => app.calls.length,
      (count) => count === 1,
    );
    await worker.close();
    const [record] = await recordsOf(gateway).list('default', { limit: 1 });
    expect(record).toMatchObject({ status: 'completed', apps: { intranet: { state: 'revoked', attempts: 1 } } });
  });
});

it('a job has the priority that the settings give its app', async () => {
  const app = await startApp(answer(503, { 'retry-after': '60' }));
  const gateway = await startWith([webhookApp('first', app, { priority: 7 })]);
  await revoke(gateway);
  const queue = `${gateway.prefix}:${appQueue('default', 'first')}`;
  const [[id = ''] = []] = await eventually(
    async () => [await gateway.redis.zrange(`${queue}:prioritized`, '0', '-1')],
    ([ids]) => ids?.length === 1,
  );
  expect(await gateway.redis.hget(`${queue}:${id}`, 'priority')).toBe('7');
});

it('an app that is set to refresh-only is asked to leave sessions alone, also where the caller asks for all', async () => {
  const [gentle, other] = [await startApp(), await startApp()];
  const gateway = await startWith([
    { ...webhookApp('gentle', gentle), mode: 'refresh-only' },
    webhookApp('other', other),
  ]);
  await revoke(gateway);
  const { mode, apps } = await newest(gateway, isOver);
  expect([mode, apps.gentle?.what, apps.other?.what]).toEqual([
    'full',
    ['refresh_tokens'],
    ['sessions', 'refresh_tokens'],
  ]);
  expect([gentle, other].map(({ calls }) => JSON.parse(calls[0]?.body ?? '{}').data.mode)).toEqual([
    'refresh-only',
    'full',
  ]);
});

describe('a job that comes back while its call is under way', () => {
  it('is not called a second time by the same process', async () => {
    const app = await startApp((res) => void setTimeout(() => res.writeHead(204).end(), 7_000));
    const gateway = await startWith([webhookApp('intranet', app)]);
    await revoke(gateway);
    await eventually(
      () => app.calls.length,
      (count) => count === 1,
    );
    // As when the process was too busy to renew it.
    const { revocationId } = await newest(gateway, ({ apps }) => apps.intranet !== undefined);
    await gateway.redis.del(`${gateway.prefix}:${appQueue('default', 'intranet')}:${revocationId}:lock`);
    expect(await newest(gateway, isOver)).toMatchObject({ status: 'completed' });
    const queue = queueOf(gateway, 'intranet');
    await eventually(
      () => queue.getJobCountByTypes('wait', 'active', 'delayed', 'prioritized'),
      (count) => count === 0,
    );
    await queue.close();
    expect(app.calls).toHaveLength(1);
  }, 20_000);
});
