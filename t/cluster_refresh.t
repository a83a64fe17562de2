# How often a cluster is asked for its topology: at most about once a second by
# each worker, however many requests fail meanwhile.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use Esputnik::Cluster;

use constant WORKERS => 2;
use constant SECONDS => 4;

my $cluster = Esputnik::Cluster->start(masters => 3, timeout => slow(1000));
my ($dead, @live) = $cluster->masters;
my $nginx = nginx(
    workers => WORKERS, vars => { SEEDS => $cluster->seeds },
    http => 'esputnik_redis c { server %%SEEDS%%; cluster on; }',
    server => 'location / { esputnik_pass c; esputnik_key q:$esputnik_contact_id; }');

# How often the living nodes were asked so far.  The count is kept by Redis.
sub looks
{
    my $n = 0;
    for my $node (@live) {
        my $info = $node->cmd('INFO', 'commandstats');
        $n += $1 while $info =~ /^cmdstat_cluster\|(?:shards|slots):calls=(\d+)/mg;
    }
    return $n;
}

sub refusals { my ($load) = @_; return $load->by_status->{503} // 0 }

# How many looks and refusals there are while code runs, under load.
sub rate
{
    my ($name, $load, $code) = @_;
    my ($looks, $refused, $start) = (looks(), refusals($load), time);
    $code->();
    my $took = time - $start;
    ($looks, $refused) = (looks() - $looks, refusals($load) - $refused);
    note(sprintf '%s: %.1f s, %d requests refused, %d looks at the topology', $name, $took, $refused, $looks);
    cmp_ok($refused, '>', 20 * $took / slow(1), "$name: requests are refused all the time");
    # one of each worker may have been due when the count began
    cmp_ok($looks, '<=', WORKERS * ($took + 1), "$name: no more than one look a second of each worker");
    cmp_ok($looks, '>=', $took / 2 / slow(1), "$name: but there are some");
}

my $load = load(port => $nginx->port, uri => '/', senders => 12, retry => 1, pause => 0.02);
ok(wait_for(sub { ($load->by_status->{200} // 0) > 100 }, slow(10), 0.05), 'all is well');
my $looks = looks();
sleep 2;
is(looks(), $looks, 'then nobody asks');

rate('connections fail', $load, sub {
    $dead->kill9;
    ok(wait_for(sub { $live[0]->cmd('CLUSTER', 'INFO') =~ /cluster_state:fail/ }, slow(15), 0.05),
       'a master is dead, the cluster is down');
});
# as slots are missing, all nodes refuse everything
rate('CLUSTERDOWN', $load, sub { sleep SECONDS });

# Slots of nobody in a cluster that goes on without them: each request for one
# of them would like a look.
$_->cmd('CONFIG', 'SET', 'cluster-require-full-coverage', 'no') for @live;
ok(wait_for(sub { !grep { $_->cmd('CLUSTER', 'INFO') !~ /cluster_state:ok/ } @live }, slow(10), 0.05),
   'the others go on');
rate('slots of nobody', $load, sub { sleep SECONDS });

$dead->launch;
ok(wait_for(sub { !grep { $_->cmd('CLUSTER', 'INFO') !~ /cluster_slots_fail:0/ } $dead, @live }, slow(15), 0.05),
   'all slots are served again');
my $refused = refusals($load);
ok(wait_for(sub { my $n = refusals($load) == $refused; $refused = refusals($load); $n }, slow(10), 0.5),
   'nothing is refused any more');
sleep slow(1.5);
$looks = looks();
sleep 2;
is(looks(), $looks, 'and nobody asks again');
$load->stop;

finish();
