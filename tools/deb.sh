#!/usr/bin/env bash
#: deb               build/deb/libnginx-mod-http-esputnik_VERSION_ARCH.deb, for
#:                   the installed nginx-dev, and what lintian says of it;
#:                   DEB_BUILD_OPTIONS=nocheck leaves out the unit tests
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

(($# == 0)) || die "deb takes no argument; ./build.sh help"
command -v dpkg-query >/dev/null || die "deb needs Debian"
need_packages "${BUILD_PACKAGES[@]}" build-essential check pkg-config debhelper \
    dpkg-dev lintian

out=$BUILD/deb
hold_lock deb
mkdir -p "$out"

# What goes in: everything but what is made, also of a tree without git.
mapfile -d '' files < <(find . \( -path ./build -o -path ./.git \
    -o -name node_modules -o -name __pycache__ \) -prune \
    -o \( -type f -o -type l \) -print0 | LC_ALL=C sort -z)
state=$(
    dpkg-query -W -f '${Version}\n' nginx-dev libyajl-dev libhiredis-dev g++
    printf '%s\0' "${files[@]}" | xargs -0 sha256sum
)

if [[ -f $out/state && $(<"$out/state") == "$state" ]] \
    && compgen -G "$out/*.deb" >/dev/null
then
    say "$(cd "$out" && ls -- libnginx-mod-http-esputnik_*.deb) is up to date"
    exit 0
fi

rm -rf "$out/source" "$out"/*.deb "$out"/*.changes "$out"/*.buildinfo \
    "$out/state"
mkdir -p "$out/source"
printf '%s\0' "${files[@]}" | xargs -0 cp -P --parents --preserve=mode,timestamps \
    -t "$out/source"

say "building the package"
(
    cd "$out/source"
    export DEB_BUILD_OPTIONS="parallel=$JOBS ${DEB_BUILD_OPTIONS:-}"
    # none of this build's own surroundings
    unset MAKEFLAGS CXXFLAGS CFLAGS CPPFLAGS LDFLAGS NGINX_SRC NGINX_BIN
    dpkg-buildpackage -us -uc -b 8>&-
) >"$out/build.log" 2>&1 || {
    tail -n 30 "$out/build.log" >&2
    die "dpkg-buildpackage failed; see build/deb/build.log"
}

rm -rf "$out/source"
lintian --allow-root --fail-on error "$out"/*.changes || {
    die "lintian finds errors in the package"
}
printf '%s\n' "$state" >"$out/state"
say "built ${out#"$ROOT"/}/$(cd "$out" && ls -- libnginx-mod-http-esputnik_*.deb)"
