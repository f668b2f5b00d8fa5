/** Who may provision a tenant: whoever has one of its bearer tokens. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { RequestHandler } from 'express';
import { tenantOf } from './http.js';
import { ScimError } from './scim-error.js';

export type ScimTenant = { id: string; scim?: { tokens: readonly string[] } | undefined };

/** Two tokens may be valid at once, for rotation. Hashes are compared, so that nothing depends on the token's length. */
export function authenticate(tenants: readonly ScimTenant[]): RequestHandler {
  const hashes = new Map(tenants.map(({ id, scim }) => [id, (scim?.tokens ?? []).map(sha256)]));
  return (req, _res, next) => {
    const [, token] = /^bearer +(\S+)$/i.exec(req.headers.authorization ?? '') ?? [];
    const presented = sha256(token ?? '');
    const valid = (hashes.get(tenantOf(req)) ?? []).filter((hash) => timingSafeEqual(hash, presented));
    if (token === undefined || valid.length === 0) {
      throw new ScimError(401, undefined, 'This needs a SCIM token of the tenant as a bearer token.');
    }
    next();
  };
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
