# F36: the wall clock jumps by an hour, forth and back, and the event loop
# stalls: time limits, marks and the log do not care.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;
use Esputnik::Shim;
use POSIX qw(strftime);

my $redis = lasting_redis();
my $shim = Esputnik::Shim->new;
my $scene = $shim->around(sub { scene(redis => $redis) });
my $nginx = $scene->nginx;

# Waits until nginx' clock is that far from ours: an answer has its time.
sub clock_is
{
    my ($delta, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($date, %when);
    ok(wait_for(sub {
        %when = map { strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + $delta + $_)) => 1 } -5 .. 5;
        $date = $nginx->get('/nowhere')->{headers}{date} // 'none';
        return $when{$date};
    }, slow(5), 0.02), $name) or diag($date);
}

for my $delta (3600, -3600) {
    my $name = sprintf 'clock %+d s', $delta;
    $scene->load;
    ok($scene->answered(10), "$name: answers at first");
    $redis->freeze;
    sleep slow(0.1);
    $shim->arm(clock => delta => $delta);
    clock_is($delta, "$name: nginx has seen the jump");
    sleep slow(0.2);
    $redis->thaw;
    ok($scene->answered(10, 200), "$name: 200 after the jump");
    $redis->kill9;
    ok($scene->answered(10), "$name: answers while Redis is down");
    $shim->disarm('clock');
    clock_is(0, "$name: and the jump back");
    ok($scene->answered(10), "$name: answers after it");
    $redis->launch;
    $scene->recovers(slow(1), $name);
    $scene->answered(10, 200);
    $scene->verify($name, spooled => ['spool', 'spool_dedup'],
                   dup => { plain => $scene->under_way, spool => $scene->under_way });
    $redis->flush;
}

# a known event stays known, whatever nginx' clock says
my $one = '[' . event(1) . ']';
is($nginx->post('/plain_dedup', $one)->{body}, '{"accepted":1}', 'stored');
for my $delta (3 * 3600, -3 * 3600) {
    $shim->arm(clock => delta => $delta);
    my $name = sprintf 'clock set by %+d s', $delta;
    clock_is($delta, "$name: nginx has seen it");
    like($nginx->post('/plain_dedup', $one)->{body}, qr/"duplicates":1/, "$name: still known");
    $shim->disarm('clock');
}
$redis->flush;

# all workers stand still for longer than a request may wait; Redis has
# answered meanwhile
my $stall = long(1.5, 5);
sleep 1.1;    # for as long a worker may hold back after Redis was down
$scene->load;
ok($scene->answered(10), 'answers at first');
kill 'STOP', $nginx->worker_pids;
sleep slow($stall);
kill 'CONT', $nginx->worker_pids;
ok($scene->answered(10, 200), "200 after a stall of $stall s");
$scene->verify('stall', deadline => 1000 * $stall + $scene->{timeout},
               status => { map { $_ => [] } qw(plain plain_dedup spool spool_dedup) });

# what is logged at most once a second is so by any clock: a line of each worker,
# and one more
$redis->kill9;
for my $delta (0, 7200, -7200) {
    my $name = sprintf 'clock set by %+d s', $delta;
    $shim->arm(clock => delta => $delta);
    clock_is($delta, "$name: nginx has seen it");
    my $mark = $nginx->mark;
    ok(wait_for(sub {
        $scene->probe;
        return 3 <= $nginx->log_lines(qr/ events not stored: /, $mark);
    }, slow(10), 0.02), "$name: the log goes on");
}
$shim->disarm('clock');

finish();
