/** One HTTP call to an app, with every failure turned into a ConnectorError. */
import { OutboundError, type OutboundRequest, type OutboundResponse } from '../outbound/outbound.js';
import { type Call, ConnectorError, type Reason } from './connector.js';

/**
 * Sends, and returns any 2xx. `operation` names connector and act in the error: "webhook: POST to the app".
 * `exceptions` are the statuses that mean something else at this app than `classify` says.
 */
export async function request(
  operation: string,
  url: string,
  message: OutboundRequest,
  call: Pick<Call, 'send' | 'signal'> & { now?: () => Date },
  exceptions: Readonly<Record<number, Reason>> = {},
): Promise<OutboundResponse> {
  let response: OutboundResponse;
  try {
    response = await call.send(url, { ...message, signal: call.signal });
  } catch (error) {
    throw fromOutbound(operation, error);
  }
  if (response.status >= 200 && response.status < 300) return response;
  const reason = exceptions[response.status] ?? classify(response.status);
  throw new ConnectorError(reason, `${operation} answered ${response.status}`, {
    retryAfterMs: retryAfterMs(response.headers['retry-after'], call.now?.() ?? new Date()),
  });
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

/** `Retry-After` as milliseconds from now: seconds, with decimals as some vendors send them, or an HTTP date. */
export function retryAfterMs(header: string | undefined, now: Date): number | undefined {
  if (header === undefined) return undefined;
  const seconds = /^\s*\d+(\.\d+)?\s*$/.test(header) ? Number(header) : Number.NaN;
  const ms = Number.isNaN(seconds) ? Date.parse(header) - now.getTime() : seconds * 1000;
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
