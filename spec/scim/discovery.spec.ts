/** What the service provider says of itself (RFC 7644 §4), and whether it keeps its word. */
import { startGateway } from '../support/gateway.js';
import {
  createScimClient,
  ENTERPRISE,
  ERROR,
  GROUP,
  LIST,
  SCIM_TOKEN,
  type ScimClient,
  USER,
} from '../support/scim.js';

let gateway: Awaited<ReturnType<typeof startGateway>>;
let client: ScimClient;

beforeAll(async () => {
  gateway = await startGateway({ tenants: [{ id: 'acme', scim: { tokens: [SCIM_TOKEN] } }] });
  client = createScimClient(gateway.url, { tenant: 'acme' });
});
afterAll(() => gateway.close());

const base = () => `${gateway.config.settings.publicUrl}/tenants/acme/scim/v2`;

type Described = { name: string; multiValued: boolean; mutability: string; subAttributes?: Described[] };

it('tells what is supported', async () => {
  const { status, headers, body } = await client.get('/ServiceProviderConfig');
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('application/scim+json; charset=utf-8');
  expect(body).toMatchObject({
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig'],
    patch: { supported: true },
    bulk: { supported: false },
    filter: { supported: true, maxResults: 1_000 },
    changePassword: { supported: false },
    sort: { supported: true },
    etag: { supported: true },
    authenticationSchemes: [{ type: 'oauthbearertoken', name: expect.any(String), description: expect.any(String) }],
    meta: { resourceType: 'ServiceProviderConfig', location: `${base()}/ServiceProviderConfig` },
  });
});

it('names users with their extension, and groups', async () => {
  const { body } = await client.get('/ResourceTypes');
  expect(body).toMatchObject({ schemas: [LIST], totalResults: 2, itemsPerPage: 2, startIndex: 1 });
  const [user, group] = body.Resources;
  expect(user).toMatchObject({
    id: 'User',
    name: 'User',
    endpoint: '/Users',
    schema: USER,
    schemaExtensions: [{ schema: ENTERPRISE, required: false }],
  });
  expect(group).toMatchObject({ id: 'Group', name: 'Group', endpoint: '/Groups', schema: GROUP });
  for (const type of [user, group]) {
    expect(type.meta.location).toBe(`${base()}/ResourceTypes/${type.id}`);
    expect((await client.get(`/ResourceTypes/${type.id}`)).body).toEqual(type);
    expect((await client.get(type.endpoint)).status).toBe(200);
  }
});

it('describes three schemas, each also alone', async () => {
  const { body } = await client.get('/Schemas');
  expect(body.Resources.map(({ id }: { id: string }) => id)).toEqual([USER, ENTERPRISE, GROUP]);
  for (const schema of body.Resources) {
    expect(schema.meta).toEqual({ resourceType: 'Schema', location: `${base()}/Schemas/${schema.id}` });
    expect((await client.get(`/Schemas/${schema.id}`)).body).toEqual(schema);
    const names = (list: Described[]): string[] =>
      list.flatMap(({ name, subAttributes = [] }) => [name, ...names(subAttributes)]);
    expect(new Set(names(schema.attributes)).size).toBeGreaterThan(4);
  }
});

it('keeps every attribute that its schemas let a client set', async () => {
  const { body: user } = await client.get(`/Schemas/${USER}`);
  const { body: enterprise } = await client.get(`/Schemas/${ENTERPRISE}`);
  const sample = ({ multiValued, mutability, subAttributes, ...rest }: Described & { type?: string }): unknown => {
    const { type } = rest;
    const one = type === 'complex' ? filled(subAttributes ?? []) : type === 'boolean' ? true : 'https://x.example/1';
    return multiValued ? [one] : one;
  };
  function filled(attributes: Described[]): object {
    const settable = attributes.filter(({ mutability }) => !['readOnly', 'writeOnly'].includes(mutability));
    return Object.fromEntries(settable.map((one) => [one.name, sample(one)]));
  }
  const sent = {
    ...filled(user.attributes),
    schemas: [USER, ENTERPRISE],
    externalId: 'x',
    [ENTERPRISE]: filled(enterprise.attributes),
  };
  const { status, body: created } = await client.post('/Users', sent);
  expect(status).toBe(201);
  expect(created).toEqual({ ...sent, id: expect.any(String), meta: expect.anything() });
});

it.each(['/Schemas/urn:x', '/Schemas/constructor', '/ResourceTypes/Users', '/Nowhere', '', '/Users/1/x'])(
  'has nothing at %s',
  async (path) => {
    const { status, body } = await client.get(path);
    expect(status).toBe(404);
    expect(body).toEqual({ schemas: [ERROR], status: '404', detail: expect.any(String) });
  },
);

it.each(['/ServiceProviderConfig', '/ResourceTypes', '/Schemas'])(
  '%s cannot be filtered (RFC 7644 §4)',
  async (path) => {
    const { status, body } = await client.get(`${path}?filter=id%20pr`);
    expect([status, body.status]).toEqual([403, '403']);
  },
);

it.each<[method: 'get' | 'post' | 'put' | 'patch' | 'delete', path: string, allow: string]>([
  ['put', '/Users', 'GET, POST'],
  ['delete', '/Users', 'GET, POST'],
  ['patch', '/Groups', 'GET, POST'],
  ['post', '/Users/1', 'GET, PUT, PATCH, DELETE'],
  ['post', '/Users/.search', 'GET, PUT, PATCH, DELETE'],
  ['post', '/Groups/1', 'GET, PUT, PATCH, DELETE'],
  ['post', '/Schemas', 'GET'],
  ['delete', `/Schemas/${USER}`, 'GET'],
  ['put', '/ServiceProviderConfig', 'GET'],
])('%s %s is not allowed', async (method, path, allow) => {
  const { status, headers, body } = await client.send(method, path, {});
  expect([status, headers.allow]).toEqual([405, allow]);
  expect(body).toEqual({ schemas: [ERROR], status: '405', detail: expect.any(String) });
});

it.each(['/Bulk', '/Me'])('%s is not implemented, and says so (RFC 7644 §3.7, §3.11)', async (path) => {
  const { status, body } = await client.post(path, {});
  expect([status, body.status]).toEqual([501, '501']);
});
