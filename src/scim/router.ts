/** SCIM 2.0 (RFC 7644) for each tenant: authenticate, then parse, then change the directory. */
import { type Request, Router } from 'express';
import type { Logger } from '../logger.js';
import { authenticate, type ScimTenant } from './authenticate.js';
import { readBody } from './body.js';
import { createDiscoveryRouter } from './discovery.js';
import { createGroupsRouter } from './groups.js';
import { notFound, tenantOf } from './http.js';
import { answerScimError, ScimError } from './scim-error.js';
import { createUsersRouter, type UsersDependencies } from './users.js';

export type ScimDependencies = Omit<UsersDependencies, 'baseOf'> & {
  publicUrl: string;
  tenants: readonly ScimTenant[];
  logger: Logger;
};

export function createScimRouter(dependencies: ScimDependencies): Router {
  const { publicUrl, tenants, logger } = dependencies;
  const baseOf = (req: Request) =>
    req.params.tenant === undefined ? `${publicUrl}/scim/v2` : `${publicUrl}/tenants/${tenantOf(req)}/scim/v2`;

  const scim = Router({ mergeParams: true });
  scim.use(authenticate(tenants), readBody());
  scim.use(createDiscoveryRouter(baseOf));
  scim.use(createUsersRouter({ ...dependencies, baseOf }));
  scim.use(createGroupsRouter({ ...dependencies, baseOf }));
  // RFC 7644 §3.7 and §3.11: both are optional.
  scim.use(['/Bulk', '/Me'], () => {
    throw new ScimError(501, undefined, 'This is not supported.');
  });
  scim.use(() => {
    throw notFound();
  });
  scim.use(answerScimError(logger));

  const router = Router();
  router.use(['/scim/v2', '/tenants/:tenant/scim/v2'], scim);
  return router;
}
