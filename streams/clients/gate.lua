-- One request at the gate, all or nothing. Keys: fingerprint, then for each quota its log (a sorted set) and its sum of tokens.
-- Arguments: now, window, request id, tokens, time repetitions are known (all times in ms), own name of the request,
-- then for each quota its limits of requests and of tokens (0 is none).
-- Returns {"repeats", name of the first} or {"counted" or "requests" or "tokens", number of the quota, then requests, tokens, oldest of each}.
local now, window, request, tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local known_ms, name = tonumber(ARGV[5]), ARGV[6]
if known_ms > 0 then
  local first = redis.call('GET', KEYS[1])
  if first and first ~= name then
    return {'repeats', first}
  end
end
local member = request .. '|' .. tokens
local outcome, refused_by = 'counted', 0
local quotas = (#KEYS - 1) / 2
for quota = 1, quotas do
  local log, sum = KEYS[2 * quota], KEYS[2 * quota + 1]
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', log, '-inf', now - window)) do
    redis.call('DECRBY', sum, string.match(old, '|(%d+)$'))
  end
  redis.call('ZREMRANGEBYSCORE', log, '-inf', now - window)
  if outcome == 'counted' and not redis.call('ZSCORE', log, member) then
    local most_requests, most_tokens = tonumber(ARGV[5 + 2 * quota]), tonumber(ARGV[6 + 2 * quota])
    local used = tonumber(redis.call('GET', sum) or '0')
    if most_requests > 0 and redis.call('ZCARD', log) + 1 > most_requests then
      outcome, refused_by = 'requests', quota
    elseif most_tokens > 0 and used + tokens > most_tokens then
      outcome, refused_by = 'tokens', quota
    end
  end
end
local answer = {outcome, refused_by}
for quota = 1, quotas do
  local log, sum = KEYS[2 * quota], KEYS[2 * quota + 1]
  if outcome == 'counted' and redis.call('ZADD', log, 'NX', now, member) == 1 then
    redis.call('INCRBY', sum, tokens)
    redis.call('PEXPIRE', log, 2 * window)
    redis.call('PEXPIRE', sum, 2 * window)
  end
  local oldest = redis.call('ZRANGE', log, 0, 0, 'WITHSCORES')[2] or now
  answer[#answer + 1] = redis.call('ZCARD', log)
  answer[#answer + 1] = tonumber(redis.call('GET', sum) or '0')
  answer[#answer + 1] = tonumber(oldest)
end
if outcome == 'counted' and known_ms > 0 then
  redis.call('SET', KEYS[1], name, 'PX', known_ms)
end
return answer
