/** The two ends of every attempt, each one script: may the app be called now, and what has come of it. */
import { type AuditEntry, auditFields, auditKey } from '../audit.js';
import type { RedisClient as Redis } from '../redis.js';
import { tenantKeys } from './keys.js';
import type { AppRecord, AttemptFailure } from './record.js';

/** When an app is no longer called. The windows are Redis's time, not ours: all workers have the same. */
export type BreakerSettings = {
  /** Of the calls of a window, 0 to 1. */
  failureRatio: number;
  minimumCalls: number;
  /** Milliseconds, as `openFor`. */
  window: number;
  openFor: number;
};

/** `moved`: another job serves the revocations of this one. `busy`: the account is being called by another job. */
export type Beginning =
  | { verdict: 'go'; members: string[]; call: number; retriedAt: number }
  | { verdict: 'held'; forMs: number }
  | { verdict: 'busy'; forMs: number }
  | { verdict: 'done'; members: string[] }
  | { verdict: 'moved' };

/** What an attempt tells of the app: `neutral` where the app is not to blame, `auth` where it refuses our credentials. */
export type Blame = 'good' | 'bad' | 'auth' | 'neutral';

export type Ending = {
  /** Of each member, where this was its last app. */
  statuses: ('' | 'completed' | 'failed')[];
  /** Another job that waits for this account has taken the members over. */
  moved: boolean;
  breaker: 'opened' | 'closed' | '';
  /** How long the breaker stays open from now, in milliseconds. */
  openForMs: number;
};

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

const BEGIN = `${NOW}
local app, job, lease, retention = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local record = redis.call('HMGET', KEYS[1], 'state:' .. app, 'batch:' .. app)
local state, batch = record[1], record[2]
if batch and batch ~= job then return {'moved'} end
local also = redis.call('HGET', KEYS[2], 'also:' .. job) or ''
if state == 'revoked' or state == 'accepted' or state == 'none' then return {'done', also} end
local account = redis.call('HMGET', KEYS[2], 'running', 'until', 'waiting')
if account[1] and account[1] ~= job and tonumber(account[2]) > now then
  return {'busy', account[2] - now}
end
local lane = redis.call('HMGET', KEYS[3], 'until', 'probe', 'probeUntil', 'retriedAt')
if lane[1] then
  if tonumber(lane[1]) > now then return {'held', lane[1] - now} end
  if lane[2] and lane[2] ~= job and tonumber(lane[3]) > now then return {'held', math.min(lane[3] - now, 1000)} end
  redis.call('HSET', KEYS[3], 'probe', job, 'probeUntil', now + lease)
end
if account[3] == job then redis.call('HDEL', KEYS[2], 'waiting') end
redis.call('HSET', KEYS[2], 'running', job, 'until', now + lease)
redis.call('PEXPIRE', KEYS[2], retention)
if state == 'failed' then
  redis.call('HSET', KEYS[1], 'state:' .. app, 'waiting')
  redis.call('HINCRBY', KEYS[1], 'failed', -1)
  redis.call('HDEL', KEYS[1], 'completedAt')
  redis.call('ZADD', KEYS[4], now, job)
end
return {'go', also, redis.call('HINCRBY', KEYS[2], 'calls:' .. job, 1), lane[4] or '0'}`;

