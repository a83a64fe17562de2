# F34: Redis comes and goes every 200 ms: each sender's events stay in order,
# though some go directly and some through the spools of three workers.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = lasting_redis();
my $proxy = proxy($redis->port);
my $scene = scene(redis => $redis, url => $proxy->url, workers => 3);
my $flaps = long(20, 300);

# by a proxy that drops everybody and takes nobody
sub drop { $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes') }

$scene->load(senders => 3, close => 1);
ok($scene->answered(5), 'answers at first');
for (1 .. $flaps) {
    $proxy->rules(up => 0);
    drop();
    sleep slow(0.2);
    $proxy->rules;
    sleep slow(0.2);
}
$scene->recovers(slow(1.5), 'Redis stays');
$scene->answered(5, 200);
my ($direct, $spooled) = @{ $scene->results('spool') }{qw(accepted spooled)};
note("spool: $direct POSTs directly, $spooled spooled");
cmp_ok($direct, '>', 0, 'some went directly');

# at each flap, what was under way, and the drain's batch
my $most = $flaps * $scene->under_way;
$scene->verify('flapping', refused => ['plain', 'plain_dedup'],
               spooled => ['spool', 'spool_dedup'],
               dup => { plain => $most, spool => $most + 3 * $spooled });

finish();
