/** Our answers as somebody else's SCIM client reads them: every body goes through scimmy's own messages and schemas. */
import SCIMMY from 'scimmy';
import { startGateway } from '../support/gateway.js';
import { createScimClient, ENTERPRISE, SCIM_TOKEN, type ScimClient, USER } from '../support/scim.js';

let gateway: Awaited<ReturnType<typeof startGateway>>;
let client: ScimClient;
let [ada, group] = ['', ''];

beforeAll(async () => {
  SCIMMY.Schemas.User.extend(SCIMMY.Schemas.EnterpriseUser as never);
  gateway = await startGateway({ tenants: [{ id: 'default', scim: { tokens: [SCIM_TOKEN] } }] });
  client = createScimClient(gateway.url);
  ada = await client.createUser('ada@example.com', {
    schemas: [USER, ENTERPRISE],
    externalId: '00u1',
    name: { givenName: 'Ada', familyName: 'King' },
    emails: [{ value: 'ada@example.com', type: 'work', primary: true }],
    phoneNumbers: [{ value: '+44 1632 960001', type: 'mobile' }],
    [ENTERPRISE]: { department: 'Engineering', manager: { value: '42' } },
  });
  await client.createUser('grace');
  group = await client.createGroup('Engineering', [ada]);
});
afterAll(() => gateway.close());

const plain = (value: unknown) => JSON.parse(JSON.stringify(value));

it('reads a user, and finds nothing missing', async () => {
  const { body } = await client.get(`/Users/${ada}`);
  const read = plain(new SCIMMY.Schemas.User(body, 'out'));
  expect(read).toMatchObject({
    ...body,
    meta: { resourceType: 'User', version: body.meta.version, location: body.meta.location },
  });
});

it('reads a group, and finds nothing missing', async () => {
  const { body } = await client.get(`/Groups/${group}`);
  const read = plain(new SCIMMY.Schemas.Group(body, 'out'));
  expect(read).toMatchObject({ id: group, displayName: 'Engineering', members: body.members });
});

it.each<['Users' | 'Groups', Record<string, string | number>]>([
  ['Users', {}],
  ['Users', { count: 1, startIndex: 2 }],
  ['Users', { filter: 'userName eq "nobody"' }],
  ['Users', { filter: 'userName sw "a"', sortBy: 'userName', attributes: 'userName' }],
  ['Groups', {}],
])('reads a list of %s', async (resources, query) => {
  const { body } = await client.list(resources, query);
  const read = new SCIMMY.Messages.ListResponse(body);
  expect(plain(read)).toMatchObject({
    totalResults: body.totalResults,
    Resources: body.Resources,
    itemsPerPage: body.itemsPerPage,
  });
});

it.each<[string, () => Promise<{ status: number; body: object }>]>([
  ['404', () => client.get('/Users/1')],
  ['401', () => createScimClient(gateway.url, { token: 'x' }).get('/Users')],
  ['409', () => client.post('/Users', { userName: 'grace' })],
  ['400', () => client.patch(`/Users/${ada}`, [{ op: 'replace', path: 'id', value: '1' }])],
  ['400', () => client.list('Users', { filter: 'x' })],
  ['412', () => client.delete(`/Users/${ada}`, { 'if-match': 'W/"0"' })],
])('reads a refusal with %s', async (_, send) => {
  const { status, body } = await send();
  // It throws what it reads; without the schema it tells whether the scimType goes with the status.
  let read: unknown;
  try {
    new SCIMMY.Messages.ErrorResponse(body as never);
  } catch (error) {
    read = error;
  }
  const { status: said, scimType, message } = read as Record<string, unknown>;
  expect({ ...body, status: said, scimType, detail: message }).toEqual({ scimType: undefined, ...body });
  expect(plain(new SCIMMY.Messages.ErrorResponse({ ...body, schemas: [] } as never))).toEqual(body);
  expect(said).toBe(String(status));
});

it('says of its schemas what scimmy does', async () => {
  const { body } = await client.get('/Schemas');
  for (const [index, name] of (['User', 'EnterpriseUser', 'Group'] as const).entries()) {
    const { meta: _meta, ...described } = plain(SCIMMY.Schemas[name].definition.describe());
    expect(body.Resources[index]).toMatchObject({
      id: described.id,
      name: described.name,
      attributes: described.attributes,
    });
  }
});

it('sends what scimmy makes of a user, and has it back', async () => {
  const made = new SCIMMY.Schemas.User(
    { userName: 'eve', name: { givenName: 'Eve' }, emails: [{ value: 'eve@example.com', type: 'home' }] } as never,
    'in',
  );
  const { status, body } = await client.post('/Users', plain(made));
  expect(status).toBe(201);
  expect(plain(new SCIMMY.Schemas.User(body, 'out'))).toMatchObject({
    userName: 'eve',
    emails: [{ value: 'eve@example.com', type: 'home' }],
  });
  const patch = new SCIMMY.Messages.PatchOp({
    schemas: [SCIMMY.Messages.PatchOp.id],
    Operations: [{ op: 'replace', path: 'active', value: false }],
  } as never);
  expect((await client.send('patch', `/Users/${body.id}`, plain(patch))).body.active).toBe(false);
});
