/** An address or a number that many share: what a write of one of them costs, and that each of them is still found. */
import { Redis } from 'ioredis';
import { checkDirectory } from '../../src/directory/check.js';
import { createDirectory } from '../../src/directory/directory.js';
import type { UserAttributes, UserResource } from '../../src/directory/user.js';
import type { Lookup } from '../../src/directory/users.js';
import { type OwnRedis, startOwnRedis } from '../support/own-redis.js';

const GRACE_MS = 30 * 86_400_000;
const SWITCHBOARD = '+15550100';

let own: OwnRedis;
let redis: Redis;
let now = Date.now();
let count = 0;

beforeAll(async () => {
  own = await startOwnRedis();
  redis = new Redis(own.url);
  // What is appended is measured, and not what a rewriting leaves.
  await redis.config('SET', 'auto-aof-rewrite-percentage', '0');
});
afterAll(async () => {
  redis.disconnect();
  await own.close();
});

function freshTenant() {
  count += 1;
  const tenant = `t${count}`;
  const directory = createDirectory(redis, 'ul', { graceMs: GRACE_MS, now: () => now });
  const { users } = directory;
  const key = (name: string) => `ul:{${tenant}}:${name}`;
  return {
    users,
    key,
    find: (lookups: Lookup[]) => users.find(tenant, lookups),
    entry: () => redis.hget(key('users-by-phone'), SWITCHBOARD),
    create: (one: UserAttributes) => users.create(tenant, one),
    replace: (before: UserResource, one: UserAttributes) => users.replace(tenant, before, one),
    remove: (before: UserResource) => users.remove(tenant, before),
    async found(limit?: number): Promise<{ living: string[]; deleted: string[] }> {
      const [one] = await users.findWithDeleted(tenant, [{ kind: 'phone', value: SWITCHBOARD }], limit);
      const ids = (list: { resource: UserResource }[] = []) => list.map(({ resource }) => resource.id);
      return { living: ids(one?.living), deleted: ids(one?.deleted) };
    },
    async problems(): Promise<string[]> {
      const problems: string[] = [];
      for await (const { kind, problem } of checkDirectory({ redis, prefix: 'ul', tenant }))
        problems.push(`${kind} ${problem}`);
      return problems;
    },
  };
}

type Tenant = ReturnType<typeof freshTenant>;

const atSwitchboard = (name: string) => ({ userName: name, phoneNumbers: [{ value: SWITCHBOARD }] });

const people = (tenant: Tenant, number: number) =>
  Promise.all(Array.from({ length: number }, (_, index) => tenant.create(atSwitchboard(`user-${index}`))));

const sorted = (list: string[]) => list.toSorted((a, b) => Number(a) - Number(b));

async function appendedBytes(): Promise<number> {
  return Number(/aof_current_size:(\d+)/.exec(await redis.info('persistence'))?.[1]);
}

it('the last of thousands costs no more than the first, whatever is written of them', async () => {
  const tenant = freshTenant();
  const all: UserResource[] = [];
  const block = async (name: string, phone: (index: number) => string) => {
    const before = await appendedBytes();
    const created = await Promise.all(
      Array.from({ length: 500 }, (_, index) =>
        tenant.create({ userName: `${name}-${index}`, phoneNumbers: [{ value: phone(index) }] }),
      ),
    );
    all.push(...created);
    return (await appendedBytes()) - before;
  };
  const alone = await block('a', (index) => `+1556${String(index).padStart(4, '0')}`);
  for (const name of ['b', 'c', 'd', 'e']) await block(name, () => SWITCHBOARD);
  expect(await block('f', () => SWITCHBOARD)).toBeLessThan(1.2 * alone);
  const before = await appendedBytes();
  for (const user of all.slice(500, 600)) await tenant.replace(user, { userName: user.userName });
  expect((await appendedBytes()) - before).toBeLessThan(alone);
  expect((await tenant.found(5_000)).living).toHaveLength(2_400);
}, 60_000);

it('all are found, and no more than are asked for', async () => {
  const tenant = freshTenant();
  const all = await people(tenant, 1_200);
  expect(await tenant.entry()).toBe('*');
  expect((await tenant.found()).living).toHaveLength(2);
  const { living, deleted } = await tenant.found(5_000);
  expect(sorted(living)).toEqual(sorted(all.map(({ id }) => id)));
  expect(deleted).toEqual([]);
  expect(await tenant.problems()).toEqual([]);
});

it('nobody is found by the mark that an index has for many', async () => {
  const tenant = freshTenant();
  await people(tenant, 6);
  const kinds = ['id', 'externalId', 'userName', 'email', 'phone'] as const;
  for (const kind of kinds) expect(await tenant.find([{ kind, value: '*' }])).toEqual([[]]);
});

