#!/bin/sh
#
# What a million remembered identities cost in Redis, by design: the figures of
# docs/dedup.md.  Starts a redis-server of its own on a unix socket, fills it
# from inside (Lua), prints used_memory per identity and the time of one
# lookup, and ends the server.
#
#   tools/dedup_memory.sh [IDENTITIES] [redis-server]

set -eu

n=${1:-1000000}
server=${2:-redis-server}
dir=$(mktemp -d)
sock=$dir/s

"$server" --port 0 --unixsocket "$sock" --save '' --appendonly no \
    --dir "$dir" --daemonize no --logfile "$dir/log" &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid 2>/dev/null || :; rm -rf "$dir"' EXIT

cli() { redis-cli -s "$sock" "$@"; }

i=0
until [ "$(cli ping 2>/dev/null)" = PONG ]; do
    i=$((i + 1))
    [ $i -lt 100 ] || { echo "redis-server does not start" >&2; exit 1; }
    sleep 0.05
done

memory() { cli info memory | tr -d '\r' | sed -n 's/^used_memory://p'; }

# $1 the name, $2 Lua that remembers d (B bytes are asked for by size)
measure() {
    name=$1
    size=$2
    body=$3
    cli flushall sync >/dev/null
    before=$(memory)
    done_=0
    while [ "$done_" -lt "$n" ]; do
        cli eval "
            math.randomseed(ARGV[1] + 0)
            local r = math.random
            for i = 1, 10000 do
                local x = struct.pack('>I4I4I4I4', r(0, 2147483646), r(0, 2147483646),
                                      r(0, 2147483646), r(0, 2147483646))
                local d = string.sub(x, 1, $size)
                local slot = i % 9
                $body
            end
            return 'filled'" 0 $((done_ + 7)) | grep -q filled
        done_=$((done_ + 10000))
    done
    after=$(memory)
    keys=$(cli dbsize)
    printf '%-44s %7d bytes %8d keys\n' "$name" \
        $(((after - before) / done_)) "$keys"
}

cli info server | tr -d '\r' | grep -E '^(redis_version|valkey_version)' || :
measure 'a key each: SET k "" EX' 16 \
    "redis.call('SET', '{esputnik:events}:dedup:' .. d, '', 'EX', 90000)"
measure 'ZSET of 16 bytes, scored by time' 16 \
    "redis.call('ZADD', '{esputnik:events}:dedup', 1700000000 + i, d)"
measure 'HASH of 16 bytes to time' 16 \
    "redis.call('HSET', '{esputnik:events}:dedup', d, 1700000000 + i)"
measure 'SETs by time, 16 bytes' 16 \
    "redis.call('SADD', '{esputnik:events}:dedup:' .. slot, d)"
measure 'SETs by time, 14 bytes' 14 \
    "redis.call('SADD', '{esputnik:events}:dedup:' .. slot, d)"
measure 'small HASHes by time and 4,096 buckets' 14 \
    "local k = '{esputnik:events}:dedup:' .. slot .. ':'
               .. (struct.unpack('>I2', d) % 4096)
     redis.call('HSET', k, d, '')
     redis.call('EXPIRE', k, 90000, 'NX')"
measure 'small HASHes by time and 512 buckets' 14 \
    "local k = '{esputnik:events}:dedup:' .. slot .. ':'
               .. (struct.unpack('>I2', d) % 512)
     redis.call('HSET', k, d, '')
     redis.call('EXPIRE', k, 90000, 'NX')"
