/** Who is an operator: whoever bears ADMIN_TOKEN or has a console session; and who may ask about sessions of a tenant. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Request, Response } from 'express';
import { RequestError } from '../request-error.js';
import type { TenantSettings } from '../settings.js';
import type { Cookies } from './cookies.js';
import { requireSameOrigin } from './same-origin.js';
import { operatorOf, type Sessions } from './session.js';

export type Authenticate = ReturnType<typeof createAuthenticate>;

export function createAuthenticate(dependencies: {
  adminToken: string | undefined;
  sessions: Sessions;
  cookies: Cookies;
}) {
  const { adminToken, sessions, cookies } = dependencies;
  const isAdminToken = createIsAdminToken(adminToken);

  /**
   * Answers whose console session this is. Throws RequestError 401 where there is none, and 403 where another site had the
   * browser send the cookie along with what may change something.
   */
  async function bySession(req: Request, { isUse = true } = {}): Promise<string> {
    const who = await sessions.read(cookies.session.read(req), { isUse });
    if (!who) throw unauthenticated('This needs a console session, or the ADMIN_TOKEN as a bearer token.');
    if (req.method !== 'GET' && req.method !== 'HEAD') requireSameOrigin(req);
    return operatorOf(who);
  }

  return {
    bySession,

    /** Answers whose request this is; a token that is wrong is not made good by a session. Throws as `bySession` does. */
    async byTokenOrSession(req: Request): Promise<string> {
      const { authorization } = req.headers;
      if (authorization === undefined) return bySession(req);
      if (isAdminToken(bearerIn(authorization))) return operatorOf({ by: 'token' });
      throw unauthenticated('This needs the ADMIN_TOKEN as a bearer token.');
    },
  };
}

/** Who was authenticated for this answer. */
export function operatorIn({ locals }: Response): string {
  return String(locals.operator);
}

/** Compares hashes, so that neither the time nor the length tells anything of the token. */
export function createIsAdminToken(adminToken: string | undefined): (presented: string | undefined) => boolean {
  const expected = hashesOf(adminToken === undefined ? [] : [adminToken]);
  return (presented) => isOneOf(presented, expected);
}

/** Throws RequestError 401 unless the bearer is an operator, or an app of this tenant (`sessions.tokens`). */
export function createAuthenticateForSessions(tenants: readonly TenantSettings[], adminToken: string | undefined) {
  const admin = hashesOf(adminToken === undefined ? [] : [adminToken]);
  const ofTenant = new Map(tenants.map(({ id, sessions }) => [id, hashesOf(sessions?.tokens ?? [])]));
  return (authorization: string | undefined, tenant: string): void => {
    if (isOneOf(bearerIn(authorization), [...admin, ...(ofTenant.get(tenant) ?? [])])) return;
    throw unauthenticated("This needs one of the tenant's sessions.tokens, or the ADMIN_TOKEN, as a bearer token.");
  };
}

function bearerIn(authorization: string | undefined): string | undefined {
  return /^bearer +(.+)$/i.exec(authorization ?? '')?.[1];
}

function isOneOf(presented: string | undefined, expected: readonly Buffer[]): boolean {
  const hashed = sha256(presented ?? '');
  return expected.filter((one) => timingSafeEqual(hashed, one)).length > 0 && presented !== undefined;
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
