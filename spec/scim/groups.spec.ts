/** `/Groups` over HTTP: Okta's Group Push and Entra's, versions, filters, and what is refused and then changes nothing. */
import { startGateway } from '../support/gateway.js';
import { createScimClient, ERROR, GROUP, SCIM_TOKEN, type ScimClient, USER } from '../support/scim.js';

let gateway: Awaited<ReturnType<typeof startGateway>>;
let client: ScimClient;
let [ada, grace, alan] = ['', '', ''];
let number = 0;

beforeAll(async () => {
  gateway = await startGateway({ tenants: [{ id: 'default', scim: { tokens: [SCIM_TOKEN] } }] });
  client = createScimClient(gateway.url);
  [ada, grace, alan] = (await Promise.all(['ada', 'grace', 'alan'].map((name) => client.createUser(name)))) as [
    string,
    string,
    string,
  ];
});
afterAll(() => gateway.close());

const freshName = () => `Group ${++number}`;
const refs = (...ids: string[]) => ids.map((value) => ({ value }));
const body = (displayName: string, more: object = {}) => ({ schemas: [GROUP], displayName, ...more });
const state = () => gateway.state();
const groupsOf = async (id: string) =>
  new Set(((await client.get(`/Users/${id}`)).body.groups ?? []).map(({ display }: { display: string }) => display));

describe('a new group', () => {
  it('comes back with its members, its version and where it is', async () => {
    const name = freshName();
    const response = await client.post('/Groups', body(name, { externalId: 'e1', members: refs(ada, grace, ada) }));
    expect(response.status).toBe(201);
    const { id, meta } = response.body;
    const location = `${gateway.config.settings.publicUrl}/scim/v2/Groups/${id}`;
    expect(response.headers).toMatchObject({ location, etag: meta.version });
    expect(response.body).toEqual({
      ...body(name),
      id: expect.stringMatching(/^\d{15}$/),
      externalId: 'e1',
      members: expect.arrayContaining(
        [ada, grace].map((value) => ({
          value,
          type: 'User',
          $ref: `${gateway.config.settings.publicUrl}/scim/v2/Users/${value}`,
        })),
      ),
      meta: {
        resourceType: 'Group',
        created: expect.any(String),
        lastModified: expect.any(String),
        version: expect.any(String),
        location,
      },
    });
    expect(response.body.members).toHaveLength(2);
    expect((await client.get(`/Groups/${id}`)).body).toEqual(response.body);
    expect(await groupsOf(ada)).toContain(name);
  });

  it('has members also where it says nothing of them', async () => {
    const { body: group } = await client.post('/Groups', body(freshName()));
    expect(group.members).toEqual([]);
  });

  it.each<[string, (taken: string) => unknown, number, string | undefined]>([
    ['no name', () => ({ schemas: [GROUP] }), 400, 'invalidValue'],
    ['an empty name', () => body(' '), 400, 'invalidValue'],
    ['a name that is a number', () => body(7 as never), 400, 'invalidValue'],
    ['a long name', () => body('x'.repeat(1_025)), 400, 'invalidValue'],
    ['half a surrogate pair for a name', () => '{"displayName":"\\udc00"}', 400, 'invalidSyntax'],
    ['the schema of users', () => body('x', { schemas: [USER] }), 400, 'invalidSyntax'],
    ['a name that is taken', (taken) => body(` ${taken.toUpperCase()} `), 409, 'uniqueness'],
    ['a member who is nobody', () => body('x', { members: refs(ada, '1') }), 400, 'invalidValue'],
    [
      'a member that is a group',
      () => body('x', { members: [{ value: '../Groups/1', type: 'Group' }] }),
      400,
      'invalidValue',
    ],
    ['members that are strings', () => body('x', { members: [ada] }), 400, 'invalidValue'],
    ['a list', () => [], 400, 'invalidSyntax'],
  ])('with %s is not made, nor is another changed into it', async (_, given, status, scimType) => {
    const [name, taken] = [freshName(), freshName()];
    const id = await client.createGroup(name, [ada]);
    await client.createGroup(taken);
    const before = await state();
    for (const response of [
      await client.post('/Groups', given(taken)),
      await client.put(`/Groups/${id}`, given(taken)),
    ]) {
      expect(response.status).toBe(status);
      expect(response.body).toEqual({ schemas: [ERROR], status: `${status}`, scimType, detail: expect.any(String) });
    }
    expect(await state()).toEqual(before);
  });
});

