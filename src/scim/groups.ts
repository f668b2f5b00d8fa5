/** `/Groups` (RFC 7644 §3): what Okta's Group Push makes, renames, fills in portions and deletes. */
import { type Request, Router } from 'express';
import type { Directory } from '../directory/directory.js';
import type { GroupResource, MemberChange } from '../directory/groups.js';
import type { RedisClient } from '../redis.js';
import { GROUP_SCHEMA, groupAttributes } from './attributes.js';
import type { Filter } from './filter.js';
import {
  again,
  checkIfMatch,
  idOf,
  isConditional,
  methodNotAllowed,
  notFound,
  sendList,
  sendResource,
  tenantOf,
} from './http.js';
import { list, type Source } from './list.js';
import { comparisonsWith, groupLookupsFor } from './lookup.js';
import { type GroupChange, patchGroup } from './patch-group.js';
import { readProjection, shows } from './projection.js';
import { readGroup } from './schemas.js';
import { ScimError } from './scim-error.js';

/** An answer holds so many members, or those of its first group. */
const MAX_LISTED_MEMBERS = 50_000;

export type GroupsDependencies = {
  directory: Directory;
  redis: RedisClient;
  prefix: string;
  /** The address of the tenant's SCIM root. */
  baseOf: (req: Request) => string;
};

