/** The two ends of every attempt, each one script: may the app be called now, and what has come of it. */
import { ReplyError } from 'ioredis';
import { type AuditEntry, auditKey, auditText } from '../audit.js';
import type { RedisClient as Redis } from '../redis.js';
import { tenantKeys } from './keys.js';
import type { AppRecord, AttemptFailure } from './record.js';
import { together } from './together.js';

/** Redis does nothing else meanwhile: some milliseconds at most. */
const TOGETHER = 32;

/** When an app is no longer called. The windows are Redis's time, not ours: all workers have the same. */
export type BreakerSettings = {
  /** Of the calls of a window, 0 to 1. */
  failureRatio: number;
  minimumCalls: number;
  /** Milliseconds, as `openFor`. */
  window: number;
  openFor: number;
};

/**
 * `moved`: another job serves the revocations of this one. `busy`: the account is being called by another job. What is
 * not `safe` may be otherwise once another master is there: then the job is needed still. `later`: it has made room for a
 * single logout, and comes after it.
 */
export type Beginning =
  | {
      verdict: 'go';
      members: string[];
      call: number;
      /** When the job last began anew: joined, retried with all of its lane, or free to go after the breaker. */
      renewedAt: number;
      /** It finds out for the breaker whether the app is back. */
      probe: boolean;
    }
  | { verdict: 'held'; forMs: number }
  | { verdict: 'busy'; forMs: number }
  | { verdict: 'done'; members: string[]; safe: boolean }
  | { verdict: 'moved'; safe: boolean }
  | { verdict: 'later' };

/** What an attempt tells of the app: `neutral` where the app is not to blame, `auth` where it refuses our credentials. */
export type Blame = 'good' | 'bad' | 'auth' | 'neutral';

export type Ending = {
  /** Of each member, where this was its last app. */
  statuses: ('' | 'completed' | 'failed')[];
  /** Another job that waits for this account has taken the members over. */
  moved: boolean;
  /** Another attempt of the same job has begun since, and its word counts: nothing was written. */
  stale: boolean;
  breaker: 'opened' | 'closed' | '';
  /** How long the breaker stays open from now, in milliseconds. */
  openForMs: number;
  /** Whether as many replicas have it as are waited for, if any are. */
  safe: boolean;
};

/** Writes until so many replicas have it; `safe` is false where they are away, and the master is not. */
export type Safely = <T>(write: () => Promise<T>) => Promise<{ answer: T; safe: boolean }>;

// Several attempts go through one run of a script; what is wrong with the data of one is told of that one alone.
const EACH = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function each(one, ...)
  local fine, answer = pcall(one, ...)
  if fine then return answer end
  local message = type(answer) == 'table' and answer.err or answer
  -- Then it is none: whoever sent this looks for another master.
  if string.find(message, 'READONLY', 1, true) then error(answer) end
  return {'error', message}
end`;

// KEYS: open; of each its record, account, lane. ARGV: retention; of each app, job, lease.
const BEGIN = `${EACH}
local open, retention = KEYS[1], ARGV[1]

