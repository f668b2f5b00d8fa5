/** `/Users` over HTTP: created, read, replaced, patched and deleted, and what is refused. */
import { startGateway } from '../support/gateway.js';
import {
  createScimClient,
  ENTERPRISE,
  ERROR,
  GROUP,
  PATCH_OP,
  SCIM_TOKEN,
  type ScimClient,
  USER,
} from '../support/scim.js';

let gateway: Awaited<ReturnType<typeof startGateway>>;
let client: ScimClient;
let number = 0;

beforeAll(async () => {
  gateway = await startGateway({
    publicUrl: 'https://logout.example.com',
    tenants: [
      { id: 'default', scim: { tokens: [SCIM_TOKEN] } },
      { id: 'other', scim: { tokens: [`${SCIM_TOKEN}-other`] } },
    ],
  });
  client = createScimClient(gateway.url);
});
afterAll(() => gateway.close());

const freshName = () => `user-${++number}@example.com`;
const body = (userName: string, more: object = {}) => ({ schemas: [USER], userName, ...more });

/** Every user key but those that hold positions; equal before and after means that nothing was written. */
const state = () => gateway.state();

describe('a new user', () => {
  it('comes back with an id, its version and where it is', async () => {
    const userName = freshName();
    const given = {
      ...body(userName),
      schemas: [USER, ENTERPRISE],
      externalId: userName,
      name: { givenName: 'Ada', familyName: 'King' },
      emails: [{ value: userName, type: 'work', primary: true }],
      phoneNumbers: [{ value: '+1 555', type: 'Office' }],
      [ENTERPRISE]: { department: 'Engineering' },
    };
    const response = await client.post('/Users', given);
    expect(response.status).toBe(201);
    expect(response.headers['content-type']).toBe('application/scim+json; charset=utf-8');
    const { id, meta } = response.body;
    expect(response.body).toEqual({
      ...given,
      id: expect.stringMatching(/^\d{15}$/),
      active: true,
      meta: expect.anything(),
    });
    expect(meta).toEqual({
      resourceType: 'User',
      created: expect.stringMatching(/^\d{4}-.*Z$/),
      lastModified: meta.created,
      version: 'W/"1"',
      location: `https://logout.example.com/scim/v2/Users/${id}`,
    });
    expect(response.headers).toMatchObject({ etag: 'W/"1"', location: meta.location });
    const read = await client.get(`/Users/${id}`);
    expect(read.status).toBe(200);
    expect(read.body).toEqual(response.body);
  });

  it('of a tenant is located there, and nowhere else', async () => {
    const other = createScimClient(gateway.url, { tenant: 'other', token: `${SCIM_TOKEN}-other` });
    const id = await other.createUser('somebody');
    expect((await other.get(`/Users/${id}`)).body.meta.location).toBe(
      `https://logout.example.com/tenants/other/scim/v2/Users/${id}`,
    );
    for (const method of ['get', 'delete'] as const) expect((await client[method](`/Users/${id}`)).status).toBe(404);
    expect((await client.put(`/Users/${id}`, body('x'))).status).toBe(404);
    expect((await client.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }])).status).toBe(404);
    expect((await other.get(`/Users/${id}`)).body).toMatchObject({ active: true, meta: { version: 'W/"1"' } });
  });

  it('keeps no password, no id, no meta and no groups that the client made up', async () => {
    const made = body(freshName(), {
      id: '1',
      meta: { version: 'W/"9"' },
      groups: [{ value: '1' }],
      password: 's3cret',
      deletedAt: 'x',
    });
    const { body: created } = await client.post('/Users', made);
    expect(created).toEqual({
      ...body(made.userName),
      id: expect.not.stringMatching(/^1$/),
      active: true,
      meta: expect.objectContaining({ version: 'W/"1"' }),
    });
    expect(JSON.stringify(await gateway.redis.hgetall(`${gateway.prefix}:{default}:users`))).not.toContain('s3cret');
  });

  it.each([
    [
      'names in other letters',
      { USERNAME: undefined, Active: 'False', EMAILS: [{ VALUE: 'a@b', Primary: 'TRUE' }] },
      { active: false, emails: [{ value: 'a@b', primary: true }] },
    ],
    [
      'null for what is not assigned',
      { active: null, title: null, emails: null, name: { givenName: null } },
      { active: true },
    ],
    [
      'empty values',
      { externalId: '', emails: [], name: {}, phoneNumbers: [{ value: '', type: 'work' }] },
      { active: true },
    ],
    [
      'a type of its own',
      { emails: [{ value: 'a@b', type: 'Okta' }] },
      { active: true, emails: [{ value: 'a@b', type: 'Okta' }] },
    ],
    [
      'attributes that nobody knows',
      { shoeSize: 42, name: { nick: 'x' }, 'urn:example:User': { x: 1 } },
      { active: true },
    ],
  ])('may have %s', async (_, given, kept) => {
    const userName = freshName();
    const { status, body: created } = await client.post('/Users', body(userName, given));
    expect(status).toBe(201);
    const { schemas: _schemas, id: _id, meta: _meta, ...attributes } = created;
    expect(attributes).toEqual({ userName, ...kept });
  });
});

