# esputnik_invalid quarantine: malformed payloads are kept aside with the
# reason and answered 200, so that they cannot hold back the sender's stream.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use IO::Compress::Gzip qw(gzip);

my $redis = redis();
my $nginx = nginx(vars => { URL => $redis->url }, files => { token => "secret\n" },
    http => 'client_max_body_size 1m;', server => <<'END');
location /keep { esputnik_pass %%URL%%; esputnik_invalid quarantine; }
location /own { esputnik_pass %%URL%%; esputnik_invalid quarantine my:invalid; }
location /var { esputnik_pass %%URL%%; esputnik_invalid quarantine bad:$arg_q; }
location /key { esputnik_pass %%URL%%; esputnik_invalid quarantine; esputnik_key $esputnik_email; }
location /strict { esputnik_pass %%URL%%; esputnik_invalid quarantine; esputnik_unknown_status reject; }
location /reject { esputnik_pass %%URL%%; esputnik_invalid reject; }
location /token {
    esputnik_pass %%URL%%;
    esputnik_invalid quarantine;
    esputnik_token $http_x_t file=%%PREFIX%%/token;
}
location /small { esputnik_pass %%URL%%; esputnik_invalid quarantine; client_max_body_size 100; }
END

my $http = $nginx->http;

sub post
{
    my ($uri, $body, %o) = @_;
    return $http->request(POST => $uri, body => $body, %o);
}

# an element of the quarantine: (the reason's members, the bytes)
sub element
{
    my ($element) = @_;
    my ($line, $bytes) = split /\n/, $element // '', 2;
    return (decode($line), $bytes);
}

# a body is kept as a whole, for the reason
sub kept
{
    my ($name, $body, $reason, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $redis->flush;
    my $r = post('/keep', $body, %o);
    is("$r->{status} $r->{body}", '200 {"accepted":0,"quarantined":1}', $name);
    my $list = $redis->list('esputnik:invalid');
    is(scalar @$list, 1, "$name: one element");
    my ($about, $bytes) = element($list->[0]);
    is($about->{reason}, $reason, "$name: its reason");
    ok($bytes eq $body, "$name: its bytes");
    is($redis->cmd('EXISTS', 'esputnik:events'), 0, "$name: no event");
    return $about;
}

my $good = event(1);
kept('an empty body', '', 'empty_body');
kept('not JSON', "[$good,\n\n", 'not_json');
kept('bytes of any kind', join('', map { chr } 0 .. 255) x 3, 'not_json');
kept('an object', $good, 'not_an_array');
kept('trailing garbage', "[$good]]", 'trailing_garbage');
kept('bad UTF-8', qq([{"a":"\xff"}]), 'bad_utf8');
kept('too many events', events(1 .. 10_001), 'too_many_events');
gzip(\events(1 .. 100), \my $compressed) or die;
for my $chunked (0, 7) {
    kept('a compressed body', $compressed, 'unsupported_encoding', chunked => $chunked,
         headers => ['Content-Encoding' => 'gzip']);
}
kept('said to be compressed', "[$good]", 'unsupported_encoding',
     headers => ['Content-Encoding' => 'br']);
my $about = kept('half a body', '[' . event(1) . ',{"contactId":', 'not_json');
like(JSON::PP->new->canonical->encode($about), qr/offset/, 'where it broke off');

# one bad event: it alone is kept aside, the others are stored

my $bad = '{"contactId":"x", "activityStatus":"READ"}';
$redis->flush;
my $r = post('/keep', '[' . event(1) . ",$bad," . event(2) . ',{}]');
is("$r->{status} $r->{body}", '200 {"accepted":2,"quarantined":2}', 'two of four');
list_is($redis, 'esputnik:events', [event(1), event(2)], 'the good ones are stored');
my @kept = @{ $redis->list('esputnik:invalid') };
is(scalar @kept, 2, 'the others kept aside');
my ($first, $bytes) = element($kept[0]);
is($bytes, $bad, 'the bytes of the first');
is("$first->{reason} $first->{event} $first->{field}", 'wrong_type 1 contactId', 'why');
is($first->{offset}, length('[' . event(1) . ',{"contactId":'), 'where');
(my $second, $bytes) = element($kept[1]);
is("$second->{reason} $second->{event} $bytes", 'missing_field 3 {}', 'the second');

$redis->flush;
$r = post('/keep', "[$bad]");
is("$r->{status} $r->{body}", '200 {"accepted":0,"quarantined":1}', 'all bad');
is($redis->cmd('LLEN', 'esputnik:invalid'), 1, 'kept aside');

$redis->flush;
$r = post('/keep', events(1 .. 3));
accepted($r, 3, 'nothing bad: no word of a quarantine');
is($redis->cmd('EXISTS', 'esputnik:invalid'), 0, 'and no list');

# where to

$redis->flush;
post('/own', 'x');
post('/own', "[$bad]");
is($redis->cmd('LLEN', 'my:invalid'), 2, 'a key of my own');
post('/var?q=1', 'x');
is($redis->cmd('LLEN', 'bad:1'), 1, 'a key with a variable');
is($redis->cmd('EXISTS', 'esputnik:invalid'), 0, 'and nothing on the default key');

# rules that a location adds

$redis->flush;
$r = post('/strict', '[' . event(1) . ',{"contactId":1,"activityStatus":"NEW",'
          . '"activityDateTime":"x"}]');
is($r->{body}, '{"accepted":1,"quarantined":1}', 'an unknown status');
($first) = element($redis->list('esputnik:invalid')->[0]);
is($first->{reason}, 'unknown_status', 'why');

$redis->flush;
my $mail = event(1, '"email":"a@b"');
$r = post('/key', "[$mail," . event(2) . ']');
is("$r->{status} $r->{body}", '200 {"accepted":1,"quarantined":1}', 'an event without a key');
list_is($redis, 'a@b', [$mail], 'the other is stored');
($first, $bytes) = element($redis->list('esputnik:invalid')->[0]);
is("$first->{reason} $bytes", 'bad_key ' . event(2), 'why');

# what is not a malformed payload is refused as ever

$redis->flush;
is(post('/token', 'x')->{status}, 401, 'no token: 401, nothing is kept');
problem(post('/reject', $compressed, headers => ['Content-Encoding' => 'gzip']), 415,
        'unsupported_encoding', 'reject: compressed is 415');
problem(post('/small', 'x' x 101), 413, 'body_too_large', 'too large: 413');
problem($nginx->post('/small', 'x' x 101, chunked => 10), 413, 'body_too_large', 'too large, in chunks');
problem(post('/reject', "[$bad]"), 400, 'wrong_type', 'and reject is 400');
is($redis->cmd('DBSIZE'), 0, 'nothing of these is kept');

# all or nothing, here too

$redis->flush;
$redis->cmd('SET', 'esputnik:invalid', 'a string');
problem(post('/keep', "[$good,$bad]"), 503, 'unavailable', 'no quarantine to be had');
is($redis->cmd('EXISTS', 'esputnik:events'), 0, 'then no event is stored either');
problem(post('/keep', 'x'), 503, 'unavailable', 'a whole body, no quarantine');
$redis->flush;
$redis->cmd('SET', 'esputnik:events', 'a string');
problem(post('/keep', "[$good,$bad]"), 503, 'unavailable', 'no list to be had');
is($redis->cmd('EXISTS', 'esputnik:invalid'), 0, 'then nothing is kept aside');

like($nginx->access_line(1), qr/result=quarantined events=0/, '$esputnik_result');

finish();
