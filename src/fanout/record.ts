/** What became of each revocation: per app its state, attempts and times, kept for `retention.revocations`. */
import { auditKey, auditText } from '../audit.js';
import type { Outcome, Reason } from '../connectors/connector.js';
import type { RedisClient as Redis } from '../redis.js';
import { digestOf, type Revocation } from './job.js';
import { tenantKeys } from './keys.js';

/** `pending`: the app has begun, and is asked again. A failed one may still become done when somebody retries it. */
export const appStates = ['waiting', 'retrying', 'pending', 'failed', 'revoked', 'accepted', 'none'] as const;
export type AppState = (typeof appStates)[number];

/** `internal` is for us to mend, `app_removed` for whoever wrote the settings; the others are the app's. */
export type FailureReason = Reason | 'internal' | 'app_removed';

export type AppRecord = {
  state: AppState;
  /** Attempts that were begun; one that ends as `app_removed` has called nobody. */
  attempts: number;
  /** Milliseconds since the epoch, as all times here. */
  at?: number;
  nextAttemptAt?: number;
  reason?: FailureReason;
  what?: Outcome['what'];
  partial?: string;
  verified?: true;
  removed?: Outcome['removed'];
  /** How long the last call took. */
  tookMs?: number;
  /** Calls that did not succeed, the oldest first; of very many, the last ones. */
  failures?: AttemptFailure[];
  /** The revocation whose job serves this one too. */
  servedBy?: string;
};

export type AttemptFailure = { at: number; tookMs: number; reason: FailureReason; nextAttemptAt?: number };

export type RevocationStatus = 'pending' | 'completed' | 'failed';

export type RevocationRecord = Omit<Revocation, 'accounts'> & {
  status: RevocationStatus;
  completedAt?: number;
  apps: Record<string, AppRecord>;
};

