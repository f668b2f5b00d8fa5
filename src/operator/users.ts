/** `/api/users`: who is in the directory, and what a revocation of now would reach of somebody. */
import { Router } from 'express';
import { z } from 'zod';
import { type Reach, reachOf } from '../directory/assignment.js';
import type { Directory } from '../directory/directory.js';
import { emailsOf, type UserResource } from '../directory/user.js';
import type { Lookup } from '../directory/users.js';
import { orUnavailable } from '../redis.js';
import { RequestError } from '../request-error.js';
import type { AppSettings, Settings, TenantSettings } from '../settings.js';
import type { ValidAfter } from '../valid-after.js';
import { parse } from './parse.js';
import { identifier, noSuchTenant } from './revocations.js';

const PAGE = 50;
/** Of those who share an identifier: so many who live, and as many who are deleted. */
const SHARING = 100;

const kinds = ['id', 'externalId', 'userName', 'email', 'phoneNumber'] as const;

const tenantQuery = z.strictObject({ tenant: z.string().default('default') });

const listQuery = tenantQuery
  .extend({
    id: identifier.optional(),
    externalId: identifier.optional(),
    userName: identifier.optional(),
    email: identifier.optional(),
    phoneNumber: identifier.optional(),
    cursor: z
      .string()
      .regex(/^\d{1,16}$/, { error: 'it is the cursor of the answer before' })
      .optional(),
  })
  .superRefine((query, { addIssue }) => {
    const [named, another] = kinds.filter((kind) => query[kind] !== undefined);
    if (another) addIssue({ code: 'custom', path: [another], message: `name one of ${kinds.join(', ')}, or none` });
    if (named && query.cursor !== undefined) {
      addIssue({ code: 'custom', path: ['cursor'], message: `there is none where ${named} is named` });
    }
  });

export type UsersQuery = z.input<typeof listQuery>;

export type UsersDependencies = { directory: Directory; validAfter: ValidAfter; settings: Settings };

export type UserViews = ReturnType<typeof createUserViews>;

/** What operators are shown of people, whichever way they look. */
export function createUserViews({ directory: { users, groups }, validAfter, settings }: UsersDependencies) {
  function tenantOf(id: string): TenantSettings {
    const tenant = settings.tenants.find((one) => one.id === id);
    if (!tenant) throw noSuchTenant();
    return tenant;
  }

  return {
    /**
     * A page of the directory in the order of creation, or everybody who has the identifier, the deleted last. Throws
     * RequestError 400 and 404, Unavailable.
     */
    async list(asked: unknown) {
      const query = parse(listQuery, asked);
      const { id: tenant } = tenantOf(query.tenant);
      const lookup = lookupOf(query);
      if (!lookup) {
        const { users: page, next } = await orUnavailable(users.pageAfter(tenant, query.cursor ?? '', PAGE));
        return { users: page.map(viewUser), ...(next !== undefined && { cursor: next }) };
      }
      const [found] = await orUnavailable(users.findWithDeleted(tenant, [lookup], SHARING + 1, SHARING + 1));
      const { living = [], deleted = [] } = found ?? {};
      const shown = [...living.slice(0, SHARING), ...deleted.slice(0, SHARING)].map(({ resource }) =>
        viewUser(resource),
      );
      return { users: shown, ...(living.length + deleted.length > shown.length && { more: true as const }) };
    },

    /** Also who was deleted within the grace. Throws RequestError 404, Unavailable. */
    async read(tenantId: string, id: string) {
      const tenant = tenantOf(tenantId);
      const [[user] = []] = await orUnavailable(users.find(tenant.id, [{ kind: 'id', value: id }]));
      if (!user) throw new RequestError(404, 'not_found', 'No user of this tenant has this id.');
      const { resource } = user;
      const [present, watermark] = await orUnavailable(
        Promise.all([groups.ofUser(tenant.id, resource.id), validAfter.read(tenant.id, [resource.id])]),
      );
      const names = present.map(({ displayName }) => displayName);
      const former = user.groups.filter((name) => !names.includes(name));
      return {
        tenant: tenant.id,
        ...viewUser(resource),
        phoneNumbers: (resource.phoneNumbers ?? []).map(({ value }) => value),
        groups: names,
        ...(former.length > 0 && { formerGroups: former }),
        ...(watermark !== undefined && { validAfter: new Date(watermark).toISOString() }),
        apps: reachOf(user, tenant.apps).map(viewReach),
      };
    },
  };
}

export function createUsersRouter(views: UserViews): Router {
  const router = Router();

  router.get('/api/users', async (req, res) => {
    res.json(await views.list(req.query));
  });

  router.get('/api/users/:id', async (req, res) => {
    res.json(await views.read(parse(tenantQuery, req.query).tenant, req.params.id));
  });

  return router;
}

function lookupOf(query: z.output<typeof listQuery>): Lookup | undefined {
  for (const kind of kinds) {
    const value = query[kind];
    if (value !== undefined) return { kind: kind === 'phoneNumber' ? 'phone' : kind, value };
  }
  return undefined;
}

function viewUser(resource: UserResource) {
  const { id, userName, externalId, displayName, active, deletedAt } = resource;
  return {
    id,
    userName,
    ...(externalId !== undefined && { externalId }),
    ...(displayName !== undefined && { displayName }),
    emails: emailsOf(resource),
    active: active !== false,
    ...(deletedAt !== undefined && { deletedAt }),
  };
}

function viewReach(reach: Reach<AppSettings>) {
  const { id, connector, account: kind, assignedTo } = reach.app;
  const app = { app: id, connector };
  if (!('assignment' in reach)) return { ...app, reached: false, reason: reach.unreached, assignedTo };
  const { assignment } = reach;
  return 'account' in reach
    ? { ...app, reached: true, assignment, account: reach.account }
    : { ...app, reached: false, reason: reach.unreached, assignment, needs: kind };
}
