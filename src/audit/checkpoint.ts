/** Checkpoints of the audit trail: signed statements of how many records there were, and of the hash over all of them. */
import { compactVerify, createLocalJWKSet, type JSONWebKeySet } from 'jose';
import type { SigningKeys } from '../outbound/signing-keys.js';
import type { RedisClient } from '../redis.js';
import { digestOf, type Entry } from './chain.js';

const PAGE = 1_000;
const LISTED_AT_ONCE = 10;
const TYP = 'universal-logout-audit+jwt';

/** Of the records number `from` + 1 to `count`. A base vouches for all up to `count`, which are trimmed. */
export type Claims = {
  tenant: string;
  from: number;
  count: number;
  /** The heads before and after these records. */
  previous: string;
  head: string;
  /** Stream ids. */
  first: string;
  last: string;
  /** The hash of the marks, which stand beside the statement. */
  marks: string;
  /** Milliseconds since the epoch. */
  at: number;
  base?: true;
};

/** `marks` is undefined where they are not the ones that were signed. */
export type Checkpoint = { jws: string; claims: Claims; marks: string | undefined };

/** A checkpoint that is none of ours, or none of this tenant's. */
export class CheckpointError extends Error {
  readonly kind: 'bad signature' | 'foreign';
  constructor(kind: 'bad signature' | 'foreign', message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

/** A list, the oldest first. */
export function checkpointsKey(prefix: string, tenant: string): string {
  return `${prefix}:{${tenant}}:audit:checkpoints`;
}

/** As it stands in Redis. */
export function textOf({ jws, marks = '' }: Checkpoint): string {
  return `${jws}\n${marks}`;
}

/** As it stands in DATA_DIR/audit-checkpoints.jsonl and in an export. */
export function lineOf(jws: string): string {
  return `${JSON.stringify({ checkpoint: jws })}\n`;
}

export async function signCheckpoint(
  { sign }: Pick<SigningKeys, 'sign'>,
  claims: Omit<Claims, 'marks'>,
  marks: string,
): Promise<Checkpoint> {
  const all = { ...claims, marks: digestOf(marks) };
  return { jws: await sign(TYP, all), claims: all, marks };
}

export type ReadCheckpoint = (text: string, tenant: string) => Promise<Checkpoint>;

/** Reads what `textOf` writes. Throws a CheckpointError where another key signed it, or it is another tenant's. */
export function createCheckpointReader(jwks: JSONWebKeySet): ReadCheckpoint {
  const keys = createLocalJWKSet(jwks);
  return async (text, tenant) => {
    const [jws = '', marks = ''] = text.split('\n');
    const { payload, protectedHeader } = await compactVerify(jws, keys, { algorithms: ['RS256'] }).catch((cause) => {
      throw new CheckpointError('bad signature', 'was not signed by a key in DATA_DIR/signing-keys.json', cause);
    });
    if (protectedHeader.typ !== TYP) throw new CheckpointError('foreign', 'is signed, but is no checkpoint');
    // What we signed under this type has this shape.
    const claims = JSON.parse(Buffer.from(payload).toString()) as Claims;
    if (claims.tenant !== tenant) {
      throw new CheckpointError('foreign', `is one of tenant ${claims.tenant}`);
    }
    return { jws, claims, marks: digestOf(marks) === claims.marks ? marks : undefined };
  };
}

/** The records between two ids, page by page; `(` before an id leaves it out. */
export async function* readEntries(redis: RedisClient, key: string, start: string, end: string): AsyncGenerator<Entry> {
  for (let from = start; ; ) {
    const page = await readPage(redis, key, from, end, PAGE);
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < PAGE) return;
    from = `(${last.id}`;
  }
}

export async function readPage(
  redis: RedisClient,
  key: string,
  start: string,
  end: string,
  count: number,
): Promise<Entry[]> {
  const found = await redis.xrangeBuffer(key, start, end, 'COUNT', count);
  return found.map(([id, fields]) => ({ id: id.toString(), fields }));
}

/** The checkpoints as they stand in Redis, the oldest first. */
export async function* readTexts(redis: RedisClient, key: string): AsyncGenerator<string> {
  for (let start = 0; ; start += LISTED_AT_ONCE) {
    const texts = await redis.lrange(key, start, start + LISTED_AT_ONCE - 1);
    yield* texts;
    if (texts.length < LISTED_AT_ONCE) return;
  }
}
