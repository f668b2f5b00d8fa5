/** Several revocations of one person: one call waits and one runs for an account, and every revocation gets its outcome. */
import type { AppRecord, RevocationRecord } from '../../src/fanout/record.js';
import { createRevocationRecords } from '../../src/fanout/record.js';
import { eventually } from '../support/eventually.js';
import { PUBLIC_URL, startGateway } from '../support/gateway.js';
import { CLIENT, type Okta, signRevocation, startOkta } from '../support/okta.js';
import { answer, startTargetApp, type TargetApp } from '../support/target-app.js';

const SECRET = `whsec_${Buffer.alloc(24, 'coalescing').toString('base64')}`;
const PATH = '/global-token-revocation';

let okta: Okta;
let app: TargetApp;
let operators: TargetApp;
let gateway: Awaited<ReturnType<typeof startGateway>>;

beforeAll(async () => {
  okta = await startOkta();
});
beforeEach(async () => {
  app = await startTargetApp();
  operators = await startTargetApp();
  gateway = await startGateway({
    alerts: { webhook: { url: operators.url, secret: SECRET } },
    tenants: [
      {
        id: 'default',
        trusts: [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }],
        apps: [
          {
            id: 'intranet',
            connector: 'webhook',
            options: { url: app.url, secret: SECRET },
            delivery: { retryFor: '4s' },
          },
        ],
      },
    ],
  });
  for (const name of ['ada', 'grace']) {
    await gateway.directory.put('default', { userName: name, emails: [`${name}@example.com`] });
  }
});
afterEach(async () => {
  await gateway.close();
  await app.close();
  await operators.close();
});
afterAll(() => okta.close());

async function revoke(name = 'ada'): Promise<void> {
  const jwt = await signRevocation(okta.key, { issuer: okta.issuer, audience: PUBLIC_URL + PATH });
  const { status } = await fetch(gateway.url + PATH, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}` },
    body: JSON.stringify({ sub_id: { format: 'email', email: `${name}@example.com` } }),
  });
  expect(status).toBe(204);
}

const records = () => createRevocationRecords(gateway.redis, { prefix: gateway.prefix, retentionMs: 60_000 });

/** Every record, the newest first, once all of them look like this. */
const all = (count: number, holds: (record: RevocationRecord, app: AppRecord) => boolean) =>
  eventually(
    () => records().list('default', { limit: 50 }),
    (list) => list.length === count && list.every((one) => holds(one, one.apps.intranet as AppRecord)),
  );

const isOver = ({ status }: RevocationRecord) => status === 'completed';

const accounts = () => gateway.redis.keys(`${gateway.prefix}:{default}:account:*`);

it('that come while a call is under way are followed by exactly one more, and all are completed', async () => {
  const release: (() => void)[] = [];
  app.answerWith((res) => void release.push(() => res.writeHead(204).end()));
  await revoke();
  await eventually(
    () => release.length,
    (calls) => calls === 1,
  );
  for (let more = 0; more < 4; more += 1) await revoke();
  await all(5, (_, { state }) => state === 'waiting');
  expect(app.calls).toHaveLength(1);
  release[0]?.();
  await eventually(
    () => release.length,
    (calls) => calls === 2,
  );
  release[1]?.();
  const list = await all(5, isOver);
  expect(app.calls).toHaveLength(2);
  // The first call was not good for those that came after it had begun.
  const [last, ...others] = list.map(({ apps }) => apps.intranet?.at ?? 0);
  expect(new Set([last, ...others.slice(0, 3)]).size).toBe(1);
  expect(others[3]).toBeLessThan(last as number);
  expect(list.filter(({ apps }) => apps.intranet?.servedBy !== undefined)).toHaveLength(3);
  const events = await eventually(
    async () => (await gateway.audit()).map(({ event }) => event),
    (seen) => seen.filter((event) => event === 'revocation.completed').length === 5,
  );
  expect(events.filter((event) => event === 'account.revoked')).toHaveLength(5);
  await eventually(accounts, ({ length }) => length === 0);
});

it('of two people are two calls', async () => {
  await Promise.all([revoke('ada'), revoke('grace')]);
  await all(2, isOver);
  expect(app.calls).toHaveLength(2);
});

it('one after the other are one call each', async () => {
  for (let count = 1; count <= 3; count += 1) {
    await revoke();
    await all(count, isOver);
  }
  expect(app.calls).toHaveLength(3);
  expect(new Set(app.calls.map(({ headers }) => headers['webhook-id'])).size).toBe(3);
});

it('where the first waits for its next try: the second has it tried at once, and both get the outcome', async () => {
  app.answerWith(answer(503));
  await revoke();
  // Its third try would be five seconds later.
  await all(1, (_, { attempts }) => attempts === 2);
  app.answerWith(answer(204));
  const asked = Date.now();
  await revoke();
  const list = await all(2, isOver);
  expect(app.calls).toHaveLength(3);
  expect((app.calls[2]?.at ?? 0) - asked).toBeLessThan(3_000);
  expect(list.map(({ apps }) => apps.intranet?.attempts)).toEqual([3, 3]);
  expect(list[1]?.apps.intranet?.failures).toHaveLength(2);
});

it('where the first fails while the second waits: one more call is for both', async () => {
  const release: ((status: number) => void)[] = [];
  app.answerWith((res) => void release.push((status) => res.writeHead(status).end()));
  await revoke();
  await eventually(
    () => release.length,
    (calls) => calls === 1,
  );
  await revoke();
  await all(2, (_, { state }) => state === 'waiting');
  release[0]?.(503);
  await eventually(
    () => release.length,
    (calls) => calls === 2,
  );
  release[1]?.(204);
  const [second, first] = await all(2, isOver);
  expect(app.calls).toHaveLength(2);
  expect(first?.apps.intranet).toMatchObject({ servedBy: second?.revocationId, failures: [{ reason: 'server' }] });
  await eventually(accounts, ({ length }) => length === 0);
});

it('that are refused are refused together', async () => {
  const release: (() => void)[] = [];
  app.answerWith((res) => void release.push(() => res.writeHead(400).end()));
  await revoke();
  await eventually(
    () => release.length,
    (calls) => calls === 1,
  );
  await revoke();
  await revoke();
  await all(3, (_, { state }) => state === 'waiting');
  release[0]?.();
  await eventually(
    () => release.length,
    (calls) => calls === 2,
  );
  release[1]?.();
  await all(3, ({ status }) => status === 'failed');
  expect(app.calls).toHaveLength(2);
});

it('that come late have the whole of retryFor before them, and where it is given up each of them is told of', async () => {
  app.answerWith(answer(500));
  await revoke();
  await eventually(
    () => app.calls.length,
    (calls) => calls >= 2,
  );
  await revoke();
  const joinedAt = Date.now();
  const [second, first] = await all(2, ({ status }) => status === 'failed');
  expect(first?.apps.intranet?.at).toBe(second?.apps.intranet?.at);
  expect((second?.apps.intranet?.at as number) - joinedAt).toBeGreaterThan(3_500);
  const failed = await eventually(
    () => operators.calls.map(({ body }) => JSON.parse(body) as { type: string; data: { revocationId: string } }),
    (told) => told.length === 2,
  );
  const ids = new Set(failed.map(({ data }) => data.revocationId));
  expect(ids).toEqual(new Set([first?.revocationId, second?.revocationId]));
}, 40_000);
