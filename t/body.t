# How a body may come: chunks of any size, in dribs and drabs, late, never.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis();
my $nginx = nginx(
    http => 'client_max_body_size 10m; large_client_header_buffers 4 1k;',
    vars => { URL => $redis->url, SHORT => ms(400), LONG => ms(600) },
    server => <<'END');
client_body_buffer_size 1k;
location /hook { esputnik_pass %%URL%%; }
location /slow { esputnik_pass %%URL%%; esputnik_body_timeout %%SHORT%%; }
location /pause { esputnik_pass %%URL%%; client_body_timeout %%SHORT%%; }
location /large { esputnik_pass %%URL%%; client_max_body_size 1k; }
location /fast { esputnik_pass %%URL%%; esputnik_body_timeout %%SHORT%%; client_body_timeout 60s; }
END

my $key = 'esputnik:events';
my $short = slow(0.4);
my $http = $nginx->http;

# chunks

my @ids = (1 .. 20);
my $body = events(@ids);
for my $size (1, 2, 3, 7, 64, 1000, 1023, 1024, 1025, 100_000) {
    $redis->flush;
    accepted($http->request(POST => '/hook', body => $body, chunked => $size),
             20, "chunks of $size");
    list_is($redis, $key, [map { event($_) } @ids], 'stored');
}

$http->send_raw("POST /hook HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                . "1;name=value\r\n[\r\n000001\r\n]\r\n0\r\nTrailer: x\r\n\r\n");
accepted($http->response, 0, 'chunk extensions, leading zeros, a trailer');

# a chunked body of no bytes is a body of no bytes
problem($http->request(POST => '/hook', body => '', chunked => 5), 400,
        'empty_body', 'an empty chunked body');
problem($http->request(POST => '/hook'), 400, 'empty_body', 'no body at all');
accepted($http->request(POST => '/hook', body => '[]'), 0, 'the connection goes on');

# byte by byte over the wire
$redis->flush;
my $bytes = Esputnik::Http->bytes(POST => '/hook', body => events(1));
for my $byte (split //, $bytes) {
    $http->send_raw($byte);
    sleep 0.0005;
}
accepted($http->response, 1, 'one byte a packet');

for my $byte (split //, Esputnik::Http->bytes(POST => '/hook', body => events(2),
                                              chunked => 3)) {
    $http->send_raw($byte);
    sleep 0.0005;
}
accepted($http->response, 1, 'one byte a packet, chunked');
list_is($redis, $key, [event(1), event(2)], 'stored');

# the body in one packet with the head of the next request
$redis->flush;
my $two = join '', map { Esputnik::Http->bytes(POST => '/hook', body => events($_)) }
                   1, 2;
for my $cut (length($two) / 2 - 30, length($two) / 2, length($two) / 2 + 30) {
    $http->send_raw(substr $two, 0, $cut);
    sleep 0.02;
    $http->send_raw(substr $two, $cut);
    is(join(' ', map { $http->response->{status} } 1, 2), '200 200',
       "two requests, cut at $cut");
}
is($redis->cmd('LLEN', $key), 6, 'all stored');

# a large body, with nginx' own body buffer at 1k: never a file
$redis->flush;
my $large = events(10_000 .. 19_999);
accepted($http->request(POST => '/hook', body => $large), 10_000,
         length($large) . ' bytes');
accepted($http->request(POST => '/hook', body => $large, chunked => 5000), 10_000,
         'in chunks');
is($redis->cmd('LLEN', $key), 20_000, 'stored');
is(scalar($nginx->body_files), 0, 'no body went to disk');

# Expect: 100-continue

$redis->flush;
$body = events(1);
$http->send_raw("POST /hook HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n"
                . 'Content-Length: ' . length($body) . "\r\n\r\n");
is($http->response(timeout => slow(3))->{status}, 100, '100 Continue');
$http->send_raw($body);
accepted($http->response, 1, 'and then the body');

$http->send_raw("POST /hook HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n"
                . "Transfer-Encoding: chunked\r\n\r\n");
is($http->response(timeout => slow(3))->{status}, 100, '100 Continue, chunked');
$http->send_raw(sprintf "%x\r\n%s\r\n0\r\n\r\n", length $body, $body);
accepted($http->response, 1, 'and then the body');
list_is($redis, $key, [event(1), event(1)], 'stored');

{
    my $gone = $nginx->http;
    $gone->send_raw("POST /hook HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n"
                    . "Content-Length: 100\r\n\r\n");
    is($gone->response(timeout => slow(3))->{status}, 100, '100 Continue');
    $gone->reset;
}

# malformed chunks are nginx' own 400

