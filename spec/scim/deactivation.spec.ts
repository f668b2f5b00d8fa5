/** Deactivations that are revocations, where a request is cut off or another comes in between: one logout each, and none lost. */
import request from 'supertest';
import { eventually } from '../support/eventually.js';
import { ADMIN_TOKEN, startGateway } from '../support/gateway.js';
import { createScimClient, oktaPerson, SCIM_TOKEN, type ScimClient } from '../support/scim.js';
import { startTargetApp, type TargetApp } from '../support/target-app.js';
import { startWire, type Wire } from '../support/wire.js';

const MINUTE = 60_000;

let app: TargetApp;
let wire: Wire;
let gateway: Awaited<ReturnType<typeof startGateway>>;
/** Another process of the same gateway, whose wire to Redis fails. */
let wired: Awaited<ReturnType<typeof startGateway>>;
let scim: ScimClient;
let slow: ScimClient;
let now = Date.now();
let number = 0;

beforeAll(async () => {
  const redisUrl = process.env.TEST_REDIS_URL as string;
  [app, wire] = await Promise.all([startTargetApp(), startWire(Number(new URL(redisUrl).port))]);
  const options = { url: app.url, secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' };
  const settings = {
    tenants: [
      {
        id: 'default',
        scim: { tokens: [SCIM_TOKEN], revokeOnDeactivate: true },
        apps: [{ id: 'intranet', connector: 'webhook', options }],
      },
    ],
  };
  gateway = await startGateway(settings, { now: () => now });
  const { prefix } = gateway;
  wired = await startGateway(settings, { prefix, now: () => now, roles: ['api'], config: { redisUrl: wire.url } });
  [scim, slow] = [gateway, wired].map(({ url }) => createScimClient(url)) as [ScimClient, ScimClient];
});
afterAll(async () => {
  await wired.close();
  await gateway.close();
  await Promise.all([app.close(), wire.close()]);
});

const off = (client: ScimClient, id: string, headers?: Record<string, string>) =>
  client.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }], headers);
const titled = (id: string, title: string) =>
  scim.patch(`/Users/${id}`, [{ op: 'replace', path: 'title', value: title }]);

async function create(): Promise<{ id: string; userName: string }> {
  const { body, status } = await scim.post('/Users', oktaPerson(++number));
  expect(status).toBe(201);
  return body;
}

async function revocationsOf(id: string): Promise<{ revocationId: string; status: string }[]> {
  const list = request(gateway.url).get('/api/revocations?tenant=default');
  const { body } = await list.set('authorization', `Bearer ${ADMIN_TOKEN}`);
  return body.revocations.filter(({ user }: { user: string }) => user === id);
}

/** Waits for that many revocations, and for all to be done; answers how often the app was told of the person. */
async function logouts({ id, userName }: { id: string; userName: string }, count: number): Promise<number> {
  await eventually(
    () => revocationsOf(id),
    (list) => list.length >= count && list.every(({ status }) => status === 'completed'),
  );
  // Time for one too many to be seen.
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(await revocationsOf(id)).toHaveLength(count);
  return app.calls.filter(({ body }) => JSON.parse(body).data.account === userName).length;
}

/** The second look at the user, whom to tell of. */
const isLook = (bytes: string) => bytes.includes('\r\nid\r\n');

/** The change itself: what is told before it says nothing of these. */
const isWrite = (bytes: string) => /"active":false|"deletedAt"/.test(bytes);

/** The deactivation is told of, and cut off before it is written. */
async function cutOff(id: string): Promise<void> {
  wire.deadFrom(isWrite);
  expect((await off(slow, id)).status).toBe(503);
  wire.mend();
  expect((await scim.get(`/Users/${id}`)).body.active).toBe(true);
}

describe('a deactivation that is cut off before it is written', () => {
  it('and comes again at once is one logout', async () => {
    const ada = await create();
    await cutOff(ada.id);
    expect(await logouts(ada, 1)).toBe(1);
    now += MINUTE;
    expect((await off(scim, ada.id)).body.active).toBe(false);
    expect(await logouts(ada, 1)).toBe(1);
  });

  it('takes nothing from a deactivation of a later day', async () => {
    const ada = await create();
    await cutOff(ada.id);
    expect(await logouts(ada, 1)).toBe(1);
    // Assigned again at Okta, which changes nothing here; then the person works for a while, and is dismissed.
    expect((await scim.patch(`/Users/${ada.id}`, [{ op: 'replace', value: { active: true } }])).status).toBe(200);
    for (const count of [2, 3]) {
      now += 24 * 60 * MINUTE;
      if (count === 2) await cutOff(ada.id);
      else expect((await off(scim, ada.id)).body.active).toBe(false);
      expect(await logouts(ada, count)).toBe(count);
    }
  });
});

/** Three ways to deactivate somebody, each through the wire. */
const ways: [string, (user: { id: string }, headers?: Record<string, string>) => Promise<{ status: number }>][] = [
  ['PATCH', ({ id }, headers) => off(slow, id, headers)],
  ['PUT', (user, headers) => slow.put(`/Users/${user.id}`, { ...user, active: false }, headers)],
  ['DELETE', ({ id }, headers) => slow.delete(`/Users/${id}`, headers)],
];

describe.each(ways)('where another change gets in, a %s', (method, deactivate) => {
  it('that comes second is the same logout', async () => {
    const ada = await create();
    const { arrived, letGo } = wire.holdFrom(isLook);
    const answer = deactivate(ada);
    await arrived;
    expect((await off(scim, ada.id)).status).toBe(200);
    letGo();
    expect((await answer).status).toBe(method === 'DELETE' ? 204 : 200);
    expect(await logouts(ada, 1)).toBe(1);
  });

  it('that insists on a version starts nothing where it is answered 412', async () => {
    const ada = await create();
    const { arrived, letGo } = wire.holdFrom(isLook);
    const answer = deactivate(ada, { 'if-match': 'W/"1"' });
    await arrived;
    expect((await titled(ada.id, 'Countess')).status).toBe(200);
    letGo();
    expect((await answer).status).toBe(412);
    expect(await logouts(ada, 0)).toBe(0);
    expect((await scim.get(`/Users/${ada.id}`)).body).toMatchObject({ active: true, title: 'Countess' });
  });

  it('that insists on a version and was told of is carried out', async () => {
    const ada = await create();
    const { arrived, letGo } = wire.holdFrom(isWrite);
    const answer = deactivate(ada, { 'if-match': 'W/"1"' });
    await arrived;
    expect((await titled(ada.id, 'Countess')).status).toBe(200);
    letGo();
    expect((await answer).status).toBe(method === 'DELETE' ? 204 : 200);
    expect(await logouts(ada, 1)).toBe(1);
    const { status, body } = await scim.get(`/Users/${ada.id}`);
    expect([status, body.active, body.title]).toEqual(
      {
        PATCH: [200, false, 'Countess'],
        PUT: [200, false, undefined],
        DELETE: [404, undefined, undefined],
      }[method],
    );
  });
});
