/** `/api/sessions/valid-after`: since when a session of a person has to be, for apps that ask before they trust one. */
import { Router } from 'express';
import { z } from 'zod';
import { identifierKinds } from '../directory/user.js';
import type { Users } from '../directory/users.js';
import { orUnavailable } from '../redis.js';
import type { Settings } from '../settings.js';
import type { ValidAfter } from '../valid-after.js';
import { createAuthenticateForSessions, isGuess } from './authenticate.js';
import { parse } from './parse.js';
import type { Refusal } from './refusal.js';
import { identifier, noSuchTenant } from './revocations.js';

/** Of one e-mail address. Who shares it with more people than this is not somebody that an app can log in by it. */
const USERS = 100;

const question = z
  .strictObject({
    tenant: z.string().default('default'),
    id: identifier.optional(),
    externalId: identifier.optional(),
    userName: identifier.optional(),
    email: identifier.optional(),
  })
  .refine((one) => identifierKinds.filter((kind) => one[kind] !== undefined).length === 1);

export type ValidAfterDependencies = {
  users: Pick<Users, 'findWithDeleted'>;
  validAfter: ValidAfter;
  settings: Settings;
  adminToken: string | undefined;
  refusal: Refusal;
};

export function createValidAfterRouter(dependencies: ValidAfterDependencies): Router {
  const { users, validAfter, settings, adminToken, refusal } = dependencies;
  const router = Router();
  const authenticate = createAuthenticateForSessions(settings.tenants, adminToken);

  router.get('/api/sessions/valid-after', async (req, res) => {
    const { tenant = 'default' } = req.query;
    try {
      authenticate(req.headers.authorization, String(tenant));
    } catch (error) {
      throw isGuess(error) ? await refusal(req, error) : error;
    }
    const asked = parse(question, req.query);
    if (!settings.tenants.some(({ id }) => id === asked.tenant)) throw noSuchTenant();
    const kind = identifierKinds.find((one) => asked[one] !== undefined) ?? 'id';
    const lookup = { kind, value: asked[kind] ?? '' };
    const [found] = await orUnavailable(users.findWithDeleted(asked.tenant, [lookup], USERS));
    // A session outlives the deletion of its person, and must not be good again once the person comes back.
    const ids = [...(found?.living ?? []), ...(found?.deleted ?? [])].map(({ resource }) => resource.id);
    const time = await orUnavailable(validAfter.read(asked.tenant, ids));
    // Only who has a watermark is named: whether anybody else is in the directory is not for apps to learn.
    const user = time !== undefined && ids.length === 1 ? ids[0] : null;
    res.json({ user, validAfter: time === undefined ? null : new Date(time).toISOString() });
  });

  return router;
}
