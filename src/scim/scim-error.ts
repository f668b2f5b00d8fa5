/** Why provisioning was refused, in the form of RFC 7644 §3.12. */
import type { ErrorRequestHandler } from 'express';
import { UnknownMember } from '../directory/groups.js';
import { Changed, NotUnique } from '../directory/users.js';
import type { Logger } from '../logger.js';
import { isRedisFailure } from '../redis.js';
import { Unavailable } from '../request-error.js';

export type ScimType =
  | 'invalidFilter'
  | 'tooMany'
  | 'uniqueness'
  | 'mutability'
  | 'invalidSyntax'
  | 'invalidPath'
  | 'noTarget'
  | 'invalidValue';

const ERROR_SCHEMA = 'urn:ietf:params:scim:api:messages:2.0:Error';

export class ScimError extends Error {
  readonly status: number;
  readonly scimType: ScimType | undefined;

  constructor(status: number, scimType: ScimType | undefined, detail: string, cause?: unknown) {
    super(detail, { cause });
    this.name = 'ScimError';
    this.status = status;
    this.scimType = scimType;
  }
}

export function answerScimError(logger: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (res.headersSent) return next(error);
    const { status, scimType, message } = toScimError(error);
    if (status >= 500) logger.error({ error, status, method: req.method }, 'scim.failed');
    if (status === 401) res.set('www-authenticate', 'Bearer realm="universal-logout-scim"');
    if (status === 413) res.set('connection', 'close');
    if (status === 503) res.set('retry-after', error instanceof Changed ? '1' : '5');
    res.status(status).type('application/scim+json');
    res.send(
      JSON.stringify({
        schemas: [ERROR_SCHEMA],
        status: String(status),
        ...(scimType && { scimType }),
        detail: message,
      }),
    );
  };
}

function toScimError(error: unknown): Pick<ScimError, 'status' | 'scimType' | 'message'> {
  if (error instanceof ScimError) return error;
  if (error instanceof NotUnique) {
    return { status: 409, scimType: 'uniqueness', message: `Another resource already has this ${error.attribute}.` };
  }
  if (error instanceof UnknownMember) {
    return { status: 400, scimType: 'invalidValue', message: `members: there is no user ${error.member}.` };
  }
  if (error instanceof Changed) {
    return { status: 503, scimType: undefined, message: 'Too many change this resource at the same time: try again.' };
  }
  if (error instanceof Unavailable || isRedisFailure(error)) {
    return { status: 503, scimType: undefined, message: 'The directory is out of reach: try again.' };
  }
  // What Express's body reader throws.
  const { status } = error as { status?: unknown };
  if (status === 413)
    return { status, scimType: undefined, message: 'The body is larger than 1 MiB, or as a group 16 MiB.' };
  if (typeof status === 'number' && status >= 400 && status < 500) {
    // RFC 7644 §3.12: a scimType goes with 400 alone, but for uniqueness.
    return { status, scimType: status === 400 ? 'invalidSyntax' : undefined, message: 'The request cannot be read.' };
  }
  return { status: 500, scimType: undefined, message: 'The gateway failed.' };
}
