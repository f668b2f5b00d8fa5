/** Each tenant's directory: whether anybody is in it, and whether trusts and apps find people by what they name them. */
import type { Directory } from '../../directory/directory.js';
import { type IdentifierKind, identifierOf, type User } from '../../directory/user.js';
import type { TenantSettings, TrustSettings } from '../../settings.js';
import { counted, day, type Finding, ok, problem, warning } from './finding.js';

/** So many of the oldest and of the newest. */
const SAMPLE = 100;

/** Some of the users, with their groups; all, where they are few. */
export type People = { users: number; sample: User[] };

export async function readPeople({ users }: Directory, tenant: string): Promise<People> {
  const count = await users.count(tenant);
  const pages = [await users.page(tenant, 0, SAMPLE)];
  pages.push(await users.page(tenant, Math.max(SAMPLE, count - SAMPLE), SAMPLE));
  const lookups = pages.flat().map(({ id }) => ({ kind: 'id' as const, value: id }));
  const sample = lookups.length > 0 ? (await users.find(tenant, lookups)).flat() : [];
  return { users: count, sample };
}

export async function checkDirectory({ id, scim, trusts }: TenantSettings, directory: Directory, people: People) {
  const check = `directory ${id}`;
  if (people.users === 0) {
    const what = scim ? 'nobody is in it yet' : 'nobody is in it, and without scim.tokens nobody is provisioned';
    return [warning(check, `${what}: every revocation is answered 404`, 'see "The people" in docs/okta.md')];
  }
  const newest = Math.max(...people.sample.map(({ resource }) => Date.parse(resource.meta.lastModified)));
  const groups = await directory.groups.count(id);
  const changed = `${counted(people.users, 'user')} and ${counted(groups, 'group')}; newest change seen ${day(newest)}`;
  return [
    ok(check, changed),
    ...trusts.filter(({ enabled }) => enabled).map((trust) => checkIdentifiers(id, trust, people)),
  ];
}

/** Whether what Okta says as Issuer and Subject can be anybody. */
function checkIdentifiers(tenant: string, { id, identifiers }: TrustSettings, { users, sample }: People): Finding {
  const check = `identifiers ${tenant}/${id}`;
  const todo = 'provision the Okta user id as externalId, or name another identifier; see `users show NAME --explain`';
  const lacking = identifiers.filter((kind) => having(sample, kind) === 0);
  const looked = `of ${counted(sample.length, 'user')} looked at`;
  if (lacking.length === identifiers.length) {
    const what = `none ${looked} has ${lacking.join(' or ')}`;
    if (sample.length < users) return warning(check, `${what}: requests by Issuer and Subject are 404 for them`, todo);
    return problem(check, `${what}: every request by Issuer and Subject is 404`, todo);
  }
  if (lacking[0] === identifiers[0]) {
    return warning(check, `none ${looked} has ${lacking[0]}, by which the trust looks first`, todo);
  }
  return ok(check, `${identifiers.map((kind) => `${having(sample, kind)} with ${kind}`).join(', ')} ${looked}`);
}

function having(sample: readonly User[], kind: IdentifierKind): number {
  return sample.filter(({ resource }) => identifierOf(resource, kind) !== undefined).length;
}
