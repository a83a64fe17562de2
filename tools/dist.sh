#!/usr/bin/env bash
#: dist              the release's tarball from the last commit, the same bytes
#:                   each time: build/dist/ngx_esputnik_module-VERSION.tar.gz
set -euo pipefail
shopt -s inherit_errexit

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

(($# == 0)) || die "dist takes no argument; ./build.sh help"
[[ -e .git ]] || die "dist packs the last commit: this is no git checkout"
commit=$(git rev-parse --verify HEAD)

# The newest version that the changelog has a date for, as of that commit.
version=$(git show "$commit:CHANGELOG.md" \
    | sed -n 's/^## \[\([0-9][0-9.]*\)\] - [0-9-]*$/\1/p' | sed -n 1p)
[[ $version ]] || die "CHANGELOG.md has no \"## [VERSION] - DATE\""
if ! git show "$commit:debian/changelog" | head -n 1 | grep -qF "($version-"; then
    die "debian/changelog does not begin with version $version"
fi

[[ -z $(git status --porcelain --untracked-files=no) ]] \
    || say "not committed, so not in the tarball:" \
        "$(git status --porcelain --untracked-files=no | wc -l) files"

name=ngx_esputnik_module-$version
out=$BUILD/dist
mkdir -p "$out"

# The archive has the commit's own times and owners; gzip adds no time.
git -c tar.umask=0022 -c core.autocrlf=false archive --format=tar \
    --prefix="$name/" "$commit" | gzip -9n >"$out/$name.tar.gz.new"
mv "$out/$name.tar.gz.new" "$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")

say "made ${out#"$ROOT"/}/$name.tar.gz from $(git rev-parse --short "$commit")"