it.each([1, 2, 4, 5, 6, 40])('%i leave one by one, and nothing of them stays', async (number) => {
  const tenant = freshTenant();
  const all = await people(tenant, number);
  for (const [index, user] of all.entries()) {
    await tenant.replace(user, { userName: user.userName });
    const rest = all.slice(index + 1).map(({ id }) => id);
    expect(sorted((await tenant.found(100)).living)).toEqual(sorted(rest));
    expect(await tenant.problems()).toEqual([]);
  }
  expect(await tenant.entry()).toBeNull();
  expect(await redis.keys(tenant.key('sharing:*'))).toEqual([]);
});

it('who is deleted stands behind the living until the grace is over', async () => {
  const tenant = freshTenant();
  const all = await people(tenant, 30);
  const [first, ...others] = all;
  for (const user of others) {
    now += 1_000;
    await tenant.remove(user);
  }
  const { living, deleted } = await tenant.found();
  expect(living).toEqual([first?.id]);
  expect(deleted).toEqual(others.map(({ id }) => id).toReversed());
  now += GRACE_MS + 1;
  expect(await tenant.found()).toEqual({ living: [first?.id], deleted: [] });
  // Each removal sweeps a few.
  for (let name = 0; name < 4; name++) await tenant.remove(await tenant.create({ userName: `swept-${name}` }));
  expect(await redis.smembers(tenant.key(`sharing:phone:${SWITCHBOARD}`))).toEqual([first?.id]);
  expect(await tenant.problems()).toEqual([]);
});

describe('what a version before has stored as one text', () => {
  const stored = async (tenant: Tenant) => {
    const all = await people(tenant, 50);
    await redis.del(tenant.key(`sharing:phone:${SWITCHBOARD}`));
    await redis.hset(tenant.key('users-by-phone'), SWITCHBOARD, all.map(({ id }) => id).join(' '));
    expect(await tenant.problems()).toEqual([]);
    return all;
  };

  it('is found as it is', async () => {
    const tenant = freshTenant();
    const all = await stored(tenant);
    expect((await tenant.found(100)).living).toEqual(all.map(({ id }) => id));
  });

  it('is left by one of them', async () => {
    const tenant = freshTenant();
    const [first, ...others] = await stored(tenant);
    await tenant.replace(first as UserResource, { userName: 'user-0' });
    expect(sorted((await tenant.found(100)).living)).toEqual(sorted(others.map(({ id }) => id)));
    expect(await tenant.problems()).toEqual([]);
  });

  it('is a set once one more comes', async () => {
    const tenant = freshTenant();
    const all = await stored(tenant);
    const more = await tenant.create(atSwitchboard('more'));
    expect(await tenant.entry()).toBe('*');
    expect(sorted((await tenant.found(100)).living)).toEqual(sorted([...all, more].map(({ id }) => id)));
    expect(await tenant.problems()).toEqual([]);
  });
});

it('of a userName the last lives are kept, however many there were, and one lives', async () => {
  const tenant = freshTenant();
  const lives: string[] = [];
  for (let life = 0; life < 8; life++) {
    const user = await tenant.create({ userName: 'ada', externalId: '00u1' });
    lives.unshift(user.id);
    now += 1_000;
    await tenant.remove(user);
  }
  const young = await tenant.create({ userName: 'ada', externalId: '00u1' });
  await expect(tenant.create({ userName: 'ADA' })).rejects.toMatchObject({ attribute: 'userName' });
  for (const lookup of [
    { kind: 'userName', value: 'ada' },
    { kind: 'externalId', value: '00u1' },
  ] as const) {
    const [found] = await tenant.users.findWithDeleted(`t${count}`, [lookup]);
    expect(found?.living.map(({ resource }) => resource.id)).toEqual([young.id]);
    expect(found?.deleted.map(({ resource }) => resource.id)).toEqual(lives.slice(0, 3));
  }
  expect(await tenant.problems()).toEqual([]);
});

describe('damage is told', () => {
  const SHARING = `sharing:phone:${SWITCHBOARD}`;

  it.each<[string, (tenant: Tenant, id: string) => Promise<unknown>, (id: string) => string[]]>([
    [
      'one of them is not among those who share',
      (tenant, id) => redis.srem(tenant.key(SHARING), id),
      (id) => [`not_indexed user ${id}: is not found by the phone ${SWITCHBOARD}`],
    ],
    [
      'somebody is who is nobody',
      (tenant) => redis.sadd(tenant.key(SHARING), '1'),
      () => [`dead_entry phone ${SWITCHBOARD}: leads to 1, which is no user with this phone`],
    ],
    [
      'nobody is left',
      (tenant) => redis.del(tenant.key(SHARING)),
      () => [`dead_entry phone ${SWITCHBOARD}: leads to nobody`],
    ],
    [
      'there are some whom no index leads to',
      (tenant, id) => redis.sadd(tenant.key('sharing:email:a:b@example.com'), id),
      (id) => [`leftover sharing: has ${id} by the email a:b@example.com, which is not shared`],
    ],
  ])('[%s]', async (_what, damage, expected) => {
    const tenant = freshTenant();
    const [first] = await people(tenant, 6);
    await damage(tenant, first?.id as string);
    expect(await tenant.problems()).toEqual(expect.arrayContaining(expected(first?.id as string)));
  });
});
