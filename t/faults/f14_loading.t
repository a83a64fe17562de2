# F14: Redis is loading its data (-LOADING) after a restart.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = lasting_redis(args => ['--enable-debug-command', 'yes',
                                   '--loading-process-events-interval-bytes', '1024']);
my $proxy = proxy($redis->port);
my $scene = scene(redis => $redis, url => $proxy->url);

$redis->cmd('DEBUG', 'POPULATE', 1200, 'ballast', 200);
$redis->cmd('BGREWRITEAOF');
wait_for(sub { $redis->cmd('INFO', 'persistence') =~ /aof_rewrite_in_progress:0/ }, slow(5));

$scene->load;
ok($scene->answered(20), 'answers at first');
$redis->kill9;
my $connections = $proxy->connections;
push @{ $redis->{args} }, '--key-load-delay', 1000;    # microseconds
my $start = time;
$redis->launch;    # it returns when the data are there
my $took = time - $start;
$connections = $proxy->connections - $connections;
note(sprintf 'loading took %.2f s, %d connections in that time', $took, $connections);
cmp_ok($took, '>', 1, 'it was loading for a while');

# two workers: steps from 10 ms on, doubled up to 1 s, and then one a second
cmp_ok($connections, '<=', 2 * (8 + $took), 'no storm of connections');
ok(scalar(grep { / 503 .*error="LOADING / } $scene->nginx->access), 'LOADING was met');

$scene->recovers(slow(1), 'loaded');
$scene->answered(20, 200);
$scene->verify('loading', refused => ['plain', 'plain_dedup'],
               spooled => ['spool', 'spool_dedup'],
               dup => { plain => $scene->under_way, spool => $scene->under_way });

finish();
