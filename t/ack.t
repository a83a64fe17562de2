# esputnik_ack: what Redis must have done with the events before they are 200.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Spool;

my $redis = redis(args => ['--appendonly', 'yes', '--appendfsync', 'no',
                           '--repl-diskless-sync-delay', '0']);
my $replica = redis(args => ['--replicaof', '127.0.0.1', $redis->port]);
my $fake = fake_redis(on => {
    map { $_ => sub { my ($c) = @_; $c->send(join '', map { "$_\r\n" } split / \| /, $c->mode) } }
        'WAIT', 'WAITAOF',
});
my $nginx = nginx(
    workers => 2, vars => { URL => $redis->url, FAKE => $fake->url, TIMEOUT => ms(400) },
    server => "esputnik_timeout %%TIMEOUT%%;\n" . <<'END');
location = /memory { esputnik_pass %%URL%%; esputnik_key memory; esputnik_ack memory; }
location = /one { esputnik_pass %%URL%%; esputnik_key one; esputnik_ack replicas=1; }
location = /two { esputnik_pass %%URL%%; esputnik_key two; esputnik_ack replicas=2; }
location = /keys { esputnik_pass %%URL%%; esputnik_key key:$esputnik_contact_id; esputnik_ack replicas=1; }
location = /dedup { esputnik_pass %%URL%%; esputnik_key dedup; esputnik_ack replicas=1; esputnik_dedup 1h; }
location = /spool {
    esputnik_pass %%URL%%;
    esputnik_key spool;
    esputnik_ack replicas=1;
    esputnik_spool %%PREFIX%%/spool;
}
location = /drained {
    esputnik_pass %%URL%%;
    esputnik_key drained;
    esputnik_ack replicas=1;
    esputnik_spool %%PREFIX%%/drained;
}
location = /aof { esputnik_pass %%URL%%; esputnik_key aof; esputnik_ack aof; }
location = /fake/aof { esputnik_pass %%FAKE%%; esputnik_ack aof; }
location = /fake/wait { esputnik_pass %%FAKE%%; esputnik_ack replicas=2; }
location /in { esputnik_ack replicas=1; esputnik_key in; location = /in/yes { esputnik_pass %%URL%%; } }
END
my $http = $nginx->http;

sub post { my ($uri, $body) = @_; return $http->request(POST => $uri, body => $body) }
sub texts { return [map { event($_) } @_] }
sub calls
{
    my ($command) = @_;
    return $redis->cmd('INFO', 'commandstats') =~ /cmdstat_$command:calls=(\d+)/ ? $1 : 0;
}

