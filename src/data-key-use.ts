/** What each running gateway is, told in Redis: its data keys, of which none may be dropped while somebody seals with it, and its settings. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { DataKeys } from './data-key.js';
import type { RedisClient } from './redis.js';

/** How often a gateway tells; it reads its keys anew just before. */
export const TELL_EVERY_MS = 2_000;
/** After this silence it counts as ended. */
const SILENT_S = 8;

// The clock is Redis' own, so that those of the machines need not agree.
const TELL = `
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if now - tonumber(string.match(all[i + 1], '^%d+')) > 10 * tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], all[i]) end
end`;

/** `settings` is the digest of those that it has read. */
export type Running = { roles: readonly string[]; settings?: string | undefined };

/** Without `gateway` it is a command that seals. */
export type KeyUse = { process: string; ids: string[]; gateway?: Running | undefined };

/** Tells at once, then every two seconds; while Redis is away, nobody can ask either. */
export function tellDataKeys(redis: RedisClient, prefix: string, dataKeys: DataKeys, gateway?: Running) {
  redis.defineCommand('dataKeysTell', { numberOfKeys: 1, lua: TELL });
  const { dataKeysTell } = redis as unknown as { dataKeysTell: (...args: string[]) => Promise<unknown> };
  const id = randomUUID();

  async function tell(): Promise<void> {
    dataKeys.refresh();
    const use: KeyUse = { process: `process ${process.pid} on ${hostname()}`, ids: dataKeys.ids(), gateway };
    await dataKeysTell.call(redis, keyOf(prefix), id, JSON.stringify(use), String(SILENT_S));
  }

  // What fails is tried again the next time.
  const tellAnyway = () => void tell().catch(() => {});
  tellAnyway();
  const timer = setInterval(tellAnyway, TELL_EVERY_MS);
  return {
    async close(): Promise<void> {
      clearInterval(timer);
      await redis.hdel(keyOf(prefix), id).catch(() => {});
    },
  };
}

/** Every gateway that has told within the last seconds. */
export async function readKeyUse(redis: RedisClient, prefix: string): Promise<KeyUse[]> {
  const [[seconds], all] = await Promise.all([redis.time(), redis.hgetall(keyOf(prefix))]);
  return Object.values(all).flatMap((text) => {
    const [at, json] = [Number.parseInt(text, 10), text.slice(text.indexOf(' ') + 1)];
    return Number(seconds) - at > SILENT_S ? [] : [JSON.parse(json) as KeyUse];
  });
}

function keyOf(prefix: string): string {
  return `${prefix}:data-keys`;
}
