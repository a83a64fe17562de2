# F02: Redis is killed while nothing is under way.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = lasting_redis();
my $scene = scene(redis => $redis);

for my $round (1 .. 3) {
    for my $uri ('/probe', '/probe_spool') {
        is($scene->probe($uri)->{status}, 200, "$uri, round $round: up");
    }
    $redis->kill9;
    sleep slow(0.05);    # the end of the connection has reached the workers

    # from the first request on there is a load, and no Redis
    $scene->load;
    ok($scene->answered(10), "round $round: answers while Redis is down");
    $redis->launch;
    $scene->recovers(slow(1), "round $round");
    $scene->answered(10, 200);
    $scene->verify("killed idle, round $round", refused => ['plain', 'plain_dedup'],
                   spooled => ['spool', 'spool_dedup']);
    $redis->flush;
}

finish();
