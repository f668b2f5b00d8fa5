/** One SCIM User resource, into the directory, with the groups that it names. */
import type { OnDeactivate } from '../../directory/announcement.js';
import type { Directory } from '../../directory/directory.js';
import { UnknownMember } from '../../directory/groups.js';
import { Changed, NotUnique } from '../../directory/users.js';
import { isObject, readUser } from '../../scim/schemas.js';
import { ScimError } from '../../scim/scim-error.js';

/**
 * The groups (`display`, else `value`) are made where they are missing; without any named, groups stay as they are, and so
 * does what provisioning may know better: the externalId, which null takes away, and whether the person is active.
 */
export async function putResource(
  directory: Directory,
  tenant: string,
  resource: unknown,
  onDeactivate: OnDeactivate = async () => {},
) {
  const given = isObject(resource) ? resource : {};
  const names = (Array.isArray(given.groups) ? given.groups : []).flatMap((group: unknown) => {
    const name = isObject(group) ? (group.display ?? group.value) : undefined;
    return typeof name === 'string' && name.trim() !== '' ? name : [];
  });
  const named = Object.entries(given).map(([name, value]) => [name.toLowerCase(), value] as const);
  const keep = [
    ...(named.some(([name]) => name === 'externalid') ? [] : ['externalId' as const]),
    ...(named.some(([name, value]) => name === 'active' && value !== null) ? [] : ['active' as const]),
  ];
  return directory.put(tenant, readUser(resource), names.length > 0 ? names : undefined, { keep, onDeactivate });
}

/** What is wrong with the resource, or undefined where something else failed. Names attributes, never their values. */
export function problemWith(error: unknown): string | undefined {
  if (error instanceof NotUnique) return `cannot be added: another user of this tenant has this ${error.attribute}`;
  if (error instanceof ScimError) return `is not a SCIM User: ${error.message}`;
  if (error instanceof UnknownMember || error instanceof Changed) return 'was deleted by somebody else meanwhile';
  return undefined;
}
