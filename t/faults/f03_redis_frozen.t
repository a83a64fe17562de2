# F03: Redis is frozen (SIGSTOP); what it was sent is executed when it goes on.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $seconds = long(slow(2), 30);
my $redis = lasting_redis();
my $scene = scene(redis => $redis, timeout => 400);

$scene->load;
ok($scene->answered(20), 'answers at first');
$redis->freeze;
my $start = time;
sleep $seconds;
note(sprintf 'frozen for %.1f s', time - $start);
$redis->thaw;
$scene->recovers(slow(1), 'thawed');
$scene->answered(20, 200);

# What was under way at the freeze was sent, and its outcome unknown; while it
# lasts no new connection can be made, so nothing else is.
$scene->verify('frozen', refused => ['plain', 'plain_dedup'],
               spooled => ['spool', 'spool_dedup'],
               dup => { plain => $scene->under_way, spool => $scene->under_way });

finish();
