package Soak::Gauge;

# Memory and descriptors of the workers, sampled, and whether they stay flat.

use strict;
use warnings;

use Time::HiRes qw(time);

sub new
{
    my ($class, %o) = @_;
    return bless { %o, samples => [], next => 0 }, $class;
}

# One sample, when it is time for one.
sub look
{
    my ($self, $nginx) = @_;
    return if time < $self->{next};
    $self->{next} = time + $self->{every};
    my @pids = $nginx->worker_pids or return;
    my $sample = { time => time, pids => join(' ', @pids), rss => 0, own => 0, fds => 0 };
    for my $pid (@pids) {
        my ($rss, $shared) = memory($pid) or return;
        my @fds = glob "/proc/$pid/fd/*";
        $sample->{rss} += $rss / @pids;
        $sample->{own} += ($rss - $shared) / @pids;
        $sample->{fds} += @fds / @pids;
    }
    push @{ $self->{samples} }, $sample;
}

# Resident memory in kB, and how much of it is shared memory.
sub memory
{
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/status" or return;
    my $text = join '', <$in>;
    my ($rss) = $text =~ /^VmRSS:\s+(\d+) kB/m or return;
    my ($shared) = $text =~ /^RssShmem:\s+(\d+) kB/m;
    return ($rss, $shared // 0);
}

# Medians over the samples between two moments, and how many there were.
sub between
{
    my ($self, $from, $to) = @_;
    my @samples = grep { $_->{time} >= $from && $_->{time} < $to } @{ $self->{samples} };
    my %r = (samples => scalar @samples);
    for my $what (qw(rss own fds)) {
        my @sorted = sort { $a <=> $b } map { $_->{$what} } @samples;
        $r{$what} = @sorted ? ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2 : 0;
    }
    return \%r;
}

1;