const END = `${NOW}
local app, job, state, details, at, blame, failure = unpack(ARGV, 1, 7)
local ratio, minimum, window, openFor = unpack(ARGV, 8, 11)
local fields = cjson.decode(ARGV[13])
local account, lane, open, trail, overdue = unpack(KEYS, 1, 5)
local over = state ~= 'waiting' and state ~= 'retrying' and state ~= 'pending'
local answer = {'', '', 0}

local function append(name, entry)
  local log = (redis.call('HGET', name, 'log:' .. app) or '') .. entry .. '\\n'
  while #log > 8000 do log = string.sub(log, string.find(log, '\\n') + 1) end
  redis.call('HSET', name, 'log:' .. app, log)
end

for i = 6, #KEYS do
  local record, id, status = KEYS[i], string.match(KEYS[i], '[^:]+$'), ''
  local before = redis.call('HGET', record, 'state:' .. app)
  if before and before ~= 'revoked' and before ~= 'accepted' and before ~= 'none' then
    redis.call('HSET', record, 'state:' .. app, state, 'app:' .. app, details)
    if failure ~= '' then append(record, failure) end
    redis.call('XADD', trail, '*', 'revocationId', id, unpack(fields))
    if before == 'failed' then redis.call('HINCRBY', record, 'failed', -1) end
    if over then
      redis.call('HINCRBY', record, state == 'failed' and 'failed' or 'done', 1)
      local counts = redis.call('HMGET', record, 'total', 'done', 'failed', 'completedAt')
      if counts[2] + counts[3] >= tonumber(counts[1]) then
        status = tonumber(counts[3]) > 0 and 'failed' or 'completed'
        -- It had failed before: nothing new.
        if status == 'failed' and counts[4] then status = '' end
      end
      if status ~= '' then
        redis.call('HSET', record, 'completedAt', at)
        redis.call('ZREM', open, id)
        redis.call('ZREM', overdue, id)
        redis.call('XADD', trail, '*', 'event', 'revocation.' .. status, 'revocationId', id, unpack(fields, 3, 6))
      end
    elseif before == 'failed' then
      redis.call('HDEL', record, 'completedAt')
      redis.call('ZADD', open, at, id)
    end
  end
  answer[i - 2] = status
end

redis.call('HDEL', account, 'running', 'until')
if over then
  if state ~= 'failed' then redis.call('HDEL', account, 'also:' .. job, 'calls:' .. job) end
elseif ARGV[12] == 'joinable' then
  local waiting = redis.call('HGET', account, 'waiting')
  if waiting and waiting ~= job then
    local also = redis.call('HGET', account, 'also:' .. waiting)
    for i = 6, #KEYS do
      local id = string.match(KEYS[i], '[^:]+$')
      also = also and also .. ' ' .. id or id
      redis.call('HSET', KEYS[i], 'batch:' .. app, waiting)
    end
    redis.call('HSET', account, 'also:' .. waiting, also)
    redis.call('HDEL', account, 'also:' .. job, 'calls:' .. job)
    answer[1] = 'moved'
  else
    redis.call('HSET', account, 'waiting', job)
  end
end

-- The breaker. Fields of a lane: until, since, trips, why, probe, probeUntil while it is open; good:<n> and bad:<n>,
-- the calls of each tenth of the window; paused, retriedAt.
local breaker = redis.call('HMGET', lane, 'until', 'probe', 'trips')
local isProbe = breaker[2] == job

local function counts()
  local oldest, all = math.floor(now / window * 10) - 9, redis.call('HGETALL', lane)
  local sum = { good = 0, bad = 0 }
  for i = 1, #all, 2 do
    local kind, bucket = string.match(all[i], '^(%a+):(%d+)$')
    if kind and tonumber(bucket) < oldest then redis.call('HDEL', lane, all[i])
    elseif kind then sum[kind] = sum[kind] + all[i + 1] end
  end
  return sum
end

local function count(kind)
  return redis.call('HINCRBY', lane, string.format('%s:%.0f', kind, math.floor(now / window * 10)), 1)
end

if breaker[1] then
  if isProbe and blame == 'good' then
    redis.call('HDEL', lane, 'until', 'since', 'trips', 'why', 'probe', 'probeUntil')
    answer[2] = 'closed'
  elseif isProbe then
    redis.call('HDEL', lane, 'probe', 'probeUntil')
    if blame ~= 'neutral' then
      local trips = breaker[3] + 1
      local pause = math.min(openFor * 2 ^ trips, openFor * 10)
      redis.call('HSET', lane, 'trips', trips, 'until', string.format('%.0f', now + pause))
      answer[3] = pause
    end
  end
elseif blame == 'good' then
  if count('good') == 1 then counts() end
elseif blame ~= 'neutral' then
  count('bad')
  local sum = counts()
  local calls = sum.good + sum.bad
  if blame == 'auth' or (calls >= tonumber(minimum) and sum.bad / calls >= tonumber(ratio)) then
    for _, name in ipairs(redis.call('HKEYS', lane)) do
      if string.match(name, ':%d+$') then redis.call('HDEL', lane, name) end
    end
    redis.call('HSET', lane, 'until', string.format('%.0f', now + openFor), 'since', string.format('%.0f', now),
      'trips', 0, 'why', blame)
    answer[2], answer[3] = 'opened', tonumber(openFor)
  end
end
return answer`;

