/** An app that fails is left in peace by all workers together, and gets everything that it is owed when it is back. */
import type { AppRecord } from '../../src/fanout/record.js';
import { createRevocationRecords, type RevocationRecord } from '../../src/fanout/record.js';
import { eventually } from '../support/eventually.js';
import { PUBLIC_URL, startGateway } from '../support/gateway.js';
import { CLIENT, type Okta, signRevocation, startOkta } from '../support/okta.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'breaker').toString('base64')}`;
const PATH = '/global-token-revocation';
const CROWD = Array.from({ length: 12 }, (_, index) => `person-${index}`);

type Gateway = Awaited<ReturnType<typeof startGateway>>;

let okta: Okta;
let app: TargetApp;
let operators: TargetApp;
const open: { close(): Promise<unknown> }[] = [];

beforeAll(async () => {
  okta = await startOkta();
});
beforeEach(async () => {
  app = await startTargetApp();
  operators = await startTargetApp();
  open.push(app, operators);
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});
afterAll(() => okta.close());

async function start(breaker: object, options: { prefix?: string; delivery?: object } = {}): Promise<Gateway> {
  const gateway = await startGateway(
    {
      tenants: [
        {
          id: 'default',
          trusts: [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }],
          apps: [
            {
              id: 'intranet',
              connector: 'webhook',
              options: { url: app.url, secret: SECRET },
              delivery: { concurrency: 4, breaker, ...options.delivery },
            },
          ],
        },
      ],
      alerts: { webhook: { url: operators.url, secret: SECRET } },
    },
    options,
  );
  open.push(gateway);
  for (const name of CROWD) {
    await gateway.directory.put('default', { userName: name, emails: [`${name}@example.com`] });
  }
  return gateway;
}

