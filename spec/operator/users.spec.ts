/** What operators see of people: the directory page by page, who has an identifier, and what a revocation would reach. */
import request from 'supertest';
import { accountsOf } from '../../src/directory/assignment.js';
import type { UserResource } from '../../src/directory/user.js';
import { expectDocumented } from '../support/documented.js';
import { ADMIN_TOKEN, startGateway } from '../support/gateway.js';
import { type OwnRedis, startOwnRedis } from '../support/own-redis.js';

const SECRET = `whsec_${Buffer.alloc(24, 'people').toString('base64')}`;

const app = (id: string, more: object) => ({
  id,
  connector: 'webhook',
  options: { url: `https://${id}.example.com/logout`, secret: SECRET },
  ...more,
});

const apps = [
  app('intranet', {}),
  app('wiki', { assignedTo: { groups: ['Sales', 'Engineering'] }, account: 'userName' }),
  app('crm', { assignedTo: { attribute: { name: 'department', values: ['Sales', 'Support'] } } }),
  app('shop', { assignedTo: { users: ['ADA'] }, account: 'externalId' }),
];

let own: OwnRedis;
let gateway: Awaited<ReturnType<typeof startGateway>>;

beforeAll(async () => {
  // Of its own, since its commands are counted.
  own = await startOwnRedis();
  const tenants = [{ id: 'default', apps }, { id: 'acme' }];
  gateway = await startGateway({ tenants }, { roles: ['api'], config: { redisUrl: own.url } });
});
afterAll(async () => {
  await gateway.close();
  await own.close();
});

const get = (path: string, authorization = `Bearer ${ADMIN_TOKEN}`) =>
  request(gateway.url).get(path).set({ authorization });

type Listed = { users: { id: string; userName: string; deletedAt?: string }[]; cursor?: string; more?: true };

async function list(query: Readonly<Partial<Record<string, string>>>): Promise<Listed> {
  const response = await get(`/api/users?${new URLSearchParams(query as Record<string, string>)}`);
  expectDocumented('listPeople', 200, response);
  return response.body;
}

async function read(id: string, tenant = 'default') {
  const response = await get(`/api/users/${id}?tenant=${tenant}`);
  expectDocumented('readPerson', 200, response);
  return response.body;
}

const add = async (tenant: string, person: Parameters<typeof gateway.directory.put>[1]) =>
  (await gateway.directory.put(tenant, person)).user;

describe('who is refused', () => {
  it.each(['/api/users', '/api/users/1', '/api/users?nonsense=1'])('without the ADMIN_TOKEN [%s]', async (path) => {
    for (const authorization of ['', 'Bearer x', `Basic ${ADMIN_TOKEN}`]) {
      const id = path === '/api/users/1' ? 'readPerson' : 'listPeople';
      expectDocumented(id, 401, await get(path, authorization), 'invalid_token');
    }
  });

  it.each([
    ['an unknown parameter', 'mail=ada@example.com', 'mail is unknown.'],
    ['two identifiers', 'email=ada@example.com&userName=ada', /^email: name one of id, .*, phoneNumber, or none\.$/],
    ['one identifier twice', 'email=ada@example.com&email=grace@example.com', /^email: /],
    ['an empty identifier', 'email=', /^email: /],
    ['an identifier without end', `email=${'a'.repeat(1_001)}`, /^email: /],
    ['a cursor that is none', 'cursor=rev_1', 'cursor: it is the cursor of the answer before.'],
    ['a cursor with a condition of its own', 'cursor=(1', 'cursor: it is the cursor of the answer before.'],
    ['a cursor beside an identifier', 'userName=ada&cursor=1', 'cursor: there is none where userName is named.'],
    ['a tenant twice', 'tenant=default&tenant=acme', /^tenant: /],
  ])('whoever sends %s, and is told what would be right', async (_what, query, detail) => {
    const response = await get(`/api/users?${query}`);
    expectDocumented('listPeople', 400, response, 'malformed_request');
    expect(response.body.detail).toEqual(typeof detail === 'string' ? detail : expect.stringMatching(detail));
    expect(response.text).not.toContain('@');
  });

  it('whoever asks of a tenant that there is not, or more of a person than there is', async () => {
    for (const tenant of ['nowhere', '_', '__proto__', '']) {
      expectDocumented('listPeople', 404, await get(`/api/users?tenant=${tenant}`), 'not_found');
      expectDocumented('readPerson', 404, await get(`/api/users/1?tenant=${tenant}`), 'not_found');
    }
    expectDocumented('readPerson', 400, await get('/api/users/1?explain=1'), 'malformed_request');
  });

  it.each(['1', 'ada@example.com', '*', '__proto__', '%20', encodeURIComponent('💥'), encodeURIComponent('../apps')])(
    'whoever asks for somebody who is not there [%s]',
    async (id) => {
      expectDocumented('readPerson', 404, await get(`/api/users/${id}`), 'not_found');
    },
  );

  it('whoever asks for somebody of another tenant', async () => {
    const { id } = await add('acme', { userName: 'theirs', emails: ['theirs@example.com'] });
    expectDocumented('readPerson', 404, await get(`/api/users/${id}`), 'not_found');
    for (const query of [{ id }, { userName: 'theirs' }, { email: 'theirs@example.com' }]) {
      expect(await list(query)).toEqual({ users: [] });
      expect((await list({ ...query, tenant: 'acme' })).users).toHaveLength(1);
    }
  });
});

