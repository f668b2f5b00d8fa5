/** What became of each revocation: per app its state, attempts and times, kept for `retention.revocations`. */
import type { Redis } from 'ioredis';
import type { Outcome, Reason } from '../connectors/connector.js';
import type { Revocation } from './job.js';

export type AppState = 'waiting' | 'retrying' | 'failed' | Outcome['state'];

export type AppRecord = {
  state: AppState;
  attempts: number;
  /** Milliseconds since the epoch, as all times here. */
  at?: number;
  nextAttemptAt?: number;
  reason?: Reason;
  what?: Outcome['what'];
  partial?: string;
};

export type RevocationStatus = 'pending' | 'completed' | 'failed';

export type RevocationRecord = Omit<Revocation, 'accounts'> & {
  status: RevocationStatus;
  completedAt?: number;
  apps: Record<string, AppRecord>;
};

// Fields: revocation, total, done, failed, completedAt; state:<app>, app:<app>.
const OPEN = `
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'revocation', ARGV[1], 'total', #ARGV - 3, 'done', 0, 'failed', 0)
  if #ARGV == 3 then redis.call('HSET', KEYS[1], 'completedAt', ARGV[2]) end
  for i = 4, #ARGV do redis.call('HSET', KEYS[1], 'state:' .. ARGV[i], 'waiting') end
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('ZADD', KEYS[2], ARGV[2], string.match(KEYS[1], '[^:]+$'))
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2] - ARGV[3])
end
local open = {}
for i = 4, #ARGV do
  local state = redis.call('HGET', KEYS[1], 'state:' .. ARGV[i])
  if state == 'waiting' or state == 'retrying' then open[#open + 1] = ARGV[i] end
end
return open`;

// An app that is done stays done; a failed one may still become done when somebody retries it.
const UPDATE = `
local app, state, details, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local before = redis.call('HGET', KEYS[1], 'state:' .. app)
if not before or before == 'revoked' or before == 'accepted' or before == 'none' then return '' end
redis.call('HSET', KEYS[1], 'state:' .. app, state, 'app:' .. app, details)
if before == 'failed' then redis.call('HINCRBY', KEYS[1], 'failed', -1) end
if state == 'waiting' or state == 'retrying' then
  redis.call('HDEL', KEYS[1], 'completedAt')
  return ''
end
redis.call('HINCRBY', KEYS[1], state == 'failed' and 'failed' or 'done', 1)
local counts = redis.call('HMGET', KEYS[1], 'total', 'done', 'failed')
if counts[2] + counts[3] < tonumber(counts[1]) then return '' end
local status = tonumber(counts[3]) > 0 and 'failed' or 'completed'
-- It had failed before: nothing new.
if status == 'failed' and redis.call('HEXISTS', KEYS[1], 'completedAt') == 1 then return '' end
redis.call('HSET', KEYS[1], 'completedAt', now)
return status`;

// By rank, not by time: many revocations may have come in the same millisecond.
const LIST = `
local start = 0
if ARGV[1] ~= '' then
  local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
  if not rank then return {} end
  start = rank + 1
end
return redis.call('ZREVRANGE', KEYS[1], start, start + ARGV[2] - 1)`;

export type RevocationRecords = ReturnType<typeof createRevocationRecords>;

export function createRevocationRecords(redis: Redis, options: { prefix: string; retentionMs: number }) {
  redis.defineCommand('recordOpen', { numberOfKeys: 2, lua: OPEN });
  redis.defineCommand('recordUpdate', { numberOfKeys: 1, lua: UPDATE });
  redis.defineCommand('recordList', { numberOfKeys: 1, lua: LIST });
  const commands = redis as unknown as Record<
    'recordOpen' | 'recordUpdate' | 'recordList',
    (...args: string[]) => Promise<unknown>
  >;
  const key = (tenant: string, revocationId: string) => `${options.prefix}:{${tenant}}:revocation:${revocationId}`;
  const index = (tenant: string) => `${options.prefix}:{${tenant}}:revocations`;

  return {
    /** Opens the record, once; answers the apps that are still owed a call. */
    async open({ accounts, ...revocation }: Revocation): Promise<string[]> {
      const { tenant, revocationId, acceptedAt } = revocation;
      return (await commands.recordOpen(
        key(tenant, revocationId),
        index(tenant),
        JSON.stringify(revocation),
        String(acceptedAt),
        String(options.retentionMs),
        ...accounts.map(({ app }) => app),
      )) as string[];
    },

    /** Notes what became of one app. Answers the revocation's status where this was the last app, else ''. */
    async update(
      { tenant, revocationId }: { tenant: string; revocationId: string },
      app: string,
      record: AppRecord,
    ): Promise<'' | 'completed' | 'failed'> {
      const { state, ...details } = record;
      const answer = await commands.recordUpdate(
        key(tenant, revocationId),
        app,
        state,
        JSON.stringify(details),
        String(record.at ?? 0),
      );
      return answer as '' | 'completed' | 'failed';
    },

    /** Whether the app has nothing left to do for this revocation. */
    async isDone({ tenant, revocationId }: { tenant: string; revocationId: string }, app: string): Promise<boolean> {
      const state = await redis.hget(key(tenant, revocationId), `state:${app}`);
      return state === 'revoked' || state === 'accepted' || state === 'none';
    },

    async exists(tenant: string, revocationId: string): Promise<boolean> {
      return (await redis.exists(key(tenant, revocationId))) === 1;
    },

    async read(tenant: string, revocationId: string): Promise<RevocationRecord | undefined> {
      return parseRecord(await redis.hgetall(key(tenant, revocationId)));
    },

    /** The newest first; `after` is the id of the last one on the page before. */
    async list(tenant: string, { after = '', limit }: { after?: string; limit: number }): Promise<RevocationRecord[]> {
      const ids = (await commands.recordList(index(tenant), after, String(limit))) as string[];
      const records = await Promise.all(ids.map((id) => redis.hgetall(key(tenant, id))));
      return records.flatMap((fields) => parseRecord(fields) ?? []);
    },
  };
}

function parseRecord(fields: Record<string, string>): RevocationRecord | undefined {
  if (!fields.revocation) return undefined;
  const apps = Object.entries(fields).flatMap(([name, state]) => {
    if (!name.startsWith('state:')) return [];
    const app = name.slice('state:'.length);
    const details = fields[`app:${app}`];
    return [[app, { attempts: 0, ...(details ? JSON.parse(details) : {}), state }] as [string, AppRecord]];
  });
  const { completedAt, failed } = fields;
  const finished = Number(failed) > 0 ? 'failed' : 'completed';
  return {
    ...(JSON.parse(fields.revocation) as Omit<Revocation, 'accounts'>),
    status: completedAt === undefined ? 'pending' : finished,
    ...(completedAt !== undefined && { completedAt: Number(completedAt) }),
    apps: Object.fromEntries(apps),
  };
}
