#!/usr/bin/env bash
#: bench [WHAT] [--quick] [--rounds N] [--only A,B] [--write] [--record]
#:                   measure; bench --help lists what, bench/README.md has the
#:                   figures; everything it makes goes to build/bench
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
    cat <<'EOF'
usage: ./build.sh bench [WHAT] [options]

what (default: compare)
  compare      the module against the floor and the peers, interleaved rounds
  growth       over connections, events a POST, requests, workers (with plots)
  memory       what a request in flight costs
  parse        the parser against a bare yajl pass and against simdjson
  profile      syscalls, instructions and allocations a request
  spool        the journal's rate against the disk's, the drain's against Redis'
  cluster      CPU an event with 1, 3 and 6 masters, the spread over shards
  guard        what t/guard.t judges, as JSON
  check        each contestant stores exactly what it answers (no figures)

options
  --quick      short rounds: a look, not a figure
  --long       growth: memory over 10 million requests instead of 2 million
  --rounds N   interleaved rounds (default 5; 2 with --quick)
  --seconds N  of a round
  --only A,B   of floor,yajl,module,lua,node
  --record     record bench/instructions.json, which t/guard.t compares with
  --write      put the newest figures into bench/README.md and bench/*.svg
EOF
}

# As build_module has them: the floor must not differ by its compiler flags.
CC_OPT="-g -O2 -fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2"
CC_OPT+=" -Wformat -Werror=format-security"
LD_OPT="-Wl,-z,relro -Wl,-z,now"

build_floor() {
    local source=${NGINX_SRC:-/usr/share/nginx/src}
    local tree=$BUILD/bench/nginx flags=$BUILD/nginx/plain/flags
    local name arguments=() configure=configure

    if [[ -n ${NGINX_SRC:-} ]]; then
        tree+=-$(nginx_version_of "$source")
        flags=$BUILD/nginx-$(nginx_version_of "$source")/tree-plain/flags
    fi
    export BENCH_FLOOR=$tree/objs/ngx_http_floor_module.so

    grep -Fxq -- "$CC_OPT" "$flags" \
        || die "the module's compiler flags are not the floor's (tools/bench.sh)"

    [[ ! $BENCH_FLOOR -nt $ROOT/bench/floor/ngx_http_floor_module.c \
        || ! $BENCH_FLOOR -nt $ROOT/bench/floor/config \
        || ! $BENCH_FLOOR -nt $source/src/core/nginx.h \
        || ! $BENCH_FLOOR -nt $ROOT/tools/bench.sh ]] || return 0

    say "building the floor"
    rm -rf "$tree"
    mkdir -p "$tree"
    for name in auto src configure; do
        [[ ! -e $source/$name ]] || ln -sfn "$source/$name" "$tree/$name"
    done
    ln -sfn "$(realpath --relative-to="$tree" "$ROOT/bench/floor")" \
        "$tree/floor"
    [[ -f $source/configure ]] || configure=auto/configure
    mapfile -t arguments < <(configure_arguments "$source")
    (
        cd "$tree"
        "./$configure" "${arguments[@]}" --builddir=objs \
            --add-dynamic-module=floor --with-cc-opt="$CC_OPT" \
            --with-ld-opt="$LD_OPT" >configure.log 2>&1 \
            && make -s --no-print-directory -f objs/Makefile modules >&2
    ) || die "building the floor failed, see ${tree#"$ROOT"/}/configure.log"
}

# The peer's packages; without Node.js 20 the table is printed without it.
install_node_peer() {
    local dir=$BUILD/bench/npm manifest=$ROOT/bench/peers/node/package.json
    if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
        need_packages nodejs npm
    fi
    if (($(node -p 'parseInt(process.versions.node)') < 20)); then
        say "bench: Fastify wants Node.js 20 or newer; without the Node peer"
        rm -rf "$dir"
        return 0
    fi
    cmp -s "$manifest" "$dir/installed.json" && return 0
    say "installing the Node peer's packages"
    mkdir -p "$dir"
    cp "$manifest" "$dir/package.json"
    npm install --prefix "$dir" --no-audit --no-fund --no-package-lock \
        --loglevel=error >&2 || die "npm install failed"
    cp "$manifest" "$dir/installed.json"
}

# bench/parse.cpp and bench/simdjson.cpp over the core's parser, compiled as in
# the module; simdjson picks its walk by what the compiler may use, hence twice.
build_parsers() {
    local flags=(-O3 -g -fno-exceptions -fno-rtti -Wall -Wextra -Werror
        -I "$ROOT/include" -fstack-protector-strong -D_FORTIFY_SOURCE=2)
    local out=$BUILD/bench name core=()
    for name in arena fields parser problem syntax utf8 walk; do
        g++ "${flags[@]}" -c -o "$out/$name.o" \
            "$ROOT/src/core/esputnik_$name.cpp"
        core+=("$out/$name.o")
    done
    g++ "${flags[@]}" -o "$out/parse" "$ROOT/bench/parse.cpp" "${core[@]}" -lyajl
    g++ "${flags[@]}" -o "$out/simdjson-baseline" \
        "$ROOT/bench/simdjson.cpp" "${core[@]}" -lsimdjson -lyajl
    g++ "${flags[@]}" -march=native -o "$out/simdjson-native" \
        "$ROOT/bench/simdjson.cpp" "${core[@]}" -lsimdjson -lyajl
}

what=compare
packages=("${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" python3)
for argument in "$@"; do
    case $argument in
        -h | --help) usage; exit ;;
        --record) what=record ;;
        compare | check | growth | memory | parse | profile | spool | cluster | \
            guard)
            what=$argument ;;
    esac
done
case $what in
    compare | check)
        packages+=(wrk libnginx-mod-http-lua lua-nginx-redis lua-cjson) ;;
    record | guard) packages+=(valgrind) ;;
    profile) packages+=(valgrind strace wrk) ;;
    parse) packages+=(libsimdjson-dev) ;;
    *) packages+=(wrk) ;;
esac

need_packages "${packages[@]}"
mkdir -p "$BUILD/bench"
BENCH_MODULE=$(build_module plain)
export BENCH_MODULE
build_floor
case $what in
    compare | check) install_node_peer ;;
    parse) build_parsers ;;
esac

exec python3 "$ROOT/bench/bench.py" "$@"
