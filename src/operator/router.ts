/** What operators see and do: everything under `/api`, for bearers of ADMIN_TOKEN; and what apps ask of sessions. */
import { Router } from 'express';
import { type AppsDependencies, createAppsRouter } from './apps.js';
import { type AuditDependencies, createAuditRouter, createAuditViews } from './audit.js';
import { requireAdmin } from './authenticate.js';
import { createEventsRouter, type EventsDependencies } from './events.js';
import { createRevocationReader, createRevocationsRouter, type RevocationsDependencies } from './revocations.js';
import { createSessionsRouter } from './sessions.js';
import { createUsersRouter, createUserViews, type UsersDependencies } from './users.js';

export type OperatorDependencies = RevocationsDependencies &
  AppsDependencies &
  UsersDependencies &
  AuditDependencies &
  Pick<EventsDependencies, 'stopping'> & { adminToken: string | undefined };

export function createOperatorRouter(dependencies: OperatorDependencies): Router {
  const router = Router();
  // Apps ask this one with tokens of their own, so it comes before the operators' door.
  router.use(createSessionsRouter(dependencies));
  router.use('/api', requireAdmin(dependencies.adminToken));
  router.use(createRevocationsRouter(dependencies), createAppsRouter(dependencies));
  router.use(createUsersRouter(createUserViews(dependencies)), createAuditRouter(createAuditViews(dependencies)));
  router.use(createEventsRouter({ ...dependencies, read: createRevocationReader(dependencies).read }));
  return router;
}