const refusedBodies: [title: string, given: unknown, scimType: string][] = [
  ['nothing', undefined, 'invalidValue'],
  ['no JSON', '{"userName":', 'invalidSyntax'],
  ['null', 'null', 'invalidSyntax'],
  ['a string', '"ada"', 'invalidSyntax'],
  ['a list', [], 'invalidSyntax'],
  ['JSON that nests too deep', `${'['.repeat(400_000)}${']'.repeat(400_000)}`, 'invalidSyntax'],
  ['a userName that nests too deep', `{"userName":${'{"a":'.repeat(40)}1${'}'.repeat(41)}`, 'invalidSyntax'],
  ['half a surrogate pair', '{"userName":"\\ud800"}', 'invalidSyntax'],
  ['the schema of groups', body('x', { schemas: [GROUP] }), 'invalidSyntax'],
  ['schemas that are no list', body('x', { schemas: USER }), 'invalidSyntax'],
  ['no userName', { schemas: [USER] }, 'invalidValue'],
  ['an empty userName', body(' '), 'invalidValue'],
  ['a userName that is a number', body(7 as never), 'invalidValue'],
  ['a userName that is a list', body(['x'] as never), 'invalidValue'],
  ['a long userName', body('x'.repeat(1_025)), 'invalidValue'],
  ['a long externalId', body('x', { externalId: 'x'.repeat(1_025) }), 'invalidValue'],
  ['active neither true nor false', body('x', { active: 'yes' }), 'invalidValue'],
  ['a title that is a number', body('x', { title: 7 }), 'invalidValue'],
  ['a name that is a string', body('x', { name: 'Ada' }), 'invalidValue'],
  ['addresses that are no list', body('x', { emails: { value: 'a@b' } }), 'invalidValue'],
  ['an address that is a string', body('x', { emails: ['a@b'] }), 'invalidValue'],
  ['an address that is null', body('x', { emails: [null] }), 'invalidValue'],
  ['an address whose value is a number', body('x', { emails: [{ value: 7 }] }), 'invalidValue'],
  [
    'two primary addresses',
    body('x', {
      emails: [
        { value: 'a', primary: true },
        { value: 'b', primary: true },
      ],
    }),
    'invalidValue',
  ],
  [
    'two primary roles',
    body('x', {
      roles: [
        { value: 'a', primary: true },
        { value: 'b', primary: true },
      ],
    }),
    'invalidValue',
  ],
  ['101 addresses', body('x', { emails: Array.from({ length: 101 }, (_, n) => ({ value: `a${n}` })) }), 'invalidValue'],
  ['more than 32 kB', body('x', { title: 'x'.repeat(32_768) }), 'invalidValue'],
];

describe('a body with', () => {
  it.each(refusedBodies)('%s makes no user and changes none', async (_, given, scimType) => {
    const id = await client.createUser(freshName());
    const before = await state();
    for (const response of [
      await client.send('post', '/Users', given),
      await client.send('put', `/Users/${id}`, given),
    ]) {
      expect(response.status).toBe(400);
      expect(response.headers['content-type']).toBe('application/scim+json; charset=utf-8');
      expect(response.body).toEqual({ schemas: [ERROR], status: '400', scimType, detail: expect.any(String) });
    }
    expect(await state()).toEqual(before);
  });
});

