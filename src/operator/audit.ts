/** `/api/audit`: the audit trail of a tenant, the newest entry first. */
import { Router } from 'express';
import { z } from 'zod';
import { timeOf } from '../audit/chain.js';
import { type Audit, auditEvents, NO_TENANT } from '../audit.js';
import { orUnavailable } from '../redis.js';
import type { Settings } from '../settings.js';
import { parse } from './parse.js';
import { noSuchTenant } from './revocations.js';

const PAGE = 100;
/** One request looks through so many entries, so many at a time, for those that match: 3 ms of Redis each time, 0.3 s in all. */
const LIMITS = { read: 200_000, atOnce: 2_000 };

const moment = z.iso
  .datetime({ offset: true, error: 'write it as 2026-06-01T12:00:00Z' })
  // The trail knows no time before 1970.
  .transform((text) => Math.max(0, Date.parse(text)));

const listQuery = z
  .strictObject({
    tenant: z.string().default('default'),
    event: z.enum(auditEvents).optional(),
    user: z.string().optional(),
    app: z.string().optional(),
    revocationId: z.string().optional(),
    since: moment.optional(),
    until: moment.optional(),
    cursor: z.string().refine(isEntryId, { error: 'it is the cursor of the answer before' }).optional(),
  })
  .superRefine(({ since, until }, { addIssue }) => {
    if (since !== undefined && until !== undefined && since > until) {
      addIssue({ code: 'custom', path: ['since'], message: 'it is later than until, and nothing is between them' });
    }
  });

const filters = ['event', 'user', 'app', 'revocationId'] as const;

export type AuditQuery = z.input<typeof listQuery>;

export type AuditDependencies = { audit: Pick<Audit, 'page'>; settings: Settings };

export type AuditViews = ReturnType<typeof createAuditViews>;

export function createAuditViews({ audit, settings }: AuditDependencies, limits = LIMITS) {
  const tenants = [...settings.tenants.map(({ id }) => id), NO_TENANT];

  return {
    /** Throws RequestError 400 and 404, Unavailable. */
    async list(asked: unknown) {
      const query = parse(listQuery, asked);
      if (!tenants.includes(query.tenant)) throw noSuchTenant();
      const members = Object.fromEntries(
        filters.flatMap((name) => (query[name] === undefined ? [] : [[name, query[name]]])),
      );
      const limit = Object.keys(members).length > 0 ? limits.atOnce : PAGE + 1;
      const oldest = query.since === undefined ? '-' : String(query.since);
      const entries: ReturnType<typeof viewEntry>[] = [];
      let { cursor } = query;
      for (let read = 0; read < limits.read; ) {
        const newest = cursor === undefined ? newestOf(query) : `(${cursor}`;
        const page = await orUnavailable(audit.page(query.tenant, { newest, oldest, limit, members }));
        for (const { id, members } of page.entries) {
          if (entries.length === PAGE) return { entries, cursor };
          cursor = id;
          entries.push(viewEntry(id, members));
        }
        if (page.lookedAt < limit) return { entries };
        cursor = page.last;
        read += page.lookedAt;
      }
      return { entries, cursor };
    },
  };
}

export function createAuditRouter(views: AuditViews): Router {
  const router = Router();

  router.get('/api/audit', async (req, res) => {
    res.json(await views.list(req.query));
  });

  return router;
}

function newestOf({ until }: z.output<typeof listQuery>): string {
  return until === undefined ? '+' : String(until);
}

/** As Redis has it: two numbers of 64 bits, of which not both are zero. */
function isEntryId(text: string): boolean {
  const [, time, number] = /^(\d{1,20})-(\d{1,20})$/.exec(text) ?? [];
  if (time === undefined || number === undefined || /^0+-0+$/.test(text)) return false;
  return BigInt(time) < 2n ** 64n && BigInt(number) < 2n ** 64n;
}

function viewEntry(id: string, { event = '', status, attempt, ...members }: Record<string, string>) {
  const at = new Date(Number(timeOf(id)));
  return {
    ...members,
    id,
    // Somebody with access to Redis may have made up an id that is no time.
    ...(!Number.isNaN(at.getTime()) && { at: at.toISOString() }),
    event,
    ...(status !== undefined && { status: Number(status) }),
    ...(attempt !== undefined && { attempt: Number(attempt) }),
  };
}