describe('the directory', () => {
  it('is read page by page in the order of creation, also while some are deleted and others added', async () => {
    const added: string[] = [];
    for (let count = 0; count < 101; count += 1) {
      added.push((await gateway.directory.users.create('acme', { userName: `many-${count}` })).id);
    }
    const first = await list({ tenant: 'acme' });
    expect(first.users).toHaveLength(50);
    expect(first.users[0]).toMatchObject({ userName: 'theirs' });
    // With an offset the next page would leave out one of them.
    const gone = await gateway.directory.users.get('acme', first.users[3]?.id ?? '');
    await gateway.directory.users.remove('acme', gone as UserResource);
    const second = await list({ tenant: 'acme', cursor: first.cursor ?? '' });
    await add('acme', { userName: 'late' });
    const third = await list({ tenant: 'acme', cursor: second.cursor ?? '' });
    expect([second.users.length, third.users.length]).toEqual([50, 3]);
    expect(third).not.toHaveProperty('cursor');
    const seen = [first, second, third].flatMap(({ users }) => users.map(({ id }) => id));
    expect(seen.slice(1, -1)).toEqual(added);
    expect(third.users.at(-1)).toMatchObject({ userName: 'late' });
    // Who is deleted is in no page, and a place where nobody is any more is a place all the same.
    expect((await list({ tenant: 'acme' })).users.map(({ id }) => id)).not.toContain(first.users[3]?.id);
  });

  it('is asked of Redis in two commands for a page', async () => {
    const commands = async () => {
      const text = await gateway.redis.info('commandstats');
      const of = (name: string) => Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(text)?.[1] ?? 0);
      return ['zrange', 'hmget', 'evalsha', 'eval', 'hgetall', 'hscan', 'zscan'].map(of);
    };
    const before = await commands();
    await list({ tenant: 'acme' });
    const after = await commands();
    expect(after.map((count, index) => count - (before[index] ?? 0))).toEqual([1, 1, 0, 0, 0, 0, 0]);
  });
});

