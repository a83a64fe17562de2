package Soak::Consumer;

# Takes events part of the time: moves each to a list of its own, KEY:taken, in
# one atomic command, so that nothing is lost when Redis dies under it.  A key's
# whole history is then KEY:taken followed by KEY.

use strict;
use warnings;

use Esputnik::Process qw(fork_code reap);
use Esputnik::Resp qw(encode_command);
use Time::HiRes qw(sleep time);

sub start
{
    my ($class, %o) = @_;
    my $self = bless { %o }, $class;
    $self->{pid} = fork_code(sub { $self->_run });
    return $self;
}

sub stop { my ($self) = @_; reap($self->{pid}) }

sub _run
{
    my ($self) = @_;
    srand $self->{seed};
    alarm 0;
    my $client;
    my $parent = getppid;
    while (getppid == $parent) {
        my $until = time + 1 + rand 5;
        while (time < $until) {
            $client ||= $self->{redis}->_connect;
            my $moved = $client ? $self->_move($client) : undef;
            undef $client unless defined $moved;
            sleep($moved ? 0.01 : 0.1);
        }
        sleep 1 + rand 4;
    }
}

# A few of each key; how many, or undef when Redis has gone.
sub _move
{
    my ($self, $client) = @_;
    my $each = 40;
    my @commands = map { (encode_command('LMOVE', $_, "$_:taken", 'LEFT', 'RIGHT')) x $each }
        @{ $self->{keys} };
    $client->send(join '', @commands) or return undef;
    my $moved = 0;
    for (@commands) {
        my ($ok, $reply) = $client->read_reply(time + 20);
        return undef unless $ok;
        return undef if ref $reply;
        $moved++ if defined $reply;
    }
    return $moved;
}

1;
