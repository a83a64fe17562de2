#!/usr/bin/perl
# The soak by hand: options, the table of figures, the verdicts.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../../t/lib";
use Getopt::Long qw(GetOptions);

use Esputnik::Nginx;
use Esputnik::Process qw(kill_all);
use Soak;

my $owner = $$;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };
$SIG{PIPE} = 'IGNORE';
$| = 1;

my %o = (seed => time % 1_000_000, kills => 1);
my $usage = "usage: ./build.sh soak [MINUTES] [--seed N] [--rate POSTS/S] [--accounts N]\n"
    . "           [--gap LEAST-MOST] [--longest SECONDS] [--no-kills]\n";
GetOptions(
    'seed=i' => \$o{seed}, 'rate=f' => \$o{rate}, 'accounts=i' => \$o{accounts},
    'longest=f' => \$o{longest}, 'kills!' => \$o{kills},
    'gap=s' => sub {
        $_[1] =~ /\A([\d.]+)-([\d.]+)\z/ or die $usage;
        $o{gap} = [$1, $2];
    },
) or die $usage;
my $minutes = shift // 15;
die $usage if @ARGV || $minutes !~ /\A\d+(?:\.\d+)?\z/ || $minutes < 0.3;
delete $o{$_} for grep { !defined $o{$_} } keys %o;

print "soak: $minutes minutes, seed $o{seed}\n";
my $soak = Soak->new(%o, seconds => 60 * $minutes, say => sub { print "$_[0]\n" })->run;

print "\n", $soak->table, "\n";
for my $check ($soak->checks) {
    print $check->{ok} ? 'ok      ' : 'NOT OK  ', "$check->{name}\n";
    print map { "        $_\n" } split /\n/, $check->{detail};
}
my $failed = $soak->failed;
printf "soak: %d passed, %d failed\n", $soak->checks - $failed, $failed;
exit($failed ? 1 : 0);

END {
    if ($$ == $owner) {
        my $status = $?;
        $_->stop('TERM') for Esputnik::Nginx->all;
        kill_all();
        $? = $status;
    }
}
