/** The audit trail: who asked for what, and what became of it. Persons are stable ids, never addresses. */
import type { RedisClient } from './redis.js';

export const auditEvents = [
  'revocation.accepted',
  'revocation.refused',
  'revocation.looped',
  'revocation.completed',
  'revocation.failed',
  'account.revoked',
  'account.pending',
  'attempt.failed',
  'job.failed',
  'job.retried',
  'evidence.received',
  'evidence.refused',
  'app.paused',
  'app.resumed',
  'breaker.opened',
  'breaker.closed',
  'bulk.started',
  'bulk.resumed',
  'bulk.completed',
  'operator.signed_in',
  'operator.signed_out',
  'operator.refused',
] as const;
export type AuditEvent = (typeof auditEvents)[number];

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
  /** The run of a bulk revocation. */
  run?: string | undefined;
  /** Who did it by hand: the OIDC `sub`, or `ADMIN_TOKEN`. */
  operator?: string | undefined;
};

export type Audit = ReturnType<typeof createAudit>;

/** One stream for each tenant, in the slot of the tenant's other keys: a script that writes an outcome adds its entry too. */
export function auditKey(prefix: string, tenant: string): string {
  return `${prefix}:{${tenant}}:audit`;
}

/**
 * The text of an entry, as `XADD trail * entry <text>` takes it: one field, since what is written, read and hashed for every
 * call costs by the piece. As application/x-www-form-urlencoded it is shorter than JSON, and scripts put further members
 * in front without more ado.
 */
export function auditText(entry: Partial<AuditEntry>): string {
  const text = new URLSearchParams();
  for (const [name, value] of Object.entries(entry)) if (value !== undefined) text.append(name, String(value));
  return text.toString();
}

/** The members of an entry by name. Older trails have a field of the stream for each. */
export function readAudit(fields: readonly (Buffer | string)[]): Record<string, string> {
  const texts = fields.map(String);
  if (texts[0] === 'entry' && texts[1] !== undefined) return Object.fromEntries(new URLSearchParams(texts[1]));
  return Object.fromEntries(texts.flatMap((name, at) => (at % 2 === 0 ? [[name, texts[at + 1] ?? '']] : [])));
}

/** Whose trail has what is said of a tenant that the settings do not have. No tenant's id looks like this. */
export const NO_TENANT = '_';

/** Anybody can name a tenant that there is not, so such have one trail together, and no keys of their own. */
export function createAudit(redis: RedisClient, { prefix, tenants }: { prefix: string; tenants: readonly string[] }) {
  const known = new Set(tenants);
  return {
    async record(entry: AuditEntry): Promise<void> {
      const tenant = known.has(entry.tenant) ? entry.tenant : NO_TENANT;
      await redis.xadd(auditKey(prefix, tenant), '*', 'entry', auditText(entry));
    },

    /** The newest first, between two ids of the stream (inclusive unless `(` stands before one), in one round trip. */
    async page(tenant: string, { newest, oldest, limit }: { newest: string; oldest: string; limit: number }) {
      const found = await redis.xrevrange(auditKey(prefix, tenant), newest, oldest, 'COUNT', limit);
      return found.map(([id, fields]) => ({ id, members: readAudit(fields) }));
    },
  };
}
