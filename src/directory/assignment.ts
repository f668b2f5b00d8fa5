/** Which apps a user is assigned to and why, and the account that the user has in each. */
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

/** The condition that makes an app one of a user's: the first that holds. */
export type Assignment =
  | { by: 'everyone' }
  | { by: 'group'; group: string }
  | { by: 'users' }
  | { by: 'attribute'; name: (typeof assignableAttributes)[number]; value: string };

/** What a revocation of now would do about an app: the account that it reaches there, or why it reaches none. */
export type Reach<A extends AssignedApp = AssignedApp> = { app: A } & (
  | { assignment: Assignment; account: string }
  | { assignment: Assignment; unreached: 'no_account' }
  | { unreached: 'not_assigned' }
);

/** Undefined where no condition holds. */
export function assignmentOf({ resource, groups }: User, assignedTo: AssignedTo): Assignment | undefined {
  if (assignedTo === 'everyone') return { by: 'everyone' };
  const { attribute, users = [] } = assignedTo;
  const group = (assignedTo.groups ?? []).find((name) =>
    groups.some((one) => canonicalName(one) === canonicalName(name)),
  );
  if (group !== undefined) return { by: 'group', group };
  const isNamed = users.some(
    (name) => name === resource.externalId || canonical('userName', name) === canonical('userName', resource.userName),
  );
  if (isNamed) return { by: 'users' };
  const value = attributeOf(resource, attribute?.name) ?? '';
  return attribute?.values.includes(value) ? { by: 'attribute', name: attribute.name, value } : undefined;
}

export function isAssigned(user: User, assignedTo: AssignedTo): boolean {
  return assignmentOf(user, assignedTo) !== undefined;
}

/** One for each app, in their order. */
export function reachOf<A extends AssignedApp>(user: User, apps: readonly A[]): Reach<A>[] {
  return apps.map((app) => {
    const assignment = assignmentOf(user, app.assignedTo);
    if (!assignment) return { app, unreached: 'not_assigned' };
    const account = identifierOf(user.resource, app.account);
    return account === undefined ? { app, assignment, unreached: 'no_account' } : { app, assignment, account };
  });
}

/** The accounts that a revocation of this user reaches, in the order of the apps. */
export function accountsOf(user: User, apps: readonly AssignedApp[]): { app: string; account: string }[] {
  return reachOf(user, apps).flatMap((one) => ('account' in one ? [{ app: one.app.id, account: one.account }] : []));
}

function attributeOf(resource: UserResource, name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  const value = (resource[ENTERPRISE] as Record<string, unknown> | undefined)?.[name] ?? resource[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
