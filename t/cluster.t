# Redis Cluster: each event to the master of its list's slot, through moves of
# slots, nodes that come and go, and the death of masters.  (POSTs that are
# stored in part: cluster_partial.t; how often the topology is looked at:
# cluster_refresh.t; TLS and host names: cluster_tls.t.)

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use Esputnik::Cluster;

use constant TIMEOUT => 2000;     # ms: of a node of the cluster

my $cluster = Esputnik::Cluster->start(masters => 3, replicas => 1, spare => 1,
                                       timeout => TIMEOUT,
                                       args => ['--cluster-require-full-coverage', 'no']);
my ($a, $b, $c) = $cluster->masters;
my ($new) = $cluster->spare;
my $seeds = $cluster->seeds;
my $one_seed = 'server ' . $c->address . '; server 127.0.0.1:1;';

my $nginx = nginx(
    workers => 2,
    vars => { SEEDS => $seeds },
    http => <<"END",
esputnik_redis events { server %%SEEDS%%; cluster on; }
esputnik_redis wide { $one_seed cluster on; connections 3; }
esputnik_redis nowhere { server 127.0.0.1:1 127.0.0.1:2; cluster on; }
END
    server => <<'END');
location /contact { esputnik_pass events; esputnik_key q:$esputnik_contact_id; }
location /one { esputnik_pass events; esputnik_key one; }
location /wide { esputnik_pass wide; esputnik_key w:$esputnik_contact_id; }
location /nowhere { esputnik_pass nowhere; }
location /dedup { esputnik_pass events; esputnik_key d:$esputnik_contact_id; esputnik_dedup 1h; }
location /spooled { esputnik_pass wide; esputnik_key s:$esputnik_contact_id;
                    esputnik_spool %%PREFIX%%/spool; }
location /invalid { esputnik_pass events; esputnik_key i:$esputnik_contact_id;
                    esputnik_invalid quarantine bad; }
END

my $http = $nginx->http;

