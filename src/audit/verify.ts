/** Compares the audit trail with its checkpoints, and says of each record that is not as it was sealed what became of it. */
import { auditKey } from '../audit.js';
import type { RedisClient } from '../redis.js';
import { chain, firstHead, type Mark, readMarks, timeOf, timeText } from './chain.js';
import {
  type Checkpoint,
  CheckpointError,
  type Claims,
  checkpointsKey,
  type ReadCheckpoint,
  readEntries,
  readTexts,
} from './checkpoint.js';
import type { Witness, Witnesses } from './witnesses.js';

const MAX_TRIES = 3;

export type Kind = 'changed' | 'missing' | 'reordered' | 're-stamped' | 'cut off' | 'foreign' | 'bad signature';

/** `id` where it is about one record. */
export type Finding = { kind: Kind; id?: string; sentence: string };

export type Verified = {
  findings: Finding[];
  /** Records that are as they were sealed. */
  records: number;
  /** The time of the first of them, or of the last that was trimmed. */
  since: number | undefined;
  unsealed: number;
};

type Verification = {
  redis: RedisClient;
  prefix: string;
  tenant: string;
  read: ReadCheckpoint;
  /** Of this tenant. */
  witnesses: Witnesses;
};

/** A trail that is trimmed meanwhile is verified once more, from its new beginning. */
export async function verifyTrail(verification: Verification): Promise<Verified> {
  const { redis, prefix, tenant } = verification;
  const key = checkpointsKey(prefix, tenant);
  for (let tries = 1; ; tries++) {
    const base = await redis.lindex(key, 0);
    const verified = await verifyOnce(verification);
    const same = (await redis.lindex(key, 0)) === base;
    if (verified.findings.length === 0 || same || tries === MAX_TRIES) return verified;
  }
}

async function verifyOnce({ redis, prefix, tenant, read, witnesses }: Verification): Promise<Verified> {
  const trail = auditKey(prefix, tenant);
  const key = checkpointsKey(prefix, tenant);
  const findings: Finding[] = [];
  const differences = createDifferences();
  const heads = createHeads(witnesses);
  let [count, head, last] = [0, firstHead(tenant), '0-0'];
  let records = 0;
  let since: number | undefined;
  /** What follows a checkpoint that cannot be read does not join on to what was before. */
  let unread = false;

  let position = 0;
  for await (const text of readTexts(redis, key)) {
    position++;
    let checkpoint: Checkpoint;
    try {
      checkpoint = await read(text, tenant);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      findings.push({ kind: error.kind, sentence: `Checkpoint ${position} ${error.message}.` });
      unread = true;
      continue;
    }
    const { claims } = checkpoint;
    if (claims.base && position === 1) {
      [count, head, last] = [claims.count, claims.head, claims.last];
      since = Number(timeOf(last));
      heads.pass(count, head);
      for await (const { id } of readEntries(redis, trail, '-', last)) differences.foreign(id, '');
      continue;
    }
    if (claims.base || claims.from < count) {
      findings.push({
        kind: 'reordered',
        sentence: `Checkpoint ${position}, of the records ${range(claims)}, does not belong after one of record ${count}.`,
      });
      continue;
    }
    const joins = claims.from === count && claims.previous === head;
    if (!joins && !unread) findings.push(gap(claims, count, position));
    unread = false;

    const expected = checkpoint.marks === undefined ? undefined : readMarks(checkpoint.marks);
    let found = claims.previous;
    let number = claims.from;
    const marks: Mark[] = [];
    const passed: [number, string][] = [];
    for await (const entry of readEntries(redis, trail, joins ? `(${last}` : claims.first, claims.last)) {
      const link = chain(found, entry);
      found = link.head;
      marks.push(link.mark);
      passed.push([++number, found]);
    }
    if (found === claims.head && number === claims.count) {
      records += marks.length;
      since ??= Number(timeOf(claims.first));
      for (const [at, value] of passed) heads.pass(at, value);
      differences.intact();
    } else {
      // Also where no record differs by the short marks: the head is the proof, they only tell where to look.
      const told = expected !== undefined && differences.compare(expected, marks);
      if (!told)
        findings.push({ kind: 'changed', sentence: `The records ${range(claims)} are not those that were sealed.` });
      heads.pass(claims.count, claims.head);
    }
    if (!expected) {
      findings.push({
        kind: 'changed',
        sentence: `The marks beside checkpoint ${position} were changed: which of its records differ, if any, cannot be told.`,
      });
    }
    [count, head, last] = [claims.count, claims.head, claims.last];
  }

  let unsealed = 0;
  let end = head;
  for await (const entry of readEntries(redis, trail, `(${last}`, '+')) {
    const link = chain(end, entry);
    end = link.head;
    unsealed++;
    heads.pass(count + unsealed, end);
    differences.unsealed(link.mark);
  }
  findings.push(...differences.findings(), ...heads.findings(count + unsealed));
  return { findings, records, since, unsealed };
}

