/** Who is in which group of a tenant: sets on both sides that are changed together, so that a change rewrites no group. */
import type { RedisClient } from '../redis.js';
import { Changed, type Grace } from './users.js';

/** How many members one script takes, so that nobody else waits for it for long. */
export const CHUNK = 1_000;

export type MemberChange = { add: string[]; remove: string[] };

/** Into the sets on both sides; answers whether that is a change. Who is no user, or no longer, is left out. */
export const ADD_MEMBER = `
local function addMember(base, group, user)
  if not redis.call('ZSCORE', base .. 'user-order', user) then return 0 end
  redis.call('SADD', base .. 'groups-of:' .. user, group.id)
  redis.call('ZREM', base .. 'former-groups:' .. user, group.displayName)
  return redis.call('SADD', base .. 'members:' .. group.id, user)
end`;

// KEYS: groups. ARGV: id, now, end of the grace, lastModified, version ('' for any), count of ids to add, those ids,
// then the ids to remove.
const CHANGE_MEMBERS = `${ADD_MEMBER}
local base = string.sub(KEYS[1], 1, -7)
local id, now, since, added = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6])
local text = redis.call('HGET', KEYS[1], id)
if not text then return 'changed' end
local changed, group = 0, cjson.decode(text)
if ARGV[5] ~= '' and ARGV[5] ~= group.meta.version then return 'changed' end
for i = 7, 6 + added do
  changed = changed + addMember(base, group, ARGV[i])
end
for i = 7 + added, #ARGV do
  if redis.call('SREM', base .. 'members:' .. id, ARGV[i]) == 1 then
    changed = changed + 1
    redis.call('SREM', base .. 'groups-of:' .. ARGV[i], id)
    local former = base .. 'former-groups:' .. ARGV[i]
    redis.call('ZADD', former, now, group.displayName)
    for _, name in ipairs(group.formerNames or {}) do redis.call('ZADD', former, 'GT', name.at, name.displayName) end
    redis.call('ZREMRANGEBYSCORE', former, '-inf', '(' .. since)
  end
end
if changed > 0 then
  group.meta.lastModified = ARGV[4]
  group.meta.version = 'W/"' .. (tonumber(string.match(group.meta.version, '%d+')) + 1) .. '"'
  redis.call('HSET', KEYS[1], id, cjson.encode(group))
end
return 'ok'`;

/** A member that is no user of this tenant. */
export class UnknownMember extends Error {
  readonly member: string;
  constructor(member: string) {
    super('a member is no user of this tenant');
    this.name = 'UnknownMember';
    this.member = member;
  }
}

export function createGroupMembers(redis: RedisClient, prefix: string, { graceMs, now }: Grace) {
  redis.defineCommand('groupChangeMembers', { numberOfKeys: 1, lua: CHANGE_MEMBERS });
  const commands = redis as unknown as Record<'groupChangeMembers', (...args: string[]) => Promise<string>>;
  const key = (tenant: string, name: string) => `${prefix}:{${tenant}}:${name}`;
  const membersKey = (tenant: string, id: string) => key(tenant, `members:${id}`);

  /** Throws UnknownMember. */
  async function check(tenant: string, ids: string[]): Promise<void> {
    for (const chunk of chunks(ids)) {
      const living = await redis.zmscore(key(tenant, 'user-order'), ...chunk);
      const unknown = chunk.find((_, index) => living[index] === null);
      if (unknown !== undefined) throw new UnknownMember(unknown);
    }
  }

  /** In chunks, each of which leaves the sets on both sides agreeing. Throws Changed, with a `version` also where it is another. */
  async function write(tenant: string, id: string, { add, remove }: MemberChange, version?: string): Promise<void> {
    let expected = version ?? '';
    const change = async (added: string[], removed: string[]) => {
      const at = now();
      const answer = await commands.groupChangeMembers(
        key(tenant, 'groups'),
        id,
        String(at),
        String(at - graceMs),
        new Date(at).toISOString(),
        expected,
        String(added.length),
        ...added,
        ...removed,
      );
      if (answer === 'changed') throw new Changed();
      expected = '';
    };
    for (const chunk of chunks(add)) await change(chunk, []);
    for (const chunk of chunks(remove)) await change([], chunk);
  }

  return {
    check,
    write,

    of: (tenant: string, id: string): Promise<string[]> => redis.smembers(membersKey(tenant, id)),
    /** So many at most, whichever. */
    some: (tenant: string, id: string, limit: number): Promise<string[]> =>
      redis.srandmember(membersKey(tenant, id), limit),
    count: (tenant: string, id: string): Promise<number> => redis.scard(membersKey(tenant, id)),

    /** Which of these users are in each of these groups, in one round trip. */
    async presentIn(tenant: string, ids: string[], users: string[]): Promise<string[][]> {
      if (users.length === 0) return [];
      const present = await Promise.all(ids.map((id) => redis.smismember(membersKey(tenant, id), ...users)));
      return present.map((flags) => users.filter((_, index) => flags[index] === 1));
    },

    /** The ids of the groups of each of these users, in one round trip. */
    groupsOf: (tenant: string, users: string[]): Promise<string[][]> =>
      Promise.all(users.map((user) => redis.smembers(key(tenant, `groups-of:${user}`)))),
  };
}

function* chunks(ids: string[]): Generator<string[]> {
  for (let start = 0; start < ids.length; start += CHUNK) yield ids.slice(start, start + CHUNK);
}
