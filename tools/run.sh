#!/usr/bin/env bash
#: run               try it: a redis-server of its own and nginx with the module,
#:                   in the foreground, on ESPUTNIK_PORT or a free one from
#:                   8080 up; Ctrl-C stops both
# shellcheck disable=SC2317  # the trap's functions are reachable
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# A shell that starts this in its background has SIGINT ignored, for good: bash
# cannot trap it then.
if [[ -n $(trap -p INT) ]]; then
    exec env --default-signal=INT "$BASH" "$0" "$@"
fi

(($# == 0)) || die "run takes no argument; ESPUTNIK_PORT sets the port"

dir=$BUILD/run
nginx_pid=
redis_pid=
socket_dir=

# end SIGNAL PID: waits for ten seconds, then is less polite.
end() {
    local i
    kill "-$1" "$2" 2>/dev/null || return 0
    for ((i = 0; i < 100; i++)); do
        kill -0 "$2" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -TERM "$2" 2>/dev/null || true
    wait "$2" || true
}

stop() {
    trap '' INT TERM HUP
    # nginx first: what it has taken is still to reach Redis
    [[ -z $nginx_pid ]] || end QUIT "$nginx_pid"
    [[ -z $redis_pid ]] || end TERM "$redis_pid"
    [[ -z $socket_dir ]] || rm -rf "$socket_dir"
    rm -f "$dir/url"
}

# taken PORT: something listens there.
taken() {
    (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

choose_port() {
    local port=${ESPUTNIK_PORT:-}
    if [[ $port ]]; then
        [[ $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] \
            || die "ESPUTNIK_PORT=$port is no port"
        ! taken "$port" || die "port $port is taken; set ESPUTNIK_PORT to another"
    else
        for ((port = 8080; port < 8180; port++)); do
            taken "$port" || break
        done
        ((port < 8180)) || die "ports 8080 to 8179 are taken; set ESPUTNIK_PORT"
    fi
    printf '%s\n' "$port"
}

# own COMMAND...: in a session of its own, so that a Ctrl-C reaches this script
# only and the order of the stop is ours; ended too if the script is killed.
own() {
    exec setsid setpriv --pdeathsig TERM -- "$@" 9>&-
}

need_packages "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}"
module=$(build_module plain)
nginx=$(nginx_for plain)

mkdir -p "$dir/redis" "$dir/nginx"
exec 9>"$dir/lock"
if ! flock -n 9; then
    die "already running: $(cat "$dir/url" 2>/dev/null || echo starting);" \
        "Ctrl-C there stops it"
fi
trap stop EXIT
trap 'exit 0' INT TERM HUP

port=$(choose_port)

# The path of a socket has about 100 bytes, and stands in a URL here.
socket=$dir/redis.sock
if ((${#socket} > 100)) || [[ $socket =~ [^A-Za-z0-9/._-] ]]; then
    socket_dir=$(mktemp -d /tmp/esputnik-run.XXXXXX)
    socket=$socket_dir/redis.sock
fi

cat >"$dir/redis.conf" <<END
port 0
unixsocket $socket
unixsocketperm 700
dir .
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
loglevel warning
logfile redis.log
END

# workers of a root's nginx would be another user, whom the socket is closed to
user=
((EUID)) || user="user root root;"

cat >"$dir/nginx/nginx.conf" <<END
load_module $(realpath --relative-to="$dir/nginx" "$module");
$user
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {
}
http {
    access_log access.log;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 127.0.0.1:$port;
        location = /webhooks/esputnik {
            esputnik_pass redis+unix://$socket;
        }
    }
}
END

(cd "$dir/redis" && own redis-server ../redis.conf) &
redis_pid=$!
for ((i = 0; i < 100; i++)); do
    [[ $(redis-cli -s "$socket" ping 2>/dev/null) != PONG ]] || break
    kill -0 "$redis_pid" 2>/dev/null || break
    sleep 0.1
done
if ((i == 100)) || ! kill -0 "$redis_pid" 2>/dev/null; then
    die "redis-server did not start; see build/run/redis/redis.log"
fi

url=http://127.0.0.1:$port/webhooks/esputnik
printf '%s\n' "$url" >"$dir/url"
own "$nginx" -p "$dir/nginx/" -e stderr -c nginx.conf -g "daemon off;" &
nginx_pid=$!
for ((i = 0; i < 100; i++)); do
    ! taken "$port" || break
    kill -0 "$nginx_pid" 2>/dev/null || die "nginx did not start"
    sleep 0.1
done

cat <<END
Webhooks are taken at $url

Send one:
  curl -i $url -H 'Content-Type: application/json' -d '[{"contactId":4294967299,"email":"ann@example.com","activityStatus":"DELIVERED","messageId":1201,"activityDateTime":"2026-11-23T08:30:03","mediaType":"email"}]'

Look at the queue:
  redis-cli -s $socket lrange esputnik:events 0 -1

Ctrl-C stops nginx and Redis; what was queued stays in build/run/redis.
END

status=0
wait "$nginx_pid" || status=$?
nginx_pid=
die "nginx has ended (exit status $status)"