export function createGroupsRouter({ directory: { groups }, redis, prefix, baseOf }: GroupsDependencies): Router {
  const router = Router({ mergeParams: true });

  router.get('/Groups', async (req, res) => {
    const project = readProjection(req.query);
    const page = await list(sourceOf(tenantOf(req)), req.query, { redis, prefix });
    const views = await view(req, page.resources);
    sendList(res, { ...page, resources: views.map(project) });
  });

  router.post('/Groups', async (req, res) => {
    const tenant = tenantOf(req);
    const project = readProjection(req.query);
    const { attributes, members } = readGroup(req.body);
    const group = await groups.create(tenant, attributes, members);
    const created = (await groups.get(tenant, group.id)) ?? group;
    sendResource(res, 201, await viewOne(req, created), project);
  });

  router.get('/Groups/:id', async (req, res) => {
    const project = readProjection(req.query);
    sendResource(res, 200, await viewOne(req, await read(req)), project);
  });

  router.put('/Groups/:id', async (req, res) => {
    const project = readProjection(req.query);
    const { attributes, members } = readGroup(req.body);
    // RFC 7644 §3.5.1 leaves what is omitted to us: apps are assigned by members, and a new name says nothing of them.
    await change(req, () => ({ attributes, members: { add: [], remove: [], ...(members && { replace: members }) } }));
    sendResource(res, 200, await viewOne(req, await read(req)), project);
  });

  router.patch('/Groups/:id', async (req, res) => {
    const project = readProjection(req.query);
    await change(req, (before) => patchGroup(before, req.body));
    // RFC 7644 §3.5.2 allows an answer without the group: a push in portions needs none of the members back.
    if (req.query.attributes === undefined) return void res.status(204).end();
    sendResource(res, 200, await viewOne(req, await read(req)), project);
  });

  router.delete('/Groups/:id', async (req, res) => {
    await again(async () => {
      const group = await read(req);
      checkIfMatch(req, group);
      await groups.remove(tenantOf(req), group.id, isConditional(req) ? group.meta.version : undefined);
    });
    res.status(204).end();
  });

  router.all('/Groups', methodNotAllowed('GET, POST'));
  router.all('/Groups/:id', methodNotAllowed('GET, PUT, PATCH, DELETE'));

  async function change(req: Request, next: (before: GroupResource) => GroupChange): Promise<void> {
    const tenant = tenantOf(req);
    await again(async () => {
      const before = await read(req);
      checkIfMatch(req, before);
      const { attributes, members } = next(before);
      const change = { attributes, members: await difference(tenant, before.id, members), onlyIf: isConditional(req) };
      await groups.change(tenant, before, change);
    });
  }

  async function difference(tenant: string, id: string, change: GroupChange['members']): Promise<MemberChange> {
    const { add, remove, replace } = change;
    if (!replace) return { add, remove };
    const wanted = new Set([...replace, ...add]);
    for (const member of remove) wanted.delete(member);
    const present = new Set(await groups.members(tenant, id));
    return {
      add: [...wanted].filter((member) => !present.has(member)),
      remove: [...present].filter((member) => !wanted.has(member)),
    };
  }

  async function read(req: Request): Promise<GroupResource> {
    const group = await groups.get(tenantOf(req), idOf(req));
    if (!group) throw notFound();
    return group;
  }

  function sourceOf(tenant: string): Source<GroupResource> {
    return {
      name: `groups ${tenant}`,
      attribute: groupAttributes,
      count: () => groups.count(tenant),
      page: (offset, limit) => groups.page(tenant, offset, limit),
      candidates: (filter) => candidates(tenant, filter),
      async filterable(resources, filter) {
        const asked = comparisonsWith('members', filter).flatMap((one) =>
          'compValue' in one ? String(one.compValue) : [],
        );
        const present = await groups.presentIn(
          tenant,
          resources.map(({ id }) => id),
          asked,
        );
        return resources.map((group, index) => ({
          ...group,
          schemas: [GROUP_SCHEMA],
          members: (present[index] ?? []).map((value) => ({ value })),
        }));
      },
    };
  }

  async function candidates(tenant: string, filter: Filter): Promise<GroupResource[] | undefined> {
    for (const { op, attrPath } of comparisonsWith('members', filter) as { op: string; attrPath: string }[]) {
      if (op !== 'eq' || !['members', 'members.value'].includes(attrPath)) {
        throw new ScimError(
          400,
          'invalidFilter',
          'Groups can be filtered by members.value eq "…", not by more of them.',
        );
      }
    }
    const found = groupLookupsFor(filter)?.map(async ({ kind, value }) => {
      if (kind === 'member') return groups.ofUser(tenant, value);
      const group = await (kind === 'id' ? groups.get(tenant, value) : groups.named(tenant, value));
      return group ? [group] : [];
    });
    if (!found) return undefined;
    return [...new Map((await Promise.all(found)).flat().map((group) => [group.id, group])).values()];
  }

  async function viewOne(req: Request, group: GroupResource): Promise<object> {
    const [only] = await view(req, [group]);
    return only as object;
  }

  /**
   * Every group, and the members of as many as an answer holds. The others go without: that is no list of none, and
   * whoever reads one of them gets its members. A page with fewer groups, which RFC 7644 §3.4.2.4 has, loses them for
   * Okta, whose next page begins after as many as it has asked for.
   */
  async function view(req: Request, resources: GroupResource[]): Promise<object[]> {
    const tenant = tenantOf(req);
    const base = baseOf(req);
    if (!shows(req.query, 'members')) return resources.map((group) => toView(group, undefined, base));
    const counts = await Promise.all(resources.map(({ id }) => groups.memberCount(tenant, id)));
    let room = MAX_LISTED_MEMBERS;
    const members = resources.map(({ id }, index) => {
      const count = counts[index] ?? 0;
      if (index > 0 && room < count) return undefined;
      room = Math.max(0, room - count);
      return groups.members(tenant, id);
    });
    const known = await Promise.all(members);
    return resources.map((group, index) => toView(group, known[index], base));
  }

  return router;
}

function toView(
  { id, displayName, externalId, meta }: GroupResource,
  members: string[] | undefined,
  base: string,
): object {
  return {
    schemas: [GROUP_SCHEMA],
    id,
    displayName,
    ...(externalId !== undefined && { externalId }),
    ...(members && { members: members.map((value) => ({ value, $ref: `${base}/Users/${value}`, type: 'User' })) }),
    meta: { ...meta, location: `${base}/Groups/${id}` },
  };
}
