/** What operators see and do: `/api` and the pages under `/console`; and what apps ask of sessions. */
import { Router } from 'express';
import type { Users } from '../directory/users.js';
import type { Outbound } from '../outbound/outbound.js';
import { type AppsDependencies, createApps, createAppsRouter } from './apps.js';
import { type AuditDependencies, createAuditRouter, createAuditViews } from './audit.js';
import { createAuthenticate, createIsAdminToken, isGuess } from './authenticate.js';
import { createConsoleRouter } from './console/router.js';
import { createCookies } from './cookies.js';
import { createEventsRouter, type EventsDependencies } from './events.js';
import { createOidc } from './oidc.js';
import { createOverview } from './overview.js';
import { createRefusal, type RefusalDependencies } from './refusal.js';
import { createRevocations, createRevocationsRouter, type RevocationsDependencies } from './revocations.js';
import { createRequireSameOrigin } from './same-origin.js';
import { createSessions, type SessionsOfOperatorsDependencies } from './session.js';
import { createSignInCookie } from './sign-in-cookie.js';
import { createUsersRouter, createUserViews, type UsersDependencies } from './users.js';
import { createValidAfterRouter } from './valid-after.js';

export type OperatorDependencies = RevocationsDependencies &
  AppsDependencies &
  UsersDependencies &
  AuditDependencies &
  SessionsOfOperatorsDependencies &
  Pick<EventsDependencies, 'stopping'> &
  RefusalDependencies & { users: Users; send: Outbound['send'] };

export function createOperatorRouter(dependencies: OperatorDependencies): Router {
  const { adminToken, settings, send } = dependencies;
  const { publicUrl, operators } = settings;
  const revocations = createRevocations(dependencies);
  const apps = createApps(dependencies);
  const people = createUserViews(dependencies);
  const trail = createAuditViews(dependencies);
  const sessions = createSessions(dependencies);
  const cookies = createCookies(publicUrl);
  const isAdminToken = createIsAdminToken(adminToken);
  const requireSameOrigin = createRequireSameOrigin(publicUrl);
  const authenticate = createAuthenticate({ isAdminToken, sessions, cookies, requireSameOrigin });
  const refusal = createRefusal(dependencies);
  const router = Router();
  router.use('/api', (_req, res, next) => {
    // What a cookie opened is in a browser, which would keep it.
    res.set('cache-control', 'no-store');
    next();
  });
  // Apps ask this one with tokens of their own, so it comes before the operators' door.
  router.use(createValidAfterRouter({ ...dependencies, refusal }));
  router.use('/api', async (req, res, next) => {
    try {
      res.locals.operator = await authenticate.byTokenOrSession(req);
    } catch (error) {
      throw isGuess(error) ? await refusal(req, error) : error;
    }
    next();
  });
  router.use(createRevocationsRouter(revocations), createAppsRouter(apps));
  router.use(createUsersRouter(people), createAuditRouter(trail));
  router.use(
    createEventsRouter({
      ...dependencies,
      read: revocations.read,
      authenticate: (req) => authenticate.byTokenOrSession(req, { isUse: false }),
    }),
  );
  router.use(
    createConsoleRouter({
      ...dependencies,
      revocations,
      apps,
      people,
      trail,
      sessions,
      cookies,
      isAdminToken,
      requireSameOrigin,
      authenticate,
      refusal,
      overview: createOverview({ apps, records: dependencies.records }),
      atIssuer: operators.oidc && {
        oidc: createOidc(operators.oidc, { send, publicUrl }),
        signInCookie: createSignInCookie({ ...dependencies, cookies, clientSecret: operators.oidc.clientSecret }),
      },
    }),
  );
  return router;
}
