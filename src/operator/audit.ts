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
/** One request looks through so many entries, so many at a time, for those that match. */
const READ = 5_000;
const AT_ONCE = 500;

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

export function createAuditViews({ audit, settings }: AuditDependencies) {
  const tenants = [...settings.tenants.map(({ id }) => id), NO_TENANT];

  return {
    /** Throws RequestError 400 and 404, Unavailable. */
    async list(asked: unknown) {
      const query = parse(listQuery, asked);
      if (!tenants.includes(query.tenant)) throw noSuchTenant();
      const narrowed = filters.filter((name) => query[name] !== undefined);
      const limit = narrowed.length > 0 ? AT_ONCE : PAGE + 1;
      const oldest = query.since === undefined ? '-' : String(query.since);
      const entries: ReturnType<typeof viewEntry>[] = [];
      let { cursor } = query;
      for (let read = 0; read < READ; ) {
        const newest = cursor === undefined ? newestOf(query) : `(${cursor}`;
        const page = await orUnavailable(audit.page(query.tenant, { newest, oldest, limit }));
        for (const { id, members } of page) {
          if (entries.length === PAGE) return { entries, cursor };
          cursor = id;
          if (narrowed.every((name) => members[name] === query[name])) entries.push(viewEntry(id, members));
        }
        if (page.length < limit) return { entries };
        read += page.length;
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
