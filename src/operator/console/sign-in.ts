/** How an operator comes in and goes out: at the issuer of `operators.oidc`, or with the ADMIN_TOKEN. */
import { type Request, type Response, Router } from 'express';
import { type Audit, type AuditEntry, NO_TENANT } from '../../audit.js';
import type { Logger } from '../../logger.js';
import { orUnavailable } from '../../redis.js';
import { readBody } from '../../request-body.js';
import { RequestError } from '../../request-error.js';
import { type IsAdminToken, WRONG_TOKEN } from '../authenticate.js';
import type { Cookies } from '../cookies.js';
import type { Oidc } from '../oidc.js';
import type { Refusal } from '../refusal.js';
import type { RequireSameOrigin } from '../same-origin.js';
import { operatorOf, type Sessions, type Who } from '../session.js';
import type { SignInCookie } from '../sign-in-cookie.js';
import { sendPage } from './layout.js';
import { signInForm } from './sign-in-form.js';

const BODY_BYTES = 4 * 1024;
const MAX_PATH = 1_000;

export type SignInDependencies = {
  adminToken: string | undefined;
  isAdminToken: IsAdminToken;
  /** Where `operators.oidc` is in the settings. */
  atIssuer: { oidc: Oidc; signInCookie: SignInCookie } | undefined;
  sessions: Sessions;
  cookies: Cookies;
  requireSameOrigin: RequireSameOrigin;
  audit: Audit;
  logger: Logger;
  refusal: Refusal;
  now: () => number;
};

export function createSignInRouter(dependencies: SignInDependencies): Router {
  const { adminToken, isAdminToken, atIssuer, sessions, cookies, requireSameOrigin } = dependencies;
  const { refusal, audit, logger, now } = dependencies;
  const router = Router();
  const ways = { token: adminToken !== undefined, issuer: atIssuer?.oidc.issuer };

  router.get('/console/sign-in', async (req, res) => {
    const returnTo = pathIn(req.query.returnTo);
    if (await sessions.read(cookies.session.read(req), { isUse: true })) return res.redirect(303, returnTo);
    sendPage(res, { title: 'Sign in' }, signInForm({ ways, returnTo, withToken: req.query.with === 'token' }));
  });

  router.post('/console/sign-in', async (req, res) => {
    requireSameOrigin(req);
    const form = new URLSearchParams((await readBody(req, BODY_BYTES)).toString('utf8'));
    const returnTo = pathIn(form.get('returnTo'));
    if (isAdminToken(form.get('token')?.trim())) return enter(req, res, { by: 'token' }, returnTo);
    const mistake = 'That is not the ADMIN_TOKEN.';
    const wrong = new RequestError(401, 'invalid_token', mistake, { reason: WRONG_TOKEN });
    const answer = await refusal(req, wrong);
    if (answer !== wrong) throw answer;
    res.status(401);
    sendPage(res, { title: 'Sign in' }, signInForm({ ways, returnTo, withToken: true, mistake }));
  });

  router.get('/console/sign-in/oidc', async (req, res) => {
    const { oidc, signInCookie } = required();
    const startedAt = now();
    const returnTo = pathIn(req.query.returnTo);
    const { url, ...secrets } = await oidc.begin();
    await signInCookie.add(req, res, { ...secrets, returnTo, startedAt });
    res.redirect(303, url);
  });

  router.get('/console/callback', async (req, res) => {
    const { oidc, signInCookie } = required();
    try {
      const begun = await signInCookie.take(req, res, String(req.query.state));
      if (!begun) {
        const detail =
          'This sign-in was not begun in this browser, or was so over ten minutes ago, or is already used.';
        throw new RequestError(400, 'malformed_request', detail, { reason: 'no_such_sign_in' });
      }
      const { sub } = await oidc.finish(new URL(req.originalUrl, 'http://localhost').search, begun);
      await enter(req, res, { by: 'oidc', sub }, begun.returnTo, begun.startedAt);
    } catch (error) {
      throw error instanceof RequestError ? await refusal(req, error) : error;
    }
  });

  router.post('/console/sign-out', async (req, res) => {
    requireSameOrigin(req);
    const id = cookies.session.read(req);
    const who = await sessions.read(id, { isUse: false });
    if (id !== undefined && who) {
      await record({ event: 'operator.signed_out', operator: operatorOf(who) });
      await sessions.close(id);
    }
    cookies.session.clear(res);
    res.redirect(303, '/console/sign-in');
  });

  async function enter(req: Request, res: Response, who: Who, returnTo: string, since?: number): Promise<void> {
    const before = cookies.session.read(req);
    if (before !== undefined) await sessions.close(before);
    const operator = operatorOf(who);
    await record({ event: 'operator.signed_in', operator });
    cookies.session.set(res, await sessions.open(who, since));
    logger.info({ operator }, 'operator.signed_in');
    res.redirect(303, returnTo);
  }

  function required() {
    if (!atIssuer) throw new RequestError(404, 'not_found', 'operators.oidc is not in the settings.');
    return atIssuer;
  }

  function record(entry: Omit<AuditEntry, 'tenant'>): Promise<void> {
    return orUnavailable(audit.record({ tenant: NO_TENANT, ...entry }));
  }

  return router;
}

/** A path of the console, whatever was asked for, and short enough for a cookie. */
export function pathIn(wanted: unknown): string {
  const home = 'http://console.invalid';
  if (typeof wanted !== 'string' || !URL.canParse(wanted, home)) return '/console';
  const { origin, pathname, search } = new URL(wanted, home);
  const path = pathname + search;
  const isOurs = origin === home && /^\/console(\/|$)/.test(pathname);
  return isOurs && path.length <= MAX_PATH ? path : '/console';
}
