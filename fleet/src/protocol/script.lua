-- What a store does with each operation: see `model.rs`, which says the same in Rust and is tested against this.
--
-- KEYS[1]: {prefix}seq; every other key begins with the same prefix, and so lies in the same hash slot.
-- ARGV[1]: the member that asks. ARGV[2..]: one operation each, its fields separated by blanks.
-- Returns the head "seq run live", then one text for each operation.

local NONE, PAGE = '~', 256
-- Longer than any opening lasts: a breaker that nobody asks for is forgotten after that, but for orders.
local KEPT = 604800000
-- Where more votes than this are missing, they are counted again when half of these have come, or after this time: a
-- count takes as long as the fleet is large.
local FEW, COUNTED = 64, 1000
local P = string.sub(KEYS[1], 1, -4)
local M, N = P .. 'm', P .. 'n'

local function now_ms()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
local now = now_ms()

local function text(number) return string.format('%.0f', number) end

if redis.call('EXISTS', P .. 'run') == 0 then redis.call('SET', P .. 'run', ARGV[1]) end
local run = redis.call('GET', P .. 'run')
local seq = tonumber(redis.call('GET', KEYS[1]) or '0')
local before = seq
local changed, is_changed = {}, {}
redis.call('ZREMRANGEBYSCORE', M, '-inf', text(now))
local live = redis.call('ZCARD', M)

-- v version, p phase, u until, g generation, t token, w prober, f failed last, d hold, x factor, m max,
-- k order, b by, y because, e end, a ordered at, n votes of the next count, h when they were counted last
local FIELDS = { 'v', 'p', 'u', 'g', 't', 'w', 'f', 'd', 'x', 'm', 'k', 'b', 'y', 'e', 'a', 'n', 'h' }
local NUMBERS = { v = 0, u = 0, g = 0, t = 0, d = 0, m = 0, a = 0, n = 0, h = 0 }

local loaded = {}

local function load(name)
    if loaded[name] then return loaded[name] end
    local values = redis.call('HMGET', P .. name .. ':s', unpack(FIELDS))
    local b = { name = name, p = 'c' }
    for i, field in ipairs(FIELDS) do
        if values[i] then b[field] = values[i] end
    end
    for field, none in pairs(NUMBERS) do b[field] = tonumber(b[field] or none) end
    loaded[name] = b
    return b
end

local function is_listed(b) return b.k ~= nil or b.p == 'o' or b.p == 'p' end

local function save(b)
    local key, pairs_ = P .. b.name .. ':s', {}
    for _, field in ipairs(FIELDS) do
        local value = b[field]
        if NUMBERS[field] then value = text(value) end
        if value and value ~= '0' then
            table.insert(pairs_, field)
            table.insert(pairs_, value)
        end
    end
    redis.call('DEL', key)
    redis.call('HSET', key, unpack(pairs_))
    if is_listed(b) then redis.call('ZADD', N, text(b.v), b.name) else redis.call('ZREM', N, b.name) end
    -- An order without an end is kept until it is released.
    if not b.k or b.e then
        local last = math.max(now, b.u, tonumber(b.e or '0'))
        redis.call('PEXPIRE', key, text(KEPT + last - now))
    end
end

local function change(b)
    seq = seq + 1
    b.v = seq
    if not is_changed[b.name] then
        is_changed[b.name] = true
        table.insert(changed, b)
    end
end

local function clear_order(b) b.k, b.b, b.y, b.e = nil, nil, nil, nil end

local function close(b, phase)
    b.p, b.u, b.g, b.w, b.f, b.d, b.x, b.m, b.n, b.h = phase, 0, 0, nil, nil, 0, nil, 0, 0, 0
    redis.call('DEL', P .. b.name .. ':v')
end

local function end_order(b)
    if b.k and b.e and tonumber(b.e) <= now then
        change(b)
        clear_order(b)
        save(b)
    end
end

-- Votes that have not expired, those of the dead among them.
local function standing_votes(b)
    local votes = P .. b.name .. ':v'
    redis.call('ZREMRANGEBYSCORE', votes, '-inf', text(now))
    return redis.call('ZCARD', votes)
end

local function view(b)
    local remaining, prober, order, votes = 0, NONE, nil, 0
    if b.p == 'o' or b.p == 'p' then remaining = math.max(0, b.u - now) end
    if b.p == 'p' then prober = b.w end
    if not is_listed(b) then votes = standing_votes(b) end
    if b.k then
        local left = NONE
        if b.e then left = text(math.max(0, tonumber(b.e) - now)) end
        order = table.concat({ b.k, left, b.b or NONE, b.y or NONE }, ' ')
    else
        order = '~ ~ ~ ~'
    end
    return table.concat({ b.name, text(b.v), b.p, text(remaining), text(b.g), text(b.t), prober, text(votes),
        text(b.d), text(b.a), order }, ' ')
end

local function add_user(b, member)
    local users = P .. b.name .. ':u'
    if redis.call('SCARD', users) > 2 * live + 16 then
        for _, user in ipairs(redis.call('SMEMBERS', users)) do
            if not redis.call('ZSCORE', M, user) then redis.call('SREM', users, user) end
        end
    end
    redis.call('PEXPIRE', users, text(KEPT))
    return redis.call('SADD', users, member) == 1
end

