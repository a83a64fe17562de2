package Esputnik::FakeRedis;

# A scripted Redis: answers each command from a table of code, and can cut,
# delay, split or send garbage.  Each connection is served in a process of its
# own; what was received is written to a file that the test reads.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP ();
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep);

use Esputnik::Port qw(free_port);
use Esputnik::Process qw(fork_code reap);
use Esputnik::Resp;

my $json = JSON::PP->new->latin1->allow_nonref;

# %o: on => { COMMAND => sub { my ($c, $words) = @_; … $c->send(bytes) } },
# connected => sub { my ($c) = @_ } (before anything is read),
# accept => 0: connections are never completed, port => a given one, host => a
# given address.
sub start
{
    my ($class, %o) = @_;
    my $folder = tempdir('esputnik-fake-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless {
        folder => $folder,
        port => $o{port} || free_port(),
        host => $o{host} || '127.0.0.1',
        on => $o{on} || {},
        connected => $o{connected},
    }, $class;

    my $accept = !defined $o{accept} || $o{accept};
    my $listener = IO::Socket::INET->new(
        LocalAddr => $self->{host}, LocalPort => $self->{port},
        Listen => $accept ? 128 : 1, ReuseAddr => 1) or die "listen: $!\n";

    if (!$accept) {
        # listen(1) holds two connections; the kernel drops further SYNs
        listen $listener, 0;
        $self->{fill} = [map {
            IO::Socket::INET->new(PeerAddr => $self->{host}, Blocking => 0,
                                  PeerPort => $self->{port})
        } 1 .. 4];
        $self->{listener} = $listener;
        return $self;
    }

    $self->{pid} = fork_code(sub { $self->_serve($listener) });
    close $listener;
    return $self;
}

sub port { $_[0]{port} }
sub url { "redis://$_[0]{host}:$_[0]{port}" }
sub address { "$_[0]{host}:$_[0]{port}" }

sub stop
{
    my ($self) = @_;
    delete @$self{qw(listener fill)};
    reap(delete $self->{pid}) if $self->{pid};
}

# A word that handlers see as $c->mode: how the test changes the script while
# it runs.
sub mode
{
    my ($self, $mode) = @_;
    my $file = "$self->{folder}/mode";
    if (defined $mode) {
        open my $out, '>', "$file.new" or die "$file: $!\n";
        print $out $mode;
        close $out;
        rename "$file.new", $file;
        return $mode;
    }
    open my $in, '<', $file or return '';
    return scalar(<$in>) // '';
}

# What came so far: [connection, word, word …]; with a name only these.
sub commands
{
    my ($self, $name) = @_;
    open my $in, '<', "$self->{folder}/commands" or return;
    my @all = map { $json->decode($_) } <$in>;
    return defined $name ? grep { uc $_->[1] eq $name } @all : @all;
}

sub connections
{
    my ($self) = @_;
    return -s "$self->{folder}/connections" || 0;
}

sub _note
{
    my ($self, $file, $text) = @_;
    open my $out, '>>', "$self->{folder}/$file" or die "$file: $!\n";
    syswrite $out, $text;
}

sub _serve
{
    my ($self, $listener) = @_;
    my $parent = getppid;
    my $number = 0;
    local $SIG{CHLD} = 'IGNORE';
    my $select = IO::Select->new($listener);
    while (getppid == $parent) {
        $select->can_read(1) or next;
        my $socket = $listener->accept or next;
        $number++;
        $self->_note(connections => '.');
        my $pid = fork // die "fork: $!\n";
        if ($pid == 0) {
            close $listener;
            alarm 600;
            eval { $self->_talk($socket, $number); 1 }
                or print STDERR "# fake Redis: $@";
            POSIX::_exit(0);
        }
        close $socket;
    }
}

sub _talk
{
    my ($self, $socket, $number) = @_;
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    my $c = bless {
        fake => $self, resp => Esputnik::Resp->new($socket),
        number => $number, seen => {}, lists => {},
    }, 'Esputnik::FakeRedis::Connection';

    $self->{connected}->($c) if $self->{connected};
    while (!$c->{closed}) {
        my $words = $c->{resp}->read_command // last;
        $self->_note(commands => $json->encode([$number, @$words]) . "\n");
        my $name = uc $words->[0];
        $c->{seen}{$name}++;
        my $on = $self->{on}{$name} || $c->can("do_\L$name") || \&_unknown;
        $on->($c, $words);
    }
}

sub _unknown { $_[0]->send("-ERR unknown command\r\n") }

package Esputnik::FakeRedis::Connection;

use Time::HiRes qw(sleep);

sub mode { $_[0]{fake}->mode }

# Its place in the order in which connections came, from 1.
sub number { $_[0]{number} }

# How often the command came on this connection.
sub seen { $_[0]{seen}{ $_[1] } || 0 }

sub send { $_[0]{resp}->send($_[1]) }

# One byte a packet.
sub send_split
{
    my ($self, $bytes, $pause) = @_;
    for my $byte (split //, $bytes) {
        $self->send($byte) or return;
        sleep($pause || 0.001);
    }
}

sub close { my ($self) = @_; $self->{closed} = 1; CORE::close $self->{resp}->socket }

sub reset
{
    my ($self) = @_;
    setsockopt $self->{resp}->socket, Socket::SOL_SOCKET, Socket::SO_LINGER,
               pack 'II', 1, 0;
    $self->close;
}

# The answers of a Redis in good health.
sub do_ping { $_[0]->send("+PONG\r\n") }
sub do_auth { $_[0]->send("+OK\r\n") }
sub do_select { $_[0]->send("+OK\r\n") }
sub do_client { $_[0]->send("+OK\r\n") }
sub do_role { $_[0]->send("*3\r\n\$6\r\nmaster\r\n:0\r\n*0\r\n") }

sub do_config
{
    my ($c, $words) = @_;
    my %value = (appendonly => 'yes', 'maxmemory-policy' => 'noeviction',
                 maxmemory => 0);
    my @out = map { ($_, $value{$_}) } grep { exists $value{$_} } @$words;
    $c->send('*' . @out . "\r\n"
             . join '', map { '$' . length . "\r\n$_\r\n" } @out);
}

sub do_info
{
    my ($c) = @_;
    my $text = "# Replication\r\nrole:master\r\n# Persistence\r\n"
        . "aof_enabled:1\r\nloading:0\r\n# Memory\r\nmaxmemory:0\r\n"
        . "maxmemory_policy:noeviction\r\n";
    $c->send('$' . length($text) . "\r\n$text\r\n");
}

sub do_multi { $_[0]{queue} = []; $_[0]->send("+OK\r\n") }

sub do_exec
{
    my ($c) = @_;
    my $queue = delete $c->{queue} || [];
    $c->send('*' . @$queue . "\r\n" . join '', map { ":$_\r\n" } @$queue);
}

sub push_reply
{
    my ($c, $words) = @_;
    $c->{lists}{ $words->[1] } += @$words - 2;
    my $length = $c->{lists}{ $words->[1] };
    if ($c->{queue}) {
        push @{ $c->{queue} }, $length;
        return "+QUEUED\r\n";
    }
    return ":$length\r\n";
}

sub do_rpush { my ($c, $words) = @_; $c->send($c->push_reply($words)) }
sub do_lpush { goto &do_rpush }

1;
