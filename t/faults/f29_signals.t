# F29: nginx ends: quit, stop, the master killed, a binary upgrade.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Env qw(nginx_binary asan);
use Esputnik::Faults;
use Esputnik::Process qw(wait_exit reap);

# nginx starts its successor by its own name
my $binary = nginx_binary();
if ($binary !~ m{/}) {
    ($binary) = grep { -x } map { "$_/$binary" } split(/:/, $ENV{PATH}), '/usr/sbin';
}
$ENV{TEST_NGINX_BINARY} = $binary;

my $redis = lasting_redis();
my $scene = scene(redis => $redis, timeout => 800,
                  main => asan() ? "env LD_PRELOAD;\nenv ASAN_OPTIONS;\nenv LSAN_OPTIONS;\n"
                                   . "env UBSAN_OPTIONS;\n" : '');
my $nginx = $scene->nginx;
my $daemon;
END { kill 'TERM', $daemon if $daemon && -d "/proc/$daemon" }

sub gone { my ($pid) = @_; return wait_for(sub { !-d "/proc/$pid" }, slow(10)) }

# Redis is down for a part of each case, so that the spool is at work too.
for my $down (0, 1) {
    my $with = $down ? 'Redis down' : 'Redis up';

    # quit: what is under way is answered
    if (!$down) {
        for my $uri ('/plain', '/spool') {
            my @c = map { $nginx->http } 1 .. 10;
            $redis->freeze;
            $_->send_raw(Esputnik::Http->bytes(POST => $uri, body => events(1))) for @c;
            sleep slow(0.05);
            my $master = $nginx->pid;
            kill 'QUIT', $master;
            sleep slow(0.1);
            $redis->thaw;
            is(join(' ', map { $_->response->{status} } @c), join(' ', (200) x 10),
               "quit: ten requests on $uri that wait for Redis are answered");
            $_->close for @c;
            ok(defined wait_exit($master, slow(3)), 'and nginx ends');
            $nginx->launch;
            $scene->{pids} = join ' ', sort $nginx->worker_pids;
        }
        $redis->flush;
    }

    for my $signal ('QUIT', 'TERM', 'KILL') {
        $scene->load(close => 1);
        ok($scene->answered(10), "$with, $signal: answers at first");
        $redis->kill9 if $down;
        $scene->answered(5);
        my @workers = $nginx->worker_pids;
        my $master = $nginx->pid;
        kill $signal, $master;
        if ($signal eq 'KILL') {
            wait_exit($master, slow(2));
            $scene->answered(10);    # the workers go on
            kill 'TERM', $_ for @workers;
        } else {
            ok(defined wait_exit($master, slow(5)), "$with, $signal: nginx ends");
        }
        ok(gone($_), "$with, $signal: a worker ends") for @workers;
        sleep slow(0.1);
        $nginx->launch;
        $redis->launch if $down;
        ok($scene->drained, "$with, $signal: the spool is brought in");
        $scene->answered(10, 200);
        my $most = 2 * $scene->under_way;
        my $spooled = 3 * ($scene->results('spool')->{spooled} || 0);
        $scene->verify("$with, $signal", died => 1, closed => 1,
                       dup => $signal eq 'QUIT' && !$down ? {}
                           : { plain => $most, spool => $most + ($down ? $spooled : 0) });
        $redis->flush;
    }
}

# A binary upgrade: the new one starts, the old one quits.  nginx does so only
# as a daemon.
$nginx->stop;
$nginx->write('nginx.conf', $nginx->config =~ s/daemon off/daemon on/r);
my $file = $nginx->prefix . '/nginx.pid';

sub pid_in_file
{
    open my $in, '<', $file or return 0;
    my $pid = <$in> || 0;
    chomp $pid;
    return $pid;
}

{
    local %ENV = (%ENV, %{ $nginx->_environment(1) });
    is(system($binary, '-p', $nginx->prefix, '-c', $nginx->prefix . '/nginx.conf',
              '-e', $nginx->prefix . '/error.log'), 0, 'nginx as a daemon');
}
ok(wait_for(\&pid_in_file, slow(5)), 'its master runs');
$nginx->{pid} = $daemon = pid_in_file();
ok(wait_for(sub { 2 <= (my @p = $nginx->worker_pids) }, slow(5)), 'and its workers');

for my $down (0, 1) {
    my $with = $down ? 'Redis down' : 'Redis up';
    $scene->load(close => 1);
    ok($scene->answered(10), "$with, upgrade: answers at first");
    $redis->kill9 if $down;
    $scene->answered(5);
    my $old = $nginx->pid;
    my @workers = $nginx->worker_pids;
    kill 'USR2', $old;
    ok(wait_for(sub { -e "$file.oldbin" && pid_in_file() && pid_in_file() != $old }, slow(5)),
       "$with, upgrade: the new master runs");
    $nginx->{pid} = $daemon = pid_in_file();
    ok(wait_for(sub { 2 <= (my @p = $nginx->worker_pids) }, slow(5)),
       "$with, upgrade: it has workers");
    $scene->answered(10);
    kill 'QUIT', $old;
    ok(gone($old), "$with, upgrade: the old master ends");
    ok(gone($_), "$with, upgrade: an old worker ends") for @workers;
    $scene->answered(10);
    $redis->launch if $down;
    ok($scene->drained, "$with, upgrade: the spool is brought in");
    $scene->answered(10, 200);
    my $most = $down ? $scene->under_way : 0;
    $scene->verify("$with, upgrade", died => 1, dup => { plain => $most, spool => $most });
    $redis->flush;
}
kill 'QUIT', $daemon;
ok(gone($daemon), 'the last one quits');
undef $daemon;

finish();
