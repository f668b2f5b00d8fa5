/** `/Users` (RFC 7644 §3): people come, change, are deactivated and go. */
import { isDeepStrictEqual } from 'node:util';
import { type Request, Router } from 'express';
import type { Directory } from '../directory/directory.js';
import type { GroupResource } from '../directory/groups.js';
import type { User, UserAttributes, UserResource } from '../directory/user.js';
import { Changed, NotUnique } from '../directory/users.js';
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
  /** Called before a user becomes inactive, or goes; throws where it cannot be seen to. */
  onDeactivate: (tenant: string, user: User) => Promise<void>;
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
    const announcement = createAnnouncement(req);
    await again(async () => {
      const before = await read(req);
      announcement.checkIfMatch(before);
      await announcement.make(before, false);
      await users.remove(tenantOf(req), before);
    });
    res.status(204).end();
  });

  router.all('/Users', methodNotAllowed('GET, POST'));
  router.all('/Users/:id', methodNotAllowed('GET, PUT, PATCH, DELETE'));

  async function change(req: Request, next: (before: UserResource) => UserAttributes): Promise<UserResource> {
    const tenant = tenantOf(req);
    const announcement = createAnnouncement(req);
    return again(async () => {
      const before = await read(req);
      announcement.checkIfMatch(before);
      const attributes = next(before);
      const { id, meta: _meta, ...own } = before;
      if (isDeepStrictEqual(own, attributes)) return before;
      if (attributes.active === false && before.active !== false) await requireFree(tenant, id, attributes);
      await announcement.make(before, attributes.active ?? true);
      return users.replace(tenant, before, attributes);
    });
  }

  /** Tells once of a user who becomes inactive, however often the change is tried. */
  function createAnnouncement(req: Request) {
    let announced = false;
    return {
      async make(before: UserResource, active: boolean): Promise<void> {
        if (active || announced || before.active === false) return;
        const tenant = tenantOf(req);
        const [[user] = []] = await users.find(tenant, [{ kind: 'id', value: before.id }]);
        // Somebody else may have deactivated the user meanwhile, and told of it.
        if (user?.resource.meta.version !== before.meta.version) throw new Changed();
        await onDeactivate(tenant, user);
        announced = true;
      },
      /** Whoever is logged out already becomes inactive too, whatever changed in between. Throws a ScimError 412. */
      checkIfMatch(before: UserResource): void {
        if (!announced) checkIfMatch(req, before);
      },
    };
  }

  /** A deactivation is told of before it is written, so what would refuse it has to be looked at before. */
  async function requireFree(tenant: string, id: string, { userName, externalId }: UserAttributes): Promise<void> {
    const lookups = [
      { kind: 'userName' as const, value: userName },
      ...(externalId === undefined ? [] : [{ kind: 'externalId' as const, value: externalId }]),
    ];
    const found = await users.find(tenant, lookups);
    lookups.forEach(({ kind }, index) => {
      const taken = found[index]?.some(({ resource }) => resource.id !== id && resource.deletedAt === undefined);
      if (taken) throw new NotUnique(kind);
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
