/** After any changes of users, one after the other or all at once, an identifier finds its owners and nobody else. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { createDirectory } from '../../src/directory/directory.js';
import {
  canonical,
  type Identifier,
  identifiersOf,
  type UserAttributes,
  type UserResource,
} from '../../src/directory/user.js';
import { Changed, NotUnique } from '../../src/directory/users.js';

const GRACE_MS = 30 * 86_400_000;
const prefix = `spec-${randomUUID().slice(0, 8)}`;
const redis = new Redis(process.env.TEST_REDIS_URL as string);
const another = new Redis(process.env.TEST_REDIS_URL as string);
const now = Date.now();
const grace = { graceMs: GRACE_MS, now: () => now };
const directory = createDirectory(redis, prefix, grace);
const elsewhere = createDirectory(another, prefix, grace);
const { users } = directory;

afterAll(async () => {
  const keys = await redis.keys(`${prefix}:*`);
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
  another.disconnect();
});

const freshTenant = () => `t-${randomUUID().slice(0, 8)}`;
const values = (...list: string[]) => list.map((value) => ({ value }));

async function findOne(tenant: string, kind: Identifier['kind'] | 'id', value: string): Promise<UserResource[]> {
  const [found = []] = await users.find(tenant, [{ kind, value }]);
  return found.map(({ resource }) => resource);
}

const names = ['ada', 'Ada', 'grace', 'grace@example.com'];
const addresses = ['ada@example.com', 'ADA@example.com', 'desk@example.com', 'grace@example.com'];
const phones = ['+1', 'tel:+1', '+2'];
const externalIds = ['00u1', '00u2', '00U1'];
const pool: Identifier[] = [
  ...names.map((value) => ({ kind: 'userName' as const, value })),
  ...externalIds.map((value) => ({ kind: 'externalId' as const, value })),
  ...addresses.map((value) => ({ kind: 'email' as const, value })),
  ...phones.map((value) => ({ kind: 'phone' as const, value })),
];

const attributes: fc.Arbitrary<UserAttributes> = fc
  .record({
    userName: fc.constantFrom(...names),
    externalId: fc.option(fc.constantFrom(...externalIds)),
    emails: fc.uniqueArray(fc.constantFrom(...addresses), { maxLength: 3 }),
    phoneNumbers: fc.uniqueArray(fc.constantFrom(...phones), { maxLength: 2 }),
  })
  .map(({ userName, externalId, emails, phoneNumbers }) => ({
    userName,
    ...(externalId !== null && { externalId }),
    emails: values(...emails),
    phoneNumbers: values(...phoneNumbers),
  }));

/** `which` picks among the users there are, whatever their number. */
type Change =
  | { act: 'put'; attributes: UserAttributes }
  | { act: 'replace'; which: number; attributes: UserAttributes }
  | { act: 'remove'; which: number };

const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ act: fc.constant('put' as const), attributes }) },
  { weight: 3, arbitrary: fc.record({ act: fc.constant('replace' as const), which: fc.nat(9), attributes }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('remove' as const), which: fc.nat(9) }) },
);

const owns = (user: UserResource, { kind, value }: Identifier) =>
  identifiersOf(user).some((one) => one.kind === kind && one.value === canonical(kind, value));

/** Every identifier finds exactly its living owners; where there are none, at most its deleted ones. */
async function expectIndexed(tenant: string, living: UserResource[], deleted: string[]): Promise<void> {
  const found = await users.find(tenant, pool);
  pool.forEach((identifier, index) => {
    const got = (found[index] ?? []).map(({ resource }) => resource);
    const owners = living.filter((user) => owns(user, identifier));
    if (identifier.kind === 'userName' || identifier.kind === 'externalId') {
      expect(owners.length).toBeLessThanOrEqual(1);
    }
    if (owners.length > 0) {
      expect(got).toHaveLength(Math.min(2, owners.length));
      expect(owners).toEqual(expect.arrayContaining(got));
    }
    for (const user of got) {
      expect(owns(user, identifier)).toBe(true);
      if (owners.length === 0) expect(deleted).toContain(user.id);
    }
  });
}

