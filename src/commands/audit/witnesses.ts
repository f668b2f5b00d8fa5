/** Checkpoints that are kept in files: those of DATA_DIR, and copies or exports that somebody names. */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { CheckpointError, type ReadCheckpoint } from '../../audit/checkpoint.js';
import type { Finding, Witness } from '../../audit/verify.js';
import { CommandError } from '../command-error.js';

export type Witnesses = { witnesses: Witness[]; findings: Finding[]; unreadable: number };

/** A file that has been renamed, so that a new one was begun, still counts. */
export async function checkpointFiles(dataDir: string): Promise<string[]> {
  const names = await readdir(dataDir).catch(() => []);
  return names.filter((name) => /^audit-checkpoints.*\.jsonl$/.test(name)).map((name) => join(dataDir, name));
}

/** One tenant's. Lines of another kind are passed over; of those that cannot be read it is told how many. */
export async function readWitnesses(
  files: readonly string[],
  tenant: string,
  read: ReadCheckpoint,
): Promise<Witnesses> {
  const result: Witnesses = { witnesses: [], findings: [], unreadable: 0 };
  for (const file of files) {
    const handle = await open(file).catch((cause) => {
      throw new CommandError(`${file} cannot be read.`, { cause });
    });
    let number = 0;
    for await (const line of handle.readLines()) {
      number++;
      if (line === '') continue;
      const place = `${file}:${number}`;
      try {
        const { checkpoint } = JSON.parse(line) as { checkpoint?: string };
        if (checkpoint === undefined || decodeJwt(checkpoint).tenant !== tenant) continue;
        result.witnesses.push({ claims: (await read(checkpoint, tenant)).claims, place });
      } catch (error) {
        if (error instanceof CheckpointError) {
          result.findings.push({ kind: error.kind, sentence: `The checkpoint at ${place} ${error.message}.` });
        } else result.unreadable++;
      }
    }
  }
  return result;
}