sub post
{
    my ($uri, $body) = @_;
    return $http->request(POST => $uri, body => $body // events(1));
}

# all lists of a prefix, wherever they are
sub everything
{
    my ($prefix, $n) = @_;
    return [map { @{ $cluster->list("$prefix$_") } } 1 .. $n];
}

# one list, and one command only

accepted(post('/one'), 1, 'the first request waits for the map');
is_deeply($cluster->list('one'), [event(1)], 'stored');
like($nginx->access_line(1), qr/redis=@{[ $cluster->node_of('one')->address ]} /,
     '$esputnik_redis_addr is the master of the slot');

# many lists in one POST: one atomic command for each slot

my @contacts = 1 .. 40;
accepted(post('/contact', events(@contacts)), 40, '40 events for 40 lists');
is_deeply(everything('q:', 40), [map { event($_) } @contacts], 'each in its list');
my %owner = map { $cluster->node_of("q:$_")->address => 1 } @contacts;
is(scalar keys %owner, 3, 'which are on all three masters');
accepted(post('/wide', events(@contacts)), 40, 'several connections, a dead seed');
is_deeply(everything('w:', 40), [map { event($_) } @contacts], 'each in its list');

is(post('/dedup', events(1 .. 20))->{body}, '{"accepted":20}', 'dedup: new');
is(post('/dedup', events(11 .. 30))->{body}, '{"accepted":10,"duplicates":10}', 'dedup: half');
is(scalar @{ everything('d:', 30) }, 30, 'each once');
is(post('/invalid', '[' . event(1) . ',{"x":1}]')->{status}, 200, 'a bad event to another list');
is(scalar @{ $cluster->list('bad') }, 1, 'in quarantine');

my $r = post('/nowhere');
problem($r, 503, 'unavailable', 'no seed answers: 503');
like($nginx->error_log, qr/topology cannot be read: cannot connect/, 'the log says why');

# A slot moves: ASK for what has gone, the old node for what has not; then
# MOVED.

my $slot = $cluster->slot('one');
my $from = $cluster->node_of('one');
my ($to) = grep { $_ != $from } $cluster->masters;
my $stored = 1;

$cluster->begin_move($slot, $from, $to);
accepted(post('/one', events(2)), 1, 'a slot that moves: its list is still there');
is(@{ $from->list('one') }, 2, 'at the old node');
is($cluster->move_keys($slot, $from, $to), 1, 'the list is moved');
accepted(post('/one', events(3)), 1, 'then ASK leads to the new one');
is(post('/one', events(4))->{status}, 200, 'each time');
$cluster->end_move($slot, $from, $to);
accepted(post('/one', events(5)), 1, 'MOVED');
is_deeply($to->list('one'), [map { event($_) } 1 .. 5], 'nothing lost, nothing twice');
my ($before) = ($from->cmd('INFO', 'errorstats') // '') =~ /errorstat_MOVED:count=(\d+)/;
post('/one', events(6)) for 1 .. 20;
my ($after) = $from->cmd('INFO', 'errorstats') =~ /errorstat_MOVED:count=(\d+)/;
cmp_ok($after - $before, '<=', 1, 'the map knows it: the other worker asks once at most');

# Slots of all lists move to a node that has joined, under load

my $load = load(port => $nginx->port, uri => '/contact', senders => 12, retry => 1);
sleep 0.3;
for my $contact (1 .. 12) {
    my $s = $cluster->slot("q:$contact");
    my $old = $cluster->node_of("q:$contact", $a);
    next if $old == $new;
    $cluster->begin_move($s, $old, $new);
    sleep 0.02;
    $cluster->move_keys($s, $old, $new);
    sleep 0.02;
    $cluster->end_move($s, $old, $new);
}
sleep 0.5;
$load->stop;
my $compare = sub {
    my ($name, $load, $lists) = @_;
    my $c = $load->compare($lists);
    my $n = $load->by_status;
    diag("$name: " . join ', ', map { "$_ $c->{$_}" } sort keys %$c);
    return ($c, $n);
};
# the events of the first POST to /contact have no messageId
my ($count, $status) = $compare->('resharding', $load,
    [grep { /messageId/ } @{ everything('q:', 12) }]);
cmp_ok($count->{accepted}, '>', 200, 'resharding: events were accepted');
is($status->{503} // 0, 0, 'not one was refused');
is($count->{$_}, 0, "$_ 0") for qw(lost duplicates disorder refused_stored torn);
is($cluster->node_of('q:1')->port, $new->port, 'the new node has them');
cmp_ok(scalar(@{ $new->cmd('KEYS', 'q:*') }), '>=', 12, 'all twelve');

# F15: slots that nobody serves are refused, the others go on

my ($lost) = grep { my $n = $cluster->node_of("q:$_", $a); $n == $b } 13 .. 40;
my ($kept) = grep { my $n = $cluster->node_of("q:$_", $a); $n == $a } 13 .. 40;
my $hole = $cluster->slot("q:$lost");
for my $node ($cluster->nodes) {
    $node->cmd('CLUSTER', 'DELSLOTS', $hole);
}
is(post('/contact', events($lost))->{status}, 503, 'a slot of nobody: 503');
accepted(post('/contact', events($kept)), 1, 'another one: 200');
is(post('/contact', events($lost, $kept))->{status}, 503, 'both: 503');
ok(wait_for(sub { post('/contact', events($kept))->{status} == 200 }, slow(2)), 'still');
$b->cmd('CLUSTER', 'ADDSLOTS', $hole);
ok(wait_for(sub { post('/contact', events($lost))->{status} == 200 }, slow(5), 0.05),
   'served again: 200');

# F16: a master dies, its replica takes over

$nginx->reload;
$http = $nginx->http;
$load = load(port => $nginx->port, uri => '/wide', senders => 12, retry => 1, pause => 0.005);
my $spooled = load(port => $nginx->port, uri => '/spooled', senders => 12, retry => 1, pause => 0.005);
sleep 0.5;
my $killed = time;
my ($victim) = grep { my $n = $_; grep { $cluster->node_of("w:$_", $new) == $n } 1 .. 12 } $a, $b, $c;
my ($hit) = grep { $cluster->node_of("w:$_", $new) == $victim } 1 .. 12;
$victim->kill9;
ok(wait_for(sub {
       my $node = $cluster->node_of("w:$hit", $new);
       $node && $node != $victim;
   }, slow(15), 0.05), 'a replica takes over');
my $promoted = time - $killed;
ok(wait_for(sub { post('/wide', events($hit))->{status} == 200 }, slow(6), 0.02), '200 again');
my $again = time - $killed;
sleep 0.5;
$_->stop for $load, $spooled;
cmp_ok($again, '<', slow(TIMEOUT / 1000 + 4), sprintf 'within %.1f s, promoted after %.1f s',
       $again, $promoted);
# node_of() must not ask the dead one
@{ $cluster->{nodes} } = grep { $_ != $victim } @{ $cluster->{nodes} };
($count, $status) = $compare->('failover', $load,
    [grep { /messageId/ } @{ everything('w:', 12) }]);
my ($in_spool, $answers) = $compare->('failover, with a spool', $spooled, do {
    ok(wait_for(sub { $nginx->error_log =~ /spool .* is empty, redis/ }, slow(8)), 'the spool is drained');
    sleep 0.3;
    everything('s:', 12);
});
is($answers->{503} // 0, 0, 'with a spool not one was refused');
cmp_ok($in_spool->{lost}, '<=', 12, "lost by Redis itself: $in_spool->{lost}");
is($in_spool->{disorder}, 0, 'in order');
cmp_ok($count->{accepted}, '>', 200, 'failover: events were accepted');
# Redis replicates after it has answered: what it loses by this is not ours
cmp_ok($count->{lost}, '<=', 12, "lost by Redis itself: $count->{lost}");
cmp_ok($count->{duplicates}, '<=', 12 * 3, "duplicates, of unknown outcome: $count->{duplicates}");
is($count->{torn}, 0, 'none torn');

# the old master comes back as a replica, and nothing is sent to it

$victim->launch;
push @{ $cluster->{nodes} }, $victim;
ok(wait_for(sub { $victim->cmd('INFO', 'replication') =~ /role:slave/ }, slow(10)), 'back as a replica');
accepted(post('/wide', events($hit)), 1, 'and events go to the new master');

# a node that has left has no connection any more

ok(wait_for(sub { !grep { !/cmd=client/ } $victim->module_clients }, slow(4), 0.1),
   'no connection to what is no master')
    or diag(join "\n", $victim->module_clients);

finish();
