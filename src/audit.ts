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
  /** Who did it by hand: `oidc:` and the OIDC `sub`, or `ADMIN_TOKEN`. */
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

type Members = Readonly<Record<string, string>>;

/** The members of an entry by name. Older trails have a field of the stream for each. */
export function readAudit(fields: readonly (Buffer | string)[]): Record<string, string> {
  const texts = fields.map(String);
  if (texts[0] === 'entry' && texts[1] !== undefined) return Object.fromEntries(new URLSearchParams(texts[1]));
  return Object.fromEntries(texts.flatMap((name, at) => (at % 2 === 0 ? [[name, texts[at + 1] ?? '']] : [])));
}

// Those that may match, judged by their text, and the last one that was looked at: most of a trail is not asked for, and
// taking all of it apart here takes more than twice as long. An entry of an older trail has no text, and may always match.
const FIND = `
local page = redis.call('XREVRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
local found = {}
for _, entry in ipairs(page) do
  local fits, text = true, '&' .. entry[2][2] .. '&'
  for i = 4, #ARGV do
    fits = fits and (entry[2][1] ~= 'entry' or string.find(text, '&' .. ARGV[i] .. '&', 1, true))
  end
  if fits then found[#found + 1] = entry end
end
local last = page[#page]
return {found, #page, last and last[1] or ''}`;

type Found = [entries: [id: string, fields: string[]][], lookedAt: number, last: string];

/** Whose trail has what is said of a tenant that the settings do not have. No tenant's id looks like this. */
export const NO_TENANT = '_';

/** Anybody can name a tenant that there is not, so such have one trail together, and no keys of their own. */
export function createAudit(redis: RedisClient, { prefix, tenants }: { prefix: string; tenants: readonly string[] }) {
  const known = new Set(tenants);
  redis.defineCommand('auditFind', { numberOfKeys: 1, lua: FIND });
  const { auditFind } = redis as unknown as { auditFind: (...args: (string | number)[]) => Promise<unknown> };
  return {
    async record(entry: AuditEntry): Promise<void> {
      const tenant = known.has(entry.tenant) ? entry.tenant : NO_TENANT;
      await redis.xadd(auditKey(prefix, tenant), '*', 'entry', auditText(entry));
    },

    /**
     * Of `limit` entries, the newest first, between two ids of the stream (inclusive unless `(` stands before one), those
     * that have all of `members`; how many were looked at, and the last of them.
     */
    async page(
      tenant: string,
      { newest, oldest, limit, members: wanted }: { newest: string; oldest: string; limit: number; members: Members },
    ) {
      const texts = Object.entries(wanted).map(([name, value]) => auditText({ [name]: value }));
      const args = [auditKey(prefix, tenant), newest, oldest, limit, ...texts];
      const [found, lookedAt, last] = (await auditFind.apply(redis, args)) as Found;
      const entries = found.map(([id, fields]) => ({ id, members: readAudit(fields) }));
      const fits = ({ members }: { members: Members }) =>
        Object.entries(wanted).every(([name, value]) => members[name] === value);
      return { entries: entries.filter(fits), lookedAt, last };
    },
  };
}
