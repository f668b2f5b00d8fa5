/** Users that several clients change at once: duplicates (409), versions (304, 412), and no change lost. */
import { createDirectory } from '../../src/directory/directory.js';
import { startGateway } from '../support/gateway.js';
import { createScimClient, ERROR, SCIM_TOKEN, type ScimClient, USER } from '../support/scim.js';

let gateway: Awaited<ReturnType<typeof startGateway>>;
let client: ScimClient;
let number = 0;
let now = Date.now();

beforeAll(async () => {
  gateway = await startGateway({ tenants: [{ id: 'default', scim: { tokens: [SCIM_TOKEN] } }] });
  client = createScimClient(gateway.url);
});
afterAll(() => gateway.close());

const freshName = () => `user-${++number}@example.com`;
const body = (userName: string, more: object = {}) => ({ schemas: [USER], userName, ...more });
const state = () => gateway.state();

describe('a duplicate', () => {
  it.each([
    ['userName', (name: string) => ({ userName: name })],
    ['userName in other letters', (name: string) => ({ userName: ` ${name.toUpperCase()}` })],
    ['externalId', (name: string) => ({ externalId: `id of ${name}` })],
  ])('%s is refused, however it comes', async (_, same) => {
    const [name, other] = [freshName(), freshName()];
    await client.createUser(name, { externalId: `id of ${name}` });
    const id = await client.createUser(other, { externalId: `id of ${other}`, active: true });
    const before = await state();
    const answers = [
      await client.post('/Users', body(freshName(), same(name))),
      await client.put(`/Users/${id}`, body(other, { externalId: 'x', ...same(name) })),
      await client.patch(`/Users/${id}`, [{ op: 'replace', value: { title: 'x', ...same(name) } }]),
      await client.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false, ...same(name) } }]),
    ];
    for (const { status, body: error } of answers) {
      expect(status).toBe(409);
      expect(error).toEqual({ schemas: [ERROR], status: '409', scimType: 'uniqueness', detail: expect.any(String) });
    }
    expect(await state()).toEqual(before);
  });

  it('of twenty that come at once makes one user', async () => {
    const userName = freshName();
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.post('/Users', body(userName))));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, ...Array(19).fill(409)]);
    expect((await client.list('Users', { filter: `userName eq "${userName}"` })).body.totalResults).toBe(1);
  });
});

describe('a version', () => {
  it('grows with each change', async () => {
    const id = await client.createUser(freshName());
    const first = await client.patch(`/Users/${id}`, [{ op: 'add', path: 'title', value: 'x' }]);
    expect(first.headers.etag).toBe('W/"2"');
    expect(first.body.meta.version).toBe('W/"2"');
    expect(Date.parse(first.body.meta.lastModified)).toBeGreaterThanOrEqual(Date.parse(first.body.meta.created));
  });

  it('that the client has needs no body', async () => {
    const id = await client.createUser(freshName());
    for (const known of ['W/"1"', '*', 'W/"0", W/"1"']) {
      const { status, text, headers } = await client.get(`/Users/${id}`, { 'if-none-match': known });
      expect([status, text]).toEqual([304, '']);
      expect(headers.etag).toBe('W/"1"');
    }
    expect((await client.get(`/Users/${id}`, { 'if-none-match': 'W/"2"' })).status).toBe(200);
  });

  it.each(['W/"9"', 'W/"1", W/"9"', '"2"', '""', 'x'])('other than If-Match: %s is not changed', async (version) => {
    const id = await client.createUser(freshName());
    await client.patch(`/Users/${id}`, [{ op: 'add', path: 'title', value: 'x' }]);
    const before = await state();
    const headers = { 'if-match': version };
    for (const { status, body: error } of [
      await client.put(`/Users/${id}`, body(freshName()), headers),
      await client.patch(`/Users/${id}`, [{ op: 'add', path: 'title', value: 'y' }], headers),
      await client.delete(`/Users/${id}`, headers),
    ]) {
      expect(status).toBe(412);
      expect(error).toEqual({ schemas: [ERROR], status: '412', detail: expect.any(String) });
    }
    expect(await state()).toEqual(before);
  });

  it.each(['W/"1"', '*', 'W/"7", W/"1"'])('of If-Match: %s is changed', async (version) => {
    const id = await client.createUser(freshName());
    const headers = { 'if-match': version };
    expect((await client.patch(`/Users/${id}`, [{ op: 'add', path: 'title', value: 'x' }], headers)).status).toBe(200);
    const second = { 'if-match': version.replace('1', '2') };
    expect((await client.put(`/Users/${id}`, body(freshName()), second)).status).toBe(200);
    expect((await client.delete(`/Users/${id}`, { 'if-match': version.replace('1', '3') })).status).toBe(204);
  });

  it('lets one of ten through who insist on it', async () => {
    const id = await client.createUser(freshName());
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        client.patch(`/Users/${id}`, [{ op: 'add', path: 'title', value: `${n}` }], { 'if-match': 'W/"1"' }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, ...Array(9).fill(412)]);
    expect((await client.get(`/Users/${id}`)).body.meta.version).toBe('W/"2"');
  });

  it('loses no change of twenty who do not', async () => {
    const id = await client.createUser(freshName());
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        client.patch(`/Users/${id}`, [{ op: 'add', path: 'roles', value: [{ value: `${n}` }] }]),
      ),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    const { body: user } = await client.get(`/Users/${id}`);
    expect(user.roles).toHaveLength(20);
    expect(user.meta.version).toBe('W/"21"');
  });
});

describe('deletions at once', () => {
  it('each sweep out who was deleted long ago, and none is in the way of another', async () => {
    const { users } = createDirectory(gateway.redis, gateway.prefix, { graceMs: 1_000, now: () => now });
    const tenant = 'swept';
    const people = await Promise.all(Array.from({ length: 30 }, () => users.create(tenant, { userName: freshName() })));
    const remove = (some: typeof people) => Promise.all(some.map((one) => users.remove(tenant, one)));
    await remove(people.slice(0, 15));
    now += 1_001;
    await remove(people.slice(15));
    const kept = await gateway.redis.hkeys(`${gateway.prefix}:{${tenant}}:users`);
    expect(kept.length).toBeLessThanOrEqual(20);
    expect(kept).toEqual(expect.arrayContaining(people.slice(15).map(({ id }) => id)));
  });
});
