package Soak::Unrest;

# What goes wrong, and when, as the seed has it: Redis killed, shut down or
# frozen, nginx reloaded, a worker killed.

use strict;
use warnings;

use Esputnik::Process qw(wait_exit wait_for);
use Time::HiRes qw(time);

# Kinds that end workers, and those that do not.
my @workers = qw(reload reload kill_worker);
my @servers = qw(kill_redis shut_down_redis freeze_redis);

# %o: seed, nginx, redis, gap => [least, most] seconds between two, longest =>
# seconds that Redis is away, worker_kills => 0 for none, wait => to let
# so many seconds pass, log.
sub new
{
    my ($class, %o) = @_;
    my $self = bless { %o, deck => [], counts => {}, windows => [], workers => 1 },
        $class;
    # a generator of its own: what else runs here does not change the course
    $self->{state} = $o{seed} & 0xffffffff;
    $self->{next} = time + $self->_between(@{ $o{gap} });
    return $self;
}

# 0 <= r < 1 (a linear congruential generator of 32 bits).
sub _random
{
    my ($self) = @_;
    for (1, 2) {
        $self->{state} = ($self->{state} * 1664525 + 1013904223) & 0xffffffff;
    }
    return ($self->{state} >> 8) / 2**24;
}

sub _between { my ($self, $low, $high) = @_; return $low + ($high - $low) * $self->_random }

# Whether workers may end from now on.
sub workers { my ($self, $may) = @_; $self->{workers} = $may; $self->{deck} = [] }

sub kinds { my %all = map { $_ => 1 } @servers, @workers; return sort keys %all }

sub counts { $_[0]{counts} }

# Whether one of them was at work between two moments.
sub between
{
    my ($self, $from, $to) = @_;
    return scalar grep { $_->[0] <= $to && $_->[1] >= $from } @{ $self->{windows} };
}

sub events { my ($self) = @_; my $n = 0; $n += $_ for values %{ $self->{counts} }; return $n }

# Does the next thing when its time has come.
sub work
{
    my ($self) = @_;
    return if time < $self->{next};
    # each kind comes before one comes again
    if (!@{ $self->{deck} }) {
        my @deck = (@servers, $self->{workers} ? @workers : ());
        @deck = grep { $_ ne 'kill_worker' } @deck unless $self->{worker_kills};
        push @{ $self->{deck} }, splice @deck, $self->_random * @deck, 1 while @deck;
    }
    my $kind = shift @{ $self->{deck} };
    $self->{counts}{$kind}++;
    my $start = time;
    $self->$kind;
    push @{ $self->{windows} }, [$start, time];
    $self->{next} = time + $self->_between(@{ $self->{gap} });
}

sub _say { my ($self, $text) = @_; $self->{log}->($text) }

sub _away
{
    my ($self) = @_;
    my $seconds = $self->_between(0.1, $self->{longest} / 2);
    $self->{wait}->($seconds);
    my $start = time;
    # it reads its data first, on a busy machine for long
    local $ENV{TEST_SLOW} = 6;
    $self->{redis}->launch;
    $self->_say(sprintf 'Redis was away for %.1f s, read its data in %.1f s', $seconds,
                time - $start);
}

sub kill_redis
{
    my ($self) = @_;
    $self->{redis}->kill9;
    $self->_away;
}

sub shut_down_redis
{
    my ($self) = @_;
    my $redis = $self->{redis};
    delete $redis->{client};
    kill 'TERM', $redis->pid;
    wait_exit($redis->pid, 20) // die "Redis does not shut down\n";
    $self->_away;
}

sub freeze_redis
{
    my ($self) = @_;
    my $seconds = $self->_between(0.2, $self->{longest});
    $self->{redis}->freeze;
    $self->{wait}->($seconds);
    $self->{redis}->thaw;
    $self->_say(sprintf 'Redis was frozen for %.1f s', $seconds);
}

sub reload
{
    my ($self) = @_;
    my $start = time;
    $self->{nginx}->reload or die "nginx does not reload\n";
    $self->_say(sprintf 'nginx reloaded in %.1f s', time - $start);
}

sub kill_worker
{
    my ($self) = @_;
    my $nginx = $self->{nginx};
    my @pids = $nginx->worker_pids;
    my $victim = $pids[$self->_random * @pids];
    kill 'KILL', $victim;
    wait_for(sub {
        my @now = $nginx->worker_pids;
        @now >= @pids && !grep { $_ == $victim } @now;
    }, 10) or die "no worker came for the one killed\n";
    $self->_say("worker $victim killed");
}

1;
