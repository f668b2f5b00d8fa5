/** `universal-logout users show`: who somebody is in the directory, and what a revocation would do. */
import { type Reach, reachOf } from '../../directory/assignment.js';
import { emailsOf, identifierKinds, type User } from '../../directory/user.js';
import { CommandError } from '../command-error.js';
import { explainApps, explainTrusts } from './explain.js';
import { type Opened, withDirectory } from './with-directory.js';

const MAX_SHOWN = 20;

export type ShowOptions = { tenant: string; explain?: boolean };

export async function showUser(name: string, { tenant: tenantId, explain = false }: ShowOptions): Promise<void> {
  await withDirectory(tenantId, async (opened) => {
    const lookups = [...identifierKinds, 'phone' as const].map((kind) => ({ kind, value: name }));
    const found = (await opened.directory.users.find(tenantId, lookups, MAX_SHOWN)).flat();
    const users = [...new Map(found.map((user) => [user.resource.id, user])).values()];
    if (users.length === 0) throw new CommandError(`No user of tenant ${tenantId} is known by that name.`);
    const texts = await Promise.all(users.map((user) => describe(user, opened, explain)));
    console.log(texts.join('\n\n'));
  });
}

async function describe(user: User, { directory, tenant }: Opened, explain: boolean): Promise<string> {
  const { resource } = user;
  const groups = (await directory.groups.ofUser(tenant.id, resource.id)).map(({ displayName }) => displayName);
  const left = user.groups.filter((name) => !groups.includes(name));
  const lines = [
    `id          ${resource.id}`,
    `state       ${stateOf(user)}`,
    `userName    ${resource.userName}`,
    `externalId  ${resource.externalId ?? '-'}`,
    `e-mail      ${listed(emailsOf(resource))}`,
    `phone       ${listed((resource.phoneNumbers ?? []).map(({ value }) => value))}`,
    `groups      ${listed(groups)}`,
    ...(left.length > 0 ? [`formerly    ${listed(left)} (counts until assignmentGrace is over)`] : []),
    'accounts that a revocation reaches now:',
    ...(explain
      ? explainApps(user, tenant.apps)
      : reachOf(user, tenant.apps).map((reach) => `  ${reach.app.id}: ${accountIn(reach)}`)),
    ...(tenant.apps.length === 0 ? ['  none, since the tenant has no apps'] : []),
    ...(explain ? await explainTrusts(user, tenant, directory.users) : []),
  ];
  return lines.join('\n');
}

function stateOf({ resource }: User): string {
  if (resource.deletedAt !== undefined) return `deleted at ${resource.deletedAt}; can still be logged out`;
  return resource.active === false ? 'deactivated; can still be logged out' : 'active';
}

function accountIn(reach: Reach): string {
  if ('account' in reach) return reach.account;
  return 'assignment' in reach ? `no account, since the user has no ${reach.app.account}` : 'not assigned';
}

function listed(values: readonly string[]): string {
  return values.join(', ') || '-';
}
