# Limits: events in a POST, bytes of a body, depth of an event, encodings.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis();
my $nginx = nginx(vars => { URL => $redis->url }, server => <<'END');
location /hook { esputnik_pass %%URL%%; }
location /five { esputnik_pass %%URL%%; esputnik_max_events 5; }
location /small { esputnik_pass %%URL%%; client_max_body_size 1k; }
location /large { esputnik_pass %%URL%%; client_max_body_size 20m; esputnik_max_events 1000000; }
location /any { esputnik_pass %%URL%%; client_max_body_size 0; esputnik_max_events 1000000; }
location /flat { esputnik_pass %%URL%%; esputnik_max_depth 1; }
location /deep { esputnik_pass %%URL%%; esputnik_max_depth 200; }
END

my $http = $nginx->http;

sub post
{
    my ($uri, $body, %o) = @_;
    my $r = $http->request(POST => $uri, body => $body, %o);
    if (!$r->{status} || ($r->{headers}{connection} || '') eq 'close') {
        $http->close;
        $http = $nginx->http;
    }
    return $r;
}

# events

accepted(post('/five', events(1 .. 5)), 5, 'as many as allowed');
problem(post('/five', events(1 .. 6)), 413, 'too_many_events', 'one more');
problem(post('/five', events(1 .. 5000)), 413, 'too_many_events', 'many more');
problem(post('/hook', events(1 .. 10_001)), 413, 'too_many_events',
        '10,001 with the default');
is($redis->cmd('LLEN', 'esputnik:events'), 5, 'nothing of them is stored');
accepted(post('/hook', events(1 .. 10_000)), 10_000, '10,000 with the default');
is($redis->cmd('LLEN', 'esputnik:events'), 10_005, 'stored');
$redis->flush;

# bytes, with a length and without

my $fill = 1024 - length '[' . event(1, '"a":""') . ']';
my $fits = '[' . event(1, '"a":"' . 'x' x $fill . '"') . ']';
my $over = '[' . event(1, '"a":"' . 'x' x ($fill + 1) . '"') . ']';
for my $chunk (0, 10_000, 100, 1) {
    my $how = $chunk ? "in chunks of $chunk" : 'with a length';
    accepted(post('/small', $fits, chunked => $chunk), 1, "1,024 bytes $how");
    problem(post('/small', $over, chunked => $chunk), 413, 'body_too_large',
            "1,025 bytes $how");
    accepted(post('/small', events(1)), 1, 'the next request');
}
problem(post('/small', 'x' x 1_000_000), 413, 'body_too_large', 'a million bytes');
problem(post('/small', 'x' x 1_000_000, chunked => 65_536), 413, 'body_too_large',
        'a million bytes in chunks');
problem(post('/hook', 'x' x (1024 * 1024 + 1)), 413, 'body_too_large',
        "nginx's default of 1m");

my $large = events(1_000_000 .. 1_099_999);
for my $uri ('/large', '/any') {
    accepted(post($uri, $large), 100_000, "$uri: " . length($large) . ' bytes');
    accepted(post($uri, $large, chunked => 100_000), 100_000, "$uri: in chunks");
}
is($redis->cmd('LLEN', 'esputnik:events'), 400_000 + 8, 'all stored');
is($redis->cmd('LINDEX', 'esputnik:events', -1), event(1_099_999), 'to the last');
$redis->flush;

# depth: the event itself is not counted

my $deep = sub { '[' . event(1, '"a":' . '[' x $_[0] . ']' x $_[0]) . ']' };
accepted(post('/flat', $deep->(1)), 1, 'depth 1 of 1');
problem(post('/flat', $deep->(2)), 400, 'too_deep', 'depth 2 of 1', event => 0);
accepted(post('/deep', $deep->(200)), 1, 'depth 200 of 200');
problem(post('/deep', $deep->(201)), 400, 'too_deep', 'depth 201 of 200', event => 0);

# encodings

for my $encoding ('gzip', 'deflate', 'br', 'x-gzip', 'identity, gzip', 'nonsense') {
    problem(post('/hook', events(1), headers => ['Content-Encoding' => $encoding]),
            415, 'unsupported_encoding', "Content-Encoding: $encoding");
    is(post('/hook', '[]')->{status}, 200, 'the next request');
}
$redis->flush;
for my $encoding ('identity', 'Identity') {
    accepted(post('/hook', events(1), headers => ['Content-Encoding' => $encoding]),
             1, "Content-Encoding: $encoding");
}
is($redis->cmd('LLEN', 'esputnik:events'), 2, 'stored');

is(scalar($nginx->body_files), 0, 'no body went to disk');

finish();
