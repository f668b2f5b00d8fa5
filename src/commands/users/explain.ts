/** Why a revocation would reach which account of a user, and who could ask for it in which words. */
import { type AssignedTo, type Assignment, reachOf } from '../../directory/assignment.js';
import { resolve, type SimpleSubjectIdentifier } from '../../directory/resolve.js';
import { emailsOf, identifierOf, type User } from '../../directory/user.js';
import type { Users } from '../../directory/users.js';
import { subjectPolicyOf } from '../../revocation/trust.js';
import type { AppSettings, TenantSettings, TrustSettings } from '../../settings.js';

/** One line for each app, with the account that a revocation of now reaches there, or the reason why it reaches none. */
export function explainApps(user: User, apps: readonly AppSettings[]): string[] {
  return reachOf(user, apps).map((reach) => {
    const { id, connector, assignedTo, account } = reach.app;
    if (!('assignment' in reach)) return `  ${id}: not reached, since it is for ${describeAssignedTo(assignedTo)}`;
    const through = describeAssignment(reach.assignment);
    return 'account' in reach
      ? `  ${id}: ${reach.account}, by the connector ${connector} (assigned: ${through})`
      : `  ${id}: not reached, since it knows its users by ${account} and this user has none (assigned: ${through})`;
  });
}

/** For each trust, the subject identifiers of this user and what each would lead to. */
export async function explainTrusts(user: User, tenant: TenantSettings, users: Users): Promise<string[]> {
  const trusts = await Promise.all(tenant.trusts.map((trust) => explainTrust(user, tenant, trust, users)));
  const deactivation = tenant.scim?.revokeOnDeactivate
    ? ['provisioning: a deactivation or a deletion logs the user out too, in mode full (scim.revokeOnDeactivate)']
    : [];
  return [...trusts.flat(), ...deactivation];
}

async function explainTrust(user: User, tenant: TenantSettings, trust: TrustSettings, users: Users): Promise<string[]> {
  const head = `trust ${trust.id}, client ${trust.client} of ${trust.issuers.join(' or ')}`;
  if (!trust.enabled) return [`${head}: disabled, so each request is answered 403`];
  const policy = subjectPolicyOf(tenant, trust);
  const outcomes = subjectIdentifiersOf(user, trust, policy.subjectIssuers[0] ?? '').map(async (identifier) => {
    const resolution = await resolve(users, tenant.id, policy, identifier);
    return `  ${wordsOf(identifier)}: ${outcomeOf(resolution, user)}`;
  });
  return [`${head}: mode ${trust.mode}`, ...(await Promise.all(outcomes))];
}

function subjectIdentifiersOf({ resource }: User, trust: TrustSettings, iss: string): SimpleSubjectIdentifier[] {
  const subs = trust.identifiers.flatMap((kind) =>
    kind === 'email' ? emailsOf(resource) : (identifierOf(resource, kind) ?? []),
  );
  return [
    ...emailsOf(resource).map((email) => ({ format: 'email' as const, email })),
    ...[...new Set(subs)].map((sub) => ({ format: 'iss_sub' as const, iss, sub })),
    ...(resource.phoneNumbers ?? []).map(({ value }) => ({ format: 'phone_number' as const, phone_number: value })),
  ];
}

function wordsOf(identifier: SimpleSubjectIdentifier): string {
  const { format, ...members } = identifier;
  return `${format} ${Object.values(members).join(' ')}`;
}

function outcomeOf(resolution: Awaited<ReturnType<typeof resolve>>, { resource }: User): string {
  if ('user' in resolution) {
    const { id } = resolution.user.resource;
    return id === resource.id ? 'logs this user out' : `logs out user ${id}, not this one`;
  }
  return resolution.refused === 'ambiguous_subject'
    ? 'is answered 422, since it names several users'
    : 'is answered 404, since it names nobody';
}

function describeAssignment(assignment: Assignment): string {
  switch (assignment.by) {
    case 'everyone':
      return 'it is for everyone';
    case 'group':
      return `group ${assignment.group}`;
    case 'users':
      return 'named in the settings';
    case 'attribute':
      return `by ${assignment.name}`;
  }
}

function describeAssignedTo(assignedTo: AssignedTo): string {
  if (assignedTo === 'everyone') return 'everyone';
  const { groups, users, attribute } = assignedTo;
  const conditions = [
    groups && `the groups ${groups.join(', ')}`,
    users && 'users named in the settings',
    attribute && `users whose ${attribute.name} is ${attribute.values.join(' or ')}`,
  ];
  return conditions.filter((condition) => condition !== undefined).join(' or ');
}
