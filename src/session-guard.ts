/** Express middleware for apps: refuses a session that began before its person was last logged out, and asks for a fresh login. */
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { createWatermarks, type PersonName, type Watermark } from './session-guard/watermarks.js';

const RETRY_AFTER_SECONDS = 5;
const WARN_EVERY_MS = 60_000;

export type { PersonName };

export type SessionGuardOptions = {
  /** The gateway's `publicUrl`. */
  gateway: string;
  /** One of the tenant's `sessions.tokens`. */
  token: string;
  tenant?: string | undefined;
  /** The gateway's REDIS_URL, in any of its forms: with it a logout is known in milliseconds, without it within `cacheMs`. */
  redis?: string | undefined;
  /** What the gateway's keys in Redis begin with. */
  prefix?: string | undefined;
  /** Whose session it is; undefined where nobody is signed in, and the request goes on unguarded. */
  person: (req: Request) => PersonName | undefined;
  /** When the person signed in: a Date, or milliseconds since the epoch. */
  startedAt: (req: Request) => Date | number | undefined;
  /** Instead of a 401, once the session is destroyed. */
  onVoid?: ((req: Request, res: Response, next: NextFunction) => unknown) | undefined;
  cacheMs?: number | undefined;
  /** How old an answer may be while the gateway gives no other. */
  staleMs?: number | undefined;
  /** What becomes of a request while nothing is known: a 503, or on it goes. */
  whenUnknown?: 'refuse' | 'allow' | undefined;
  /** Hears why nothing is known. By default a warning of the process, at most one a minute. */
  onError?: ((error: Error) => void) | undefined;
};

export type SessionGuard = RequestHandler & { close(): Promise<void> };

/**
 * Belongs after what reads the session and before whatever trusts it. Throws TypeError where `gateway` is no URL, or
 * `redis` none of Redis.
 */
export function sessionGuard(options: SessionGuardOptions): SessionGuard {
  const { person, startedAt, onVoid, whenUnknown = 'refuse' } = options;
  const watermarks = createWatermarks({
    gateway: options.gateway,
    token: options.token,
    tenant: options.tenant ?? 'default',
    redis: options.redis,
    prefix: options.prefix ?? 'ul',
    cacheMs: options.cacheMs ?? 10_000,
    staleMs: options.staleMs ?? 300_000,
    onError: options.onError ?? createWarn(),
  });

  async function guard(req: Request, res: Response, next: NextFunction): Promise<void> {
    const name = person(req);
    if (name === undefined) return next();
    requireNamed(name);
    let watermark: Watermark;
    try {
      watermark = await watermarks.read(name);
    } catch {
      return whenUnknown === 'allow' ? next() : answerUnknown(res);
    }
    if (watermark === undefined) return next();
    const start = startedAt(req)?.valueOf();
    // Not the other way round: a start that is no number is no start.
    if (start !== undefined && start >= watermark) return next();
    await destroy(req);
    if (onVoid) await onVoid(req, res, next);
    else answerVoid(res);
  }

  // Express 4 does not look at promises.
  const handler = (req: Request, res: Response, next: NextFunction) => void guard(req, res, next).catch(next);
  return Object.assign(handler, { close: watermarks.close });
}

/** What `sessionGuard` needs to know of `express-openid-connect`; `session` is its `session.name`. */
export function openIdConnect({
  session = 'appSession',
  person = ({ sub }: Claims): PersonName => ({ externalId: sub as string }),
}: {
  session?: string;
  person?: (claims: Claims) => PersonName;
} = {}): Pick<SessionGuardOptions, 'person' | 'startedAt' | 'onVoid'> {
  return {
    person: (req) => {
      const claims = claimsOf(req);
      return claims && person(claims);
    },
    // A refreshed ID token has a new `iat`, which says nothing of the login: `auth_time` goes before.
    startedAt: (req) => {
      const { auth_time, iat } = claimsOf(req) ?? {};
      const seconds = auth_time ?? iat;
      return typeof seconds === 'number' ? seconds * 1_000 : undefined;
    },
    onVoid: async (req, res) => {
      (req as unknown as Record<string, unknown>)[session] = undefined;
      // A script cannot follow a redirect to a login page.
      if (req.method !== 'GET' || !req.accepts('html')) return answerVoid(res);
      const { oidc } = res as unknown as { oidc: { login(options: object): Promise<void> } };
      res.set('cache-control', 'no-store');
      // With `max_age` the new ID token has to say when that login was (OpenID Connect Core §2, `auth_time`).
      await oidc.login({ authorizationParams: { prompt: 'login', max_age: 0 } });
    },
  };
}

export type Claims = Readonly<Record<string, unknown>>;

function claimsOf(req: Request): Claims | undefined {
  const { oidc } = req as unknown as { oidc: { isAuthenticated(): boolean; idTokenClaims?: Claims } };
  return oidc.isAuthenticated() ? oidc.idTokenClaims : undefined;
}

/** The gateway knows nobody by no name, and lets in whom it does not know. */
function requireNamed(name: PersonName | null): void {
  const [[kind, value] = []] = Object.entries(name ?? {});
  if (kind !== undefined && value !== undefined && value !== null && value !== '') return;
  const what = kind === undefined ? 'person(req) is empty' : `${kind} of person(req) is ${String(value) || 'empty'}`;
  throw new TypeError(`sessionGuard: ${what}. Where nobody is signed in, person(req) has to be undefined.`);
}

/** Of express-session, or whatever has sessions like it. */
async function destroy(req: Request): Promise<void> {
  const { session } = req as unknown as { session?: { destroy?: (done: (error?: unknown) => void) => void } };
  if (typeof session?.destroy !== 'function') return;
  await new Promise<void>((resolve, reject) => {
    session.destroy?.((error) => (error ? reject(error as Error) : resolve()));
  });
}

function createWarn(): (error: Error) => void {
  let last = Number.NEGATIVE_INFINITY;
  return ({ message }) => {
    if (Date.now() - last < WARN_EVERY_MS) return;
    last = Date.now();
    process.emitWarning(message, 'SessionGuardWarning');
  };
}

function answerVoid(res: Response): void {
  answer(res, 401, { title: 'Unauthorized', code: 'session_ended', detail: 'This session has ended: sign in again.' });
}

function answerUnknown(res: Response): void {
  const detail = 'Whether this session has ended cannot be told just now: try again.';
  res.set('retry-after', String(RETRY_AFTER_SECONDS));
  answer(res, 503, { title: 'Service Unavailable', code: 'gateway_unavailable', detail });
}

function answer(res: Response, status: number, problem: { title: string; code: string; detail: string }): void {
  res.set('cache-control', 'no-store').status(status).type('application/problem+json');
  res.send(JSON.stringify({ type: 'about:blank', status, ...problem }));
}
