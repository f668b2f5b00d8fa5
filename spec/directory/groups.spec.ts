/** Groups and who is in them: both sides of a membership agree, whatever happens at the same time. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { createDirectory } from '../../src/directory/directory.js';
import { UnknownMember } from '../../src/directory/groups.js';
import { Changed, NotUnique } from '../../src/directory/users.js';

const GRACE_MS = 30 * 86_400_000;
const prefix = `spec-${randomUUID().slice(0, 8)}`;
const redis = new Redis(process.env.TEST_REDIS_URL as string);
let now = Date.now();
const directory = createDirectory(redis, prefix, { graceMs: GRACE_MS, now: () => now });
const { users, groups } = directory;

afterAll(async () => {
  const keys = await redis.keys(`${prefix}:*`);
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
});

const freshTenant = () => `t-${randomUUID().slice(0, 8)}`;

/** The names of the groups that count for this user in a revocation. */
async function counted(tenant: string, id: string): Promise<string[]> {
  const [[user] = []] = await users.find(tenant, [{ kind: 'id', value: id }]);
  return (user?.groups ?? []).toSorted((a, b) => a.localeCompare(b));
}

const present = async (tenant: string, id: string) =>
  (await groups.ofUser(tenant, id)).map(({ displayName }) => displayName).toSorted((a, b) => a.localeCompare(b));

describe('a user with groups', () => {
  it('is in these and no others, made where they are missing', async () => {
    const tenant = freshTenant();
    const { user } = await directory.put(tenant, { userName: 'ada' }, ['Engineering', 'Everyone']);
    expect(await present(tenant, user.id)).toEqual(['Engineering', 'Everyone']);
    await directory.put(tenant, { userName: 'ada' }, ['everyone', 'Sales']);
    expect(await present(tenant, user.id)).toEqual(['Everyone', 'Sales']);
    expect(await groups.count(tenant)).toBe(3);
  });

  it('stays in them where nothing is said of groups', async () => {
    const tenant = freshTenant();
    const { user } = await directory.put(tenant, { userName: 'ada' }, ['Engineering']);
    await directory.put(tenant, { userName: 'ada', title: 'Countess' });
    expect(await present(tenant, user.id)).toEqual(['Engineering']);
  });

  it('who come in at once make each group once', async () => {
    const tenant = freshTenant();
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        directory.put(tenant, { userName: `user-${index}` }, ['Engineering', index % 2 ? 'Odd' : 'Even']),
      ),
    );
    expect(await groups.count(tenant)).toBe(3);
    const group = await groups.named(tenant, 'ENGINEERING');
    expect(await groups.memberCount(tenant, group?.id ?? '')).toBe(20);
  });
});

describe('a group that was left', () => {
  it('counts until the grace is over: a revocation comes a second after the assignment has gone', async () => {
    const tenant = freshTenant();
    const { user } = await directory.put(tenant, { userName: 'ada' }, ['Engineering']);
    await directory.put(tenant, { userName: 'ada' }, []);
    expect(await present(tenant, user.id)).toEqual([]);
    expect(await counted(tenant, user.id)).toEqual(['Engineering']);
    now += GRACE_MS + 1;
    expect(await counted(tenant, user.id)).toEqual([]);
  });

  it('counts once where it was entered again', async () => {
    const tenant = freshTenant();
    const { user } = await directory.put(tenant, { userName: 'ada' }, ['Engineering']);
    await directory.put(tenant, { userName: 'ada' }, []);
    await directory.put(tenant, { userName: 'ada' }, ['Engineering']);
    expect(await counted(tenant, user.id)).toEqual(['Engineering']);
  });

  it('counts for a user who was deleted, and for the members of a group that was', async () => {
    const tenant = freshTenant();
    const { user: ada } = await directory.put(tenant, { userName: 'ada' }, ['Engineering']);
    const { user: grace } = await directory.put(tenant, { userName: 'grace' }, ['Engineering']);
    await users.remove(tenant, ada);
    expect(await counted(tenant, ada.id)).toEqual(['Engineering']);
    const group = await groups.named(tenant, 'Engineering');
    expect(await groups.members(tenant, group?.id ?? '')).toEqual([grace.id]);
    await groups.remove(tenant, group?.id ?? '');
    expect(await groups.named(tenant, 'Engineering')).toBeUndefined();
    expect(await counted(tenant, grace.id)).toEqual(['Engineering']);
  });
});