function range({ from, count }: Claims): string {
  return from + 1 === count ? `number ${count}` : `number ${from + 1} to ${count}`;
}

function gap(claims: Claims, count: number, position: number): Finding {
  const { from } = claims;
  if (from === count) {
    return {
      kind: 'changed',
      sentence: `Checkpoint ${position}, of the records ${range(claims)}, was signed after other records than those before it.`,
    };
  }
  if (count === 0) {
    return { kind: 'cut off', sentence: `The beginning is cut off: nothing vouches for the first ${from} records.` };
  }
  return { kind: 'missing', sentence: `The checkpoints of the records number ${count + 1} to ${from} are missing.` };
}

/** Collects records that are not where or what they were, and tells in the end what happened to each. */
function createDifferences() {
  const changed: { id: string; was: string; is: string }[] = [];
  const missing: Mark[] = [];
  /** Missing ones after which no sealed one is there. */
  let tail: Mark[] = [];
  const foreign: Mark[] = [];
  const later: Mark[] = [];

  function intact(): void {
    missing.push(...tail);
    tail = [];
  }

  return {
    intact,
    /** Answers whether there was any difference. */
    compare(expected: readonly Mark[], found: readonly Mark[]): boolean {
      const left = new Map(found.map(({ id, content }) => [id, content]));
      let told = found.length !== left.size;
      for (const mark of expected) {
        const is = left.get(mark.id);
        left.delete(mark.id);
        if (is === undefined) tail.push(mark);
        else intact();
        if (is !== undefined && is !== mark.content) changed.push({ id: mark.id, was: mark.content, is });
        if (is !== mark.content) told = true;
      }
      for (const [id, content] of left) foreign.push({ id, content });
      return told || left.size > 0;
    },
    foreign(id: string, content: string): void {
      foreign.push({ id, content });
    },
    unsealed(mark: Mark): void {
      if (missing.length + tail.length > 0) later.push(mark);
    },
    findings(): Finding[] {
      const findings: Finding[] = [];
      const homes = new Map([...missing, ...tail].map(({ id, content }) => [content, id]));
      for (const { id, was } of changed) homes.set(was, id);
      for (const { id, is } of changed) {
        const home = homes.get(is);
        findings.push(
          home === undefined
            ? { kind: 'changed', id, sentence: `Record ${named(id)} was changed after it was sealed.` }
            : {
                kind: 'reordered',
                id,
                sentence: `Record ${named(id)} was reordered: in its place is what was sealed as ${home}.`,
              },
        );
      }
      const strays = new Map<string, string[]>();
      for (const { id, content } of [...foreign, ...later]) {
        const ids = strays.get(content);
        if (ids) ids.push(id);
        else strays.set(content, [id]);
      }
      const moved = new Set<string>();
      const restamped = ({ id, content }: Mark): boolean => {
        const now = strays.get(content)?.shift();
        if (now === undefined) return false;
        moved.add(now);
        findings.push({
          kind: 're-stamped',
          id,
          sentence: `Record ${named(id)} was re-stamped: it is now ${named(now)}.`,
        });
        return true;
      };
      for (const mark of missing) {
        if (restamped(mark)) continue;
        findings.push({ kind: 'missing', id: mark.id, sentence: `Record ${named(mark.id)} is missing.` });
      }
      const gone = tail.filter((mark) => !restamped(mark));
      if (gone[0]) {
        const many = gone.length === 1 ? 'The last sealed record' : `The last ${gone.length} sealed records, from`;
        const is = gone.length === 1 ? 'is' : 'on, are';
        findings.push({ kind: 'cut off', id: gone[0].id, sentence: `${many} ${named(gone[0].id)} ${is} cut off.` });
      }
      for (const { id } of foreign.filter((mark) => !moved.has(mark.id))) {
        findings.push({
          kind: 'foreign',
          id,
          sentence: `Record ${named(id)} is foreign: it was put among sealed ones.`,
        });
      }
      return findings;
    },
  };
}

/** Holds the heads of the trail against those that were signed and kept elsewhere. */
function createHeads(witnesses: Witnesses) {
  const otherThan = witnesses.compare();
  let contradiction: Witness | undefined;
  return {
    pass(count: number, head: string): void {
      const other = otherThan(count, head);
      contradiction ??= other;
    },
    findings(total: number): Finding[] {
      const findings: Finding[] = [];
      if (contradiction) {
        const { count, at, place } = contradiction;
        findings.push({
          kind: 'changed',
          sentence: `Among the first ${count} records some were changed and sealed anew: ${place} has another checkpoint of them, of ${new Date(at).toISOString()}.`,
        });
      }
      const furthest = witnesses.furthest();
      if (furthest && furthest.count > total) {
        const { count, at, place } = furthest;
        findings.push({
          kind: 'cut off',
          sentence: `The end is cut off: ${place} has a checkpoint of ${count} records, of ${new Date(at).toISOString()}, and the trail has ${total}.`,
        });
      }
      return findings;
    },
  };
}

function named(id: string): string {
  return `${id} (${timeText(id)})`;
}
