# shellcheck shell=sh disable=SC2006,SC2086,SC2154
# auto/make reads this file after config.  nginx has no flags for C++, and its
# own C files would refuse some of these: they are set per object.  The
# symbols are hidden since nginx loads modules with RTLD_GLOBAL; only
# ngx_modules and its like (a C file that configure writes) must be seen.
# ESPUTNIK_CXXFLAGS, from the environment of configure, is for sanitizers.
# The parser runs for every byte of every body: -O3 saves 1 % of a POST.

esputnik_top=`basename $ngx_addon_dir`

cat << END                                                    >> $NGX_MAKEFILE

$NGX_OBJS/addon/$esputnik_top/ngx_esputnik_module.o \\
$NGX_OBJS/addon/core/esputnik_%.o \\
$NGX_OBJS/addon/nginx/ngx_esputnik%.o: \\
	CFLAGS += -Wextra -fno-exceptions -fno-rtti \\
		-fvisibility=hidden -fvisibility-inlines-hidden $ESPUTNIK_CXXFLAGS

$NGX_OBJS/addon/core/esputnik_%.o: CFLAGS += -O3

END