describe('by an identifier', () => {
  it('everybody who has it is shown, and who was deleted is marked as such', async () => {
    const desk = { emails: ['desk@example.com'] };
    const ada = await add('default', { userName: 'ada-of-the-desk', externalId: '00u-desk', ...desk });
    const grace = await add('default', { userName: 'grace-of-the-desk', active: false, ...desk });
    const lin = await add('default', { userName: 'lin-of-the-desk', phoneNumbers: ['+44 1632 960001'], ...desk });
    await gateway.directory.users.remove('default', lin);
    const { users } = await list({ email: 'DESK@example.com' });
    expect(new Set(users.map(({ id }) => id))).toEqual(new Set([ada.id, grace.id, lin.id]));
    expect(users).toHaveLength(3);
    expect(users.at(-1)).toEqual({
      id: lin.id,
      userName: 'lin-of-the-desk',
      emails: ['desk@example.com'],
      active: true,
      deletedAt: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    expect(users.find(({ id }) => id === grace.id)).toMatchObject({ active: false });
    for (const [query, id] of [
      [{ id: ada.id }, ada.id],
      [{ externalId: '00u-desk' }, ada.id],
      [{ userName: 'ADA-of-the-desk' }, ada.id],
      [{ phoneNumber: '+441632960001' }, lin.id],
      [{ id: lin.id }, lin.id],
    ] as const) {
      expect((await list(query)).users.map((one) => one.id)).toEqual([id]);
    }
    for (const query of [{ externalId: '00U-desk' }, { userName: 'desk@example.com' }, { id: 'ada' }] as const) {
      expect(await list(query)).toEqual({ users: [] });
    }
  });

  it('also somebody who came back under the same name is shown with the life before', async () => {
    const first = await add('default', { userName: 'twice', externalId: '00u-twice' });
    await gateway.directory.users.remove('default', first);
    const second = await add('default', { userName: 'twice', externalId: '00u-twice' });
    const { users } = await list({ externalId: '00u-twice' });
    expect(users.map(({ id, deletedAt }) => [id, deletedAt !== undefined])).toEqual([
      [second.id, false],
      [first.id, true],
    ]);
  });

  it('of more than a hundred a hundred are shown, and it says so', async () => {
    for (let count = 0; count < 101; count += 1) {
      await add('default', { userName: `crowd-${count}`, emails: ['crowd@example.com'] });
    }
    const { users, more } = await list({ email: 'crowd@example.com' });
    expect([users.length, more]).toEqual([100, true]);
  });
});

describe('one person', () => {
  it('is shown with all that names the person, and app by app what a revocation would do and why', async () => {
    const person = { userName: 'Ada', emails: ['ada@example.com', 'a@example.com'], phoneNumbers: ['+1 2'] };
    await add('default', { ...person, groups: ['Engineering'] });
    const { id } = await add('default', { ...person, groups: ['Everyone'] });
    expect(await read(id)).toEqual({
      tenant: 'default',
      id,
      userName: 'Ada',
      emails: ['ada@example.com', 'a@example.com'],
      active: true,
      phoneNumbers: ['+1 2'],
      groups: ['Everyone'],
      formerGroups: ['Engineering'],
      apps: [
        {
          app: 'intranet',
          connector: 'webhook',
          reached: true,
          assignment: { by: 'everyone' },
          account: 'ada@example.com',
        },
        {
          app: 'wiki',
          connector: 'webhook',
          reached: true,
          assignment: { by: 'group', group: 'Engineering' },
          account: 'Ada',
        },
        {
          app: 'crm',
          connector: 'webhook',
          reached: false,
          reason: 'not_assigned',
          assignedTo: { attribute: { name: 'department', values: ['Sales', 'Support'] } },
        },
        {
          app: 'shop',
          connector: 'webhook',
          reached: false,
          reason: 'no_account',
          assignment: { by: 'users' },
          needs: 'externalId',
        },
      ],
    });
    // What is shown as reached is what a revocation takes.
    const [[user] = []] = await gateway.directory.users.find('default', [{ kind: 'id', value: id }]);
    const [{ apps: settings } = { apps: [] }] = gateway.config.settings.tenants;
    expect(user && accountsOf(user, settings)).toEqual([
      { app: 'intranet', account: 'ada@example.com' },
      { app: 'wiki', account: 'Ada' },
    ]);
  });

  it('who has an attribute is told with which value of it', async () => {
    const { user } = await gateway.directory.put('default', { userName: 'sold', ...{ department: 'Support' } });
    const { apps: reached } = await read(user.id);
    expect(reached[2]).toMatchObject({ reason: 'no_account', needs: 'email' });
    expect(reached[2].assignment).toEqual({ by: 'attribute', name: 'department', value: 'Support' });
  });

  it('has the watermark of the last revocation, and is still shown when deleted', async () => {
    const user = await add('default', { userName: 'gone', emails: ['gone@example.com'], groups: ['Sales'] });
    expect(await read(user.id)).not.toHaveProperty('validAfter');
    const before = Date.now();
    const started = await request(gateway.url)
      .post('/api/revocations')
      .set({ authorization: `Bearer ${ADMIN_TOKEN}` })
      .send(JSON.stringify({ id: user.id }));
    expect(started.status).toBe(202);
    await gateway.directory.users.remove('default', user);
    const view = await read(user.id);
    expect(Date.parse(view.validAfter)).toBeGreaterThanOrEqual(before);
    expect(view).toMatchObject({ groups: [], formerGroups: ['Sales'], deletedAt: expect.any(String) });
    expect(view.apps[1]).toMatchObject({ reached: true, assignment: { by: 'group', group: 'Sales' }, account: 'gone' });
  });
});
