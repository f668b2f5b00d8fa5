/** `universal-logout audit export`: the audit trail as JSON lines, with the checkpoints that vouch for it. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { decodeJwt } from 'jose';
import { comesBefore, timeText } from '../../audit/chain.js';
import { checkpointsKey, lineOf, readEntries, readTexts } from '../../audit/checkpoint.js';
import { auditKey, NO_TENANT, readAudit } from '../../audit.js';
import type { RedisClient } from '../../redis.js';
import { CommandError } from '../command-error.js';
import { withRedis } from '../with-redis.js';

const DAY_MS = 86_400_000;

export type ExportOptions = { tenant?: string; since?: string; until?: string };

/** Begins at `since` and ends with the last millisecond of `until`, which a day alone has at its end. */
export async function exportAudit({ tenant: only, since, until }: ExportOptions): Promise<void> {
  const from = since === undefined ? undefined : momentOf('--since', since);
  const to = until === undefined ? undefined : momentOf('--until', until, DAY_MS - 1);
  if (from !== undefined && to !== undefined && from > to) {
    throw new CommandError('--since is later than --until: nothing is between them.');
  }
  const span = { start: String(from ?? '-'), end: String(to ?? '+') };
  await withRedis(async ({ config, redis, prefix }) => {
    const known = [...config.settings.tenants.map(({ id }) => id), NO_TENANT];
    for (const tenant of only === undefined ? known : [only]) {
      if (!known.includes(tenant) && (await redis.exists(auditKey(prefix, tenant))) === 0) {
        throw new CommandError(`There is no tenant ${tenant}, neither in the settings nor with an audit trail.`);
      }
      // Whoever reads may have seen enough, as `head` does.
      await pipeline(Readable.from(lines({ redis, prefix, tenant }, span)), process.stdout, { end: false }).catch(
        (error: { code?: string }) => {
          if (error.code !== 'EPIPE') throw error;
        },
      );
    }
  });
}

type Trail = { redis: RedisClient; prefix: string; tenant: string };

/** A checkpoint comes after the last of its records; the one after the last record may vouch for later ones too. */
async function* lines({ redis, prefix, tenant }: Trail, { start, end }: { start: string; end: string }) {
  const checkpoints = readCheckpoints(redis, checkpointsKey(prefix, tenant));
  let next = await checkpoints.next();
  for await (const { id, fields } of readEntries(redis, auditKey(prefix, tenant), start, end)) {
    for (; !next.done && comesBefore(next.value.last, id); next = await checkpoints.next()) {
      if (start === '-' || !comesBefore(next.value.last, start)) yield lineOf(next.value.jws);
    }
    yield `${JSON.stringify({ id, time: timeText(id), ...readAudit(fields) })}\n`;
  }
  if (!next.done) yield lineOf(next.value.jws);
}

async function* readCheckpoints(redis: RedisClient, key: string): AsyncGenerator<{ jws: string; last: string }> {
  for await (const text of readTexts(redis, key)) {
    const jws = text.split('\n')[0] as string;
    const last = lastOf(jws);
    if (last !== undefined) yield { jws, last };
  }
}

/** What is no checkpoint is for `audit verify` to tell. */
function lastOf(jws: string): string | undefined {
  try {
    const { last } = decodeJwt(jws);
    return typeof last === 'string' && /^\d+-\d+$/.test(last) ? last : undefined;
  } catch {
    return undefined;
  }
}

/** `ofDay` is added to a day alone. */
function momentOf(option: string, time: string, ofDay = 0): number {
  const [, day = '', more] = /^(\d{4}-\d\d-\d\d)(T.+)?$/.exec(time) ?? [];
  const at = Date.parse(time);
  // Date.parse takes the 30th of February for the 2nd of March.
  const isDay = !Number.isNaN(Date.parse(day)) && new Date(day).toISOString().startsWith(day);
  if (!isDay || Number.isNaN(at) || at < 0)
    throw new CommandError(`${option} is not a time: write it as 2026-03-31 or 2026-03-31T12:00:00Z.`);
  return more === undefined ? at + ofDay : at;
}
