/** The directory of every tenant: its users and its groups. */
import type { RedisClient } from '../redis.js';
import { createAnnouncement, type OnDeactivate } from './announcement.js';
import { createGroups, type GroupResource } from './groups.js';
import type { UserAttributes, UserResource } from './user.js';
import { Changed, createUsers, type Grace, NotUnique } from './users.js';

export type Directory = ReturnType<typeof createDirectory>;

export type PutOptions = { keep?: readonly ('externalId' | 'active')[]; onDeactivate?: OnDeactivate };

/** One Redis, every key under `prefix`. */
export function createDirectory(redis: RedisClient, prefix: string, grace: Grace) {
  const users = createUsers(redis, prefix, grace);
  const groups = createGroups(redis, prefix, grace);

  async function living(tenant: string, userName: string): Promise<UserResource | undefined> {
    const [[found] = []] = await users.find(tenant, [{ kind: 'userName', value: userName }]);
    return found?.resource.deletedAt === undefined ? found?.resource : undefined;
  }

  async function groupNamed(tenant: string, displayName: string): Promise<GroupResource> {
    const found = await groups.named(tenant, displayName);
    return found ?? groups.create(tenant, { displayName });
  }

  async function setGroups(tenant: string, user: string, names: readonly string[]): Promise<void> {
    const wanted = await Promise.all(names.map((name) => again(() => groupNamed(tenant, name))));
    const present = await groups.ofUser(tenant, user);
    const isIn = (list: GroupResource[], { id }: GroupResource) => list.some((group) => group.id === id);
    for (const group of wanted) {
      if (!isIn(present, group)) await groups.changeMembers(tenant, group.id, { add: [user], remove: [] });
    }
    for (const group of present) {
      if (!isIn(wanted, group)) await groups.changeMembers(tenant, group.id, { add: [], remove: [user] });
    }
  }

  return {
    users,
    groups,

    /**
     * Adds a user, or replaces the one with the same userName; with `groupNames` the user is in these groups
     * and no others, which are made where they are missing. What is to `keep` stays as it is in a user who is there.
     * Throws NotUnique where another user has the externalId.
     */
    async put(
      tenant: string,
      attributes: UserAttributes,
      groupNames?: readonly string[],
      { keep = [], onDeactivate = async () => {} }: PutOptions = {},
    ): Promise<{ user: UserResource; created: boolean }> {
      const announcement = createAnnouncement(users, tenant, onDeactivate);
      const put = await again(async () => {
        const before = await living(tenant, attributes.userName);
        if (!before) return { user: await users.create(tenant, attributes), created: true };
        const kept = Object.fromEntries(keep.map((name) => [name, before[name] ?? attributes[name]]));
        const next = { ...attributes, ...kept };
        await announcement.make(before, next);
        return { user: await users.replace(tenant, before, next), created: false };
      });
      if (groupNames) await setGroups(tenant, put.user.id, groupNames);
      return put;
    },
  };
}

/** Tries again where somebody else was faster: then there is another user or group to begin with. */
async function again<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const faster = error instanceof NotUnique && error.attribute !== 'externalId';
      if (!(error instanceof Changed) && !faster) throw error;
    }
  }
}
