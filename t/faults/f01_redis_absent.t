# F01: Redis is not there when nginx starts.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = lasting_redis(start => 0);
my $scene = scene(redis => $redis);

is($scene->probe->{status}, 503, 'no Redis, no spool: 503');
cmp_ok($scene->probe->{time}, '<', slow(0.2), 'at once');
like($scene->probe('/probe_spool')->{body}, qr/"spooled":true/, 'with a spool: 200, spooled');

$scene->load;
ok($scene->answered(20), 'answers while there is no Redis');
is($scene->results($_)->{accepted} || 0, 0, "$_: nothing is accepted")
    for qw(plain plain_dedup);

$redis->launch;
$scene->recovers(slow(1), 'Redis appears');
ok($scene->drained, 'the spool is brought in');
$scene->answered(20);

$scene->verify('absent at start', refused => ['plain', 'plain_dedup'],
               spooled => ['spool', 'spool_dedup']);

finish();
