/** Okta provisions people through SCIM as they come, move and go; whom a revocation then reaches, and in which apps. */
import request from 'supertest';
import { eventually } from './support/eventually.js';
import { ADMIN_TOKEN, PUBLIC_URL, startGateway } from './support/gateway.js';
import { CLIENT, type Okta, signRevocation, startOkta } from './support/okta.js';
import { createScimClient, ENTERPRISE, oktaPerson, SCIM_TOKEN, type ScimClient } from './support/scim.js';
import { startTargetApp, type TargetApp } from './support/target-app.js';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const STRICT_TOKEN = `${SCIM_TOKEN}-strict`;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

let okta: Okta;
let app: TargetApp;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let scim: ScimClient;
let strict: ScimClient;
let now = Date.now();
let number = 0;

beforeAll(async () => {
  [okta, app] = await Promise.all([startOkta(), startTargetApp()]);
  const trusts = [{ id: 'okta', issuers: [okta.issuer], client: CLIENT, keys: { jwksUri: okta.jwksUri } }];
  const appOf = (id: string, more: object) => ({
    id,
    connector: 'webhook',
    options: { url: app.url, secret: SECRET },
    ...more,
  });
  gateway = await startGateway(
    {
      assignmentGrace: '30d',
      tenants: [
        {
          id: 'default',
          trusts,
          scim: { tokens: [SCIM_TOKEN] },
          apps: [
            appOf('intranet', {}),
            appOf('build', { assignedTo: { groups: ['Engineering'] }, account: 'externalId' }),
            appOf('vault', { assignedTo: { users: ['00u-keeper', 'keeper@example.com'] }, account: 'userName' }),
            appOf('ledger', { assignedTo: { attribute: { name: 'department', values: ['Finance'] } } }),
          ],
        },
        {
          id: 'strict',
          trusts,
          scim: { tokens: [STRICT_TOKEN], revokeOnDeactivate: true },
          apps: [appOf('intranet', {}), appOf('build', { assignedTo: { groups: ['Engineering'] } })],
        },
      ],
    },
    { now: () => now },
  );
  scim = createScimClient(gateway.url);
  strict = createScimClient(gateway.url, { tenant: 'strict', token: STRICT_TOKEN });
});
afterAll(async () => {
  await gateway.close();
  await Promise.all([okta.close(), app.close()]);
});
beforeEach(() => {
  app.calls.length = 0;
});

const person = (more: object = {}) => oktaPerson(++number, more);

async function create(client: ScimClient, body: object): Promise<string> {
  const { status, body: created } = await client.post('/Users', body);
  expect(status).toBe(201);
  return created.id;
}

/** The group of this name with these members, as a push has it: made where it is missing, filled by PATCH. */
async function push(client: ScimClient, displayName: string, ...members: string[]): Promise<string> {
  const { body: found } = await client.list('Groups', { filter: `displayName eq "${displayName}"` });
  const id = found.Resources[0]?.id ?? (await client.createGroup(displayName));
  const value = members.map((member) => ({ value: member }));
  expect((await client.patch(`/Groups/${id}`, [{ op: 'add', path: 'members', value }])).status).toBe(204);
  return id;
}

const leave = (client: ScimClient, group: string, member: string) =>
  client.patch(`/Groups/${group}`, [{ op: 'remove', path: `members[value eq "${member}"]` }]);

async function revoke(subject: object, tenant?: string) {
  const path = `${tenant ? `/tenants/${tenant}` : ''}/global-token-revocation`;
  const jwt = await signRevocation(okta.key, { issuer: okta.issuer, audience: PUBLIC_URL + path }, { now });
  return request(gateway.url).post(path).set('authorization', `Bearer ${jwt}`).send({ sub_id: subject });
}

type Listed = { revocationId: string; status: string; trust: string; user: string; apps: { app: string }[] };

async function revocations(tenant: string): Promise<Listed[]> {
  const list = request(gateway.url).get(`/api/revocations?tenant=${tenant}`);
  return (await list.set('authorization', `Bearer ${ADMIN_TOKEN}`)).body.revocations;
}

