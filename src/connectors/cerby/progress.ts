/** How far one revocation has come: kept between any two calls of it, so that a worker may die in each. */
import { type Call, ConnectorError, type Pending, type Reason } from '../connector.js';

export type Account = {
  id: string;
  /** `rotated`: has a new password, or was logged out. `hidden`: not visible to the key. */
  seen?: 'rotated' | 'hidden' | 'unmanaged';
  /** Cerby has reported that it could not. */
  failed?: true;
};

export type Why = { reason: Reason; word: string };

/** One thing to be taken away: membership of an integration, or what is shared of an account. */
export type Grant = {
  kind: 'seat' | 'share';
  id: string;
  application?: string | undefined;
  role?: string | undefined;
  entitlements?: Record<string, string>[] | undefined;
  /**
   * `found`: it is to be asked for. `asked`: a job runs. `doubt`: it is not known whether it was asked for. `ended`: it
   * should be gone. `gone`: it is. `kept`: not ours to take. `stuck`: no use in going on by itself.
   */
  as: 'found' | 'asked' | 'doubt' | 'ended' | 'gone' | 'kept' | 'stuck';
  /** How often it was asked for, and how often it may be. */
  asked: number;
  most?: number;
  job?: string;
  /** When the job began, and when to look again: milliseconds since the epoch. */
  since?: number;
  at?: number;
  /** Looks in vain. */
  looks?: number;
  why?: Why;
};

export type Progress = {
  user: string;
  guest?: true;
  /** The attempt that wrote this. */
  attempt: number;
  /** What Cerby answered it where it has not taken what it was asked: thrown by the next one. */
  turnedAway?: { reason: Reason; message: string; retryAfterMs?: number | undefined };
  /** Where it has still to be seen whether the user is there. */
  todo: Pick<Grant, 'kind' | 'id' | 'application'>[];
  grants: Grant[];
  /** What the user can use, once it was asked for. */
  accounts?: Account[];
  /** Of these, the ones to be read again in this round. */
  left?: string[];
};

const LEAST_MS = 1_000;

export const isUnderWay = ({ as }: Grant) => as === 'asked' || as === 'doubt' || as === 'ended';

export function later(progress: Progress, { attempt }: Call, ms: number): Pending {
  const removed = removedOf(progress);
  const pending = { poll: { ...progress, attempt }, afterMs: Math.max(ms, LEAST_MS) };
  return { pending: removed.length > 0 ? { ...pending, removed } : pending };
}

/** For whoever is to put it back. A seat counts as soon as its job may run: nobody may be there to tell when it ends. */
export function removedOf({ grants }: Progress): Record<string, unknown>[] {
  return grants
    .filter((grant) => grant.as === 'gone' || (grant.kind === 'seat' && isUnderWay(grant)))
    .map(({ kind, id, application, role, entitlements = [] }) => ({
      [kind === 'seat' ? 'integration' : 'account']: id,
      ...(application && { application }),
      ...(role && { role }),
      ...(entitlements.length > 0 && { entitlements }),
    }));
}

/** Throws the error where it is of another reason. */
export function whyOf(error: unknown, reasons: readonly Reason[]): Why {
  if (!(error instanceof ConnectorError) || !reasons.includes(error.reason)) throw error;
  return { reason: error.reason, word: error.reason === 'refused' ? 'Cerby refused' : 'Cerby gave no good answer' };
}
