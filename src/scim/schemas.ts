/** Users and groups as clients send them (RFC 7643), read into what the directory keeps. */
import type { GroupAttributes } from '../directory/groups.js';
import type { UserAttributes } from '../directory/user.js';
import { GROUP_SCHEMA, groupAttributes, isObject, readValue, USER_SCHEMA, userAttributes } from './attributes.js';
import { ScimError } from './scim-error.js';

export { isObject } from './attributes.js';

const MAX_LENGTH = 1_024;
const MAX_USER_BYTES = 32 * 1_024;

/** The attributes of a user that a client may set. Throws a ScimError that names the first wrong one. */
export function readUser(body: unknown): UserAttributes {
  const given = readObject(body, [USER_SCHEMA]);
  return checkUser((readValue(userAttributes, given) ?? {}) as UserAttributes);
}

/** What both a new and a patched user have to be. */
export function checkUser({ externalId, ...user }: UserAttributes): UserAttributes {
  const { userName, emails = [], phoneNumbers = [] } = user;
  if (typeof userName !== 'string' || userName.trim() === '') {
    throw new ScimError(400, 'invalidValue', 'userName is missing or empty.');
  }
  for (const [name, value] of [
    ['userName', userName],
    ['externalId', externalId ?? ''],
    ...emails.map(({ value }) => ['emails', value] as const),
    ...phoneNumbers.map(({ value }) => ['phoneNumbers', value] as const),
  ] as const) {
    checkLength(name, value);
  }
  for (const [name, values] of Object.entries(user)) {
    // RFC 7643 §2.4: the primary value true may appear no more than once.
    if (Array.isArray(values) && values.filter((one) => isObject(one) && one.primary === true).length > 1) {
      throw new ScimError(400, 'invalidValue', `${name} has more than one primary value.`);
    }
  }
  const checked = { active: true, ...user, ...(externalId !== undefined && externalId !== '' && { externalId }) };
  if (Buffer.byteLength(JSON.stringify(checked)) > MAX_USER_BYTES) {
    throw new ScimError(400, 'invalidValue', `The user is larger than ${MAX_USER_BYTES / 1_024} kB.`);
  }
  return checked;
}

/** `members` are undefined where the client says nothing of them. */
export type GroupBody = { attributes: GroupAttributes; members: string[] | undefined };

/** A group as a client sends it; `members` once each. Throws a ScimError. */
export function readGroup(body: unknown): GroupBody {
  const given = Object.entries(readObject(body, [GROUP_SCHEMA]));
  const isMembers = (name: string) => name.toLowerCase() === 'members';
  const members = given.find(([name]) => isMembers(name));
  const own = Object.fromEntries(given.filter(([name]) => !isMembers(name)));
  return {
    attributes: checkGroup((readValue(groupAttributes, own) ?? {}) as GroupAttributes),
    members: members && readMembers(members[1]),
  };
}

export function checkGroup({ displayName, externalId }: GroupAttributes): GroupAttributes {
  if (typeof displayName !== 'string' || displayName.trim() === '') {
    throw new ScimError(400, 'invalidValue', 'displayName is missing or empty.');
  }
  checkLength('displayName', displayName);
  checkLength('externalId', externalId ?? '');
  return { displayName, ...(externalId !== undefined && externalId !== '' && { externalId }) };
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
  if (!named) throw new ScimError(400, 'invalidSyntax', `schemas needs to name ${schemas.join(', ')}.`);
  return body;
}

function checkLength(name: string, value: string): void {
  if (value.length > MAX_LENGTH) {
    throw new ScimError(400, 'invalidValue', `${name} is longer than ${MAX_LENGTH} characters.`);
  }
}
