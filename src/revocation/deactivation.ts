/** A deactivation that provisioning brings can itself be a revocation: `scim.revokeOnDeactivate`. */
import { createHash } from 'node:crypto';
import { accountsOf } from '../directory/assignment.js';
import type { User } from '../directory/user.js';
import type { Enqueue } from '../fanout/enqueue.js';
import type { RevocationRecords } from '../fanout/record.js';
import { orUnavailable } from '../redis.js';
import type { TenantSettings } from '../settings.js';
import type { ValidAfter } from '../valid-after.js';

/** For so long the deactivation of a user of the same version is the same request again. */
const REPEATED_WITHIN_MS = 2 * 60_000;

export function createDeactivation(dependencies: {
  tenants: readonly Pick<TenantSettings, 'id' | 'scim' | 'apps'>[];
  enqueue: Pick<Enqueue, 'add'>;
  records: Pick<RevocationRecords, 'read'>;
  validAfter: Pick<ValidAfter, 'raise'>;
  gateway: string;
  now: () => number;
}) {
  const { tenants, enqueue, records, validAfter, gateway, now } = dependencies;

  /**
   * Before the user is changed, so that a crash in between costs a repeat and never the revocation. The id comes
   * from the user's version: the same request again is the same revocation.
   */
  return async function onDeactivate(tenant: string, user: User): Promise<void> {
    const settings = tenants.find(({ id }) => id === tenant);
    if (!settings?.scim?.revokeOnDeactivate) return;
    const revocation = {
      revocationId: await revocationIdFor(tenant, user),
      tenant,
      trust: 'scim',
      user: user.resource.id,
      mode: 'full' as const,
      via: [gateway],
      acceptedAt: now(),
      accounts: accountsOf(user, settings.apps),
    };
    await orUnavailable(Promise.all([validAfter.raise(revocation), enqueue.add(revocation)]));
  };

  /**
   * After a crash the user is active in the version that was told of, and may work on in it for long: what was accepted
   * a while ago says nothing of today, also where one app has not answered yet and the others have. A revocation
   * without a record waits to be spread, and has called nobody.
   */
  async function revocationIdFor(tenant: string, { resource: { id, meta } }: User): Promise<string> {
    for (let earlier = 0; ; earlier++) {
      const parts = [tenant, id, meta.version, ...(earlier > 0 ? [earlier] : [])];
      const hash = createHash('sha256').update(JSON.stringify(parts)).digest('hex');
      const revocationId = `rev_${hash.slice(0, 32)}`;
      const record = await orUnavailable(records.read(tenant, revocationId));
      if (!record || now() - record.acceptedAt < REPEATED_WITHIN_MS) return revocationId;
    }
  }
}
