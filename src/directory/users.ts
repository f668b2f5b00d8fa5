/** The users of each tenant in Redis, with one index per identifier, changed only together. */
import { randomInt } from 'node:crypto';
import type { Redis } from 'ioredis';
import {
  canonical,
  type Identifier,
  identifiersOf,
  type User,
  type UserAttributes,
  type UserResource,
} from './user.js';

// The first two are unique in a tenant; an e-mail address or a phone number may be shared by several users.
const kinds = ['externalId', 'userName', 'email', 'phone'] as const satisfies Identifier['kind'][];
const UNIQUE_KINDS = 2;
const FIRST_INDEX = 2;

// KEYS: users, one index per kind, user-order, deleted. All keys of a tenant share one hash slot.
const FIND = `
local base = string.sub(KEYS[1], 1, -6)
local deleted, since, limit = KEYS[#KEYS], ARGV[1], tonumber(ARGV[2])
local function groups(id)
  local names = {}
  for _, former in ipairs(redis.call('ZRANGEBYSCORE', base .. 'former-groups:' .. id, since, '+inf')) do
    names[#names + 1] = former
  end
  local ids = redis.call('SMEMBERS', base .. 'groups-of:' .. id)
  if #ids == 0 then return names end
  for _, group in ipairs(redis.call('HMGET', base .. 'groups', unpack(ids))) do
    if group then names[#names + 1] = cjson.decode(group).displayName end
  end
  return names
end
local found = {}
for i = 3, #ARGV, 2 do
  local ids = ARGV[i] == 'id' and ARGV[i + 1] or redis.call('HGET', KEYS[tonumber(ARGV[i])], ARGV[i + 1])
  local live, dead = {}, {}
  for id in string.gmatch(ids or '', '%S+') do
    local into = redis.call('ZSCORE', deleted, id) and dead or live
    if #into < limit then
      local user = redis.call('HGET', KEYS[1], id)
      if user then into[#into + 1] = { user, groups(id) } end
    end
    if #live == limit then break end
  end
  found[#found + 1] = #live > 0 and live or dead
end
return found`;

// Compare and set: the caller derived the index changes from ARGV[2], so nothing is written if that has changed.
// ARGV: id, before, after ('' to purge), created, deletedAt ('' while the user lives), removals, then pairs of
// index and value: first those to remove, then those to add.
const WRITE = `
local id, before, after, created, deletedAt = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local last = 6 + tonumber(ARGV[6]) * 2
local base = string.sub(KEYS[1], 1, -6)
local order, deleted = KEYS[#KEYS - 1], KEYS[#KEYS]
if (redis.call('HGET', KEYS[1], id) or '') ~= before then return 'changed' end
for i = last + 1, #ARGV, 2 do
  local index = tonumber(ARGV[i])
  local owner = index < ${FIRST_INDEX + UNIQUE_KINDS} and redis.call('HGET', KEYS[index], ARGV[i + 1])
  if owner and owner ~= id and not redis.call('ZSCORE', deleted, owner) then return ARGV[i] end
end
for i = 7, last, 2 do
  local key, value = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local rest = {}
  for other in string.gmatch(redis.call('HGET', key, value) or '', '%S+') do
    if other ~= id then rest[#rest + 1] = other end
  end
  if #rest == 0 then redis.call('HDEL', key, value) else redis.call('HSET', key, value, table.concat(rest, ' ')) end
end
for i = last + 1, #ARGV, 2 do
  local index, value = tonumber(ARGV[i]), ARGV[i + 1]
  local ids = index >= ${FIRST_INDEX + UNIQUE_KINDS} and redis.call('HGET', KEYS[index], value)
  redis.call('HSET', KEYS[index], value, ids and (ids .. ' ' .. id) or id)
end
if after == '' then
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', deleted, id)
  redis.call('DEL', base .. 'former-groups:' .. id)
  return 'ok'
end
redis.call('HSET', KEYS[1], id, after)
if deletedAt == '' then
  redis.call('ZADD', order, created, id)
else
  redis.call('ZREM', order, id)
  redis.call('ZADD', deleted, deletedAt, id)
  for _, group in ipairs(redis.call('SMEMBERS', base .. 'groups-of:' .. id)) do
    redis.call('SREM', base .. 'members:' .. group, id)
    local name = cjson.decode(redis.call('HGET', base .. 'groups', group)).displayName
    redis.call('ZADD', base .. 'former-groups:' .. id, deletedAt, name)
  end
  redis.call('DEL', base .. 'groups-of:' .. id)
end
return 'ok'`;

/** One thing to look for: the user with this id, or the users that an identifier names. */
export type Lookup = Identifier | { kind: 'id'; value: string };

/** Two users, or two groups, of one tenant may not share this attribute. */
export class NotUnique extends Error {
  readonly attribute: string;
  constructor(attribute: string) {
    super(`another resource of this tenant already has this ${attribute}`);
    this.name = 'NotUnique';
    this.attribute = attribute;
  }
}

/** Somebody else changed the resource in between; the caller may read it anew and try again. */
export class Changed extends Error {}

export type Users = ReturnType<typeof createUsers>;

/** How long a deleted user, and a group that was left, still count, in milliseconds. */
export type Grace = { graceMs: number; now: () => number };

