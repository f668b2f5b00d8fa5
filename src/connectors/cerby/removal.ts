/** Takes seats and shares away, each once: after any doubt it is read again whether the user is still there. */
import { ConnectorError } from '../connector.js';
import { type Grant, isUnderWay, type Progress, type Why, whyOf } from './progress.js';
import type { Member, Workspace } from './workspace.js';

const AT_A_TIME = 5;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const JOB_MS = 30 * MINUTE;

// The only ones that are said again: https://help.cerby.com/developer-tools/cerby-webhooks/implement-a-webhook-receiver
const JOB_ERRORS = [
  ...['NotEnoughSeats', 'SubscriptionDeactivated', 'UnderpermissionedAccount', 'InvalidBusinessId', 'BadCredentials'],
  ...['EmptyPasswordError', 'AccountVaultError', 'EmailNotProvidedError', 'InvalidEmail', 'PhoneNotProvidedError'],
  ...['PhoneNotManagedError', 'GeneralMFANotManagedError', 'MFANotManagedError', 'MFAAlreadyEnable'],
  ...['OtherMFAMethodEnabledError', 'VerificationMethodsNotManagedError', 'SecureDeviceNotFoundInStorage'],
];

const STILL_THERE: Why = { reason: 'server', word: 'the user is still there although Cerby is done' };

/** Finds the next few that there are to take, and what each is: the last chance to know how to put it back. */
export async function findGrants(progress: Progress, workspace: Workspace): Promise<void> {
  let isAnyHidden = false;
  for (const next of progress.todo.splice(0, AT_A_TIME)) {
    const grant: Grant = { ...next, as: 'found', asked: 0 };
    try {
      const member = await memberOf(grant, progress, workspace);
      if (!member) continue;
      if (member === 'hidden') {
        const account = progress.accounts?.find(({ id }) => id === next.id);
        if (account) account.seen = 'hidden';
        isAnyHidden = true;
        continue;
      }
      grant.role = member.attributes?.role ?? undefined;
      // Without the labels, which are free text.
      grant.entitlements = member.attributes?.entitlements?.map(({ attributes: { group, key, value } }) => ({
        ...(group && { group }),
        ...(key && { key }),
        ...(value && { value }),
      }));
    } catch (error) {
      stuck(grant, whyOf(error, ['refused']));
    }
    progress.grants.push(grant);
  }
  // A key that has expired meanwhile is answered in the same way, and would be refused this.
  if (isAnyHidden) await workspace.accountsOf(progress.user);
}

/** Where the key saw no account at all it is the key that is wrong: throws, until it sees one. Then all are read anew. */
export async function lookAtHidden(progress: Progress, workspace: Workspace): Promise<void> {
  const { accounts = [] } = progress;
  if (await workspace.seesOneOf(accounts.map(({ id }) => id))) {
    delete progress.accounts;
    return;
  }
  const message = `cerby: the key sees none of ${accounts.length} accounts: ${NO_ACCOUNTS}`;
  // Perhaps of this user alone: the others are still called for.
  throw new ConnectorError('auth', message, { forbidden: true });
}

export const NO_ACCOUNTS = 'it lacks a scope, or keyOwner is an Owner of none of them';

/** As Cerby has it now; undefined where the user is not there. */
async function memberOf({ kind, id }: Grant, { user }: Progress, workspace: Workspace) {
  if (kind === 'seat') return workspace.memberOfIntegration(id, user);
  const users = await workspace.usersOfAccount(id);
  return users ? users.find((one): one is Member => one.id === user) : ('hidden' as const);
}

/**
 * Asks for one to be taken away. Where Cerby turns it away, that is kept before it is thrown: what an attempt throws
 * leaves nothing behind, and would look as if the worker had died after it had asked.
 */
export async function remove(progress: Progress, grant: Grant, workspace: Workspace, now: number): Promise<void> {
  const { user } = progress;
  let isConflict = false;
  const onConflict = () => {
    isConflict = true;
  };
  grant.asked += 1;
  try {
    if (grant.kind === 'share') {
      await workspace.removeFromAccount(grant.id, user, onConflict);
      return ended(grant, now);
    }
    const job = await workspace.removeFromIntegration(grant.id, user, onConflict);
    if (job === undefined) ended(grant, now);
    else Object.assign(grant, { as: 'asked', job, since: now, at: now + 5 * SECOND, looks: 0 });
  } catch (error) {
    if (error instanceof ConnectorError && (error.reason === 'rate_limited' || error.reason === 'auth')) {
      const { reason, message, retryAfterMs } = error;
      grant.asked -= 1;
      progress.turnedAway = { reason, message, retryAfterMs };
      return;
    }
    const why = whyOf(error, ['refused', 'server', 'timeout', 'network']);
    if (why.reason === 'refused') stuck(grant, why);
    else doubt(grant, why, now, isConflict ? { waitMs: 30 * SECOND, most: 4 } : {});
  }
}