describe('a name that is no text', () => {
  it('that got in elsewhere hurts nobody', async () => {
    const { groups, users } = gateway.directory;
    const user = await users.create('default', { userName: `odd-${++number}` });
    const group = await groups.create('default', { displayName: 'Odd \ud800' }, [user.id]);
    await groups.replace('default', (await groups.get('default', group.id)) ?? group, { displayName: 'Odder \udc00' });
    const [[found] = []] = await users.find('default', [{ kind: 'id', value: user.id }]);
    expect(found?.groups).toEqual(['Odder \ufffd', 'Odd \ufffd']);
    expect((await client.delete(`/Groups/${group.id}`)).status).toBe(204);
  });
});

describe('a push', () => {
  it('by Okta: looked up, made, filled in portions, renamed, emptied, deleted', async () => {
    const name = freshName();
    const found = await client.list('Groups', { filter: `displayName eq "${name}"` });
    expect(found.body.totalResults).toBe(0);
    const id = await client.createGroup(name);
    const add = (...ids: string[]) =>
      client.patch(`/Groups/${id}`, [{ op: 'add', path: 'members', value: refs(...ids) }]);
    expect((await add(ada, grace)).status).toBe(204);
    expect((await add(alan, grace)).status).toBe(204);
    expect(await client.members(id)).toEqual(new Set([ada, grace, alan]));
    await client.patch(`/Groups/${id}`, [{ op: 'replace', value: { id, displayName: `${name} renamed` } }]);
    expect((await client.get(`/Groups/${id}`)).body.displayName).toBe(`${name} renamed`);
    expect(await groupsOf(ada)).toContain(`${name} renamed`);
    await client.patch(`/Groups/${id}`, [{ op: 'remove', path: `members[value eq "${ada}"]` }]);
    expect(await client.members(id)).toEqual(new Set([grace, alan]));
    expect(await groupsOf(ada)).not.toContain(`${name} renamed`);
    await client.put(`/Groups/${id}`, body(name, { members: refs(ada) }));
    expect(await client.members(id)).toEqual(new Set([ada]));
    expect((await client.delete(`/Groups/${id}`)).status).toBe(204);
    expect((await client.get(`/Groups/${id}`)).status).toBe(404);
    expect(await groupsOf(ada)).not.toContain(name);
    expect((await client.list('Groups', { filter: `displayName eq "${name}"` })).body.totalResults).toBe(0);
  });

  it('by Entra: without members in the answers, and asking who is in it', async () => {
    const name = freshName();
    const id = await client.createGroup(name, [ada, grace]);
    const query = { excludedAttributes: 'members', filter: `displayName eq "${name.toUpperCase()}"` };
    const { body: found } = await client.list('Groups', query);
    expect(found.Resources).toEqual([{ ...body(name), id, meta: expect.anything() }]);
    const isMember = async (user: string) =>
      (await client.list('Groups', { filter: `id eq "${id}" and members eq "${user}"`, attributes: 'id' })).body
        .totalResults === 1;
    expect([await isMember(ada), await isMember(alan)]).toEqual([true, false]);
    await client.patch(`/Groups/${id}`, [{ op: 'Remove', path: 'members', value: refs(ada, alan) }]);
    await client.patch(`/Groups/${id}`, [{ op: 'Add', path: 'members', value: refs(alan) }]);
    expect([await isMember(ada), await isMember(alan)]).toEqual([false, true]);
  });

  it('answers with what is asked for', async () => {
    const id = await client.createGroup(freshName());
    const operations = [{ op: 'add', path: 'members', value: refs(ada) }];
    const { status, body: group } = await client.patch(`/Groups/${id}?attributes=members.value`, operations);
    expect(status).toBe(200);
    expect(group).toEqual({ schemas: [GROUP], id, members: refs(ada) });
  });

  it('of several operations takes them one after the other', async () => {
    const id = await client.createGroup(freshName(), [ada]);
    await client.patch(`/Groups/${id}`, [
      { op: 'replace', path: 'members', value: refs(grace, alan) },
      { op: 'remove', path: `members[value eq "${alan}"]` },
      { op: 'add', path: 'members', value: refs(ada) },
      { op: 'remove', path: 'members', value: refs(ada) },
    ]);
    expect(await client.members(id)).toEqual(new Set([grace]));
  });

  it('that says the same again changes nothing', async () => {
    const name = freshName();
    const id = await client.createGroup(name, [ada]);
    const before = await state();
    await client.patch(`/Groups/${id}`, [{ op: 'add', path: 'members', value: refs(ada) }]);
    await client.patch(`/Groups/${id}`, [{ op: 'remove', path: `members[value eq "${alan}"]` }]);
    await client.patch(`/Groups/${id}`, [{ op: 'replace', value: { id, displayName: name } }]);
    await client.put(`/Groups/${id}`, body(name, { members: refs(ada) }));
    expect(await state()).toEqual(before);
  });

  it('in portions that come at once loses nobody', async () => {
    const people = await Promise.all(Array.from({ length: 60 }, () => client.createUser(`pushed-${++number}`)));
    const id = await client.createGroup(freshName(), people.slice(0, 20));
    const answers = await Promise.all([
      ...people
        .slice(20)
        .map((one) => client.patch(`/Groups/${id}`, [{ op: 'add', path: 'members', value: refs(one) }])),
      ...people
        .slice(0, 10)
        .map((one) => client.patch(`/Groups/${id}`, [{ op: 'remove', path: `members[value eq "${one}"]` }])),
      client.patch(`/Groups/${id}`, [{ op: 'replace', value: { displayName: `${freshName()} renamed` } }]),
    ]);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204]));
    expect(await client.members(id)).toEqual(new Set(people.slice(10)));
    expect((await client.get(`/Groups/${id}`)).body.displayName).toMatch(/renamed$/);
  });
});

