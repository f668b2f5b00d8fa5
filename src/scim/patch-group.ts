/** What a PATCH makes of a group (RFC 7644 §3.5.2), without a look at the members that it does not name. */
import type { GroupAttributes, GroupResource, MemberChange } from '../directory/groups.js';
import { groupAttributes } from './attributes.js';
import type { Filter } from './filter.js';
import { type Operation, readOperations } from './patch.js';
import { parsePath } from './path.js';
import { checkGroup, readMembers } from './schemas.js';
import { ScimError } from './scim-error.js';

/** A push may have one for each member. */
const MAX_OPERATIONS = 1_000;

/** With `replace` these are the members before any is added or removed. */
export type GroupChange = { attributes: GroupAttributes; members: MemberChange & { replace?: string[] } };

type Change = { op: Operation['op']; value: unknown };

/** Throws a ScimError. */
export function patchGroup(before: GroupResource, body: unknown): GroupChange {
  const { displayName, externalId } = before;
  const attributes: { displayName?: unknown; externalId?: unknown } = { displayName, externalId };
  const members = createMemberChange();

  function change(name: string, { op, value }: Change): void {
    if (name === 'members') {
      if (op === 'remove' && (value === undefined || value === null)) members.apply('replace', []);
      else members.apply(op, readMembers(value));
    } else if (name === 'displayName' || name === 'externalId') {
      if (op !== 'remove' && value !== null && typeof value !== 'string') {
        throw new ScimError(400, 'invalidValue', `${name} needs to be a string.`);
      }
      if (name === 'displayName' && (op === 'remove' || value === null)) {
        throw new ScimError(400, 'mutability', `${name} is required and cannot be removed.`);
      }
      attributes[name] = op === 'remove' ? undefined : (value ?? undefined);
    }
  }

  for (const operation of readOperations(body, MAX_OPERATIONS)) {
    if (operation.path === undefined) {
      for (const [name, value] of Object.entries(operation.value)) {
        if (name === 'id' && value !== before.id) throw new ScimError(400, 'mutability', 'id cannot be changed.');
        // Okta and others send more of the resource than can be set.
        const known = groupAttributes.sub.get(name.toLowerCase());
        if (known) change(known.name, { op: operation.op, value });
      }
      continue;
    }
    const { attribute, filter, sub } = parsePath(operation.path, groupAttributes);
    if (attribute.readOnly) throw new ScimError(400, 'mutability', `${operation.path} cannot be changed.`);
    // RFC 7643 §4.2: what a member is cannot be changed, only who is one.
    if (sub) throw new ScimError(400, 'mutability', 'The parts of a member cannot be changed.');
    if (filter === undefined) change(attribute.name, operation);
    else if (operation.op === 'remove') members.apply('remove', namedIn(filter));
    else throw new ScimError(400, 'invalidPath', 'Members that a filter selects can only be removed.');
  }
  return { attributes: checkGroup(attributes as GroupAttributes), members: members.result() };
}

/** Collects what several operations do to the members, one after the other. */
function createMemberChange() {
  let replace: string[] | undefined;
  const add = new Set<string>();
  const remove = new Set<string>();
  return {
    apply(op: Operation['op'], ids: string[]): void {
      if (op === 'replace') {
        replace = ids;
        add.clear();
        remove.clear();
        return;
      }
      const [into, outOf] = op === 'add' ? [add, remove] : [remove, add];
      for (const id of ids) {
        into.add(id);
        outOf.delete(id);
      }
    },
    result: () => ({ add: [...add], remove: [...remove], ...(replace && { replace }) }),
  };
}

/** The members in `value eq "…"`, one or several joined by `or`. Throws a ScimError: nothing else is known of a member. */
function namedIn(filter: Filter): string[] {
  if (filter.op === 'or') return filter.filters.flatMap(namedIn);
  if (filter.op === 'eq' && filter.attrPath.toLowerCase() === 'value' && typeof filter.compValue === 'string') {
    return [filter.compValue];
  }
  throw new ScimError(400, 'invalidFilter', 'Members can only be selected by value eq "…".');
}
