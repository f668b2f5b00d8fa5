/** Checkpoints that are kept in files: those of DATA_DIR, and copies or exports that somebody names. */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { CheckpointError, type ReadCheckpoint } from '../../audit/checkpoint.js';
import type { Finding } from '../../audit/verify.js';
import { createWitnesses, type Witnesses } from '../../audit/witnesses.js';
import { CommandError } from '../command-error.js';

/** With a key that is lost every line is one. */
const MAX_FINDINGS = 1_000;

/** `findings` are the first of `wrong`. */
export type FromFiles = { witnesses: Witnesses; findings: Finding[]; wrong: number };

/** A file that has been renamed or rotated, so that a new one was begun, still counts; `skipped` look like one. */
export async function checkpointFiles(dataDir: string): Promise<{ files: string[]; skipped: string[] }> {
  const all = await readdir(dataDir).catch(() => []);
  const names = all.filter((name) => name.startsWith('audit-checkpoints'));
  // logrotate appends a number or a date.
  const isRead = (name: string) => /\.jsonl([.-][\d-]+)?$/.test(name);
  return {
    files: names.filter(isRead).map((name) => join(dataDir, name)),
    skipped: names.filter((name) => !isRead(name)).map((name) => join(dataDir, name)),
  };
}

/**
 * Lines of another kind or tenant are passed over; of those that cannot be read it is told how many, and of files which have
 * no checkpoint of anybody.
 */
export async function readWitnesses(
  files: readonly string[],
  tenants: readonly string[],
  read: ReadCheckpoint,
): Promise<{ of: ReadonlyMap<string, FromFiles>; unreadable: number; without: ReadonlySet<string> }> {
  const of = new Map<string, FromFiles>(
    tenants.map((tenant) => [tenant, { witnesses: createWitnesses(), findings: [], wrong: 0 }]),
  );
  let unreadable = 0;
  const without = new Set(files);

  async function take(line: string, file: string, number: number): Promise<void> {
    const { checkpoint } = JSON.parse(line) as { checkpoint?: string };
    if (checkpoint === undefined) return;
    const tenant = String(decodeJwt(checkpoint).tenant);
    without.delete(file);
    const found = of.get(tenant);
    if (!found) return;
    try {
      found.witnesses.add((await read(checkpoint, tenant)).claims, file, number);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      found.wrong++;
      if (found.findings.length === MAX_FINDINGS) return;
      found.findings.push({
        kind: error.kind,
        sentence: `The checkpoint at ${file}:${number} ${error.message}.`,
      });
    }
  }

  for (const file of files) {
    let number = 0;
    try {
      for await (const line of (await open(file)).readLines()) {
        number++;
        if (line === '') continue;
        await take(line, file, number).catch(() => {
          unreadable++;
        });
      }
    } catch (cause) {
      const { code } = cause as { code?: string };
      throw new CommandError(`${file} cannot be read (${code}): name a file of checkpoints.`, { cause });
    }
  }
  return { of, unreadable, without };
}
