/** A tenant's directory, for as long as a command needs it. */
import { type Config, readConfig } from '../../config.js';
import { createDirectory, type Directory } from '../../directory/directory.js';
import type { TenantSettings } from '../../settings.js';
import { CommandError } from '../command-error.js';
import { type Opened as OpenedRedis, withRedis } from '../with-redis.js';

export type Opened = OpenedRedis & { directory: Directory; tenant: TenantSettings };

/** Throws a CommandError where the settings have no such tenant. */
export async function withDirectory(tenantId: string, act: (opened: Opened) => Promise<void>): Promise<void> {
  const config = readConfig();
  const tenant = tenantNamed(tenantId, config);
  await withRedis(async ({ redis, prefix }) => {
    const directory = createDirectory(redis, prefix, { graceMs: config.settings.assignmentGrace, now: Date.now });
    await act({ directory, config, tenant, redis, prefix });
  }, config);
}

/** Throws a CommandError where the settings have no such tenant. */
export function tenantNamed(name: string, { settings, configFile }: Config): TenantSettings {
  const tenant = settings.tenants.find(({ id }) => id === name);
  if (tenant) return tenant;
  const known = settings.tenants.map(({ id }) => id).join(', ');
  throw new CommandError(`There is no tenant ${name} in ${configFile}: it has ${known}.`);
}
