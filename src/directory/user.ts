/** A person as SCIM describes one (RFC 7643 §4.1), and the identifiers by which the person can be named. */
import { z } from 'zod';

/** What a settings file may call a user by: `account:` of an app, `identifiers:` of a trust. */
export const identifierKinds = ['id', 'externalId', 'userName', 'email'] as const;
export type IdentifierKind = (typeof identifierKinds)[number];

const multiValued = z.array(
  z.looseObject({ value: z.string().min(1), primary: z.boolean().optional(), type: z.string().optional() }),
);

const scimUser = z.looseObject({
  userName: z.string().trim().min(1).max(320),
  externalId: z.string().min(1).max(320).optional(),
  displayName: z.string().optional(),
  active: z.boolean().default(true),
  emails: multiValued.default([]),
  phoneNumbers: multiValued.default([]),
  groups: z.array(z.looseObject({ value: z.string().optional(), display: z.string().optional() })).default([]),
});

/** The part of a SCIM User that revocation needs. `groups` holds the groups' names. */
export type User = {
  id: string;
  userName: string;
  externalId?: string;
  displayName?: string;
  active: boolean;
  /** The primary address first. */
  emails: string[];
  phoneNumbers: string[];
  groups: string[];
};

/** Reads a SCIM User resource. Throws a ZodError that names each wrong attribute. */
export function parseScimUser(resource: unknown): Omit<User, 'id'> {
  const scim = scimUser.parse(resource);
  const primaryFirst = scim.emails.toSorted((a, b) => Number(b.primary ?? false) - Number(a.primary ?? false));
  const { userName, externalId, displayName, active } = scim;
  return {
    userName,
    ...(externalId !== undefined && { externalId }),
    ...(displayName !== undefined && { displayName }),
    active,
    emails: primaryFirst.map((email) => email.value.trim()),
    phoneNumbers: scim.phoneNumbers.map((phone) => phone.value),
    groups: scim.groups.flatMap((group) => group.display ?? group.value ?? []),
  };
}

/** One way to name a user, in the form in which it is indexed and looked up. */
export type Identifier = { kind: 'externalId' | 'userName' | 'email' | 'phone'; value: string };

/**
 * The form in which an identifier is compared: e-mail addresses and user names without regard to case
 * (RFC 9493 §3.2.2.1 leaves that to the receiver; RFC 7643 has userName `caseExact: false`), the rest exactly.
 */
export function canonical(kind: Identifier['kind'], value: string): string {
  if (kind === 'externalId') return value;
  if (kind === 'phone') return value.replace(/^tel:/i, '').replace(/[\s().-]/g, '');
  return value.normalize('NFC').toLowerCase();
}

/** The addresses of a user; somebody provisioned without any is known by a userName that is an address. */
function emailsOf(user: User): string[] {
  if (user.emails.length > 0) return user.emails;
  return /^[^\s@]+@[^\s@]+$/.test(user.userName) ? [user.userName] : [];
}

/** Every identifier of a user, canonical and once each. */
export function identifiersOf(user: User): Identifier[] {
  const all: Identifier[] = [
    { kind: 'userName', value: user.userName },
    ...(user.externalId === undefined ? [] : [{ kind: 'externalId' as const, value: user.externalId }]),
    ...emailsOf(user).map((value) => ({ kind: 'email' as const, value })),
    ...user.phoneNumbers.map((value) => ({ kind: 'phone' as const, value })),
  ];
  const unique = new Map(
    all.map(({ kind, value }) => [`${kind} ${canonical(kind, value)}`, { kind, value: canonical(kind, value) }]),
  );
  return [...unique.values()];
}

/** The identifier by which an app knows this user, or undefined where the user has none of that kind. */
export function identifierOf(user: User, kind: IdentifierKind): string | undefined {
  return kind === 'email' ? emailsOf(user)[0] : user[kind];
}
