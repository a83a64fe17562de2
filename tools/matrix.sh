#!/usr/bin/env bash
#: matrix            ./build.sh test on Debian 13, then its server tests again
#:                   with Valkey: HEAD in a root of its own, which debootstrap
#:                   makes once; needs root
#: matrix COMMAND ...   ./build.sh COMMAND there; both with MATRIX_SUITE=bookworm
#:                   on a bare Debian 12, which has no Valkey
# Everything is mounted in a namespace of this run: nothing stays mounted, and
# no process stays alive, however it ends.
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

suite=${MATRIX_SUITE:-trixie}
system=$BUILD/matrix/$suite
checkout=/root/esputnik

((EUID == 0)) || die "matrix: only root can use debootstrap and chroot"
git -C "$ROOT" rev-parse -q --verify HEAD >/dev/null \
    || die "matrix: not a git checkout"

# The machine's own mirrors, as "SITE RELEASE" lines.
sources() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(SITE) $(RELEASE)' \
        'Created-By: Packages' 'Component: main' | LC_ALL=C sort -u
}

# mirror RELEASE: from where the machine has that release of its own.
mirror() {
    sources | awk -v release="$1" '$2 == release { print $1; exit }'
}

# contained COMMAND...: in mount and process namespaces of its own.
contained() {
    unshare --mount --propagation private --pid --fork --kill-child -- "$@"
}

make_system() {
    local own site security new=$system.new
    # shellcheck source=/dev/null
    own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    site=$(mirror "$own")
    security=$(mirror "$own-security")
    [[ $site ]] || die "matrix: apt has no source of Debian's packages"

    say "installing Debian $suite into ${system#"$ROOT"/}"
    rm -rf "$new"
    mkdir -p "$new"
    contained debootstrap --variant=minbase --include=ca-certificates \
        "$suite" "$new" "$site" >"$system.log" 2>&1 \
        || die "debootstrap failed, see ${system#"$ROOT"/}.log"

    {
        echo "deb $site $suite main"
        [[ -z $security ]] || echo "deb $security $suite-security main"
    } >"$new/etc/apt/sources.list"
    # how the machine reaches its mirrors and registries, the root does too
    apt-config dump | grep -iE '^Acquire::[a-z]+::Proxy' \
        >"$new/etc/apt/apt.conf.d/90proxy" || true
    # its packages start no services: their ports are the machine's
    printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d"
    chmod 755 "$new/usr/sbin/policy-rc.d"
    mv "$new" "$system"
}

# What runs within the namespaces; the first process there, whose end ends all.
enter() {
    local ports=/tmp/esputnik-ports-0
    mount -t proc proc "$system/proc"
    mount --rbind /dev "$system/dev"
    # tests on both sides share the network, so also the locks of its ports
    mkdir -p "$ports" "$system$ports"
    mount --bind "$ports" "$system$ports"
    # shellcheck disable=SC2016  # for the inner shell
    chroot "$system" env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${CI:+CI="$CI"} ${TEST_JOBS:+TEST_JOBS="$TEST_JOBS"} \
        ${TEST_SLOW:+TEST_SLOW="$TEST_SLOW"} \
        ${TEST_REDIS:+TEST_REDIS="$TEST_REDIS"} \
        NODE_EXTRA_CA_CERTS=/etc/ssl/machine.crt \
        bash -c 'cd "$1" && shift && exec ./build.sh "$@"' - "$checkout" "$@"
}

if [[ ${MATRIX_INSIDE:-} ]]; then
    enter "$@"
    exit
fi

need_packages debootstrap git
hold_lock matrix
mkdir -p "$BUILD/matrix"
[[ -d $system ]] || make_system

for file in /etc/resolv.conf /etc/hosts; do
    [[ ! -e $file ]] || cp -L "$file" "$system$file"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$system/etc/ssl/machine.crt"

rm -rf "${system:?}$checkout"
git clone -q --no-local "$ROOT" "$system$checkout"
say "Debian $suite, $(git -C "$ROOT" log -1 --format='%h %s')"

# in_system COMMAND...: of build.sh there.
in_system() {
    MATRIX_INSIDE=1 contained "$BASH" "${BASH_SOURCE[0]}" "$@" 8>&-
}

if (($#)); then
    in_system "$@"
    exit
fi
status=0
in_system test || status=1
if [[ $suite != bookworm ]]; then
    TEST_REDIS=valkey in_system test server || status=1
fi
exit "$status"
