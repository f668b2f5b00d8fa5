/** SCIM 2.0 (RFC 7644) for each tenant: authenticate, then parse, then change the directory. */
import { createHash, timingSafeEqual } from 'node:crypto';
import express, { type Request, type RequestHandler, type Response, Router } from 'express';
import type { Redis } from 'ioredis';
import type { Directory } from '../directory/directory.js';
import type { GroupResource, MemberChange } from '../directory/groups.js';
import type { User, UserAttributes, UserResource } from '../directory/user.js';
import { Changed } from '../directory/users.js';
import type { Logger } from '../logger.js';
import { resourceTypes, schemas, serviceProviderConfig } from './discovery.js';
import { lookupFor } from './filter.js';
import { list, type Page, type Source } from './list.js';
import { patchGroup, patchUser } from './patch.js';
import { readProjection, shows } from './projection.js';
import { ENTERPRISE_SCHEMA, GROUP_SCHEMA, readGroup, readUser, USER_SCHEMA } from './schemas.js';
import { answerScimError, ScimError } from './scim-error.js';

const MAX_BODY = '1mb';
const MAX_CANDIDATES = 1_000;
const MAX_TRIES = 5;

export type ScimDependencies = {
  directory: Directory;
  redis: Redis;
  prefix: string;
  publicUrl: string;
  tenants: readonly { id: string; scim?: { tokens: readonly string[] } | undefined }[];
  /** Called before a user becomes inactive, or goes; throws where it cannot be seen to. */
  onDeactivate: (tenant: string, user: User) => Promise<void>;
  logger: Logger;
};

