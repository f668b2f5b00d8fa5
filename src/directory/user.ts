/** A person as SCIM describes one (RFC 7643 §4.1), and the identifiers by which the person can be named. */
import { canonicalPhoneNumber } from './phone-number.js';

/** What a settings file may call a user by: `account:` of an app, `identifiers:` of a trust. */
export const identifierKinds = ['id', 'externalId', 'userName', 'email'] as const;
export type IdentifierKind = (typeof identifierKinds)[number];

type Value = { value: string; primary?: boolean; type?: string };

export type Meta = { resourceType: string; created: string; lastModified: string; version: string };

/** What a provisioning client may set. */
export type UserAttributes = {
  userName: string;
  externalId?: string;
  displayName?: string;
  active?: boolean;
  emails?: Value[];
  phoneNumbers?: Value[];
  [attribute: string]: unknown;
};

/** The stored resource: all that the client sent and the schema knows, with our `id` and `meta`. */
export type UserResource = UserAttributes & {
  id: string;
  meta: Meta;
  /** ISO 8601. A deleted user stays for a while: a revocation may still name the person. */
  deletedAt?: string;
};

/** The part of a user that revocation needs. */
export type User = {
  resource: UserResource;
  /** Names of the groups that the person is in, or was in until lately. */
  groups: string[];
};

/** One way to name a user, in the form in which it is indexed and looked up. */
export type Identifier = { kind: 'externalId' | 'userName' | 'email' | 'phone'; value: string };

/**
 * The form in which an identifier is compared: e-mail addresses and user names without regard to case
 * (RFC 9493 §3.2.2.1 leaves that to the receiver; RFC 7643 has userName `caseExact: false`), the rest exactly.
 */
export function canonical(kind: Identifier['kind'], value: string): string {
  if (kind === 'externalId') return value;
  if (kind === 'phone') return canonicalPhoneNumber(value);
  // Twice, since small letters can be composed where capital ones could not.
  return value.trim().normalize('NFC').toLowerCase().normalize('NFC');
}

/** The form of 0.1, in which users that were not written since are still indexed. */
export function formerlyCanonical(kind: Identifier['kind'], value: string): string {
  if (kind === 'externalId') return value;
  if (kind === 'phone') return value.replace(/^tel:/i, '').replace(/[\s().-]/g, '');
  return value.trim().normalize('NFC').toLowerCase();
}

/** The addresses of a user, the primary one first; without any, a userName that is an address is one. */
export function emailsOf({ emails = [], userName }: UserResource): string[] {
  if (emails.length === 0) return /^[^\s@]+@[^\s@]+$/.test(userName) ? [userName] : [];
  const primaryFirst = emails.toSorted((a, b) => Number(b.primary ?? false) - Number(a.primary ?? false));
  return primaryFirst.map(({ value }) => value);
}

/** Every identifier of a user, canonical and once each. */
export function identifiersOf(user: UserResource, form = canonical): Identifier[] {
  const all: Identifier[] = [
    { kind: 'userName', value: user.userName },
    ...(user.externalId === undefined ? [] : [{ kind: 'externalId' as const, value: user.externalId }]),
    ...emailsOf(user).map((value) => ({ kind: 'email' as const, value })),
    ...(user.phoneNumbers ?? []).map(({ value }) => ({ kind: 'phone' as const, value })),
  ];
  const unique = new Map(
    all.map(({ kind, value }) => [`${kind} ${form(kind, value)}`, { kind, value: form(kind, value) }]),
  );
  return [...unique.values()];
}

/** The identifier by which an app knows this user, or undefined where the user has none of that kind. */
export function identifierOf(user: UserResource, kind: IdentifierKind): string | undefined {
  return kind === 'email' ? emailsOf(user)[0] : user[kind];
}