/** What the apps were told since the last look, once every revocation is done. */
async function told(tenant = 'default'): Promise<string[]> {
  await eventually(
    () => revocations(tenant),
    (list) => list.length > 0 && list.every(({ status }) => status === 'completed'),
  );
  const calls = app.calls.splice(0).map(({ body }) => JSON.parse(body).data);
  return calls.map((data) => `${data.app} ${data.account}`).toSorted((a, b) => a.localeCompare(b));
}

/** Whom a revocation reaches that names the person in one of Okta's two ways. */
async function reached(subject: object, tenant?: string): Promise<string[]> {
  now += 1_000;
  const before = new Set((await revocations(tenant ?? 'default')).map(({ revocationId }) => revocationId));
  expect((await revoke(subject, tenant)).status).toBe(204);
  await eventually(
    () => revocations(tenant ?? 'default'),
    (list) => list.some(({ revocationId }) => !before.has(revocationId)),
  );
  return told(tenant);
}

const byEmail = (email: string) => ({ format: 'email', email });
const byId = (sub: string) => ({ format: 'iss_sub', iss: okta.issuer, sub });

describe("Okta's life-cycle of a person", () => {
  it('from the look-up to the deactivation and back', async () => {
    const ada = person();
    const lookUp = { filter: `userName eq "${ada.userName}"`, startIndex: 1, count: 100 };
    expect((await scim.list('Users', lookUp)).body).toMatchObject({ totalResults: 0, Resources: [] });
    const id = await create(scim, ada);
    expect((await scim.list('Users', lookUp)).body).toMatchObject({ totalResults: 1, Resources: [{ id }] });
    expect(await reached(byEmail(ada.userName))).toEqual([`intranet ${ada.userName}`]);

    // A new name and a new address come as PUT of the whole, which Okta has read before.
    const { body: read } = await scim.get(`/Users/${id}`);
    const renamed = `new-${ada.userName}`;
    const changed = { ...read, userName: renamed, emails: [{ primary: true, value: renamed, type: 'work' }] };
    expect((await scim.put(`/Users/${id}`, changed)).body).toMatchObject({
      id,
      userName: renamed,
      externalId: ada.externalId,
    });
    expect((await revoke(byEmail(ada.userName))).status).toBe(404);
    expect(await reached(byEmail(renamed.toUpperCase()))).toEqual([`intranet ${renamed}`]);
    expect(await reached(byId(ada.externalId))).toEqual([`intranet ${renamed}`]);

    // Unassigned: never a DELETE.
    const active = (value: boolean) => scim.patch(`/Users/${id}`, [{ op: 'replace', value: { active: value } }]);
    expect((await active(false)).body).toMatchObject({ id, active: false });
    expect(await reached(byEmail(renamed))).toEqual([`intranet ${renamed}`]);
    expect((await active(true)).body).toMatchObject({ id, active: true });
    expect(await reached(byEmail(renamed))).toEqual([`intranet ${renamed}`]);
  });

  it('whose create came twice, and whose answers were lost', async () => {
    const ada = person();
    const answers = await Promise.all([scim.post('/Users', ada), scim.post('/Users', ada)]);
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409]);
    const { body } = await scim.list('Users', { filter: `userName eq "${ada.userName}"` });
    expect(body.totalResults).toBe(1);
    const off = () => scim.patch(`/Users/${body.Resources[0].id}`, [{ op: 'replace', value: { active: 'False' } }]);
    const [first, second] = [await off(), await off()];
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.body).toEqual(first.body);
  });
});