const pick = (list: UserResource[], which: number) => list[which % list.length];

describe('after any sequence of changes', () => {
  it('an identifier finds its owners and nobody else [one after the other]', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 15 }), async (sequence) => {
        const tenant = freshTenant();
        const model = new Map<string, UserResource>();
        const deleted: string[] = [];
        const clash = (next: UserAttributes, own: string | undefined) =>
          [...model.values()].some(
            (user) =>
              user.id !== own &&
              (canonical('userName', user.userName) === canonical('userName', next.userName) ||
                (next.externalId !== undefined && user.externalId === next.externalId)),
          );
        for (const step of sequence) {
          const list = [...model.values()];
          const same = (user: UserResource) =>
            step.act === 'put' &&
            canonical('userName', user.userName) === canonical('userName', step.attributes.userName);
          const target = step.act === 'put' ? list.find(same) : pick(list, step.which);
          if (step.act === 'remove') {
            if (!target) continue;
            await users.remove(tenant, target);
            model.delete(target.id);
            deleted.push(target.id);
            continue;
          }
          if (step.act === 'replace' && !target) continue;
          const put = async () =>
            step.act === 'put'
              ? (await directory.put(tenant, step.attributes)).user
              : users.replace(tenant, target as UserResource, step.attributes);
          if (clash(step.attributes, target?.id)) {
            await expect(put()).rejects.toBeInstanceOf(NotUnique);
            continue;
          }
          const user = await put();
          expect(user).toEqual({ ...step.attributes, id: target?.id ?? user.id, meta: user.meta });
          model.set(user.id, user);
        }
        expect(await users.count(tenant)).toBe(model.size);
        await expectIndexed(tenant, [...model.values()], deleted);
      }),
      { numRuns: 60 },
    );
  });

  it('an identifier finds its owners and nobody else [all at once, over two connections]', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(attributes, { maxLength: 4 }), fc.array(change, { minLength: 2, maxLength: 12 }), run),
      { numRuns: 60 },
    );

    async function run(first: UserAttributes[], sequence: Change[]): Promise<void> {
      const tenant = freshTenant();
      for (const one of first) await directory.put(tenant, one).catch(onlyExpected);
      const before = await users.page(tenant, 0, 100);
      await Promise.all(
        sequence.map((step, index) => {
          const through = index % 2 ? directory : elsewhere;
          if (step.act === 'put') return through.put(tenant, step.attributes).catch(onlyExpected);
          const target = pick(before, step.which);
          if (!target) return undefined;
          return step.act === 'remove'
            ? through.users.remove(tenant, target).catch(onlyExpected)
            : through.users.replace(tenant, target, step.attributes).catch(onlyExpected);
        }),
      );
      const living = await users.page(tenant, 0, 100);
      const gone = before.filter(({ id }) => !living.some((user) => user.id === id)).map(({ id }) => id);
      expect(await users.count(tenant)).toBe(living.length);
      await expectIndexed(tenant, living, gone);
    }

    function onlyExpected(error: unknown): void {
      if (!(error instanceof NotUnique || error instanceof Changed)) throw error;
    }
  });

  it('puts of one userName at once make one user [two connections]', async () => {
    const tenant = freshTenant();
    const puts = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        (index % 2 ? directory : elsewhere).put(tenant, { userName: index % 3 ? 'ada' : 'ADA', title: String(index) }),
      ),
    );
    expect(new Set(puts.map(({ user }) => user.id)).size).toBe(1);
    expect(puts.filter(({ created }) => created)).toHaveLength(1);
    expect(await users.count(tenant)).toBe(1);
    const [user] = await findOne(tenant, 'userName', 'ada');
    expect(puts.map((put) => put.user)).toContainEqual(user);
    expect(user?.meta.version).toBe('W/"12"');
  });
});
