/** A tenant's directory, for as long as a command needs it. */
import { readConfig } from '../../config.js';
import { createDirectory, type Directory } from '../../directory/directory.js';
import type { TenantSettings } from '../../settings.js';
import { CommandError } from '../command-error.js';
import { type Opened as OpenedRedis, withRedis } from '../with-redis.js';

export type Opened = OpenedRedis & { directory: Directory; tenant: TenantSettings };

/** Throws a CommandError where the settings have no such tenant. */
export async function withDirectory(tenantId: string, act: (opened: Opened) => Promise<void>): Promise<void> {
  const config = readConfig();
  const { tenants, assignmentGrace } = config.settings;
  const tenant = tenants.find(({ id }) => id === tenantId);
  if (!tenant) {
    const known = tenants.map(({ id }) => id).join(', ');
    throw new CommandError(`There is no tenant ${tenantId} in ${config.configFile}: it has ${known}.`);
  }
  await withRedis(async ({ redis, prefix }) => {
    const directory = createDirectory(redis, prefix, { graceMs: assignmentGrace, now: Date.now });
    await act({ directory, config, tenant, redis, prefix });
  }, config);
}
