package Esputnik::Proxy;

# A byte proxy between nginx and Redis that cuts, delays, splits or swallows.
# Its rules are read again for each piece of data, so a test can change them.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(sleep time);

use Esputnik::Port qw(free_port);
use Esputnik::Process qw(fork_code reap);

# %rules, for the replies of Redis on their way to nginx:
#   after => N      the first N bytes of a connection pass, then:
#   replies => N    the first N whole one-line replies pass, then:
#   then => 'fin' | 'rst' | 'hole' (swallowed, connection open)
#   split => 1      one byte a packet
#   delay => S      seconds before each piece
#   up => 0         connections are refused at once (closed on accept)
#   arm => 'X'      after, replies and then count only from when a command
#                   that contains X passes
sub start
{
    my ($class, $upstream_port, %rules) = @_;
    my $folder = tempdir('esputnik-proxy-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { folder => $folder, port => free_port(),
                       upstream => $upstream_port }, $class;
    $self->rules(%rules);
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $self->{port}, Listen => 128,
        ReuseAddr => 1) or die "listen: $!\n";
    $self->{pid} = fork_code(sub { $self->_serve($listener) });
    close $listener;
    return $self;
}

sub port { $_[0]{port} }
sub url { "redis://127.0.0.1:$_[0]{port}" }
sub stop { my ($self) = @_; reap(delete $self->{pid}) if $self->{pid} }

sub rules
{
    my ($self, %rules) = @_;
    my $file = "$self->{folder}/rules";
    open my $out, '>', "$file.new" or die "$file: $!\n";
    print $out JSON::PP::encode_json(\%rules);
    close $out;
    rename "$file.new", $file;
}

sub connections
{
    my ($self) = @_;
    return -s "$self->{folder}/connections" || 0;
}

sub _rules
{
    my ($self) = @_;
    open my $in, '<', "$self->{folder}/rules" or return {};
    return JSON::PP::decode_json(scalar <$in>);
}

sub _serve
{
    my ($self, $listener) = @_;
    my $parent = getppid;
    local $SIG{CHLD} = 'IGNORE';
    my $select = IO::Select->new($listener);
    while (getppid == $parent) {
        $select->can_read(1) or next;
        my $client = $listener->accept or next;
        open my $count, '>>', "$self->{folder}/connections";
        syswrite $count, '.';
        close $count;
        my $rules = $self->_rules;
        if (defined $rules->{up} && !$rules->{up}) {
            close $client;
            next;
        }
        my $pid = fork // die "fork: $!\n";
        if ($pid == 0) {
            close $listener;
            alarm 600;
            eval { $self->_relay($client); 1 } or print STDERR "# proxy: $@";
            POSIX::_exit(0);
        }
        close $client;
    }
}

sub _relay
{
    my ($self, $client) = @_;
    my $redis = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                      PeerPort => $self->{upstream});
    return unless $redis;
    setsockopt $_, IPPROTO_TCP, TCP_NODELAY, 1 for $client, $redis;

    my $select = IO::Select->new($client, $redis);
    my ($passed, $replies, $armed) = (0, 0, 0);
    for (;;) {
        for my $from ($select->can_read(1)) {
            my $n = sysread $from, my $data, 65536;
            return unless $n;
            my $rules = $self->_rules;

            if ($from == $client) {
                $armed ||= !defined $rules->{arm}
                           || index($data, $rules->{arm}) >= 0;
                _write($redis, $data);
                next;
            }

            sleep $rules->{delay} if $rules->{delay};
            my $pass = length $data;
            if ($armed && defined $rules->{after}) {
                my $left = $rules->{after} - $passed;
                $pass = $left if $left < $pass;
            }
            if ($armed && defined $rules->{replies}) {
                $pass = 0;
                while ($replies < $rules->{replies}
                       && (my $at = index $data, "\n", $pass) >= 0) {
                    $pass = $at + 1;
                    $replies++;
                }
            }
            $passed += $pass if $armed;
            my $out = substr $data, 0, $pass;
            if ($rules->{split}) {
                _write($client, $_), sleep 0.0001 for split //, $out;
            } else {
                _write($client, $out);
            }

            if ($pass < length $data || ($armed && _due($rules, $passed, $replies))) {
                my $then = $rules->{then} || 'fin';
                if ($then eq 'hole') {
                    $select->remove($redis);
                    next;
                }
                setsockopt $client, Socket::SOL_SOCKET, Socket::SO_LINGER,
                           pack 'II', 1, 0 if $then eq 'rst';
                return;
            }
        }
    }
}

sub _due
{
    my ($rules, $passed, $replies) = @_;
    return (defined $rules->{after} && $passed >= $rules->{after})
        || (defined $rules->{replies} && $replies >= $rules->{replies});
}

sub _write
{
    my ($socket, $data) = @_;
    while (length $data) {
        my $n = syswrite $socket, $data;
        return unless $n;
        substr $data, 0, $n, '';
    }
}

1;
