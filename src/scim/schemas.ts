/** The schemas of users and groups (RFC 7643), and the reading of what a client sends in their form. */
import SCIMMY from 'scimmy';
import type { GroupAttributes } from '../directory/groups.js';
import type { UserAttributes, UserResource } from '../directory/user.js';
import { ScimError } from './scim-error.js';

export const USER_SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:User';
export const GROUP_SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:Group';
export const ENTERPRISE_SCHEMA = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

const MAX_LENGTH = 1_024;
const MAX_VALUES = 100;

// Process-wide in scimmy, and the same for every tenant.
SCIMMY.Schemas.User.extend(SCIMMY.Schemas.EnterpriseUser as never);

export const userSchema = SCIMMY.Schemas.User;

/** The attributes of a user that a client may set. Throws a ScimError that names the first wrong one. */
export function readUser(body: unknown): UserAttributes {
  const given = readObject(body, [USER_SCHEMA]);
  const attributes = coerced(() => new SCIMMY.Schemas.User(withBooleans(given) as never, 'in'));
  const { meta: _meta, id: _id, groups: _groups, password: _password, schemas: _schemas, ...rest } = attributes;
  return checkUser(rest as UserAttributes);
}

/** What both a new and a patched user have to be. */
export function checkUser(user: UserAttributes): UserAttributes {
  const { userName, externalId, emails = [], phoneNumbers = [] } = user;
  if (userName.trim() === '') throw new ScimError(400, 'invalidValue', 'userName is empty.');
  checkLength('userName', userName);
  if (externalId !== undefined) checkLength('externalId', externalId);
  for (const [name, values] of Object.entries({ emails, phoneNumbers })) {
    if (values.length > MAX_VALUES)
      throw new ScimError(400, 'invalidValue', `${name} has more than ${MAX_VALUES} values.`);
    for (const { value } of values) {
      if (typeof value !== 'string' || value.trim() === '')
        throw new ScimError(400, 'invalidValue', `${name} has an entry without a value.`);
      checkLength(name, value);
    }
    // RFC 7643 §2.4: the primary value true may appear no more than once.
    if (values.filter(({ primary }) => primary === true).length > 1) {
      throw new ScimError(400, 'invalidValue', `${name} has more than one primary value.`);
    }
  }
  return { active: true, ...user };
}

export type GroupBody = { attributes: GroupAttributes; members: string[] };

/** A group as a client sends it; `members` once each. Throws a ScimError. */
export function readGroup(body: unknown): GroupBody {
  const { members, ...given } = readObject(body, [GROUP_SCHEMA]);
  const { displayName, externalId } = coerced(() => new SCIMMY.Schemas.Group(given as never, 'in')) as GroupAttributes;
  return {
    attributes: checkGroup({ displayName, ...(externalId !== undefined && { externalId }) }),
    members: readMembers(members),
  };
}

export function checkGroup(attributes: GroupAttributes): GroupAttributes {
  const { displayName } = attributes;
  if (typeof displayName !== 'string' || displayName.trim() === '') {
    throw new ScimError(400, 'invalidValue', 'displayName is missing or empty.');
  }
  checkLength('displayName', displayName);
  return attributes;
}

/** Ids of members, from `[{ value }]` or, as some clients send, one such object. */
export function readMembers(members: unknown): string[] {
  if (members === undefined || members === null) return [];
  const list = Array.isArray(members) ? members : [members];
  const ids = list.map((member) => {
    const value = isObject(member) ? member.value : undefined;
    if (typeof value !== 'string' || !/^[\w-]{1,64}$/.test(value)) {
      throw new ScimError(400, 'invalidValue', 'members: each needs the id of a user as its value.');
    }
    return value;
  });
  return [...new Set(ids)];
}

/** A JSON object whose `schemas`, where given, name a schema that we serve. */
export function readObject(body: unknown, schemas: readonly string[]): Record<string, unknown> {
  if (!isObject(body)) throw new ScimError(400, 'invalidSyntax', 'The body is not a JSON object.');
  const given = body.schemas;
  const named = given === undefined || (Array.isArray(given) && schemas.some((schema) => given.includes(schema)));
  if (!named) throw new ScimError(400, 'invalidValue', `schemas needs to name ${schemas.join(', ')}.`);
  return body;
}

/** Some clients send booleans as strings. */
export function withBooleans(value: unknown, name?: string): unknown {
  if ((name === 'active' || name === 'primary') && typeof value === 'string') {
    if (/^true$/i.test(value)) return true;
    if (/^false$/i.test(value)) return false;
  }
  if (Array.isArray(value)) return value.map((item) => withBooleans(item));
  if (isObject(value))
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withBooleans(item, key)]));
  return value;
}

/** A plain object out of scimmy's; its complaints are about what the client sent. */
export function coerced(read: () => unknown): Record<string, unknown> {
  try {
    return JSON.parse(JSON.stringify(read())) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof TypeError) throw new ScimError(400, 'invalidValue', `${error.message}.`, error);
    throw error;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function checkLength(name: string, value: string): void {
  if (value.length > MAX_LENGTH)
    throw new ScimError(400, 'invalidValue', `${name} is longer than ${MAX_LENGTH} characters.`);
}

/** A user as scimmy's schema sees it, for its PATCH. */
export function toSchemaUser(user: UserResource): InstanceType<typeof SCIMMY.Schemas.User> {
  const { deletedAt: _deletedAt, ...resource } = user;
  return new SCIMMY.Schemas.User(resource as never, 'both');
}
