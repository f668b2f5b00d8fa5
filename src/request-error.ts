/** The two ways a request can fail: the caller is wrong, or something we depend on is away. */

/** Words of the public answer; stable, for callers to switch on. */
export type RequestErrorCode =
  | 'malformed_request'
  | 'unsupported_subject_format'
  | 'invalid_jwt'
  | 'invalid_token'
  | 'invalid_signature'
  | 'cross_site'
  | 'not_an_operator'
  | 'several_credentials'
  | 'trust_disabled'
  | 'user_not_found'
  | 'ambiguous_subject'
  | 'not_found'
  | 'method_not_allowed'
  | 'body_too_large'
  | 'unsupported_media_type'
  | 'too_many_requests';

/** The caller's mistake: `detail` is for the caller, `reason` for the log and the audit trail only. */
export class RequestError extends Error {
  readonly status: number;
  readonly code: RequestErrorCode;
  readonly detail: string;
  readonly reason: string;
  readonly headers: Record<string, string>;

  constructor(
    status: number,
    code: RequestErrorCode,
    detail: string,
    more: { reason?: string; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(detail, { cause: more.cause });
    this.name = 'RequestError';
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.reason = more.reason ?? code;
    this.headers = more.headers ?? {};
  }
}

/** Our failure, never the caller's: Redis, an issuer or its keys are out of reach. Becomes 503 with `Retry-After`. */
export class Unavailable extends Error {
  readonly reason: 'redis_unavailable' | 'keys_unavailable' | 'issuer_unavailable';
  readonly retryAfterSeconds: number;

  constructor(reason: Unavailable['reason'], cause: unknown, retryAfterSeconds = 5) {
    super(reason, { cause });
    this.name = 'Unavailable';
    this.reason = reason;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** What went wrong, in words for the caller. */
export type Problem = { status: number; title: string; code: string; detail: string };
