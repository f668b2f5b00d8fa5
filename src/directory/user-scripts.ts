/** What Redis does with users in one step each: find them with their groups, and write one with all its indexes. */
import type { Identifier } from './user.js';

// The first two are unique among the living of a tenant, and the deleted keep theirs beside them until the grace is
// over; an e-mail address or a phone number may be shared by several users.
export const kinds = ['externalId', 'userName', 'email', 'phone'] as const satisfies Identifier['kind'][];
const UNIQUE_KINDS = 2;
export const isUnique = (kind: Identifier['kind'] | 'id') => kind !== 'email' && kind !== 'phone';
export const FIRST_INDEX = 2;

// KEYS: users, one index per kind, user-order, deleted. All keys of a tenant share one hash slot.
// ARGV: end of the grace, how many living and how many deleted are wanted of each, then pairs of index and value.
// Answers with both lists for each pair; of the deleted, who went last is the first.
export const FIND = `
local base = string.sub(KEYS[1], 1, -6)
local deleted, since, limit, deletedLimit = KEYS[#KEYS], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function groups(id)
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
  return names
end
local function read(id)
  local user = redis.call('HGET', KEYS[1], id)
  return user and { user, groups(id) } or nil
end
local found = {}
for i = 4, #ARGV, 2 do
  local ids = ARGV[i] == 'id' and ARGV[i + 1] or redis.call('HGET', KEYS[tonumber(ARGV[i])], ARGV[i + 1])
  local living, gone = {}, {}
  for id in string.gmatch(ids or '', '%S+') do
    local at = redis.call('ZSCORE', deleted, id)
    if not at then
      living[#living + 1] = read(id)
      if #living == limit then break end
    elseif tonumber(at) >= tonumber(since) then
      gone[#gone + 1] = { id = id, at = tonumber(at), place = #gone }
    end
  end
  table.sort(gone, function(a, b)
    if a.at == b.at then return a.place > b.place end
    return a.at > b.at
  end)
  local dead = {}
  for place = 1, math.min(#gone, deletedLimit) do dead[#dead + 1] = read(gone[place].id) end
  found[#found + 1] = { living, dead }
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
for i = last + 1, #ARGV, 2 do
  local index = tonumber(ARGV[i])
  local owners = index < ${FIRST_INDEX + UNIQUE_KINDS} and redis.call('HGET', KEYS[index], ARGV[i + 1]) or ''
  for owner in string.gmatch(owners, '%S+') do
    if owner ~= id and not redis.call('ZSCORE', deleted, owner) then return ARGV[i] end
  end
end
for i = 8, last, 2 do
  local key, value = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local rest = {}
  for other in string.gmatch(redis.call('HGET', key, value) or '', '%S+') do
    if other ~= id then rest[#rest + 1] = other end
  end
  if #rest == 0 then redis.call('HDEL', key, value) else redis.call('HSET', key, value, table.concat(rest, ' ')) end
end
for i = last + 1, #ARGV, 2 do
  local index, value = tonumber(ARGV[i]), ARGV[i + 1]
  local ids = redis.call('HGET', KEYS[index], value)
  -- All ids are of one length.
  if not (ids and string.find(ids, id, 1, true)) then
    redis.call('HSET', KEYS[index], value, ids and (ids .. ' ' .. id) or id)
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
