/** The groups of each tenant in Redis, and who is in them: members are sets, so that a change rewrites no group. */
import type { Redis } from 'ioredis';
import type { Meta } from './user.js';
import { Changed, type Grace, NotUnique, newId, nextMeta } from './users.js';

const CHUNK = 1_000;

export type GroupResource = { id: string; displayName: string; externalId?: string; meta: Meta };

// KEYS: groups, groups-by-name, group-order. ARGV: id, before, after ('' to delete), old name, new name, created.
const WRITE = `
local id, before, after, oldName, newName = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if (redis.call('HGET', KEYS[1], id) or '') ~= before then return 'changed' end
if newName ~= '' then
  local owner = redis.call('HGET', KEYS[2], newName)
  if owner and owner ~= id then return 'taken' end
end
if oldName ~= newName and oldName ~= '' then redis.call('HDEL', KEYS[2], oldName) end
if after == '' then
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[3], id)
else
  redis.call('HSET', KEYS[1], id, after)
  redis.call('HSET', KEYS[2], newName, id)
  redis.call('ZADD', KEYS[3], ARGV[6], id)
end
return 'ok'`;

// KEYS: groups. ARGV: id, now, lastModified, count of ids to add, those ids, then the ids to remove.
const CHANGE_MEMBERS = `
local base = string.sub(KEYS[1], 1, -7)
local id, now, added = ARGV[1], ARGV[2], tonumber(ARGV[4])
local text = redis.call('HGET', KEYS[1], id)
if not text then return 'missing' end
for i = 5, 4 + added do
  if redis.call('HEXISTS', base .. 'users', ARGV[i]) == 0 or redis.call('ZSCORE', base .. 'deleted-users', ARGV[i]) then
    return 'unknown ' .. ARGV[i]
  end
end
local changed, group = 0, cjson.decode(text)
for i = 5, 4 + added do
  changed = changed + redis.call('SADD', base .. 'members:' .. id, ARGV[i])
  redis.call('SADD', base .. 'groups-of:' .. ARGV[i], id)
  redis.call('ZREM', base .. 'former-groups:' .. ARGV[i], group.displayName)
end
for i = 5 + added, #ARGV do
  if redis.call('SREM', base .. 'members:' .. id, ARGV[i]) == 1 then
    changed = changed + 1
    redis.call('SREM', base .. 'groups-of:' .. ARGV[i], id)
    redis.call('ZADD', base .. 'former-groups:' .. ARGV[i], now, group.displayName)
  end
end
if changed > 0 then
  group.meta.lastModified = ARGV[3]
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

export type Groups = ReturnType<typeof createGroups>;

export function createGroups(redis: Redis, prefix: string, { now }: Pick<Grace, 'now'>) {
  redis.defineCommand('groupWrite', { numberOfKeys: 3, lua: WRITE });
  redis.defineCommand('groupChangeMembers', { numberOfKeys: 1, lua: CHANGE_MEMBERS });
  const commands = redis as unknown as Record<
    'groupWrite' | 'groupChangeMembers',
    (...args: string[]) => Promise<string>
  >;
  const key = (tenant: string, name: string) => `${prefix}:{${tenant}}:${name}`;
  const membersKey = (tenant: string, id: string) => key(tenant, `members:${id}`);

  async function write(
    tenant: string,
    before: GroupResource | undefined,
    after: GroupResource | undefined,
  ): Promise<void> {
    const { id, meta } = (after ?? before) as GroupResource;
    const answer = await commands.groupWrite(
      key(tenant, 'groups'),
      key(tenant, 'groups-by-name'),
      key(tenant, 'group-order'),
      id,
      before ? await stored(tenant, before) : '',
      after ? JSON.stringify(after) : '',
      before ? canonicalName(before.displayName) : '',
      after ? canonicalName(after.displayName) : '',
      String(Date.parse(meta.created)),
    );
    if (answer === 'changed') throw new Changed();
    if (answer === 'taken') throw new NotUnique('displayName');
  }

  /** The stored text of the group, where it is still the version that the caller has read. */
  async function stored(tenant: string, { id, meta }: GroupResource): Promise<string> {
    const text = (await redis.hget(key(tenant, 'groups'), id)) ?? '';
    if (text === '' || (JSON.parse(text) as GroupResource).meta.version !== meta.version) throw new Changed();
    return text;
  }

  async function get(tenant: string, id: string): Promise<GroupResource | undefined> {
    const text = await redis.hget(key(tenant, 'groups'), id);
    return text === null ? undefined : (JSON.parse(text) as GroupResource);
  }

  /** In chunks, each of which leaves the sets on both sides agreeing. Throws UnknownMember before a chunk changes anything. */
  async function changeMembers(tenant: string, id: string, { add, remove }: MemberChange): Promise<void> {
    const change = async (added: string[], removed: string[]) => {
      const at = now();
      const answer = await commands.groupChangeMembers(
        key(tenant, 'groups'),
        id,
        String(at),
        new Date(at).toISOString(),
        String(added.length),
        ...added,
        ...removed,
      );
      if (answer === 'missing') throw new Changed();
      if (answer.startsWith('unknown ')) throw new UnknownMember(answer.slice('unknown '.length));
    };
    for (const chunk of chunks(add)) await change(chunk, []);
    for (const chunk of chunks(remove)) await change([], chunk);
  }

  const members = (tenant: string, id: string): Promise<string[]> => redis.smembers(membersKey(tenant, id));

  return {
    get,
    changeMembers,
    members,

    /** The group of this name, whatever its letters' case. */
    async named(tenant: string, displayName: string): Promise<GroupResource | undefined> {
      const id = await redis.hget(key(tenant, 'groups-by-name'), canonicalName(displayName));
      return id === null ? undefined : get(tenant, id);
    },

    /** Throws NotUnique. */
    async create(tenant: string, attributes: GroupAttributes): Promise<GroupResource> {
      const at = new Date(now()).toISOString();
      const meta = { resourceType: 'Group', created: at, lastModified: at, version: 'W/"1"' };
      const group = { ...attributes, id: newId(), meta };
      await write(tenant, undefined, group);
      return group;
    },

    /** Throws Changed and NotUnique. */
    async replace(tenant: string, before: GroupResource, attributes: GroupAttributes): Promise<GroupResource> {
      const after = { ...attributes, id: before.id, meta: nextMeta(before.meta, now()) };
      await write(tenant, before, after);
      return after;
    },

    /** Members first, so that a crash leaves a smaller group and never a member of none. */
    async remove(tenant: string, id: string): Promise<void> {
      await changeMembers(tenant, id, { add: [], remove: await members(tenant, id) });
      const group = await get(tenant, id);
      if (group) await write(tenant, group, undefined);
    },

    async memberCount(tenant: string, id: string): Promise<number> {
      return redis.scard(membersKey(tenant, id));
    },

    /** The groups of a user, without those that the user has left. */
    async ofUser(tenant: string, user: string): Promise<GroupResource[]> {
      const ids = await redis.smembers(key(tenant, `groups-of:${user}`));
      return byIds(tenant, ids);
    },

    /** Groups in the order of their creation, from the zero-based `offset`. */
    async page(tenant: string, offset: number, limit: number): Promise<GroupResource[]> {
      if (limit <= 0) return [];
      return byIds(tenant, await redis.zrange(key(tenant, 'group-order'), String(offset), String(offset + limit - 1)));
    },

    count: (tenant: string): Promise<number> => redis.zcard(key(tenant, 'group-order')),
  };

  async function byIds(tenant: string, ids: string[]): Promise<GroupResource[]> {
    if (ids.length === 0) return [];
    const texts = await redis.hmget(key(tenant, 'groups'), ...ids);
    return texts.flatMap((text) => (text === null ? [] : (JSON.parse(text) as GroupResource)));
  }
}

export type GroupAttributes = { displayName: string; externalId?: string };
export type MemberChange = { add: string[]; remove: string[] };

function canonicalName(displayName: string): string {
  return displayName.trim().normalize('NFC').toLowerCase();
}

function* chunks(ids: string[]): Generator<string[]> {
  for (let start = 0; start < ids.length; start += CHUNK) yield ids.slice(start, start + CHUNK);
}
