package Esputnik::Redis;

# A redis-server of the test's own: its port or unix socket, its folder, its
# life (killed, frozen, started again with its data), and a client for it.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;
use Time::HiRes qw(sleep time);

use Esputnik::Env qw(redis_binary slow);
use Esputnik::Port qw(free_port);
use Esputnik::Process qw(spawn reap alive wait_exit wait_for);
use Esputnik::Resp qw(encode_command);

# %o: args => [redis-server's options], unix => 1 (a unix socket, no TCP),
# password => for the client, port => a given one, host => a given address,
# start => 0 to only reserve the address.
sub start
{
    my ($class, %o) = @_;
    my $folder = tempdir('esputnik-redis-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $folder;
    my $self = bless {
        folder => $folder,
        port => $o{unix} ? 0 : $o{port} || free_port(),
        host => $o{host} || '127.0.0.1',
        path => "$folder/redis.sock",
        unix => $o{unix} ? 1 : 0,
        args => $o{args} || [],
        password => $o{password},
    }, $class;
    $self->launch unless defined $o{start} && !$o{start};
    return $self;
}

sub port { $_[0]{port} }
sub path { $_[0]{path} }
sub pid { $_[0]{pid} }
sub folder { $_[0]{folder} }

# The address as $esputnik_redis_addr and a server directive have it.
sub address
{
    my ($self) = @_;
    return $self->{unix} ? "unix:$self->{path}" : "$self->{host}:$self->{port}";
}

sub url
{
    my ($self) = @_;
    return $self->{unix} ? "redis+unix://$self->{path}"
                         : "redis://$self->{host}:$self->{port}";
}

sub launch
{
    my ($self) = @_;
    my @listen = $self->{unix}
        ? ('--port', 0, '--unixsocket', $self->{path}, '--unixsocketperm', 777)
        : ('--port', $self->{port}, '--bind', $self->{host});
    delete $self->{client};
    $self->{pid} = spawn(
        [redis_binary('server'), @listen, '--dir', $self->{folder}, '--save', '',
         '--daemonize', 'no', @{ $self->{args} }],
        stderr => "$self->{folder}/log");
    # it accepts connections before it has read its data
    wait_for(sub {
        !alive($self->{pid})
            || ($self->_connect && $self->cmd('PING') !~ /\ALOADING/);
    }, slow(10)) && alive($self->{pid})
        or die redis_binary('server') . " did not start: " . $self->log;
    return $self;
}

sub log
{
    my ($self) = @_;
    open my $in, '<', "$self->{folder}/log" or return '';
    local $/;
    return scalar <$in>;
}

sub _connect
{
    my ($self) = @_;
    my $socket = $self->{unix}
        ? IO::Socket::UNIX->new(Peer => $self->{path})
        : IO::Socket::INET->new(PeerAddr => $self->{host},
                                PeerPort => $self->{port});
    return undef unless $socket;
    my $client = Esputnik::Resp->new($socket);
    if (defined $self->{password}) {
        $client->send(encode_command('AUTH', $self->{password}));
        $client->read_reply(time + slow(5));
    }
    return $self->{client} = $client;
}

# One command; its reply (see Esputnik::Resp).  Dies when there is none.
sub cmd
{
    my ($self, @words) = @_;
    for my $try (1, 2) {
        my $client = $self->{client} || $self->_connect
            or die "no Redis at " . $self->address . "\n";
        if ($client->send(encode_command(@words))) {
            my ($ok, $reply) = $client->read_reply(time + slow(10));
            return $reply if $ok;
        }
        delete $self->{client};
    }
    die "no answer from Redis to $words[0]\n";
}

sub list { my ($self, $key) = @_; return $self->cmd('LRANGE', $key, 0, -1) }
sub flush { $_[0]->cmd('FLUSHALL') }

# The connections that the module has opened, as CLIENT LIST tells them.
sub module_clients
{
    my ($self) = @_;
    return grep { /\bname=\S*esputnik/ } split /\n/, $self->cmd('CLIENT', 'LIST');
}

sub kill9 { my ($self) = @_; reap($self->{pid}); delete $self->{client} }

sub restart { my ($self) = @_; $self->kill9; $self->launch }

sub freeze { kill 'STOP', $_[0]{pid} }
sub thaw { kill 'CONT', $_[0]{pid} }

sub stop
{
    my ($self) = @_;
    return unless $self->{pid} && alive($self->{pid});
    kill 'CONT', $self->{pid};
    kill 'TERM', $self->{pid};
    wait_exit($self->{pid}, slow(5)) // reap($self->{pid});
    delete $self->{client};
}

1;
