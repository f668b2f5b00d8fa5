/** One HTTP call to an app, with every failure turned into a ConnectorError. */
import { OutboundError, type OutboundRequest, type OutboundResponse } from '../outbound/outbound.js';
import { type Call, ConnectorError, type Reason } from './connector.js';

/**
 * The statuses that mean something else at this app than `classify` says, or than success where they are 2xx; a
 * function where the answer's text decides.
 */
export type Exceptions = Readonly<Record<number, Meaning | ((response: OutboundResponse) => Meaning)>>;

type Meaning = Reason | 'success';

/** For `Exceptions`: one reason where the answer's text has the app's word for it, another where it has not. */
export const saying =
  (word: RegExp, reason: Reason, otherwise: Reason) =>
  ({ body }: OutboundResponse): Reason =>
    word.test(body) ? reason : otherwise;

/**
 * For `Exceptions`, as what a 403 means on the call for a user whom the same credential has just found: that its role may
 * not touch this one, such as an admin. That a scope is missing concerns everybody (RFC 6750 §3.1).
 */
export function notForThisUser({ headers, body }: OutboundResponse): Reason {
  return /insufficient_scope/.test(`${headers['www-authenticate']} ${body}`) ? 'auth' : 'refused';
}

/** Sends, and returns any success. `operation` names connector and act in the error: "webhook: POST to the app". */
export async function request(
  operation: string,
  url: string,
  message: OutboundRequest,
  call: Pick<Call, 'send' | 'signal' | 'onRequest'> & { now?: () => Date },
  exceptions: Exceptions | ((status: number) => Exceptions[number] | undefined) = {},
): Promise<OutboundResponse> {
  const startedAt = call.onRequest ? performance.now() : 0;
  let response: OutboundResponse;
  try {
    response = await call.send(url, { ...message, signal: call.signal });
  } catch (thrown) {
    const error = fromOutbound(operation, thrown);
    if (error instanceof ConnectorError) tell(call, operation, error.reason, startedAt);
    throw error;
  }
  tell(call, operation, response.status, startedAt);
  const { status } = response;
  const found = typeof exceptions === 'function' ? exceptions(status) : exceptions[status];
  const exception = found ?? (status >= 200 && status < 300 ? 'success' : classify(status));
  const reason = typeof exception === 'function' ? exception(response) : exception;
  if (reason === 'success') return response;
  const forbidden = status === 403 && (reason === 'auth' || reason === 'refused');
  const meaning =
    forbidden && reason === 'refused' ? ': the credential may not do this, at least not for this account' : '';
  throw new ConnectorError(reason, `${operation} answered ${status}${meaning}`, {
    retryAfterMs: retryAfterMs(response.headers, call.now?.() ?? new Date(), reason === 'rate_limited'),
    forbidden,
  });
}

function tell({ onRequest }: Pick<Call, 'onRequest'>, operation: string, answer: number | Reason, startedAt: number) {
  onRequest?.({ operation, answer, ms: Math.round(performance.now() - startedAt) });
}

/**
 * What a status that is not 2xx means. 425, 429 and 408 say so themselves (RFC 8470 §5.2, RFC 6585 §4,
 * RFC 9110 §15.5.9); a redirect is never followed, so it is a wrong URL.
 */
export function classify(status: number): Reason {
  if (status === 401 || status === 403) return 'auth';
  if (status === 404 || status === 410) return 'not_found';
  if (status === 429) return 'rate_limited';
  if (status === 408 || status === 425) return 'timeout';
  if (status >= 500 && status !== 501 && status !== 505) return 'server';
  return 'refused';
}

// Okta, GitHub and others tell when the quota is whole again instead: most as seconds since the epoch, some from now on,
// and Rocket.Chat and Linear as milliseconds since the epoch.
const RESETS = ['x-rate-limit-reset', 'x-ratelimit-reset', 'ratelimit-reset', 'x-ratelimit-requests-reset'];
const SURELY_SINCE_THE_EPOCH = 1_000_000_000;
const SURELY_MILLISECONDS = 100_000_000_000;

/**
 * When the app wants to be called again, in milliseconds from now: `Retry-After` in seconds, with decimals as some send
 * them, or as an HTTP date; without one, of an answer that says "too many", when its quota is reset.
 */
export function retryAfterMs(
  headers: Readonly<Record<string, string>>,
  now: Date,
  saysTooMany: boolean,
): number | undefined {
  const asked = headers['retry-after'];
  if (asked !== undefined) {
    // Date.parse makes something of "-5" too.
    const date = /^\w{3}/.test(asked) ? Date.parse(asked) : Number.NaN;
    return fromNow(secondsOf(asked), date - now.getTime());
  }
  const found = RESETS.map((name) => secondsOf(headers[name])).find((seconds) => seconds !== undefined);
  // Many send it with every answer.
  if (found === undefined || !saysTooMany) return undefined;
  const reset = found > SURELY_MILLISECONDS ? found / 1000 : found;
  return fromNow(reset > SURELY_SINCE_THE_EPOCH ? reset - now.getTime() / 1000 : reset, 0);
}

function secondsOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d+(\.\d+)?\s*$/.test(text) ? Number(text) : undefined;
}

function fromNow(seconds: number | undefined, otherwiseMs: number): number | undefined {
  const ms = seconds === undefined ? otherwiseMs : seconds * 1000;
  return Number.isFinite(ms) ? Math.max(0, Math.ceil(ms)) : undefined;
}

function fromOutbound(operation: string, error: unknown): unknown {
  if (!(error instanceof OutboundError)) return error;
  const message = `${operation}: ${error.message}`;
  switch (error.reason) {
    case 'refused_address':
      return new ConnectorError('refused', message, { cause: error });
    case 'too_large':
      return new ConnectorError('server', message, { cause: error });
    default:
      return new ConnectorError(error.reason, message, { cause: error });
  }
}
