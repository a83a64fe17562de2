# esputnik_spool max_size: what the folder is taken to hold is what it holds, also
# when workers have ended in the middle of an outage, by a reload, a kill or a
# binary upgrade.  Else a spool could be full that is empty, until nginx starts
# again.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Env qw(nginx_binary asan);
use Esputnik::SlowDisk;
use Esputnik::Spool;

my $size = 64 * 1024;
my $redis = redis();
my $disk = Esputnik::SlowDisk->new;

# nginx starts its successor by its own name
my $binary = nginx_binary();
if ($binary !~ m{/}) {
    ($binary) = grep { -x } map { "$_/$binary" } split(/:/, $ENV{PATH}), '/usr/sbin';
}
$ENV{TEST_NGINX_BINARY} = $binary;

my $server = <<'END';
location = /hook { esputnik_pass %%URL%%; esputnik_spool %%PREFIX%%/spool max_size=64k; }
location = /status { esputnik_status json; }
END
my $nginx = $disk->around(sub { nginx(
    workers => 2, vars => { URL => $redis->url }, server => $server,
    allow => [qr/exited on signal 9/],
    main => asan() ? "env LD_PRELOAD;\nenv ASAN_OPTIONS;\nenv LSAN_OPTIONS;\n"
                     . "env UBSAN_OPTIONS;\n" : '') });
my $daemon;
END { kill 'TERM', $daemon if $daemon && -d "/proc/$daemon" }

my $id = 0;
sub post_one { my ($n) = @_; $n->post('/hook', events(++$id)) }
sub counted { my ($n) = @_; decode($n->get('/status')->{body})->{spools}[0]{folder_bytes} }

# Redis is there: all comes, and nothing is counted any more.
sub empties
{
    my ($n, $name) = @_;
    direct_again($n, '/hook', "$name: drained");
    ok(wait_for(sub { !segments($n->prefix . '/spool') && counted($n) == 0 }, slow(12), 0.1),
       "$name: empty, and counted as empty")
        or diag(segments($n->prefix . '/spool') . ' segments, counted ' . counted($n));
}

# Redis is away: the folder takes its max_size, and no more.
sub fills
{
    my ($n, $name) = @_;
    my $r;
    for (1 .. 500) {
        $r = post_one($n);
        last if $r->{status} != 200;
    }
    problem($r, 503, 'unavailable', "$name: full in the end");
    my $bytes = bytes_of($n->prefix . '/spool');
    cmp_ok($bytes, '<=', $size, "$name: not above its max_size");
    cmp_ok($bytes, '>', $size - 8 * 1024, "$name: and not before it");
    my $counted = counted($n);
    cmp_ok(abs($counted - $bytes), '<', 4096, "$name: $counted bytes are counted of $bytes");
}

$redis->stop;
fills($nginx, 'at first');
$redis->launch;
empties($nginx, 'at first');

# graceful ends: each closes its segment

$redis->stop;
for my $round (1 .. 4) {
    spooled(post_one($nginx), 1, "an outage, POST $round") for 1 .. 3;
    ok($nginx->reload, "an outage, reload $round");
}
$redis->launch;
empties($nginx, 'reloads');
$redis->stop;
fills($nginx, 'after reloads');
ok($nginx->reload, 'reload with a full one');
is(post_one($nginx)->{status}, 503, 'which is still full');
$redis->launch;
empties($nginx, 'reload with a full one');

# killed with what was reserved

$redis->stop;
for my $round (1 .. 2) {
    my %old = map { $_ => 1 } $nginx->worker_pids;
    spooled(post_one($nginx), 1, "an outage, before the kill $round") for 1 .. 3;
    $disk->stand_still;
    my @c = map { $nginx->http } 1 .. 8;
    $_->send_raw(Esputnik::Http->bytes(POST => '/hook', body => events(++$id))) for @c;
    sleep slow(0.2);
    kill 'KILL', keys %old;
    $disk->go_on;
    ok(wait_for(sub { 2 == grep { !$old{$_} } $nginx->worker_pids }, slow(5)),
       "workers killed while they write, $round");
    $_->close for @c;
}
fills($nginx, 'after kills');
$redis->launch;
empties($nginx, 'kills');
$redis->stop;
fills($nginx, 'after kills and a drain');
$redis->launch;
empties($nginx, 'after all kills');

# the worker that drains ends when it has brought in the last

{
    my $slow = fake_redis(on => { RPUSH => sub {
        my ($c, $words) = @_;
        return $c->send("-LOADING\r\n") if $c->mode eq 'loading';
        sleep slow(0.5) if $c->mode eq 'slow';
        $c->send($c->push_reply($words));
    } });
    my $n = nginx(vars => { URL => $slow->url }, server => $server);
    $slow->mode('loading');
    fills($n, 'one worker');
    ok($n->reload, 'its segment has no writer any more');
    $slow->mode('slow');
    my $seen = () = $slow->commands('RPUSH');
    ok(wait_for(sub { $seen < (my @now = $slow->commands('RPUSH')) }, slow(5)),
       'it is being brought in');
    sleep slow(0.1);
    ok($n->reload, 'meanwhile a reload');
    $slow->mode('');
    empties($n, 'reload while it drains');
    $slow->mode('loading');
    fills($n, 'reload while it drained');
}

# a binary upgrade: the new nginx counts by itself, and the old one goes on
# writing.  nginx does so only as a daemon.

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
my $old = $nginx->{pid} = $daemon = pid_in_file();
ok(wait_for(sub { 2 <= (my @p = $nginx->worker_pids) }, slow(5)), 'and its workers');
my @workers = $nginx->worker_pids;

$redis->stop;
spooled(post_one($nginx), 1, 'before the upgrade') for 1 .. 3;
kill 'USR2', $old;
ok(wait_for(sub { -e "$file.oldbin" && pid_in_file() && pid_in_file() != $old }, slow(5)),
   'upgrade: the new master runs');
$nginx->{pid} = $daemon = pid_in_file();
ok(wait_for(sub { 2 <= (my @p = $nginx->worker_pids) }, slow(5)), 'upgrade: and its workers');
spooled(post_one($nginx), 1, 'both take events') for 1 .. 16;
kill 'QUIT', $old;
ok(wait_for(sub { !-d "/proc/$old" }, slow(10)), 'upgrade: the old master ends');
ok(wait_for(sub { !grep { -d "/proc/$_" } @workers }, slow(10)), 'upgrade: and its workers');
$redis->launch;
empties($nginx, 'upgrade');
$redis->stop;
fills($nginx, 'after the upgrade');
$redis->launch;
empties($nginx, 'after the upgrade');
kill 'QUIT', $daemon;
ok(wait_for(sub { !-d "/proc/$daemon" }, slow(10)), 'it ends');
undef $daemon;

finish();
