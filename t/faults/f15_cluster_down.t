# F15: slots of a cluster that nobody serves: their events are refused, or
# spooled, and all others go on.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Cluster;
use Esputnik::Faults;

my $cluster = Esputnik::Cluster->start(
    masters => 3, replicas => 1, timeout => slow(1000),
    args => ['--cluster-require-full-coverage', 'no', '--appendonly', 'yes', '--appendfsync', 'no']);
my ($dead, @kept) = $cluster->masters;
my $scene = scene(
    redis => $dead, url => 'c', key => '%s:$esputnik_contact_id', modes => ['plain', 'spool'],
    timeout => 1000, vars => { SEEDS => $cluster->seeds },
    http => 'esputnik_redis c { server %%SEEDS%%; cluster on; }');
my $nginx = $scene->nginx;
my %load = map { $_ => load(port => $nginx->port, uri => "/$_", senders => 8, retry => 1,
                            pause => 0.005) } 'plain', 'spool';
my @hit = grep { $cluster->node_of("plain:$_") == $dead } 1 .. 8;
my @other = grep { $cluster->node_of("plain:$_") != $dead } 1 .. 8;
note(scalar(@hit), ' senders in the hole, ', scalar(@other), ' others');
ok(@hit && @other, 'senders in the hole and others');

my ($replica) = grep {
    $_->cmd('INFO', 'replication') =~ /master_port:@{[ $dead->port ]}\b/
} $cluster->replicas;
sleep 0.5;
my ($first, $after);    # 200s and 503s of a set of senders
sub of
{
    my ($status, @senders) = @_;
    my %in = map { $_ => 1 } @senders;
    return scalar grep { $in{ $_->{sender} } && $_->{status} == $status } $load{plain}->answers;
}

$_->kill9 for $replica, $dead;
# until the others know, then for a while
ok(wait_for(sub { $kept[0]->cmd('CLUSTER', 'INFO') =~ /cluster_slots_fail:[1-9]/ }, slow(10), 0.05),
   'master and replica are dead');
sleep slow(0.5);
($first, my $refused) = (of(200, @other), of(503, @other));
my ($none, $more) = (of(200, @hit), of(503, @hit));
sleep slow(1.5);
note(sprintf 'in the hole: %d accepted, %d refused; elsewhere: %d accepted, %d refused',
     of(200, @hit) - $none, of(503, @hit) - $more, of(200, @other) - $first, of(503, @other) - $refused);
is(of(200, @hit) - $none, 0, 'nothing is accepted for the slots of nobody');
cmp_ok(of(503, @hit) - $more, '>', 3, 'but refused');
cmp_ok(of(200, @other) - $first, '>', 30, 'the others go on');
is(of(503, @other) - $refused, 0, 'and not one of them is refused');

$_->launch for $dead, $replica;
ok(wait_for(sub {
    !grep { $_->cmd('CLUSTER', 'INFO') !~ /cluster_state:ok/
            || $_->cmd('CLUSTER', 'INFO') !~ /cluster_slots_fail:0/ } $dead, @kept
}, slow(20), 0.1), 'all slots are served again');
my $start = time;
my $served = of(200, @hit);
ok(wait_for(sub { of(200, @hit) >= $served + 20 }, slow(10), 0.05), 'events go there again');
note(sprintf 'after %.2f s', time - $start);

$_->stop for values %load;
ok($scene->drained, 'the spool is empty in the end');
sleep 0.3;
for my $mode ('plain', 'spool') {
    my $c = $load{$mode}->compare([map { @{ $cluster->list("$mode:$_") } } 1 .. 8]);
    my $by = $load{$mode}->by_status;
    note("$mode: ", join(', ', map { "$_ $c->{$_}" } sort keys %$c), ', answers ',
         join ' ', map { "$_: $by->{$_}" } sort keys %$by);
    # what was answered has been written to the file
    is("lost $c->{lost} disorder $c->{disorder} torn $c->{torn}", 'lost 0 disorder 0 torn 0',
       "$mode: of $c->{accepted}");
    cmp_ok($c->{duplicates}, '<=', 8, "$mode: duplicates, of unknown outcome");
}
is($load{spool}->by_status->{503} // 0, 0, 'with a spool not one was refused');

finish();
