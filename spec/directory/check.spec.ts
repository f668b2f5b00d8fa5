/** The check of a directory is silent over whatever the directory itself does, also while it is being done. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { checkDirectory, type Disagreement } from '../../src/directory/check.js';
import { createDirectory } from '../../src/directory/directory.js';
import { Changed, NotUnique } from '../../src/directory/users.js';

const GRACE_MS = 30 * 86_400_000;
const prefix = `spec-${randomUUID().slice(0, 8)}`;
const redis = new Redis(process.env.TEST_REDIS_URL as string);
const another = new Redis(process.env.TEST_REDIS_URL as string);
let now = Date.now();
const directory = createDirectory(redis, prefix, { graceMs: GRACE_MS, now: () => now });
const elsewhere = createDirectory(another, prefix, { graceMs: GRACE_MS, now: () => now });

afterAll(async () => {
  const keys = await redis.keys(`${prefix}:*`);
  for (let start = 0; start < keys.length; start += 5_000) await redis.del(keys.slice(start, start + 5_000));
  redis.disconnect();
  another.disconnect();
});

const freshTenant = () => `t-${randomUUID().slice(0, 8)}`;
const key = (tenant: string, name: string) => `${prefix}:{${tenant}}:${name}`;

async function check(tenant: string, connection = redis): Promise<Disagreement[]> {
  const found: Disagreement[] = [];
  for await (const disagreement of checkDirectory({ redis: connection, prefix, tenant })) found.push(disagreement);
  return found;
}

const names = ['ada', 'Ada', 'grace', 'lin'];
const step = fc.oneof(
  fc.record({
    do: fc.constant('put' as const),
    userName: fc.constantFrom(...names),
    externalId: fc.constantFrom(undefined, '00u1', '00u2'),
    emails: fc.uniqueArray(fc.constantFrom('desk@example.com', 'DESK@example.com', 'ada@example.com'), {
      maxLength: 2,
    }),
    phone: fc.constantFrom(undefined, '+1', 'tel:+1'),
    groups: fc.option(fc.uniqueArray(fc.constantFrom('Engineering', 'Sales', 'Everyone'), { maxLength: 3 }), {
      nil: undefined,
    }),
  }),
  fc.record({ do: fc.constant('remove' as const), userName: fc.constantFrom(...names) }),
  fc.record({ do: fc.constant('removeGroup' as const), name: fc.constantFrom('Engineering', 'Sales') }),
  fc.record({
    do: fc.constant('rename' as const),
    name: fc.constantFrom('Engineering', 'sales'),
    to: fc.constantFrom('Sales', 'Ops'),
  }),
  fc.record({ do: fc.constant('wait' as const) }),
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function take(tenant: string, one: Step, { users, groups, put } = directory): Promise<void> {
  if (one.do === 'wait') {
    now += GRACE_MS / 2;
  } else if (one.do === 'put') {
    const { userName, externalId, emails, phone } = one;
    const attributes = {
      userName,
      ...(externalId !== undefined && { externalId }),
      emails: emails.map((value) => ({ value })),
      ...(phone !== undefined && { phoneNumbers: [{ value: phone }] }),
    };
    await put(tenant, attributes, one.groups);
  } else if (one.do === 'remove') {
    const [[user] = []] = await users.find(tenant, [{ kind: 'userName', value: one.userName }]);
    if (user && user.resource.deletedAt === undefined) await users.remove(tenant, user.resource);
  } else {
    const group = await groups.named(tenant, one.name);
    if (group && one.do === 'removeGroup') await groups.remove(tenant, group.id);
    if (group && one.do === 'rename') await groups.replace(tenant, group, { displayName: one.to });
  }
}

/** What one of two who write at the same time may be told. */
function isRefusal(error: unknown): boolean {
  return error instanceof NotUnique || error instanceof Changed || (error as Error).name === 'UnknownMember';
}

