/** Seals the audit trail: every second, the records that are new get a checkpoint; old ones are trimmed at checkpoints. */
import { appendFile } from 'node:fs/promises';
import { auditKey } from '../audit.js';
import type { Logger } from '../logger.js';
import type { SigningKeys } from '../outbound/signing-keys.js';
import type { RedisClient } from '../redis.js';
import { isRedisFailure } from '../redis.js';
import { chain, firstHead, idAfter, timeOf, writeMarks } from './chain.js';
import {
  type Checkpoint,
  CheckpointError,
  checkpointsKey,
  createCheckpointReader,
  lineOf,
  readPage,
  signCheckpoint,
  textOf,
} from './checkpoint.js';

const SEAL_EVERY_MS = 1_000;
const TRIM_EVERY_MS = 60_000;
const MAX_RECORDS = 1_000;
/** So that records are not kept much longer than they are to be: a checkpoint is trimmed when its last record is old. */
const MAX_SPAN_MS = 86_400_000;
const TRIMMED_AT_ONCE = 10;

// Only after the checkpoint that the sealer has seen: of two sealers one wins.
const SEAL = `
local last = redis.call('LINDEX', KEYS[1], -1)
local jws = last and string.match(last, '^[^\\n]*') or ''
if jws ~= ARGV[1] then return 0 end
if ARGV[3] == 'extend' then redis.call('LSET', KEYS[1], -1, ARGV[2]) else redis.call('RPUSH', KEYS[1], ARGV[2]) end
return 1`;

const TRIM = `
local count = tonumber(ARGV[2])
local last = redis.call('LINDEX', KEYS[1], count - 1)
if not last or string.match(last, '^[^\\n]*') ~= ARGV[1] then return 0 end
redis.call('LTRIM', KEYS[1], count, -1)
redis.call('LPUSH', KEYS[1], ARGV[3])
return redis.call('XTRIM', KEYS[2], 'MINID', ARGV[4])`;

export type SealerOptions = {
  /** One that fails rather than waits: there is a next time. */
  redis: RedisClient;
  prefix: string;
  signingKeys: SigningKeys;
  /** Where each checkpoint is also written to, out of the reach of whoever has Redis. */
  file: string;
  /** Milliseconds: `retention.audit`. */
  retentionMs: number;
  now: () => number;
};

export type Sealer = ReturnType<typeof createSealer>;

