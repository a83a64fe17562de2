#!/usr/bin/env bash
#: unit [VARIANT [TEST ...]]   the unit tests, plain (or asan); all or test_NAME
set -euo pipefail

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
variant=${1:-plain}
shift || true
make_unit "$variant" tests
tests=()
(($# == 0)) || tests=("TESTS=$*")
exec make -s --no-print-directory -C "$ROOT/t/unit" VARIANT="$variant" \
    "${tests[@]}" check
