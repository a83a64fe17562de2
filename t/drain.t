# esputnik_spool, giving back: while anything waits, newer events go behind it;
# all of it is in Redis when Redis can again, in order, once; then the direct
# way is open.  Also over reloads and restarts, and whatever the location makes
# of an event.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Spool;

my @kept = ('--appendonly', 'yes', '--appendfsync', 'no');
my $redis = redis(args => \@kept);
my $fake = fake_redis(on => {
    RPUSH => sub {
        my ($c, $words) = @_;
        my $mode = $c->mode;
        my @ids = map { /"contactId":(\d+)/g } @$words;
        if ($mode =~ /\Anot (\d+) (.*)/) {
            # its batch, then it alone; everything afterwards is taken
            my ($id, $text) = ($1, $2);
            return $c->send("-$text\r\n") if grep({ $_ == $id } @ids) && $c->{refused}++ < 2;
            $mode = '';
        }
        return $c->send("-$mode\r\n") if $mode && $mode ne 'slow';
        sleep 0.1 if $mode;
        $c->{fake}->_note(taken => "@ids\n");
        $c->send($c->push_reply($words));
    },
});
my $nginx = nginx(
    workers => 2, vars => { URL => $redis->url, FAKE => $fake->url, TIMEOUT => ms(400) },
    http => "esputnik_spool %%PREFIX%%/spool;\n",
    server => "esputnik_timeout %%TIMEOUT%%;\nesputnik_connect_timeout %%TIMEOUT%%;\n" . <<'END');
location = /hook { esputnik_pass %%URL%%; }
location = /load { esputnik_pass %%URL%%; esputnik_key load; }
location = /off { esputnik_pass %%URL%%; esputnik_spool off; }
location = /fake { esputnik_pass %%FAKE%%; esputnik_key fake; }
location = /keys { esputnik_pass %%URL%%; esputnik_key key:$esputnik_contact_id; }
location = /dedup { esputnik_pass %%URL%%; esputnik_key dedup; esputnik_dedup 1h; }
location = /identity {
    esputnik_pass %%URL%%;
    esputnik_key identity;
    esputnik_dedup 1h $esputnik_contact_id;
}
location = /value {
    esputnik_pass %%URL%%;
    esputnik_key value;
    esputnik_value '{"n":$esputnik_event_index,"e":$esputnik_event}';
}
location = /left { esputnik_pass %%URL%%; esputnik_key left; esputnik_push lpush; }
location = /stream { esputnik_pass %%URL%%; esputnik_key stream; esputnik_push xadd; }
location = /bad {
    esputnik_pass %%URL%%;
    esputnik_key good;
    esputnik_invalid quarantine bad;
}
END
my $http = $nginx->http;
my $key = 'esputnik:events';
my $empty = 0;

sub post { my ($uri, $body) = @_; return $http->request(POST => $uri, body => $body) }

# ids of what the fake Redis has taken since it was asked last
my $known = 0;