// Fields of a record: revocation, total, done, failed, completedAt; state:<app>, app:<app>, log:<app>, batch:<app>.
// Fields of an account: waiting (the job that can be joined), running and until; calls:<job>, also:<job> (who joined it),
// joined:<job> (when the last of them was accepted), told:<job> (who is to be told that it is done).
const OPEN = `
local id = string.match(KEYS[1], '[^:]+$')
local apps = (#KEYS - 5)
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'revocation', ARGV[1], 'total', apps, 'done', 0, 'failed', 0)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  for _, index in ipairs({KEYS[2], KEYS[5]}) do
    redis.call('ZADD', index, ARGV[2], id)
    redis.call('ZREMRANGEBYSCORE', index, '-inf', ARGV[2] - ARGV[3])
  end
  redis.call('PEXPIRE', KEYS[5], ARGV[3])
  local function note(event)
    redis.call('XADD', KEYS[4], '*', 'entry', 'event=' .. event .. '&' .. ARGV[4])
  end
  note('revocation.accepted')
  if apps == 0 then
    redis.call('HSET', KEYS[1], 'completedAt', ARGV[2])
    note('revocation.completed')
  else
    redis.call('ZADD', KEYS[3], ARGV[2], id)
  end
end
local jobs = {}
for i = 1, apps do
  local app, account = ARGV[4 + i], KEYS[5 + i]
  local state = redis.call('HGET', KEYS[1], 'state:' .. app)
  if not state then
    redis.call('HSET', KEYS[1], 'state:' .. app, 'waiting')
    local waiting = redis.call('HGET', account, 'waiting')
    if waiting then
      local also = redis.call('HGET', account, 'also:' .. waiting)
      redis.call('HSET', account, 'also:' .. waiting, also and also .. ' ' .. id or id)
      redis.call('HSET', KEYS[1], 'batch:' .. app, waiting)
      local joined = redis.call('HGET', account, 'joined:' .. waiting)
      if tonumber(joined or 0) < tonumber(ARGV[2]) then redis.call('HSET', account, 'joined:' .. waiting, ARGV[2]) end
    else
      redis.call('HSET', account, 'waiting', id)
    end
    redis.call('PEXPIRE', account, ARGV[3])
    jobs[i] = waiting or id
  elseif state == 'waiting' or state == 'retrying' or state == 'pending' then
    jobs[i] = redis.call('HGET', KEYS[1], 'batch:' .. app) or id
  else
    jobs[i] = ''
  end
end
return jobs`;

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
  redis.defineCommand('recordOpen', { lua: OPEN });
  redis.defineCommand('recordList', { numberOfKeys: 1, lua: LIST });
  const commands = redis as unknown as Record<
    'recordOpen' | 'recordList',
    (...args: (string | number)[]) => Promise<unknown>
  >;
  const keys = (tenant: string) => tenantKeys(options.prefix, tenant);

  return {
    /**
     * Opens the record, once. Answers, for each account in order, the id of the job that is to serve it: its own, or
     * that of a revocation which already waits for the same account; undefined where the app is owed no call.
     */
    async open({ accounts, ...revocation }: Revocation): Promise<(string | undefined)[]> {
      const { tenant, trust, operator, user, revocationId, acceptedAt } = revocation;
      const { record, index, ofUser, open, account: accountKey } = keys(tenant);
      const jobs = (await commands.recordOpen(
        5 + accounts.length,
        record(revocationId),
        index,
        open,
        auditKey(options.prefix, tenant),
        ofUser(user),
        ...accounts.map(({ app, account }) => accountKey(app, digestOf(revocation, account))),
        JSON.stringify(revocation),
        String(acceptedAt),
        String(options.retentionMs),
        auditText({ tenant, trust, operator, user, revocationId }),
        ...accounts.map(({ app }) => app),
      )) as string[];
      return jobs.map((job) => (job === '' ? undefined : job));
    },

    async exists(tenant: string, revocationId: string): Promise<boolean> {
      return (await redis.exists(keys(tenant).record(revocationId))) === 1;
    },

    async read(tenant: string, revocationId: string): Promise<RevocationRecord | undefined> {
      return parseRecord(await redis.hgetall(keys(tenant).record(revocationId)));
    },

    /** How many are not over, those that are overdue among them. */
    async countOpen(tenant: string): Promise<number> {
      const { open, overdue } = keys(tenant);
      const [inTime, late] = await Promise.all([redis.zcard(open), redis.zcard(overdue)]);
      return inTime + late;
    },

    /** The newest first, of everybody or of `user`; `after` is the id of the last one on the page before. */
    async list(
      tenant: string,
      { user, after = '', limit }: { user?: string | undefined; after?: string | undefined; limit: number },
    ): Promise<RevocationRecord[]> {
      const { index, ofUser, record } = keys(tenant);
      const among = user === undefined ? index : ofUser(user);
      const ids = (await commands.recordList(among, after, String(limit))) as string[];
      const records = await Promise.all(ids.map((id) => redis.hgetall(record(id))));
      return records.flatMap((fields) => parseRecord(fields) ?? []);
    },
  };
}

function parseRecord(fields: Record<string, string>): RevocationRecord | undefined {
  if (!fields.revocation) return undefined;
  const apps = Object.entries(fields).flatMap(([name, state]) => {
    if (!name.startsWith('state:')) return [];
    const app = name.slice('state:'.length);
    const { [`app:${app}`]: details, [`log:${app}`]: log, [`batch:${app}`]: servedBy } = fields;
    const record = {
      attempts: 0,
      ...(details ? JSON.parse(details) : {}),
      ...(log && { failures: log.trimEnd().split('\n').map(parseFailure) }),
      ...(servedBy && { servedBy }),
      state,
    };
    return [[app, record] as [string, AppRecord]];
  });
  const { completedAt, failed } = fields;
  const finished = Number(failed) > 0 ? 'failed' : 'completed';
  return {
    ...(JSON.parse(fields.revocation) as Omit<Revocation, 'accounts'>),
    status: completedAt === undefined ? 'pending' : finished,
    ...(completedAt !== undefined && { completedAt: Number(completedAt) }),
    // Redis keeps the fields in an order of its own.
    apps: Object.fromEntries(apps.sort(([a], [b]) => a.localeCompare(b))),
  };
}

function parseFailure(line: string): AttemptFailure {
  return JSON.parse(line) as AttemptFailure;
}
