# F38: out of connections, of descriptors, of memory; names that cannot be
# resolved: refused or closed, nothing lost, no crash.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Dns;
use Esputnik::Env qw(asan);
use Esputnik::Faults;
use Esputnik::Shim;

my @modes = qw(plain plain_dedup spool spool_dedup);
my %may_refuse = map { $_ => [503, 500] } @modes;

# connections: the senders and the links want more than there are
{
    my $redis = lasting_redis();
    my $scene = scene(redis => $redis, workers => 1, connections => 12,
                      allow => [qr/worker_connections are not enough/],
                      each => 'keepalive_timeout 0;');
    my @idle = map { $scene->nginx->http } 1 .. 3;
    $scene->load(senders => 3);
    ok($scene->answered(20), 'answers, hardly any connections');
    ok(wait_for(sub { $scene->nginx->log_lines(qr/worker_connections are not enough/) }, slow(5), 0.05),
       'there were too few of them');
    $_->close for @idle;
    # there is room for the probes again
    sleep slow(0.1);
    $_->stop for values %{ $scene->{load} };
    $scene->verify('worker_connections', closed => 1, status => \%may_refuse);
}

# descriptors: none for a new link, nor for a file of the spool
{
    my $redis = lasting_redis();
    my $scene = scene(redis => $redis, workers => 1,
                      allow => [qr/Too many open files/], each => 'keepalive_timeout 0;');
    my ($worker) = $scene->nginx->worker_pids;
    $scene->load(senders => 2);
    ok($scene->answered(10), 'answers at first');
    for my $down (0, 1) {
        my $have = fds_of($worker);
        is(system('prlimit', '--pid', $worker, '--nofile=' . ($have + 1) . ':20000'), 0,
           "$have descriptors and one more");
        $down ? $redis->kill9
              : $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        sleep slow(0.5);
        is(system('prlimit', '--pid', $worker, '--nofile=1024:20000'), 0, 'enough of them');
        ok($scene->answered(10), 'answers');
    }
    ok(wait_for(sub { $scene->nginx->log_lines(qr/Too many open files/) }, slow(5), 0.05),
       'there were too few of them');
    $redis->launch;
    $scene->recovers(slow(1.5), 'descriptors');
    $scene->answered(10, 200);
    $scene->verify('descriptors', closed => 1, status => \%may_refuse, deadline => 1000,
                   spooled => ['spool'],
                   dup => { plain => 2 * $scene->under_way,
                            spool => 2 * $scene->under_way });
}

# names
{
    my $redis = lasting_redis();
    my $dns = Esputnik::Dns->start('redis.test' => '127.0.0.1');
    my $scene = scene(redis => $redis, url => 'redis://redis.test:' . $redis->port,
                      http => 'resolver 127.0.0.1:' . $dns->port . ' valid=1s ipv6=off;'
                          . ' resolver_timeout ' . ms(300) . ';');
    $scene->load;
    ok($scene->answered(10), 'answers, the name is known');
    $dns->records('redis.test' => 'silence');
    # until what nginx remembers is too old
    ok(wait_for(sub {
        $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        $scene->probe;
        grep { /error="the name cannot be resolved/ } $scene->nginx->access;
    }, slow(5), 0.1), 'the name is not known any more');
    ok($scene->answered(10), 'answers all the same');
    $dns->records('redis.test' => '127.0.0.1');
    $scene->recovers(slow(1.5), 'the name server answers');
    $scene->answered(10, 200);
    $scene->verify('resolver', refused => ['plain', 'plain_dedup'],
                   spooled => ['spool', 'spool_dedup'],
                   dup => { plain => 50 * $scene->under_way, spool => 50 * $scene->under_way });
}

# memory: of all allocations of a worker each n-th fails, then only one in a
# while, so that each of a request's own is hit.  AddressSanitizer has an
# allocator of its own, which is under no library.
unless (asan()) {
    my $redis = lasting_redis();
    my $shim = Esputnik::Shim->new;
    my $scene = $shim->around(sub { scene(redis => $redis, workers => 1,
        allow => [qr/(?:malloc|posix_memalign|calloc)\(.*Cannot allocate memory/,
                  qr/file operation failed \(12:/]) });
    my $nginx = $scene->nginx;
    $scene->load(senders => 1, close => 1);
    ok($scene->answered(5), 'answers at first');
    my $failed = 0;
    my $rounds = long(150, 3000);
    for my $n (1 .. $rounds) {
        # one that fails, a little later each time; every third time three
        $shim->arm(alloc => error => 12, after => $n % 40, count => $n % 3 ? 1 : 3);
        sleep slow(0.008);
        $failed += $shim->failed('alloc');
        $shim->disarm('alloc');
        if ($n % 50 == 0) {
            # the ways of an outage as well
            $redis->kill9;
            $shim->arm(alloc => error => 12, after => $n % 7, count => 2);
            $scene->answered(2);
            $failed += $shim->failed('alloc');
            $shim->disarm('alloc');
            $redis->launch;
        }
    }
    note("$failed allocations failed");
    cmp_ok($failed, '>', $rounds / 3, 'allocations failed');
    $scene->answered(5, 200);
    my $spooled = 3 * ($scene->results('spool')->{spooled} || 0);
    my $most = $rounds * $scene->under_way;
    $scene->verify('memory', closed => 1, status => \%may_refuse,
                   dup => { plain => $most, spool => $most + $spooled });
}

finish();