export function createScimRouter(dependencies: ScimDependencies): Router {
  const { directory, redis, prefix, publicUrl, tenants, onDeactivate, logger } = dependencies;
  const { users, groups } = directory;
  const store = { redis, prefix };
  const router = Router();
  const paths = (path: string) => [`/scim/v2${path}`, `/tenants/:tenant/scim/v2${path}`];

  router.use(paths(''), authenticate(tenants), express.json({ type: () => true, limit: MAX_BODY, inflate: false }));

  const baseOf = (req: Request) =>
    req.params.tenant === undefined ? `${publicUrl}/scim/v2` : `${publicUrl}/tenants/${tenantOf(req)}/scim/v2`;

  // Discovery
  const listResponse = (resources: object[]) =>
    toListResponse({ resources, totalResults: resources.length, startIndex: 1 });
  router.get(paths('/ServiceProviderConfig'), (req, res) => send(res, 200, serviceProviderConfig(baseOf(req))));
  for (const [path, describe] of [
    ['/ResourceTypes', resourceTypes],
    ['/Schemas', schemas],
  ] as const) {
    router.get(paths(path), (req, res) => send(res, 200, listResponse(describe(baseOf(req)))));
    router.get(paths(`${path}/:id`), (req, res) => {
      const found = describe(baseOf(req)).find(({ id }) => id === req.params.id);
      if (!found) throw notFound();
      send(res, 200, found);
    });
  }

  // Users
  router.get(paths('/Users'), async (req, res) => {
    const tenant = tenantOf(req);
    const project = readProjection(req.query);
    const source: Source<UserResource> = {
      name: `users ${tenant}`,
      count: () => users.count(tenant),
      page: (offset, limit) => users.page(tenant, offset, limit),
      candidates(filter) {
        const lookup = lookupFor(filter);
        if (!lookup) return undefined;
        return users
          .find(tenant, [lookup], MAX_CANDIDATES)
          .then(([found = []]) => found.flatMap(({ resource }) => (resource.deletedAt === undefined ? resource : [])));
      },
    };
    const page = await list(source, req.query, store);
    const views = await Promise.all(page.resources.map((user) => viewUser(req, user)));
    send(res, 200, toListResponse({ ...page, resources: views.map(project) }));
  });

  router.get(paths('/Users/:id'), async (req, res) => {
    const user = await readUserOf(req);
    sendResource(req, res, 200, await viewUser(req, user));
  });

  router.post(paths('/Users'), async (req, res) => {
    const user = await users.create(tenantOf(req), readUser(req.body));
    sendResource(req, res, 201, await viewUser(req, user));
  });

  router.put(paths('/Users/:id'), async (req, res) => {
    const attributes = readUser(req.body);
    sendResource(req, res, 200, await viewUser(req, await changeUser(req, async () => attributes)));
  });

  router.patch(paths('/Users/:id'), async (req, res) => {
    const user = await changeUser(req, (before) => patchUser(before, req.body));
    sendResource(req, res, 200, await viewUser(req, user));
  });

  router.delete(paths('/Users/:id'), async (req, res) => {
    await again(async () => {
      const before = await readUserOf(req);
      checkIfMatch(req, before);
      await announceDeactivation(req, before, false);
      await users.remove(tenantOf(req), before);
    });
    res.status(204).end();
  });

  async function changeUser(
    req: Request,
    change: (before: UserResource) => Promise<UserAttributes>,
  ): Promise<UserResource> {
    return again(async () => {
      const before = await readUserOf(req);
      checkIfMatch(req, before);
      const attributes = await change(before);
      if (sameAttributes(before, attributes)) return before;
      await announceDeactivation(req, before, attributes.active ?? true);
      return users.replace(tenantOf(req), before, attributes);
    });
  }

  async function announceDeactivation(req: Request, before: UserResource, active: boolean): Promise<void> {
    if (active || before.active === false) return;
    const tenant = tenantOf(req);
    const [[user] = []] = await users.find(tenant, [{ kind: 'id', value: before.id }]);
    if (user) await onDeactivate(tenant, user);
  }

  async function readUserOf(req: Request): Promise<UserResource> {
    const user = await users.get(tenantOf(req), idOf(req));
    if (!user) throw notFound();
    return user;
  }

  async function viewUser(req: Request, user: UserResource): Promise<object> {
    const base = baseOf(req);
    const own = shows(req.query, 'groups') ? await groups.ofUser(tenantOf(req), user.id) : [];
    const { meta, id, ...attributes } = user;
    return {
      schemas: user[ENTERPRISE_SCHEMA] === undefined ? [USER_SCHEMA] : [USER_SCHEMA, ENTERPRISE_SCHEMA],
      id,
      ...attributes,
      ...(own.length > 0 && {
        groups: own.map((group) => ({
          value: group.id,
          display: group.displayName,
          $ref: `${base}/Groups/${group.id}`,
          type: 'direct',
        })),
      }),
      meta: { ...meta, location: `${base}/Users/${id}` },
    };
  }

  // Groups
  router.get(paths('/Groups'), async (req, res) => {
    const tenant = tenantOf(req);
    const project = readProjection(req.query);
    const source: Source<GroupResource> = {
      name: `groups ${tenant}`,
      count: () => groups.count(tenant),
      page: (offset, limit) => groups.page(tenant, offset, limit),
      candidates(filter) {
        if (filter.op !== 'eq' || typeof filter.compValue !== 'string') return undefined;
        const attribute = filter.attrPath.toLowerCase();
        const found =
          attribute === 'displayname'
            ? groups.named(tenant, filter.compValue)
            : attribute === 'id'
              ? groups.get(tenant, filter.compValue)
              : undefined;
        return found?.then((group) => (group ? [group] : []));
      },
    };
    const page = await list(source, req.query, store);
    const views = await Promise.all(page.resources.map((group) => viewGroup(req, group)));
    send(res, 200, toListResponse({ ...page, resources: views.map(project) }));
  });

  router.get(paths('/Groups/:id'), async (req, res) => {
    sendResource(req, res, 200, await viewGroup(req, await readGroupOf(req)));
  });

  router.post(paths('/Groups'), async (req, res) => {
    const tenant = tenantOf(req);
    const { attributes, members } = readGroup(req.body);
    const group = await groups.create(tenant, attributes);
    await setMembers(tenant, group.id, { add: members, remove: [] });
    const created = (await groups.get(tenant, group.id)) ?? group;
    sendResource(req, res, 201, await viewGroup(req, created));
  });

  router.put(paths('/Groups/:id'), async (req, res) => {
    const { attributes, members } = readGroup(req.body);
    await changeGroup(req, () => ({ attributes, members: { add: [], remove: [], replace: members } }));
    sendResource(req, res, 200, await viewGroup(req, await readGroupOf(req)));
  });

  router.patch(paths('/Groups/:id'), async (req, res) => {
    await changeGroup(req, (before) => patchGroup(before, req.body));
    // Members are left out, as RFC 7644 §3.5.2 allows: Okta pushes them in chunks and needs none of them back.
    res.status(204).end();
  });

  router.delete(paths('/Groups/:id'), async (req, res) => {
    checkIfMatch(req, await readGroupOf(req));
    await again(() => groups.remove(tenantOf(req), idOf(req)));
    res.status(204).end();
  });

  async function changeGroup(
    req: Request,
    change: (before: GroupResource) => ReturnType<typeof patchGroup>,
  ): Promise<void> {
    const tenant = tenantOf(req);
    await again(async () => {
      const before = await readGroupOf(req);
      checkIfMatch(req, before);
      const { attributes, members } = change(before);
      // Members first: an unknown one is refused before anything has changed.
      await setMembers(tenant, before.id, await difference(tenant, before.id, members));
      if (attributes.displayName === before.displayName && attributes.externalId === before.externalId) return;
      const now = await readGroupOf(req);
      await groups.replace(tenant, now, attributes);
    });
  }

  async function difference(
    tenant: string,
    id: string,
    { add, remove, replace }: MemberChange & { replace?: string[] },
  ): Promise<MemberChange> {
    if (!replace) return { add, remove };
    const wanted = new Set([...replace, ...add].filter((member) => !remove.includes(member)));
    const present = await groups.members(tenant, id);
    const presentSet = new Set(present);
    return {
      add: [...wanted].filter((member) => !presentSet.has(member)),
      remove: present.filter((member) => !wanted.has(member)),
    };
  }

  async function setMembers(tenant: string, id: string, change: MemberChange): Promise<void> {
    if (change.add.length + change.remove.length === 0) return;
    await groups.changeMembers(tenant, id, change);
  }

  async function readGroupOf(req: Request): Promise<GroupResource> {
    const group = await groups.get(tenantOf(req), idOf(req));
    if (!group) throw notFound();
    return group;
  }

  async function viewGroup(req: Request, { meta, ...group }: GroupResource): Promise<object> {
    const base = baseOf(req);
    const members = shows(req.query, 'members') ? await groups.members(tenantOf(req), group.id) : undefined;
    return {
      schemas: [GROUP_SCHEMA],
      ...group,
      ...(members && { members: members.map((value) => ({ value, $ref: `${base}/Users/${value}`, type: 'User' })) }),
      meta: { ...meta, location: `${base}/Groups/${group.id}` },
    };
  }

  function sendResource(req: Request, res: Response, status: number, resource: object): void {
    const { meta } = resource as { meta: { version: string; location: string } };
    if (req.method === 'GET' && req.headers['if-none-match'] === meta.version) return void res.status(304).end();
    res.set({ etag: meta.version, location: meta.location });
    send(res, status, readProjection(req.query)(resource));
  }

  router.use(paths(''), () => {
    throw notFound();
  });
  router.use(paths(''), answerScimError(logger));
  return router;
}

