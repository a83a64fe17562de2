-- POSTs the bodies named after "--" in turn; prints one JSON object at the end.

local requests, i = {}, 0

function init(args)
    for _, path in ipairs(args) do
        local f = assert(io.open(path, "rb"))
        local body = f:read("*a")
        f:close()
        requests[#requests + 1] = wrk.format("POST", nil, {
            ["Content-Type"] = "application/json",
        }, body)
    end
end

function request()
    i = i % #requests + 1
    return requests[i]
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format(
        '\n{"answers":%d,"us":%d,"refused":%d,"broken":%d,'
            .. '"p50":%d,"p99":%d,"max":%d}\n',
        summary.requests, summary.duration, e.status,
        e.connect + e.read + e.write + e.timeout,
        latency:percentile(50), latency:percentile(99), latency.max))
end
