-- The peer that a user of nginx would write: the same validation as the
-- module's (an array of objects, required fields, documented types), one RPUSH
-- a POST over a pool of kept connections.
--
-- What it cannot do as the module does: cjson reads numbers into doubles and
-- writes 14 digits, and an event is encoded anew instead of passed on as
-- received.

local cjson = require "cjson.safe"
local redis = require "nginx.redis"

local type, next, floor, unpack = type, next, math.floor, unpack
local null = cjson.null

local M = {}

local checks = {
    string = function(v) return type(v) == "string" end,
    integer = function(v) return type(v) == "number" and floor(v) == v end,
    boolean = function(v) return type(v) == "boolean" end,
    container = function(v) return type(v) == "table" end,
    string_array = function(v)
        if type(v) ~= "table" then
            return false
        end
        for i = 1, #v do
            if type(v[i]) ~= "string" then
                return false
            end
        end
        return next(v) == nil or #v > 0
    end,
}

local required = { "activityStatus", "activityDateTime", "contactId" }
local field_checks = {}

function M.init(fields_path)
    local f = assert(io.open(fields_path))
    for name, kind in next, assert(cjson.decode(f:read("*a"))) do
        field_checks[name] = assert(checks[kind])
    end
    f:close()
end

local function refuse(detail)
    ngx.status = 400
    ngx.header["Content-Type"] = "application/problem+json"
    ngx.print(cjson.encode({ status = 400, detail = detail }))
    return ngx.exit(400)
end

local function unavailable(err)
    ngx.log(ngx.ERR, "redis: ", err)
    ngx.header["Retry-After"] = "1"
    return ngx.exit(503)
end

-- unpack() stops near 8,000 values
local CHUNK = 4000

local function push(red, key, values, n)
    if n <= CHUNK then
        return red:rpush(key, unpack(values, 1, n))
    end
    red:init_pipeline()
    red:multi()
    for i = 1, n, CHUNK do
        red:rpush(key, unpack(values, i, i + CHUNK - 1 < n and i + CHUNK - 1
                                         or n))
    end
    red:exec()
    local replies, err = red:commit_pipeline()
    if not replies then
        return nil, err
    end
    local last = replies[#replies]
    if last[1] == false then
        return nil, last[2]
    end
    return true
end

function M.handle(host, port, key)
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    if not body then
        return refuse("no body")
    end

    local events = cjson.decode(body)
    if type(events) ~= "table" or (next(events) ~= nil and #events == 0) then
        return refuse("not an array")
    end

    local n = #events
    local values = {}
    for i = 1, n do
        local event = events[i]
        if type(event) ~= "table" or type(next(event)) == "number" then
            return refuse("event " .. i .. " is not an object")
        end
        for j = 1, #required do
            local v = event[required[j]]
            if v == nil or v == null then
                return refuse("event " .. i .. " has no " .. required[j])
            end
        end
        for name, v in next, event do
            local check = field_checks[name]
            if check and v ~= null and not check(v) then
                return refuse("event " .. i .. ": type of " .. name)
            end
        end
        values[i] = cjson.encode(event)
    end

    if n > 0 then
        local red = redis:new()
        red:set_timeout(3000)
        local ok, err = red:connect(host, port)
        if not ok then
            return unavailable(err)
        end
        ok, err = push(red, key, values, n)
        if not ok then
            return unavailable(err)
        end
        red:set_keepalive(60000, 512)
    end

    local answer = '{"accepted":' .. n .. '}'
    ngx.header["Content-Type"] = "application/json"
    ngx.header["Content-Length"] = #answer
    ngx.print(answer)
end

return M