/**
 * No key makes a repeat harmless, and there is no list of jobs: in a while it is read whether the user is still there,
 * and only then asked for again.
 */
export function doubt(grant: Grant, why: Why, now: number, { waitMs = MINUTE, most = 2 } = {}): void {
  Object.assign(grant, { as: 'doubt', why, at: now + waitMs, most });
}

function stuck(grant: Grant, why: Why): void {
  Object.assign(grant, { as: 'stuck', why });
}

function ended(grant: Grant, now: number): void {
  Object.assign(grant, { as: 'ended', at: now, looks: 0 });
}

/** Asks what has become of that which is under way, as far as it is time to. Whether the user is there decides. */
export async function followUp(progress: Progress, workspace: Workspace, now: number): Promise<void> {
  const due = progress.grants.filter((grant) => isUnderWay(grant) && (grant.at ?? 0) <= now);
  for (const grant of due.slice(0, AT_A_TIME)) {
    const { as } = grant;
    if (as === 'asked' && !(await isOver(grant, workspace, now))) continue;
    const member = await memberOf(grant, progress, workspace);
    if (!member) grant.as = 'gone';
    else if (member === 'hidden') stuck(grant, { reason: 'refused', word: 'the key cannot see it any more' });
    else if (as === 'doubt') {
      if (grant.asked < (grant.most ?? 0)) grant.as = 'found';
      else stuck(grant, grant.why ?? STILL_THERE);
    } else if (grant.as === 'ended') {
      grant.looks = (grant.looks ?? 0) + 1;
      grant.at = now + MINUTE;
      // What was shared directly is not any more: what is left comes from elsewhere.
      if (grant.looks > 1 && grant.kind === 'share') grant.as = 'kept';
      else if (grant.looks > 1) stuck(grant, STILL_THERE);
    }
  }
}

/** Whether the job has ended, in whatever way. */
async function isOver(grant: Grant, workspace: Workspace, now: number): Promise<boolean> {
  const looks = (grant.looks ?? 0) + 1;
  const job = await workspace.job(grant.job ?? '');
  if (job?.status === 'finished') ended(grant, now);
  else if (job?.status === 'error') {
    const kind = JOB_ERRORS.find((one) => one === job.errorDetails?.errorType) ?? 'of another kind';
    const why: Why = { reason: 'refused', word: `its job failed and needs a person (${kind})` };
    if (job.canRetry === true && job.errorDetails?.userRequired !== true) doubt(grant, why, now, { most: 3 });
    else stuck(grant, why);
  } else if (!job && looks > 2) {
    // The first times it may only have been too new.
    doubt(grant, { reason: 'server', word: 'Cerby does not know its job' }, now);
  } else if (now - (grant.since ?? now) > JOB_MS) {
    stuck(grant, { reason: 'timeout', word: 'its job has not ended' });
  } else {
    // Also of a state that is not known.
    const step = Math.min(5 * SECOND * 2 ** looks, MINUTE);
    Object.assign(grant, { looks, at: now + Math.round(step * (0.8 + 0.4 * Math.random())) });
    return false;
  }
  return true;
}

/** Throws for those that are still there. It comes here again with every retry, and asks for nothing anew. */
export async function lookAtStuck(progress: Progress, workspace: Workspace): Promise<void> {
  const left: Why[] = [];
  for (const grant of progress.grants.filter(({ as }) => as === 'stuck')) {
    const found = await memberOf(grant, progress, workspace).catch((error: unknown) => whyOf(error, ['refused']));
    if (found) left.push(grant.why ?? STILL_THERE);
    else grant.as = 'gone';
  }
  if (left.length === 0) return;
  const { reason } = left.find((why) => why.reason === 'refused') ?? left[0] ?? STILL_THERE;
  const words = [...new Set(left.map(({ word }) => word))].join('; ');
  throw new ConnectorError(reason, `cerby: ${left.length} of ${progress.grants.length} were not removed: ${words}`);
}
