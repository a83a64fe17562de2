#!/usr/bin/perl
# Reads what llvm-cov shows of sources and their lines, prints how many of each
# were reached, and holds to the bound what the fuzz targets (the arguments) are
# for.
#
# A function that the compiler alone has run (constexpr) is not counted.

use strict;
use warnings;

my $bound = 95;    # percent

# What a target is for; the names of its files, each a whole one.
my %parts = (
    parser  => [parser => qr/(?:parser|walk|syntax|utf8|fields|field_lookup|arena)/],
    reply   => ['reply decoder' => qr/reply(?:_functions)?/],
    spool   => [journal => qr/journal_\w+/],
);

my ($file, %lines, %reached);
my ($computed, $open);
while (my $line = <STDIN>) {
    if ($line =~ m{\A/\S*/esputnik_(\w+\.(?:cpp|h)):$}) {
        ($file, $computed, $open) = ($1, 0, '');
        next;
    }
    $file = undef if $line =~ m{\A/\S+:$};
    my ($count, $text) = $line =~ /\A\s*\d+\|\s*([\d.]+[kMGTPE]?)?\|(.*)/ or next;
    next unless defined $file;

    # a head, which may go on over lines; its body ends at the head's indentation
    if ($text =~ /\A(\s*)(?:(?:static|inline) )*constexpr\b[^=;]*\z/) {
        ($computed, $open) = (1, $1);
    } elsif ($computed && $text =~ /\A\Q$open\E(?:\}|.*;\z)/) {
        $computed = 0 if $text =~ /\A\Q$open\E\S/;
        next if ($count // 1) eq '0';
    }
    next if !defined $count || $computed && $count eq '0';
    $lines{$file}++;
    $reached{$file}++ if $count ne '0';
}

sub row
{
    my ($what, $reached, $lines) = @_;
    return sprintf '%-32s %8d %8d %7.1f%%', $what, $lines, $reached,
        $lines ? 100 * $reached / $lines : 0;
}

printf "%-32s %8s %8s\n", 'file', 'lines', 'reached';
print row("esputnik_$_", $reached{$_} || 0, $lines{$_}), "\n"
    for grep { $reached{$_} } sort keys %lines;

my ($passed, $failed) = (0, 0);
print "\n";
for my $target (sort @ARGV) {
    my ($what, $names) = @{ $parts{$target} || next };
    my ($lines, $reached) = (0, 0);
    for my $name (grep { /\A$names\.(?:cpp|h)\z/ } keys %lines) {
        $lines += $lines{$name};
        $reached += $reached{$name} || 0;
    }
    my $enough = 100 * $reached >= $bound * $lines && $lines > 0;
    $enough ? $passed++ : $failed++;
    print row($what, $reached, $lines), $enough ? '' : "  NOT OK: below $bound %", "\n";
}
print "coverage of the seeds: $passed passed, $failed failed\n";
exit($failed ? 1 : 0);
