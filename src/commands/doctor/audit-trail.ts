/** The audit trail: whether what is new in it gets sealed, by keys that are in DATA_DIR, and written to a file. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError, checkpointsKey, createCheckpointReader } from '../../audit/checkpoint.js';
import { auditKey } from '../../audit.js';
import { loadSigningKeys } from '../../outbound/signing-keys.js';
import type { RedisClient } from '../../redis.js';
import { type Finding, notChecked, ok, problem, warning } from './finding.js';

/** It is sealed every second; what is younger is not late. */
const SEALED_WITHIN_MS = 60_000;
const TODO = 'is a worker running? See "The audit trail" in docs/operate.md';

type Place = { redis: RedisClient; prefix: string; tenants: readonly string[]; dataDir: string };

export async function checkAuditTrail({ redis, prefix, tenants, dataDir }: Place): Promise<Finding[]> {
  const keyFile = join(dataDir, 'signing-keys.json');
  // Reading it makes it.
  if (!existsSync(keyFile)) {
    return [notChecked('audit trail', `there is no ${keyFile}: this is the DATA_DIR of no gateway`)];
  }
  const read = createCheckpointReader({ keys: (await loadSigningKeys(keyFile)).jwks.keys });
  return [...(await Promise.all(tenants.map(checkTenant))), checkFile(join(dataDir, 'audit-checkpoints.jsonl'))];

  async function checkTenant(tenant: string): Promise<Finding> {
    const check = `audit ${tenant}`;
    const text = await redis.lindex(checkpointsKey(prefix, tenant), -1);
    try {
      const claims = text === null ? undefined : (await read(text, tenant)).claims;
      const start = claims ? `(${claims.last}` : '-';
      const [[unsealed] = []] = await redis.xrange(auditKey(prefix, tenant), start, '+', 'COUNT', 1);
      const isLate = unsealed !== undefined && Date.now() - Number.parseInt(unsealed, 10) > SEALED_WITHIN_MS;
      if (isLate) {
        const what = claims ? `not sealed since ${new Date(claims.at).toISOString()}` : 'nothing in it is sealed';
        return problem(check, what, TODO);
      }
      if (claims) return ok(check, `sealed; records so far: ${claims.count}`);
      return ok(check, unsealed === undefined ? 'nothing is in it yet' : 'begun just now');
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      return problem(check, `its last checkpoint ${error.message}`, `put that key back. ${TODO}`);
    }
  }
}

/** Workers write it as soon as there is something to seal. */
function checkFile(file: string): Finding {
  const check = 'audit checkpoints';
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat) return ok(check, `the last one in ${file} is of ${stat.mtime.toISOString()}`);
  return warning(
    check,
    `there is no ${file}`,
    'none is needed where workers run elsewhere, or nothing has happened yet',
  );
}
