/** Seals with the first data key whatever in Redis is sealed with another, or not at all, while gateways run. */
import { type DataKeys, keyIdOf } from '../data-key.js';
import { mastersOf, type RedisClient as Redis } from '../redis.js';
import { type SealedPlace, sealedPlaces } from './sealed-places.js';

const BATCH = 500;

// What has changed since it was read is left to the next pass; what has gone stays gone.
const REPLACE = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`;

export type Pass = {
  sealedAnew: number;
  /** Changed by somebody else in the same moment. */
  missed: number;
  /** By the id of the key that is missing: how many texts need it. */
  missing: Map<string, number>;
  /** Keys in Redis of texts that do not open although their key is there. */
  broken: string[];
};

/** One pass over all keys. Whatever was there at its beginning is seen; killed half-way, what is done is done. */
export async function reseal(options: {
  redis: Redis;
  prefix: string;
  dataKeys: DataKeys;
  /** Told how many keys of Redis were looked at, and of how many. */
  onLooked?: (count: number, of: number) => void;
  /** Looks at about so many keys, and changes nothing: `sealedAnew` are those that would be. */
  onlyLooksAt?: number;
}): Promise<Pass> {
  const { redis, prefix, dataKeys, onLooked, onlyLooksAt } = options;
  redis.defineCommand('resealReplace', { numberOfKeys: 1, lua: REPLACE });
  const { resealReplace } = redis as unknown as { resealReplace: (...args: string[]) => Promise<number> };
  const places = sealedPlaces(prefix);
  const pass: Pass = { sealedAnew: 0, missed: 0, missing: new Map(), broken: [] };
  const masters = mastersOf(redis);
  const sizes = await Promise.all(masters.map((master) => master.dbsize()));
  const of = sizes.reduce((sum, size) => sum + size, 0);
  let looked = 0;
  for (const master of masters) {
    let cursor = '0';
    do {
      const [next, keys] = await master.scan(cursor, 'COUNT', BATCH);
      await Promise.all(keys.map(resealKey));
      looked += keys.length;
      onLooked?.(looked, of);
      cursor = next;
    } while (cursor !== '0' && looked < (onlyLooksAt ?? Number.POSITIVE_INFINITY));
  }
  return pass;

  async function resealKey(key: string): Promise<void> {
    for (const place of places) {
      const match = place.key.exec(key);
      if (!match) continue;
      const before = await readField(key, place.field);
      const after = before === null ? undefined : resealValue(before, { ...place, match });
      if (before === null || after === undefined) continue;
      const replaced = onlyLooksAt !== undefined || (await resealReplace.call(redis, key, place.field, before, after));
      if (replaced) pass.sealedAnew++;
      else pass.missed++;
    }
  }

  /** BullMQ's lists of a queue are named like its jobs. */
  function readField(key: string, field: string): Promise<string | null> {
    return redis.hget(key, field).catch((error: Error) => {
      if (error.message.startsWith('WRONGTYPE')) return null;
      throw error;
    });
  }

  /** Undefined where nothing has to change. */
  function resealValue(text: string, { members, contextOf, match }: SealedPlace & { match: RegExpExecArray }) {
    const value = JSON.parse(text) as Record<string, unknown>;
    const context = contextOf(match, value);
    let changed = false;
    for (const member of members) {
      const sealed = value[member];
      if (typeof sealed !== 'string') continue;
      const id = keyIdOf(sealed);
      const isFirst = id === dataKeys.ids()[0];
      // Whoever only looks wants to know whether it opens.
      if (isFirst && onlyLooksAt === undefined) continue;
      if (id !== undefined && !dataKeys.ids().includes(id)) {
        pass.missing.set(id, (pass.missing.get(id) ?? 0) + 1);
        continue;
      }
      try {
        const plain = dataKeys.open(sealed, context);
        if (isFirst) continue;
        value[member] = dataKeys.seal(plain, context);
        changed = true;
      } catch {
        pass.broken.push(match[0]);
      }
    }
    return changed ? JSON.stringify(value) : undefined;
  }
}