describe('a group that decides over an app', () => {
  it('is pushed, filled, renamed, left, and deleted', async () => {
    const [ada, grace] = [person(), person()];
    const [first, second] = [await create(scim, ada), await create(scim, grace)];
    const group = await push(scim, 'Engineering', first);
    await push(scim, 'Engineering', second, first);
    expect(await reached(byEmail(ada.userName))).toEqual([`build ${ada.externalId}`, `intranet ${ada.userName}`]);

    // Left a minute ago: the session is still there, so it is still reached.
    expect((await leave(scim, group, first)).status).toBe(204);
    now += MINUTE;
    expect(await reached(byEmail(ada.userName))).toEqual([`build ${ada.externalId}`, `intranet ${ada.userName}`]);
    expect((await scim.get(`/Users/${first}`)).body.groups).toBeUndefined();

    // Renamed in Okta, without a word to the settings here.
    await scim.patch(`/Groups/${group}`, [{ op: 'replace', value: { id: group, displayName: 'Makers' } }]);
    now += MINUTE;
    expect(await reached(byEmail(grace.userName))).toEqual([`build ${grace.externalId}`, `intranet ${grace.userName}`]);

    // After the grace, neither who left nor who is in a group of another name.
    now += 30 * DAY;
    expect(await reached(byEmail(ada.userName))).toEqual([`intranet ${ada.userName}`]);
    expect(await reached(byEmail(grace.userName))).toEqual([`intranet ${grace.userName}`]);

    await scim.patch(`/Groups/${group}`, [{ op: 'replace', value: { id: group, displayName: 'Engineering' } }]);
    expect(await reached(byEmail(grace.userName))).toEqual([`build ${grace.externalId}`, `intranet ${grace.userName}`]);
    expect((await scim.delete(`/Groups/${group}`)).status).toBe(204);
    now += 29 * DAY;
    expect(await reached(byEmail(grace.userName))).toEqual([`build ${grace.externalId}`, `intranet ${grace.userName}`]);
    now += 2 * DAY;
    expect(await reached(byEmail(grace.userName))).toEqual([`intranet ${grace.userName}`]);
  });

  it('that was renamed counts for who then leaves it, as long as its old name does', async () => {
    const ada = person();
    const id = await create(scim, ada);
    const group = await push(scim, 'Engineering', id);
    await scim.patch(`/Groups/${group}`, [{ op: 'replace', path: 'displayName', value: 'Builders' }]);
    now += 10 * DAY;
    await leave(scim, group, id);
    now += 19 * DAY;
    expect(await reached(byId(ada.externalId))).toContain(`build ${ada.externalId}`);
    now += 2 * DAY;
    expect(await reached(byId(ada.externalId))).not.toContain(`build ${ada.externalId}`);
  });

  it('stays decided while the person is deactivated', async () => {
    const ada = person();
    const id = await create(scim, ada);
    await push(scim, 'Engineering', id);
    await scim.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }]);
    now += 90 * DAY;
    expect(await reached(byId(ada.externalId))).toEqual([`build ${ada.externalId}`, `intranet ${ada.userName}`]);
  });
});

describe('an app for some', () => {
  it.each<[string, object, (who: ReturnType<typeof person>) => string]>([
    ['named by their external id', { externalId: '00u-keeper' }, ({ userName }) => `vault ${userName}`],
    [
      'named by their userName, whatever its letters',
      { userName: 'Keeper@Example.com' },
      ({ userName }) => `vault ${userName}`,
    ],
    ['with an attribute', { [ENTERPRISE]: { department: 'Finance' } }, ({ emails }) => `ledger ${emails[0]?.value}`],
  ])('%s is reached for them alone', async (_, more, expected) => {
    const [one, other] = [person(more), person()];
    const [id] = [await create(scim, one), await create(scim, other)];
    expect(await reached(byId(one.externalId))).toContain(expected(one));
    expect(await reached(byId(other.externalId))).toEqual([`intranet ${other.userName}`]);
    await scim.delete(`/Users/${id}`);
  });
});

