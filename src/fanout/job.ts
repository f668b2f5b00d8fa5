/** The jobs in Redis: one that holds an accepted revocation, then one for each app. */
import type { JobsOptions } from 'bullmq';
import type { Account, Mode } from '../connectors/connector.js';

/** An accepted revocation: all that is needed to carry it out, whatever becomes of the user meanwhile. */
export type Revocation = {
  revocationId: string;
  tenant: string;
  trust: string;
  /** The directory's id of the person. */
  user: string;
  mode: Mode;
  /** Gateways passed so far, this one last. */
  via: string[];
  /** Milliseconds since the epoch. */
  acceptedAt: number;
  accounts: { app: string; account: Account }[];
};

/** One app's part of a revocation. */
export type AppJob = Omit<Revocation, 'accounts'> & { account: Account };

export const INTAKE_QUEUE = 'intake';

/** BullMQ allows no colon in a name; ids of tenants and apps have no dot. */
export function appQueue(tenant: string, app: string): string {
  return `app.${tenant}.${app}`;
}

/** Done jobs go at once: what became of a revocation is in its record. `fanout/retry` alone decides when one has failed. */
export const jobOptions = {
  removeOnComplete: true,
  attempts: 1_000_000,
  backoff: { type: 'custom' },
} satisfies JobsOptions;
