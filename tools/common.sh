# What build.sh and the tools share; sourced by bash, not run.
# shellcheck shell=bash disable=SC2034

ROOT=${ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
BUILD=$ROOT/build
JOBS=${JOBS:-$(nproc)}
# where nginx is, which a user's shell need not know
PATH=$PATH:/usr/sbin:/sbin

# Debian's packages, by what they are for; build.sh and the tools use them.
BUILD_PACKAGES=(g++ make nginx nginx-dev libyajl-dev libhiredis-dev)
RUN_PACKAGES=(redis-server redis-tools curl)
# of Redis, or of what the tests start instead: TEST_REDIS=valkey
TEST_PACKAGES=("${TEST_REDIS:-redis}"-{server,sentinel,tools}
    check pkg-config perl curl nghttp2-client python3 python3-redis valgrind
    strace openssl
    build-essential debhelper dpkg-dev lintian git)
LINT_PACKAGES=(shellcheck clang-format clang-tidy)

say() {
    printf '%s\n' "$*" >&2
}

die() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

# Installs those of the named packages that are not there.
need_packages() {
    command -v dpkg-query >/dev/null || return 0

    local package missing=()
    for package in "$@"; do
        if [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) \
            != installed ]]
        then
            missing+=("$package")
        fi
    done
    ((${#missing[@]})) || return 0

    local as_root=()
    if ((EUID)); then
        command -v sudo >/dev/null \
            || die "missing packages; as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi

    say "installing ${missing[*]}"
    local install=(env DEBIAN_FRONTEND=noninteractive
        apt-get install -qq -y --no-install-recommends "${missing[@]}")
    # the lists of a bare system are empty or old: then once more with new ones
    "${as_root[@]}" "${install[@]}" >&2 || {
        "${as_root[@]}" apt-get update -qq >&2
        "${as_root[@]}" "${install[@]}" >&2
    } || die "cannot install; as root: apt-get install ${missing[*]}"
}

# The packages that folders of tests name, in packages.txt, one a line.
listed_packages() {
    local file
    for file in "$ROOT"/t/packages.txt "$ROOT"/t/*/packages.txt; do
        [[ ! -f $file ]] || sed 's/#.*//; s/[[:space:]]//g; /^$/d' "$file"
    done
}

# Node modules for the tests, as t/*/package.json ask for them, installed into
# build/npm.  Prints the folder of the modules, or nothing when the tests need
# none.
install_npm() {
    local prefix=$BUILD/npm manifests=() file
    for file in "$ROOT"/t/*/package.json; do
        [[ ! -f $file ]] || manifests+=("$file")
    done
    ((${#manifests[@]})) || return 0
    if ! command -v npm >/dev/null; then
        need_packages nodejs npm
    fi
    (
        hold_lock npm
        mkdir -p "$prefix" \
            && merge_manifests "${manifests[@]}" >"$prefix/wanted.json" || exit 1
        cmp -s "$prefix/wanted.json" "$prefix/installed.json" && exit 0
        cp "$prefix/wanted.json" "$prefix/package.json" \
            && npm install --prefix "$prefix" --no-audit --no-fund \
                --no-package-lock --loglevel=error >&2 8>&- \
            && mv "$prefix/wanted.json" "$prefix/installed.json"
    ) || die "npm install failed"
    printf '%s\n' "$prefix/node_modules"
}

# One package.json with the dependencies of all.
merge_manifests() {
    perl -MJSON::PP -e '
        my %all;
        for my $file (@ARGV) {
            open my $in, "<", $file or die "$file: $!\n";
            local $/;
            my $wanted = decode_json(<$in>)->{dependencies} // {};
            for my $name (keys %$wanted) {
                die "$file: another $name than elsewhere\n"
                    if exists $all{$name} && $all{$name} ne $wanted->{$name};
                $all{$name} = $wanted->{$name};
            }
        }
        print JSON::PP->new->pretty->canonical->encode(
            { private => JSON::PP::true, dependencies => \%all });
    ' "$@"
}

# Until the end of the (sub)shell no other build.sh builds the same thing.
hold_lock() {
    mkdir -p "$BUILD"
    exec 8>"$BUILD/.$1.lock"
    flock 8
}

# t/unit/Makefile: the core as a library, its tests, the command-line tool.
make_unit() {
    local variant=$1
    shift
    (
        hold_lock "unit-$variant"
        make -s --no-print-directory -C "$ROOT/t/unit" -j"$JOBS" \
            VARIANT="$variant" "$@" >&2 8>&-
    ) || die "make $* ($variant) failed"
}

# --- the module ---------------------------------------------------------------

# The arguments of configure that the module has to share with the nginx which
# loads it.  Prints them one a line.
configure_arguments() {
    local source=$1

    if [[ -n ${NGINX_BIN:-} ]]; then
        binary_arguments "$NGINX_BIN"
    elif [[ -f $source/conf_flags ]]; then
        # a distribution's tree of headers says how its nginx was built
        local NGX_CONF_FLAGS=()
        # shellcheck source=/dev/null
        . "$source/conf_flags"
        printf '%s\n' "${NGX_CONF_FLAGS[@]}"
    else
        printf '%s\n' --with-compat --with-threads --with-http_ssl_module \
            --with-http_v2_module --with-http_realip_module \
            --with-http_auth_request_module --with-debug \
            --error-log-path=stderr
    fi
}

# What `nginx -V` prints, without what concerns other modules and without
# folders of that nginx's own build.
binary_arguments() {
    local line arguments=() argument
    line=$("$1" -V 2>&1 | sed -n 's/^configure arguments: //p')
    # the line quotes its words for a shell
    eval "arguments=($line)"
    for argument in "${arguments[@]}"; do
        case $argument in
            --add-module=* | --add-dynamic-module=* | --with-*=dynamic) ;;
            --with-cc-opt=* | --with-ld-opt=* | --builddir=*) ;;
            --with-openssl=* | --with-pcre=* | --with-zlib=*) ;;
            --with-*_opt=* | --with-*-opt=*) ;;
            *) printf '%s\n' "$argument" ;;
        esac
    done
}

nginx_version_of() {
    sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' "$1/src/core/nginx.h"
}

# module_tree SOURCE VARIANT: where the module is built for that nginx.
module_tree() {
    if [[ -n ${NGINX_SRC:-} ]]; then
        printf '%s\n' "$BUILD/nginx-$(nginx_version_of "$1")/tree-$2"
    else
        printf '%s\n' "$BUILD/nginx/$2"
    fi
}

# The nginx that goes with the module, for a build_module before this: the
# named or installed one, or, from whole sources, one of the same variant.
nginx_for() {
    local variant=$1 tree
    if [[ -n ${NGINX_BIN:-} || ! -f ${NGINX_SRC:-}/src/core/nginx.c ]]; then
        printf '%s\n' "${NGINX_BIN:-nginx}"
        return
    fi
    tree=$(module_tree "$NGINX_SRC" "$variant")
    (
        hold_lock "module-$variant"
        make -s --no-print-directory -C "$tree" -f objs/Makefile \
            -j"$JOBS" binary >&2 8>&-
    ) || die "building nginx ($variant) failed"
    printf '%s\n' "$tree/objs/nginx"
}

# build_module VARIANT: builds the module and prints where it is.
# Variants: plain, and asan (AddressSanitizer and UndefinedBehaviorSanitizer).
build_module() {
    local variant=$1
    local source=${NGINX_SRC:-/usr/share/nginx/src}
    local cc_opt ld_opt cxx_opt="" output tree

    [[ -f $source/src/core/nginx.h ]] || die "no nginx sources in $source"
    source=$(cd "$source" && pwd)

    case $variant in
        plain)
            cc_opt="-g -O2 -fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2"
            cc_opt+=" -Wformat -Werror=format-security"
            ld_opt="-Wl,-z,relro -Wl,-z,now"
            ;;
        asan)
            cc_opt="-g -O1 -fPIC -fno-omit-frame-pointer"
            cc_opt+=" -fsanitize=address"
            # nginx's own C hands null pointers to memcpy
            cxx_opt="-fsanitize=undefined -fno-sanitize-recover=all"
            ld_opt="-fsanitize=address,undefined"
            # of an nginx built with it: every palloc is an allocation of its
            # own, so that the sanitizer sees where a pool's pieces end
            [[ ! -f $source/src/core/nginx.c ]] || cc_opt+=" -DNGX_DEBUG_PALLOC=1"
            ;;
        *) die "no variant \"$variant\" of the module" ;;
    esac

    tree=$(module_tree "$source" "$variant")
    if [[ -n ${NGINX_SRC:-} ]]; then
        output=$(dirname "$tree")
    else
        output=$BUILD
    fi
    if [[ $variant != plain ]]; then
        output=$output/$variant
    fi

    # errexit does not work to the left of ||
    (
        hold_lock "module-$variant"
        configure_module "$source" "$tree" "$cc_opt" "$ld_opt" "$cxx_opt" >&2 \
            && make -s --no-print-directory -C "$tree" -f objs/Makefile \
                -j"$JOBS" modules >&2 8>&- \
            && install_if_changed "$tree/objs/ngx_esputnik_module.so" \
                "$output/ngx_esputnik_module.so"
    ) || die "building the module ($variant) failed"
    printf '%s\n' "$output/ngx_esputnik_module.so"
}

# Lays out a tree of links, in which configure writes, and configures it when
# anything has changed that goes into the Makefile.  The checkout is reached
# through a link too: a dot in its path would end up in the names of objects.
configure_module() {
    local source=$1 tree=$2 cc_opt=$3 ld_opt=$4 cxx_opt=$5
    local configure=configure arguments=() flags files name

    [[ -f $source/configure ]] || configure=auto/configure
    mapfile -t arguments < <(configure_arguments "$source")

    flags=$(
        printf '%s\n' "$source" "$(nginx_version_of "$source")" \
            "$cc_opt" "$ld_opt" "$cxx_opt" "${arguments[@]}" "${CC:-cc}"
        cat "$ROOT/config" "$ROOT/config.make"
    )
    files=$(cd "$ROOT" && find . -path ./build -prune \
        -o \( -path './src/*' -o -path './include/*' -o -path './ngx_*' \) \
        -name '*.[ch]*' -print | LC_ALL=C sort)

    if [[ ! -f $tree/flags || $(<"$tree/flags") != "$flags" ]]; then
        rm -rf "$tree"
    elif [[ -f $tree/files && $(<"$tree/files") == "$files" ]]; then
        return 0
    fi

    say "configuring for nginx $(nginx_version_of "$source")"
    mkdir -p "$tree"
    for name in auto src configure; do
        [[ ! -e $source/$name ]] || ln -sfn "$source/$name" "$tree/$name"
    done
    ln -sfn "$(realpath --relative-to="$tree" "$ROOT")" "$tree/module"

    # configure writes these anew, after which make would build all once more
    local headers=(ngx_auto_config.h ngx_auto_headers.h)
    for name in "${headers[@]}"; do
        [[ ! -f $tree/objs/$name ]] || cp -p "$tree/objs/$name" "$tree/$name"
    done
    rm -f "$tree/files" "$tree/objs/ngx_esputnik_module.so"

    # the programs that configure tries are sanitized too, and may leak
    if ! (
        cd "$tree" && ASAN_OPTIONS=detect_leaks=0 ESPUTNIK_CXXFLAGS=$cxx_opt \
            "./$configure" "${arguments[@]}" --builddir=objs \
            --add-dynamic-module=module \
            --with-cc-opt="$cc_opt" --with-ld-opt="$ld_opt" \
            >configure.log 2>&1 8>&-
    ); then
        tail -n 20 "$tree/configure.log"
        return 1
    fi

    for name in "${headers[@]}"; do
        if cmp -s "$tree/$name" "$tree/objs/$name"; then
            mv "$tree/$name" "$tree/objs/$name"
        fi
    done
    printf '%s\n' "$flags" >"$tree/flags"
    printf '%s\n' "$files" >"$tree/files"
}

# A new name, not new bytes: a running nginx has the old file mapped.
install_if_changed() {
    if ! cmp -s "$1" "$2"; then
        mkdir -p "$(dirname "$2")" && cp "$1" "$2.new" && mv "$2.new" "$2"
    fi
}