/** Any number of sealers may work on one trail. */
export function createSealer({ redis, prefix, signingKeys, file, retentionMs, now }: SealerOptions) {
  redis.defineCommand('auditSeal', { numberOfKeys: 1, lua: SEAL });
  redis.defineCommand('auditTrim', { numberOfKeys: 2, lua: TRIM });
  const commands = redis as unknown as Record<'auditSeal' | 'auditTrim', (...args: string[]) => Promise<number>>;
  const read = createCheckpointReader({ keys: signingKeys.jwks.keys });
  /** The id of the last record that we know is sealed: without news one look costs one command. */
  const sealedTo = new Map<string, string>();

  return {
    /**
     * Seals what is new; answers how many records that were. Throws a CheckpointError where the last checkpoint is not
     * to be trusted: going on from it would vouch for whatever it says.
     */
    async seal(tenant: string): Promise<number> {
      const trail = auditKey(prefix, tenant);
      const key = checkpointsKey(prefix, tenant);
      for (let sealed = 0; ; ) {
        const news = await readPage(redis, trail, `(${sealedTo.get(tenant) ?? '0-0'}`, '+', 1);
        if (news.length === 0) return sealed;
        const text = await redis.lindex(key, -1);
        const before = text === null ? undefined : await read(text, tenant);
        const entries = await readPage(redis, trail, `(${before?.claims.last ?? '0-0'}`, '+', MAX_RECORDS);
        const first = entries[0];
        const last = entries.at(-1);
        if (first && last) {
          const marks = [];
          let head = before?.claims.head ?? firstHead(tenant);
          for (const entry of entries) {
            const link = chain(head, entry);
            head = link.head;
            marks.push(link.mark);
          }
          const count = before?.claims.count ?? 0;
          const extended = before && canGrow(before, entries.length, now()) ? before : undefined;
          const checkpoint = await signCheckpoint(
            signingKeys,
            {
              tenant,
              from: extended?.claims.from ?? count,
              count: count + entries.length,
              previous: extended?.claims.previous ?? before?.claims.head ?? firstHead(tenant),
              head,
              first: extended?.claims.first ?? first.id,
              last: last.id,
              at: now(),
            },
            extended ? `${extended.marks} ${writeMarks(marks, extended.claims.last)}` : writeMarks(marks),
          );
          // Before Redis has it: what is cut off there can then never be what the file does not know. A checkpoint that
          // another sealer outdoes is still true of the same records.
          await appendFile(file, lineOf(checkpoint.jws), { mode: 0o600, flush: true });
          const how = extended ? 'extend' : 'append';
          if ((await commands.auditSeal(key, before?.jws ?? '', textOf(checkpoint), how)) === 0) return sealed;
          sealed += entries.length;
        }
        sealedTo.set(tenant, last?.id ?? before?.claims.last ?? '0-0');
      }
    },

    /** Lets records go that are older than the retention, up to a checkpoint; a signed base stays. Answers how many. */
    async trim(tenant: string): Promise<number> {
      const key = checkpointsKey(prefix, tenant);
      const texts = await redis.lrange(key, 0, TRIMMED_AT_ONCE);
      let cut: Checkpoint | undefined;
      let checkpoints = 0;
      for (const text of texts) {
        const checkpoint = await read(text, tenant);
        if (timeOf(checkpoint.claims.last) >= BigInt(Math.floor(now() - retentionMs))) break;
        cut = checkpoint;
        checkpoints++;
      }
      if (!cut || cut.claims.base) return 0;
      const { count, head, last } = cut.claims;
      const claims = {
        tenant,
        from: count,
        count,
        previous: head,
        head,
        first: last,
        last,
        at: now(),
        base: true,
      } as const;
      const base = await signCheckpoint(signingKeys, claims, '');
      await appendFile(file, lineOf(base.jws), { mode: 0o600, flush: true });
      const trail = auditKey(prefix, tenant);
      return commands.auditTrim(key, trail, cut.jws, String(checkpoints), textOf(base), idAfter(last));
    },
  };
}

/** One that is not full takes in what is new, so that a quiet trail does not have a signature for each record. */
function canGrow({ claims, marks }: Checkpoint, records: number, now: number): boolean {
  const { base, from, count, first } = claims;
  if (base || marks === undefined) return false;
  return count - from + records <= MAX_RECORDS && timeOf(first) > BigInt(Math.floor(now - MAX_SPAN_MS));
}

/** Seals and trims the trails of these tenants until closed. */
export function startSealing({
  tenants,
  logger,
  ...options
}: SealerOptions & { tenants: readonly string[]; logger: Logger }) {
  const sealer = createSealer(options);
  const troubled = new Set<string>();
  let trimAt = 0;
  let closing = false;
  let working: Promise<void> | undefined;
  const timer = setInterval(() => {
    working ??= work().finally(() => {
      working = undefined;
    });
  }, SEAL_EVERY_MS);
  timer.unref();

  async function work(): Promise<void> {
    const trims = Date.now() >= trimAt;
    if (trims) trimAt = Date.now() + TRIM_EVERY_MS;
    for (const tenant of tenants) {
      if (closing) return;
      try {
        await sealer.seal(tenant);
        if (trims) await sealer.trim(tenant);
        troubled.delete(tenant);
      } catch (error) {
        if (isRedisFailure(error)) return;
        // Told once, not every second.
        if (!troubled.has(tenant)) logger.error({ tenant, error, problem: problemOf(error) }, 'audit.not_sealed');
        troubled.add(tenant);
      }
    }
  }

  return {
    async close(): Promise<void> {
      closing = true;
      clearInterval(timer);
      await working;
    },
  };
}

function problemOf(error: unknown): string | undefined {
  if (!(error instanceof CheckpointError)) return undefined;
  return `the last checkpoint ${error.message}: run universal-logout audit verify`;
}
