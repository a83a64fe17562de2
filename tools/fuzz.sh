#!/usr/bin/env bash
#: fuzz [SECONDS [NAME ...]]   each target of fuzz/ that long (60), from its
#:                   seeds and what earlier runs found; FUZZ_JOBS (1) at a time
#: fuzz coverage [NAME ...]    the lines of the core that the seeds alone reach:
#:                   of parser, reply decoder and journal 95 % at least
set -euo pipefail
shopt -s inherit_errexit nullglob

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

FUZZ=$BUILD/fuzz
FUZZ_JOBS=${FUZZ_JOBS:-1}

seconds=60
if [[ ${1:-} == coverage ]]; then
    seconds=0
    shift
elif [[ ${1:-} =~ ^[1-9][0-9]*$ ]]; then
    seconds=$1
    shift
elif [[ ${1:-} =~ ^[^a-z] ]]; then
    die "fuzz: SECONDS has to be a number above 0, not \"$1\""
fi

targets=("$@")
if ((${#targets[@]} == 0)); then
    for file in fuzz/fuzz_*.cpp; do
        name=${file#fuzz/fuzz_}
        targets+=("${name%.cpp}")
    done
fi
for name in "${targets[@]}"; do
    [[ -f fuzz/fuzz_$name.cpp ]] || die "fuzz: there is no target \"$name\""
done

# Debian 12 has 14, later ones have newer ones only
if [[ -z ${FUZZ_CXX:-} ]]; then
    if command -v clang++-14 >/dev/null; then
        FUZZ_CXX=clang++-14
    elif command -v clang++ >/dev/null; then
        FUZZ_CXX=clang++
    elif apt-cache show clang-14 >/dev/null 2>&1; then
        need_packages clang-14
        FUZZ_CXX=clang++-14
    else
        need_packages clang
        FUZZ_CXX=clang++
    fi
    export FUZZ_CXX
fi
version=$("$FUZZ_CXX" -dumpversion)
version=${version%%.*}
need_packages "${BUILD_PACKAGES[@]}" "libclang-rt-$version-dev"

build() {
    (
        hold_lock fuzz
        make -s --no-print-directory -C fuzz -j"$JOBS" \
            "VARIANT=$1" "TARGETS=${targets[*]/#/fuzz_}" >&2 8>&-
    ) || die "building the fuzz targets failed"
}

# options NAME: what fuzz/NAME.options and fuzz/NAME.dict ask for.
options() {
    if [[ -f fuzz/$1.options ]]; then
        sed -n 's/^\([a-z_]*\) *= *\([^ ]*\)$/-\1=\2/p' "fuzz/$1.options"
    else
        echo -max_len=4096
    fi
    [[ ! -f fuzz/$1.dict ]] || echo "-dict=fuzz/$1.dict"
}

# --- lines that the seeds reach -----------------------------------------------

coverage() {
    local name objects=() profile=$FUZZ/coverage/all.profdata
    need_packages "llvm-$version"
    build coverage
    rm -f "$FUZZ"/coverage/*.profraw
    for name in "${targets[@]}"; do
        compgen -G "fuzz/seeds/$name/*" >/dev/null \
            || die "fuzz: $name has no seeds"
        LLVM_PROFILE_FILE=$FUZZ/coverage/$name.profraw \
            "$FUZZ/coverage/fuzz_$name" "fuzz/seeds/$name"/* \
            >"$FUZZ/coverage/$name.log" 2>&1 \
            || die "fuzz: a seed of $name fails, see build/fuzz/coverage"
        objects+=(-object "$FUZZ/coverage/fuzz_$name")
    done
    "llvm-profdata-$version" merge -o "$profile" "$FUZZ"/coverage/*.profraw
    "llvm-cov-$version" show -show-instantiations=false \
        -instr-profile="$profile" "${objects[@]:1}" \
        2>"$FUZZ/coverage/show.log" \
        | perl tools/coverage.pl "${targets[@]}"
}

# --- fuzzing ------------------------------------------------------------------

fuzz() {
    local name=$1 log=$FUZZ/$1.log arguments seeds=()
    mkdir -p "$FUZZ/corpus/$name" "$FUZZ/findings"
    [[ ! -d fuzz/seeds/$name ]] || seeds=("fuzz/seeds/$name")
    mapfile -t arguments < <(options "$name")
    "$FUZZ/fuzz_$name" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 \
        -artifact_prefix="$FUZZ/findings/$name-" "${arguments[@]}" \
        "$FUZZ/corpus/$name" "${seeds[@]}" >"$log" 2>&1 8>&-
}

# The last figure behind a word in a log, or "-".
figure() {
    local value
    value=$(sed -n "s/.*$2 *\([0-9][0-9]*\).*/\1/p" "$1" | tail -n 1)
    printf '%s\n' "${value:--}"
}

if ((seconds == 0)); then
    coverage
    exit
fi

build fuzz
say "fuzzing ${targets[*]}, $seconds s each, $FUZZ_JOBS at a time"
declare -A result=()
running=0
pids=()
for name in "${targets[@]}"; do
    if ((running == FUZZ_JOBS)); then
        wait -n || true
        running=$((running - 1))
    fi
    (
        status=0
        fuzz "$name" || status=$?
        echo "$status" >"$FUZZ/$name.status"
    ) &
    pids+=($!)
    running=$((running + 1))
done
for pid in "${pids[@]}"; do
    wait "$pid" || true
done

passed=0
failed=0
printf '%-12s %12s %8s %8s %8s  %s\n' target executions edges of corpus result
for name in "${targets[@]}"; do
    log=$FUZZ/$name.log
    result[$name]=ok
    if [[ $(<"$FUZZ/$name.status") != 0 ]]; then
        result[$name]="FINDING, see build/fuzz/$name.log"
        failed=$((failed + 1))
    elif [[ $(figure "$log" number_of_executed_units:) == - ]]; then
        result[$name]="DID NOT RUN, see build/fuzz/$name.log"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
    printf '%-12s %12s %8s %8s %8s  %s\n' "$name" \
        "$(figure "$log" number_of_executed_units:)" \
        "$(figure "$log" 'cov:')" \
        "$(figure "$log" 'modules *(')" \
        "$(figure "$log" 'corp:')" "${result[$name]}"
done
for name in "${targets[@]}"; do
    [[ ${result[$name]} != FINDING* ]] || tail -n 40 "$FUZZ/$name.log" >&2
done
echo "fuzzing ($seconds s each): $passed passed, $failed failed"
((failed == 0))
