# F31: the spool's disk fails: EIO of each call that writes it, by a preloaded
# library and by strace; short and interrupted writes.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;
use Esputnik::Process qw(spawn reap);
use Esputnik::Shim;

use Errno qw(EIO EINTR);

my $redis = lasting_redis();
my $shim = Esputnik::Shim->new;
my @modes = qw(spool spool_dedup);
my $scene = $shim->around(sub { scene(redis => $redis, modes => \@modes, workers => 1,
                                      allow => [qr/spool .*cannot be read/]) });
my $nginx = $scene->nginx;

# Redis is down, so that all goes to the spool; a few calls fail in between,
# and again while it is drained.
sub case
{
    my ($name, $start, $end, $failed, %o) = @_;
    $scene->load(modes => \@modes, pause => 0.002);
    ok($scene->answered(5), "$name: answers at first");
    $start->() if $o{early};    # the first file is made when Redis is gone
    $redis->kill9;
    ok($scene->answered(5), "$name: spooled");
    $start->() unless $o{early};
    sleep slow(0.3);
    my $while = $failed->();
    $end->();
    ok($scene->answered(5, 200), "$name: spooled again");
    $start->() if $o{drain};
    $redis->launch;
    wait_for(sub { $failed->() }, slow(2)) if $o{drain};
    my $drain = $o{drain} ? $failed->() : 0;
    $end->();
    $scene->answered(5, 200);
    note("$name: $while calls failed while it was written, $drain while it was drained");
    cmp_ok($while + $drain, '>', 0, "$name: some calls failed");
    $scene->verify($name, spooled => \@modes, status => { map { $_ => [503] } @modes },
                   dup => { spool => (1 + ($o{failures} || 0)) * $scene->under_way });
    $redis->flush;
}

# A batch whose sync has failed is cut off the file.  When this fails too, it
# may be delivered though it was refused: its retry is then a duplicate.
for my $call (qw(pwrite fdatasync fsync rename unlink open ftruncate)) {
    # nothing is cut unless something else has failed before
    my @also = $call eq 'ftruncate' ? ('fdatasync') : ();
    case("EIO of $call",
         sub { $shim->arm($_, error => EIO, count => 6) for $call, @also },
         sub { $shim->disarm($_) for $call, @also },
         sub { $shim->failed($call) }, drain => 1,
         early => $call =~ /fsync|rename|unlink|open/ ? 1 : 0,
         failures => $call eq 'ftruncate' ? 12 : 0);
}

# all the time
case('EIO of every fdatasync', sub { $shim->arm('fdatasync', error => EIO) },
     sub { $shim->disarm('fdatasync') }, sub { $shim->failed('fdatasync') });
is($shim->retried, 0, 'no file was written or synced again after its sync had failed');

# a failed close of a segment, a failed write of its end: no event is harmed
case('short and interrupted writes', sub { $shim->arm('pwrite', short => 1) },
     sub { $shim->disarm('pwrite') }, sub { $shim->failed('pwrite') }, drain => 1);

case('interrupted fdatasync', sub { $shim->arm('fdatasync', error => EINTR, count => 20) },
     sub { $shim->disarm('fdatasync') }, sub { $shim->failed('fdatasync') });

# the same by the kernel's own interface: the first two syncs of each thread
{
    my ($worker) = $nginx->worker_pids;
    my $out = $nginx->prefix . '/strace';
    my $strace;
    case('EIO by strace',
         sub {
             $strace = spawn(['strace', '-f', '-q', '-p', $worker, '-o', $out,
                              '-e', 'trace=fdatasync', '-e',
                              'inject=fdatasync:error=EIO:when=1..2'], death => 'TERM');
             wait_for(sub { open my $in, '<', "/proc/$worker/status" or return 0;
                            join('', <$in>) =~ /TracerPid:\s+[1-9]/ }, slow(5));
             sleep slow(0.3);
         },
         sub {
             return unless $strace;
             kill 'TERM', $strace;
             Esputnik::Process::wait_exit($strace, slow(5)) // reap($strace);
             undef $strace;
         },
         sub {
             open my $in, '<', $out or return 0;
             return scalar grep { /INJECTED/ } <$in>;
         });
}

is($nginx->log_lines(qr/exited on signal/) + 0, 0, 'no worker has died');
finish();
