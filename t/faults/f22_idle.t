# F22: Redis closes what is idle (timeout), CLIENT KILL, and a peer that is
# gone without a word.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = redis();
my $proxy = proxy($redis->port);
my $scene = scene(redis => $redis, url => $proxy->url, workers => 1);

# idle for long enough to be closed: nobody notices
$redis->cmd('CONFIG', 'SET', 'timeout', 1);
for my $round (1 .. 2) {
    is($scene->probe($_)->{status}, 200, "$_, round $round") for '/probe', '/probe_spool';
    ok(wait_for(sub { !$redis->module_clients }, slow(5), 0.05), 'Redis closes the idle link');
    sleep slow(0.05);
}
my $connections = $proxy->connections;
is($scene->probe->{status}, 200, 'on a new connection');
cmp_ok($proxy->connections, '>', $connections, 'which was made for it');
is($redis->cmd('LLEN', 'probe'), 5, 'each is stored once');
$redis->cmd('CONFIG', 'SET', 'timeout', 0);

# killed under load, every 100 ms: what had not been written is sent again by
# itself, and what had been is unknown
$redis->flush;
$scene->load;
ok($scene->answered(10), 'answers at first');
my $kills = 10;
for (1 .. $kills) {
    $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    sleep slow(0.1);
}
$scene->answered(10, 200);
$scene->verify('CLIENT KILL', dup => {
    plain => $kills * $scene->under_way,
    # the drain's batches too, of what came in a tenth of a second
    spool => $kills * $scene->under_way + 3 * ($scene->results('spool')->{spooled} || 0) });

# a peer that is gone without a word
$redis->flush;
$scene->load;
ok($scene->answered(10), 'answers at first');
$proxy->rules(after => 0, then => 'hole');
$scene->answered(3);
$proxy->rules;
$scene->recovers(slow(1.5), 'the peer is back');
$scene->answered(10, 200);
$scene->verify('black hole', refused => ['plain', 'plain_dedup'],
               spooled => ['spool', 'spool_dedup'],
               dup => { plain => 4 * $scene->under_way, spool => 4 * $scene->under_way });

finish();
