/** The directory of the environment's Redis, or of the embedded one, for as long as a command needs it. */
import type { Redis } from 'ioredis';
import { type Config, readConfig } from '../../config.js';
import { createDirectory, type Directory } from '../../directory/directory.js';
import { startEmbeddedRedis } from '../../embedded-redis.js';
import { connectForWorkers } from '../../redis.js';
import type { TenantSettings } from '../../settings.js';
import { CommandError } from '../command-error.js';

/** What `serve` gives its keys. */
const PREFIX = 'ul';

export type Opened = { directory: Directory; config: Config; tenant: TenantSettings; redis: Redis; prefix: string };

/** Throws a CommandError where the settings have no such tenant. */
export async function withDirectory(tenantId: string, act: (opened: Opened) => Promise<void>): Promise<void> {
  const config = readConfig();
  const { tenants, assignmentGrace } = config.settings;
  const tenant = tenants.find(({ id }) => id === tenantId);
  if (!tenant) {
    const known = tenants.map(({ id }) => id).join(', ');
    throw new CommandError(`There is no tenant ${tenantId} in ${config.configFile}: it has ${known}.`);
  }
  const embedded = config.redisUrl ? undefined : await startEmbeddedRedis({ dataDir: config.dataDir });
  const redis = connectForWorkers(embedded ?? { url: config.redisUrl as string });
  redis.on('error', (error) => console.error(`Redis: ${error.message}; trying again`));
  try {
    const directory = createDirectory(redis, PREFIX, { graceMs: assignmentGrace, now: Date.now });
    await act({ directory, config, tenant, redis, prefix: PREFIX });
  } finally {
    redis.disconnect();
    await embedded?.close();
  }
}