local function begin(record, account, lane, app, job, lease)
  local state, batch = unpack(redis.call('HMGET', record, 'state:' .. app, 'batch:' .. app))
  if batch and batch ~= job then return {'moved'} end
  local running, busyUntil, waiting, also, calls, joined, told = unpack(redis.call('HMGET', account,
    'running', 'until', 'waiting', 'also:' .. job, 'calls:' .. job, 'joined:' .. job, 'told:' .. job))
  -- Whoever has joined it since is still to be called for.
  if (state == 'revoked' or state == 'accepted' or state == 'none') and not also then
    if waiting == job then redis.call('HDEL', account, 'waiting') end
    return {'done', told or ''}
  end
  if running and running ~= job and tonumber(busyUntil) > now then return {'busy', busyUntil - now} end
  local held, probe, probeUntil, retriedAt, retryAfter =
    unpack(redis.call('HMGET', lane, 'until', 'probe', 'probeUntil', 'retriedAt', 'retryAfter'))
  if retryAfter and tonumber(retryAfter) > now then return {'held', retryAfter - now} end
  if held then
    if tonumber(held) > now then return {'held', held - now} end
    if probe and probe ~= job and tonumber(probeUntil) > now then return {'held', math.min(probeUntil - now, 1000)} end
    redis.call('HSET', lane, 'probe', job, 'probeUntil', now + lease)
  end
  local call = (calls or 0) + 1
  redis.call('HSET', account, 'running', job, 'until', now + lease, 'calls:' .. job, call)
  if waiting == job then redis.call('HDEL', account, 'waiting') end
  redis.call('PEXPIRE', account, retention)
  if state == 'failed' then
    redis.call('HSET', record, 'state:' .. app, 'waiting')
    redis.call('HINCRBY', record, 'failed', -1)
    redis.call('HDEL', record, 'completedAt')
    redis.call('ZADD', open, now, job)
  end
  local renewedAt = math.max(tonumber(retriedAt or 0), tonumber(joined or 0))
  return {'go', also or '', call, string.format('%.0f', renewedAt), held and 1 or 0}
end

