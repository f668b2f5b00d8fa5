/** `/api/revocations`: what became of each, one begun by hand, and another try where an app was not reached. */
import { randomUUID } from 'node:crypto';
import { Router } from 'express';
import { z } from 'zod';
import type { Audit } from '../audit.js';
import { accountsOf } from '../directory/assignment.js';
import { matchOf, meant } from '../directory/meant.js';
import { identifierKinds, type User } from '../directory/user.js';
import type { Lookup, Users } from '../directory/users.js';
import type { Enqueue } from '../fanout/enqueue.js';
import type { Lane, Lanes, Retried } from '../fanout/lanes.js';
import { appStates, type RevocationRecord, type RevocationRecords } from '../fanout/record.js';
import { summaryOf } from '../fanout/summary.js';
import { orUnavailable } from '../redis.js';
import { readBody } from '../request-body.js';
import { RequestError } from '../request-error.js';
import type { Settings } from '../settings.js';
import type { ValidAfter } from '../valid-after.js';
import { operatorIn } from './authenticate.js';
import { parse } from './parse.js';
import { viewRevocation } from './view.js';

const PAGE = 50;
/** As many as one request looks through for those that match. */
const PAGES_READ = 20;
const BODY_BYTES = 16 * 1024;

const listQuery = z.strictObject({
  tenant: z.string().default('default'),
  user: z.string().optional(),
  app: z.string().optional(),
  status: z.enum(['pending', 'completed', 'failed']).optional(),
  state: z.enum(appStates).optional(),
  since: z.iso.datetime({ offset: true, error: 'write it as 2026-06-01T12:00:00Z' }).optional(),
  cursor: z
    .string()
    .regex(/^rev_\w{1,64}$/, { error: 'it is the cursor of the answer before' })
    .optional(),
});

export const identifier = z.string().min(1).max(1_000);

const order = z
  .strictObject({
    tenant: z.string().default('default'),
    id: identifier.optional(),
    externalId: identifier.optional(),
    userName: identifier.optional(),
    email: identifier.optional(),
    mode: z.enum(['full', 'refresh-only']).default('full'),
  })
  .refine((one) => identifierKinds.filter((kind) => one[kind] !== undefined).length === 1);

const retryQuery = z.strictObject({ app: z.string().optional() });

export type RevocationsDependencies = {
  records: RevocationRecords;
  enqueue: Enqueue;
  lanes: Lanes;
  users: Pick<Users, 'findWithDeleted'>;
  validAfter: ValidAfter;
  audit: Audit;
  settings: Settings;
  now: () => number;
};

export type Revocations = ReturnType<typeof createRevocations>;

/** What operators see of revocations and do about them, whichever way they come. All throw RequestError and Unavailable. */
export function createRevocations(dependencies: RevocationsDependencies) {
  const { records, enqueue, lanes, users, validAfter, audit, settings, now } = dependencies;
  const tenants = settings.tenants.map(({ id }) => id);
  const { find, read } = createRevocationReader(dependencies);

  async function meantBy(tenant: string, lookup: Lookup): Promise<User> {
    const found = await orUnavailable(users.findWithDeleted(tenant, [lookup]));
    const whom = meant([found.map((one) => matchOf(lookup, one))]);
    if ('user' in whom) return whom.user;
    throw whom.refused === 'ambiguous_subject'
      ? new RequestError(422, 'ambiguous_subject', `Several users have this ${lookup.kind}.`)
      : new RequestError(404, 'user_not_found', `No user of this tenant has this ${lookup.kind}.`);
  }

  return {
    async list(asked: unknown) {
      const query = parse(listQuery, asked);
      if (!tenants.includes(query.tenant)) throw noSuchTenant();
      const since = query.since === undefined ? 0 : Date.parse(query.since);
      const found: RevocationRecord[] = [];
      let { cursor } = query;
      let more = true;
      for (let pages = 0; more && found.length < PAGE && pages < PAGES_READ; pages += 1) {
        const page = await orUnavailable(records.list(query.tenant, { user: query.user, after: cursor, limit: PAGE }));
        more = page.length === PAGE && (page.at(-1)?.acceptedAt ?? 0) >= since;
        for (const record of page) {
          if (found.length === PAGE) {
            more = true;
            break;
          }
          cursor = record.revocationId;
          if (matches(record, query, since)) found.push(record);
        }
      }
      return { revocations: found.map(viewRevocation), ...(more && { cursor }) };
    },

    read,

    /** By hand: for somebody who is in the directory, as a request of a trust would do it. */
    async start(asked: unknown, operator: string) {
      const wanted = parse(order, asked);
      const { tenant, mode } = wanted;
      const apps = settings.tenants.find(({ id }) => id === tenant)?.apps;
      if (!apps) throw noSuchTenant('user_not_found');
      const kind = identifierKinds.find((one) => wanted[one] !== undefined) ?? 'id';
      const user = await meantBy(tenant, { kind, value: wanted[kind] ?? '' });
      const revocationId = `rev_${randomUUID().replaceAll('-', '')}`;
      const accounts = accountsOf(user, apps);
      const revocation = {
        ...{ revocationId, tenant, trust: 'operator', operator, user: user.resource.id, mode },
        ...{ via: [settings.publicUrl], acceptedAt: now(), accounts },
      };
      // First: where it fails nothing is under way. What is sent again is another revocation.
      if (mode === 'full') await orUnavailable(validAfter.raise(revocation));
      await orUnavailable(enqueue.add(revocation));
      // It is accepted. The worker opens the record a moment later; whoever asks was promised a place to look.
      await orUnavailable(records.open(revocation)).catch(() => {});
      return { revocationId, user: user.resource.id, apps: accounts.map(({ app }) => app) };
    },

    /** Now, where it has failed or waits for its next try. */
    async retry(id: string, asked: unknown, operator: string) {
      const { app: only } = parse(retryQuery, asked);
      const { tenant, revocationId, user, apps } = await find(id);
      const open = Object.entries(apps).filter(
        ([app, { state }]) => (only ?? app) === app && (state === 'failed' || state === 'retrying'),
      );
      if (only !== undefined && !Object.hasOwn(apps, only)) {
        throw new RequestError(404, 'not_found', 'This revocation was not for this app.');
      }
      const results = await orUnavailable(
        Promise.all(
          open.map(async ([app, { servedBy = revocationId }]): Promise<{ app: string; result: Retried }> => {
            const result = await lanes.retry({ tenant, app }, servedBy);
            const entry = { event: 'job.retried', tenant, revocationId, user, app, operator } as const;
            if (result === 'retried') await audit.record(entry);
            return { app, result };
          }),
        ),
      );
      return { apps: results };
    },
  };
}

