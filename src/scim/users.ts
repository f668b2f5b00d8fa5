/** `/Users` (RFC 7644 §3): people come, change, are deactivated and go. */
import { isDeepStrictEqual } from 'node:util';
import { type Request, Router } from 'express';
import { createAnnouncement, type OnDeactivate } from '../directory/announcement.js';
import type { Directory } from '../directory/directory.js';
import type { GroupResource } from '../directory/groups.js';
import type { UserAttributes, UserResource } from '../directory/user.js';
import type { RedisClient } from '../redis.js';
import { ENTERPRISE_SCHEMA, USER_SCHEMA, userAttributes } from './attributes.js';
import type { Filter } from './filter.js';
import { again, checkIfMatch, idOf, methodNotAllowed, notFound, sendList, sendResource, tenantOf } from './http.js';
import { list, type Source } from './list.js';
import { comparisonsWith, lookupsFor } from './lookup.js';
import { patchUser } from './patch-user.js';
import { readProjection, shows } from './projection.js';
import { readUser } from './schemas.js';
import { ScimError } from './scim-error.js';

const MAX_CANDIDATES = 1_000;

export type UsersDependencies = {
  directory: Directory;
  redis: RedisClient;
  prefix: string;
  onDeactivate: OnDeactivate;
  /** The address of the tenant's SCIM root. */
  baseOf: (req: Request) => string;
};

export function createUsersRouter(dependencies: UsersDependencies): Router {
  const { redis, prefix, onDeactivate, baseOf } = dependencies;
  const { users, groups } = dependencies.directory;
  const router = Router({ mergeParams: true });

  router.get('/Users', async (req, res) => {
    const project = readProjection(req.query);
    const page = await list(sourceOf(tenantOf(req)), req.query, { redis, prefix });
    const views = await view(req, page.resources);
    sendList(res, { ...page, resources: views.map(project) });
  });

  router.post('/Users', async (req, res) => {
    const project = readProjection(req.query);
    const user = await users.create(tenantOf(req), readUser(req.body));
    sendResource(res, 201, await viewOne(req, user), project);
  });

  router.get('/Users/:id', async (req, res) => {
    const project = readProjection(req.query);
    sendResource(res, 200, await viewOne(req, await read(req)), project);
  });

  router.put('/Users/:id', async (req, res) => {
    const project = readProjection(req.query);
    const attributes = readUser(req.body);
    sendResource(res, 200, await viewOne(req, await change(req, () => attributes)), project);
  });

  router.patch('/Users/:id', async (req, res) => {
    const project = readProjection(req.query);
    const user = await change(req, (before) => patchUser(before, req.body));
    sendResource(res, 200, await viewOne(req, user), project);
  });

  router.delete('/Users/:id', async (req, res) => {
    const announcement = createAnnouncement(users, tenantOf(req), onDeactivate);
    await again(async () => {
      const before = await read(req);
      // Whoever is logged out already goes too, whatever changed in between.
      if (!announcement.isMade()) checkIfMatch(req, before);
      await announcement.make(before);
      await users.remove(tenantOf(req), before);
    });
    res.status(204).end();
  });

  router.all('/Users', methodNotAllowed('GET, POST'));
  router.all('/Users/:id', methodNotAllowed('GET, PUT, PATCH, DELETE'));

  async function change(req: Request, next: (before: UserResource) => UserAttributes): Promise<UserResource> {
    const tenant = tenantOf(req);
    const announcement = createAnnouncement(users, tenant, onDeactivate);
    return again(async () => {
      const before = await read(req);
      // Whoever is logged out already becomes inactive too, whatever changed in between.
      if (!announcement.isMade()) checkIfMatch(req, before);
      const attributes = next(before);
      const { id: _id, meta: _meta, ...own } = before;
      if (isDeepStrictEqual(own, attributes)) return before;
      await announcement.make(before, attributes);
      return users.replace(tenant, before, attributes);
    });
  }

  async function read(req: Request): Promise<UserResource> {
    const user = await users.get(tenantOf(req), idOf(req));
    if (!user) throw notFound();
    return user;
  }

  function sourceOf(tenant: string): Source<UserResource> {
    return {
      name: `users ${tenant}`,
      attribute: userAttributes,
      count: () => users.count(tenant),
      page: (offset, limit) => users.page(tenant, offset, limit),
      candidates: (filter) => candidates(tenant, filter),
      filterable: async (resources, filter) =>
        comparisonsWith('schemas', filter).length === 0
          ? resources
          : resources.map((user) => ({ ...user, schemas: schemasOf(user) })),
    };
  }

  async function candidates(tenant: string, filter: Filter): Promise<UserResource[] | undefined> {
    if (comparisonsWith('groups', filter).length > 0) {
      throw new ScimError(400, 'invalidFilter', 'Users cannot be filtered by groups: read the members of the group.');
    }
    const lookups = lookupsFor(filter);
    if (!lookups) return undefined;
    const limit = Math.ceil(MAX_CANDIDATES / lookups.length);
    const found = await users.find(tenant, lookups, limit);
    if (found.some((some) => some.length === limit)) return undefined;
    const living = found.flat().filter(({ resource }) => resource.deletedAt === undefined);
    return [...new Map(living.map(({ resource }) => [resource.id, resource])).values()];
  }

  async function viewOne(req: Request, user: UserResource): Promise<object> {
    const [only] = await view(req, [user]);
    return only as object;
  }

  async function view(req: Request, resources: UserResource[]): Promise<object[]> {
    const base = baseOf(req);
    const ids = resources.map(({ id }) => id);
    const own = shows(req.query, 'groups') ? await groups.ofUsers(tenantOf(req), ids) : new Map<string, never>();
    return resources.map((user) => toView(user, own.get(user.id) ?? [], base));
  }

  return router;
}

function toView({ id, meta, ...attributes }: UserResource, groups: GroupResource[], base: string): object {
  return {
    schemas: schemasOf(attributes),
    id,
    ...attributes,
    ...(groups.length > 0 && {
      groups: groups.map((group) => ({
        value: group.id,
        display: group.displayName,
        $ref: `${base}/Groups/${group.id}`,
        type: 'direct',
      })),
    }),
    meta: { ...meta, location: `${base}/Users/${id}` },
  };
}

function schemasOf(user: UserAttributes): string[] {
  return user[ENTERPRISE_SCHEMA] === undefined ? [USER_SCHEMA] : [USER_SCHEMA, ENTERPRISE_SCHEMA];
}
