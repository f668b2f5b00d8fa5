/** Who is an operator: whoever bears ADMIN_TOKEN or has a console session; and who may ask about sessions of a tenant. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Request, Response } from 'express';
import { RequestError } from '../request-error.js';
import type { TenantSettings } from '../settings.js';
import type { Cookies } from './cookies.js';
import type { RequireSameOrigin } from './same-origin.js';
import { operatorOf, type Sessions } from './session.js';

/** The reason of a refusal that may be a guess. */
export const WRONG_TOKEN = 'wrong_token';

export function isGuess(error: unknown): error is RequestError {
  return error instanceof RequestError && error.reason === WRONG_TOKEN;
}

export type Authenticate = ReturnType<typeof createAuthenticate>;

export function createAuthenticate(dependencies: {
  isAdminToken: IsAdminToken;
  sessions: Sessions;
  cookies: Cookies;
  requireSameOrigin: RequireSameOrigin;
}) {
  const { isAdminToken, sessions, cookies, requireSameOrigin } = dependencies;

  /**
   * Answers whose console session this is. Throws RequestError 401 where there is none, and 403 where another site had the
   * browser send the cookie along with what may change something, which is no use of the session.
   */
  async function bySession(req: Request, { isUse = true } = {}): Promise<string> {
    const id = cookies.session.read(req);
    if (id !== undefined && req.method !== 'GET' && req.method !== 'HEAD') requireSameOrigin(req);
    const who = await sessions.read(id, { isUse });
    if (!who) throw unauthenticated('This needs a console session, or the ADMIN_TOKEN as a bearer token.');
    return operatorOf(who);
  }

  return {
    bySession,

    /** Answers whose request this is; a token that is wrong is not made good by a session. Throws as `bySession` does. */
    async byTokenOrSession(req: Request, { isUse = true } = {}): Promise<string> {
      const { authorization } = req.headers;
      if (authorization === undefined) return bySession(req, { isUse });
      if (isAdminToken(bearerIn(authorization))) return operatorOf({ by: 'token' });
      throw unauthenticated('This needs the ADMIN_TOKEN as a bearer token.', WRONG_TOKEN);
    },
  };
}

/** Who was authenticated for this answer. */
export function operatorIn({ locals }: Response): string {
  const { operator } = locals;
  if (typeof operator !== 'string') throw new TypeError('nobody was authenticated for this answer');
  return operator;
}

export type IsAdminToken = (presented: string | undefined) => boolean;

/** Compares hashes, so that neither the time nor the length tells anything of the token. */
export function createIsAdminToken(adminToken: string | undefined): IsAdminToken {
  const expected = hashesOf(adminToken === undefined ? [] : [adminToken]);
  return (presented) => isOneOf(presented, expected);
}

/** Throws RequestError 401 unless the bearer is an operator, or an app of this tenant (`sessions.tokens`). */
export function createAuthenticateForSessions(tenants: readonly TenantSettings[], adminToken: string | undefined) {
  const admin = hashesOf(adminToken === undefined ? [] : [adminToken]);
  const ofTenant = new Map(tenants.map(({ id, sessions }) => [id, hashesOf(sessions?.tokens ?? [])]));
  return (authorization: string | undefined, tenant: string): void => {
    if (isOneOf(bearerIn(authorization), [...admin, ...(ofTenant.get(tenant) ?? [])])) return;
    throw unauthenticated(
      "This needs one of the tenant's sessions.tokens, or the ADMIN_TOKEN, as a bearer token.",
      authorization === undefined ? undefined : WRONG_TOKEN,
    );
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

function unauthenticated(detail: string, reason?: typeof WRONG_TOKEN): RequestError {
  return new RequestError(401, 'invalid_token', detail, {
    ...(reason && { reason }),
    headers: { 'www-authenticate': 'Bearer realm="universal-logout-operators"' },
  });
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
