/** Which apps a user is assigned to, and the account that the user has in each. */
import { canonicalName } from './groups.js';
import { canonical, type IdentifierKind, identifierOf, type User, type UserResource } from './user.js';

/** Attributes that can decide: of the core schema, and of the enterprise extension (RFC 7643 §4.1, §4.3). */
export const assignableAttributes = [
  'userType',
  'title',
  'department',
  'division',
  'organization',
  'costCenter',
  'employeeNumber',
] as const;

const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

/** Whom an app is for: everyone, or whoever meets any of the conditions. */
export type AssignedTo =
  | 'everyone'
  | {
      groups?: string[] | undefined;
      /** userNames or externalIds. */
      users?: string[] | undefined;
      attribute?: { name: (typeof assignableAttributes)[number]; values: string[] } | undefined;
    };

export type AssignedApp = { id: string; assignedTo: AssignedTo; account: IdentifierKind };

export function isAssigned({ resource, groups }: User, assignedTo: AssignedTo): boolean {
  if (assignedTo === 'everyone') return true;
  const { attribute, users = [] } = assignedTo;
  return (
    (assignedTo.groups ?? []).some((name) => groups.some((group) => canonicalName(group) === canonicalName(name))) ||
    users.some(
      (name) =>
        name === resource.externalId || canonical('userName', name) === canonical('userName', resource.userName),
    ) ||
    (attribute?.values ?? []).includes(attributeOf(resource, attribute?.name) ?? '')
  );
}

/** The accounts that a revocation of this user reaches, in the order of the apps. */
export function accountsOf(user: User, apps: readonly AssignedApp[]): { app: string; account: string }[] {
  return apps.flatMap(({ id, assignedTo, account }) => {
    const identifier = isAssigned(user, assignedTo) ? identifierOf(user.resource, account) : undefined;
    return identifier === undefined ? [] : [{ app: id, account: identifier }];
  });
}

function attributeOf(resource: UserResource, name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  const value = (resource[ENTERPRISE] as Record<string, unknown> | undefined)?.[name] ?? resource[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
