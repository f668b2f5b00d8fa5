/** The jobs in Redis: one that holds an accepted revocation, then one for each app. */
import { hash } from 'node:crypto';
import type { JobsOptions } from 'bullmq';
import type { Account, Mode, Outcome } from '../connectors/connector.js';

/** An accepted revocation: all that is needed to carry it out, whatever becomes of the user meanwhile. */
export type Revocation = {
  revocationId: string;
  tenant: string;
  trust: string;
  /** Who began it, where somebody did by hand. */
  operator?: string;
  /** The directory's id of the person. */
  user: string;
  mode: Mode;
  /** Gateways passed so far, this one last. */
  via: string[];
  /** Milliseconds since the epoch. */
  acceptedAt: number;
  /** One of many, which a single person's logout overtakes. */
  bulk?: true;
  accounts: { app: string; account: Account }[];
};

/** A revocation in the intake queue: `accounts` are JSON, sealed by the data key in the tenant's context. */
export type IntakeJob = Omit<Revocation, 'accounts'> & { accounts: string };

/** One account in one app, to be revoked for the revocation that the job's id names, and for those that joined it. */
export type AppJob = Pick<Revocation, 'user' | 'mode' | 'via' | 'acceptedAt' | 'bulk'> & {
  /** Sealed, in the tenant's context. */
  account: string;
  /** What the app is asked by, where it has begun: JSON, sealed. */
  poll?: string;
  /** What was taken away so far and can be given back by hand: ids and roles, of no person. */
  removed?: Outcome['removed'];
  /** When the app began, milliseconds since the epoch. */
  pendingSince?: number;
  /** When somebody asked for another try, milliseconds since the epoch: `retryFor` counts from here. */
  retriedAt?: number;
};

// The braces keep all keys of a queue in one slot of Redis Cluster.
export const INTAKE_QUEUE = '{intake}';

/** BullMQ allows no colon in a name; ids of tenants and apps have no dot. */
export function appQueue(tenant: string, app: string): string {
  return `{app.${tenant}.${app}}`;
}

const BULK_PRIORITY = 1_000;

/** In BullMQ a smaller number comes first, and none before all. */
export function priorityOf({ bulk }: Pick<Revocation, 'bulk'>, priority = 0): number {
  return bulk ? BULK_PRIORITY : priority;
}

/** Done jobs go at once: what became of a revocation is in its record. `fanout/retry` alone decides when one has failed. */
export const jobOptions = {
  removeOnComplete: true,
  attempts: 1_000_000,
  backoff: { type: 'custom' },
  // The log has them; here a job that fails for days would gather them without end.
  stackTraceLimit: 0,
} satisfies JobsOptions;

/** Two jobs with the same digest ask an app for the very same thing. */
export function digestOf({ user, mode, via, bulk }: Pick<AppJob, 'user' | 'mode' | 'via' | 'bulk'>, account: Account) {
  const parts = JSON.stringify([user, account, mode, via, bulk ?? false]);
  return hash('sha256', parts).slice(0, 16);
}
