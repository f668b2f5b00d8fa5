/** Who is an operator: whoever bears ADMIN_TOKEN; and who may ask about sessions of a tenant. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { RequestHandler } from 'express';
import { RequestError } from '../request-error.js';
import type { TenantSettings } from '../settings.js';

/** Compares hashes, so that neither the time nor the length tells anything of the token. */
export function requireAdmin(adminToken: string | undefined): RequestHandler {
  const expected = hashesOf(adminToken === undefined ? [] : [adminToken]);
  return (req, _res, next) => {
    if (bearsOne(req.headers.authorization, expected)) return next();
    throw unauthenticated('This needs the ADMIN_TOKEN as a bearer token.');
  };
}

/** Throws RequestError 401 unless the bearer is an operator, or an app of this tenant (`sessions.tokens`). */
export function createAuthenticateForSessions(tenants: readonly TenantSettings[], adminToken: string | undefined) {
  const admin = hashesOf(adminToken === undefined ? [] : [adminToken]);
  const ofTenant = new Map(tenants.map(({ id, sessions }) => [id, hashesOf(sessions?.tokens ?? [])]));
  return (authorization: string | undefined, tenant: string): void => {
    if (bearsOne(authorization, [...admin, ...(ofTenant.get(tenant) ?? [])])) return;
    throw unauthenticated("This needs one of the tenant's sessions.tokens, or the ADMIN_TOKEN, as a bearer token.");
  };
}

function bearsOne(authorization: string | undefined, expected: readonly Buffer[]): boolean {
  const [, token] = /^bearer +(.+)$/i.exec(authorization ?? '') ?? [];
  const presented = sha256(token ?? '');
  return expected.filter((one) => timingSafeEqual(presented, one)).length > 0 && token !== undefined;
}

function hashesOf(tokens: readonly string[]): Buffer[] {
  return tokens.map(sha256);
}

function unauthenticated(detail: string): RequestError {
  return new RequestError(401, 'invalid_token', detail, {
    headers: { 'www-authenticate': 'Bearer realm="universal-logout-operators"' },
  });
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
