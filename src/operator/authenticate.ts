/** Who is an operator: whoever bears ADMIN_TOKEN. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { RequestHandler } from 'express';
import { RequestError } from '../request-error.js';

/** Compares hashes, so that neither the time nor the length tells anything of the token. */
export function requireAdmin(adminToken: string | undefined): RequestHandler {
  const expected = adminToken === undefined ? undefined : sha256(`Bearer ${adminToken}`);
  return (req, _res, next) => {
    const presented = sha256(req.headers.authorization ?? '');
    if (expected && timingSafeEqual(presented, expected)) return next();
    throw new RequestError(401, 'invalid_token', 'This needs the ADMIN_TOKEN as a bearer token.', {
      headers: { 'www-authenticate': 'Bearer realm="universal-logout-operators"' },
    });
  };
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