/**
 * Between them the scripts hold the breaker of the app, which all workers share, and see to it that of the jobs for one
 * account one waits and one runs, whatever the number of revocations that they serve.
 */
export type Attempts = ReturnType<typeof createAttempts>;

export function createAttempts(redis: Redis, { prefix, retentionMs }: { prefix: string; retentionMs: number }) {
  redis.defineCommand('attemptBegin', { numberOfKeys: 4, lua: BEGIN });
  redis.defineCommand('attemptEnd', { lua: END });
  const commands = redis as unknown as Record<
    'attemptBegin' | 'attemptEnd',
    (...args: (string | number)[]) => Promise<unknown>
  >;

  return {
    /** `leaseMs`: how long the account counts as being called, should this worker die. */
    async begin(of: { tenant: string; app: string; job: string; digest: string; leaseMs: number }): Promise<Beginning> {
      const { tenant, app, job, digest, leaseMs } = of;
      const { record, account, lane, open } = tenantKeys(prefix, tenant);
      const [verdict, second, call, retriedAt] = (await commands.attemptBegin(
        record(job),
        account(app, digest),
        lane(app),
        open,
        app,
        job,
        String(leaseMs),
        String(retentionMs),
      )) as [Beginning['verdict'], string | number, number, string];
      const members = [job, ...String(second ?? '').split(' ')].filter((id) => id !== '');
      if (verdict === 'go') return { verdict, members, call, retriedAt: Number(retriedAt) };
      if (verdict === 'done') return { verdict, members };
      return verdict === 'moved' ? { verdict } : { verdict, forMs: Number(second) };
    },

    /**
     * Writes the outcome into the record of every member and into the audit trail, gives the account free, and tells
     * the breaker. A job that is to run again can be joined from now on, unless it only asks what has become of a call.
     */
    async end(
      of: { tenant: string; app: string; job: string; digest: string; members: readonly string[]; joinable: boolean },
      { state, ...details }: AppRecord,
      more: {
        blame: Blame;
        failure?: AttemptFailure;
        breaker: BreakerSettings;
        audit: Omit<AuditEntry, 'revocationId'> & { user: string };
      },
    ): Promise<Ending> {
      const { tenant, app, job, digest, members, joinable } = of;
      const { record, account, lane, open, overdue } = tenantKeys(prefix, tenant);
      const { failureRatio, minimumCalls, window, openFor } = more.breaker;
      const { event, user, ...rest } = more.audit;
      const [moved, breaker, openForMs, ...statuses] = (await commands.attemptEnd(
        5 + members.length,
        account(app, digest),
        lane(app),
        open,
        auditKey(prefix, tenant),
        overdue,
        ...members.map(record),
        app,
        job,
        state,
        JSON.stringify(details),
        String(details.at ?? 0),
        more.blame,
        more.failure ? JSON.stringify(more.failure) : '',
        String(failureRatio),
        String(minimumCalls),
        String(window),
        String(openFor),
        joinable ? 'joinable' : '',
        // The script counts on this order: event, tenant, user.
        JSON.stringify(auditFields({ event, tenant, user, ...without(rest, 'tenant') })),
      )) as [string, Ending['breaker'], number, ...Ending['statuses']];
      return { statuses, moved: moved === 'moved', breaker, openForMs: Number(openForMs) };
    },
  };
}

function without<T extends object, K extends keyof T>(object: T, key: K): Omit<T, K> {
  const { [key]: _, ...rest } = object;
  return rest;
}
