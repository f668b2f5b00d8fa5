/** The check of a directory finds every damage that was done behind the directory's back, and nothing beside it. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { checkDirectory, type Disagreement } from '../../src/directory/check.js';
import { createDirectory } from '../../src/directory/directory.js';
import type { GroupResource } from '../../src/directory/groups.js';
import type { UserResource } from '../../src/directory/user.js';

const prefix = `spec-${randomUUID().slice(0, 8)}`;
const redis = new Redis(process.env.TEST_REDIS_URL as string);
const directory = createDirectory(redis, prefix, { graceMs: 30 * 86_400_000, now: Date.now });
const { users, groups } = directory;

afterAll(async () => {
  const keys = await redis.keys(`${prefix}:*`);
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
});

const freshTenant = () => `t-${randomUUID().slice(0, 8)}`;
const key = (tenant: string, name: string) => `${prefix}:{${tenant}}:${name}`;

async function check(tenant: string): Promise<Disagreement[]> {
  const found: Disagreement[] = [];
  for await (const disagreement of checkDirectory({ redis, prefix, tenant })) found.push(disagreement);
  return found;
}

type Scene = { ada: UserResource; grace: UserResource; gone: UserResource; engineering: GroupResource };

const tenant = freshTenant();
const own = (name: string) => key(tenant, name);
let scene: Scene;

/** Ada with everything; Grace, who shares her group; and somebody who is deleted. */
beforeAll(async () => {
  const { user: ada } = await directory.put(
    tenant,
    { userName: 'ada', externalId: '00u1', emails: [{ value: 'ada@example.com' }], phoneNumbers: [{ value: '+1' }] },
    ['Engineering'],
  );
  const { user: grace } = await directory.put(tenant, { userName: 'grace', externalId: '00u2' }, ['Engineering']);
  const { user: leaver } = await directory.put(tenant, { userName: 'gone' }, ['Engineering']);
  await users.remove(tenant, leaver);
  const [[gone] = []] = await users.find(tenant, [{ kind: 'userName', value: 'gone' }]);
  const engineering = await groups.named(tenant, 'Engineering');
  scene = { ada, grace, gone: gone?.resource as UserResource, engineering: engineering as GroupResource };
  expect(await check(tenant)).toEqual([]);
});

const store = (user: UserResource, text: string) => redis.hset(own('users'), user.id, text);

// What is done, what is reported of it, and what a report names.
const damages: [what: string, damage: () => Promise<unknown>, reported: string, named: () => string][] = [
  ['no index has the externalId', () => redis.hdel(own('users-by-externalId'), '00u1'), 'not_indexed', ada],
  ['no index has the userName', () => redis.hdel(own('users-by-userName'), 'ada'), 'not_indexed', ada],
  ['no index has the address', () => redis.hdel(own('users-by-email'), 'ada@example.com'), 'not_indexed', ada],
  ['no index has the number', () => redis.hdel(own('users-by-phone'), '+1'), 'not_indexed', ada],
  ['no index has the address of a deleted user', () => store(scene.gone, withAddress()), 'not_indexed', gone],
  ['one leads to another user', () => entry('externalId', '00u1', grace()), 'dead_entry not_indexed', () => '00u1'],
  ['one leads to nobody', () => entry('email', 'old@example.com', '1'), 'dead_entry', () => 'old@example.com'],
  ['one leads nowhere', () => entry('userName', 'empty', ''), 'dead_entry', () => 'userName empty'],
  ['one leads to one too many', () => entry('email', 'ada@example.com', `${ada()} ${grace()}`), 'dead_entry', grace],
  [
    'a userName has two',
    () => entry('userName', 'ada', `${ada()} ${grace()}`),
    'dead_entry dead_entry',
    () => '2 users',
  ],
  [
    'a userName leads to one too many who is deleted',
    () => entry('userName', 'ada', `${gone()} ${ada()}`),
    'dead_entry',
    gone,
  ],
  [
    'a user is gone, with the places left',
    () => redis.hdel(own('users'), grace()),
    'dead_entry dead_entry dead_entry membership',
    grace,
  ],
  ['a user is no JSON', () => store(scene.ada, '{'), unreadable(4), ada],
  ['a user is a number', () => store(scene.ada, '7'), unreadable(4), ada],
  ['a user is another', () => store(scene.ada, JSON.stringify(scene.grace)), unreadable(4), ada],
  ['a user has no userName', () => store(scene.ada, JSON.stringify({ id: ada() })), unreadable(4), ada],
  ['a user is in no order', () => redis.zrem(own('user-order'), ada()), 'order', ada],
  ['a user is at the wrong place', () => redis.zadd(own('user-order'), 1, ada()), 'order', ada],
  ['a living user is among the deleted', () => redis.zadd(own('deleted-users'), 1, ada()), 'membership order', ada],
  ['a deleted user is not', () => redis.zrem(own('deleted-users'), gone()), 'order', gone],
  ['a deleted user is among the living', () => redis.zadd(own('user-order'), 1, gone()), 'order', gone],
  ['the order has nobody', () => redis.zadd(own('user-order'), 1, '1'), 'dead_entry', () => 'user-order: has 1'],
  [
    'the deleted are nobody',
    () => redis.zadd(own('deleted-users'), 1, '1'),
    'dead_entry',
    () => 'deleted-users: has 1',
  ],
  ['groups of nobody are kept', () => redis.zadd(own('former-groups:1'), 1, 'x'), 'leftover', () => 'has 1, which'],
  ['a member does not have the group', () => redis.del(own(`groups-of:${ada()}`)), 'membership', ada],
  ['a group does not have the member', () => redis.srem(own(`members:${group()}`), ada()), 'membership', ada],
  ['a deleted user is a member', () => join(group(), gone()), 'membership', () => `${gone()}, which is deleted`],
  ['nobody is a member', () => join(group(), '1'), 'membership', () => 'the member 1, which is no user'],
  ['a user is in a group that is none', () => join('1', ada()), 'membership', () => 'group 1: has the member'],
  ['a user alone says so', () => redis.sadd(own(`groups-of:${ada()}`), '1'), 'membership', () => 'the group 1,'],
  ['no name leads to the group', () => redis.hdel(own('groups-by-name'), 'engineering'), 'not_indexed', group],
  ['a name leads elsewhere', () => name('engineering', '1'), 'dead_entry not_indexed', group],
  ['a name leads to no group', () => name('old', group()), 'dead_entry', () => 'group name old'],
  ['a group is no JSON', () => redis.hset(own('groups'), group(), '{'), unreadable(1), group],
  ['a group is in no order', () => redis.zrem(own('group-order'), group()), 'order', group],
  ['the order of groups has none', () => redis.zadd(own('group-order'), 1, '1'), 'dead_entry', () => 'has 1, which'],
];

