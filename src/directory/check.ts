/** Looks for disagreements in a tenant's directory: between a user and its indexes, a group and its members, and back. */
import { checkGroups } from './check-groups.js';
import {
  createReader,
  type Disagreement,
  type Pair,
  parseStored,
  type Read,
  type Reader,
  type ReaderOptions,
  type Reply,
  type Verdict,
} from './check-reader.js';
import { type Identifier, identifiersOf, type UserResource } from './user.js';
import { isUnique, kinds, SHARED, sharingKey } from './user-scripts.js';

export type { Disagreement } from './check-reader.js';

/** Everything once, while others may be writing: nothing is reported that was only on its way from one state to another. */
export async function* checkDirectory(options: ReaderOptions): AsyncGenerator<Disagreement> {
  const reader = createReader(options);
  yield* checkUsers(reader);
  for (const kind of kinds) yield* checkIndex(reader, kind);
  yield* checkSharing(reader);
  for (const order of ['user-order', 'deleted-users']) yield* checkOrder(reader, order);
  yield* checkFormerGroups(reader);
  yield* checkGroups(reader);
}

type StoredUser = { resource: UserResource; identifiers: Identifier[] };

function parseUser(text: unknown, id: string): StoredUser | undefined {
  const resource = parseStored<UserResource>(text, id);
  try {
    return resource && { resource, identifiers: identifiersOf(resource) };
  } catch {
    return undefined;
  }
}

/** From each user to its places in the indexes and the order. */
async function* checkUsers({ key, pairs, judged }: Reader): AsyncGenerator<Disagreement> {
  const itemOf = ([id, text]: Pair) => ({ id, text, user: parseUser(text, id), shares: false });
  for await (const chunk of pairs('hscan', 'users')) {
    yield* judged(
      chunk.map(itemOf),
      ({ id, user, shares }) => {
        const identifiers = user?.identifiers ?? [];
        const sharing = identifiers.map(({ kind, value }): Read => ['sismember', key(sharingKey(kind, value)), id]);
        return [
          ['hget', key('users'), id],
          ['zscore', key('user-order'), id],
          ['zscore', key('deleted-users'), id],
          ...identifiers.map(({ kind, value }): Read => ['hget', key(`users-by-${kind}`), value]),
          ...(shares ? sharing : []),
        ];
      },
      (item, [now, order, deleted, ...rest]) => {
        const { id, text, user, shares } = item;
        if (typeof now !== 'string') return [];
        if (now !== text) return { now: itemOf([id, now]) };
        if (!user) return [{ kind: 'unreadable', problem: `user ${id}: what is stored is no user` }];
        // Few share anything, so who does is looked at twice.
        if (!shares && rest.includes(SHARED)) return { now: { ...item, shares: true } };
        const indexed = user.identifiers.map((_, index) =>
          rest[index] === SHARED ? rest[user.identifiers.length + index] === 1 : idsOf(rest[index]).includes(id),
        );
        return [...orderProblems(user.resource, { order, deleted }), ...indexProblems(user, indexed)];
      },
    );
  }
}

function orderProblems(
  { id, meta, deletedAt }: UserResource,
  { order, deleted }: { order: Reply; deleted: Reply },
): Disagreement[] {
  const lives = deletedAt === undefined;
  const [here, elsewhere] = lives ? [order, deleted] : [deleted, order];
  const [right, wrong] = lives ? ['user-order', 'deleted-users'] : ['deleted-users', 'user-order'];
  const problems: string[] = [];
  if (typeof here !== 'string') problems.push(`is not in ${right}`);
  // In the order of their coming nobody is before the time, and many at once are behind each other.
  else if (lives ? Number(here) < Date.parse(meta.created) : Number(here) !== Date.parse(deletedAt)) {
    problems.push(`is at the wrong place in ${right}`);
  }
  if (typeof elsewhere === 'string') problems.push(`is in ${wrong} too`);
  return problems.map((problem) => ({ kind: 'order', problem: `user ${id}: ${problem}` }));
}

function indexProblems({ resource, identifiers }: StoredUser, indexed: boolean[]): Disagreement[] {
  return identifiers.flatMap(({ kind, value }, index): Disagreement[] => {
    if (indexed[index]) return [];
    // Where it was taken over from a deleted user, the entry was not always shared.
    if (isUnique(kind) && resource.deletedAt !== undefined) return [];
    return [{ kind: 'not_indexed', problem: `user ${resource.id}: is not found by the ${kind} ${value}` }];
  });
}

