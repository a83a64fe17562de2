# esputnik_dedup: an event that was pushed within the window is dropped, in
# every way in which it can come again; what is lost are duplicates, never
# events.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis();
my $nginx = nginx(workers => 2, vars => { URL => $redis->url },
                  http => <<'HTTP', server => <<'END');
log_format duplicates '$uri $status $esputnik_result $esputnik_events $esputnik_duplicates';
access_log %%PREFIX%%/duplicates.log duplicates;
HTTP
location = /hook { esputnik_pass %%URL%%; esputnik_dedup 1h; }
location = /off { esputnik_pass %%URL%%; }
location = /short { esputnik_pass %%URL%%; esputnik_key short; esputnik_dedup 1s; }
location = /identity {
    esputnik_pass %%URL%%;
    esputnik_key identity;
    esputnik_dedup 1h "$esputnik_contact_id:$esputnik_activity_status";
}
location = /keys { esputnik_pass %%URL%%; esputnik_key key:$esputnik_contact_id; esputnik_dedup 1h; }
location = /value {
    esputnik_pass %%URL%%;
    esputnik_key value;
    esputnik_value '$msec $esputnik_event';
    esputnik_dedup 1h;
}
location = /left { esputnik_pass %%URL%%; esputnik_key left; esputnik_push lpush; esputnik_dedup 1h; }
location = /stream { esputnik_pass %%URL%%; esputnik_key stream; esputnik_push xadd; esputnik_dedup 1h; }
location = /bad {
    esputnik_pass %%URL%%;
    esputnik_key good;
    esputnik_invalid quarantine bad;
    esputnik_dedup 1h;
}
location = /bad_beside {
    esputnik_pass %%URL%%;
    esputnik_key beside;
    esputnik_invalid quarantine beside;
    esputnik_dedup 1h;
}
location /in { esputnik_dedup 1h; esputnik_key in; location = /in/yes { esputnik_pass %%URL%%; } }
location = /in/no { esputnik_pass %%URL%%; esputnik_key in; esputnik_dedup off; }
END
my $key = 'esputnik:events';

sub texts { return [map { event($_) } @_] }

