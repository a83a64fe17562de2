#!/bin/sh
# Runs Check programs, prints their results, what those that failed said, and one
# line of totals; the exit status says whether all passed.  A program that does
# not end with Check's own summary counts as one failure.
set -u

variant=$1
shift
passed=0
failed=0
said=

for program in "$@"; do
    log=$program.log
    UBSAN_OPTIONS=print_stacktrace=1 "$program" >"$log" 2>&1
    status=$?
    cat "$log"

    counts=$(sed -n \
        's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' \
        "$log")
    checks=0
    bad=0
    if [ -n "$counts" ]; then
        # a program may run several suites, each with a summary of its own
        while read -r c f e; do
            checks=$((checks + c))
            bad=$((bad + f + e))
        done <<END
$counts
END
    fi
    if [ "$checks" -eq 0 ] || { [ $status -ne 0 ] && [ "$bad" -eq 0 ]; }; then
        echo "$(basename "$program"): no summary or exit status $status"
        checks=$((checks + 1))
        bad=$((bad + 1))
    fi
    passed=$((passed + checks - bad))
    failed=$((failed + bad))
    [ "$bad" -eq 0 ] || said="$said $log"
done

# The end is what a reader of a long log sees.
for log in $said; do
    echo "$(basename "$log" .log) said, at its end:"
    tail -n 15 "$log" | sed 's/^/    /'
done
echo "unit tests ($variant): $passed passed, $failed failed"
[ "$failed" -eq 0 ]
