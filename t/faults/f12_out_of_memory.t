# F12: Redis refuses writes: out of memory (-OOM), and takes them again later.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = redis(args => ['--maxmemory-policy', 'noeviction']);
my $scene = scene(redis => $redis);

$scene->load;
ok($scene->answered(20), 'answers at first');
$redis->cmd('CONFIG', 'SET', 'maxmemory', '1mb');
my @modes = qw(plain plain_dedup spool spool_dedup);
my @before = map { $redis->cmd('LLEN', $_) } @modes;
ok($scene->answered(20), 'answers while there is no memory');
is(join(' ', map { $redis->cmd('LLEN', $_) } @modes), "@before", 'and nothing is stored');
like(join("\n", $scene->nginx->access), qr/ 503 result=unavailable .*error="OOM /,
     'the reason is told');

$redis->cmd('CONFIG', 'SET', 'maxmemory', '0');
$scene->recovers(slow(1), 'memory freed');
$scene->answered(20, 200);
$scene->verify('out of memory', refused => ['plain', 'plain_dedup'],
               spooled => ['spool', 'spool_dedup']);

finish();
