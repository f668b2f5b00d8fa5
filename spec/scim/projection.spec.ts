/** `attributes` and `excludedAttributes` (RFC 7644 §3.9): on every answer that has a resource, and `schemas` and `id` always. */
import { readProjection } from '../../src/scim/projection.js';
import { startGateway } from '../support/gateway.js';
import { createScimClient, ENTERPRISE, GROUP, PATCH_OP, SCIM_TOKEN, type ScimClient, USER } from '../support/scim.js';

const body = {
  schemas: [USER, ENTERPRISE],
  userName: 'ada',
  externalId: '00u1',
  name: { givenName: 'Ada', familyName: 'King' },
  active: true,
  emails: [
    { value: 'a@b', type: 'work', primary: true },
    { value: 'c@d', type: 'home' },
  ],
  [ENTERPRISE]: { department: 'Engineering', manager: { value: '42' } },
};
const always = { schemas: body.schemas, id: '1' };
const resource = {
  ...always,
  ...body,
  groups: [{ value: '7', display: 'X' }],
  meta: { resourceType: 'User', version: 'W/"1"' },
};

const only = (attributes: unknown) => readProjection({ attributes })(resource);
const without = (excludedAttributes: unknown) => readProjection({ excludedAttributes })(resource);

describe('attributes', () => {
  it.each<[unknown, object]>([
    ['userName', { userName: 'ada' }],
    ['USERNAME', { userName: 'ada' }],
    ['userName,name', { userName: 'ada', name: body.name }],
    [' userName , active ', { userName: 'ada', active: true }],
    ['name.givenName', { name: { givenName: 'Ada' } }],
    ['name.givenName,name.familyName', { name: body.name }],
    ['name,name.givenName', { name: body.name }],
    ['emails.value', { emails: [{ value: 'a@b' }, { value: 'c@d' }] }],
    ['emails.primary', { emails: [{ primary: true }, {}] }],
    ['groups.display', { groups: [{ display: 'X' }] }],
    ['meta.version', { meta: { version: 'W/"1"' } }],
    [`${USER}:userName`, { userName: 'ada' }],
    [`${USER}:name.givenName`, { name: { givenName: 'Ada' } }],
    [ENTERPRISE, { [ENTERPRISE]: body[ENTERPRISE] }],
    [`${ENTERPRISE}:department`, { [ENTERPRISE]: { department: 'Engineering' } }],
    [`${ENTERPRISE.toLowerCase()}:MANAGER.value`, { [ENTERPRISE]: { manager: { value: '42' } } }],
    ['id', {}],
    ['schemas', {}],
    ['unknown', {}],
    ['userName.x', {}],
    ['__proto__,constructor', {}],
    [['userName', 'active'], { userName: 'ada', active: true }],
  ])('%s', (attributes, shown) => {
    expect(only(attributes)).toEqual({ ...always, ...shown });
  });

  it.each([undefined, '', ' , '])('%p is everything', (attributes) => expect(only(attributes)).toEqual(resource));
});

describe('excludedAttributes', () => {
  const { userName: _userName, groups: _groups, ...noName } = resource;
  it.each<[unknown, object]>([
    ['userName,groups', noName],
    ['name.givenName', { ...resource, name: { familyName: 'King' } }],
    ['emails.type,emails.primary', { ...resource, emails: [{ value: 'a@b' }, { value: 'c@d' }] }],
    [`${ENTERPRISE}:manager`, { ...resource, [ENTERPRISE]: { department: 'Engineering' } }],
    ['id,schemas', resource],
    ['unknown', resource],
    ['', resource],
  ])('%s', (excluded, shown) => {
    expect(without(excluded)).toEqual(shown);
  });
});

describe('over HTTP', () => {
  let gateway: Awaited<ReturnType<typeof startGateway>>;
  let client: ScimClient;
  let [user, group] = ['', ''];

  beforeAll(async () => {
    gateway = await startGateway({ tenants: [{ id: 'default', scim: { tokens: [SCIM_TOKEN] } }] });
    client = createScimClient(gateway.url);
    user = (await client.post('/Users', body)).body.id;
    group = await client.createGroup('Engineering', [user]);
  });
  afterAll(() => gateway.close());

  it.each<[string, () => Promise<{ body: unknown }>]>([
    ['GET', () => client.get(`/Users/${user}?attributes=name.givenName`)],
    ['PUT', () => client.put(`/Users/${user}?attributes=name.givenName`, body)],
    ['PATCH', () => client.patch(`/Users/${user}?attributes=name.givenName`, [{ op: 'add', value: { title: 'x' } }])],
  ])('%s shows what is asked for, and the version beside it', async (_, send) => {
    const response = (await send()) as { body: object; headers: Record<string, string> };
    expect(response.body).toEqual({ ...always, id: user, name: { givenName: 'Ada' } });
    expect(response.headers).toMatchObject({
      etag: expect.stringMatching(/^W\/"\d+"$/),
      location: expect.stringContaining(user),
    });
  });

  it('POST shows what is asked for', async () => {
    const { status, body: created } = await client.post('/Users?attributes=userName', { userName: 'grace' });
    expect(status).toBe(201);
    expect(created).toEqual({ schemas: [USER], id: expect.any(String), userName: 'grace' });
  });

  it('a list shows what is asked for, of the matches by anything', async () => {
    const { body: found } = await client.list('Users', { filter: 'name.familyName eq "king"', attributes: 'userName' });
    expect(found.Resources).toEqual([{ ...always, id: user, userName: 'ada' }]);
  });

  it('the groups of a user, and the members of a group, are read where they are asked for', async () => {
    expect((await client.get(`/Users/${user}`)).body.groups).toEqual([
      expect.objectContaining({ value: group, display: 'Engineering', type: 'direct' }),
    ]);
    expect((await client.get(`/Users/${user}?attributes=groups.value`)).body).toEqual({
      ...always,
      id: user,
      groups: [{ value: group }],
    });
    expect((await client.get(`/Users/${user}?excludedAttributes=groups`)).body.groups).toBeUndefined();
    expect((await client.get(`/Groups/${group}?excludedAttributes=members`)).body.members).toBeUndefined();
    expect((await client.get(`/Groups/${group}?attributes=${GROUP}:members.value`)).body).toEqual({
      schemas: [GROUP],
      id: group,
      members: [{ value: user }],
    });
  });

  it('both at once are refused before anything is written', async () => {
    const before = await gateway.state();
    const query = '?attributes=id&excludedAttributes=name';
    for (const { status, body: error } of [
      await client.post(`/Users${query}`, { userName: 'eve' }),
      await client.put(`/Users/${user}${query}`, { userName: 'eve' }),
      await client.patch(`/Users/${user}${query}`, [{ op: 'replace', value: { active: false } }]),
      await client.post(`/Groups${query}`, { displayName: 'Eve' }),
      await client.put(`/Groups/${group}${query}`, { displayName: 'Eve' }),
      await client.send('patch', `/Groups/${group}${query}`, {
        schemas: [PATCH_OP],
        Operations: [{ op: 'remove', path: 'members' }],
      }),
    ]) {
      expect([status, error.scimType]).toEqual([400, 'invalidValue']);
    }
    expect(await gateway.state()).toEqual(before);
  });
});
