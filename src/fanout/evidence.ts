/** What apps report by themselves, kept for as long as a connector may ask for it. */
import type { Evidence } from '../connectors/connector.js';
import type { RedisClient as Redis } from '../redis.js';
import { tenantKeys } from './keys.js';

/** Longer than an app goes on sending what was not taken (Cerby: a day), so that a repeat is told from news. */
const KEPT_MS = 48 * 3_600_000;
/** About one account or job, the rest is noise. */
const MOST = 200;

// Answers whether it is news.
const ADD = `
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 or redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`;

export type EvidenceStore = ReturnType<typeof createEvidenceStore>;

export function createEvidenceStore(redis: Redis, prefix: string) {
  redis.defineCommand('evidenceAdd', { numberOfKeys: 1, lua: ADD });
  const { evidenceAdd } = redis as unknown as { evidenceAdd(...args: string[]): Promise<number> };
  const keyOf = ({ tenant, app }: AppName, about: string) => tenantKeys(prefix, tenant).evidence(app, about);

  return {
    /** Answers how many of them were not known; what is sent again is kept once. */
    async add(of: AppName, evidence: readonly Evidence[]): Promise<number> {
      const added = await Promise.all(
        evidence.map(({ about, eventId, type, at, ok }) =>
          evidenceAdd.call(
            redis,
            keyOf(of, about),
            eventId,
            JSON.stringify({ type, at, ok }),
            String(KEPT_MS),
            String(MOST),
          ),
        ),
      );
      return added.reduce((sum, one) => sum + one, 0);
    },

    /** The oldest first. */
    async read(of: AppName, abouts: readonly string[]): Promise<Evidence[]> {
      const found = await Promise.all(
        abouts.map(async (about) => {
          const events = await redis.hgetall(keyOf(of, about));
          return Object.entries(events).map(([eventId, text]) => ({ about, eventId, ...JSON.parse(text) }) as Evidence);
        }),
      );
      return found.flat().sort((a, b) => a.at - b.at);
    },
  };
}

type AppName = { tenant: string; app: string };