# one more POST, on a connection of its own: by either worker
sub is_answered
{
    my ($uri, $body, $accepted, $duplicates, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = $nginx->post($uri, $body);
    is("$r->{status} $r->{body}",
       qq(200 {"accepted":$accepted) . ($duplicates ? qq(,"duplicates":$duplicates}) : '}'), $name);
}

# the same POST, again and again

is_answered('/hook', events(1, 2), 2, 0, 'the first time');
is_answered('/hook', events(1, 2), 0, 2, 'again') for 1 .. 5;
list_is($redis, $key, texts(1, 2), 'once in the list');
is_answered('/hook', events(2, 3), 1, 1, 'one of two is known');
is_answered('/hook', events(3, 4, 4, 3, 4, 5), 2, 4, 'the same one within a POST');
list_is($redis, $key, texts(1 .. 5), 'each once, in order');
is_answered('/hook', '[' . event(1, '"a":1') . ']', 1, 0, 'one more member: another event');
is_answered('/hook', '[ ' . event(1) . " ,\n" . event(6) . ']', 1, 1, 'what is around it does not count');
is_answered('/hook', '[]', 0, 0, 'no events');
is_answered('/off', events(1), 1, 0, 'where there is no dedup, no one looks');
problem($nginx->post('/hook', '[' . event(7) . ',{}]'), 400, 'missing_field', 'a refused POST',
        event => 1, offset => length('[' . event(7) . ','), field => 'activityDateTime');
is_answered('/hook', events(7), 1, 0, 'leaves no marks');

wait_for(sub { open my $in, '<', $nginx->prefix . '/duplicates.log'; (() = <$in>) >= 15 }, slow(3));
open my $log, '<', $nginx->prefix . '/duplicates.log' or die;
my @log = <$log>;
# of two workers a line may come behind the next one's
my %logged;
$logged{$_}++ for @log;
is($logged{"/hook 200 accepted 2 0\n"}, 1, '$esputnik_duplicates: none');
is($logged{"/hook 200 accepted 2 2\n"}, 5, '$esputnik_duplicates: all');
is($logged{"/hook 200 accepted 6 4\n"}, 1, '$esputnik_duplicates: some');

my @sets = grep { /dedup/ } @{ $redis->cmd('KEYS', '*') };
is(scalar(grep { $_ !~ /\A\{\Q$key\E\}dedup:3600000:[0-9]\z/ } @sets), 0, 'the marks are where documented');
cmp_ok(scalar @sets, '<=', 2, 'and few');
is(scalar(grep { my $ttl = $redis->cmd('PTTL', $_); $ttl < 3600_000 || $ttl > 2 * 3600_000 } @sets), 0,
   'and end when their time is over');

# many at once, from many connections

my @bodies = map { my $n = $_; events(map { 1000 + $n * 10 + $_ } 1 .. 10) } 0 .. 19;
my @http = map { $nginx->http } 1 .. 40;
$http[$_]->send_raw(Esputnik::Http->bytes(POST => '/keys', body => $bodies[$_ % 20])) for 0 .. $#http;
my ($accepted, $duplicates) = (0, 0);
for (@http) {
    my $p = decode($_->response->{body});
    $accepted += $p->{accepted};
    $duplicates += $p->{duplicates} || 0;
}
is("$accepted $duplicates", '200 200', '20 POSTs, each twice at the same time: half are duplicates');
is(scalar(grep { $redis->cmd('LLEN', "key:$_") != 1 } map { my $n = $_; map { 1000 + $n * 10 + $_ } 1 .. 10 } 0 .. 19),
   0, 'each is there once');
$redis->flush;

# the window

is_answered('/short', events(1), 1, 0, 'a window of a second: the first time');
my $start = time;
is_answered('/short', events(1), 0, 1, 'at once: a duplicate');
while (time - $start < 0.7) {
    my $r = $nginx->post('/short', events(1));
    is($r->{body}, '{"accepted":0,"duplicates":1}', 'still') if $r->{body} !~ /duplicates/ && time - $start < 0.9;
    sleep 0.1;
}
sleep 1.3 - (time - $start) if time - $start < 1.3;
is_answered('/short', events(1), 1, 0, 'over: stored again, its repetitions did not prolong it');
list_is($redis, 'short', texts(1, 1), 'twice in the list');
wait_for(sub { !grep { /short.*dedup/ } @{ $redis->cmd('KEYS', '*') } }, slow(4), 0.1);
is(scalar(grep { /short.*dedup/ } @{ $redis->cmd('KEYS', '*') }), 0, 'no mark stays');

# identity

my $other = '{"contactId":1,"activityStatus":"READ","activityDateTime":"2023-09-14T08:30:03"}';
is_answered('/identity', '[' . event(1) . ",$other]", 2, 0, 'two identities');
is_answered('/identity', '[' . event(1, '"a":1') . ',' . event(2) . ']', 1, 1, 'the same in other bytes');
list_is($redis, 'identity', [event(1), $other, event(2)], 'the first of each stays');

# keys: each list has marks of its own

is_answered('/keys', events(1, 2), 2, 0, 'two keys');
is_answered('/keys', events(2, 3), 1, 1, 'one of them again');
list_is($redis, "key:$_", texts($_), "key $_") for 1 .. 3;
is_answered('/hook', events(1), 1, 0, 'another list knows nothing');

# other forms

is_answered('/value', events(1, 2), 2, 0, 'a value that is never the same');
is_answered('/value', events(1, 2), 0, 2, 'is of the same event');
is($redis->cmd('LLEN', 'value'), 2, 'and is there once');
is_answered('/left', events(1, 2), 2, 0, 'lpush');
is_answered('/left', events(2, 3), 1, 1, 'lpush, again');
list_is($redis, 'left', texts(3, 2, 1), 'lpush: the list');
is_answered('/stream', events(1, 2), 2, 0, 'xadd');
is_answered('/stream', events(2, 3), 1, 1, 'xadd, again');
is_deeply([map { $_->[1] } @{ $redis->cmd('XRANGE', 'stream', '-', '+') }],
          [map { ['event', event($_)] } 1 .. 3], 'xadd: the stream');
is_answered('/in/yes', events(1), 1, 0, 'inherited');
is_answered('/in/yes', events(1), 0, 1, 'inherited');
is_answered('/in/no', events(1), 1, 0, 'off');

for my $turn (1, 2) {
    my $r = $nginx->post('/bad', '[' . event(1) . ',{}]');
    is("$r->{status} $r->{body}",
       '200 ' . ($turn == 1 ? '{"accepted":1,"quarantined":1}'
                            : '{"accepted":0,"duplicates":1,"quarantined":1}'),
       "quarantine, time $turn");
    $r = $nginx->post('/bad', 'nonsense');
    is("$r->{status} $r->{body}", '200 {"accepted":0,"quarantined":1}', "a bad body, time $turn");
}
list_is($redis, 'good', texts(1), 'the good one is there once');
is(join(' ', map { (split /\n/)[1] } @{ $redis->list('bad') }), '{} nonsense',
   'so is what is kept aside');


# what the quarantine has already is no duplicate among the events
my ($bad, $worse) = ('{"contactId":"x"}', '{"contactId":"y"}');
my $quarantine = sub {
    my ($uri, $events, $answer, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = $nginx->post($uri, '[' . join(',', @$events) . ']');
    is("$r->{status} $r->{body}", "200 {$answer}", $name);
};
for my $uri ('/bad', '/bad_beside') {
    $redis->flush;
    $quarantine->($uri, [$bad], '"accepted":0,"quarantined":1', "$uri: a bad one");
    $quarantine->($uri, [$bad, event(90)], '"accepted":1,"quarantined":1', "$uri: again, with a new good one");
    $quarantine->($uri, [event(91), $worse, $bad, event(90), event(92), $bad],
                  '"accepted":2,"duplicates":1,"quarantined":3', "$uri: some of all");
    my @all = map { @{ $redis->list($_) } } $uri eq '/bad' ? qw(good bad) : 'beside';
    is(join(' ', map { s/\A.*\n//r } grep { /\n/ } @all), "$bad $worse", "$uri: the bad ones are there once");
    is(join(' ', grep { !/\n/ } @all), join(' ', @{ texts(90 .. 92) }), "$uri: so are the good ones");
}
$redis->flush;

# refusals leave no mark

$redis->cmd('CONFIG', 'SET', 'maxmemory', 1);
is($nginx->post('/hook', events(50))->{status}, 503, 'OOM: 503');
$redis->cmd('CONFIG', 'SET', 'maxmemory', 0);
is_answered('/hook', events(50), 1, 0, 'OOM: the repetition is stored');
$redis->cmd('DEL', 'key:60', 'key:61');
$redis->cmd('SET', 'key:61', 'x');
is($nginx->post('/keys', events(60, 61))->{status}, 503, 'WRONGTYPE of one of two keys: 503');
is($redis->cmd('EXISTS', 'key:60'), 0, 'nothing of it is stored');
$redis->cmd('DEL', 'key:61');
is_answered('/keys', events(60, 61), 2, 0, 'the repetition is stored');

# the script is gone

$redis->cmd('SCRIPT', 'FLUSH');
is_answered('/hook', events(50, 51), 1, 1, 'SCRIPT FLUSH: nobody notices') ;
my $evals = sub { my ($n) = $redis->cmd('INFO', 'commandstats') =~ /cmdstat_eval:calls=(\d+)/; $n || 0 };
my $before = $evals->();
is_answered('/hook', events(50), 0, 1, 'and again');
is($evals->(), $before, 'the script is sent no more than once');

# the marks are gone: duplicates, never a loss

$redis->restart;
wait_for(sub { $nginx->post('/off', '[' . event(0) . ']')->{status} == 200 }, slow(5), 0.05);
$redis->cmd('DEL', $key);
is_answered('/hook', events(50, 51), 2, 0, 'Redis has lost its marks: stored again');
is_answered('/hook', events(50, 52), 1, 1, 'and known from there on');
list_is($redis, $key, texts(50, 51, 52), 'nothing is lost');
my @marks = grep { /dedup/ } @{ $redis->cmd('KEYS', '*') };
$redis->cmd('DEL', @marks);
is_answered('/hook', events(50), 1, 0, 'marks removed by hand');

# the answer was lost, the sender comes again

my $proxy = proxy($redis->port);
my $cut = nginx(vars => { URL => $proxy->url, TIMEOUT => ms(500) }, server => <<'END');
location = /hook {
    esputnik_pass %%URL%%;
    esputnik_key cut;
    esputnik_dedup 1h;
    esputnik_timeout %%TIMEOUT%%;
}
END
is($cut->post('/hook', events(0))->{status}, 200, 'through a proxy');
for my $then ('rst', 'fin', 'hole') {
    $proxy->rules(after => 0, then => $then, arm => '"contactId":7');
    # the rule counts from a new connection on
    my $body = '[' . event(7, qq("a":"$then")) . ',' . event(8, qq("a":"$then")) . ']';
    is($cut->post('/hook', $body)->{status}, 503, "$then: the answer is lost");
    $proxy->rules();
    my $r;
    wait_for(sub { ($r = $cut->post('/hook', $body))->{status} == 200 }, slow(5), 0.05);
    is($r->{body}, '{"accepted":0,"duplicates":2}', "$then: the repetition says duplicates");
}
is_deeply([map { /"a":"(\w+)"/ } @{ $redis->list('cut') }], [qw(rst rst fin fin hole hole)],
          'each is there once');

finish();
