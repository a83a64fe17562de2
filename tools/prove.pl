#!/usr/bin/perl
# Runs .t files as prove does (TEST_JOBS at a time) and writes to the file named
# first "PASSED FAILED SKIPPED" and then what it says of failures at the end.  A
# program that dies, or whose plan does not fit, is a failure even when each of
# its lines says ok.
#
# Many tests hold the server to a deadline, which a busy machine can miss for
# it.  A file that failed beside another is run once more with the machine to
# itself and its time limits stretched twice, and that run counts: but it excuses
# lateness only.  A test that says by its name that it is about what must never
# happen, however slow the machine, counts in the first run as well.  What failed
# in the first run is named at the end, with what its tests said of it.

use strict;
use warnings;

use File::Temp qw(tempdir);
use TAP::Harness;

# Documented in t/README.md.
my $NEVER = qr/\b(?:lost|loss|duplicates?|twice|once|inversions?|disorder
                   |in\ order|torn|wrong|shifted|corrupt|alerts?|alarming
                   |crash(?:ed)?|leaks?|secrets?|passwords?)\b
               |\bin\ the\ logs\b
               |\bnothing\ (?:is|was)\ stored\b/xi;
# Unless it is about how soon that is.
my $TIME = qr/\b(?:soon|at once|within|in (?:its|their) time|in time)\b/i;

# So many lines of what a failed file has said are said again at the end.
my $SAID = 30;

my ($counts, @files) = @ARGV;

# Each file's standard error goes where it would go, and into a copy here.
my $copies = tempdir('esputnik-prove-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub copy_of
{
    my ($file) = @_;
    return "$copies/" . $file =~ s/\W/_/gr;
}

# The run, and for each file the names of the tests that failed.
sub run_files
{
    my ($jobs, @tests) = @_;
    my %failed;
    my $harness = TAP::Harness->new({
        jobs  => $jobs,
        color => -t STDOUT,
        timer => 1,
        exec  => sub {
            my ($harness, $file) = @_;
            return ['bash', '-c', 'exec "$0" -It/lib "$1" 2> >(exec tee -a "$2" >&2)',
                    $^X, $file, copy_of($file)];
        },
    });
    $harness->callback(made_parser => sub {
        my ($parser, $job) = @_;
        $parser->callback(test => sub {
            my ($test) = @_;
            push @{ $failed{ $job->[1] } }, $test->description =~ s/\A- //r
                unless $test->is_ok;
        });
    });
    return ($harness->runtests(@tests), \%failed);
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
my ($first, $failed) = run_files($jobs, @files);
my %parser = map { $_ => ($first->parsers($_))[0] } $first->descriptions;

my @again = grep { $parser{$_}->has_problems } sort keys %parser;
my %alone;    # what became of it
if (@again && $jobs > 1) {
    print "\nonce more, alone: @again\n";
    my $usual = $ENV{TEST_VALGRIND} ? 8 : $ENV{TEST_ASAN} ? 3 : 1;
    local $ENV{TEST_SLOW} = 2 * ($ENV{TEST_SLOW} || $usual);
    my ($second) = run_files(1, @again);
    for my $file (@again) {
        my $parser = ($second->parsers($file))[0];
        $alone{$file} = $parser->has_problems ? ', and alone' : ', passed alone';
        if (my @never = grep { /$NEVER/ && !/$TIME/ } @{ $failed->{$file} || [] }) {
            $alone{$file} .= ', which does not excuse "' . join('", "', @never) . '"';
        } else {
            $parser{$file} = $parser;
        }
    }
}

my @sum = (0, 0, 0);
for my $file (keys %parser) {
    my @n = counts_of($parser{$file});
    $sum[$_] += $n[$_] for 0 .. 2;
}

my @end;
for my $file (sort keys %alone) {
    my @names = @{ $failed->{$file} || [] };
    push @end, sprintf "%s: failed beside another (%s)%s\n", $file,
        @names ? join('; ', @names) : 'it ended early', $alone{$file};
}
for my $file (grep { $parser{$_}->has_problems } sort keys %parser) {
    open my $in, '<', copy_of($file) or next;
    my @lines = <$in>;
    splice @lines, 0, @lines - $SAID if @lines > $SAID;
    push @end, "$file said, at its end:\n", map { "    $_" } @lines;
}

open my $out, '>', $counts or die "$counts: $!\n";
print $out "@sum\n", @end;
close $out or die "$counts: $!\n";
print @end;

exit($sum[1] ? 1 : 0);
