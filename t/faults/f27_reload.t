# F27: reloads under load: no request fails, nothing twice, and the old workers
# are gone in time.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $reloads = long(20, 100);
my $redis = redis();
my $scene = scene(redis => $redis, timeout => 1000, each => 'keepalive_timeout 0;',
                  server => 'location = /status { esputnik_status; }');
my $nginx = $scene->nginx;

$scene->load;
ok($scene->answered(10), 'answers at first');
my ($reloaded, $slowest, $status) = (0, 0, 0);
for my $n (1 .. $reloads) {
    my @old = $nginx->worker_pids;
    my $start = time;
    $reloaded++ if $nginx->reload;
    $status++ if $nginx->get('/status')->{status} == 200;
    wait_for(sub { !grep { -d "/proc/$_" } @old }, slow(10));
    $slowest = time - $start if time - $start > $slowest;
}
is("$reloaded $status", "$reloads $reloads", "$reloads reloads");
note(sprintf 'the slowest of %d reloads took %.2f s until its old workers were gone',
     $reloads, $slowest);
cmp_ok($slowest, '<', slow(1) + 2, 'old workers are gone within the deadline and 2 s');
$scene->answered(10, 200);
$scene->verify("$reloads reloads", died => 1,
               status => { map { $_ => [] } qw(plain plain_dedup spool spool_dedup) });

# with a spool that is being drained
$redis->flush;
$scene->load;
$redis->cmd('CONFIG', 'SET', 'min-replicas-to-write', 1);
ok($scene->answered(20), 'answers, Redis refuses');
for my $n (1 .. 5) {
    $nginx->reload;
    $redis->cmd('CONFIG', 'SET', 'min-replicas-to-write', $n % 2 ? 0 : 1);
    $scene->answered(5);
}
$scene->answered(10, 200);
$scene->verify('reloads while the spool is drained', died => 1,
               spooled => ['spool', 'spool_dedup']);

finish();
