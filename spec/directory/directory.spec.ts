/** The users in a real Redis: how they are found, replaced, told apart and deleted. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { createDirectory } from '../../src/directory/directory.js';
import type { Identifier, UserResource } from '../../src/directory/user.js';
import { Changed, NotUnique } from '../../src/directory/users.js';

const GRACE_MS = 30 * 86_400_000;
const prefix = `spec-${randomUUID().slice(0, 8)}`;
const redis = new Redis(process.env.TEST_REDIS_URL as string);
let now = Date.now();
const grace = { graceMs: GRACE_MS, now: () => now };
const directory = createDirectory(redis, prefix, grace);
const { users } = directory;

afterAll(async () => {
  const keys = await redis.keys(`${prefix}:*`);
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
});

const freshTenant = () => `t-${randomUUID().slice(0, 8)}`;
const values = (...list: string[]) => list.map((value) => ({ value }));

async function findOne(tenant: string, kind: Identifier['kind'] | 'id', value: string): Promise<UserResource[]> {
  const [found = []] = await users.find(tenant, [{ kind, value }]);
  return found.map(({ resource }) => resource);
}

describe('a user', () => {
  it('is found by every identifier, however it is spelt', async () => {
    const tenant = freshTenant();
    const { user, created } = await directory.put(tenant, {
      userName: 'Zoë',
      externalId: '00u1zoe',
      emails: values('Zoe@example.com', 'z@example.com'),
      phoneNumbers: values('+44 1632 960001'),
      'urn:example:extension': { kept: true },
    });
    expect(created).toBe(true);
    for (const [kind, value] of [
      ['id', user.id],
      ['userName', 'zoë'],
      ['userName', 'ZOE\u0308'],
      ['externalId', '00u1zoe'],
      ['email', 'zoe@EXAMPLE.com'],
      ['email', 'z@example.com'],
      ['phone', '+441632960001'],
      ['phone', 'tel:+44-1632-960001'],
    ] as const) {
      expect(await findOne(tenant, kind, value)).toEqual([user]);
    }
    expect(await users.get(tenant, user.id)).toEqual(user);
  });

  it.each([
    ['externalId', '00U1ZOE'],
    ['externalId', 'zoe'],
    ['userName', '00u1zoe'],
    ['email', 'zoe'],
    ['email', ''],
    ['id', 'zoe'],
    ['id', 'zoe@example.com'],
  ] as const)('is not found by what is another thing [%s %j]', async (kind, value) => {
    const tenant = freshTenant();
    await directory.put(tenant, { userName: 'zoe', externalId: '00u1zoe', emails: values('zoe@example.com') });
    expect(await findOne(tenant, kind, value)).toEqual([]);
  });

  it('without e-mail addresses is found by a userName that is one, as long as there are none', async () => {
    const tenant = freshTenant();
    const { user } = await directory.put(tenant, { userName: 'Ada@example.com' });
    expect(await findOne(tenant, 'email', 'ada@example.com')).toEqual([user]);
    await directory.put(tenant, { userName: 'ada@example.com', emails: values('other@example.com') });
    expect(await findOne(tenant, 'email', 'ada@example.com')).toEqual([]);
  });

  it('that is deactivated can still be found', async () => {
    const tenant = freshTenant();
    const { user } = await directory.put(tenant, { userName: 'ada', active: false });
    expect(await findOne(tenant, 'userName', 'ada')).toEqual([user]);
  });

  it('has text of any kind in it', async () => {
    const tenant = freshTenant();
    const userName = 'a b:{}"\\\n💥';
    const { user } = await directory.put(tenant, { userName, displayName: '\u0000', emails: values('x y@z') });
    expect(await findOne(tenant, 'userName', userName)).toEqual([user]);
    expect(await findOne(tenant, 'email', 'X Y@z')).toEqual([user]);
  });
});

describe('a replacement', () => {
  it('keeps the id, and leaves nothing of the old identifiers behind', async () => {
    const tenant = freshTenant();
    const { user: before } = await directory.put(tenant, {
      userName: 'ada',
      externalId: 'old',
      emails: values('old@example.com'),
      phoneNumbers: values('+1'),
    });
    const { user: after } = await directory.put(tenant, {
      userName: 'ADA',
      externalId: 'new',
      emails: values('new@example.com'),
    });
    expect(after.id).toBe(before.id);
    expect(after.meta).toMatchObject({ created: before.meta.created, version: 'W/"2"' });
    expect(await findOne(tenant, 'externalId', 'old')).toEqual([]);
    expect(await findOne(tenant, 'email', 'old@example.com')).toEqual([]);
    expect(await findOne(tenant, 'phone', '+1')).toEqual([]);
    expect(await findOne(tenant, 'email', 'new@example.com')).toEqual([after]);
    expect(await findOne(tenant, 'userName', 'ada')).toEqual([after]);
  });

  it('may give another userName, and the old one is free', async () => {
    const tenant = freshTenant();
    const { user: before } = await directory.put(tenant, { userName: 'ada', externalId: '00u1' });
    const after = await users.replace(tenant, before, { userName: 'ada.king', externalId: '00u1' });
    expect(await findOne(tenant, 'userName', 'ada')).toEqual([]);
    expect(await findOne(tenant, 'userName', 'ada.king')).toEqual([after]);
    expect((await directory.put(tenant, { userName: 'ada' })).user.id).not.toBe(before.id);
  });

  it('of what somebody else has changed meanwhile changes nothing', async () => {
    const tenant = freshTenant();
    const { user: before } = await directory.put(tenant, { userName: 'ada' });
    const faster = await users.replace(tenant, before, { userName: 'ada', title: 'faster' });
    const slower = users.replace(tenant, before, { userName: 'ada', title: 'slower', externalId: '00u1' });
    await expect(slower).rejects.toBeInstanceOf(Changed);
    expect(await findOne(tenant, 'userName', 'ada')).toEqual([faster]);
    expect(await findOne(tenant, 'externalId', '00u1')).toEqual([]);
  });

  it('frees an externalId for somebody else', async () => {
    const tenant = freshTenant();
    await directory.put(tenant, { userName: 'ada', externalId: '00u1' });
    await directory.put(tenant, { userName: 'ada' });
    const { user } = await directory.put(tenant, { userName: 'grace', externalId: '00u1' });
    expect(await findOne(tenant, 'externalId', '00u1')).toEqual([user]);
  });
});

describe('two users', () => {
  it('may not share a userName or an externalId, and a refused one changes nothing', async () => {
    const tenant = freshTenant();
    const { user: ada } = await directory.put(tenant, { userName: 'ada', externalId: '00u1' });
    const { user: grace } = await directory.put(tenant, { userName: 'grace', emails: values('g@example.com') });
    const same = { userName: 'grace', externalId: '00u1', emails: values('new@example.com') };
    for (const refused of [
      () => directory.put(tenant, same),
      () => users.replace(tenant, grace, same),
      () => users.create(tenant, { userName: 'eve', externalId: '00u1' }),
    ]) {
      const error = await refused().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(NotUnique);
      expect(error).toMatchObject({ attribute: 'externalId' });
    }
    await expect(users.create(tenant, { userName: 'ADA' })).rejects.toMatchObject({ attribute: 'userName' });
    await expect(users.replace(tenant, grace, { userName: 'Ada' })).rejects.toMatchObject({ attribute: 'userName' });
    expect(await findOne(tenant, 'externalId', '00u1')).toEqual([ada]);
    expect(await findOne(tenant, 'userName', 'grace')).toEqual([grace]);
    expect(await findOne(tenant, 'userName', 'eve')).toEqual([]);
    expect(await findOne(tenant, 'email', 'g@example.com')).toEqual([grace]);
    expect(await findOne(tenant, 'email', 'new@example.com')).toEqual([]);
    expect(await users.count(tenant)).toBe(2);
  });

  it('may share an e-mail address and a phone number, each of which then finds two: one is too many already', async () => {
    const tenant = freshTenant();
    const shared = { emails: values('desk@example.com'), phoneNumbers: values('+1') };
    for (const userName of ['ada', 'grace', 'eve']) await directory.put(tenant, { userName, ...shared });
    expect(await findOne(tenant, 'email', 'DESK@example.com')).toHaveLength(2);
    expect(await findOne(tenant, 'phone', '+1')).toHaveLength(2);
    await directory.put(tenant, { userName: 'ada' });
    await directory.put(tenant, { userName: 'grace' });
    expect(await findOne(tenant, 'email', 'desk@example.com')).toEqual([expect.objectContaining({ userName: 'eve' })]);
  });

  it('of different tenants have nothing in common', async () => {
    const [one, two] = [freshTenant(), freshTenant()];
    const same = { userName: 'ada', externalId: '00u1', emails: values('ada@example.com') };
    const { user: first } = await directory.put(one, same);
    const { user: second } = await directory.put(two, same);
    expect(first.id).not.toBe(second.id);
    expect(await findOne(one, 'email', 'ada@example.com')).toEqual([first]);
    expect(await findOne(two, 'email', 'ada@example.com')).toEqual([second]);
    expect(await findOne(two, 'id', first.id)).toEqual([]);
    expect(await users.get(two, first.id)).toBeUndefined();
  });
});

describe('a deleted user', () => {
  it('can still be named by a revocation, and by nothing else', async () => {
    const tenant = freshTenant();
    const { user } = await directory.put(tenant, { userName: 'ada', emails: values('ada@example.com') });
    await users.remove(tenant, user);
    expect(await findOne(tenant, 'email', 'ada@example.com')).toEqual([
      expect.objectContaining({ id: user.id, deletedAt: new Date(now).toISOString() }),
    ]);
    expect(await users.get(tenant, user.id)).toBeUndefined();
    expect(await users.page(tenant, 0, 10)).toEqual([]);
    expect(await users.count(tenant)).toBe(0);
  });

  it('stands behind a living one with the same identifier', async () => {
    const tenant = freshTenant();
    const attributes = { userName: 'ada', externalId: '00u1', emails: values('ada@example.com') };
    const { user: old } = await directory.put(tenant, attributes);
    await users.remove(tenant, old);
    const { user: young, created } = await directory.put(tenant, attributes);
    expect(created).toBe(true);
    expect(young.id).not.toBe(old.id);
    for (const [kind, value] of [
      ['userName', 'ada'],
      ['externalId', '00u1'],
      ['email', 'ada@example.com'],
    ] as const) {
      expect(await findOne(tenant, kind, value)).toEqual([young]);
    }
  });

  it('is found beside the living one, whoever went last first, and again once that one has another name', async () => {
    const tenant = freshTenant();
    const attributes = { userName: 'ada', externalId: '00u1', emails: values('ada@example.com') };
    const ids: string[] = [];
    for (let life = 0; life < 3; life++) {
      const { user } = await directory.put(tenant, attributes);
      ids.unshift(user.id);
      now += 1_000;
      if (life < 2) await users.remove(tenant, user);
    }
    const lookups = [
      { kind: 'userName', value: 'ADA' },
      { kind: 'externalId', value: '00u1' },
      { kind: 'email', value: 'ada@example.com' },
    ] as const;
    const [young, ...gone] = ids;
    for (const found of await users.findWithDeleted(tenant, [...lookups])) {
      expect(found.living.map(({ resource }) => resource.id)).toEqual([young]);
      expect(found.deleted.map(({ resource }) => resource.id)).toEqual(gone);
    }
    await directory.put(tenant, attributes);
    const before = (await users.get(tenant, young as string)) as UserResource;
    await expect(users.create(tenant, { userName: 'ada' })).rejects.toBeInstanceOf(NotUnique);
    await users.replace(tenant, before, { userName: 'ada.king' });
    for (const { kind, value } of lookups.slice(0, 2)) {
      expect(await findOne(tenant, kind, value)).toEqual([expect.objectContaining({ id: gone[0] })]);
    }
    expect(await findOne(tenant, 'email', 'ada@example.com')).toHaveLength(2);
    now += GRACE_MS + 1;
    for (const found of await users.findWithDeleted(tenant, [...lookups])) {
      expect(found).toEqual({ living: [], deleted: [] });
    }
  });

  it('goes for good when the grace is over', async () => {
    const tenant = freshTenant();
    const { user } = await directory.put(tenant, { userName: 'ada', emails: values('ada@example.com') });
    const { user: other } = await directory.put(tenant, { userName: 'grace' });
    await users.remove(tenant, user);
    now += GRACE_MS + 1;
    await users.remove(tenant, other);
    expect(await findOne(tenant, 'email', 'ada@example.com')).toEqual([]);
    expect(await findOne(tenant, 'id', user.id)).toEqual([]);
    expect(await findOne(tenant, 'userName', 'grace')).toHaveLength(1);
  });

  it('cannot be deleted twice, nor changed', async () => {
    const tenant = freshTenant();
    const { user } = await directory.put(tenant, { userName: 'ada' });
    await users.remove(tenant, user);
    await expect(users.remove(tenant, user)).rejects.toBeInstanceOf(Changed);
    await expect(users.replace(tenant, user, { userName: 'ada' })).rejects.toBeInstanceOf(Changed);
  });
});

describe('several lookups', () => {
  it('are answered in their order, in one go', async () => {
    const tenant = freshTenant();
    const { user: ada } = await directory.put(tenant, { userName: 'ada', externalId: '00u1' });
    const { user: grace } = await directory.put(tenant, { userName: 'grace' });
    const found = await users.find(tenant, [
      { kind: 'userName', value: 'grace' },
      { kind: 'userName', value: 'nobody' },
      { kind: 'externalId', value: '00u1' },
      { kind: 'id', value: grace.id },
    ]);
    expect(found.map((list) => list.map(({ resource }) => resource.id))).toEqual([
      [grace.id],
      [],
      [ada.id],
      [grace.id],
    ]);
    expect(await users.find(tenant, [])).toEqual([]);
  });
});