describe('nothing disagrees', () => {
  it('in a tenant that does not exist', async () => {
    expect(await check(freshTenant())).toEqual([]);
  });

  it('after any sequence of changes, deletions and years', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const tenant = freshTenant();
        for (const one of steps) {
          await take(tenant, one).catch((error: unknown) => {
            if (!isRefusal(error)) throw error;
          });
        }
        expect(await check(tenant)).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  it('after any changes at once, over two connections', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 16 }), async (steps) => {
        const tenant = freshTenant();
        await Promise.all(
          steps.map((one, index) =>
            take(tenant, one, index % 2 ? directory : elsewhere).catch((error: unknown) => {
              if (!isRefusal(error)) throw error;
            }),
          ),
        );
        expect(await check(tenant)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it('while others write: what is on its way from one state to another is no disagreement', async () => {
    const tenant = freshTenant();
    const writers = Array.from({ length: 8 }, (_, index) => index);
    let over = false;
    let written = 0;
    const write = async (writer: number) => {
      while (!over) {
        written++;
        const attributes = { userName: `user-${writer}`, externalId: `00u${writer}-${written % 7}` };
        const emails = [{ value: `mail-${written % 5}@example.com` }, { value: `desk-${written % 3}@example.com` }];
        const { user } = await elsewhere.put(tenant, { ...attributes, emails }, [
          `group ${written % 4}`,
          `group ${writer}`,
        ]);
        if (written % 9 === 0) await elsewhere.users.remove(tenant, user);
        if (written % 31 === 0) {
          const group = await elsewhere.groups.named(tenant, `group ${writer}`);
          if (group) await elsewhere.groups.remove(tenant, group.id).catch(() => {});
        }
      }
    };
    const refusals: unknown[] = [];
    const writing = writers.map((writer) => {
      const keepOn = async (): Promise<void> => {
        await write(writer).catch((error: unknown) => {
          if (!isRefusal(error)) refusals.push(error);
        });
        if (!over && refusals.length === 0) await keepOn();
      };
      return keepOn();
    });
    const found: Disagreement[] = [];
    for (const end = Date.now() + 3_000; Date.now() < end; ) found.push(...(await check(tenant)));
    over = true;
    await Promise.all(writing);
    expect(refusals).toEqual([]);
    expect(written).toBeGreaterThan(100);
    expect(found).toEqual([]);
    expect(await check(tenant)).toEqual([]);
  });
});

it('tells who is indexed in a form of before, and is silent once they are written again, or gone', async () => {
  const greek = '\u03c4\u03b1\u0390\u03b6\u03c9@example.com'.toUpperCase();
  const greekBefore = greek.normalize('NFC').toLowerCase();
  const before = [
    ['users-by-phone', '+442079460000', '+4402079460000'],
    ['users-by-phone', '+12015550123', '+12015550123;ext=12'],
    ['users-by-userName', greekBefore.normalize('NFC'), greekBefore],
    ['users-by-email', greekBefore.normalize('NFC'), greekBefore],
  ] as const;
  const attributes = {
    userName: greek,
    phoneNumbers: [{ value: '+44 (0)20 7946 0000' }, { value: 'tel:+1-201-555-0123;ext=12' }],
  };
  for (const write of ['replace', 'remove'] as const) {
    const tenant = freshTenant();
    const { users } = directory;
    const user = await users.create(tenant, attributes);
    const other = await users.create(tenant, { userName: 'other', phoneNumbers: [{ value: '+4402079460000' }] });
    const indexes = () => Promise.all(before.map(([index]) => redis.hgetall(key(tenant, index))));
    const asItIs = await indexes();
    for (const [index, now, old] of before) {
      await redis.hdel(key(tenant, index), now);
      const ids = await redis.hget(key(tenant, index), old);
      await redis.hset(key(tenant, index), old, ids === null ? user.id : `${ids} ${user.id}`);
    }
    const told = (await check(tenant)).map(({ kind, problem }) => `${kind} ${problem}`);
    expect(told).toHaveLength(8);
    for (const [index, now, old] of before) {
      const kind = index.slice('users-by-'.length);
      expect(told).toContain(`not_indexed user ${user.id}: is not found by the ${kind} ${now}`);
      expect(told).toContain(`dead_entry ${kind} ${old}: leads to ${user.id}, which is no user with this ${kind}`);
    }
    if (write === 'remove') {
      await users.remove(tenant, user);
    } else {
      await users.replace(tenant, user, attributes);
      expect(await indexes()).toEqual(asItIs);
    }
    expect(await check(tenant)).toEqual([]);
    const lookup = { kind: 'phone', value: '+442079460000' } as const;
    const found = (await users.find(tenant, [lookup, { ...lookup, value: '+4402079460000' }])).flat();
    expect(found.map(({ resource }) => resource.id)).toEqual([user.id, other.id]);
  }
});

it('looks at one tenant alone', async () => {
  const [one, two] = [freshTenant(), freshTenant()];
  await redis.hset(key(two, 'users-by-email'), 'old@example.com', '1');
  expect(await check(one)).toEqual([]);
  expect(await check(two)).toHaveLength(1);
});

it('changes nothing', async () => {
  const tenant = freshTenant();
  await directory.put(tenant, { userName: 'ada', emails: [{ value: 'ada@example.com' }] }, ['Engineering']);
  await redis.hset(key(tenant, 'users-by-email'), 'old@example.com', '1');
  const before = await contents(tenant);
  expect(await check(tenant)).toHaveLength(1);
  expect(await contents(tenant)).toEqual(before);
});

async function contents(tenant: string): Promise<Map<string, Buffer>> {
  const keys = (await redis.keys(key(tenant, '*'))).toSorted();
  return new Map(await Promise.all(keys.map(async (one) => [one, await redis.dumpBuffer(one)] as const)));
}
