/** `/console`: the operators' pages. Signing in comes before the door, all else behind it. */
import { Router } from 'express';
import type { Users } from '../../directory/users.js';
import { RequestError } from '../../request-error.js';
import type { Authenticate } from '../authenticate.js';
import { type AppsPagesDependencies, createAppsPages } from './apps.js';
import { type AuditPageDependencies, createAuditPage } from './audit.js';
import { icon, iconPath } from './icon.js';
import { createNamesOf } from './names.js';
import { createRevocationPage } from './revocation.js';
import { createRevocationsPage, type RevocationsPageDependencies } from './revocations.js';
import { createSignInRouter, type SignInDependencies } from './sign-in.js';
import { createWhoIs } from './sought.js';
import { stylesheet, stylesheetPath } from './stylesheet.js';
import { createUserPage, type UserPageDependencies } from './user.js';
import { createUsersPage } from './users.js';

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

export type ConsoleDependencies = SignInDependencies &
  AppsPagesDependencies &
  Omit<AuditPageDependencies, 'namesOf' | 'whoIs'> &
  UserPageDependencies &
  Omit<RevocationsPageDependencies, 'namesOf' | 'whoIs'> & { authenticate: Authenticate; users: Pick<Users, 'find'> };

export function createConsoleRouter(dependencies: ConsoleDependencies): Router {
  const { authenticate } = dependencies;
  const router = Router();
  const pages = {
    ...dependencies,
    namesOf: createNamesOf(dependencies.users),
    whoIs: createWhoIs(dependencies.users, dependencies.settings),
  };

  router.use('/console', (_req, res, next) => {
    res.set({
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'cache-control': 'no-store',
      // With none at all, browsers would not say the origin of a form.
      'referrer-policy': 'same-origin',
    });
    next();
  });

  router.get('/console/console.css', (req, res) => {
    // A process of another version may be asked for it, whose pages name another one.
    const isNamed = req.originalUrl === stylesheetPath;
    res.set('cache-control', isNamed ? 'public, max-age=31536000, immutable' : 'no-cache');
    res.type('css').send(stylesheet);
  });

  router.get(iconPath, (_req, res) => {
    res.set('cache-control', 'public, max-age=86400').type('svg').send(icon);
  });

  router.use(createSignInRouter(dependencies));

  router.use('/console', async (req, res, next) => {
    try {
      res.locals.operator = await authenticate.bySession(req, { isUse: req.query.live === undefined });
    } catch (error) {
      const isLook = req.method === 'GET' || req.method === 'HEAD';
      if (!isLook || !(error instanceof RequestError) || error.status !== 401) throw error;
      return res.redirect(303, `/console/sign-in?${new URLSearchParams({ returnTo: req.originalUrl })}`);
    }
    next();
  });

  router.use(createRevocationsPage(pages), createRevocationPage(pages), createAppsPages(pages));
  router.use(createUsersPage(pages), createUserPage(pages), createAuditPage(pages));
  return router;
}
