/** An audit trail in the suite's Redis with a sealer and keys of its own, and hands that can do it every harm. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { checkpointsKey, createCheckpointReader } from '../../src/audit/checkpoint.js';
import { createSealer } from '../../src/audit/seal.js';
import { verifyTrail } from '../../src/audit/verify.js';
import { auditKey, createAudit } from '../../src/audit.js';
import { type FromFiles, readWitnesses } from '../../src/commands/audit/witnesses.js';
import { loadSigningKeys } from '../../src/outbound/signing-keys.js';

export type Raw = [id: string, fields: string[]];

export type AuditTrail = Awaited<ReturnType<typeof openAuditTrail>>;

export async function openAuditTrail(over: { url?: string; prefix?: string; dataDir?: string; tenant?: string } = {}) {
  const { prefix = `spec-${randomUUID().slice(0, 8)}`, tenant = 'default' } = over;
  const url = over.url ?? (process.env.TEST_REDIS_URL as string);
  const dataDir = over.dataDir ?? mkdtempSync(join(tmpdir(), 'universal-logout-'));
  const redis = new Redis(url);
  const signingKeys = await loadSigningKeys(join(dataDir, 'signing-keys.json'));
  const file = join(dataDir, 'audit-checkpoints.jsonl');
  const clock = { now: Date.now() };
  const read = createCheckpointReader({ keys: signingKeys.jwks.keys });
  const key = auditKey(prefix, tenant);
  const checkpoints = checkpointsKey(prefix, tenant);
  const audit = createAudit(redis, { prefix, tenants: [tenant] });
  const connections = [redis];
  let number = 0;

  const entries = () => redis.xrange(key, '-', '+') as Promise<Raw[]>;

  return {
    ...{ redis, prefix, tenant, dataDir, file, signingKeys, clock, read, key, checkpoints, entries },

    /** Records that all differ. */
    async record(count: number): Promise<void> {
      for (let i = 0; i < count; i++) {
        const revocationId = `rev_${++number}`;
        await audit.record({ event: 'revocation.accepted', tenant, trust: 'okta', user: 'ada', revocationId });
      }
    },

    sealer(options: { retentionMs?: number; redis?: Redis; file?: string } = {}) {
      const connection = options.redis ?? new Redis(url);
      connections.push(connection);
      return createSealer({
        ...{ redis: connection, prefix, signingKeys, file, now: () => clock.now, retentionMs: 86_400_000 * 400 },
        ...options,
      });
    },

    /** With what the file of checkpoints knows, or without. */
    async verify({ withFile = true } = {}) {
      const { of } = await readWitnesses(withFile ? [file] : [], [tenant], read);
      const { witnesses, findings } = of.get(tenant) as FromFiles;
      const verified = await verifyTrail({ redis, prefix, tenant, read, witnesses });
      const all = [...findings, ...verified.findings];
      const found = all.map(({ kind, id }) => (id === undefined ? kind : `${kind} ${id}`));
      return { ...verified, found, sentences: all.map(({ sentence }) => sentence) };
    },

    /** Replaces the stream by what somebody made of it. */
    async rewrite(change: (entries: Raw[]) => Raw[]): Promise<void> {
      const changed = change(await entries());
      const transaction = redis.multi().del(key);
      for (const [id, fields] of changed) transaction.xadd(key, id, ...fields);
      for (const [error] of (await transaction.exec()) ?? []) if (error) throw error;
    },

    async close(): Promise<void> {
      const keys = await redis.keys(`${prefix}:*`);
      if (keys.length > 0) await redis.del(keys);
      for (const connection of connections) connection.disconnect();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
