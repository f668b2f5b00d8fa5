/** Logs out whom a command makes inactive, as provisioning does, where the tenant asks for it: `scim.revokeOnDeactivate`. */
import { loadDataKeys } from '../../data-key-file.js';
import { tellDataKeys } from '../../data-key-use.js';
import { createEnqueue } from '../../fanout/enqueue.js';
import { createRevocationRecords } from '../../fanout/record.js';
import { createDeactivation } from '../../revocation/deactivation.js';
import { createValidAfter } from '../../valid-after.js';
import type { Opened } from './with-directory.js';

/** Of a tenant that does not ask for it, nothing is opened. */
export async function openDeactivation({ config, tenant, redis, prefix }: Opened) {
  if (!tenant.scim?.revokeOnDeactivate) return { onDeactivate: async () => {}, close: async () => {} };
  const dataKeys = await loadDataKeys(config);
  // A rotation of the key has to know of us as of any gateway.
  const keyUse = tellDataKeys(redis, prefix, dataKeys);
  const enqueue = createEnqueue(redis, prefix, dataKeys);
  const keep = { prefix, retentionMs: config.settings.retention.revocations };
  return {
    onDeactivate: createDeactivation({
      ...{ tenants: [tenant], enqueue, gateway: config.settings.publicUrl, now: Date.now },
      records: createRevocationRecords(redis, keep),
      validAfter: createValidAfter(redis, keep),
    }),
    async close(): Promise<void> {
      await keyUse.close();
      await enqueue.close();
    },
  };
}
