/** `universal-logout audit verify`: whether every record of the audit trail is as it was sealed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { checkpointsKey, createCheckpointReader } from '../../audit/checkpoint.js';
import { verifyTrail } from '../../audit/verify.js';
import { auditKey, NO_TENANT } from '../../audit.js';
import { loadSigningKeys } from '../../outbound/signing-keys.js';
import { CommandError } from '../command-error.js';
import { grouped } from '../progress.js';
import { withRedis } from '../with-redis.js';
import { checkpointFiles, readWitnesses } from './witnesses.js';

const MAX_SHOWN = 1_000;

export type VerifyOptions = { tenant?: string; checkpoints?: string[] };

/** Throws where anything is not as it was sealed. */
export async function verifyAudit({ tenant: only, checkpoints = [] }: VerifyOptions): Promise<void> {
  await withRedis(async ({ config, redis, prefix }) => {
    const keyFile = join(config.dataDir, 'signing-keys.json');
    // Reading it makes it where it is missing, and fresh keys have signed nothing.
    if (!existsSync(keyFile)) {
      throw new CommandError(`There is no ${keyFile}: run this with the DATA_DIR of the gateway that seals the trail.`);
    }
    const read = createCheckpointReader({ keys: (await loadSigningKeys(keyFile)).jwks.keys });
    const { files, skipped } = await checkpointFiles(config.dataDir);
    for (const file of skipped) {
      console.error(`Not read: ${file}. If it has checkpoints, unpack it and name it with --checkpoints.`);
    }
    const known = [...config.settings.tenants.map(({ id }) => id), NO_TENANT];
    const asked = only === undefined ? known : [only];
    const { of, unreadable, without } = await readWitnesses([...files, ...checkpoints], asked, read);
    const mistaken = checkpoints.find((file) => without.has(file) && !files.includes(file));
    if (mistaken !== undefined) {
      throw new CommandError(
        `${mistaken} has no checkpoint in it: name a copy of audit-checkpoints.jsonl, or an export.`,
      );
    }
    if (unreadable > 0) {
      console.log(`Passed over in files, since they are no checkpoints: ${grouped(unreadable)} lines.`);
    }
    let wrong = 0;

    for (const [tenant, { witnesses, findings, wrong: wrongInFiles }] of of) {
      const kept = await redis.exists(auditKey(prefix, tenant), checkpointsKey(prefix, tenant));
      const nothing = kept === 0 && witnesses.size() === 0 && wrongInFiles === 0;
      if (nothing && tenant === NO_TENANT) continue;
      if (nothing && !known.includes(tenant)) {
        throw new CommandError(`There is no tenant ${tenant}, neither in the settings nor with an audit trail.`);
      }
      const verified = await verifyTrail({ redis, prefix, tenant, read, witnesses });
      const all = [...findings, ...verified.findings];
      const count = wrongInFiles + verified.findings.length;
      wrong += count;
      for (const { sentence } of all.slice(0, MAX_SHOWN)) console.log(`Tenant ${tenant}: ${sentence}`);
      if (count > MAX_SHOWN) console.log(`Tenant ${tenant}: and ${grouped(count - MAX_SHOWN)} more.`);
      const since = verified.since === undefined ? '' : ` since ${new Date(verified.since).toISOString()}`;
      console.log(
        `Tenant ${tenant}: ${grouped(verified.records)} records${since} are as they were sealed; ${grouped(verified.unsealed)} are not sealed yet; checkpoints in files: ${grouped(witnesses.size())}.`,
      );
    }
    if (wrong > 0) throw new CommandError(`The audit trail is not as it was sealed: ${grouped(wrong)} findings.`);
  });
}
