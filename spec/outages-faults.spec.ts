/** What becomes of accepted revocations while Redis, the wire to it, a worker or an app fails: rows with their figures. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { createRevocationRecords, type RevocationRecord } from '../src/fanout/record.js';
import { eventually } from './support/eventually.js';
import { PUBLIC_URL, startGateway } from './support/gateway.js';
import { CLIENT, type Okta, signRevocation, startOkta } from './support/okta.js';
import { type OwnRedis, startOwnRedis } from './support/own-redis.js';
import { mulberry32 } from './support/random.js';
import { answer, startTargetApp, type TargetApp } from './support/target-app.js';
import { startWire, type Wire } from './support/wire.js';

const SECRET = `whsec_${Buffer.alloc(24, 'outages').toString('base64')}`;
const PATH = '/global-token-revocation';
const CROWD = 150;
const AWAY_MS = 15_000;
const RESUMED_WITHIN_MS = 3_000;

type Gateway = Awaited<ReturnType<typeof startGateway>>;

let okta: Okta;
let redis: OwnRedis;
let wire: Wire;
let app: TargetApp;
const open: { close(): Promise<unknown> }[] = [];

beforeAll(async () => {
  okta = await startOkta();
});
beforeEach(async () => {
  redis = await startOwnRedis();
  wire = await startWire(redis.port);
  app = await startTargetApp();
});
afterEach(async () => {
  wire.mend();
  await redis.start();
  for (const one of open.splice(0).reverse()) await one.close();
  await Promise.all([wire.close(), app.close()]);
  await redis.close();
});
afterAll(() => okta.close());

const prefix = () => `spec-${randomUUID().slice(0, 8)}`;
const nameOf = (index: number) => `person-${index}`;

type Options = {
  url?: string;
  prefix?: string;
  delivery?: object;
  people?: number;
  roles?: ('api' | 'worker')[];
  now?: () => number;
};

async function start({ url = wire.url, delivery = {}, people = 3, ...options }: Options = {}): Promise<Gateway> {
  const gateway = await startGateway(
    {
      limits: { acceptedPerMinute: 1_000_000 },
      tenants: [
        {
          id: 'default',
          trusts: [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }],
          apps: [{ id: 'intranet', connector: 'webhook', options: { url: app.url, secret: SECRET }, delivery }],
        },
      ],
    },
    { ...options, config: { redisUrl: url } },
  );
  open.push(gateway);
  for (let index = 0; index < people; index += 1) {
    await gateway.directory.put('default', { userName: nameOf(index), emails: [`${nameOf(index)}@example.com`] });
  }
  return gateway;
}

/** As a caller does it: the same JWT again until there is a 204. Answers how often it had to ask. */
async function revoke({ url }: Gateway, name = nameOf(0)): Promise<number> {
  const jwt = await signRevocation(okta.key, { issuer: okta.issuer, audience: PUBLIC_URL + PATH });
  for (let asked = 1; ; asked += 1) {
    const response = await fetch(url + PATH, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}` },
      body: JSON.stringify({ sub_id: { format: 'email', email: `${name}@example.com` } }),
    });
    if (response.status === 204) return asked;
    expect(response.status).toBe(503);
    await delay(50);
  }
}

/** Past the wire. */
const list = (gateway: Gateway) => {
  const records = createRevocationRecords(redis.admin, { prefix: gateway.prefix, retentionMs: 60_000 });
  return records.list('default', { limit: 1_000 });
};

const completed = (gateway: Gateway, count: number, withinMs = 20_000): Promise<RevocationRecord[]> =>
  eventually(
    () => list(gateway),
    (all) => all.length === count && all.every(({ status }) => status === 'completed'),
    withinMs,
  );

const calledBy = (count: number) =>
  eventually(
    () => app.calls.length,
    (calls) => calls >= count,
    20_000,
  );

describe('deliveries resume within three seconds of its return where Redis', () => {
  it.each<[string, () => unknown, () => unknown]>([
    ['was killed', () => redis.kill(), () => redis.start()],
    ['was behind a wire that stalled', () => wire.stall(), () => wire.flow()],
    ['was behind a wire that had gone dead', () => wire.deadFrom(() => true), () => wire.mend()],
    ['was behind a wire that has forgotten all', () => wire.deadFrom(() => true), () => wire.forget()],
  ])(
    '%s, and away for 15 s',
    async (_what, away, back) => {
      app.answerWith(answer(503));
      const gateway = await start();
      for (let index = 0; index < 3; index += 1) await revoke(gateway, nameOf(index));
      await calledBy(3);
      app.answerWith(answer(204));
      await away();
      await delay(AWAY_MS);
      const before = app.calls.length;
      await back();
      const returnedAt = Date.now();
      await calledBy(before + 1);
      const resumed = (app.calls[before]?.at ?? 0) - returnedAt;
      console.info(`first delivery ${resumed} ms after the return of Redis`);
      expect(resumed).toBeLessThan(RESUMED_WITHIN_MS);
      await completed(gateway, 3);
    },
    60_000,
  );
});

it('of revocations whose Redis replies are lost at random (5 %) none is lost and none is accepted twice', async () => {
  const gateway = await start({ people: CROWD });
  const lost = wire.loseReplies(0.05, mulberry32(7));
  let asked = 0;
  for (let from = 0; from < CROWD; from += 10) {
    const ten = Array.from({ length: 10 }, (_, index) => revoke(gateway, nameOf(from + index)));
    asked += (await Promise.all(ten)).reduce((sum, times) => sum + times, 0);
  }
  await delay(500);
  wire.mend();
  const records = await completed(gateway, CROWD, 40_000);
  expect(new Set(records.map(({ user }) => user)).size).toBe(CROWD);
  const called = new Set(app.calls.map(({ headers }) => headers['webhook-id']));
  expect(called.size).toBe(CROWD);
  const accepted = (await gateway.audit()).filter(({ event }) => event === 'revocation.accepted');
  expect(accepted).toHaveLength(CROWD);
  console.info(
    `${CROWD} accepted in ${asked} requests with ${lost()} replies lost; ${app.calls.length - CROWD} calls repeated`,
  );
  expect(lost()).toBeGreaterThan(5);
}, 90_000);

describe('nothing is lost where', () => {
  it('Redis is slow', async () => {
    const gateway = await start();
    wire.slow(100);
    await revoke(gateway);
    await completed(gateway, 1);
    // Slower than a request can wait: 503, as the caller is told, and then all is well.
    wire.slow(1_000);
    const late = revoke(gateway, nameOf(1));
    await delay(3_000);
    wire.slow(0);
    expect(await late).toBeGreaterThan(1);
    await completed(gateway, 2);
  }, 40_000);

  it('Redis loses its scripts', async () => {
    const gateway = await start();
    await revoke(gateway);
    await completed(gateway, 1);
    await redis.admin.script('FLUSH');
    await revoke(gateway, nameOf(1));
    await completed(gateway, 2);
  });

  it('Redis has no memory left: 503 until there is some', async () => {
    const gateway = await start();
    app.answerWith(answer(503));
    await revoke(gateway);
    await calledBy(1);
    await redis.set('maxmemory', '1');
    const late = revoke(gateway, nameOf(1));
    await delay(1_500);
    expect(app.calls.length).toBeGreaterThan(0);
    app.answerWith(answer(204));
    await redis.set('maxmemory', '0');
    expect(await late).toBeGreaterThan(1);
    await completed(gateway, 2);
  }, 40_000);

  it('a worker loses its lock while the app hangs: the app is called once more, under the same id', async () => {
    const same = prefix();
    app.answerWith((res, _call, count) => setTimeout(() => res.writeHead(204).end(), count === 1 ? 9_000 : 0));
    const api = await start({ url: redis.url, prefix: same, roles: ['api'] });
    const cutOff = await start({ prefix: same, roles: ['worker'], people: 0, delivery: { timeoutMs: 20_000 } });
    await revoke(api);
    await calledBy(1);
    wire.stall();
    await start({ url: redis.url, prefix: same, roles: ['worker'], people: 0 });
    await completed(api, 1, 20_000);
    wire.flow();
    await delay(3_000);
    expect(app.calls).toHaveLength(2);
    expect(new Set(app.calls.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect((await api.audit()).filter(({ event }) => event === 'account.revoked')).toHaveLength(1);
    expect(cutOff.logger).toBeDefined();
  }, 60_000);

  it('the clock jumps, forwards and back', async () => {
    let jump = 0;
    app.answerWith((res, _call, count) => res.writeHead(count < 3 ? 503 : 204).end());
    const gateway = await start({ now: () => Date.now() + jump });
    await revoke(gateway);
    await calledBy(1);
    jump = 3_600_000;
    await calledBy(2);
    jump = -3_600_000;
    const [record] = await completed(gateway, 1);
    expect(record?.apps.intranet).toMatchObject({ state: 'revoked', attempts: 3 });
  }, 40_000);

  it('the app answers after its deadline', async () => {
    app.answerWith((res, _call, count) => setTimeout(() => res.writeHead(204).end(), count === 1 ? 900 : 0));
    const gateway = await start({ delivery: { timeoutMs: 300 } });
    await revoke(gateway);
    const [record] = await completed(gateway, 1);
    expect(record?.apps.intranet).toMatchObject({ attempts: 2, failures: [{ reason: 'timeout' }] });
  });
});