describe('a disagreement is reported, and nothing else is', () => {
  it.each(damages)('[%s]', async (_what, damage, reported, named) => {
    const undo = await remember();
    await damage();
    const found = await check(tenant);
    await undo();
    expect(found.map(({ kind }) => kind).toSorted((a, b) => a.localeCompare(b))).toEqual(reported.split(' '));
    expect(found.map(({ problem }) => problem).join('\n')).toContain(named());
    expect(await check(tenant)).toEqual([]);
  });

  it('wherever it is among so many that nothing is read in one piece', async () => {
    const many = freshTenant();
    const ids = await Promise.all(
      Array.from({ length: 1_100 }, async (_, index) => {
        const [userName, externalId, emails] = [`u${index}`, `00u${index}`, [{ value: `${index}@example.com` }]];
        return (await users.create(many, { userName, externalId, emails })).id;
      }),
    );
    const everyone = await groups.create(many, { displayName: 'Everyone' });
    await groups.changeMembers(many, everyone.id, { add: ids, remove: [] });
    const hurt = ids.filter((_, index) => index % 100 === 37);
    let checked = 0;
    for await (const nothing of checkDirectory({ redis, prefix, tenant: many, onChecked: count }))
      expect(nothing).toBe('');
    expect(checked).toBe(1_100 * 7 + 3);
    await redis.srem(key(many, `members:${everyone.id}`), ...hurt);
    await redis.hdel(key(many, 'users-by-email'), ...hurt.map((id) => `${ids.indexOf(id)}@example.com`));
    await redis.zrem(key(many, 'user-order'), ...hurt);
    const found = await check(many);
    for (const kind of ['membership', 'not_indexed', 'order']) {
      const named = found.filter((one) => one.kind === kind).map(({ problem }) => /^user (\d+):/.exec(problem)?.[1]);
      expect(new Set(named)).toEqual(new Set(hurt));
    }
    expect(found).toHaveLength(3 * hurt.length);

    function count(more: number): void {
      checked += more;
    }
  });
});

function ada(): string {
  return scene.ada.id;
}

function grace(): string {
  return scene.grace.id;
}

function gone(): string {
  return scene.gone.id;
}

function group(): string {
  return scene.engineering.id;
}

function withAddress(): string {
  return JSON.stringify({ ...scene.gone, emails: [{ value: 'gone@example.com' }] });
}

function entry(kind: string, value: string, ids: string): Promise<unknown> {
  return redis.hset(own(`users-by-${kind}`), value, ids);
}

function name(displayName: string, id: string): Promise<unknown> {
  return redis.hset(own('groups-by-name'), displayName, id);
}

function join(id: string, user: string): Promise<unknown> {
  return Promise.all([redis.sadd(own(`members:${id}`), user), redis.sadd(own(`groups-of:${user}`), id)]);
}

/** The resource itself, and everything that leads to it. */
function unreadable(entries: number): string {
  return [...Array.from({ length: entries }, () => 'dead_entry'), 'unreadable'].join(' ');
}

/** Puts every key of the tenant back as it is now. */
async function remember(): Promise<() => Promise<void>> {
  const keys = await redis.keys(own('*'));
  const dumps = await Promise.all(keys.map((one) => redis.dumpBuffer(one)));
  return async () => {
    await redis.del(await redis.keys(own('*')));
    await Promise.all(keys.map((one, index) => redis.restore(one, 0, dumps[index] as Buffer)));
  };
}
