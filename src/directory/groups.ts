/** The groups of each tenant in Redis, by id and by name; a change of members rewrites no group. */
import type { RedisClient } from '../redis.js';
import { ADD_MEMBER, CHUNK, createGroupMembers, type MemberChange } from './group-members.js';
import type { Meta } from './user.js';
import { Changed, type Grace, NotUnique, newId, nextMeta } from './users.js';

export { type MemberChange, UnknownMember } from './group-members.js';

export type GroupResource = {
  id: string;
  displayName: string;
  externalId?: string;
  meta: Meta;
  /** What the group was called until `at` (ms): an app that is assigned by that name is still reached for a while. */
  formerNames?: { displayName: string; at: number }[];
};

// KEYS: groups, groups-by-name, group-order. ARGV: id, before, after ('' to delete), old name, new name, created, then
// the first members of a new group.
const WRITE = `${ADD_MEMBER}
local id, before, after, oldName, newName = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if (redis.call('HGET', KEYS[1], id) or '') ~= before then return 'changed' end
if newName ~= '' then
  local owner = redis.call('HGET', KEYS[2], newName)
  if owner and owner ~= id then return 'taken' end
end
-- Somebody may have come in since the members were taken out.
if after == '' and redis.call('SCARD', string.sub(KEYS[1], 1, -7) .. 'members:' .. id) > 0 then return 'changed' end
if oldName ~= newName and oldName ~= '' then redis.call('HDEL', KEYS[2], oldName) end
if after == '' then
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[3], id)
else
  redis.call('HSET', KEYS[1], id, after)
  redis.call('HSET', KEYS[2], newName, id)
  if before == '' then
    local newest = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2] or 0
    redis.call('ZADD', KEYS[3], math.max(ARGV[6], newest + 1), id)
    local base, group = string.sub(KEYS[1], 1, -7), cjson.decode(after)
    for i = 7, #ARGV do addMember(base, group, ARGV[i]) end
  end
end
return 'ok'`;

export type Groups = ReturnType<typeof createGroups>;

export function createGroups(redis: RedisClient, prefix: string, { graceMs, now }: Grace) {
  const membership = createGroupMembers(redis, prefix, { graceMs, now });
  redis.defineCommand('groupWrite', { numberOfKeys: 3, lua: WRITE });
  const commands = redis as unknown as Record<'groupWrite', (...args: string[]) => Promise<string>>;
  const key = (tenant: string, name: string) => `${prefix}:{${tenant}}:${name}`;

  async function write(
    tenant: string,
    before: GroupResource | undefined,
    after: GroupResource | undefined,
    members: string[] = [],
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
      ...members,
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

  /** Throws Changed, and UnknownMember before anything has changed. */
  async function changeMembers(tenant: string, id: string, change: MemberChange): Promise<void> {
    await membership.check(tenant, change.add);
    await membership.write(tenant, id, change);
  }

  /** Throws Changed and NotUnique. */
  async function replace(tenant: string, before: GroupResource, attributes: GroupAttributes): Promise<GroupResource> {
    const at = now();
    const { displayName } = before;
    const former = (before.formerNames ?? []).filter(
      (one) => one.at >= at - graceMs && one.displayName !== displayName,
    );
    if (attributes.displayName !== displayName) former.push({ displayName, at });
    const meta = nextMeta(before.meta, at);
    const after = { ...readable(attributes), id: before.id, meta, ...(former.length > 0 && { formerNames: former }) };
    await write(tenant, before, after);
    return after;
  }

  return {
    get,
    changeMembers,
    members: membership.of,
    someMembers: membership.some,
    memberCount: membership.count,
    presentIn: membership.presentIn,

    /** The group of this name, whatever its letters' case. */
    async named(tenant: string, displayName: string): Promise<GroupResource | undefined> {
      const id = await redis.hget(key(tenant, 'groups-by-name'), canonicalName(displayName));
      return id === null ? undefined : get(tenant, id);
    },

    replace,

    /**
     * With its first members in one step, since its name is taken from then on: whoever tries again after a failure finds
     * a group that is there. Throws NotUnique, and UnknownMember before anything has changed.
     */
    async create(tenant: string, attributes: GroupAttributes, members: string[] = []): Promise<GroupResource> {
      await membership.check(tenant, members);
      const at = new Date(now()).toISOString();
      const meta = { resourceType: 'Group', created: at, lastModified: at, version: 'W/"1"' };
      const group = { ...readable(attributes), id: newId(), meta };
      await write(tenant, undefined, group, members.slice(0, CHUNK));
      await membership.write(tenant, group.id, { add: members.slice(CHUNK), remove: [] });
      return group;
    },

    /**
     * Attributes and members, once nothing can be refused any more. Throws Changed, NotUnique and UnknownMember before
     * anything has changed; with `onlyIf` Changed also where the members of `before` have changed.
     */
    async change(
      tenant: string,
      before: GroupResource,
      { attributes, members, onlyIf }: { attributes: GroupAttributes; members: MemberChange; onlyIf: boolean },
    ): Promise<void> {
      await membership.check(tenant, members.add);
      const isSame = attributes.displayName === before.displayName && attributes.externalId === before.externalId;
      if (!isSame) await replace(tenant, before, attributes);
      await membership.write(tenant, before.id, members, onlyIf && isSame ? before.meta.version : undefined);
    },

    /**
     * Members first, so that a crash leaves a smaller group and never a member of none; whoever comes in meanwhile goes
     * as well. Throws Changed before anything has changed: where there is no such group, or where it has another
     * `version`.
     */
    async remove(tenant: string, id: string, version?: string): Promise<void> {
      const group = await get(tenant, id);
      if (!group || (version !== undefined && group.meta.version !== version)) throw new Changed();
      const members = await membership.of(tenant, id);
      await membership.write(tenant, id, { add: [], remove: members }, version);
      if (members.length === 0) return write(tenant, group, undefined);
      for (let left = await get(tenant, id); left; left = await get(tenant, id)) {
        try {
          return await write(tenant, left, undefined);
        } catch (error) {
          if (!(error instanceof Changed)) throw error;
          await membership.write(tenant, id, { add: [], remove: await membership.of(tenant, id) });
        }
      }
    },

    /** The groups of a user, without those that the user has left. */
    async ofUser(tenant: string, user: string): Promise<GroupResource[]> {
      const [ids = []] = await membership.groupsOf(tenant, [user]);
      return byIds(tenant, ids);
    },

    /** The groups of each of these users, in two round trips. */
    async ofUsers(tenant: string, users: string[]): Promise<Map<string, GroupResource[]>> {
      const ids = await membership.groupsOf(tenant, users);
      const byId = new Map((await byIds(tenant, [...new Set(ids.flat())])).map((group) => [group.id, group]));
      return new Map(users.map((user, index) => [user, (ids[index] ?? []).flatMap((id) => byId.get(id) ?? [])]));
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

/** Redis reads groups as well, and stumbles over half a surrogate pair in JSON. */
function readable({ displayName, externalId }: GroupAttributes): GroupAttributes {
  const text = (value: string) => Buffer.from(value).toString();
  return { displayName: text(displayName), ...(externalId !== undefined && { externalId: text(externalId) }) };
}

export function canonicalName(displayName: string): string {
  return displayName.trim().normalize('NFC').toLowerCase();
}
