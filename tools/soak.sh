#!/usr/bin/env bash
#: soak [MINUTES] [--seed N] [...]
#:                   senders as the vendor's, rude clients and consumers, while
#:                   Redis is killed, shut down and frozen, nginx reloaded and
#:                   workers killed (15 minutes); then all is counted
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_packages "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" perl python3
TEST_MODULE=${TEST_MODULE:-$(build_module plain)}
TEST_NGINX_BINARY=${TEST_NGINX_BINARY:-$(nginx_for plain)}
make_unit plain tools
export TEST_MODULE TEST_NGINX_BINARY
exec perl "$ROOT/tools/soak/soak.pl" "$@"