local answers = {}
for i = 1, (#KEYS - 1) / 3 do
  local at = 3 * i - 1
  answers[i] = each(begin, KEYS[at], KEYS[at + 1], KEYS[at + 2], ARGV[at], ARGV[at + 1], ARGV[at + 2])
end
return answers`;

// KEYS: open, trail, overdue; of each its account, lane, members. ARGV: retention; of each the number of its members, then
// what is unpacked below. What is written here already, because the answer or the connection was lost, is answered once more
// and not written again: others may have gone on from there.
const END = `${EACH}
local open, trail, overdue, retention = KEYS[1], KEYS[2], KEYS[3], ARGV[1]

local function append(name, app, entry)
  local log = (redis.call('HGET', name, 'log:' .. app) or '') .. entry .. '\\n'
  while #log > 8000 do log = string.sub(log, string.find(log, '\\n') + 1) end
  redis.call('HSET', name, 'log:' .. app, log)
end

local function again(k, members, over, at, moved, turn)
  local answer = {moved and 'moved' or '', '', 0}
  for i = 1, members do
    local completedAt, failed = unpack(redis.call('HMGET', KEYS[k + 1 + i], 'completedAt', 'failed'))
    answer[i + 3] = over and completedAt == at and (tonumber(failed) > 0 and 'failed' or 'completed') or ''
  end
  local turned, held = unpack(redis.call('HMGET', KEYS[k + 1], 'turned', 'until'))
  if turned == 'closed ' .. turn then answer[2] = 'closed' end
  if held and turned == 'opened ' .. turn then answer[2], answer[3] = 'opened', math.max(held - now, 1) end
  return answer
end

local function finish(k, a, members)
  local account, lane = KEYS[k], KEYS[k + 1]
  local app, job, state, details, at, blame, failure, ratio, minimum, window, openFor, joinable, call, retryAfterMs,
    entry, who = unpack(ARGV, a, a + 15)
  local over = state ~= 'waiting' and state ~= 'retrying' and state ~= 'pending'
  local answer, turn = {'', '', 0}, job .. ' ' .. at

  -- Whoever took its revocations over has written there since.
  local written, batch, before =
    unpack(redis.call('HMGET', KEYS[k + 2], 'app:' .. app, 'batch:' .. app, 'state:' .. app))
  local moved = not over and joinable ~= '' and batch and batch ~= job
  if moved or written == details then return again(k, members, over, at, moved, turn) end
  local running, calls, also, joined =
    unpack(redis.call('HMGET', account, 'running', 'calls:' .. job, 'also:' .. job, 'joined:' .. job))
  -- A beginning that a failover has lost is no other attempt: nobody has ended the job, and none has taken it over.
  local isLost = not calls and not (batch and batch ~= job)
    and before ~= 'revoked' and before ~= 'accepted' and before ~= 'none'
  -- Whoever has joined since, on a master without that beginning, is still to be called for.
  local called = {}
  for i = 2, members do called[i - 1] = string.match(KEYS[k + 1 + i], '[^:]+$') end
  local hasJoined = (also or '') ~= table.concat(called, ' ')
  if hasJoined or call ~= calls and not isLost then
    answer[1] = 'stale'
    for i = 1, members do answer[i + 3] = '' end
    return answer
  end

  for i = 1, members do
    local record, status = KEYS[k + 1 + i], ''
    local id = string.match(record, '[^:]+$')
    local before, total, done, failed, completedAt =
      unpack(redis.call('HMGET', record, 'state:' .. app, 'total', 'done', 'failed', 'completedAt'))
    if before and before ~= 'revoked' and before ~= 'accepted' and before ~= 'none' then
      if before == 'failed' then failed = failed - 1 end
      if over and state == 'failed' then failed = failed + 1 elseif over then done = done + 1 end
      redis.call('HSET', record, 'state:' .. app, state, 'app:' .. app, details, 'done', done, 'failed', failed)
      if failure ~= '' then append(record, app, failure) end
      redis.call('XADD', trail, '*', 'entry', 'revocationId=' .. id .. '&' .. entry)
      if over then
        if done + failed >= tonumber(total) then
          status = tonumber(failed) > 0 and 'failed' or 'completed'
          -- It had failed before: nothing new.
          if status == 'failed' and completedAt then status = '' end
        end
        if status ~= '' then
          redis.call('HSET', record, 'completedAt', at)
          redis.call('ZREM', open, id)
          redis.call('ZREM', overdue, id)
          redis.call('XADD', trail, '*', 'entry', 'event=revocation.' .. status .. '&revocationId=' .. id .. '&' .. who)
        end
      elseif before == 'failed' then
        redis.call('HDEL', record, 'completedAt')
        redis.call('ZADD', open, at, id)
      end
    end
    answer[i + 3] = status
  end

  if running == job then redis.call('HDEL', account, 'running', 'until') end
  -- Its beginning is lost: what is over is not joined any more.
  if over and redis.call('HGET', account, 'waiting') == job then redis.call('HDEL', account, 'waiting') end
  if over and state ~= 'failed' then
    if also then redis.call('HSET', account, 'told:' .. job, also) end
    redis.call('HDEL', account, 'also:' .. job, 'calls:' .. job, 'joined:' .. job)
  end
  if not over and joinable ~= '' then
    local waiting = redis.call('HGET', account, 'waiting')
    if waiting and waiting ~= job then
      local others, theirs = unpack(redis.call('HMGET', account, 'also:' .. waiting, 'joined:' .. waiting))
      for i = 1, members do
        local record = KEYS[k + 1 + i]
        local id = string.match(record, '[^:]+$')
        others = others and others .. ' ' .. id or id
        redis.call('HSET', record, 'batch:' .. app, waiting)
      end
      redis.call('HSET', account, 'also:' .. waiting, others)
      if joined and tonumber(joined) > tonumber(theirs or 0) then
        redis.call('HSET', account, 'joined:' .. waiting, joined)
      end
      redis.call('HDEL', account, 'also:' .. job, 'calls:' .. job, 'joined:' .. job)
      answer[1] = 'moved'
    else
      redis.call('HSET', account, 'waiting', job)
    end
  end
  redis.call('PEXPIRE', account, retention)

  if retryAfterMs ~= '' then
    local asked = now + retryAfterMs
    if asked > tonumber(redis.call('HGET', lane, 'retryAfter') or 0) then
      redis.call('HSET', lane, 'retryAfter', string.format('%.0f', asked))
    end
  end

  -- The breaker. Fields of a lane: until, since, trips, why, probe, probeUntil while it is open; turned, by whom it was
  -- opened or closed; good:<n> and bad:<n>, the calls of each tenth of the window; paused, retriedAt, retryAfter.
  local held, probe, tripped = unpack(redis.call('HMGET', lane, 'until', 'probe', 'trips'))

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

  if held then
    if probe == job and blame == 'good' then
      redis.call('HDEL', lane, 'until', 'since', 'trips', 'why', 'probe', 'probeUntil')
      -- What was held meanwhile has the whole of its time before it again.
      redis.call('HSET', lane, 'turned', 'closed ' .. turn, 'retriedAt', string.format('%.0f', now))
      answer[2] = 'closed'
    elseif probe == job then
      redis.call('HDEL', lane, 'probe', 'probeUntil')
      if blame ~= 'neutral' then
        local trips = tripped + 1
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
        'trips', 0, 'why', blame, 'turned', 'opened ' .. turn)
      answer[2], answer[3] = 'opened', tonumber(openFor)
    end
  end
  return answer
