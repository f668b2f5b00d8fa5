/** PATCH (RFC 7644 §3.5.2): of a user by scimmy on the whole resource, of a group without touching its other members. */
import SCIMMY from 'scimmy';
import type { GroupAttributes, GroupResource, MemberChange } from '../directory/groups.js';
import type { UserAttributes, UserResource } from '../directory/user.js';
import {
  checkGroup,
  checkUser,
  coerced,
  isObject,
  readMembers,
  readObject,
  toSchemaUser,
  USER_SCHEMA,
  withBooleans,
} from './schemas.js';
import { ScimError } from './scim-error.js';

const PATCH_SCHEMA = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';
const MAX_OPERATIONS = 1_000;

type Operation = { op: 'add' | 'remove' | 'replace'; path: string | undefined; value: unknown };

/** The user's attributes after the patch. Throws a ScimError; then nothing has changed. */
export async function patchUser(before: UserResource, body: unknown): Promise<UserAttributes> {
  const operations = readOperations(body).map((operation) => withoutReadOnly(operation, before.id));
  const message = { schemas: [PATCH_SCHEMA], Operations: operations.map(toMessage) };
  let after: unknown;
  try {
    after = await new SCIMMY.Messages.PatchOp(message as never).apply(toSchemaUser(before) as never);
  } catch (error) {
    throw toScimError(error);
  }
  // scimmy answers nothing where nothing has changed.
  const source = after === undefined ? before : coerced(() => after);
  const { id: _id, meta: _meta, schemas: _schemas, deletedAt: _deletedAt, ...attributes } = source as UserResource;
  return checkUser(attributes as UserAttributes);
}

export type GroupPatch = { attributes: GroupAttributes; members: MemberChange & { replace?: string[] } };

/** What the patch makes of a group's own attributes, and which members come and go. Throws a ScimError. */
export function patchGroup(before: GroupResource, body: unknown): GroupPatch {
  let attributes: GroupAttributes = {
    displayName: before.displayName,
    ...(before.externalId !== undefined && { externalId: before.externalId }),
  };
  let replaced: string[] | undefined;
  const add = new Set<string>();
  const remove = new Set<string>();

  function changeMembers(op: Operation['op'], ids: string[]): void {
    if (op === 'replace') {
      replaced = ids;
      add.clear();
      remove.clear();
      return;
    }
    const [into, outOf] = op === 'add' ? [add, remove] : [remove, add];
    for (const id of ids) {
      into.add(id);
      outOf.delete(id);
    }
  }

  function setAttribute(op: Operation['op'], name: string, value: unknown): void {
    if (name === 'members') {
      if (op === 'remove' && value === undefined) changeMembers('replace', []);
      else changeMembers(op, readMembers(value));
      return;
    }
    if (name === 'id' || name === 'schemas' || name === 'meta') {
      if (name === 'id' && value !== before.id) throw new ScimError(400, 'mutability', 'id cannot be changed.');
      return;
    }
    if (name !== 'displayname' && name !== 'externalid')
      throw new ScimError(400, 'invalidPath', `A group has no ${name}.`);
    if (op !== 'remove' && typeof value !== 'string')
      throw new ScimError(400, 'invalidValue', `${name} needs to be a string.`);
    if (name === 'displayname') {
      attributes = { ...attributes, displayName: op === 'remove' ? '' : (value as string) };
    } else {
      const { externalId: _externalId, ...rest } = attributes;
      attributes = op === 'remove' ? rest : { ...rest, externalId: value as string };
    }
  }

  for (const { op, path, value } of readOperations(body)) {
    if (path === undefined) {
      if (!isObject(value)) throw new ScimError(400, 'invalidValue', 'Without a path the value needs to be an object.');
      for (const [name, item] of Object.entries(value)) setAttribute(op, attributeName(name), item);
      continue;
    }
    const [, member] = /^members\[\s*value\s+eq\s+"([\w-]{1,64})"\s*\]$/i.exec(stripUrn(path)) ?? [];
    if (member !== undefined) {
      if (op !== 'remove') throw new ScimError(400, 'invalidPath', 'A single member can only be removed by its value.');
      changeMembers('remove', [member]);
    } else {
      setAttribute(op, attributeName(path), value);
    }
  }
  return {
    attributes: checkGroup(attributes),
    members: { add: [...add], remove: [...remove], ...(replaced && { replace: replaced }) },
  };
}

function readOperations(body: unknown): Operation[] {
  const { Operations, operations = Operations } = readObject(body, [PATCH_SCHEMA]);
  if (!Array.isArray(operations) || operations.length === 0) {
    throw new ScimError(400, 'invalidSyntax', 'Operations needs to be an array with at least one operation.');
  }
  if (operations.length > MAX_OPERATIONS)
    throw new ScimError(400, 'tooMany', `Operations has more than ${MAX_OPERATIONS} entries.`);
  return operations.map((operation, index) => {
    const where = `Operations[${index}]`;
    if (!isObject(operation)) throw new ScimError(400, 'invalidSyntax', `${where} is not an object.`);
    const op = typeof operation.op === 'string' ? operation.op.toLowerCase() : undefined;
    if (op !== 'add' && op !== 'remove' && op !== 'replace') {
      throw new ScimError(400, 'invalidSyntax', `${where}.op needs to be add, remove or replace.`);
    }
    const { path } = operation;
    if (path !== undefined && (typeof path !== 'string' || path.trim() === '')) {
      throw new ScimError(400, 'invalidPath', `${where}.path needs to be a string.`);
    }
    if (op === 'remove' && path === undefined) throw new ScimError(400, 'noTarget', `${where} needs a path.`);
    if (op !== 'remove' && operation.value === undefined)
      throw new ScimError(400, 'invalidValue', `${where} needs a value.`);
    return { op, path, value: withBooleans(operation.value, path?.split(/[.:]/).at(-1)) };
  });
}

/** Okta sends the whole resource back, its `id`, `meta`, `schemas` and `groups` among it. */
function withoutReadOnly({ op, path, value }: Operation, id: string): Operation {
  if (path !== undefined || !isObject(value)) return { op, path, value };
  if (value.id !== undefined && value.id !== id) throw new ScimError(400, 'mutability', 'id cannot be changed.');
  const { id: _id, meta: _meta, schemas: _schemas, groups: _groups, password: _password, ...rest } = value;
  return { op, path, value: rest };
}

function toMessage({ op, path, value }: Operation): object {
  return { op, ...(path !== undefined && { path: stripUrn(path) }), ...(value !== undefined && { value }) };
}

function stripUrn(path: string): string {
  return path.toLowerCase().startsWith(`${USER_SCHEMA.toLowerCase()}:`)
    ? path.slice(USER_SCHEMA.length + 1)
    : path.trim();
}

function attributeName(path: string): string {
  return path.toLowerCase().replace(/^urn:ietf:params:scim:schemas:core:2\.0:group:/, '');
}

function toScimError(error: unknown): unknown {
  if (error instanceof SCIMMY.Types.Error) {
    return new ScimError(error.status, error.scimType as ScimError['scimType'], error.message, error);
  }
  if (error instanceof TypeError) return new ScimError(400, 'invalidValue', error.message, error);
  return error;
}