describe('a change of members', () => {
  it('takes 2,500 at once', async () => {
    const tenant = freshTenant();
    const ids = await Promise.all(
      Array.from({ length: 2_500 }, async (_, index) => (await users.create(tenant, { userName: `u${index}` })).id),
    );
    const group = await groups.create(tenant, { displayName: 'All' });
    await groups.changeMembers(tenant, group.id, { add: ids, remove: [] });
    expect(await groups.memberCount(tenant, group.id)).toBe(2_500);
    await groups.changeMembers(tenant, group.id, { add: [], remove: ids.slice(1) });
    expect(await groups.members(tenant, group.id)).toEqual(ids.slice(0, 1));
  });

  it('refuses whoever is no user of this tenant, and then adds nobody', async () => {
    const [tenant, other] = [freshTenant(), freshTenant()];
    const { id: ada } = await users.create(tenant, { userName: 'ada' });
    const { id: stranger } = await users.create(other, { userName: 'stranger' });
    const gone = await users.create(tenant, { userName: 'gone' });
    await users.remove(tenant, gone);
    const group = await groups.create(tenant, { displayName: 'Engineering' });
    for (const member of ['nobody', stranger, gone.id]) {
      const refused = groups.changeMembers(tenant, group.id, { add: [ada, member], remove: [] });
      await expect(refused).rejects.toBeInstanceOf(UnknownMember);
    }
    expect(await groups.members(tenant, group.id)).toEqual([]);
    expect((await groups.get(tenant, group.id))?.meta.version).toBe('W/"1"');
  });

  it('of a group that is not there says so', async () => {
    const tenant = freshTenant();
    const { id } = await users.create(tenant, { userName: 'ada' });
    await expect(groups.changeMembers(tenant, 'missing', { add: [id], remove: [] })).rejects.toBeInstanceOf(Changed);
    expect(await present(tenant, id)).toEqual([]);
  });
});

describe('a name', () => {
  it('belongs to one group of a tenant, whatever its letters', async () => {
    const tenant = freshTenant();
    const group = await groups.create(tenant, { displayName: 'Engineering' });
    const sales = await groups.create(tenant, { displayName: 'Sales' });
    await expect(groups.create(tenant, { displayName: 'ENGINEERING ' })).rejects.toBeInstanceOf(NotUnique);
    await expect(groups.replace(tenant, sales, { displayName: 'engineering' })).rejects.toBeInstanceOf(NotUnique);
    await groups.create(freshTenant(), { displayName: 'Engineering' });
    const renamed = await groups.replace(tenant, group, { displayName: 'Makers' });
    expect(await groups.named(tenant, 'Engineering')).toBeUndefined();
    expect(await groups.named(tenant, 'makers')).toEqual(renamed);
    expect(await groups.count(tenant)).toBe(2);
  });
});

describe('at the same time', () => {
  it('memberships agree on both sides, and nobody is left in a group that has gone', async () => {
    const step = fc.record({
      act: fc.constantFrom(
        'add' as const,
        'add' as const,
        'leave' as const,
        'remove group' as const,
        'remove user' as const,
      ),
      group: fc.nat(1),
      user: fc.nat(2),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 12 }), async (steps) => {
        const tenant = freshTenant();
        const people = await Promise.all(['a', 'b', 'c'].map((userName) => users.create(tenant, { userName })));
        const teams = await Promise.all(['X', 'Y'].map((displayName) => groups.create(tenant, { displayName })));
        await Promise.all(
          steps.map(async ({ act, group: g, user: u }) => {
            const [group, user] = [teams[g], people[u]];
            if (!group || !user) return;
            const acts = {
              add: () => groups.changeMembers(tenant, group.id, { add: [user.id], remove: [] }),
              leave: () => groups.changeMembers(tenant, group.id, { add: [], remove: [user.id] }),
              'remove group': () => groups.remove(tenant, group.id),
              'remove user': () => users.remove(tenant, user),
            };
            await acts[act]().catch((error: unknown) => {
              if (!(error instanceof Changed || error instanceof UnknownMember)) throw error;
            });
          }),
        );
        const living = new Set((await users.page(tenant, 0, 10)).map(({ id }) => id));
        const standing = new Set((await groups.page(tenant, 0, 10)).map(({ id }) => id));
        for (const { id } of teams) {
          const members = await groups.members(tenant, id);
          if (!standing.has(id)) expect(members).toEqual([]);
          for (const member of members) expect(living).toContain(member);
          for (const person of people) {
            const own = (await groups.ofUser(tenant, person.id)).some((one) => one.id === id);
            expect(own).toBe(members.includes(person.id));
          }
        }
        // Whoever is left can go as well.
        for (const user of await users.page(tenant, 0, 10)) await users.remove(tenant, user);
        expect(await users.count(tenant)).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});
