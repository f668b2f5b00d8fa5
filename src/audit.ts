/** The audit trail: who asked for what, and what became of it. Persons are stable ids, never addresses. */
import type { Redis } from 'ioredis';

export type AuditEvent =
  | 'revocation.accepted'
  | 'revocation.refused'
  | 'revocation.looped'
  | 'revocation.completed'
  | 'revocation.failed'
  | 'account.revoked'
  | 'attempt.failed'
  | 'job.failed';

export type AuditEntry = {
  event: AuditEvent;
  tenant: string;
  revocationId?: string | undefined;
  trust?: string | undefined;
  /** The directory's id of the person. */
  user?: string | undefined;
  app?: string | undefined;
  state?: string | undefined;
  reason?: string | undefined;
  status?: number | undefined;
  attempt?: number | undefined;
};

export type Audit = ReturnType<typeof createAudit>;

/** Appends to one Redis stream; entries older than `retentionMs` go. */
export function createAudit(redis: Redis, options: { prefix: string; retentionMs: number; now: () => number }) {
  const key = `${options.prefix}:audit`;
  return {
    async record(entry: AuditEntry): Promise<void> {
      const fields = Object.entries(entry).flatMap(([name, value]) =>
        value === undefined ? [] : [name, String(value)],
      );
      const oldest = Math.max(0, options.now() - options.retentionMs);
      await redis.xadd(key, 'MINID', '~', oldest, '*', ...fields);
    },
  };
}