sub last_line { my ($uri) = @_; return (grep { m{\APOST $uri } } $nginx->access)[-1] // '' }

sub refused
{
    my ($uri, $body, $reason, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = post($uri, $body);
    problem($r, 503, 'unavailable', "$name: 503");
    like($r->{headers}{'retry-after'} // '', qr/\A[1-9]\d*\z/, "$name: Retry-After");
    # the other worker may write an earlier line later
    ok(wait_for(sub { last_line($uri) =~ / 503 result=unavailable .*error="[^"]*$reason/ }, slow(3)),
       "$name: \$esputnik_error") or diag(last_line($uri));
    return $r;
}


# the replica follows
sub in_step
{
    $redis->cmd('INCR', 'step');
    return $redis->cmd('WAIT', 1, 200) == 1;
}
ok(wait_for(\&in_step, slow(10), 0), 'a replica');

# memory

accepted(post('/memory', events(1)), 1, 'memory');
my $waits = calls('wait');
accepted(post('/memory', events(3)), 1, 'memory, again');
is(calls('wait'), $waits, 'memory: nothing is waited for');

# replicas

for my $id (1 .. 20) {
    my $r = post('/one', events($id, 100 + $id));
    is($r->{status}, 200, 'replicas=1: 200') if $id == 1 || $r->{status} != 200;
    next if $replica->cmd('LLEN', 'one') == 2 * $id;
    fail("replicas=1: event $id was not on the replica when it was answered");
}
is(calls('wait'), $waits + 20, 'replicas=1: a WAIT for each POST');
is_deeply($replica->list('one'), $redis->list('one'), 'replicas=1: the replica has all');
accepted(post('/keys', events(1, 2, 1)), 3, 'several keys');
is(join(' ', map { $replica->cmd('LLEN', "key:$_") } 1, 2), '2 1', 'are on the replica');
accepted(post('/dedup', events(1, 2)), 2, 'with dedup');
is(post('/dedup', events(1, 2))->{body}, '{"accepted":0,"duplicates":2}', 'and again');
accepted(post('/in/yes', events(1)), 1, 'inherited');
my $start = time;
my $before = calls('wait');
refused('/two', events(1), '[Rr]eplica', 'two of one replica');
cmp_ok(time - $start, '<', slow(1.4), 'two of one replica: within esputnik_timeout');
is(calls('wait'), $before + 1, 'two of one replica: it was asked for');
list_is($redis, 'two', texts(1), 'two of one replica: the event is in Redis');
cmp_ok(scalar(my @clients = $redis->module_clients), '<=', 2, 'two of one replica: the connections stay');

# the replica stands still, and goes away

$replica->freeze;
$start = time;
refused('/one', events(201), '[Rr]eplica', 'the replica stands still');
cmp_ok(time - $start, '<', slow(1.4), 'the replica stands still: within esputnik_timeout');
is($redis->list('one')->[-1], event(201), 'the replica stands still: the event is in Redis');
$replica->thaw;
ok(wait_for(sub { post('/one', events(202))->{status} == 200 }, slow(5), 0.05), 'it goes on: 200');
$replica->stop;
refused('/one', events(203), '[Rr]eplica', 'the replica is gone');
is($redis->list('one')->[-1], event(203), 'the replica is gone: the event is in Redis');
accepted(post('/memory', events(2)), 1, 'the replica is gone: memory takes');

# with a spool: what is in Redis is not spooled
my $r = refused('/spool', events(1), '[Rr]eplica', 'with a spool');
list_is($redis, 'spool', texts(1), 'with a spool: the event is in Redis');
is(segments($nginx->prefix . '/spool'), 0, 'with a spool: and not in the spool');

# with dedup, the repetition is confirmed or not, and never makes a duplicate
refused('/dedup', events(3), '[Rr]eplica', 'with dedup');
$replica->launch;
ok(wait_for(\&in_step, slow(10), 0), 'a replica again');
is(post('/dedup', events(3))->{body}, '{"accepted":0,"duplicates":1}', 'with dedup: the repetition');
list_is($redis, 'dedup', texts(1 .. 3), 'with dedup: once');

# with a spool: what the drain has pushed and nobody confirms is asked about
# again, and not pushed again

$redis->freeze;
$r = post('/drained', events(1));
is($r->{body}, '{"accepted":1,"spooled":true}', 'the drain: spooled');
$replica->freeze;
$redis->thaw;
ok(wait_for(sub { $redis->cmd('LLEN', 'drained') > 0 }, slow(10), 0.05), 'the drain: pushed');
# once, once from before it was spooled, and once where Redis was too slow to thaw
sleep slow(2.5);
cmp_ok($redis->cmd('LLEN', 'drained'), '<=', 3,
       'the drain: not time after time');
accepted(post('/memory', events(3)), 1, 'the drain waits, memory does not');
ok(segments($nginx->prefix . '/drained'), 'the drain: not taken off');
$replica->thaw;
ok(wait_for(sub { !segments($nginx->prefix . '/drained') }, slow(10), 0.05),
   'the drain: confirmed and taken off');
cmp_ok($redis->cmd('LLEN', 'drained'), '<=', 3, 'the drain: nor when it is confirmed');
ok(wait_for(\&in_step, slow(10), 0), 'the replica follows');

# a replica that stands still holds up those who wait for it, and nobody else

$replica->freeze;
my @slow = map { $nginx->http } 1 .. 8;
$_->send_raw(Esputnik::Http->bytes(POST => '/one', body => events(1, 2))) for @slow;
for (1 .. 3) {
    my $r = post('/memory', events(4));
    is($r->{status}, 200, 'beside a replica that stands still: memory takes');
    cmp_ok($r->{time}, '<', 0.2 * slow(1), 'beside a replica that stands still: at once');
}
my @ends = map { $_->response } @slow;
is(join(' ', map { $_->{status} } @ends), join(' ', (503) x 8), 'the others: 503');
is(scalar(grep { $_->{time} > slow(0.9) } @ends), 0, 'the others: each within its time');
$replica->thaw;
ok(wait_for(\&in_step, slow(10), 0), 'the replica goes on');
ok(wait_for(sub { post('/one', events(1))->{status} == 200 }, slow(5), 0.05), 'and so do they');

# many at once: the confirmation of one is not that of another

my @http = map { $nginx->http } 1 .. 30;
for my $n (0 .. $#http) {
    $http[$n]->send_raw(Esputnik::Http->bytes(POST => $n % 2 ? '/one' : '/memory',
                                              body => events(1000 + $n)));
}
my %status;
$status{ $_->response->{status} }++ for @http;
is_deeply(\%status, { 200 => 30 }, 'many at once');
is(scalar(grep { /"contactId":10\d\d,/ } @{ $replica->list('one') }), 15,
   'what was confirmed is on the replica');

# aof: Redis 7.2 knows WAITAOF, the one before does not

my ($version) = $redis->cmd('INFO', 'server') =~ /redis_version:(\d+\.\d+)/;
if ($version >= 7.2) {
    refused('/aof', events(1), 'fsync', 'aof with a Redis that never syncs');
    $redis->cmd('CONFIG', 'SET', 'appendfsync', 'always');
    accepted(post('/aof', events(1)), 1, "aof with Redis $version");
    $redis->cmd('CONFIG', 'SET', 'appendonly', 'no');
    refused('/aof', events(2), 'append', 'aof without an append-only file');
} else {
    refused('/aof', events(1), 'WAITAOF', "aof with Redis $version");
    like(last_line('/aof'), qr/7\.2/, 'aof: what it needs is said');
    list_is($redis, 'aof', [], 'aof: nothing is stored that could not be confirmed');
    like($nginx->error_log, qr/\[error\].*WAITAOF/, 'aof: in the log');
}

my %aof = ('*2 | :0 | :0' => 'not fsynced in time', '*2 | :0 | :3' => 'not fsynced in time',
           "-ERR unknown command 'WAITAOF'" => 'WAITAOF needs Redis 7.2',
           '-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.'
               => 'appendonly', '-LOADING x' => 'LOADING');
my %wait = (':0' => 'too few replicas', ':1' => 'too few replicas', '-NOPERM x' => 'NOPERM',
            '-ERR WAIT cannot be used with replica instances.' => 'replica');
$fake->mode('*2 | :1 | :0');
accepted(post('/fake/aof', events(1)), 1, 'WAITAOF: fsynced');
for (sort keys %aof) {
    $fake->mode($_);
    refused('/fake/aof', events(1), $aof{$_}, "WAITAOF: $_");
}
for (sort keys %wait) {
    $fake->mode($_);
    refused('/fake/wait', events(1), $wait{$_}, "WAIT: $_");
}
for (':2', ':7') {
    $fake->mode($_);
    accepted(post('/fake/wait', events(1)), 1, "WAIT: $_");
}
my ($milliseconds) = ms(400) =~ /(\d+)/;
my $rest = $milliseconds / 4 > 150 ? $milliseconds / 4 : 150;
is(join(' ', map { "@$_[2, 3]" } ($fake->commands('WAIT'))[0]), '2 ' . ($milliseconds - $rest),
   'WAIT is given the time but a quarter, and no less than 150 ms are left');
for my $uri ('/fake/wait', '/fake/aof') {
    for ('+OK', '*0', '*1 | :1', '$-1', $uri =~ /aof/ ? ':1' : '*2 | :2 | :2', ':-1') {
        $fake->mode($_);
        is(post($uri, events(1))->{status}, 503, "$uri: $_: 503");
        $fake->mode($uri =~ /aof/ ? '*2 | :1 | :0' : ':2');
        ok(wait_for(sub { post($uri, events(1))->{status} == 200 }, slow(3), 0.05),
           "$uri: 200 on the next connection");
    }
}

# The drain asks again, behind a group that is being confirmed, and the connection
# is lost: the next one, perhaps to another server, has nothing of it, and is not
# asked but given it.

my $moving = fake_redis(on => {
    WAIT => sub {
        my ($c) = @_;
        return $c->close if $c->number == 1;
        return $c->send(":2\r\n") if $c->number > 2;
        return $c->send(":0\r\n") if $c->seen('WAIT') == 1;
        sleep 1.2;
        $c->close;
    },
});
my $asks = nginx(vars => { URL => $moving->url }, server => <<'END');
esputnik_timeout 5s;
esputnik_ack replicas=2;
location = /drained { esputnik_pass %%URL%%; esputnik_key drained; esputnik_spool %%PREFIX%%/spool; }
location = /beside { esputnik_pass %%URL%%; esputnik_key beside; }
END
is($asks->post('/drained', events(1))->{body}, '{"accepted":1,"spooled":true}', 'a lost confirmation: spooled');
ok(wait_for(sub { grep { $_->[0] == 2 } $moving->commands('WAIT') }, slow(5)), 'the drain asks, in vain');
is($asks->post('/beside', events(2))->{status}, 503, 'another group is under way when the connection is lost');
ok(wait_for(sub { !segments($asks->prefix . '/spool') }, slow(25), 0.05), 'the drain ends');
is(join(' ', map { $_->[0] } grep { $_->[2] eq 'drained' } $moving->commands('RPUSH')), '1 2 3',
   'what another connection has stored is stored again, not asked about');

finish();
