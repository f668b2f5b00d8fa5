/** What an account has to look like before an app hears of it: beside most calls for one user stands one for everybody. */

export type AccountForm = {
  /** What it has to be, in an error. */
  noun: string;
  test(account: string): boolean;
};

const MAX_LENGTH = 512;

// Words that mean everybody, or the caller, to some API, and what a bug makes of nothing.
const RESERVED = /^(\.+|all|any|every(one|body)?|me|self|current|none|null|undefined)$/i;

function isOrdinary(account: string): boolean {
  return (
    account.length > 0 &&
    account.length <= MAX_LENGTH &&
    account.trim() === account &&
    !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}*]/u.test(account) &&
    !RESERVED.test(account)
  );
}

/** One path segment and no wildcard, whatever the app makes of it. */
const isSegment = (account: string) => isOrdinary(account) && !/[\s/\\?#%]/.test(account);

/** An e-mail address without the odd characters that RFC 5322 allows and APIs stumble over. */
export const email: AccountForm = {
  noun: 'an e-mail address',
  test: (account) => isSegment(account) && /^[^\s@"<>(),;:[\]]+@[^\s@"<>(),;:[\]_]+$/.test(account),
};

/** A user's id, name or address at the app. */
export const identifier: AccountForm = { noun: 'a user id, user name or e-mail address', test: isSegment };

/** Only for connectors that send the account as data, in JSON or in a JWT: a name may also be a URI there. */
export const anyName: AccountForm = {
  noun: 'a name, an e-mail address or a URI',
  test: (account) => isOrdinary(account) && (!/[/?#%]/.test(account) || isUri(account)),
};

function isUri(account: string): boolean {
  return /^(https?:\/\/|urn:|acct:)\S+$/i.test(account) && URL.canParse(account) && !/%2e/i.test(account);
}

/** Whether two addresses or names are the same one: apps that look up hand back what only resembles it. */
export function isSame(one: string | null | undefined, other: string): boolean {
  return typeof one === 'string' && one.normalize('NFC').toLowerCase() === other.normalize('NFC').toLowerCase();
}
