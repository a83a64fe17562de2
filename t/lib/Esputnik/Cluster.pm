package Esputnik::Cluster;

# A Redis Cluster of the test's own on the loopback: masters, a replica for
# each, its slots, and the ways in which these change.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use Esputnik::Env qw(slow);
use Esputnik::Port qw(free_port);
use Esputnik::Process qw(wait_for);
use Esputnik::Redis;

# %o: masters (3), replicas => of each (0), timeout => ms of a node, args,
# spare => further masters without slots, tls => the options of redis-server
# that name its certificate: each node then has a TLS port (tls_address) beside
# the plain one, which is for the test, and the nodes speak TLS to each other.
sub start
{
    my ($class, %o) = @_;
    my $self = bless { o => \%o, nodes => [], masters => [], replicas => [] }, $class;
    my $masters = $o{masters} || 3;
    my $spare = $o{spare} || 0;

    my @all = map { $self->_node } 1 .. $masters + $spare;
    $self->{masters} = [@all[0 .. $masters - 1]];
    $self->{spare} = [@all[$masters .. $#all]];

    my $step = 16384 / $masters;
    for my $i (0 .. $masters - 1) {
        $all[$i]->cmd('CLUSTER', 'ADDSLOTSRANGE', int($step * $i),
                      int($step * ($i + 1)) - 1);
    }
    $all[$_]->cmd('CLUSTER', 'SET-CONFIG-EPOCH', $_ + 1) for 0 .. $#all;
    $self->_meet($_) for @all[1 .. $#all];
    $self->_settled;

    for my $master (@{ $self->{masters} }) {
        for (1 .. $o{replicas} || 0) {
            my $replica = $self->_node;
            $self->_meet($replica);
            my $id = $self->id($master);
            wait_for(sub { $replica->cmd('CLUSTER', 'REPLICATE', $id) eq 'OK' }, slow(10))
                or die "cannot replicate\n";
            push @{ $self->{replicas} }, $replica;
        }
    }
    $self->_settled;
    wait_for(sub {
        !grep { $_->cmd('INFO', 'replication') !~ /master_link_status:up/ }
              @{ $self->{replicas} }
    }, slow(15)) or die "replicas do not come up\n";
    return $self;
}

sub _node
{
    my ($self) = @_;
    my $bus = free_port();
    my $tls_port = $self->{o}{tls} ? free_port() : undef;
    my $node = Esputnik::Redis->start(args => [
        '--cluster-enabled', 'yes', '--cluster-port', $bus,
        '--cluster-node-timeout', $self->{o}{timeout} || 2000,
        '--repl-diskless-sync-delay', 0,
        $self->{o}{tls} ? ('--tls-cluster', 'yes', '--tls-replication', 'yes',
                           '--tls-port', $tls_port, @{ $self->{o}{tls} }) : (),
        @{ $self->{o}{args} || [] }]);
    $node->{bus} = $bus;
    $node->{tls_port} = $tls_port;
    push @{ $self->{nodes} }, $node;
    return $node;
}

sub _meet
{
    my ($self, $node) = @_;
    my $first = $self->{nodes}[0];
    $first->cmd('CLUSTER', 'MEET', '127.0.0.1', $node->port, $node->{bus});
}

# All nodes know each other and agree on the slots.
sub _settled
{
    my ($self) = @_;
    my $n = @{ $self->{nodes} };
    wait_for(sub {
        !grep {
            my $info = $_->cmd('CLUSTER', 'INFO');
            $info !~ /cluster_state:ok/ || $info !~ /cluster_known_nodes:$n\b/
                || grep { /handshake/ } split /\n/, $_->cmd('CLUSTER', 'NODES')
        } @{ $self->{nodes} }
    }, slow(30), 0.05) or die "the cluster does not come up\n";
}

# A node that knows nobody yet.
sub fresh { my ($self) = @_; return $self->_node }

# It has left, and is not asked any more.
sub forget
{
    my ($self, $node) = @_;
    @{ $self->{nodes} } = grep { $_ != $node } @{ $self->{nodes} };
}

sub masters { @{ $_[0]{masters} } }
sub replicas { @{ $_[0]{replicas} } }
sub spare { @{ $_[0]{spare} } }
sub nodes { @{ $_[0]{nodes} } }
sub seeds { my ($self) = @_; return join ' ', map { $_->address } $self->masters }
sub tls_address { my ($self, $node) = @_; return "127.0.0.1:$node->{tls_port}" }
sub tls_seeds { my ($self) = @_; return join ' ', map { $self->tls_address($_) } $self->masters }
sub id { my ($self, $node) = @_; return $node->cmd('CLUSTER', 'MYID') }

sub slot { my ($self, $key) = @_; return $self->{masters}[0]->cmd('CLUSTER', 'KEYSLOT', $key) }

# The node that serves a key now, as `of` (a living node) sees it.
sub node_of
{
    my ($self, $key, $of) = @_;
    my $slot = ($of || $self->_living)->cmd('CLUSTER', 'KEYSLOT', $key);
    for my $range (@{ ($of || $self->_living)->cmd('CLUSTER', 'SLOTS') }) {
        next if $slot < $range->[0] || $slot > $range->[1];
        my ($node) = grep { $_->port == $range->[2][1] } $self->nodes;
        return $node;
    }
    return undef;
}

sub _living
{
    my ($self) = @_;
    return (grep { Esputnik::Process::alive($_->pid) && !$_->{frozen} } $self->nodes)[0];
}

sub list
{
    my ($self, $key) = @_;
    my $node = $self->node_of($key) or die "nobody serves $key\n";
    return $node->list($key);
}

# Begins to move a slot: what is asked for there and is not there any more is
# ASKed for at the other.
sub begin_move
{
    my ($self, $slot, $from, $to) = @_;
    $to->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $self->id($from));
    $from->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $self->id($to));
}

sub move_keys
{
    my ($self, $slot, $from, $to) = @_;
    my $moved = 0;
    while (my @keys = @{ $from->cmd('CLUSTER', 'GETKEYSINSLOT', $slot, 100) }) {
        $from->cmd('MIGRATE', '127.0.0.1', $to->{tls_port} // $to->port, '', 0, 5000, 'KEYS', @keys);
        $moved += @keys;
    }
    return $moved;
}

sub end_move
{
    my ($self, $slot, $from, $to) = @_;
    my $id = $self->id($to);
    $to->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $id);
    $from->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $id);
}

sub move_slot
{
    my ($self, $slot, $from, $to) = @_;
    $self->begin_move($slot, $from, $to);
    $self->move_keys($slot, $from, $to);
    $self->end_move($slot, $from, $to);
}

1;
