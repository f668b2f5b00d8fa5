/** Which one user a subject identifier (RFC 9493) names in a tenant's directory. */
import { isSameAddress, type Meant, matchOf, meant } from './meant.js';
import type { IdentifierKind } from './user.js';
import type { Found, Lookup, Users } from './users.js';

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

export type Resolution = Meant | { refused: 'unknown_subject_issuer' };

/** Of one address, in whatever letters: so many mailboxes can differ by case. */
const SPELLINGS = 100;

/** One round trip, also for a subject issuer that is not ours to resolve: its 404 takes as long as any other. */
export async function resolve(
  users: Pick<Users, 'findWithDeleted'>,
  tenant: string,
  policy: SubjectPolicy,
  subjectIdentifier: SubjectIdentifier,
): Promise<Resolution> {
  const identifiers = subjectIdentifier.format === 'aliases' ? subjectIdentifier.identifiers : [subjectIdentifier];
  const lookups = identifiers.map((identifier) => lookupsFor(identifier, policy));
  const exact = policy.emailLocalPart === 'exact';
  const found = await users.findWithDeleted(tenant, lookups.flat(), exact ? SPELLINGS : undefined);

  const isForeign = (identifier: SimpleSubjectIdentifier) =>
    identifier.format === 'iss_sub' && !policy.subjectIssuers.includes(identifier.iss);
  let position = 0;
  const names = identifiers.map((identifier, index) => {
    const own = lookups[index] ?? [];
    const matches = own.map((lookup, place) =>
      matchOf(lookup, found[position + place] as Found, exact ? isSameMailbox : undefined),
    );
    position += own.length;
    return isForeign(identifier) ? [] : matches;
  });

  const resolution = meant(names);
  const unknown = 'refused' in resolution && resolution.refused === 'unknown_user';
  return unknown && identifiers.some(isForeign) ? { refused: 'unknown_subject_issuer' } : resolution;
}

/** The index holds addresses without regard to case; where case matters, the user's own spelling decides. */
function isSameMailbox(one: string, other: string): boolean {
  const localPart = (email: string) => email.trim().slice(0, email.trim().lastIndexOf('@')).normalize('NFC');
  return isSameAddress(one, other) && localPart(one) === localPart(other);
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
      const account = decodeURIComponent(subjectIdentifier.uri.slice('acct:'.length));
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
