/** What a connector is: how one kind of app is told to revoke one account. */
import { type ZodType, z } from 'zod';
import type { OutboundRequest, OutboundResponse } from '../outbound/outbound.js';
import type { SigningKeys } from '../outbound/signing-keys.js';
import type { AccountForm } from './account.js';

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
  /** 1 for the first; counted, and kept, before the call: where one is missing, a worker died in it. */
  attempt: number;
  /** The same on every attempt for this account, so that the app can tell a repeat. */
  idempotencyKey: string;
  /** Ids of the gateways that this revocation has passed, ours last: a chain of gateways must not become a ring. */
  via: readonly string[];
  /** Milliseconds since the epoch: when the revocation was accepted. */
  acceptedAt: number;
  /** Aborted at the attempt's deadline, and when the gateway stops. */
  signal: AbortSignal;
  now: () => Date;
  publicUrl: string;
  signingKeys: SigningKeys;
  send(url: string, request: OutboundRequest): Promise<OutboundResponse>;
  /** What the app itself has reported about these of its accounts or jobs, by events that `receive` has verified. */
  evidence(abouts: readonly string[]): Promise<Evidence[]>;
  /** Told of every request made, where somebody watches: its name without accounts, and how it went. */
  onRequest?(request: { operation: string; answer: number | Reason; ms: number }): void;
};

/** What a check is given: it is about no account. */
export type CheckCall = Pick<Call, 'send' | 'signal' | 'now' | 'publicUrl' | 'signingKeys' | 'onRequest'>;

/** One thing that an app reported by itself: ids, types and times, and nothing of a person. */
export type Evidence = {
  /** The app's id of the account or job that it is about. */
  about: string;
  type: string;
  /** Milliseconds since the epoch, by the app's clock. */
  at: number;
  /** Whether it reports a success. */
  ok: boolean;
  /** The same however often the app sends it. */
  eventId: string;
};

/** An event as it came over the wire: names and values of headers in turn, and the body as bytes. */
export type Message = { headers: readonly string[]; body: Buffer };

/** `access`: the right to use the app at all, such as an active account or a seat. */
export type What = 'sessions' | 'refresh_tokens' | 'access_tokens' | 'credentials' | 'access';

export type Outcome = {
  /** `accepted`: the app said that it will. `none`: it had nothing to revoke, or does not know the account. */
  state: 'revoked' | 'accepted' | 'none';
  what: What[];
  /** What lives on, where something does. */
  partial?: string;
  /** The app was asked again afterwards, and had nothing left. */
  verified?: true;
  /** What was taken away and can be given back by hand; no name, address or secret is in it. */
  removed?: readonly Readonly<Record<string, unknown>>[];
};

export const NONE: Outcome = { state: 'none', what: [] };

/**
 * The app has begun, and is to be asked again: what `poll` is then given, and when. `poll` is kept encrypted;
 * it is JSON, and short. `removed`, as in an outcome, stays in the record whatever becomes of the rest.
 */
export type Pending = { pending: { poll: unknown; afterMs: number; removed?: Outcome['removed'] } };

/** Whether the options would work, found out without changing anything at the app. `unasked`: there is nothing to ask. */
export type Check = { ok: true; unasked?: true; detail: string } | { ok: false; problem: string };

/** The connector's page in docs/connectors.md: sentences, each with its full stop. */
export type Docs = {
  /** The app, as its vendor writes it. */
  app: string;
  /** `full`: nobody stays signed in. `partial`: something lives on that matters. `observe`: it ends nothing unless it is set to. */
  coverage: 'full' | 'partial' | 'observe';
  /** Which calls it makes, and what they do. */
  does: string;
  ends: readonly What[];
  /** What it does not end. */
  livesOn: string;
  /** How long access can go on after the call. */
  lingers: string;
  /** What the credential must be allowed to do, and nothing more. */
  permission: string;
  /** How to make that credential, step by step. */
  credential: readonly string[];
  rateLimit: string;
  /** What no public page says. */
  unknown?: readonly string[];
  /** Pages of the vendor or of the standard. */
  sources: readonly string[];
};