sub taken
{
    open my $in, '<', "$fake->{folder}/taken" or return;
    my @all = split ' ', join ' ', <$in>;
    my @new = @all[$known .. $#all];
    $known = @all;
    return @new;
}

sub texts { return [map { event($_) } @_] }

# Redis has what it should, and the direct way is open.
sub drained
{
    my ($want, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(wait_for(sub { @{ $redis->list($key) } >= @$want }, slow(10), 0.02), "$name: drained");
    my @probes = direct_again($nginx, '/hook', "$name: then direct again");
    list_is($redis, $key, [@$want, @probes], "$name: in order, once");
    $redis->flush;
}

# under load, from all workers, with Redis gone in the middle

my $load = load(port => $nginx->port, uri => '/load', senders => 6, events => 3, close => 1,
                pause => 0.002);
wait_for(sub { $load->answers > 100 }, slow(10));
$redis->kill9;
my $n = $load->answers;
wait_for(sub { $load->answers > $n + 200 }, slow(10));
my @segments = glob $nginx->prefix . '/spool/*.seg';
cmp_ok(scalar @segments, '>=', 2, 'both workers spool');
$redis->launch;
ok(wait_for(sub { $nginx->log_lines(qr/spool .* is empty/) }, slow(10), 0.02),
   'drained while more comes');
$n = $load->answers;
wait_for(sub { $load->answers > $n + 50 }, slow(10));
$load->stop;
direct_again($nginx, '/load', 'load: then direct again');
wait_for(sub { $load->compare($redis->list('load'))->{lost} == 0 }, slow(5));
my $r = $load->compare($redis->list('load'));
is("lost $r->{lost} disorder $r->{disorder} torn $r->{torn}", 'lost 0 disorder 0 torn 0',
   "load: of $r->{accepted} events");
cmp_ok($r->{duplicates}, '<=', 6 * 3, "load: $r->{duplicates} twice, no more than were under way");
is_deeply([keys %{ $load->by_status }], [200], 'load: every answer was 200');
my %results;
/ result=(\w+)/ && $results{$1}++ for grep { m{ /load } } $nginx->access;
cmp_ok($results{spooled}, '>', 150, "load: $results{spooled} spooled");
cmp_ok($results{accepted}, '>', 100, "load: $results{accepted} direct");
$redis->flush;

# while Redis works but has not all yet, newer ones queue behind

$fake->mode('LOADING Redis is loading the dataset in memory');
spooled(post('/fake', events(1)), 1, 'a fake Redis is loading');
$fake->mode('slow');
for my $id (2 .. 20) {
    spooled(post('/fake', events($id)), 1, "event $id queues behind it");
}
$fake->mode('');
direct_again($nginx, '/fake', 'then they go to Redis');
is(join(' ', grep { $_ > 1 } taken()), join(' ', 2 .. 20), 'in order, once');

# what passes goes to the spool, and what will never be taken does not

for my $text ('LOADING x', 'MISCONF x', 'CLUSTERDOWN x', 'BUSY x', 'MASTERDOWN x', 'OOM x',
              'NOREPLICAS x', 'READONLY x', 'TRYAGAIN x', 'NOAUTH x', 'NOPERM x',
              'ERR max number of clients reached', 'ERR unknown command', 'WHATEVER x',
              'MOVED 1 127.0.0.1:1', 'ASK 1 127.0.0.1:1') {
    direct_again($nginx, '/fake', "$text: direct before");
    $fake->mode($text);
    spooled(post('/fake', events(2)), 1, "$text: spooled");
    $fake->mode('');
}
direct_again($nginx, '/fake', 'then direct');
for my $text ('CROSSSLOT x', 'NOSCRIPT x') {
    $fake->mode($text);
    problem(post('/fake', events(3)), 503, 'unavailable', "$text: 503");
    $fake->mode('');
    accepted(post('/fake', events(1)), 1, "$text: and nothing is in the spool");
}

# real refusals

for (['OOM', ['CONFIG', 'SET', 'maxmemory', 1], ['CONFIG', 'SET', 'maxmemory', 0]],
     ['READONLY', ['REPLICAOF', '127.0.0.1', 1], ['REPLICAOF', 'NO', 'ONE']],
     ['NOREPLICAS', ['CONFIG', 'SET', 'min-replicas-to-write', 1],
      ['CONFIG', 'SET', 'min-replicas-to-write', 0]]) {
    my ($name, $refuse, $take) = @$_;
    $redis->cmd(@$refuse);
    spooled(post('/hook', events($_, 10 + $_)), 2, "$name: spooled") for 1, 2;
    is(post('/off', events(5))->{status}, 503, "$name: 503 where there is no spool");
    $redis->cmd(@$take);
    drained(texts(1, 11, 2, 12), $name);
}

# one that stands still

for my $uri ('/hook', '/dedup') {
    my $list = $uri eq '/hook' ? $key : 'dedup';
    # the connection and the script are there
    direct_again($nginx, $uri, "$uri: direct before") for 0 .. 5;
    $redis->cmd('DEL', $list);
    $redis->freeze;
    my $start = time;
    spooled(post($uri, events(1)), 1, "$uri: no answer in time: spooled");
    cmp_ok(time - $start, '<', slow(1.4), "$uri: as soon as esputnik_timeout is over");
    spooled(post($uri, events($_)), 1, "$uri: event $_") for 2 .. 5;
    $redis->thaw;
    ok(wait_for(sub { grep { $_ eq event(5) } @{ $redis->list($list) } }, slow(5), 0.02),
       "$uri: drained");
    sleep 0.1;
    my @list = @{ $redis->list($list) };
    my %seen;
    is_deeply([grep { !$seen{$_}++ } @list], texts(1 .. 5), "$uri: in order");
    if ($uri eq '/dedup') {
        is(scalar @list, 5, "$uri: nothing twice though the outcome was unknown");
    } else {
        is(scalar(grep { $_ ne event(1) } @list), 4, "$uri: nothing twice but the one of unknown outcome");
        cmp_ok(scalar @list, '<=', 6, "$uri: and that one no more than twice");
    }
    direct_again($nginx, $uri, "$uri: then direct");
}
$redis->flush;

# a key that cannot be pushed to

$redis->cmd('SET', 'key:1', 'x');
spooled(post('/keys', events(1)), 1, 'WRONGTYPE: spooled');
spooled(post('/keys', events(2)), 1, 'other keys queue behind');
spooled(post('/keys', events(3, 1)), 2, 'one beside the wrong one');
spooled(post('/keys', events(4, 5)), 2, 'more others');
ok(wait_for(sub { $redis->cmd('EXISTS', 'key:2', 'key:4', 'key:5') == 3 }, slow(5), 0.02),
   'the others are not held back');
is($redis->cmd('EXISTS', 'key:3'), 0, 'a POST is whole: what came with the wrong one waits');
is($redis->cmd('GET', 'key:1'), 'x', 'the wrong one is as it was');
$redis->cmd('DEL', 'key:1');
ok(wait_for(sub { @{ $redis->list('key:1') } == 2 }, slow(6), 0.02), 'the key is right: it comes');
list_is($redis, "key:$_->[0]", texts(@{ $_->[1] }), "key $_->[0]: once")
    for [1, [1, 1]], [2, [2]], [3, [3]], [4, [4]], [5, [5]];
direct_again($nginx, '/keys', 'WRONGTYPE: then direct');
$redis->flush;

# one that comes right just after it was refused: what is behind it waits with it

taken();
$fake->mode('LOADING x');
spooled(post('/fake', events($_)), 1, "event $_") for 9, 2, 3, 4;
$fake->mode('not 2 WRONGTYPE x');
direct_again($nginx, '/fake', 'refused twice: then direct');
is(join(' ', grep { $_ > 1 } taken()), '9 2 3 4', 'refused twice: in order');
$fake->mode('');

# what a location makes of events, all behind each other in one spool

$redis->kill9;
spooled(post('/keys', events(7, 8, 7)), 3, 'keys of events');
spooled(post('/value', events(1, 2)), 2, 'a value made of variables');
spooled(post('/left', events(1, 2)), 2, 'lpush');
spooled(post('/left', events(3)), 1, 'lpush');
spooled(post('/stream', events(1, 2)), 2, 'xadd');
spooled(post('/dedup', events(1, 2, 1)), 3, 'dedup');
spooled(post('/dedup', events(2, 3)), 2, 'dedup');
spooled(post('/identity', '[' . event(1) . ',' . event(1, '"a":1') . ']'), 2, 'an identity');
$r = post('/bad', '[' . event(1) . ',{},' . event(2) . ']');
is("$r->{status} $r->{body}", '200 {"accepted":2,"quarantined":1,"spooled":true}', 'a bad event');
$r = post('/bad', 'nonsense');
is("$r->{status} $r->{body}", '200 {"accepted":0,"quarantined":1,"spooled":true}', 'a bad body');
spooled(post('/hook', events(1)), 1, 'the last');
$redis->launch;
ok(wait_for(sub { @{ $redis->list($key) } == 1 }, slow(10), 0.02), 'drained');
list_is($redis, 'key:7', texts(7, 7), 'key 7');
list_is($redis, 'key:8', texts(8), 'key 8');
list_is($redis, 'value', [map { '{"n":' . ($_ - 1) . ',"e":' . event($_) . '}' } 1, 2], 'values');
list_is($redis, 'left', texts(3, 2, 1), 'lpush');
is_deeply([map { $_->[1] } @{ $redis->cmd('XRANGE', 'stream', '-', '+') }],
          [map { ['event', event($_)] } 1, 2], 'xadd');
list_is($redis, 'dedup', texts(1, 2, 3), 'dedup: each once');
list_is($redis, 'identity', texts(1), 'dedup: the identity went along');
list_is($redis, 'good', texts(1, 2), 'the good ones');
my @bad = @{ $redis->list('bad') };
is(join(' ', map { (split /\n/, $_, 2)[1] } @bad), '{} nonsense', 'the quarantine');
direct_again($nginx, '/dedup', 'then direct');
$r = post('/dedup', events(1));
is("$r->{status} $r->{body}", '200 {"accepted":0,"duplicates":1}',
   'what was drained is known to dedup');
$redis->flush;

# reload, quit and restart with a full spool

$redis->kill9;
my @want;
my $id = 0;
sub some { for (1 .. 7) { spooled(post('/hook', events($id + 1, $id + 2)), 2, "POST $id"); $id += 2 } }
$http = $nginx->http;
some();
ok($nginx->reload, 'reload');
$http = $nginx->http;
some();
$nginx->stop;
is($nginx->error_log =~ /\[(alert|crit|emerg)\]/ ? $1 : '', '', 'quit, with the spool full');
is_deeply([waiting_values($nginx->prefix . '/spool')], texts(1 .. $id), 'all are in the folder');
$nginx->launch;
like($nginx->error_log, qr/spool .* holds $id events for redis/, 'started again: the log says so');
$http = $nginx->http;
some();
kill 'KILL', $_ for $nginx->worker_pids;
wait_for(sub { $nginx->log_lines(qr/exited on signal 9/) >= 2 && $nginx->worker_pids == 2 }, slow(5));
$nginx->allow(qr/exited on signal 9/);
$http = $nginx->http;
some();
$redis->launch;
drained(texts(1 .. $id), 'after all that');

finish();
