package Esputnik::Sentinel;

# Redis with Sentinel on the loopback: a master, its replicas, sentinels that
# watch them.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

use Esputnik::Env qw(redis_binary slow);
use Esputnik::Port qw(free_port);
use Esputnik::Process qw(spawn reap alive wait_for);
use Esputnik::Redis;
use Esputnik::Resp qw(encode_command);

# %o: replicas (2), sentinels (3), name (mymaster), down_after => ms (1000),
# args => of redis-server, password => of the sentinels, users => [ACL rules of
# further users of the sentinels: "name on >password …"], tls => the options of
# redis-server and of the sentinels that name their certificate: all then have a
# TLS port (tls_port) beside the plain one, which is for the test, and speak TLS
# to each other.
sub start
{
    my ($class, %o) = @_;
    my $self = bless { name => $o{name} || 'mymaster', sentinels => [], o => \%o }, $class;
    my @args = ('--repl-diskless-sync-delay', 0, @{ $o{args} || [] });
    my $master = $self->_server(@args);
    $self->{servers} = [$master];
    for (1 .. $o{replicas} // 2) {
        # told, not configured: one that has been master comes back as one
        my $replica = $self->_server(@args);
        $replica->cmd('REPLICAOF', '127.0.0.1', _port($master));
        push @{ $self->{servers} }, $replica;
    }
    wait_for(sub {
        !grep { $_->cmd('INFO', 'replication') !~ /master_link_status:up/ }
              @{ $self->{servers} }[1 .. $#{ $self->{servers} }]
    }, slow(15)) or die "replicas do not come up\n";

    for (1 .. $o{sentinels} // 3) {
        my $s = { port => free_port(), folder =>
                  tempdir('esputnik-sentinel-XXXXXX', TMPDIR => 1, CLEANUP => 1) };
        open my $out, '>', "$s->{folder}/sentinel.conf" or die "sentinel.conf: $!\n";
        print $out "port $s->{port}\nbind 127.0.0.1\ndir $s->{folder}\n"
            . $self->_tls_lines($s)
            . "sentinel monitor $self->{name} 127.0.0.1 @{[ _port($master) ]} 2\n"
            . "sentinel down-after-milliseconds $self->{name} @{[ $o{down_after} || 1000 ]}\n"
            . "sentinel failover-timeout $self->{name} 6000\n"
            . (defined $o{password} ? "requirepass $o{password}\n" : '')
            . join('', map { "user $_\n" } @{ $o{users} || [] });
        close $out;
        push @{ $self->{sentinels} }, $s;
        $self->launch($s);
    }

    # they know each other and the replicas
    my $n = @{ $self->{sentinels} };
    my $replicas = @{ $self->{servers} } - 1;
    wait_for(sub {
        !grep {
            my %m = @{ $self->ask($_, 'SENTINEL', 'MASTER', $self->{name}) || [] };
            ($m{'num-other-sentinels'} // -1) != $n - 1
                || ($m{'num-slaves'} // -1) != $replicas
        } @{ $self->{sentinels} }
    }, slow(20), 0.1) or die "the sentinels do not come up\n";
    return $self;
}

sub _server
{
    my ($self, @args) = @_;
    return Esputnik::Redis->start(args => \@args) unless $self->{o}{tls};
    my $port = free_port();
    my $server = Esputnik::Redis->start(args => [
        @args, '--tls-port', $port, '--tls-replication', 'yes', @{ $self->{o}{tls} }]);
    $server->{tls_port} = $port;
    return $server;
}

# The port by which servers and sentinels know a server.
sub _port { my ($server) = @_; return $server->{tls_port} // $server->port }

# In a sentinel's file options go without the dashes.
sub _tls_lines
{
    my ($self, $s) = @_;
    return '' unless $self->{o}{tls};
    $s->{tls_port} = free_port();
    my @words = @{ $self->{o}{tls} };
    my $lines = "tls-port $s->{tls_port}\ntls-replication yes\n";
    while (my ($option, $value) = splice @words, 0, 2) {
        $lines .= substr($option, 2) . " $value\n";
    }
    return $lines;
}

sub launch
{
    my ($self, $s) = @_;
    $s->{pid} = spawn([redis_binary('server'), "$s->{folder}/sentinel.conf", '--sentinel'],
                      stderr => "$s->{folder}/log");
    wait_for(sub { $self->ask($s, 'PING') }, slow(10)) or die "no sentinel\n";
}

# One command to a sentinel; its reply, undef when there is none.
sub ask
{
    my ($self, $s, @words) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port})
        or return undef;
    my $resp = Esputnik::Resp->new($socket);
    for my $command (defined $self->{o}{password} ? ['AUTH', $self->{o}{password}] : (),
                     [@words])
    {
        $resp->send(encode_command(@$command));
        my ($ok, $reply) = $resp->read_reply(time + slow(5));
        return undef unless $ok;
        return $reply if $command->[0] eq $words[0] && "@$command" eq "@words";
    }
}

sub servers { @{ $_[0]{servers} } }
sub sentinels { @{ $_[0]{sentinels} } }
sub addresses { my ($self) = @_; return join ' ', map { "127.0.0.1:$_->{port}" } $self->sentinels }
sub tls_addresses { my ($self) = @_; return join ' ', map { "127.0.0.1:$_->{tls_port}" } $self->sentinels }

# The master that most sentinels name now.
sub master
{
    my ($self) = @_;
    my %named;
    for my $s (grep { alive($_->{pid}) } $self->sentinels) {
        my $address = $self->ask($s, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', $self->{name});
        $named{ $address->[1] }++ if $address;
    }
    my ($port) = sort { $named{$b} <=> $named{$a} } keys %named;
    my ($server) = grep { _port($_) == ($port // 0) } $self->servers;
    return $server;
}

# Waits until all living sentinels name another master than this one.
sub wait_other
{
    my ($self, $old, $seconds) = @_;
    return wait_for(sub {
        !grep {
            my $a = $self->ask($_, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', $self->{name});
            !$a || $a->[1] == _port($old)
        } grep { alive($_->{pid}) } $self->sentinels
    }, slow($seconds), 0.05) && $self->master;
}

1;