export type Definition<Options> = {
  name: string;
  options: ZodType<Options>;
  account: AccountForm;
  /** Without `refresh-only`, a revocation of that mode is refused: the app has no word for it. */
  modes: readonly Mode[];
  /** An identity provider: it must not be told what it has itself asked for. */
  identityProvider?: true;
  docs: Docs;
  revoke(account: Account, options: Options, call: Call): Promise<Outcome | Pending>;
  /**
   * To begin anew would do harm, or find no more than its own traces: while the app is away `poll` is kept for as long as
   * the call is tried, and not for `pendingFor` alone.
   */
  beginsOnce?: true;
  /** Where the app's logout is itself a job: asks what has become of it. */
  poll?(poll: unknown, options: Options, call: Call): Promise<Outcome | Pending>;
  /**
   * Where the app reports by itself: verifies the message, then reads it, and looks at nothing else. Throws a
   * ConnectorError: `auth` for one that is not the app's, `refused` for one of the app's that cannot be read.
   */
  receive?(message: Message, options: Options, now: Date): Evidence[];
  /** A ConnectorError that it throws is the problem. */
  check(options: Options, call: CheckCall): Promise<Check>;
};

export type Connector<Options> = Definition<Options>;

/** The connector with what holds for all: nothing odd reaches an app, and no app is asked for what it cannot. */
export function defineConnector<Options>(definition: Definition<Options>): Connector<Options> {
  const { name, account: form, modes } = definition;
  return {
    ...definition,
    async revoke(account, options, call) {
      if (!form.test(account)) {
        throw new ConnectorError('refused', `${name}: not called, since the account is not ${form.noun}`);
      }
      if (!modes.includes(call.mode)) {
        throw new ConnectorError('refused', `${name}: not called, since it cannot leave sessions alone (${call.mode})`);
      }
      return definition.revoke(account, options, call);
    },
    async check(options, call) {
      try {
        return await definition.check(options, call);
      } catch (error) {
        if (!(error instanceof ConnectorError)) throw error;
        return { ok: false, problem: error.message };
      }
    },
  };
}

/** Where an app is called. What is checked next needs a URL to look at. */
export const appUrl = z
  .url({ protocol: /^https?$/, message: 'is not an http or https URL', abort: true })
  .refine((url) => !url.includes('#'), 'must have no fragment: what follows the # is never sent')
  .refine((url) => !hasUserInfo(new URL(url)), 'must have no user name or password in it: they are never sent');

export const hasUserInfo = ({ username, password }: URL) => username !== '' || password !== '';

/** Where the API of an app begins, for `createApi`. */
export const apiUrl = appUrl.refine(
  (url) => !url.includes('?'),
  'must have no query: paths are appended to it, and would be part of the query',
);

/** A credential among the options. A function, so that nothing that prints, logs or serializes options shows it. */
export type Secret = () => string;

export const secret = (schema: z.ZodType<string, string> = z.string().min(1)) =>
  schema
    .transform(
      (value): Secret =>
        () =>
          value,
    )
    .meta({ writeOnly: true });

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
  /** The app knows the credential, and says that it may not do this: perhaps for this one account alone. */
  readonly forbidden: boolean;

  constructor(
    reason: Reason,
    message: string,
    more: { retryAfterMs?: number | undefined; forbidden?: boolean | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
    this.name = 'ConnectorError';
    this.reason = reason;
    this.retryable = WORTH_RETRYING[reason];
    this.retryAfterMs = more.retryAfterMs;
    this.forbidden = more.forbidden ?? false;
  }
}

/** `undefined` where the app says that there is no such thing (any more). */
export async function unlessNotFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ConnectorError && error.reason === 'not_found') return undefined;
    throw error;
  }
}
