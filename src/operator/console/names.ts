/** The userNames of people by their ids, of a whole page in one round trip. */
import type { Users } from '../../directory/users.js';
import { orUnavailable } from '../../redis.js';

export type NamesOf = ReturnType<typeof createNamesOf>;

export function createNamesOf(users: Pick<Users, 'find'>) {
  /** Without those of whom the directory knows nothing any more. */
  return async function namesOf(tenant: string, ids: readonly string[]): Promise<Map<string, string>> {
    const once = [...new Set(ids)];
    if (once.length === 0) return new Map();
    const found = await orUnavailable(
      users.find(
        tenant,
        once.map((value) => ({ kind: 'id', value })),
      ),
    );
    return new Map(found.flat().map(({ resource }) => [resource.id, resource.userName]));
  };
}
