# Errors of Redis: 503 with Retry-After, the reason by name in the log and in
# $esputnik_error, nothing stored; and 200 again as soon as the cause is gone.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis();
my $fake = fake_redis(on => {
    RPUSH => sub {
        my ($c, $words) = @_;
        my $mode = $c->mode;
        $c->send($mode ? "-$mode\r\n" : $c->push_reply($words));
    },
});
my $nginx = nginx(
    vars => { URL => $redis->url, FAKE => $fake->url, PORT1 => $redis->port },
    http => <<'END',
esputnik_redis poor { server 127.0.0.1:%%PORT1%%; user poor; password x; }
esputnik_redis other { server 127.0.0.1:%%PORT1%%; user other; password x; }
END
    server => <<'END');
location /hook { esputnik_pass %%URL%%; }
location /poor { esputnik_pass poor; }
location /other { esputnik_pass other; }
location /fake { esputnik_pass %%FAKE%%; }
END

my $http = $nginx->http;
my $key = 'esputnik:events';
$redis->cmd('ACL', 'SETUSER', 'poor', 'on', '>x', '~*', '+@all', '-@list');
$redis->cmd('ACL', 'SETUSER', 'other', 'on', '>x', '~other:*', '+@all');

my $requests = 0;

sub post
{
    my ($uri) = @_;
    $requests++;
    return $http->request(POST => $uri, body => events(1));
}

sub refused
{
    my ($name, $uri, $word) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $mark = $nginx->mark;
    my $r = post($uri);
    problem($r, 503, 'unavailable', "$name: 503");
    like($r->{headers}{'retry-after'} // '', qr/\A[1-9]\d*\z/, "$name: Retry-After");
    cmp_ok($r->{time}, '<', slow(1), "$name: at once");
    like($nginx->access_line($requests),
         qr/ 503 result=unavailable .*error=".*\Q$word\E/, "$name: \$esputnik_error");
    ok(scalar($nginx->log_lines(qr/\Q$word\E/, $mark)), "$name: in the log")
        or diag(substr $nginx->error_log, $mark);
}

sub recovers
{
    my ($name, $uri) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(wait_for(sub { post($uri)->{status} == 200 }, slow(1.2), 0.05),
       "$name: 200 when it is over");
}

# real ones

$redis->cmd('CONFIG', 'SET', 'maxmemory', '1');
refused('OOM', '/hook', 'OOM');
$redis->cmd('CONFIG', 'SET', 'maxmemory', '0');
is($redis->cmd('EXISTS', $key), 0, 'OOM: nothing stored');
recovers('OOM', '/hook');
$redis->flush;

$redis->cmd('REPLICAOF', '127.0.0.1', '1');
refused('READONLY', '/hook', 'READONLY');
$redis->cmd('REPLICAOF', 'NO', 'ONE');
is($redis->cmd('EXISTS', $key), 0, 'READONLY: nothing stored');
recovers('READONLY', '/hook');
$redis->flush;

$redis->cmd('CONFIG', 'SET', 'min-replicas-to-write', '1');
refused('NOREPLICAS', '/hook', 'NOREPLICAS');
$redis->cmd('CONFIG', 'SET', 'min-replicas-to-write', '0');
recovers('NOREPLICAS', '/hook');
$redis->flush;

$redis->cmd('SET', $key, 'x');
refused('WRONGTYPE', '/hook', 'WRONGTYPE');
is($redis->cmd('GET', $key), 'x', 'WRONGTYPE: untouched');
$redis->flush;
recovers('WRONGTYPE', '/hook');
$redis->flush;

refused('NOPERM, command', '/poor', 'NOPERM');
$redis->cmd('ACL', 'SETUSER', 'poor', '+@list');
recovers('NOPERM, command', '/poor');
refused('NOPERM, key', '/other', 'NOPERM');
$redis->cmd('ACL', 'SETUSER', 'other', '~*');
recovers('NOPERM, key', '/other');
$redis->flush;

# a password that is changed under way: Redis throws out who was logged in
# with the old one only when the user is deleted
$redis->cmd('ACL', 'DELUSER', 'poor');
ok(wait_for(sub { post('/poor')->{status} == 503 && $nginx->error_log =~ /WRONGPASS/ },
            slow(2), 0.05), 'user deleted: 503, and the log says why');
$redis->cmd('ACL', 'SETUSER', 'poor', 'on', '>x', '~*', '+@all');
recovers('user back', '/poor');

# scripted ones

my %text = (
    LOADING => 'LOADING Redis is loading the dataset in memory',
    MISCONF => 'MISCONF Redis is configured to save RDB snapshots',
    BUSY => 'BUSY Redis is busy running a script.',
    MASTERDOWN => 'MASTERDOWN Link with MASTER is down',
    CLUSTERDOWN => 'CLUSTERDOWN Hash slot not served',
    NOAUTH => 'NOAUTH Authentication required.',
    MOVED => 'MOVED 3999 127.0.0.1:1',
    TRYAGAIN => 'TRYAGAIN Multiple keys request during rehashing of slot',
    'max number of clients' => 'ERR max number of clients reached',
    'unknown command' => "ERR unknown command 'RPUSH'",
    WHATEVER => 'WHATEVER comes next',
);
for my $word (sort keys %text) {
    $fake->mode($text{$word});
    refused($word, '/fake', $word);
    $fake->mode('');
    recovers($word, '/fake');
}

# an error's text cannot forge a line of the log
$fake->mode("ERR x\" 503 result=accepted\x1b[0m \x01");
post('/fake');
$fake->mode('');
recovers('odd bytes', '/fake');
is(scalar(my @forged = $nginx->log_lines(qr/[\x01\x1b]/)), 0,
   'no control byte reaches the error log');

finish();
