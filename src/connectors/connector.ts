/** What a connector is: how one kind of app is told to revoke one account. */
import { type ZodType, z } from 'zod';
import type { OutboundRequest, OutboundResponse } from '../outbound/outbound.js';
import type { SigningKeys } from '../outbound/signing-keys.js';

/** `full` ends sessions and tokens; `refresh-only` (Okta's "partial support") leaves sessions alone. */
export type Mode = 'full' | 'refresh-only';

/** The identifier by which the app knows the user, chosen by the app's `account:` setting. */
export type Account = string;

/** One attempt to revoke one account. */
export type Call = {
  revocationId: string;
  tenant: string;
  app: string;
  mode: Mode;
  /** The same on every attempt for this account, so that the app can tell a repeat. */
  idempotencyKey: string;
  /** Ids of the gateways that this revocation has passed, ours last: a chain of gateways must not become a ring. */
  via: readonly string[];
  /** Aborted at the attempt's deadline, and when the gateway stops. */
  signal: AbortSignal;
  now: () => Date;
  publicUrl: string;
  signingKeys: SigningKeys;
  send(url: string, request: OutboundRequest): Promise<OutboundResponse>;
};

export type Outcome = {
  /** `accepted`: the app said that it will. `none`: it had nothing to revoke, or does not know the account. */
  state: 'revoked' | 'accepted' | 'none';
  what: ('sessions' | 'refresh_tokens' | 'access_tokens' | 'credentials')[];
  /** What lives on, where something does. */
  partial?: string;
};

/**
 * The app has begun, and is to be asked again: what `poll` is then given, and when. `poll` is kept encrypted;
 * it is JSON, and short.
 */
export type Pending = { pending: { poll: unknown; afterMs: number } };

/** Whether the options would work, found out without changing anything at the app. */
export type Check = { ok: true; detail: string } | { ok: false; problem: string };

/** Where an app is called. */
export const appUrl = z.url({ protocol: /^https?$/, message: 'is not an http or https URL' });

export type Connector<Options> = {
  name: string;
  options: ZodType<Options>;
  /** What it revokes, what it cannot, and the page that says so. */
  docs: string;
  revoke(account: Account, options: Options, call: Call): Promise<Outcome | Pending>;
  /** Where the app's logout is itself a job: asks what has become of it. */
  poll?(poll: unknown, options: Options, call: Call): Promise<Outcome | Pending>;
  check(options: Options, call: Pick<Call, 'send' | 'signal'>): Promise<Check>;
};

/** Why an attempt failed: a closed set, used as a metric label. */
export type Reason = 'auth' | 'rate_limited' | 'refused' | 'not_found' | 'server' | 'network' | 'timeout';

/**
 * Which failures the same call may get over, later: decided here alone. Refused credentials are mended by an
 * operator, and the calls that wait for that are still owed; what the app says of one account is its last word.
 */
const WORTH_RETRYING: Record<Reason, boolean> = {
  auth: true,
  rate_limited: true,
  refused: false,
  not_found: false,
  server: true,
  network: true,
  timeout: true,
};

/** The app failed. `message` names the connector and the operation; never a credential, a JWT or an account. */
export class ConnectorError extends Error {
  readonly reason: Reason;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(reason: Reason, message: string, more: { retryAfterMs?: number | undefined; cause?: unknown } = {}) {
    super(message, { cause: more.cause });
    this.name = 'ConnectorError';
    this.reason = reason;
    this.retryable = WORTH_RETRYING[reason];
    this.retryAfterMs = more.retryAfterMs;
  }
}