describe('a replacement', () => {
  it('that says nothing of members keeps them', async () => {
    const id = await client.createGroup(freshName(), [ada, grace]);
    const name = freshName();
    const { status, body: group } = await client.put(`/Groups/${id}`, body(name));
    expect([status, group.displayName]).toEqual([200, name]);
    expect(new Set(group.members.map(({ value }: { value: string }) => value))).toEqual(new Set([ada, grace]));
    expect(await groupsOf(ada)).toContain(name);
  });

  it.each([
    ['an empty list', { members: [] }],
    ['null', { members: null }],
    ['an empty list in other letters', { MEMBERS: [] }],
  ])('by %s of members takes everybody out', async (_, none) => {
    const name = freshName();
    const id = await client.createGroup(name, [ada]);
    expect((await client.put(`/Groups/${id}`, body(name, none))).body.members).toEqual([]);
    expect(await groupsOf(ada)).not.toContain(name);
  });
});

describe('a patch that is refused', () => {
  it.each<[string, (taken: string) => object[], number, string]>([
    [
      'for a member who is nobody',
      () => [{ op: 'add', path: 'members', value: refs(grace, '999') }],
      400,
      'invalidValue',
    ],
    [
      'for one, with a new name',
      () => [{ op: 'replace', value: { displayName: 'New', members: refs(grace, '999') } }],
      400,
      'invalidValue',
    ],
    [
      'for a name that is taken, with a new member',
      (taken) => [
        { op: 'add', path: 'members', value: refs(grace) },
        { op: 'replace', path: 'displayName', value: taken },
      ],
      409,
      'uniqueness',
    ],
    [
      'at its last operation',
      () => [
        { op: 'add', path: 'members', value: refs(grace) },
        { op: 'remove', path: 'displayName' },
      ],
      400,
      'mutability',
    ],
    [
      'for a path',
      () => [
        { op: 'remove', path: 'members' },
        { op: 'replace', path: 'owner', value: 'x' },
      ],
      400,
      'invalidPath',
    ],
    ['for a filter', () => [{ op: 'remove', path: 'members[display eq "Ada"]' }], 400, 'invalidFilter'],
    ['without operations', () => [], 400, 'invalidSyntax'],
  ])('%s changes nothing', async (_, operations, status, scimType) => {
    const [id, taken] = [await client.createGroup(freshName(), [ada]), freshName()];
    await client.createGroup(taken);
    const before = await state();
    const response = await client.patch(`/Groups/${id}`, operations(taken));
    expect(response.status).toBe(status);
    expect(response.body).toEqual({ schemas: [ERROR], status: `${status}`, scimType, detail: expect.any(String) });
    expect(await state()).toEqual(before);
  });

  it('for the last of 1,500 members adds none of them, nor a new name', async () => {
    const { users } = gateway.directory;
    const people = await Promise.all(
      Array.from({ length: 1_499 }, async (_, n) => (await users.create('default', { userName: `many-${n}` })).id),
    );
    const id = await client.createGroup(freshName(), [ada]);
    const before = await state();
    const members = refs(...people, '999');
    for (const response of [
      await client.patch(`/Groups/${id}`, [{ op: 'add', path: 'members', value: members }]),
      await client.patch(`/Groups/${id}`, [{ op: 'replace', value: { displayName: freshName(), members } }]),
      await client.put(`/Groups/${id}`, body(freshName(), { members })),
      await client.post('/Groups', body(freshName(), { members })),
    ]) {
      expect(response.status).toBe(400);
      expect(response.body.detail).toContain('999');
    }
    expect(await state()).toEqual(before);
  });

  it('is not there for a group that is not', async () => {
    for (const response of [
      await client.patch('/Groups/1', [{ op: 'add', path: 'members', value: refs(ada) }]),
      await client.put('/Groups/1', body('x', { members: refs(ada) })),
      await client.get('/Groups/1'),
      await client.delete('/Groups/1'),
    ]) {
      expect(response.status).toBe(404);
      expect(response.body).toEqual({ schemas: [ERROR], status: '404', detail: expect.any(String) });
    }
  });
});

