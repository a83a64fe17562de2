# F05: a connection to Redis is never completed: its queue is full.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $deaf = fake_redis(accept => 0);
my $redis = lasting_redis(start => 0, port => $deaf->port);
my $scene = scene(redis => $redis, connect_timeout => 300, timeout => 2000);

my $r = $scene->probe;
is($r->{status}, 503, 'no Redis: 503');
cmp_ok($r->{time}, '>', slow(0.25), 'not before the connect timeout');
cmp_ok($r->{time}, '<', slow(0.8), 'not long after it');

$scene->load;
ok($scene->answered(10), 'answers while Redis is deaf');
is($scene->results($_)->{accepted} || 0, 0, "$_: nothing is accepted")
    for qw(plain plain_dedup);

shutdown $deaf->{listener}, 2;    # the senders have inherited it
$deaf->stop;
$redis->launch;
$scene->recovers(slow(1.5), 'Redis takes connections');
$scene->answered(10, 200);
$scene->verify('no accept', deadline => 300, refused => ['plain', 'plain_dedup'],
               spooled => ['spool', 'spool_dedup']);

finish();
