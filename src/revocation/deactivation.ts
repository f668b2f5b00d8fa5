/** A deactivation that provisioning brings can itself be a revocation: `scim.revokeOnDeactivate`. */
import { createHash } from 'node:crypto';
import { accountsOf } from '../directory/assignment.js';
import type { User } from '../directory/user.js';
import type { Enqueue } from '../fanout/enqueue.js';
import { orUnavailable } from '../redis.js';
import type { TenantSettings } from '../settings.js';
import type { ValidAfter } from '../valid-after.js';

export function createDeactivation(dependencies: {
  tenants: readonly TenantSettings[];
  enqueue: Enqueue;
  validAfter: ValidAfter;
  gateway: string;
  now: () => number;
}) {
  const { tenants, enqueue, validAfter, gateway, now } = dependencies;

  /**
   * Before the user is changed, so that a crash in between costs a repeat and never the revocation. The id comes
   * from the user's version: the same request again is the same revocation.
   */
  return async function onDeactivate(tenant: string, user: User): Promise<void> {
    const settings = tenants.find(({ id }) => id === tenant);
    if (!settings?.scim?.revokeOnDeactivate) return;
    const { id, meta } = user.resource;
    const hash = createHash('sha256')
      .update(JSON.stringify([tenant, id, meta.version]))
      .digest('hex');
    const revocation = {
      revocationId: `rev_${hash.slice(0, 32)}`,
      tenant,
      trust: 'scim',
      user: id,
      mode: 'full' as const,
      via: [gateway],
      acceptedAt: now(),
      accounts: accountsOf(user, settings.apps),
    };
    await orUnavailable(Promise.all([validAfter.raise(revocation), enqueue.add(revocation)]));
  };
}