export function createUsers(redis: Redis, prefix: string, { graceMs, now }: Grace) {
  const numberOfKeys = kinds.length + 3;
  redis.defineCommand('userFind', { numberOfKeys, lua: FIND });
  redis.defineCommand('userWrite', { numberOfKeys, lua: WRITE });
  const commands = redis as unknown as Record<'userFind' | 'userWrite', (...args: string[]) => Promise<unknown>>;

  const keysOf = new Map<string, string[]>();
  const keys = (tenant: string): string[] => {
    let names = keysOf.get(tenant);
    if (!names) {
      names = ['users', ...kinds.map((kind) => `users-by-${kind}`), 'user-order', 'deleted-users'].map(
        (name) => `${prefix}:{${tenant}}:${name}`,
      );
      keysOf.set(tenant, names);
    }
    return names;
  };
  const usersKey = (tenant: string) => keys(tenant)[0] as string;
  const orderKey = (tenant: string) => keys(tenant).at(-2) as string;
  const deletedKey = (tenant: string) => keys(tenant).at(-1) as string;

  /**
   * The users that each lookup finds, in one round trip: the living, else the deleted. At most two each unless
   * `limit` says otherwise, since two are already ambiguous.
   */
  async function find(tenant: string, lookups: Lookup[], limit = 2): Promise<User[][]> {
    const args = lookups.flatMap(({ kind, value }) =>
      kind === 'id' ? ['id', value.replace(/\s/g, '')] : [keyNumber(kind), canonical(kind, value)],
    );
    const found = (await commands.userFind(...keys(tenant), String(now() - graceMs), String(limit), ...args)) as [
      string,
      string[],
    ][][];
    return found.map((users) => users.map(([resource, groups]) => ({ resource: JSON.parse(resource), groups })));
  }

  async function get(tenant: string, id: string): Promise<UserResource | undefined> {
    const text = await redis.hget(usersKey(tenant), id);
    const user = text === null ? undefined : (JSON.parse(text) as UserResource);
    return user?.deletedAt === undefined ? user : undefined;
  }

  /** Throws Changed where `before` is not what is stored, NotUnique where another user has the identifier. */
  async function write(
    tenant: string,
    before: UserResource | undefined,
    after: UserResource | undefined,
  ): Promise<void> {
    const old = before ? identifiersOf(before) : [];
    const next = after ? identifiersOf(after) : [];
    const isIn = (list: Identifier[]) => (one: Identifier) =>
      list.some((other) => other.kind === one.kind && other.value === one.value);
    const removed = old.filter((one) => !isIn(next)(one));
    const added = next.filter((one) => !isIn(old)(one));
    const flat = (list: Identifier[]) => list.flatMap(({ kind, value }) => [keyNumber(kind), value]);
    const { id, meta } = (after ?? before) as UserResource;
    const answer = await commands.userWrite(
      ...keys(tenant),
      id,
      before ? JSON.stringify(before) : '',
      after ? JSON.stringify(after) : '',
      String(Date.parse(meta.created)),
      after?.deletedAt === undefined ? '' : String(Date.parse(after.deletedAt)),
      String(removed.length),
      ...flat(removed),
      ...flat(added),
    );
    if (answer === 'changed') throw new Changed();
    if (answer !== 'ok') throw new NotUnique(kinds[Number(answer) - FIRST_INDEX] ?? 'identifier');
  }

  return {
    find,
    get,

    /** Throws NotUnique. */
    async create(tenant: string, attributes: UserAttributes): Promise<UserResource> {
      for (;;) {
        const at = new Date(now()).toISOString();
        const meta = { resourceType: 'User', created: at, lastModified: at, version: 'W/"1"' };
        const user = { ...attributes, id: newId(), meta };
        try {
          await write(tenant, undefined, user);
          return user;
        } catch (error) {
          // The id was taken, which happens once in a great many times.
          if (!(error instanceof Changed)) throw error;
        }
      }
    },

    /** Puts `attributes` in the place of `before`'s. Throws Changed and NotUnique. */
    async replace(tenant: string, before: UserResource, attributes: UserAttributes): Promise<UserResource> {
      const after = { ...attributes, id: before.id, meta: nextMeta(before.meta, now()) };
      await write(tenant, before, after);
      return after;
    },

    /** The user stays revocable until the grace is over; then a later removal sweeps it out. Throws Changed. */
    async remove(tenant: string, before: UserResource): Promise<void> {
      await write(tenant, before, {
        ...before,
        meta: nextMeta(before.meta, now()),
        deletedAt: new Date(now()).toISOString(),
      });
      const outlived = await redis.zrangebyscore(deletedKey(tenant), '-inf', now() - graceMs, 'LIMIT', 0, 10);
      for (const id of outlived) {
        const text = await redis.hget(usersKey(tenant), id);
        if (text) await write(tenant, JSON.parse(text) as UserResource, undefined);
      }
    },

    /** Users in the order of their creation, from the zero-based `offset`. */
    async page(tenant: string, offset: number, limit: number): Promise<UserResource[]> {
      if (limit <= 0) return [];
      const ids = await redis.zrange(orderKey(tenant), String(offset), String(offset + limit - 1));
      if (ids.length === 0) return [];
      const texts = await redis.hmget(usersKey(tenant), ...ids);
      return texts.flatMap((text) => (text === null ? [] : (JSON.parse(text) as UserResource)));
    },

    count: (tenant: string): Promise<number> => redis.zcard(orderKey(tenant)),
  };
}

export function nextMeta<M extends { version: string; lastModified: string }>(meta: M, nowMs: number): M {
  const version = Number(/\d+/.exec(meta.version)?.[0] ?? 0) + 1;
  return { ...meta, lastModified: new Date(nowMs).toISOString(), version: `W/"${version}"` };
}

/** Fifteen digits: as integers Redis keeps a set of them in eight bytes each. */
export function newId(): string {
  return String(randomInt(100_000_000, 999_999_999)) + String(randomInt(100_000, 999_999));
}

const keyNumber = (kind: Identifier['kind']) => String(kinds.indexOf(kind) + FIRST_INDEX);