describe('a version', () => {
  it('grows with the members, also when one of them is deleted', async () => {
    const gone = await client.createUser(`gone-${++number}`);
    const id = await client.createGroup(freshName());
    const versions = [];
    for (const change of [
      () => client.patch(`/Groups/${id}`, [{ op: 'add', path: 'members', value: refs(gone) }]),
      () => client.patch(`/Groups/${id}`, [{ op: 'replace', path: 'displayName', value: freshName() }]),
      () => client.patch(`/Groups/${id}`, [{ op: 'remove', path: `members[value eq "${gone}"]` }]),
      () => client.patch(`/Groups/${id}`, [{ op: 'add', path: 'members', value: refs(gone) }]),
      () => client.delete(`/Users/${gone}`),
    ]) {
      await change();
      versions.push((await client.get(`/Groups/${id}`)).headers.etag);
    }
    expect(versions).toEqual(['W/"2"', 'W/"3"', 'W/"4"', 'W/"5"', 'W/"6"']);
    expect(await client.members(id)).toEqual(new Set());
    expect((await client.get(`/Groups/${id}`, { 'if-none-match': 'W/"6"' })).status).toBe(304);
  });

  it('other than If-Match is not changed, and one of five who insist comes through', async () => {
    const id = await client.createGroup(freshName(), [ada]);
    const version = (await client.get(`/Groups/${id}`)).headers.etag as string;
    const before = await state();
    const stale = { 'if-match': 'W/"0"' };
    for (const { status } of [
      await client.put(`/Groups/${id}`, body(freshName()), stale),
      await client.patch(`/Groups/${id}`, [{ op: 'add', path: 'members', value: refs(grace) }], stale),
      await client.delete(`/Groups/${id}`, stale),
    ]) {
      expect(status).toBe(412);
    }
    expect(await state()).toEqual(before);
    const people = await Promise.all(Array.from({ length: 5 }, () => client.createUser(`insists-${++number}`)));
    const answers = await Promise.all(
      people.map((one) =>
        client.patch(`/Groups/${id}`, [{ op: 'add', path: 'members', value: refs(one) }], { 'if-match': version }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([204, 412, 412, 412, 412]);
    expect((await client.members(id)).size).toBe(2);
  });
});

describe('a list', () => {
  it.each<[string, (name: string) => string]>([
    ['by name', (name) => `displayName eq "${name.toLowerCase()}"`],
    ['by a part of the name', (name) => `displayName ew "${name.slice(-4)}"`],
    ['by the external id', (name) => `externalId eq "id of ${name}"`],
    ['by a member', () => `members.value eq "${alan}" and displayName sw "listed"`],
    ['by a member in brackets', () => `members[value eq "${alan}"] and displayName sw "listed"`],
    ['by a member who is in, among others', (name) => `displayName eq "${name}" and not (members.value eq "${grace}")`],
  ])('%s has the group', async (_, filter) => {
    const name = `Listed ${freshName()}`;
    const { body: group } = await client.post(
      '/Groups',
      body(name, { externalId: `id of ${name}`, members: refs(alan) }),
    );
    const { status, body: found } = await client.list('Groups', { filter: filter(name) });
    expect(status).toBe(200);
    expect(found.Resources).toEqual([group]);
    await client.delete(`/Groups/${group.id}`);
  });

  it.each([
    'members.display eq "x"',
    'members.value sw "1"',
    'members pr',
    'members[value ne "1"]',
    'not (members pr)',
  ])('by %s is refused', async (filter) => {
    const { status, body: error } = await client.list('Groups', { filter });
    expect(status).toBe(400);
    expect(error.scimType).toBe('invalidFilter');
  });

  it('of users by their groups is refused', async () => {
    for (const filter of ['groups.value eq "1"', 'groups[display eq "x"]', 'userName pr and not (groups pr)']) {
      const { status, body: error } = await client.list('Users', { filter });
      expect([status, error.scimType]).toEqual([400, 'invalidFilter']);
    }
  });
});
