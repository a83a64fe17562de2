package Esputnik::Env;

# What the environment says about this run: which nginx, which module, which
# Redis, under which checker, how slow.

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);
use Cwd qw(abs_path);

our @EXPORT_OK = qw(root nginx_binary module_path redis_binary asan valgrind preload
                    slow_factor slow ms);

my $root = abs_path(dirname(__FILE__) . '/../../..');

sub root { $root }

sub nginx_binary { $ENV{TEST_NGINX_BINARY} || 'nginx' }

sub module_path
{
    return $ENV{TEST_MODULE} ? abs_path($ENV{TEST_MODULE})
                             : "$root/build/ngx_esputnik_module.so";
}

# redis_binary('server'), 'cli': of Redis, or of what TEST_REDIS names (valkey).
sub redis_binary { return ($ENV{TEST_REDIS} || 'redis') . "-$_[0]" }

sub asan { $ENV{TEST_ASAN} ? 1 : 0 }
sub valgrind { $ENV{TEST_VALGRIND} ? 1 : 0 }
sub preload { $ENV{TEST_PRELOAD} // '' }

# How many times longer than on a plain build a step may take.
sub slow_factor
{
    return $ENV{TEST_SLOW} if $ENV{TEST_SLOW};
    return valgrind() ? 8 : asan() ? 3 : 1;
}

# Seconds, stretched for slow runs.
sub slow { $_[0] * slow_factor() }

# Milliseconds as an nginx time, stretched: ms(300) is "300ms".
sub ms { int($_[0] * slow_factor()) . 'ms' }

1;