async function revoke({ url }: Gateway, name: string): Promise<void> {
  const jwt = await signRevocation(okta.key, { issuer: okta.issuer, audience: PUBLIC_URL + PATH });
  const { status } = await fetch(url + PATH, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}` },
    body: JSON.stringify({ sub_id: { format: 'email', email: `${name}@example.com` } }),
  });
  expect(status).toBe(204);
}

const all = ({ redis, prefix }: Gateway, holds: (record: RevocationRecord, app: AppRecord) => boolean) =>
  eventually(
    () => createRevocationRecords(redis, { prefix, retentionMs: 60_000 }).list('default', { limit: 50 }),
    (list) => list.every((one) => holds(one, one.apps.intranet as AppRecord)),
    20_000,
  );

const laneOf = ({ redis, prefix }: Gateway) => redis.hgetall(`${prefix}:{default}:lane:intranet`);
const alerts = () => operators.calls.map(({ body }) => JSON.parse(body) as { type: string; data: object });

const isOpen = (gateway: Gateway) =>
  eventually(
    () => laneOf(gateway),
    ({ until }) => until !== undefined,
  );

it('refused credentials open it at once: one call is made, the rest is held, nothing has failed', async () => {
  app.answerWith(answer(401));
  const gateway = await start({ openFor: '5s' });
  await revoke(gateway, CROWD[0] as string);
  expect(await isOpen(gateway)).toMatchObject({ why: 'auth' });
  for (const name of CROWD.slice(1)) await revoke(gateway, name);
  await new Promise((done) => setTimeout(done, 1_000));
  expect(app.calls).toHaveLength(1);
  await eventually(alerts, (told) => told.length === 1);
  expect(alerts()[0]).toMatchObject({
    type: 'breaker.opened',
    data: { tenant: 'default', app: 'intranet', reason: 'auth' },
  });

  app.answerWith(answer(204));
  await all(gateway, ({ status }) => status === 'completed');
  // Everybody once, and the first of all once more.
  expect(app.calls).toHaveLength(CROWD.length + 1);
  expect((app.calls[1]?.at ?? 0) - (app.calls[0]?.at ?? 0)).toBeGreaterThan(4_900);
  await eventually(alerts, (told) => told.length === 2);
  expect(alerts()[1]).toMatchObject({ type: 'breaker.closed' });
  expect(await laneOf(gateway)).not.toHaveProperty('until');
  expect((await gateway.audit()).filter(({ event }) => event?.startsWith('breaker.'))).toHaveLength(2);
});

it('an account that the credential may not touch stops nobody else, and is given up in the end', async () => {
  const forbidden = (body: string) => body.includes('person-0');
  app.answerWith((res, { body }) => res.writeHead(forbidden(body) ? 403 : 204).end());
  const gateway = await start({ openFor: '5s' }, { delivery: { retryFor: '3s' } });
  await revoke(gateway, CROWD[0] as string);
  await eventually(
    () => app.calls.length,
    (calls) => calls === 1,
  );
  for (const name of CROWD.slice(1)) await revoke(gateway, name);
  await all(gateway, ({ status }, { reason }) => status === 'completed' || (status === 'failed' && reason === 'auth'));
  expect(await laneOf(gateway)).not.toHaveProperty('until');
  expect(alerts().map(({ type }) => type)).toEqual(['job.failed']);
}, 30_000);

it('credentials that may do it for nobody open it as failures do', async () => {
  app.answerWith(answer(403));
  const gateway = await start({ minimumCalls: 4, openFor: '5s' });
  for (const name of CROWD) await revoke(gateway, name);
  expect(await isOpen(gateway)).toMatchObject({ why: 'bad' });
});

it('a run of failures opens it; one probe at a time goes through, by all workers together, until one succeeds', async () => {
  let underway = 0;
  let most = 0;
  app.answerWith((res) => {
    underway += 1;
    most = Math.max(most, underway);
    setTimeout(() => {
      underway -= 1;
      res.writeHead(503).end();
    }, 20);
  });
  const settings = { minimumCalls: 4, openFor: '700ms' };
  const gateway = await start(settings);
  await start(settings, { prefix: gateway.prefix });
  for (const name of CROWD) await revoke(gateway, name);
  await isOpen(gateway);
  await eventually(
    () => underway,
    (calls) => calls === 0,
  );
  most = 0;
  const before = app.calls.length;
  await eventually(
    () => app.calls.length,
    (calls) => calls >= before + 2,
  );
  expect(most).toBe(1);
  // 0.7 s, then twice as long: the app is left alone for longer each time.
  const [first, second] = app.calls.slice(before).map(({ at }) => at) as [number, number];
  expect(second - first).toBeGreaterThan(1_300);

  app.answerWith(answer(204));
  await all(gateway, ({ status }) => status === 'completed');
  expect((await gateway.audit()).filter(({ event }) => event === 'job.failed')).toEqual([]);
});

it('fewer calls than asked for do not open it, nor does an app that refuses single accounts or asks for time', async () => {
  const gateway = await start({ minimumCalls: 8 });
  app.answerWith(answer(400));
  for (const name of CROWD) await revoke(gateway, name);
  await all(gateway, ({ status }) => status === 'failed');
  expect(await laneOf(gateway)).not.toHaveProperty('until');
  app.answerWith(answer(429, { 'retry-after': '1' }));
  for (const name of CROWD.slice(0, 4)) await revoke(gateway, name);
  await eventually(
    () => app.calls.length,
    (calls) => calls > CROWD.length + 3,
  );
  expect(await laneOf(gateway)).not.toHaveProperty('until');
});

it('successes among the failures keep it closed', async () => {
  const gateway = await start({ minimumCalls: 4, failureRatio: 0.7 });
  app.answerWith((res, _call, count) => res.writeHead(count <= 12 && count % 2 === 0 ? 503 : 204).end());
  for (const name of CROWD) await revoke(gateway, name);
  await all(gateway, ({ status }) => status === 'completed');
  expect((await gateway.audit()).filter(({ event }) => event === 'breaker.opened')).toEqual([]);
});

it('Retry-After stops the lane of the app, for all accounts, and costs no attempt', async () => {
  const gateway = await start({});
  app.answerWith((res, _call, count) =>
    count === 1 ? res.writeHead(429, { 'retry-after': '2' }).end() : res.writeHead(204).end(),
  );
  await revoke(gateway, CROWD[0] as string);
  await eventually(
    () => app.calls.length,
    (calls) => calls === 1,
  );
  await new Promise((done) => setTimeout(done, 200));
  for (const name of CROWD.slice(1)) await revoke(gateway, name);
  await all(gateway, ({ status }) => status === 'completed');
  expect(app.calls).toHaveLength(CROWD.length + 1);
  expect((app.calls[1]?.at ?? 0) - (app.calls[0]?.at ?? 0)).toBeGreaterThan(1_900);
});

it('gives nothing up while it is open, however long that is: not what is held, and not what is sent to find out', async () => {
  app.answerWith(answer(401));
  const gateway = await start({ openFor: '1s' }, { delivery: { retryFor: '2s' } });
  for (const name of CROWD) await revoke(gateway, name);
  await eventually(
    () => app.calls.length,
    (calls) => calls >= 4,
    20_000,
  );
  await all(gateway, ({ status }) => status === 'pending');
  app.answerWith(answer(204));
  await all(gateway, ({ status }) => status === 'completed');
}, 40_000);