describe('a replacement', () => {
  it('leaves nothing of what it does not name', async () => {
    const userName = freshName();
    const id = await client.createUser(userName, { externalId: userName, title: 'Countess', active: false });
    const { status, body: replaced } = await client.put(`/Users/${id}`, body(userName, { id, nickName: 'Al' }));
    expect(status).toBe(200);
    expect(replaced).toEqual({
      ...body(userName, { id, nickName: 'Al', active: true }),
      meta: expect.objectContaining({ version: 'W/"2"' }),
    });
  });

  it('by the same is none', async () => {
    const userName = freshName();
    const same = body(userName, {
      name: { familyName: 'King', givenName: 'Ada' },
      emails: [{ value: 'a@b', type: 'x' }],
    });
    const { body: created } = await client.post('/Users', same);
    const reordered = {
      ...same,
      emails: [{ type: 'x', value: 'a@b' }],
      name: { givenName: 'Ada', familyName: 'King' },
    };
    expect((await client.put(`/Users/${created.id}`, reordered)).body).toEqual(created);
    expect((await client.patch(`/Users/${created.id}`, [{ op: 'replace', value: same }])).body).toEqual(created);
  });
});

describe('a deletion', () => {
  it('is done once, and leaves the name to others', async () => {
    const userName = freshName();
    const id = await client.createUser(userName, { externalId: userName });
    const gone = await client.delete(`/Users/${id}`);
    expect([gone.status, gone.text]).toEqual([204, '']);
    for (const response of [
      await client.delete(`/Users/${id}`),
      await client.get(`/Users/${id}`),
      await client.put(`/Users/${id}`, body(userName)),
      await client.patch(`/Users/${id}`, [{ op: 'replace', value: { active: true } }]),
    ]) {
      expect(response.status).toBe(404);
      expect(response.body).toEqual({ schemas: [ERROR], status: '404', detail: expect.any(String) });
    }
    for (const filter of [`userName eq "${userName}"`, `externalId eq "${userName}"`, `id eq "${id}"`]) {
      expect((await client.list('Users', { filter })).body).toMatchObject({ totalResults: 0, Resources: [] });
    }
    expect(await client.createUser(userName, { externalId: userName })).not.toBe(id);
  });

  it('of one by five at once is one', async () => {
    const id = await client.createUser(freshName());
    const answers = await Promise.all(Array.from({ length: 5 }, () => client.delete(`/Users/${id}`)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([204, 404, 404, 404, 404]);
  });
});

describe('a patch that is refused', () => {
  it.each([
    [
      'at its last operation',
      [
        { op: 'replace', path: 'title', value: 'x' },
        { op: 'remove', path: 'userName' },
      ],
      'mutability',
    ],
    ['for a path', [{ op: 'replace', path: 'shoeSize', value: 42 }], 'invalidPath'],
    ['for a filter', [{ op: 'replace', path: 'emails[type]', value: 'x' }], 'invalidFilter'],
    ['for a value', [{ op: 'replace', path: 'active', value: 'perhaps' }], 'invalidValue'],
    ['for what is not there', [{ op: 'replace', path: 'emails[type eq "x"].value', value: 'x' }], 'noTarget'],
  ])('%s changes nothing', async (_, operations, scimType) => {
    const id = await client.createUser(freshName(), { title: 'Countess' });
    const before = await state();
    const response = await client.patch(`/Users/${id}`, operations);
    expect(response.status).toBe(400);
    expect(response.body).toEqual({ schemas: [ERROR], status: '400', scimType, detail: expect.any(String) });
    expect(await state()).toEqual(before);
  });

  it('changes no prototype', async () => {
    const id = await client.createUser(freshName());
    const attempts = [
      '{"op":"add","value":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"name":{"__proto__":{"polluted":1}}}}',
      '{"op":"replace","path":"__proto__.polluted","value":1}',
      '{"op":"add","path":"name","value":{"__proto__":{"polluted":1}}}',
      '{"op":"add","path":"emails[type eq \\"x\\"].__proto__.polluted","value":1}',
      '{"op":"add","path":"constructor.prototype.polluted","value":1}',
    ];
    for (const attempt of attempts) {
      const { status } = await client.send(
        'patch',
        `/Users/${id}`,
        `{"schemas":["${PATCH_OP}"],"Operations":[${attempt}]}`,
      );
      expect([200, 400]).toContain(status);
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(Object.keys((await client.get(`/Users/${id}`)).body)).toEqual([
      'schemas',
      'id',
      'active',
      'userName',
      'meta',
    ]);
  });
});
