# F36: the wall clock jumps by an hour, forth and back, and the event loop
# stalls: time limits and marks do not care.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;
use Esputnik::Shim;

my $redis = lasting_redis();
my $shim = Esputnik::Shim->new;
my $scene = $shim->around(sub { scene(redis => $redis) });
my $nginx = $scene->nginx;

for my $delta (3600, -3600) {
    my $name = sprintf 'clock %+d s', $delta;
    $scene->load;
    ok($scene->answered(10), "$name: answers at first");
    $redis->freeze;
    sleep slow(0.1);
    $shim->arm(clock => delta => $delta);
    sleep slow(0.2);
    $redis->thaw;
    ok($scene->answered(10, 200), "$name: 200 after the jump");
    $redis->kill9;
    ok($scene->answered(10), "$name: answers while Redis is down");
    $shim->disarm('clock');
    ok($scene->answered(10), "$name: and after the jump back");
    $redis->launch;
    $scene->recovers(slow(1), $name);
    $scene->answered(10, 200);
    $scene->verify($name, spooled => ['spool', 'spool_dedup'],
                   dup => { plain => $scene->under_way, spool => $scene->under_way });
    $redis->flush;
}
my %hours = map { /\A\S+ (\d\d):/ ? ($1 + 0 => 1) : () } split /\n/, $nginx->error_log;
cmp_ok(scalar keys %hours, '>=', 3, 'nginx has seen the clock jump: ' . join ' ', keys %hours);

# a known event stays known, whatever nginx' clock says
my $one = '[' . event(1) . ']';
is($nginx->post('/plain_dedup', $one)->{body}, '{"accepted":1}', 'stored');
for my $delta (3 * 3600, -3 * 3600) {
    $shim->arm(clock => delta => $delta);
    sleep slow(0.05);
    like($nginx->post('/plain_dedup', $one)->{body}, qr/"duplicates":1/,
         sprintf 'still known with the clock set by %+d s', $delta);
    $shim->disarm('clock');
}
$redis->flush;

# all workers stand still for longer than a request may wait; Redis has
# answered meanwhile
my $stall = long(1.5, 5);
$scene->load;
ok($scene->answered(10), 'answers at first');
kill 'STOP', $nginx->worker_pids;
sleep slow($stall);
kill 'CONT', $nginx->worker_pids;
ok($scene->answered(10, 200), "200 after a stall of $stall s");
$scene->verify('stall', deadline => 1000 * $stall + $scene->{timeout},
               status => { map { $_ => [] } qw(plain plain_dedup spool spool_dedup) });

finish();