describe('a person who was deleted', () => {
  it('can be named until the grace is over', async () => {
    const ada = person();
    const id = await create(scim, ada);
    await push(scim, 'Engineering', id);
    expect((await scim.delete(`/Users/${id}`)).status).toBe(204);
    expect((await scim.get(`/Users/${id}`)).status).toBe(404);
    const both = [`build ${ada.externalId}`, `intranet ${ada.userName}`];
    expect(await reached(byEmail(ada.userName))).toEqual(both);
    now += 29 * DAY;
    expect(await reached(byId(ada.externalId))).toEqual(both);
    now += 2 * DAY;
    for (const subject of [byEmail(ada.userName), byId(ada.externalId)])
      expect((await revoke(subject)).status).toBe(404);
  });

  it('stands behind a new one of the same name, also when that one goes', async () => {
    const ada = person();
    const old = await create(scim, ada);
    await push(scim, 'Engineering', old);
    await scim.delete(`/Users/${old}`);
    const young = await create(scim, { ...ada, externalId: `${ada.externalId}-new` });
    expect(young).not.toBe(old);
    expect(await reached(byEmail(ada.userName))).toEqual([`intranet ${ada.userName}`]);
    expect(await reached(byId(`${ada.externalId}-new`))).toEqual([`intranet ${ada.userName}`]);
    expect(await reached(byId(ada.externalId))).toEqual([`build ${ada.externalId}`, `intranet ${ada.userName}`]);
    await scim.delete(`/Users/${young}`);
    for (const subject of [byEmail(ada.userName), byId(`${ada.externalId}-new`)]) {
      expect(await reached(subject)).toEqual([`intranet ${ada.userName}`]);
      expect((await revocations('default'))[0]).toMatchObject({ user: young });
    }
    expect(await reached(byId(ada.externalId))).toEqual([`build ${ada.externalId}`, `intranet ${ada.userName}`]);
    expect((await revocations('default'))[0]).toMatchObject({ user: old });
  });

  it('is not mistaken for whoever has the address now beside another', async () => {
    const [ada, boss] = [person(), person()];
    const gone = await create(scim, ada);
    const emails = [...boss.emails, { value: ada.userName, type: 'other', primary: false }];
    await create(scim, { ...boss, emails });
    await scim.delete(`/Users/${gone}`);
    const before = await revocations('default');
    expect((await revoke(byEmail(ada.userName))).status).toBe(422);
    const byHand = request(gateway.url).post('/api/revocations').set('authorization', `Bearer ${ADMIN_TOKEN}`);
    expect((await byHand.send({ email: ada.userName })).status).toBe(422);
    expect(await revocations('default')).toEqual(before);
    expect(await reached(byEmail(boss.userName))).toEqual([`intranet ${boss.userName}`]);
  });
});

