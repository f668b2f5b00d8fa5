/** Which one user a subject identifier (RFC 9493) names in a tenant's directory. */
import { canonical, emailsOf, type IdentifierKind, type User } from './user.js';
import type { Lookup, Users } from './users.js';

/** RFC 9493 §3.2, without `aliases`. */
export type SimpleSubjectIdentifier =
  | { format: 'account'; uri: string }
  | { format: 'email'; email: string }
  | { format: 'iss_sub'; iss: string; sub: string }
  | { format: 'opaque'; id: string }
  | { format: 'phone_number'; phone_number: string }
  | { format: 'did'; url: string }
  | { format: 'uri'; uri: string };

export type SubjectIdentifier = SimpleSubjectIdentifier | { format: 'aliases'; identifiers: SimpleSubjectIdentifier[] };

/** What a trust says about the subjects that it may name. */
export type SubjectPolicy = {
  subjectIssuers: readonly string[];
  identifiers: readonly IdentifierKind[];
  /** Whether `Ada@` and `ada@` are one mailbox; the domain never depends on case. */
  emailLocalPart: 'any-case' | 'exact';
};

export type Resolution = { user: User } | { refused: 'unknown_user' | 'unknown_subject_issuer' | 'ambiguous_subject' };

/** One round trip, also for a subject issuer that is not ours to resolve: its 404 takes as long as any other. */
export async function resolve(
  users: Pick<Users, 'find'>,
  tenant: string,
  policy: SubjectPolicy,
  subjectIdentifier: SubjectIdentifier,
): Promise<Resolution> {
  const identifiers = subjectIdentifier.format === 'aliases' ? subjectIdentifier.identifiers : [subjectIdentifier];
  const lookups = identifiers.map((identifier) => lookupsFor(identifier, policy));
  const found = await users.find(tenant, lookups.flat());

  const named = new Map<string, User>();
  let foreign = false;
  let position = 0;
  identifiers.forEach((identifier, index) => {
    const count = lookups[index]?.length ?? 0;
    const first = found.slice(position, position + count).find((match) => match.length > 0) ?? [];
    position += count;
    if (identifier.format === 'iss_sub' && !policy.subjectIssuers.includes(identifier.iss)) {
      foreign = true;
      return;
    }
    for (const user of first) {
      if (identifier.format !== 'email' || hasAddress(user, identifier.email, policy))
        named.set(user.resource.id, user);
    }
  });

  const [user, another] = named.values();
  if (another) return { refused: 'ambiguous_subject' };
  if (user) return { user };
  return { refused: foreign ? 'unknown_subject_issuer' : 'unknown_user' };
}

/** The index holds addresses without regard to case; where case matters, the user's own spelling decides. */
function hasAddress({ resource }: User, address: string, { emailLocalPart }: SubjectPolicy): boolean {
  if (emailLocalPart === 'any-case') return true;
  const localPart = (email: string) => email.slice(0, email.lastIndexOf('@')).normalize('NFC');
  return emailsOf(resource).some(
    (email) => canonical('email', email) === canonical('email', address) && localPart(email) === localPart(address),
  );
}

/** Where to look for one identifier, the most telling place first. */
function lookupsFor(subjectIdentifier: SimpleSubjectIdentifier, policy: SubjectPolicy): Lookup[] {
  const named = (value: string): Lookup[] => policy.identifiers.map((kind) => ({ kind, value }));
  switch (subjectIdentifier.format) {
    case 'email':
      return [{ kind: 'email', value: subjectIdentifier.email }];
    case 'iss_sub':
      return named(subjectIdentifier.sub);
    case 'opaque':
      return named(subjectIdentifier.id);
    case 'phone_number':
      return [{ kind: 'phone', value: subjectIdentifier.phone_number }];
    case 'account': {
      const account = subjectIdentifier.uri.slice('acct:'.length);
      return [
        { kind: 'userName', value: account },
        { kind: 'email', value: account },
      ];
    }
    case 'uri':
      return named(subjectIdentifier.uri);
    case 'did':
      return named(subjectIdentifier.url);
  }
}
