# esputnik_push xadd: a stream with the field "event", trimmed where asked for,
# each POST as a whole.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis(args => ['--stream-node-max-entries', 10]);
my $nginx = nginx(workers => 2, vars => { URL => $redis->url }, server => <<'END');
location = /hook { esputnik_pass %%URL%%; esputnik_push xadd; }
location = /short { esputnik_pass %%URL%%; esputnik_push xadd maxlen=50; esputnik_key short; }
location = /keys { esputnik_pass %%URL%%; esputnik_push xadd; esputnik_key key:$esputnik_contact_id; }
location = /value {
    esputnik_pass %%URL%%;
    esputnik_push xadd maxlen=100;
    esputnik_key value;
    esputnik_value '{"n":$esputnik_event_index}';
}
location = /bad {
    esputnik_pass %%URL%%;
    esputnik_push xadd;
    esputnik_key good;
    esputnik_invalid quarantine bad;
}
location = /load { esputnik_pass %%URL%%; esputnik_push xadd; esputnik_key load; }
location /in {
    esputnik_push xadd maxlen=20;
    esputnik_key in;
    location = /in/yes { esputnik_pass %%URL%%; }
    location = /in/long { esputnik_pass %%URL%%; esputnik_push xadd; esputnik_key long; }
    location = /in/list { esputnik_pass %%URL%%; esputnik_push rpush; esputnik_key list; }
}
END
my $key = 'esputnik:events';

# [[field, value …] …]
sub entries { my ($key) = @_; return [map { $_->[1] } @{ $redis->cmd('XRANGE', $key, '-', '+') }] }
sub values_of { my ($key) = @_; return [map { $_->[1] } @{ entries($key) }] }
sub texts { return [map { event($_) } @_] }

accepted($nginx->post('/hook', events(1, 2, 3)), 3, 'three events');
is_deeply(entries($key), [map { ['event', event($_)] } 1 .. 3], 'an entry each, with the field event');
accepted($nginx->post('/hook', events(4)), 1, 'one event');
is_deeply(values_of($key), texts(1 .. 4), 'behind the others');
my @ids = map { $_->[0] } @{ $redis->cmd('XRANGE', $key, '-', '+') };
is(scalar(grep { !/\A\d+-\d+\z/ } @ids), 0, 'with ids that Redis gives');
accepted($nginx->post('/hook', '[]'), 0, 'no events');
is($redis->cmd('XLEN', $key), 4, 'no entry');
my $odd = event(5, qq("a":"\xd0\xbf\\u0000 \\" \xf0\x9f\x98\x80","b":[1.50e3,{}]));
accepted($nginx->post('/hook', "[ $odd ]"), 1, 'any bytes');
is(values_of($key)->[-1], $odd, 'are as they were sent');

# trimmed about there: by whole nodes, which have ten entries here

my $n = 0;
for (1 .. 60) {
    my $r = $nginx->post('/short', events(map { $n + $_ } 1 .. 5));
    is($r->{status}, 200, "POST $_") if $r->{status} != 200;
    $n += 5;
    my $length = $redis->cmd('XLEN', 'short');
    fail("$length entries after $n events") if $length < ($n < 50 ? $n : 50);
}
my $length = $redis->cmd('XLEN', 'short');
cmp_ok($length, '>=', 50, 'maxlen: not shorter');
cmp_ok($length, '<', 50 + 2 * 10, "maxlen: and about as long ($length)");
is_deeply(values_of('short'), texts($n - $length + 1 .. $n), 'maxlen: the newest, in order');
accepted($nginx->post('/short', events(1 .. 200)), 200, 'more in one POST than it may have');
cmp_ok($redis->cmd('XLEN', 'short'), '<', 50 + 2 * 10, 'maxlen: as long as before');

# other forms

accepted($nginx->post('/keys', events(1, 2, 1)), 3, 'several streams');
is_deeply(values_of("key:$_->[0]"), texts(@{ $_->[1] }), "stream $_->[0]") for [1, [1, 1]], [2, [2]];
accepted($nginx->post('/value', events(7, 8)), 2, 'a value');
is_deeply(entries('value'), [['event', '{"n":0}'], ['event', '{"n":1}']], 'is the field');
my $r = $nginx->post('/bad', '[' . event(1) . ',{}]');
is("$r->{status} $r->{body}", '200 {"accepted":1,"quarantined":1}', 'quarantine');
is_deeply(values_of('good'), texts(1), 'the good one');
like(values_of('bad')->[0], qr/"reason":"missing_field".*\n\{\}\z/, 'the quarantine is a stream, too');

accepted($nginx->post('/in/yes', events(1 .. 10)), 10, 'inherited') for 1 .. 10;
cmp_ok($redis->cmd('XLEN', 'in'), '<', 20 + 2 * 10, 'inherited: with its maxlen');
accepted($nginx->post('/in/long', events(1 .. 10)), 10, 'set anew') for 1 .. 10;
is($redis->cmd('XLEN', 'long'), 100, 'set anew: without it');
accepted($nginx->post('/in/list', events(1)), 1, 'another command');
list_is($redis, 'list', texts(1), 'is a list');

# a POST is whole

$redis->cmd('SET', 'key:9', 'x');
$r = $nginx->post('/keys', events(8, 9));
problem($r, 503, 'unavailable', 'one of two keys is no stream: 503');
is($redis->cmd('EXISTS', 'key:8'), 0, 'nothing of the other is there');
$redis->cmd('CONFIG', 'SET', 'maxmemory', 1);
problem($nginx->post('/hook', events(1, 2)), 503, 'unavailable', 'OOM: 503');
$redis->cmd('CONFIG', 'SET', 'maxmemory', 0);
is($redis->cmd('XLEN', $key), 5, 'OOM: nothing is stored');

my $load = load(port => $nginx->port, uri => '/load', senders => 8, events => 5, close => 1);
my $torn = 0;
wait_for(sub { $torn++ if $redis->cmd('XLEN', 'load') % 5; $load->answers > 300 }, slow(10), 0.001);
$load->stop;
is($torn, 0, 'load: no part of a POST was ever to be seen');
my $c = $load->compare(values_of('load'));
is("lost $c->{lost} duplicates $c->{duplicates} disorder $c->{disorder} torn $c->{torn} refused $c->{refused_stored}",
   'lost 0 duplicates 0 disorder 0 torn 0 refused 0', "load: $c->{accepted} events");

finish();
