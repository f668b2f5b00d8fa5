/** Looks for signs that Cerby's own Universal Logout has run: what it reported, and passwords newer than the revocation. */
import type { Call, Outcome, Pending } from '../connector.js';
import { type Account, later, type Progress, removedOf } from './progress.js';
import type { Workspace } from './workspace.js';

const AT_A_TIME = 5;
const MINUTE = 60_000;

/** Events that mean a new password, or a logout, for an account. */
const CONFIRMING = [
  'account.credentials.rotated',
  'automation.password.rotated',
  'automation.universal_logout.completed',
];

/** In ever longer rounds, until there are signs for all accounts or it is time to tell what was seen. */
export async function lookForSigns(
  progress: Progress & { accounts: Account[] },
  { until, isWhole }: { until: number; isWhole: (hidden: number) => boolean },
  workspace: Workspace,
  call: Call,
): Promise<Outcome | Pending> {
  const { accounts } = progress;
  const { acceptedAt } = call;
  const now = call.now().getTime();
  const open = () => accounts.filter(({ seen }) => seen === undefined);

  for (const { about, type, at, ok } of await call.evidence(open().map(({ id }) => id))) {
    const account = accounts.find(({ id }) => id === about);
    if (!account || at <= acceptedAt) continue;
    if (ok && CONFIRMING.includes(type)) account.seen = 'rotated';
    else if (!ok) account.failed = true;
  }
  const round = progress.left ?? open().map(({ id }) => id);
  const left = open().filter(({ id }) => round.includes(id));
  for (const account of left.splice(0, AT_A_TIME)) {
    const read = await workspace.account(account.id);
    if (!read) account.seen = 'hidden';
    // One that is not of Cerby's catalogue: it has no automation for that.
    else if (read.application === 'unmanaged') account.seen = 'unmanaged';
    else if ([read.rotatedAt, read.lastPasswordChange].some((time) => isAfter(time, acceptedAt)))
      account.seen = 'rotated';
  }
  if (left.length > 0) return later({ ...progress, left: left.map(({ id }) => id) }, call, 0);
  if (open().length === 0 || now >= until) return outcomeOf(progress, isWhole);
  const { left: _, ...rest } = progress;
  return later(rest, call, Math.min(until - now, Math.max(MINUTE, now - acceptedAt)));
}

/** Cerby writes times with and without an offset, which is UTC then. */
function isAfter(time: string | null | undefined, ms: number): boolean {
  if (!time) return false;
  return Date.parse(/(z|[+-]\d\d:?\d\d)$/i.test(time) ? time : `${time}Z`) > ms;
}

function outcomeOf(progress: Progress & { accounts: Account[] }, isWhole: (hidden: number) => boolean): Outcome {
  const { accounts, grants, guest } = progress;
  const count = (of: Account['seen']) => accounts.filter(({ seen }) => seen === of).length;
  const [rotated, hidden, unmanaged] = [count('rotated'), count('hidden'), count('unmanaged')];
  const failed = accounts.filter((one) => one.failed && one.seen !== 'rotated').length;
  const kept = grants.filter(({ as }) => as === 'kept').length;
  const partial = [
    `sessions live on where Cerby itself did not end them, of which there were signs at ${rotated} of ${accounts.length} accounts`,
    ...(failed > 0 ? [`Cerby says that it failed at ${failed}`] : []),
    ...(hidden > 0 ? [`${hidden} are not visible to the key`] : []),
    ...(unmanaged > 0 ? [`${unmanaged} are none that Cerby can rotate`] : []),
    ...(kept > 0 ? [`${kept} are still shared with the user, as by a team or a collection`] : []),
    ...(guest ? ['the user is a guest, whom the Universal Logout of Cerby does not cover'] : []),
  ].join('; ');
  const removed = removedOf(progress);
  // Of what we did not do ourselves we have at most signs.
  if (removed.length === 0) return { state: rotated > 0 ? 'accepted' : 'none', what: [], partial };
  const verified = kept === 0 && isWhole(hidden) ? { verified: true as const } : {};
  return { state: 'revoked', what: ['access'], partial, removed, ...verified };
}
