/** A whole gateway in this process, on the suite's Redis under a prefix of its own, with the settings a spec needs. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { readAudit } from '../../src/audit.js';
import { type Config, ConfigError, parseSettings } from '../../src/config.js';
import { createDirectory } from '../../src/directory/directory.js';
import { type GatewayOptions, listen, openGateway } from '../../src/gateway.js';
import { connectForWorkers, mastersOf, type RedisClient } from '../../src/redis.js';

export const PUBLIC_URL = 'https://logout.example.com';
export const ADMIN_TOKEN = 'an-admin-token-of-the-specs';

/** The settings of a spec as one would write them, with loopback allowed. */
export function settingsText(settings: object): string {
  return stringify({ publicUrl: PUBLIC_URL, outbound: { allowNetworks: ['127.0.0.0/8'] }, ...settings });
}

/** Throws the ConfigError. */
export function configOf(settings: object, over: Partial<Config> = {}): Config {
  const problems: string[] = [];
  const text = settingsText(settings);
  const parsed = parseSettings(text, 'spec.yaml', {}, problems);
  if (!parsed) throw new ConfigError(problems);
  return {
    port: 0,
    host: '127.0.0.1',
    redisUrl: process.env.TEST_REDIS_URL,
    redisWaitReplicas: 0,
    configFile: 'spec.yaml',
    dataDir: mkdtempSync(join(tmpdir(), 'universal-logout-')),
    adminToken: ADMIN_TOKEN,
    dataKeys: [],
    logLevel: 'silent',
    otlpEndpoint: undefined,
    settings: parsed,
    ...over,
  };
}

/** A person as a spec needs one. */
export type Person = {
  userName: string;
  externalId?: string;
  active?: boolean;
  emails?: string[];
  phoneNumbers?: string[];
  groups?: string[];
};

/** The directory, and a short way to put somebody into it. */
function provisioning(redis: RedisClient, prefix: string) {
  const directory = createDirectory(redis, prefix, { graceMs: 30 * 86_400_000, now: Date.now });
  const values = (list: string[]) => list.map((value, index) => ({ value, primary: index === 0 }));
  return {
    ...directory,
    put: (tenant: string, { emails = [], phoneNumbers = [], groups = [], ...person }: Person) =>
      directory.put(
        tenant,
        { active: true, ...person, emails: values(emails), phoneNumbers: values(phoneNumbers) },
        groups,
      ),
  };
}

/** A listening gateway, its directory, and a look into its Redis. */
export async function startGateway(
  settings: object,
  { config: over, ...options }: GatewayOptions & { config?: Partial<Config> } = {},
) {
  const config = configOf(settings, over);
  const prefix = options.prefix ?? `spec-${randomUUID().slice(0, 8)}`;
  const gateway = await openGateway(config, { ...options, prefix });
  const server = await listen(gateway.app, config);
  const redis = connectForWorkers({ url: config.redisUrl as string });
  redis.on('error', () => {
    // It may be away on purpose.
  });
  const keysOf = async () => (await Promise.all(mastersOf(redis).map((master) => master.keys(`${prefix}:*`)))).flat();
  return {
    ...gateway,
    config,
    prefix,
    url: `http://127.0.0.1:${server.port}`,
    directory: provisioning(redis, prefix),
    redis,
    /**
     * Every key of this gateway but the audit trail, what is counted of calls, and BullMQ's own clockwork, with its value as text: equal before
     * and after means unchanged.
     */
    async state(): Promise<Record<string, string>> {
      const keys = (await keysOf())
        .filter(
          (key) =>
            !/{canary\.|:(audit|audit:checkpoints|meta|stalled-check|limiter|lane:[^:]+|data-keys|known-apps)$/.test(
              key,
            ),
        )
        .sort();
      const values = await Promise.all(keys.map((key) => contentOf(redis, key)));
      return Object.fromEntries(keys.map((key, index) => [key, values[index] ?? '']));
    },
    /** The audit trail, the oldest entry first. */
    async audit(): Promise<Record<string, string>[]> {
      const keys = await redis.keys(`${prefix}:{*}:audit`);
      const entries = (await Promise.all(keys.map((key) => redis.xrange(key, '-', '+')))).flat();
      entries.sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
      return entries.map(([, fields]) => readAudit(fields));
    },
    async close(): Promise<void> {
      await gateway.close(server.close());
      await Promise.all((await keysOf()).map((key) => redis.del(key)));
      redis.disconnect();
      rmSync(config.dataDir, { recursive: true, force: true });
    },
  };
}

/** The value of a key as text, the same for the same value: Redis keeps hashes and sets in an order of its own. */
async function contentOf(redis: RedisClient, key: string): Promise<string> {
  const type = await redis.type(key);
  if (type === 'hash') return JSON.stringify(Object.entries(await redis.hgetall(key)).sort());
  if (type === 'set') return JSON.stringify((await redis.smembers(key)).sort());
  return (await redis.dumpBuffer(key))?.toString('base64') ?? '';
}
