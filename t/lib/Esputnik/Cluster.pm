package Esputnik::Cluster;

# A Redis Cluster of the test's own on the loopback: masters, a replica for
# each, its slots, and the ways in which these change.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use Esputnik::Env qw(slow);
use Esputnik::Port qw(free_port);
use Esputnik::Process qw(alive wait_for);
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
    my %master_of;
    for my $master (@{ $self->{masters} }) {
        for (1 .. $o{replicas} || 0) {
            my $replica = $self->_node;
            $master_of{$replica} = $master;
            push @{ $self->{replicas} }, $replica;
        }
    }
    $self->_meet($self->{nodes}[0], $_) for @{ $self->{nodes} }[1 .. $#{ $self->{nodes} }];
    $self->settled or die "the cluster does not come up:\n" . $self->views;

    for my $replica (@{ $self->{replicas} }) {
        my $reply = $replica->cmd('CLUSTER', 'REPLICATE', $self->id($master_of{$replica}));
        $reply eq 'OK' or die "cannot replicate: $reply\n";
    }
    $self->settled or die "not all know the replicas:\n" . $self->views;
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
    my ($self, $from, $node) = @_;
    $from->cmd('CLUSTER', 'MEET', '127.0.0.1', $node->port, $node->{bus});
}

# What a node says of all: { id => "id master slots" }, and the ids of those that
# it has no sound link to.  Nothing while it loads.
sub _view
{
    my ($node) = @_;
    my (%known, %unsound);
    for (split /\n/, $node->cmd('CLUSTER', 'NODES')) {
        my ($id, undef, $flags, $master, undef, undef, undef, $link, @slots) = split / /;
        next unless defined $link;
        $unsound{$id} = 1 if $flags =~ /fail|handshake|noaddr/ || $link ne 'connected';
        # a slot that moves is in the line of the node itself only
        $known{$id} = join ' ', $id, $master, grep { !/\[/ } @slots;
    }
    return (\%known, \%unsound);
}

# Waits until each node knows all others, has links to them and says the same
# of them, and knows nobody else; all must run.  They hear of each other by
# gossip, which takes its time, and a handshake can be lost on a busy machine:
# so who misses a node is told of it again.
sub settled
{
    my ($self, $seconds) = @_;
    my @nodes = $self->nodes;
    my $id;
    my $tell = time + slow(2);
    return wait_for(sub {
        $id ||= { map { $_ => $self->id($_) } @nodes };
        my $again = time > $tell;
        $tell = time + slow(2) if $again;
        my ($good, %said) = (1);
        for my $node (@nodes) {
            my ($known, $unsound) = _view($node);
            for my $other (grep { !$known->{ $id->{$_} } } @nodes) {
                $self->_meet($node, $other) if $again;
            }
            $said{ join "\n", map { $known->{$_} } sort keys %$known }++;
            $good = 0 if keys %$known != @nodes || %$unsound
                || $node->cmd('CLUSTER', 'INFO') !~ /cluster_state:ok/;
        }
        return $good && keys %said == 1;
    }, slow($seconds || 30), 0.05);
}

# What the nodes say, to be told when they do not agree.
sub views
{
    my ($self) = @_;
    return join "\n", map { $_->address . ":\n" . $_->cmd('CLUSTER', 'NODES') } $self->nodes;
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
    $of ||= ($self->_living)[0];
    return $self->_owner($of->cmd('CLUSTER', 'KEYSLOT', $key), $of);
}

sub _owner
{
    my ($self, $slot, $of) = @_;
    for my $range (@{ $of->cmd('CLUSTER', 'SLOTS') }) {
        next if $slot < $range->[0] || $slot > $range->[1];
        my ($node) = grep { $_->port == $range->[2][1] } $self->nodes;
        return $node;
    }
    return undef;
}

sub _living { my ($self) = @_; return grep { alive($_->pid) } $self->nodes }

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

# Both are told, and all others hear of it.
sub end_move
{
    my ($self, $slot, $from, $to) = @_;
    my $id = $self->id($to);
    $to->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $id);
    $from->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $id);
    wait_for(sub {
        !grep { ($self->_owner($slot, $_) // 0) != $to } $self->_living
    }, slow(15)) or die "not all know the new master of slot $slot:\n" . $self->views;
}

sub move_slot
{
    my ($self, $slot, $from, $to) = @_;
    $self->begin_move($slot, $from, $to);
    $self->move_keys($slot, $from, $to);
    $self->end_move($slot, $from, $to);
}

1;