for my $bad ("zz\r\n[]\r\n0\r\n\r\n", "2\r\n[]x\r\n0\r\n\r\n",
             "fffffffffffffffff\r\n[]") {
    my $c = $nginx->http;
    $c->send_raw("POST /hook HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n$bad");
    is($c->response->{status}, 400, 'a malformed chunk');
    $c->close;
}

# half a body and then nothing: 408 by the whole body's time

$redis->flush;
my $waits = sub {
    my ($name, $uri, $sender) = @_;
    my $c = $nginx->http;
    my $start = time;
    $sender->($c, $uri);
    my $r = $c->response;
    my $took = time - $start;
    cmp_ok($took, '>', $short * 0.9, "$name: not before its time");
    cmp_ok($took, '<', $short + slow(0.5), "$name: not long after it");
    $c->close;
    return $r;
};

problem($waits->('half a body', '/fast', sub {
    $_[0]->send_raw("POST $_[1] HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n[{");
}), 408, 'body_timeout', 'half a body: 408');

problem($waits->('no body', '/fast', sub {
    $_[0]->send_raw("POST $_[1] HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n");
}), 408, 'body_timeout', 'no body: 408');

problem($waits->('half a chunk', '/fast', sub {
    $_[0]->send_raw("POST $_[1] HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                    . "50\r\n[{");
}), 408, 'body_timeout', 'half a chunk: 408');

# a dribbling sender never lets client_body_timeout pass, but is out of time
problem($waits->('dribbling', '/fast', sub {
    my ($c, $uri) = @_;
    $c->send_raw("POST $uri HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n[");
    my $end = time + $short;
    while (time < $end) {
        $c->send_raw(' ');
        sleep $short / 20;
    }
}), 408, 'body_timeout', 'dribbling: 408');

{
    my $c = $nginx->http;
    $c->send_raw("POST /pause HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n[{");
    my $r = $c->response;
    ok($r->{status} == 408 || ($r->{error} || '') eq 'closed',
       "nginx' own client_body_timeout still works");
    $c->close;
}

# a slow one within its time is fine, and the timer does not outlive the body
{
    my $c = $nginx->http;
    my $text = Esputnik::Http->bytes(POST => '/slow', body => events(1));
    $c->send_raw(substr $text, 0, -20);
    sleep $short / 2;
    $c->send_raw(substr $text, -20);
    accepted($c->response, 1, 'a slow sender within its time');
    sleep $short;
    accepted($c->request(POST => '/slow', body => events(2)), 1, 'and again, later');
}
list_is($redis, $key, [event(1), event(2)], 'only whole bodies are stored');

# senders that go away in the middle
for my $how ('close', 'reset') {
    for my $part ('', '[', substr(events(1), 0, -1)) {
        my $c = $nginx->http;
        $c->send_raw("POST /hook HTTP/1.1\r\nHost: t\r\nContent-Length: "
                     . length(events(1)) . "\r\n\r\n$part");
        sleep 0.01;
        $c->$how;
    }
}
sleep 0.1;
is($redis->cmd('LLEN', $key), 2, 'half a body is never stored');

# too large, while the sender goes on: it is let send, so that no reset takes the
# answer away from it
{
    my $c = $nginx->http;
    $c->send_raw("POST /large HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                 . "fffff\r\n" . 'x' x 500);
    sleep 0.05;
    $c->send_raw('x' x 900);    # all of it is read at once
    problem($c->response, 413, 'body_too_large', 'too large in the midst of a chunk');
    my $sent = 0;
    for (1 .. 5) {
        $sent += $c->send_raw('x' x 2000);
        sleep 0.02;
    }
    is($sent, 5, 'the rest is taken and dropped');
    $c->close;
}

# HTTP/1.0 and a body until the end of the connection is no body
accepted($nginx->post('/hook', events(3), version => '1.0'), 1, 'HTTP/1.0');

# after every kind of refusal the connection is where nginx would have it
$redis->flush;
my $c = $nginx->http;
for my $refusal (['bad JSON', 400, '/hook', body => '[x]'],
                 ['bad JSON in chunks', 400, '/hook', body => '[x]', chunked => 1],
                 ['large bad JSON', 400, '/hook', body => '[x' . ' ' x 500_000],
                 ['encoding', 415, '/hook', body => 'x' x 10_000,
                  headers => ['Content-Encoding' => 'gzip']],
                 ['encoding and chunks', 415, '/hook', body => 'x' x 10_000,
                  chunked => 999, headers => ['Content-Encoding' => 'gzip']]) {
    my ($name, $status, $uri, %o) = @$refusal;
    is($c->request(POST => $uri, %o)->{status}, $status, $name);
    accepted($c->request(POST => '/hook', body => events(7)), 1, "$name: next request");
}
is($redis->cmd('LLEN', $key), 5, 'all of these stored');

finish();