local function take_order(b, kind, left, by, why, at)
    change(b)
    close(b, 'c')
    clear_order(b)
    b.a = at
    if kind ~= NONE then
        b.k = kind
        if left ~= NONE then b.e = text(now + tonumber(left)) end
        if by ~= NONE then b.b = by end
        if why ~= NONE then b.y = why end
    end
    save(b)
    return true
end

local function backoff(b)
    local wait, factor = b.d, tonumber(b.x or '1')
    for _ = 1, b.g do
        wait = wait * factor
        if wait >= b.m or factor <= 1 then break end
    end
    return math.floor(math.min(wait, b.m))
end

local ops = {}

function ops.use(b, member) return add_user(b, member) end

function ops.unuse(b, member) return redis.call('SREM', P .. b.name .. ':u', member) == 1 end

function ops.vote(b, member, ttl, hold, factor, max, share, floor)
    if is_listed(b) then return false end
    add_user(b, member)
    local votes = P .. b.name .. ':v'
    redis.call('ZADD', votes, text(now + tonumber(ttl)), member)
    redis.call('PEXPIRE', votes, text(KEPT + tonumber(ttl)))
    local standing = standing_votes(b)
    if standing < b.n and now < b.h + COUNTED then return true end
    local users = redis.call('ZINTERCARD', 2, P .. b.name .. ':u', M)
    local needed = math.max(tonumber(floor), math.ceil(tonumber(share) * users))
    local missing = needed - redis.call('ZINTERCARD', 2, votes, M)
    if missing <= 0 then
        change(b)
        close(b, 'o')
        b.u, b.d, b.x, b.m = now + tonumber(hold), tonumber(hold), factor, tonumber(max)
        save(b)
    elseif missing > FEW then
        b.n, b.h = standing + math.floor(missing / 2), now
        save(b)
    elseif b.n > 0 then
        b.n, b.h = 0, 0
        save(b)
    end
    return true
end

function ops.retract(b, member)
    standing_votes(b)
    return redis.call('ZREM', P .. b.name .. ':v', member) == 1
end

function ops.lease(b, member, ttl)
    if b.k or not is_listed(b) then return false end
    local last = b.f
    if b.p == 'p' then last = b.w end
    local waits = last == member and live > 1
    if now < b.u or (waits and now < b.u + tonumber(ttl)) then return false end
    change(b)
    b.f, b.t, b.p, b.w, b.u = last, b.v, 'p', member, now + tonumber(ttl)
    save(b)
    return true
end

local function is_current(b, member, token) return b.p == 'p' and b.w == member and b.t == tonumber(token) end

function ops.renew(b, member, token, ttl)
    if not is_current(b, member, token) or now >= b.u then return false end
    b.u = now + tonumber(ttl)
    save(b)
    return true
end

function ops.verdict(b, member, token, is_ok)
    if not is_current(b, member, token) then return false end
    change(b)
    if is_ok == '1' then
        close(b, 'c')
    else
        b.g = b.g + 1
        b.p, b.u, b.f, b.w = 'o', now + backoff(b), member, nil
    end
    save(b)
    return true
end

function ops.order(b, kind, left, by, why) return take_order(b, kind, left, by, why, now) end

function ops.release(b)
    if not b.k then return false end
    return take_order(b, NONE, NONE, NONE, NONE, now)
end

function ops.seed(b, kind, left, by, why, at)
    if tonumber(at) <= b.a then return false end
    return take_order(b, kind, left, by, why, tonumber(at))
end

function ops.reset(b)
    change(b)
    if b.k then b.a = now end
    clear_order(b)
    close(b, 'r')
    save(b)
    return true
end

function ops.show() return true end

local function snapshot(after)
    local lines = { '+' }
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', N, '(' .. after, '+inf', 'LIMIT', 0, PAGE)) do
        local b = load(name)
        if b.v == 0 then
            redis.call('ZREM', N, name) -- It has expired.
        else
            end_order(b)
            table.insert(lines, view(b))
        end
    end
    return table.concat(lines, '\n')
end

local function carry_out(line)
    local fields = {}
    for field in string.gmatch(line, '%S+') do table.insert(fields, field) end
    local what, name = fields[1], fields[2]
    if what == 'snapshot' then return snapshot(name) end
    if what == 'beat' then
        redis.call('ZADD', M, text(now + tonumber(fields[3])), name)
        redis.call('PEXPIRE', M, text(KEPT))
        live = redis.call('ZCARD', M)
        return '+'
    end
    if what == 'leave' then
        local left = redis.call('ZREM', M, name)
        live = redis.call('ZCARD', M)
        return left == 1 and '+' or '-'
    end
    local b = load(name)
    end_order(b)
    local is_granted = ops[what](b, unpack(fields, 3))
    return (is_granted and '+' or '-') .. '\n' .. view(b)
end

local replies = { '' }
for i = 2, #ARGV do table.insert(replies, carry_out(ARGV[i])) end
replies[1] = text(seq) .. ' ' .. run .. ' ' .. text(live)
if seq > before then
    redis.call('SET', KEYS[1], text(seq))
    table.sort(changed, function(one, other) return one.name < other.name end)
    local lines = { run .. ' ' .. text(before) .. ' ' .. text(seq) }
    for _, b in ipairs(changed) do table.insert(lines, view(b)) end
    redis.call('PUBLISH', P .. 'ev', table.concat(lines, '\n'))
end
return replies
