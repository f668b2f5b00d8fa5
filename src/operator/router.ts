/** What operators see: `/api/revocations`, for bearers of ADMIN_TOKEN. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { type RequestHandler, Router } from 'express';
import { z } from 'zod';
import type { Enqueue } from '../fanout/enqueue.js';
import type { RevocationRecord, RevocationRecords } from '../fanout/record.js';
import { orUnavailable } from '../redis.js';
import { RequestError } from '../request-error.js';
import type { Settings } from '../settings.js';

const PAGE = 50;

const listQuery = z.strictObject({
  tenant: z.string().default('default'),
  user: z.string().optional(),
  app: z.string().optional(),
  status: z.enum(['pending', 'completed', 'failed']).optional(),
  since: z.iso.datetime({ offset: true }).optional(),
  cursor: z
    .string()
    .regex(/^rev_\w{1,64}$/)
    .optional(),
});

export type OperatorDependencies = {
  records: RevocationRecords;
  enqueue: Enqueue;
  settings: Settings;
  adminToken: string | undefined;
};

export function createOperatorRouter({ records, settings, adminToken }: OperatorDependencies): Router {
  const router = Router();
  const tenants = settings.tenants.map(({ id }) => id);
  router.use('/api', requireAdmin(adminToken));

  router.get('/api/revocations', async (req, res) => {
    const query = parseQuery(req.query);
    const after = query.cursor === undefined ? {} : { after: query.cursor };
    const page = await orUnavailable(records.list(query.tenant, { ...after, limit: PAGE }));
    const last = page.at(-1);
    const since = query.since === undefined ? 0 : Date.parse(query.since);
    const more = page.length === PAGE && last !== undefined && last.acceptedAt >= since;
    res.json({
      revocations: page.filter((record) => matches(record, query, since)).map(view),
      ...(more && { cursor: last.revocationId }),
    });
  });

  router.get('/api/revocations/:id', async (req, res) => {
    const found = await orUnavailable(Promise.all(tenants.map((tenant) => records.read(tenant, req.params.id))));
    const record = found.find((one) => one !== undefined);
    if (!record) throw new RequestError(404, 'not_found', 'There is no such revocation.');
    res.json(view(record));
  });

  return router;
}

/** Compares hashes, so that neither the time nor the length tells anything of the token. */
function requireAdmin(adminToken: string | undefined): RequestHandler {
  const expected = adminToken === undefined ? undefined : sha256(`Bearer ${adminToken}`);
  return (req, _res, next) => {
    const presented = sha256(req.headers.authorization ?? '');
    if (expected && timingSafeEqual(presented, expected)) return next();
    throw new RequestError(401, 'invalid_token', 'This needs the ADMIN_TOKEN as a bearer token.', {
      headers: { 'www-authenticate': 'Bearer realm="universal-logout-operators"' },
    });
  };
}

function parseQuery(query: unknown): z.output<typeof listQuery> {
  const parsed = listQuery.safeParse(query);
  if (parsed.success) return parsed.data;
  const names = parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys : [String(issue.path[0])],
  );
  throw new RequestError(400, 'malformed_request', `Wrong query parameter: ${names.join(', ')}.`);
}

function matches(record: RevocationRecord, query: z.output<typeof listQuery>, since: number): boolean {
  return (
    record.acceptedAt >= since &&
    (query.user === undefined || record.user === query.user) &&
    (query.app === undefined || Object.hasOwn(record.apps, query.app)) &&
    (query.status === undefined || record.status === query.status)
  );
}

/** Times in ISO 8601, durations in milliseconds. */
function view({ via, acceptedAt, completedAt, apps, ...record }: RevocationRecord) {
  return {
    ...record,
    acceptedAt: iso(acceptedAt),
    ...(completedAt !== undefined && { completedAt: iso(completedAt), tookMs: completedAt - acceptedAt }),
    ...(via.length > 1 && { via: via.slice(0, -1) }),
    apps: Object.entries(apps).map(([app, { at, nextAttemptAt, ...rest }]) => ({
      app,
      ...rest,
      ...(at !== undefined && { at: iso(at) }),
      ...(nextAttemptAt !== undefined && { nextAttemptAt: iso(nextAttemptAt) }),
    })),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
