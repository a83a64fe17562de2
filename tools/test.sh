#!/usr/bin/env bash
#: test              install, build and run everything: unit tests (plain, asan),
#:                   lint, the tests on a server, with a sanitized module, under
#:                   valgrind, and the fuzz targets; TEST_JOBS (2) at a time
#: test unit|lint|server|asan|valgrind|fuzz [FILE.t ...]
#:                   one part of it
#:                   TEST_REDIS=valkey: with Valkey for Redis
#: test long [FILE.t ...]
#:                   the faults with the figures that are promised (TEST_LONG=1),
#:                   one file at a time: takes its time, and is no part of the
#:                   above
set -euo pipefail
shopt -s inherit_errexit nullglob globstar

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

parts=(unit lint server asan valgrind fuzz)
if (($#)); then
    parts=("$1")
    shift
fi
files=("$@")

# What a sanitized module would not show anything new in: programs of others on
# the lists, pages, packages, the counting of instructions, the harness itself.
NOT_SANITIZED='^t/((clients|browser)/|(guard|deb|docs|operations|harness|prove|spool_tool|status_page)\.t$)'
# A worker under valgrind that has served good, bad and aborted requests, and
# with a Redis that came and went, loses nothing.
VALGRIND_FILES=(t/accept.t t/bad_json.t t/aborts.t t/redis_down.t)

report=
started=$SECONDS
passed=0
failed=0
skipped=0

# add PASSED FAILED [SKIPPED]
add() {
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + ${3:-0}))
}

# not_ok WHY: something that no part has counted.
not_ok() {
    echo "NOT OK: $*" | tee -a "$report/failures"
    add 0 1
}

title() {
    printf '\n=== %s\n' "$*"
}

# The closing line comes whatever happened.
close() {
    local status=$?
    trap - EXIT
    if [[ $part != end ]]; then
        not_ok "ended in the midst of \"$part\" (exit status $status)"
        lap
    fi
    if [[ -s $report/failures ]]; then
        title "what failed, or did at first"
        cat "$report/failures"
    fi
    title durations
    cat "$report/laps"
    lap_line all $((SECONDS - started)) "$passed" "$failed"
    rm -rf "$report"
    printf '\n%d passed, %d failed' "$passed" "$failed"
    ((skipped == 0)) || printf ', %d skipped' "$skipped"
    printf '\n'
    ((failed == 0 && status == 0)) || exit 1
}

# A part has ended: how long it took, and what it counted.
lap_passed=0
lap_failed=0
lap() {
    lap_line "$part" $((SECONDS - lap_started)) $((passed - lap_passed)) \
        $((failed - lap_failed)) >>"$report/laps"
    lap_started=$SECONDS
    lap_passed=$passed
    lap_failed=$failed
}

lap_line() {
    printf '%-10s %5d s  %6d passed  %3d failed\n' "$@"
}

# counted NAME COMMAND...: the command's last line ends with
# "N passed, N failed".
counted() {
    local log=$report/$1 status=0 counts before=$failed
    shift
    "$@" 2>&1 | tee "$log" || status=$?
    counts=$(sed -n 's/.*[^0-9]\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' \
        "$log" | tail -n 1)
    if [[ -z $counts ]]; then
        not_ok "no totals (exit status $status)"
    else
        # shellcheck disable=SC2086
        add $counts
        if ((status)) && [[ $counts == *" 0" ]]; then
            not_ok "exit status $status"
        fi
    fi
    if ((failed != before)); then
        tail -n 40 "$log" >>"$report/failures"
    fi
}

# prove_files FILE...: with the environment that the caller has set; the files
# of the command line instead, if there are any.
prove_files() {
    local counts=$report/prove tests=("$@")
    ((${#files[@]} == 0)) || tests=("${files[@]}")
    : >"$counts"
    perl tools/prove.pl "$counts" "${tests[@]}" || true
    if [[ -s $counts ]]; then
        # shellcheck disable=SC2046
        add $(head -n 1 "$counts")
        tail -n +2 "$counts" >>"$report/failures"
    else
        not_ok "prove did not end"
    fi
}

part_unit() {
    local variant
    for variant in plain asan; do
        title "unit tests, $variant"
        counted "unit-$variant" "$BASH" tools/unit.sh "$variant"
    done
}

part_lint() {
    title lint
    counted lint "$BASH" tools/lint.sh --quick
}

# use VARIANT: what the .t files run.
use() {
    TEST_MODULE=$(build_module "$1")
    TEST_NGINX_BINARY=${own_binary:-$(nginx_for "$1")}
    export TEST_MODULE TEST_NGINX_BINARY
    make_unit plain tools
}

part_server() {
    title "server tests${TEST_REDIS:+, $TEST_REDIS}"
    use plain
    prove_files t/**/*.t
}

# The installed nginx is not sanitized: the runtime comes in by LD_PRELOAD.
# What nginx itself leaves at its end is named in t/asan.supp.
part_asan() {
    local file tests=()
    title "server tests, module with ASan and UBSan"
    use asan
    export TEST_ASAN=1 TEST_PRELOAD=
    if ! nm -D "$(command -v "$TEST_NGINX_BINARY")" | grep -q __asan_init; then
        TEST_PRELOAD=$("${CXX:-g++}" -print-file-name=libasan.so)
        TEST_PRELOAD+=:$("${CXX:-g++}" -print-file-name=libubsan.so)
    fi
    for file in t/**/*.t; do
        [[ $file =~ $NOT_SANITIZED ]] || tests+=("$file")
    done
    prove_files "${tests[@]}"
    unset TEST_ASAN TEST_PRELOAD
}

part_valgrind() {
    title "server tests under valgrind"
    use plain
    export TEST_VALGRIND=1
    prove_files "${VALGRIND_FILES[@]}"
    unset TEST_VALGRIND
}

# 10,000 slow clients, 100,000 aborts, 1,000 killed workers …: each wants the
# machine to itself.
part_long() {
    title "faults, with the promised figures"
    use plain
    TEST_LONG=1 TEST_JOBS=${TEST_JOBS:-1} prove_files t/faults/*.t
}

part_fuzz() {
    title "lines that the seeds of the fuzz targets reach"
    counted coverage "$BASH" tools/fuzz.sh coverage
    title "fuzz targets"
    FUZZ_JOBS=$JOBS counted fuzz "$BASH" tools/fuzz.sh 60
}

for part in "${parts[@]}"; do
    declare -F "part_$part" >/dev/null || die "test has no part \"$part\""
done

mkdir -p "$BUILD"
report=$(mktemp -d "$BUILD/report.XXXXXX")
trap close EXIT
lap_started=$SECONDS
part=setup
mapfile -t listed < <(listed_packages)
need_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}" "${listed[@]}"
own_binary=${TEST_NGINX_BINARY:-}
npm_modules=$(install_npm)
if [[ $npm_modules ]]; then
    export NODE_PATH=$npm_modules
fi
lap

for part in "${parts[@]}"; do
    "part_$part"
    lap
done
part=end