export type RevocationReaderDependencies = Pick<RevocationsDependencies, 'records' | 'lanes' | 'settings' | 'now'>;

/** In whichever tenant it is. Throws RequestError 404, Unavailable. */
export function createRevocationReader({ records, lanes, settings, now }: RevocationReaderDependencies) {
  const tenants = settings.tenants.map(({ id }) => id);

  async function find(id: string): Promise<RevocationRecord> {
    const found = await orUnavailable(Promise.all(tenants.map((tenant) => records.read(tenant, id))));
    const record = found.find((one) => one !== undefined);
    if (!record) throw new RequestError(404, 'not_found', 'There is no such revocation.');
    return record;
  }

  async function read(id: string) {
    const record = await find(id);
    const unfinished = Object.entries(record.apps).flatMap(([app, { state }]) =>
      state === 'waiting' || state === 'retrying' ? [app] : [],
    );
    const reading = unfinished.map((app) => lanes.read({ tenant: record.tenant, app }));
    const held = new Map<string, Lane>((await orUnavailable(Promise.all(reading))).map((lane) => [lane.app, lane]));
    return { ...viewRevocation(record), summary: summaryOf(record, held, now()) };
  }

  return { find, read };
}

export function createRevocationsRouter(revocations: Revocations): Router {
  const router = Router();

  router.get('/api/revocations', async (req, res) => {
    res.json(await revocations.list(req.query));
  });

  router.get('/api/revocations/:id', async (req, res) => {
    res.json(await revocations.read(req.params.id));
  });

  router.post('/api/revocations', async (req, res) => {
    const started = await revocations.start(parseJson(await readBody(req, BODY_BYTES)), operatorIn(res));
    res.status(202).location(`/api/revocations/${started.revocationId}`).json(started);
  });

  router.post('/api/revocations/:id/retry', async (req, res) => {
    res.status(202).json(await revocations.retry(req.params.id, req.query, operatorIn(res)));
  });

  return router;
}

export function noSuchTenant(code: 'not_found' | 'user_not_found' = 'not_found'): RequestError {
  return new RequestError(404, code, 'There is no such tenant in the settings.');
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new RequestError(400, 'malformed_request', 'The body is not JSON.');
  }
}

function matches(record: RevocationRecord, query: z.output<typeof listQuery>, since: number): boolean {
  const { app: only, state: wanted } = query;
  return (
    record.acceptedAt >= since &&
    (query.status === undefined || record.status === query.status) &&
    ((only === undefined && wanted === undefined) ||
      Object.entries(record.apps).some(([app, { state }]) => (only ?? app) === app && (wanted ?? state) === state))
  );
}
