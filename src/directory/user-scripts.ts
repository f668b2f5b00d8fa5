/** What Redis does with users in one step each: find them with their groups, and write one with all its indexes. */
import type { Identifier } from './user.js';

// The first two are unique among the living of a tenant, and the deleted keep theirs beside them until the grace is
// over; an e-mail address or a phone number may be shared by several users.
export const kinds = ['externalId', 'userName', 'email', 'phone'] as const satisfies Identifier['kind'][];
const UNIQUE_KINDS = 2;
export const isUnique = (kind: Identifier['kind'] | 'id') => kind !== 'email' && kind !== 'phone';
export const FIRST_INDEX = 2;

/** What an index has in place of the ids where more than a few share a value: as one text all would be written for each. */
export const SHARED = '*';
const MOST_IN_TEXT = 4;

/** The key, after that of the tenant, of the set of those who share a value. */
export const sharingKey = (kind: Identifier['kind'], value: string) => `sharing:${kind}:${value}`;

// The same in Lua; `users-by-` is nine letters.
const SHARING = "base .. 'sharing:' .. string.sub(KEYS[index], #base + 10) .. ':' .. value";

// KEYS: users, one index per kind, user-order, deleted. All keys of a tenant share one hash slot.
// ARGV: end of the grace, how many living and how many deleted are wanted of each, then pairs of index and value.
// Answers with both lists for each pair; of the deleted, who went last is the first.
export const FIND = `
local base = string.sub(KEYS[1], 1, -6)
local deleted, since, limit, deletedLimit = KEYS[#KEYS], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function read(id)
  local user = redis.call('HGET', KEYS[1], id)
  if not user then return nil end
  local names = {}
  for _, former in ipairs(redis.call('ZRANGEBYSCORE', base .. 'former-groups:' .. id, since, '+inf')) do
    names[#names + 1] = former
  end
  for _, group in ipairs(redis.call('SMEMBERS', base .. 'groups-of:' .. id)) do
    local present = cjson.decode(redis.call('HGET', base .. 'groups', group) or '{}')
    names[#names + 1] = present.displayName
    for _, former in ipairs(present.formerNames or {}) do
      if former.at >= tonumber(since) then names[#names + 1] = former.displayName end
    end
  end
  return { user, names }
end
local found = {}
for i = 4, #ARGV, 2 do
  local index, value = tonumber(ARGV[i]), ARGV[i + 1]
  local entry = index and redis.call('HGET', KEYS[index], value) or not index and value or ''
  local living, gone, cursor = {}, nil, '0'
  repeat
    local ids = entry
    -- Bit by bit, so that of many thousands no more are looked at than are wanted.
    if index and entry == '${SHARED}' then
      local scan = redis.call('SSCAN', ${SHARING}, cursor, 'COUNT', 100)
      cursor, ids = scan[1], table.concat(scan[2], ' ')
    end
    for id in string.gmatch(ids, '%S+') do
      local at = redis.call('ZSCORE', deleted, id)
      if not at then
        living[#living + 1] = read(id)
        if #living == limit then
          cursor = '0'
          break
        end
      elseif tonumber(at) >= tonumber(since) then
        gone = gone or {}
        gone[#gone + 1] = { id = id, at = tonumber(at), place = #gone }
      end
    end
  until cursor == '0'
  if gone then
    table.sort(gone, function(a, b)
      if a.at == b.at then return a.place > b.place end
      return a.at > b.at
    end)
    local dead = {}
    for place = 1, math.min(#gone, deletedLimit) do dead[#dead + 1] = read(gone[place].id) end
    found[#found + 1] = { living, dead }
  else
    found[#found + 1] = { living }
  end
end
return found`;

