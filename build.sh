#!/usr/bin/env bash
# The way in: builds the module, and hands every other word to tools/WORD.sh.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<END
usage: ./build.sh [OPTION ...] [COMMAND [ARGUMENT ...]]

Without a command: installs what is missing, builds build/ngx_esputnik_module.so
for the installed nginx, and build/esputnik-spool.

options
  --nginx-src=DIR   build for the nginx whose sources are in DIR, into
                    build/nginx-VERSION/ (nothing is written to DIR)
  --nginx-bin=FILE  with --nginx-src: take the configure arguments of this
                    nginx instead of --with-compat and the usual modules, and
                    use it for \`run\` and \`test\`; without it these build one

commands
  help              this text
  clean             remove build/, but not what \`run\` keeps in build/run/
END
    # each tool says what it does in lines that start with "#:"
    local tool
    for tool in "$ROOT"/tools/*.sh; do
        sed -n 's/^#: \{0,1\}/  /p' "$tool"
    done
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/common.sh
. "$ROOT/tools/common.sh"

while (($#)); do
    case $1 in
        --nginx-src=*)
            NGINX_SRC=$(realpath -- "${1#*=}")
            export NGINX_SRC
            ;;
        --nginx-bin=*)
            NGINX_BIN=$(command -v -- "${1#*=}") || die "no nginx: ${1#*=}"
            NGINX_BIN=$(realpath -- "$NGINX_BIN")
            export NGINX_BIN
            ;;
        -h | --help) usage; exit ;;
        -*) die "unknown option $1; ./build.sh help lists all" ;;
        *) break ;;
    esac
    shift
done

if [[ -n ${NGINX_BIN:-} && -z ${NGINX_SRC:-} ]]; then
    die "--nginx-bin goes with --nginx-src"
fi

command=${1:-build}
shift || true

case $command in
    help) usage ;;
    build)
        (($# == 0)) || die "build takes no argument; ./build.sh help"
        need_packages "${BUILD_PACKAGES[@]}"
        module=$(build_module plain)
        make_unit plain tools
        say "built ${module#"$ROOT"/}"
        ;;
    clean)
        find "$BUILD" -mindepth 1 -maxdepth 1 ! -name run \
            -exec rm -rf {} + 2>/dev/null || true
        ;;
    *)
        tool=$ROOT/tools/$command.sh
        if [[ $command == */* || $command == common || ! -f $tool ]]; then
            die "no command \"$command\"; ./build.sh help lists all"
        fi
        exec "$BASH" "$tool" "$@"
        ;;
esac