describe('where a deactivation is a revocation', () => {
  const started = async (user: string) => (await revocations('strict')).filter((one) => one.user === user);

  it.each<[string, (id: string, who: ReturnType<typeof person>) => Promise<{ status: number }>]>([
    ['a PATCH of active', (id) => strict.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }])],
    [
      'a PATCH of active as a string',
      (id) => strict.patch(`/Users/${id}`, [{ op: 'Replace', path: 'active', value: 'False' }]),
    ],
    ['a PUT without the person being active', (id, who) => strict.put(`/Users/${id}`, { ...who, active: false })],
    ['a DELETE', (id) => strict.delete(`/Users/${id}`)],
  ])('%s starts one, also when Okta sends it again', async (_, deactivate) => {
    const ada = person();
    const id = await create(strict, ada);
    await push(strict, 'Engineering', id);
    const answers = await Promise.all([deactivate(id, ada), deactivate(id, ada)]);
    for (const { status } of [...answers, await deactivate(id, ada)]) expect([200, 204, 404]).toContain(status);
    await eventually(
      () => started(id),
      (list) => list.length > 0,
    );
    expect(await told('strict')).toEqual([`build ${ada.userName}`, `intranet ${ada.userName}`]);
    expect(await started(id)).toEqual([expect.objectContaining({ trust: 'scim', status: 'completed' })]);
  });

  it('each deactivation starts one of its own, and nothing else does', async () => {
    const ada = person();
    const id = await create(strict, ada);
    const active = (value: boolean) => strict.patch(`/Users/${id}`, [{ op: 'replace', value: { active: value } }]);
    await active(true);
    await strict.patch(`/Users/${id}`, [{ op: 'replace', value: { title: 'Countess' } }]);
    await strict.put(`/Users/${id}`, { ...ada, nickName: 'Al' });
    await active(false);
    await strict.patch(`/Users/${id}`, [{ op: 'replace', value: { title: 'Lady' } }]);
    await active(true);
    await active(false);
    await strict.delete(`/Users/${id}`);
    await eventually(
      () => started(id),
      (list) => list.length === 2,
    );
    expect(await told('strict')).toEqual([`intranet ${ada.userName}`, `intranet ${ada.userName}`]);
    expect(await started(id)).toHaveLength(2);
  });

  it('one among many changes at the same time starts one', async () => {
    const id = await create(strict, person());
    await Promise.all([
      ...Array.from({ length: 8 }, (_, n) =>
        strict.patch(`/Users/${id}`, [{ op: 'add', path: 'roles', value: [{ value: `${n}` }] }]),
      ),
      strict.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }]),
      ...Array.from({ length: 8 }, (_, n) =>
        strict.patch(`/Users/${id}`, [{ op: 'replace', value: { title: `${n}` } }]),
      ),
    ]);
    await eventually(
      () => started(id),
      (list) => list.length > 0,
    );
    await told('strict');
    expect(await started(id)).toHaveLength(1);
    expect((await strict.get(`/Users/${id}`)).body).toMatchObject({
      active: false,
      roles: expect.arrayContaining([{ value: '7' }]),
    });
  });

  it('one that is refused starts none', async () => {
    const [ada, grace] = [person(), person()];
    const [id] = [await create(strict, ada), await create(strict, grace)];
    const off = { op: 'replace', value: { active: false } };
    const stale = { 'if-match': 'W/"9"' };
    expect(
      (await strict.patch(`/Users/${id}`, [off, { op: 'replace', path: 'userName', value: grace.userName }])).status,
    ).toBe(409);
    expect((await strict.put(`/Users/${id}`, { ...ada, externalId: grace.externalId, active: false })).status).toBe(
      409,
    );
    expect((await strict.patch(`/Users/${id}`, [off, { op: 'remove', path: 'userName' }])).status).toBe(400);
    expect((await strict.patch(`/Users/${id}`, [off], stale)).status).toBe(412);
    expect((await strict.delete(`/Users/${id}`, stale)).status).toBe(412);
    expect((await scim.patch(`/Users/${id}`, [off])).status).toBe(404);
    expect((await createScimClient(gateway.url, { tenant: 'strict' }).patch(`/Users/${id}`, [off])).status).toBe(401);
    // The next one is the first.
    expect(await reached(byId(ada.externalId), 'strict')).toEqual([`intranet ${ada.userName}`]);
    expect(await started(id)).toEqual([expect.objectContaining({ trust: 'okta' })]);
  });

  it('another tenant goes on without', async () => {
    const id = await create(scim, person());
    const before = (await revocations('default')).length;
    await scim.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }]);
    await scim.delete(`/Users/${id}`);
    await told();
    expect(await revocations('default')).toHaveLength(before);
  });
});

describe('two tenants', () => {
  it('have people of the same name, and neither sees, changes or revokes the other', async () => {
    const ada = person();
    const [here, there] = [await create(scim, ada), await create(strict, ada)];
    const group = await push(strict, 'Engineering', there);
    for (const response of [
      await scim.get(`/Users/${there}`),
      await scim.put(`/Users/${there}`, ada),
      await scim.delete(`/Users/${there}`),
      await scim.get(`/Groups/${group}`),
      await scim.patch(`/Groups/${group}`, [{ op: 'remove', path: 'members' }]),
      await scim.delete(`/Groups/${group}`),
    ]) {
      expect(response.status).toBe(404);
    }
    const mixed = await scim.post('/Groups', { displayName: 'Mixed', members: [{ value: here }, { value: there }] });
    expect([mixed.status, mixed.body.scimType]).toEqual([400, 'invalidValue']);
    expect(await reached(byEmail(ada.userName))).toEqual([`intranet ${ada.userName}`]);
    expect(await reached(byEmail(ada.userName), 'strict')).toEqual([
      `build ${ada.userName}`,
      `intranet ${ada.userName}`,
    ]);
    await scim.delete(`/Users/${here}`);
    expect((await strict.get(`/Users/${there}`)).body).toMatchObject({ id: there, active: true });
  });
});
