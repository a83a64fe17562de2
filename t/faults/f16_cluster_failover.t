# F16: a master of a cluster dies and its replica takes over.  What Redis had
# answered and not replicated is lost by Redis; with esputnik_ack replicas=1
# nothing is.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Cluster;
use Esputnik::Faults;

use constant TIMEOUT => 2000;     # ms: of a node of the cluster
use constant SENDERS => 6;

my $cluster = Esputnik::Cluster->start(
    masters => 3, replicas => 1, timeout => TIMEOUT,
    args => ['--cluster-require-full-coverage', 'no']);
my ($victim) = $cluster->masters;
my $live = ($cluster->masters)[1];
my @modes = qw(plain safe spool spool_safe);
my $nginx = nginx(
    workers => 2, vars => { SEEDS => $cluster->seeds, TIMEOUT => ms(1000) },
    http => 'esputnik_redis c { server %%SEEDS%%; cluster on; }',
    server => "esputnik_timeout %%TIMEOUT%%;\n" . join "\n", map {
        "location = /$_ { esputnik_pass c; esputnik_key $_:\$esputnik_contact_id; "
        . (/safe/ ? 'esputnik_ack replicas=1; ' : '')
        . (/spool/ ? "esputnik_spool %%PREFIX%%/$_; " : '') . '}'
    } @modes);
my %load = map { $_ => load(port => $nginx->port, uri => "/$_", senders => SENDERS, retry => 1,
                            pause => 0.01) } @modes;
sleep 1;

my ($hit) = grep { $cluster->node_of("plain:$_", $live) == $victim } 1 .. 100;
my $answer = sub { $nginx->http->request(POST => '/plain', body => events($hit))->{status} };
my $start = time;
$victim->kill9;
ok(wait_for(sub { $cluster->node_of("plain:$hit", $live) != $victim }, slow(15), 0.05),
   'a replica takes over');
my $promoted = time - $start;
ok(wait_for(sub { $answer->() == 200 }, slow(6), 0.02), '200 again');
my $again = time - $start;
note(sprintf 'promoted after %.2f s, 200 after %.2f s', $promoted, $again);
cmp_ok($again, '<', slow(TIMEOUT / 1000 + 4), 'within the time of the cluster and 4 s');

# the old master is a replica then, and replicas=1 is met again
$victim->launch;
ok(wait_for(sub { $victim->cmd('INFO', 'replication') =~ /role:slave[^\0]*master_link_status:up/ },
            slow(15), 0.05), 'the old master is back, a replica');
sleep slow(2.5);
$_->stop for values %load;

# what a spool still holds; a message says when it has become empty
ok(wait_for(sub {
    !grep { my $m = $_; grep { $_->{body} =~ /spooled/ || $_->{status} != 200 }
            $nginx->http->request(POST => "/$m", body => events(77)) } 'spool', 'spool_safe'
}, slow(15), 0.1), 'the spools are empty');
sleep 0.5;

for my $mode (@modes) {
    my @list = map { @{ $cluster->list("$mode:$_") } } 1 .. SENDERS;
    my $c = $load{$mode}->compare([grep { /messageId/ } @list]);
    my $by = $load{$mode}->by_status;
    note("$mode: ", join(', ', map { "$_ $c->{$_}" } sort keys %$c), ', answers ',
         join ' ', map { "$_: $by->{$_}" } sort keys %$by);
    cmp_ok($c->{accepted}, '>', 100, "$mode: events were accepted");
    if ($mode =~ /safe/) {
        is($c->{lost}, 0, "$mode: none lost");
    } else {
        cmp_ok($c->{lost}, '<=', SENDERS, "$mode: lost by Redis itself: $c->{lost}");
    }
    is("torn $c->{torn} disorder $c->{disorder}", 'torn 0 disorder 0', "$mode: whole and in order");
    is($by->{0} // 0, 0, "$mode: every request was answered");
    # what was stored and not replicated was answered 503, and came again
    my $unsure = $mode eq 'safe' ? $by->{503} : SENDERS * 2;
    cmp_ok($c->{duplicates}, '<=', $unsure, "$mode: duplicates, of unknown outcome");
    is($by->{503} // 0, 0, "$mode: not one was refused") if $mode eq 'spool';
    # one that the new master has stored and has no replica for yet
    cmp_ok($by->{503} // 0, '<=', SENDERS, "$mode: hardly one was refused") if $mode eq 'spool_safe';
}

finish();
