/** The users of each tenant in Redis, with one index per identifier, changed only together. */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { canonical, type Identifier, identifiersOf, type User } from './user.js';

const kinds = ['externalId', 'userName', 'email', 'phone'] as const satisfies Identifier['kind'][];

// An e-mail address or a phone number may be shared by several users: an index entry is a list of ids.
const FIND = `
local found = {}
for i = 1, #ARGV, 2 do
  local users = {}
  if ARGV[i] == 'id' then
    local user = redis.call('HGET', KEYS[1], ARGV[i + 1])
    if user then users[1] = user end
  else
    local ids = redis.call('HGET', KEYS[tonumber(ARGV[i])], ARGV[i + 1])
    if ids then
      for id in string.gmatch(ids, '%S+') do
        users[#users + 1] = redis.call('HGET', KEYS[1], id)
        if #users == 2 then break end
      end
    end
  end
  found[#found + 1] = users
end
return found`;

// Compare and set: the caller derived the index changes from \`ARGV[2]\`, so nothing is written if that has changed.
const PUT = `
local id, before, after, removals = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if (redis.call('HGET', KEYS[1], id) or '') ~= before then return 'changed' end
local last = 4 + removals * 2
for i = last + 1, #ARGV, 2 do
  local unique = tonumber(ARGV[i]) <= 3
  local owner = unique and redis.call('HGET', KEYS[tonumber(ARGV[i])], ARGV[i + 1])
  if owner and owner ~= id then return ARGV[i] end
end
for i = 5, last, 2 do
  local key, value = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local rest = {}
  for other in string.gmatch(redis.call('HGET', key, value) or '', '%S+') do
    if other ~= id then rest[#rest + 1] = other end
  end
  if #rest == 0 then redis.call('HDEL', key, value) else redis.call('HSET', key, value, table.concat(rest, ' ')) end
end
for i = last + 1, #ARGV, 2 do
  local key, value = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local ids = redis.call('HGET', key, value)
  if not ids then redis.call('HSET', key, value, id)
  elseif not string.find(' ' .. ids .. ' ', ' ' .. id .. ' ', 1, true) then
    redis.call('HSET', key, value, ids .. ' ' .. id)
  end
end
redis.call('HSET', KEYS[1], id, after)
return 'ok'`;

/** One thing to look for: the user with this id, or the users that an identifier names. */
export type Lookup = Identifier | { kind: 'id'; value: string };

/** Two users of one tenant may not share a userName or an externalId. */
export class NotUnique extends Error {
  readonly attribute: string;
  constructor(attribute: string) {
    super(`another user of this tenant already has this ${attribute}`);
    this.name = 'NotUnique';
    this.attribute = attribute;
  }
}

/** Directory over one Redis; every key of a tenant shares one hash slot, so that each change is one atomic script. */
export function createDirectory(redis: Redis, prefix: string) {
  redis.defineCommand('directoryFind', { numberOfKeys: kinds.length + 1, lua: FIND });
  redis.defineCommand('directoryPut', { numberOfKeys: kinds.length + 1, lua: PUT });
  const commands = redis as unknown as Record<
    'directoryFind' | 'directoryPut',
    (...args: string[]) => Promise<unknown>
  >;

  const keysOf = new Map<string, string[]>();
  const keys = (tenant: string): string[] => {
    let names = keysOf.get(tenant);
    if (!names) {
      names = ['users', ...kinds.map((kind) => `users-by-${kind}`)].map((name) => `${prefix}:{${tenant}}:${name}`);
      keysOf.set(tenant, names);
    }
    return names;
  };

  /** The users that each lookup finds, in one round trip; at most two each, since two are already ambiguous. */
  async function find(tenant: string, lookups: Lookup[]): Promise<User[][]> {
    const args = lookups.flatMap(({ kind, value }) =>
      kind === 'id' ? ['id', value] : [keyNumber(kind), canonical(kind, value)],
    );
    const found = (await commands.directoryFind(...keys(tenant), ...args)) as string[][];
    return found.map((users) => users.map((user) => JSON.parse(user) as User));
  }

  async function write(tenant: string, before: User | undefined, after: User): Promise<'ok' | 'changed'> {
    const old = before ? identifiersOf(before) : [];
    const now = identifiersOf(after);
    const isIn = (list: Identifier[]) => (one: Identifier) =>
      list.some((other) => other.kind === one.kind && other.value === one.value);
    const removed = old.filter((one) => !isIn(now)(one));
    const added = now.filter((one) => !isIn(old)(one));
    const flat = (list: Identifier[]) => list.flatMap(({ kind, value }) => [keyNumber(kind), value]);
    const answer = await commands.directoryPut(
      ...keys(tenant),
      after.id,
      before ? JSON.stringify(before) : '',
      JSON.stringify(after),
      String(removed.length),
      ...flat(removed),
      ...flat(added),
    );
    if (answer === 'ok' || answer === 'changed') return answer;
    throw new NotUnique(kinds[Number(answer) - 2] ?? 'identifier');
  }

  /**
   * Adds a user, or replaces the one with the same userName. A rename that races with this is retried.
   * Throws NotUnique where another user has the externalId.
   */
  async function put(tenant: string, user: Omit<User, 'id'>): Promise<{ user: User; created: boolean }> {
    for (;;) {
      const [[before] = []] = await find(tenant, [{ kind: 'userName', value: user.userName }]);
      const after = { ...user, id: before?.id ?? randomUUID() };
      try {
        if ((await write(tenant, before, after)) === 'ok') return { user: after, created: !before };
      } catch (error) {
        if (!(error instanceof NotUnique && error.attribute === 'userName')) throw error;
      }
    }
  }

  return { find, put };
}

export type Directory = ReturnType<typeof createDirectory>;

const keyNumber = (kind: Identifier['kind']) => String(kinds.indexOf(kind) + 2);
