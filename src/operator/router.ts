/** What operators see and do: `/api` and the pages under `/console`; and what apps ask of sessions. */
import { Router } from 'express';
import type { Users } from '../directory/users.js';
import type { Outbound } from '../outbound/outbound.js';
import { type AppsDependencies, createApps, createAppsRouter } from './apps.js';
import { type AuditDependencies, createAuditRouter, createAuditViews } from './audit.js';
import { createAuthenticate } from './authenticate.js';
import { createConsoleRouter } from './console/router.js';
import type { SignInDependencies } from './console/sign-in.js';
import { createCookies } from './cookies.js';
import { createEventsRouter, type EventsDependencies } from './events.js';
import { createOidc } from './oidc.js';
import { createOverview } from './overview.js';
import { createRevocations, createRevocationsRouter, type RevocationsDependencies } from './revocations.js';
import { createSessions, type SessionsOfOperatorsDependencies } from './session.js';
import { createSessionsRouter } from './sessions.js';
import { createSignInCookie } from './sign-in-cookie.js';
import { createUsersRouter, createUserViews, type UsersDependencies } from './users.js';

export type OperatorDependencies = RevocationsDependencies &
  AppsDependencies &
  UsersDependencies &
  AuditDependencies &
  SessionsOfOperatorsDependencies &
  Pick<EventsDependencies, 'stopping'> &
  Pick<SignInDependencies, 'logger' | 'refused' | 'audited'> & { users: Users; send: Outbound['send'] };

export function createOperatorRouter(dependencies: OperatorDependencies): Router {
  const { adminToken, settings, send } = dependencies;
  const { publicUrl, operators } = settings;
  const revocations = createRevocations(dependencies);
  const apps = createApps(dependencies);
  const people = createUserViews(dependencies);
  const trail = createAuditViews(dependencies);
  const sessions = createSessions(dependencies);
  const cookies = createCookies(publicUrl);
  const authenticate = createAuthenticate({ adminToken, sessions, cookies });
  const router = Router();
  // Apps ask this one with tokens of their own, so it comes before the operators' door.
  router.use(createSessionsRouter(dependencies));
  router.use('/api', async (req, res, next) => {
    res.locals.operator = await authenticate.byTokenOrSession(req);
    next();
  });
  router.use(createRevocationsRouter(revocations), createAppsRouter(apps));
  router.use(createUsersRouter(people), createAuditRouter(trail));
  router.use(createEventsRouter({ ...dependencies, read: revocations.read }));
  router.use(
    createConsoleRouter({
      ...dependencies,
      ...{ revocations, apps, people, trail, sessions, cookies, authenticate },
      overview: createOverview({ apps, records: dependencies.records }),
      atIssuer: operators.oidc && {
        oidc: createOidc(operators.oidc, { send, publicUrl }),
        signInCookie: createSignInCookie({ ...dependencies, cookies, clientSecret: operators.oidc.clientSecret }),
      },
    }),
  );
  return router;
}
