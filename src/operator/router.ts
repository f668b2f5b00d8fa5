/** What operators see and do: everything under `/api`, for bearers of ADMIN_TOKEN. */
import { Router } from 'express';
import { type AppsDependencies, createAppsRouter } from './apps.js';
import { requireAdmin } from './authenticate.js';
import { createRevocationsRouter, type RevocationsDependencies } from './revocations.js';

export type OperatorDependencies = RevocationsDependencies & AppsDependencies & { adminToken: string | undefined };

export function createOperatorRouter(dependencies: OperatorDependencies): Router {
  const router = Router();
  router.use('/api', requireAdmin(dependencies.adminToken));
  router.use(createRevocationsRouter(dependencies), createAppsRouter(dependencies));
  return router;
}