/** From each entry of an index to the users that it names. */
async function* checkIndex({ key, pairs, judged }: Reader, kind: Identifier['kind']): AsyncGenerator<Disagreement> {
  for await (const chunk of pairs('hscan', `users-by-${kind}`)) {
    yield* judged(
      chunk,
      ([value, ids]) => [
        ['hget', key(`users-by-${kind}`), value],
        ...(ids === SHARED
          ? [['exists', key(sharingKey(kind, value))] satisfies Read]
          : idsOf(ids).map((id): Read => ['hget', key('users'), id])),
      ],
      ([value, ids], [now, ...texts]): Verdict<Pair> => {
        if (typeof now !== 'string') return [];
        if (now !== ids) return { now: [value, now] };
        const dead = (problem: string): Disagreement => ({
          kind: 'dead_entry',
          problem: `${kind} ${value}: ${problem}`,
        });
        if (ids === SHARED) return texts[0] === 1 ? [] : [dead('leads to nobody')];
        const named = idsOf(ids).map((id, index) => ({ id, user: parseUser(texts[index], id) }));
        const problems = named.flatMap(({ id, user }) =>
          user?.identifiers.some((one) => one.kind === kind && one.value === value)
            ? []
            : dead(`leads to ${id}, which is no user with this ${kind}`),
        );
        // The deleted keep theirs beside whoever has it now.
        const present = named.filter(({ user }) => user?.resource.deletedAt === undefined);
        const several = isUnique(kind) && (named.length === 0 || present.length > 1);
        return several ? [...problems, dead(`leads to ${present.length} users`)] : problems;
      },
    );
  }
}

/** From each of those who share a value to the user, and to the index that says so. */
async function* checkSharing({ key, members, judged }: Reader): AsyncGenerator<Disagreement> {
  for await (const chunk of members('sharing')) {
    yield* judged(
      chunk.map(({ owner, member }) => ({ owner, member, ...sharedOf(owner) })),
      ({ owner, member, kind, value }) => [
        ['sismember', key(`sharing:${owner}`), member],
        ['hget', key('users'), member],
        ['hget', key(`users-by-${kind}`), value],
      ],
      ({ member, kind, value }, [isMember, text, entry]) => {
        if (isMember === 0) return [];
        if (entry !== SHARED) {
          return [{ kind: 'leftover', problem: `sharing: has ${member} by the ${kind} ${value}, which is not shared` }];
        }
        const owned = parseUser(text, member)?.identifiers ?? [];
        if (owned.some((one) => one.kind === kind && one.value === value)) return [];
        const problem = `${kind} ${value}: leads to ${member}, which is no user with this ${kind}`;
        return [{ kind: 'dead_entry', problem }];
      },
    );
  }
}

function sharedOf(owner: string): { kind: string; value: string } {
  const end = owner.indexOf(':');
  return { kind: owner.slice(0, end), value: owner.slice(end + 1) };
}

/** From each place in an order to its user. */
async function* checkOrder({ key, pairs, judged }: Reader, order: string): AsyncGenerator<Disagreement> {
  for await (const chunk of pairs('zscan', order)) {
    yield* judged(
      chunk,
      ([id]) => [
        ['zscore', key(order), id],
        ['hexists', key('users'), id],
      ],
      ([id], [score, exists]) =>
        score === null || exists === 1
          ? []
          : [{ kind: 'dead_entry', problem: `${order}: has ${id}, which is no user` }],
    );
  }
}

/** Nothing is kept of users that are gone. */
async function* checkFormerGroups({ key, owners, judged }: Reader): AsyncGenerator<Disagreement> {
  for await (const ids of owners('former-groups')) {
    yield* judged(
      ids,
      (id) => [
        ['exists', key(`former-groups:${id}`)],
        ['hexists', key('users'), id],
      ],
      (id, [left, exists]) =>
        left === 0 || exists === 1 ? [] : [{ kind: 'leftover', problem: `former-groups: has ${id}, which is no user` }],
    );
  }
}

function idsOf(entry: Reply): string[] {
  return typeof entry === 'string' ? entry.split(' ').filter((id) => id !== '') : [];
}
