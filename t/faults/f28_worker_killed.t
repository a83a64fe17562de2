# F28: a worker dies at any moment, by SIGKILL or SIGSEGV: while it asks Redis,
# while it writes the spool, while it drains it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Env qw(asan);
use Esputnik::Faults;

my $kills = long(40, 1000);
my $redis = lasting_redis();
my $scene = scene(redis => $redis, allow => [qr/exited on signal (?:6|9|11)/]);
my $nginx = $scene->nginx;
srand 28;

sub kill_one
{
    my ($number) = @_;
    my @pids = $nginx->worker_pids or return;
    my $victim = $pids[rand @pids];
    # AddressSanitizer would take our SIGSEGV for a finding
    kill $number % 4 ? 'KILL' : asan() ? 'ABRT' : 'SEGV', $victim;
    return wait_for(sub { my @p = $nginx->worker_pids;
                          @p == 2 && !grep { $_ == $victim } @p }, slow(5), 0.005);
}

# Redis up: nothing but direct pushes is hit
$scene->load(senders => 3);
ok($scene->answered(10), 'answers at first');
my $replaced = 0;
for my $n (1 .. $kills / 4) {
    sleep rand slow(0.04);
    $replaced++ if kill_one($n);
}
is($replaced, int($kills / 4), 'each killed worker is replaced');
$scene->answered(10, 200);
my $most = int($kills / 4) * $scene->under_way;
$scene->verify('killed, Redis up', died => 1, closed => 1,
               dup => { plain => $most, spool => $most });

# Redis comes and goes, so that the spool is written and drained meanwhile
$redis->flush;
$scene->load(senders => 3);
ok($scene->answered(10), 'answers at first');
$replaced = 0;
for my $n (1 .. $kills * 3 / 4) {
    $n % 6 == 1 ? $redis->kill9 : $n % 6 == 4 ? $redis->launch : 0;
    sleep rand slow(0.06);
    $replaced++ if kill_one($n);
}
$redis->launch unless Esputnik::Process::alive($redis->pid);
is($replaced, int($kills * 3 / 4), 'each killed worker is replaced');
$scene->recovers(slow(1.5), 'Redis is back');
$scene->answered(10, 200);
my $spooled = 3 * ($scene->results('spool')->{spooled} || 0);
$most = int($kills * 3 / 4) * $scene->under_way;
# Three of the kills of each round come while Redis is up: each may hit the
# drain, whose batch is then sent again by the next worker.
$scene->verify('killed, Redis comes and goes', died => 1, closed => 1,
               spooled => ['spool', 'spool_dedup'],
               dup => { plain => $most, spool => $most + 3 * $spooled });

finish();
