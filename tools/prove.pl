#!/usr/bin/perl
# Runs .t files as prove does (TEST_JOBS at a time) and writes
# "PASSED FAILED SKIPPED" to the file named first.  A program that dies, or
# whose plan does not fit, is a failure even when each of its lines says ok.
#
# Many tests hold the server to a deadline, which a busy machine can miss for
# it.  A file that failed beside another is run once more with the machine to
# itself and its time limits stretched twice: that run counts, and the first one
# is named at the end.

use strict;
use warnings;

use TAP::Harness;

my ($counts, @files) = @ARGV;

sub run_files
{
    my ($jobs, @tests) = @_;
    return TAP::Harness->new({
        jobs  => $jobs,
        lib   => ['t/lib'],
        merge => 0,
        color => -t STDOUT,
        timer => 1,
    })->runtests(@tests);
}

# passed, failed and skipped tests of one file
sub counts_of
{
    my ($parser) = @_;
    my $failed = $parser->failed;
    $failed ||= 1 if $parser->has_problems;
    return (scalar($parser->passed) - scalar($parser->todo), $failed,
            scalar $parser->skipped);
}

my $jobs = $ENV{TEST_JOBS} || 2;
my $first = run_files($jobs, @files);
my %parser = map { $_ => ($first->parsers($_))[0] } $first->descriptions;

my @again = grep { $parser{$_}->has_problems } sort keys %parser;
if (@again && $jobs > 1) {
    print "\nonce more, alone: @again\n";
    my $usual = $ENV{TEST_VALGRIND} ? 8 : $ENV{TEST_ASAN} ? 3 : 1;
    local $ENV{TEST_SLOW} = 2 * ($ENV{TEST_SLOW} || $usual);
    my $second = run_files(1, @again);
    $parser{$_} = ($second->parsers($_))[0] for @again;
}

my @sum = (0, 0, 0);
for my $file (keys %parser) {
    my @n = counts_of($parser{$file});
    $sum[$_] += $n[$_] for 0 .. 2;
}

open my $out, '>', $counts or die "$counts: $!\n";
print $out "@sum\n";
close $out or die "$counts: $!\n";

for my $file (@again) {
    printf "%s: failed beside another, %s alone\n", $file,
        $parser{$file}->has_problems ? 'and' : 'passed';
}

exit($sum[1] ? 1 : 0);