// Compare and set: the caller derived the index changes from ARGV[2], so nothing is written if that has changed.
// ARGV: id, before, after ('' to purge), created, deletedAt ('' while the user lives), lastModified, removals, then
// pairs of index and value: first those to remove, then those to add.
export const WRITE = `
local id, before, after, created, deletedAt = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local last = 7 + tonumber(ARGV[7]) * 2
local base = string.sub(KEYS[1], 1, -6)
local order, deleted = KEYS[#KEYS - 1], KEYS[#KEYS]
if (redis.call('HGET', KEYS[1], id) or '') ~= before then return 'changed' end
local entries = {}
for i = last + 1, #ARGV, 2 do
  local index = tonumber(ARGV[i])
  entries[i] = redis.call('HGET', KEYS[index], ARGV[i + 1])
  if entries[i] and index < ${FIRST_INDEX + UNIQUE_KINDS} then
    for owner in string.gmatch(entries[i], '%S+') do
      if owner ~= id and not redis.call('ZSCORE', deleted, owner) then return ARGV[i] end
    end
  end
end
for i = 8, last, 2 do
  local index, value = tonumber(ARGV[i]), ARGV[i + 1]
  local ids = redis.call('HGET', KEYS[index], value)
  if ids == '${SHARED}' then
    redis.call('SREM', ${SHARING}, id)
    if redis.call('EXISTS', ${SHARING}) == 0 then redis.call('HDEL', KEYS[index], value) end
  elseif ids then
    local rest = {}
    for other in string.gmatch(ids, '%S+') do
      if other ~= id then rest[#rest + 1] = other end
    end
    if #rest == 0 then
      redis.call('HDEL', KEYS[index], value)
    else
      redis.call('HSET', KEYS[index], value, table.concat(rest, ' '))
    end
  end
end
for i = last + 1, #ARGV, 2 do
  local index, value, ids = tonumber(ARGV[i]), ARGV[i + 1], entries[i]
  -- All ids are of one length.
  if not ids then
    redis.call('HSET', KEYS[index], value, id)
  elseif ids == '${SHARED}' then
    redis.call('SADD', ${SHARING}, id)
  elseif not string.find(ids, id, 1, true) then
    local full = #ids >= ${MOST_IN_TEXT} * (#id + 1) - 1
    if full and index < ${FIRST_INDEX + UNIQUE_KINDS} then
      -- Of so many lives the first is forgotten.
      redis.call('HSET', KEYS[index], value, string.sub(ids, #id + 2) .. ' ' .. id)
    elseif not full then
      redis.call('HSET', KEYS[index], value, ids .. ' ' .. id)
    else
      for other in string.gmatch(ids, '%S+') do redis.call('SADD', ${SHARING}, other) end
      redis.call('SADD', ${SHARING}, id)
      redis.call('HSET', KEYS[index], value, '${SHARED}')
    end
  end
end
if after == '' then
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', deleted, id)
  redis.call('DEL', base .. 'former-groups:' .. id)
  return 'ok'
end
redis.call('HSET', KEYS[1], id, after)
if before == '' then
  -- Behind everybody, whatever the clocks say: pages that are read meanwhile stay as they are.
  local newest = redis.call('ZRANGE', order, -1, -1, 'WITHSCORES')[2] or 0
  redis.call('ZADD', order, math.max(created, newest + 1), id)
elseif deletedAt ~= '' then
  redis.call('ZREM', order, id)
  redis.call('ZADD', deleted, deletedAt, id)
  for _, group in ipairs(redis.call('SMEMBERS', base .. 'groups-of:' .. id)) do
    redis.call('SREM', base .. 'members:' .. group, id)
    local text = redis.call('HGET', base .. 'groups', group)
    if text then
      local left, former = cjson.decode(text), base .. 'former-groups:' .. id
      redis.call('ZADD', former, deletedAt, left.displayName)
      for _, name in ipairs(left.formerNames or {}) do redis.call('ZADD', former, 'GT', name.at, name.displayName) end
      left.meta.lastModified = ARGV[6]
      left.meta.version = 'W/"' .. (tonumber(string.match(left.meta.version, '%d+')) + 1) .. '"'
      redis.call('HSET', base .. 'groups', group, cjson.encode(left))
    end
  end
  redis.call('DEL', base .. 'groups-of:' .. id)
end
return 'ok'`;