/** Two tokens may be valid at once, for rotation. Hashes are compared, so that nothing depends on the token's length. */
function authenticate(tenants: ScimDependencies['tenants']): RequestHandler {
  const hashes = new Map(tenants.map(({ id, scim }) => [id, (scim?.tokens ?? []).map(sha256)]));
  return (req, _res, next) => {
    const [, token] = /^bearer +(\S+)$/i.exec(req.headers.authorization ?? '') ?? [];
    const presented = sha256(token ?? '');
    const valid = (hashes.get(tenantOf(req)) ?? []).filter((hash) => timingSafeEqual(hash, presented));
    if (token === undefined || valid.length === 0) {
      throw new ScimError(401, undefined, 'This needs a SCIM token of the tenant as a bearer token.');
    }
    next();
  };
}

/** Somebody else was faster: read anew and try again, a few times. */
async function again<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Changed) || tries === MAX_TRIES) throw error;
    }
  }
}

/** RFC 7644 §3.14. */
function checkIfMatch(req: Request, { meta }: { meta: { version: string } }): void {
  const wanted = req.headers['if-match'];
  if (wanted === undefined || wanted.trim() === '*') return;
  const versions = wanted.split(',').map((version) => version.trim());
  if (!versions.includes(meta.version)) throw new ScimError(412, undefined, 'The resource has another version by now.');
}

function sameAttributes({ id: _id, meta: _meta, ...before }: UserResource, after: UserAttributes): boolean {
  const ordered = (value: object) => JSON.stringify(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return ordered(before) === ordered(after);
}

function toListResponse({ resources, totalResults, startIndex }: Page<object>): object {
  return {
    schemas: ['urn:ietf:params:scim:api:messages:2.0:ListResponse'],
    totalResults,
    startIndex,
    itemsPerPage: resources.length,
    Resources: resources,
  };
}

function send(res: Response, status: number, body: object): void {
  res.status(status).type('application/scim+json').send(JSON.stringify(body));
}

function tenantOf(req: Request): string {
  return typeof req.params.tenant === 'string' ? req.params.tenant : 'default';
}

function idOf(req: Request): string {
  return String(req.params.id);
}

function notFound(): ScimError {
  return new ScimError(404, undefined, 'There is no such resource.');
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
