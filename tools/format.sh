#!/usr/bin/env bash
#: format [--check] [FILE ...]
#:                   clang-format over the C++ sources, in place; --check only
#:                   prints what would change, but for the column in which a
#:                   comment behind code stands
set -euo pipefail
shopt -s nullglob

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

check=
kept=()
if [[ ${1:-} == --check ]]; then
    check=1
    shift
fi
need_packages clang-format

if (($# == 0)); then
    cd "$ROOT"
    set -- include/*.h src/*/*.cpp src/*/*.h ./*.cpp t/unit/*.cpp t/unit/*.h \
        tools/*.cpp fuzz/*.cpp fuzz/*.h
    # which tools/status_page.pl writes
    for file in "$@"; do
        [[ $file == src/nginx/ngx_esputnik_status_page.cpp ]] || kept+=("$file")
    done
    set -- "${kept[@]}"
fi

# One space before such a comment, and none before its further lines.
plain_comments() {
    awk '{
        line = $0
        if (inside) {
            sub(/^ +/, "", line)
        } else if (line !~ /^ *\/\*/) {
            sub(/ *\/\*/, " /*", line)
        }
        if (inside) {
            inside = line !~ /\*\//
        } else {
            inside = line ~ /[^ ].*\/\*/ && line !~ /\*\//
        }
        print line
    }' "$@"
}

if [[ ! $check ]]; then
    exec clang-format -i "$@"
fi

status=0
for file in "$@"; do
    diff -u --label "$file" --label "$file, formatted" \
        <(plain_comments "$file") <(clang-format "$file" | plain_comments) \
        || status=1
done
exit $status
