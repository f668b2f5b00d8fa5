/** People as Okta provisions them, many of them, and the groups that they are in. */
import type { Directory } from '../../src/directory/directory.js';
import type { UserAttributes } from '../../src/directory/user.js';

const IN_FLIGHT = 500;
const GROUPS_OF_A_USER = 3;

export const TENANT = 'default';

/** What Okta's default mapping sends of a person; every tenth is known by a URI instead of an address. */
export function person(index: number): UserAttributes {
  return {
    userName: isNamedByUri(index) ? uriOf(index) : addressOf(index),
    externalId: externalIdOf(index),
    displayName: `Ada King ${index}`,
    active: true,
    name: { givenName: 'Ada', familyName: `King ${index}` },
    emails: [{ value: addressOf(index), type: 'work', primary: true }],
    phoneNumbers: [{ value: phoneOf(index), type: 'work', primary: true }],
  };
}

export const isNamedByUri = (index: number) => index % 10 === 0;
export const uriOf = (index: number) => `https://id.example.com/people/${index}`;
export const addressOf = (index: number) => `ada.king.${index}@example.com`;
export const phoneOf = (index: number) => `+44${String(index).padStart(10, '0')}`;
/** Twenty characters, as Okta's ids have. */
export const externalIdOf = (index: number) => `00u${String(index).padStart(17, '0')}`;

/** Answers the directory's ids, in the order of the indexes. */
export async function createUsers(
  { users }: Directory,
  count: number,
  onCreated: (count: number) => void,
): Promise<string[]> {
  const ids = new Array<string>(count);
  await inFlight(count, async (index) => {
    ids[index] = (await users.create(TENANT, person(index))).id;
    onCreated(index + 1);
  });
  return ids;
}

/** Everybody is in three groups, all of one size. */
export async function createGroups(
  { groups }: Directory,
  ids: readonly string[],
  count: number,
  onCreated: (count: number) => void,
): Promise<void> {
  await inFlight(count, async (index) => {
    const { id } = await groups.create(TENANT, { displayName: `Group ${index}` });
    const add: string[] = [];
    for (let shift = 0; shift < GROUPS_OF_A_USER; shift++) {
      for (let user = (index + shift * 17) % count; user < ids.length; user += count) add.push(ids[user] as string);
    }
    await groups.changeMembers(TENANT, id, { add: [...new Set(add)], remove: [] });
    onCreated(index + 1);
  });
}

/** All of them, so many at a time that Redis is never waited for. */
export async function inFlight(count: number, act: (index: number) => Promise<void>, limit = IN_FLIGHT): Promise<void> {
  let next = 0;
  async function work(): Promise<void> {
    for (let index = next++; index < count; index = next++) await act(index);
  }
  await Promise.all(Array.from({ length: Math.min(limit, count) }, work));
}