end

local answers, k, a = {}, 4, 2
while k <= #KEYS do
  local members = tonumber(ARGV[a])
  answers[#answers + 1] = each(finish, k, a + 1, members)
  k, a = k + 2 + members, a + 17
end
return answers`;

/**
 * Between them the scripts hold the breaker of the app, which all workers share, and see to it that of the jobs for one
 * account one waits and one runs, whatever the number of revocations that they serve.
 */
export type Attempts = ReturnType<typeof createAttempts>;

/** `ends`: what the end of an attempt is written over, and waited for by, where replicas are to have it. */
export function createAttempts(
  redis: Redis,
  { prefix, retentionMs }: { prefix: string; retentionMs: number },
  ends?: { connection: Redis; safely: Safely },
) {
  const commands = withScripts(redis);
  const safeCommands = ends ? withScripts(ends.connection) : commands;
  const safely: Safely = ends ? ends.safely : async (write) => ({ answer: await write(), safe: true });
  const retention = String(retentionMs);
  const ofTenant = new Map<string, ReturnType<typeof createScripts>>();

  /** In a Cluster one script has the keys of one tenant. */
  function scriptsOf(tenant: string) {
    const known = ofTenant.get(tenant);
    if (known) return known;
    const scripts = createScripts(tenant);
    ofTenant.set(tenant, scripts);
    return scripts;
  }

  function createScripts(tenant: string) {
    const keys = tenantKeys(prefix, tenant);
    const trail = auditKey(prefix, tenant);

    function askBegin(over: Commands, all: readonly Question[]): Promise<unknown> {
      const names = [keys.open, ...all.flatMap((one) => one.keys)];
      return over.attemptBegin(names.length, ...names, retention, ...all.flatMap((one) => one.args));
    }

    function askEnd(over: Commands, all: readonly Question[]): Promise<unknown> {
      const names = [keys.open, trail, keys.overdue, ...all.flatMap((one) => one.keys)];
      return over.attemptEnd(names.length, ...names, retention, ...all.flatMap((one) => one.args));
    }

    return {
      keys,
      begin: together<Question, Reply<BeginReply>>(
        async (all) => repliesOf({ answer: await askBegin(commands, all), safe: true }),
        TOGETHER,
      ),
      beginSafely: together<Question, Reply<BeginReply>>(
        async (all) => repliesOf(await safely(() => askBegin(safeCommands, all))),
        TOGETHER,
      ),
      end: together<Question, Reply<EndReply>>(
        async (all) => repliesOf(await safely(() => askEnd(safeCommands, all))),
        TOGETHER,
      ),
    };
  }

  return {
    /**
     * `leaseMs`: how long the account counts as being called, should this worker die. `inTurn`: what bulk work asks its
     * question through; not what waits for replicas, which would keep all others from asking theirs.
     */
    async begin(of: Place & { leaseMs: number }, inTurn: InTurn = (ask) => ask()): Promise<Beginning> {
      const { tenant, app, job, digest, leaseMs } = of;
      const { keys, begin, beginSafely } = scriptsOf(tenant);
      const question = {
        keys: [keys.record(job), keys.account(app, digest), keys.lane(app)],
        args: [app, job, leaseMs],
      };
      const first = await inTurn(() => begin(question));
      if (first === undefined) return { verdict: 'later' };
      // Who hears so finishes the job, on whichever master is there by then.
      const isOver = first.reply[0] === 'done' || first.reply[0] === 'moved';
      const { reply, safe } = ends && isOver ? await beginSafely(question) : first;
      const [verdict, second, call, renewedAt, probe] = reply;
      if (verdict === 'moved') return { verdict, safe };
      if (verdict === 'busy' || verdict === 'held') return { verdict, forMs: Number(second) };
      const members = second === '' ? [job] : [job, ...String(second).split(' ')];
      if (verdict === 'done') return { verdict, members, safe };
      return { verdict, members, call, renewedAt: Number(renewedAt), probe: probe === 1 };
    },

    /**
     * Writes the outcome into the record of every member and into the audit trail, gives the account free, and tells
     * the breaker. A job that is to run again can be joined from now on, unless it only asks what has become of a call.
     * Told again of the same end, with the same times, it answers as before and writes nothing.
     */
    async end(
      of: Place & {
        /** Which attempt of the job ends. */
        call: number;
        members: readonly string[];
        joinable: boolean;
      },
      { state, ...details }: AppRecord,
      more: {
        blame: Blame;
        failure?: AttemptFailure;
        /** How long the app wants to be left alone, by every job. */
        retryAfterMs?: number | undefined;
        breaker: BreakerSettings;
        audit: Omit<AuditEntry, 'revocationId'> & { user: string };
      },
    ): Promise<Ending> {
      const { tenant, app, job, digest, call, members, joinable } = of;
      const { keys, end } = scriptsOf(tenant);
      const { failureRatio, minimumCalls, window, openFor } = more.breaker;
      const { reply, safe } = await end({
        keys: [keys.account(app, digest), keys.lane(app), ...members.map(keys.record)],
        args: [
          ...[members.length, app, job, state, JSON.stringify(details), details.at ?? 0, more.blame],
          ...[more.failure ? JSON.stringify(more.failure) : '', failureRatio, minimumCalls, window, openFor],
          ...[joinable ? 'joinable' : '', call, more.retryAfterMs ?? '', auditText(more.audit)],
          auditText({ tenant, user: more.audit.user }),
        ],
      });
      const [what, breaker, openForMs, ...statuses] = reply;
      const [moved, stale] = [what === 'moved', what === 'stale'];
      return { statuses, moved, stale, breaker, openForMs: Number(openForMs), safe };
    },

    /** Those who joined the job know that it is done: a worker that takes it over need not tell them again. */
    async told({ tenant, app, job, digest }: Place): Promise<void> {
      await redis.hdel(scriptsOf(tenant).keys.account(app, digest), `told:${job}`);
    },
  };
}

/** Asks when it is its turn; undefined where it has given that away. */
type InTurn = <T>(ask: () => Promise<T>) => Promise<T | undefined>;

/** A job, and the account of an app that it is for. */
type Place = { tenant: string; app: string; job: string; digest: string };

type Arguments = (string | number)[];

type Question = { keys: string[]; args: Arguments };

type BeginReply = [
  verdict: Beginning['verdict'],
  second: string | number,
  call: number,
  renewedAt: string,
  probe: number,
];

type EndReply = [what: string, breaker: Ending['breaker'], openForMs: number, ...Ending['statuses']];

type Reply<T> = { reply: T; safe: boolean };

type Commands = Record<'attemptBegin' | 'attemptEnd', (...args: Arguments) => Promise<unknown>>;

function withScripts(redis: Redis): Commands {
  redis.defineCommand('attemptBegin', { lua: BEGIN });
  redis.defineCommand('attemptEnd', { lua: END });
  return redis as unknown as Commands;
}

function repliesOf<T extends unknown[]>({ answer, safe }: { answer: unknown; safe: boolean }): (Reply<T> | Error)[] {
  return (answer as T[]).map((reply) => (reply[0] === 'error' ? new ReplyError(String(reply[1])) : { reply, safe }));
}
