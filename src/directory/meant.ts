/** Which one of the users that were found under a name is the one whom the name means, while some live and some are gone. */
import { canonical, emailsOf, type User } from './user.js';
import type { Found, Lookup } from './users.js';

/** What was found for one kind of identifier; whose own it is has it alone, or as the first address. */
export type Match = Found & { isOwn: (user: User) => boolean };

export type Meant = { user: User } | { refused: 'unknown_user' | 'ambiguous_subject' };

/** `isSame` compares e-mail addresses where they are more than the index compares. */
export function matchOf(
  { kind, value }: Lookup,
  found: Found,
  isSame?: (one: string, other: string) => boolean,
): Match {
  if (kind !== 'email') return { living: found.living, deleted: found.deleted, isOwn: () => kind !== 'phone' };
  const isFirst = ({ resource }: User) => (isSame ?? isSameAddress)(emailsOf(resource)[0] ?? '', value);
  if (!isSame) return { living: found.living, deleted: found.deleted, isOwn: isFirst };
  const hasAddress = ({ resource }: User) => emailsOf(resource).some((email) => isSame(email, value));
  return { living: found.living.filter(hasAddress), deleted: found.deleted.filter(hasAddress), isOwn: isFirst };
}

export function isSameAddress(one: string, other: string): boolean {
  return canonical('email', one) === canonical('email', other);
}

/** `names` are all for one person; each has what was found for it, the most telling kind first. */
export function meant(names: readonly Match[][]): Meant {
  let user: User | undefined;
  let isOwned = false;
  for (const matches of names) {
    const first = matches.find(({ living }) => living.length > 0);
    for (const one of first?.living ?? []) {
      if (user && user.resource.id !== one.resource.id) return { refused: 'ambiguous_subject' };
      user = one;
      isOwned ||= first?.isOwn(one) ?? false;
    }
  }
  if (!user) return lastLife(names);
  if (isOwned) return { user };
  // Whoever is gone may be the very one whom the caller means, and whoever has got the address since is not.
  const isOther = (one: User) => !isSamePerson(one, user);
  const isContested = names.flat().some(({ deleted, isOwn }) => deleted.some((one) => isOwn(one) && isOther(one)));
  return isContested ? { refused: 'ambiguous_subject' } : { user };
}

/** Who was deleted and came back has one resource for each life. */
function lastLife(names: readonly Match[][]): Meant {
  const [last, ...others] = names
    .flatMap((matches) => matches.find(({ deleted }) => deleted.length > 0)?.deleted ?? [])
    .toSorted((a, b) => Date.parse(b.resource.deletedAt ?? '') - Date.parse(a.resource.deletedAt ?? ''));
  if (!last) return { refused: 'unknown_user' };
  return others.every((other) => isSamePerson(other, last)) ? { user: last } : { refused: 'ambiguous_subject' };
}

function isSamePerson({ resource: one }: User, { resource: other }: User): boolean {
  if (one.externalId !== undefined && one.externalId === other.externalId) return true;
  return canonical('userName', one.userName) === canonical('userName', other.userName);
}
