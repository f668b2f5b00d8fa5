/** Tells of a user who is about to become inactive, or to go: before that is written, and once, however often it is tried. */
import type { User, UserAttributes, UserResource } from './user.js';
import { Changed, NotUnique, type Users } from './users.js';

/** Throws where it cannot be seen to. */
export type OnDeactivate = (tenant: string, user: User) => Promise<void>;

export function createAnnouncement(users: Pick<Users, 'find'>, tenant: string, onDeactivate: OnDeactivate) {
  let isMade = false;

  /** Whatever would refuse the change has to be looked at before it is told of. */
  async function requireFree(id: string, { userName, externalId }: UserAttributes): Promise<void> {
    const lookups = [
      { kind: 'userName' as const, value: userName },
      ...(externalId === undefined ? [] : [{ kind: 'externalId' as const, value: externalId }]),
    ];
    const found = await users.find(tenant, lookups);
    lookups.forEach(({ kind }, index) => {
      const taken = found[index]?.some(({ resource }) => resource.id !== id && resource.deletedAt === undefined);
      if (taken) throw new NotUnique(kind);
    });
  }

  return {
    isMade: () => isMade,

    /** Without `after` the user goes. Throws Changed, and NotUnique where the change would be refused. */
    async make(before: UserResource, after?: UserAttributes): Promise<void> {
      const staysActive = after !== undefined && after.active !== false;
      if (isMade || staysActive || before.active === false) return;
      if (after) await requireFree(before.id, after);
      const [[user] = []] = await users.find(tenant, [{ kind: 'id', value: before.id }]);
      // Somebody else may have deactivated the user meanwhile, and told of it.
      if (user?.resource.meta.version !== before.meta.version) throw new Changed();
      await onDeactivate(tenant, user);
      isMade = true;
    },
  };
}
