# F37: more comes than Redis can take (10 ms a command): beyond the limit of the
# queue 503 at once, or the spool; memory stays bounded.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Env qw(asan valgrind);
use Esputnik::Faults;
use Esputnik::Resp;

my $redis = redis();

# In front of Redis, and slow: 10 ms for each command that writes.
sub pass_on
{
    my ($c, $words) = @_;
    sleep 0.01 unless $c->mode;
    my $to = $c->{to} ||= Esputnik::Resp->new(IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $redis->port));
    $to->send(Esputnik::Resp::encode_command(@$words));
    my ($ok, $reply) = $to->read_reply;
    $ok ? $c->send(reply_bytes($reply)) : $c->close;
}

sub reply_bytes
{
    my ($reply) = @_;
    return '*' . @$reply . "\r\n" . join '', map { reply_bytes($_) } @$reply
        if ref $reply eq 'ARRAY';
    return "-$reply\r\n" if ref $reply;
    return ":$reply\r\n" if $reply =~ /\A-?\d+\z/;
    return '$' . length($reply) . "\r\n$reply\r\n";
}

my $slow = fake_redis(on => { map { $_ => \&pass_on } qw(RPUSH EVALSHA EVAL) });
my $scene = scene(redis => $redis, workers => 1, timeout => 3000, url => 'slow',
                  http => 'log_format times "$uri $status $request_time $esputnik_error";'
                      . ' access_log %%PREFIX%%/times.log times; esputnik_redis slow { server ' . $slow->address
                      . '; queue 64k; timeout ' . ms(3000) . "; }\n");
my $nginx = $scene->nginx;
my ($worker) = $nginx->worker_pids;

$scene->load(senders => 2, events => 1);
ok($scene->answered(10), 'answers at first');
$scene->verify('as much as it can take');
$redis->flush;

# 10 senders of 100 events of 100 bytes each: 100 KB at once
$scene->load(senders => 10, events => 100, pause => 0, modes => ['plain']);
ok($scene->answered(long(200, 4000)), 'overload without a spool');
my $load = $scene->{load}{plain};
my @refused = sort { $a <=> $b } map { $_->{time} } grep { $_->{status} == 503 } $load->answers;
my $slowest = $refused[0.99 * $#refused];
note(sprintf '%d refused, half of them within %.1f ms, 99 %% within %.1f ms, the last after %.1f ms',
     scalar @refused, 1000 * $refused[$#refused / 2], 1000 * $slowest, 1000 * $refused[-1]);
cmp_ok($slowest, '<', slow(0.05), 'refused at once');

# The slowest has waited for the processor while other processes had it, the
# senders' own among them (103 ms were seen at ten times the load that this machine
# can take): half a second is for these.  By nginx' own clock, which does not see
# them, none has waited for anything.
cmp_ok($refused[-1], '<', slow(0.5), 'each of them');
open my $in, '<', $nginx->prefix . '/times.log' or die "times.log: $!\n";
my @times = sort { $a <=> $b }
    map { m{\A/plain 503 (\S+) the queue to Redis is full} ? $1 : () } <$in>;
close $in;
note(sprintf 'in nginx %d refusals took at most %.0f ms', scalar @times, 1000 * ($times[-1] // 9));
cmp_ok(scalar @times, '>', 0, 'nginx has timed them');
cmp_ok($times[-1] // 9, '<', slow(0.05), 'and none took long');
ok(scalar(grep { /error="the queue to Redis is full"/ } $nginx->access), 'the reason is told');
$scene->verify('overload', refused => ['plain']);
$redis->flush;

my $rss;
for my $round (1, 2) {
    $slow->mode('');
    $scene->load(senders => 10, events => 100, pause => 0.05, modes => ['spool', 'spool_dedup']);
    ok($scene->answered(30), "overload with a spool, round $round");
    $slow->mode('fast');
    $scene->verify("overload, spool, round $round", spooled => ['spool', 'spool_dedup']);
    $redis->flush;
    my $now = rss_of($worker);
    if ($rss) {
        note(sprintf 'the worker has grown by %d kB in the second round', $now - $rss);
        cmp_ok($now - $rss, '<', 1024, 'memory is bounded') unless asan() || valgrind();
    }
    $rss = $now;
}

finish();
