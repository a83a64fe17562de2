#!/usr/bin/perl

# Instructions a POST, counted by callgrind, against bench/instructions.json:
# a change that makes the hot path dearer shows here.  `./build.sh bench
# --record` records them anew; commit the new figures with what changed them.

use strict;
use warnings;

use FindBin;
use JSON::PP;
use Test::More;

# With other versions beneath than those recorded, the ratio to a module that
# only reads the body is compared instead, within a wider margin.
#
# Sanitizers would be counted too: the module is the plain one in any case, and
# one load is enough the second time.
my @events = $ENV{TEST_ASAN} || $ENV{TEST_VALGRIND} ? (1) : (1, 4, 100);

my @command = ('bash', "$FindBin::Bin/../tools/bench.sh", 'guard',
    map { ('--events', $_) } @events);

open my $out, '-|', @command or die "bash: $!";
my $json = do { local $/; <$out> };
if (!ok(close $out, 'instructions are counted')) {
    diag 'tools/bench.sh guard failed';
    done_testing();
    exit;
}

my $guard = decode_json($json);
note "compared by the ratio to the floor: $_" for @{ $guard->{others} };

is_deeply([map { $_->{events} } @{ $guard->{rows} }], \@events,
    'each load is there');

for my $row (@{ $guard->{rows} }) {
    cmp_ok(abs $row->{change}, '<=', $row->{margin},
        "a POST of $row->{events}: as many instructions as recorded")
        or diag sprintf
            "%d instructions, %d recorded%s: %+.1f %%, the margin is %d %%\n"
            . "wanted? then ./build.sh bench --record",
            $row->{instructions}, $row->{recorded},
            $row->{ratio}
                ? sprintf(' (%.2f times the floor, %.2f recorded)',
                    $row->{ratio}, $row->{recorded_ratio})
                : '',
            100 * $row->{change}, 100 * $row->{margin};
}

done_testing();
