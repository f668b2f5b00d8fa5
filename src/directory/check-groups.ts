/** The part of the check that looks at groups: their names and order, and each membership from both sides. */
import { type Disagreement, type Pair, parseStored, type Reader, type Verdict } from './check-reader.js';
import { canonicalName, type GroupResource } from './groups.js';

export async function* checkGroups(reader: Reader): AsyncGenerator<Disagreement> {
  yield* checkEachGroup(reader);
  yield* checkNames(reader);
  yield* checkOrder(reader);
  yield* checkMembers(reader);
  yield* checkGroupsOfUsers(reader);
}

async function* checkEachGroup({ key, pairs, judged }: Reader): AsyncGenerator<Disagreement> {
  const itemOf = ([id, text]: Pair) => ({ id, text, group: parseStored<GroupResource>(text, id) });
  for await (const chunk of pairs('hscan', 'groups')) {
    yield* judged(
      chunk.map(itemOf),
      ({ id, group }) => [
        ['hget', key('groups'), id],
        ['zscore', key('group-order'), id],
        ['hget', key('groups-by-name'), canonicalName(group?.displayName ?? '')],
      ],
      ({ id, text, group }, [now, order, owner]) => {
        if (typeof now !== 'string') return [];
        if (now !== text) return { now: itemOf([id, now]) };
        if (!group) return [{ kind: 'unreadable', problem: `group ${id}: what is stored is no group` }];
        const problems: Disagreement[] = [];
        if (order === null) problems.push({ kind: 'order', problem: `group ${id}: is not in group-order` });
        if (owner !== id) {
          problems.push({ kind: 'not_indexed', problem: `group ${id}: is not found by the name ${group.displayName}` });
        }
        return problems;
      },
    );
  }
}

async function* checkNames({ key, pairs, judged }: Reader): AsyncGenerator<Disagreement> {
  for await (const chunk of pairs('hscan', 'groups-by-name')) {
    yield* judged(
      chunk,
      ([name, id]) => [
        ['hget', key('groups-by-name'), name],
        ['hget', key('groups'), id],
      ],
      ([name, id], [now, text]): Verdict<Pair> => {
        if (typeof now !== 'string') return [];
        if (now !== id) return { now: [name, now] };
        const group = parseStored<GroupResource>(text, id);
        if (group && canonicalName(group.displayName) === name) return [];
        return [{ kind: 'dead_entry', problem: `group name ${name}: leads to ${id}, which is no group of this name` }];
      },
    );
  }
}

async function* checkOrder({ key, pairs, judged }: Reader): AsyncGenerator<Disagreement> {
  for await (const chunk of pairs('zscan', 'group-order')) {
    yield* judged(
      chunk,
      ([id]) => [
        ['zscore', key('group-order'), id],
        ['hexists', key('groups'), id],
      ],
      ([id], [score, exists]) =>
        score === null || exists === 1
          ? []
          : [{ kind: 'dead_entry', problem: `group-order: has ${id}, which is no group` }],
    );
  }
}

/** From each member of a group to the user. */
async function* checkMembers({ key, members, judged }: Reader): AsyncGenerator<Disagreement> {
  for await (const chunk of members('members')) {
    yield* judged(
      chunk,
      ({ owner: group, member: user }) => [
        ['sismember', key(`members:${group}`), user],
        ['sismember', key(`groups-of:${user}`), group],
        ['hexists', key('groups'), group],
        ['hexists', key('users'), user],
        ['zscore', key('deleted-users'), user],
      ],
      ({ owner: group, member: user }, [isMember, hasGroup, groupExists, userExists, deleted]) => {
        if (isMember === 0) return [];
        const problems: string[] = [];
        if (hasGroup === 0) problems.push('which does not have the group');
        if (groupExists === 0) problems.push('but is no group');
        if (userExists === 0) problems.push('which is no user');
        if (deleted !== null) problems.push('which is deleted');
        return problems.map((problem) => ({
          kind: 'membership',
          problem: `group ${group}: has the member ${user}, ${problem}`,
        }));
      },
    );
  }
}

/** From each group of a user to the group; where both sides agree, the other direction has judged. */
async function* checkGroupsOfUsers({ key, members, judged }: Reader): AsyncGenerator<Disagreement> {
  for await (const chunk of members('groups-of')) {
    yield* judged(
      chunk,
      ({ owner: user, member: group }) => [
        ['sismember', key(`groups-of:${user}`), group],
        ['sismember', key(`members:${group}`), user],
      ],
      ({ owner: user, member: group }, [hasGroup, isMember]) =>
        hasGroup === 1 && isMember === 0
          ? [{ kind: 'membership', problem: `user ${user}: has the group ${group}, which does not have the user` }]
          : [],
    );
  }
}
