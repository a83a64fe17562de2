#!/usr/bin/env bash
#: lint [--quick]    look the sources over without running them; --quick leaves
#:                   out clang-format and clang-tidy
set -uo pipefail

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT" || exit 1

quick=
case ${1:-} in
    --quick) quick=1 ;;
    "") ;;
    *) die "lint takes --quick or nothing" ;;
esac

need_packages "${BUILD_PACKAGES[@]}" shellcheck
[[ $quick ]] || need_packages "${LINT_PACKAGES[@]}"

shopt -s nullglob
core=(include/*.h src/core/*.cpp src/core/*.h)
layer=(ngx_esputnik_module.cpp src/nginx/*.cpp src/nginx/*.h)
passed=0
failed=0

# check WHAT COMMAND...: passes when the command says nothing and succeeds.
check() {
    local what=$1 output
    shift
    if output=$("$@" 2>&1) && [[ -z $output ]]; then
        echo "ok      $what"
        passed=$((passed + 1))
    else
        echo "NOT OK  $what"
        printf '%s\n' "$output" | sed 's/^/        /'
        failed=$((failed + 1))
    fi
}

core_knows_no_nginx() {
    grep -HnE '\bngx_|#[[:space:]]*include[[:space:]]*[<"]n(gx|ginx)' "${core[@]}" \
        | grep -vE ':[[:space:]]*(/?\*|//)'
    local file name
    for file in "${core[@]}"; do
        name=${file##*/}
        [[ $name == esputnik_* ]] || echo "$file: not named esputnik_*"
    done
    return 0
}

layer_is_named() {
    local file
    for file in "${layer[@]}"; do
        [[ ${file##*/} == ngx_esputnik* ]] || echo "$file: not ngx_esputnik*"
    done
}

# nginx's own headers are C: only the wrapper takes them in.
one_wrapper() {
    grep -nE '#[[:space:]]*include[[:space:]]*<(ngx_|nginx)' "${layer[@]}" \
        | grep -v '^src/nginx/ngx_esputnik\.h:'
    return 0
}

# A list too many would not build, a name too few would not be rebuilt: the
# module's Makefile has every source and every header.
makefile_is_complete() {
    local makefile=build/nginx/plain/objs/Makefile file
    for file in "${core[@]}" "${layer[@]}"; do
        grep -qF "module/$file" "$makefile" || echo "$makefile: no $file"
    done
}

# Built without exceptions, an allocation by `new` that fails would abort the
# worker; and a static object's destructor would run in an unloaded module.
# (string_view::substr beyond the end aborts as well, as it should: that is a
# mistake in the code, not a shortage.)
symbols_are_safe() {
    nm -C --undefined-only "$1" \
        | grep -E 'operator new|__cxa_(throw|atexit|begin_catch)|std::__throw' \
        | grep -vE 'nothrow_t|__throw_out_of_range'
    return 0
}

# The dynamic table has what nginx looks for, and nothing that another module
# could collide with (modules are loaded with RTLD_GLOBAL).
symbols_are_hidden() {
    nm -D --defined-only "$1" | awk '{print $NF}' \
        | grep -vxE 'ngx_modules|ngx_module_names|ngx_module_order'
    return 0
}

check_scripts() {
    local files=()
    mapfile -t files < <(find . -name build -prune -o -name node_modules -prune \
        -o -name '*.sh' -print)
    shellcheck -x -P SCRIPTDIR "${files[@]}" .ci/run config.make
}

no_trailing_space() {
    grep -rnIE '[[:space:]]+$' --include='*.cpp' --include='*.h' \
        --include='*.sh' --include='*.t' --include='*.pm' --include='config*' \
        --exclude-dir=build --exclude-dir=.git --exclude-dir=node_modules .
    return 0
}

check_format() {
    "$BASH" tools/format.sh --check
}

check_tidy_core() {
    tidy src/core/*.cpp -- -I include
}

check_tidy_layer() {
    local tree=build/nginx/plain source
    # with the folders of headers that the Makefile names
    # shellcheck disable=SC2016
    mapfile -t includes < <(make -s -C "$tree" -f objs/Makefile \
        --eval='print-includes: ; @printf "%s\n" $(filter-out -I,$(ALL_INCS))' \
        print-includes 2>/dev/null)
    local flags=(-I include -I src/nginx)
    for source in "${includes[@]}"; do
        flags+=(-isystem "$tree/$source")
    done
    tidy ngx_esputnik_module.cpp src/nginx/*.cpp -- "${flags[@]}"
}

# Its counts of suppressed warnings, and of files, are no findings.
tidy() {
    local output
    output=$(clang-tidy --quiet --warnings-as-errors='*' "$@" \
        -std=gnu++17 -fno-exceptions -fno-rtti 2>&1)
    local status=$?
    printf '%s\n' "$output" | grep -vE \
        -e '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header|^$' \
        -e '^\[[0-9]+/[0-9]+\] Processing file '
    return $status
}

check "the core includes nothing of nginx" core_knows_no_nginx
check "files of the nginx layer are named for it" layer_is_named
check "one header wraps nginx" one_wrapper
check "no space at the end of a line" no_trailing_space
check "shellcheck" check_scripts

if module=$(build_module plain); then
    check "the Makefile knows every file" makefile_is_complete
    check "no throwing call, no static destructor" symbols_are_safe "$module"
    check "no symbol is visible that need not be" symbols_are_hidden "$module"
else
    failed=$((failed + 1))
fi

if [[ ! $quick ]]; then
    check "clang-format" check_format
    check "clang-tidy, core" check_tidy_core
    check "clang-tidy, nginx layer" check_tidy_layer
fi

echo "lint: $passed passed, $failed failed"
((failed == 0))
