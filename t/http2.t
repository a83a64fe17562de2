# HTTP/2: bodies with and without a length, refusals, aborts.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::H2;

my $redis = redis();
my $nginx = nginx(listen => 'http2', vars => { URL => $redis->url, SHORT => ms(400) },
    server => <<'END');
client_body_buffer_size 1k;
client_max_body_size 4m;
location /hook { esputnik_pass %%URL%%; }
location /small { esputnik_pass %%URL%%; client_max_body_size 1k; }
location /slow { esputnik_pass %%URL%%; esputnik_body_timeout %%SHORT%%; }
END

my $base = 'http://127.0.0.1:' . $nginx->port;
my $key = 'esputnik:events';

# curl's answer: { status, body }
sub curl
{
    my (@args) = @_;
    my $body = $nginx->prefix . '/answer';
    unlink $body;
    open my $in, '-|', 'curl', '-s', '--http2-prior-knowledge', '--max-time',
        int(slow(10)), '-o', $body, '-w', '%{http_code} %{http_version} %{content_type}',
        @args or die "curl: $!\n";
    my ($status, $version, $type) = split ' ', scalar <$in>;
    close $in;
    is($version, '2', 'HTTP/2') if $status ne '000';
    my $text = '';
    if (open my $file, '<', $body) { local $/; $text = <$file> // '' }
    return { status => $status, body => $text,
             headers => { 'content-type' => $type } };
}

sub nghttp
{
    my ($file, @args) = @_;
    open my $in, '-|', 'nghttp', '-v', '--no-verify-peer', '-t', int(slow(10)) . 's',
        '-d', $file, @args or die "nghttp: $!\n";
    local $/;
    my $out = <$in>;
    close $in;
    my @status = $out =~ /recv.*:status: (\d+)/g;
    return @status;
}

my $small = $nginx->write('small.json', events(1, 2));
my $large = $nginx->write('large.json', events(10_000 .. 19_999));
my $bad = $nginx->write('bad.json', '[{"contactId":"x"}]');

is(curl("$base/hook")->{status}, 200, 'GET');
is(curl('-I', "$base/hook")->{status}, 200, 'HEAD');
problem(curl('-X', 'DELETE', "$base/hook"), 405, 'method_not_allowed', 'DELETE');

accepted(curl('--data-binary', "\@$small", "$base/hook"), 2, 'POST with a length');
list_is($redis, $key, [event(1), event(2)], 'stored');

# curl -T - cannot know the length and sends none
$redis->flush;
accepted(do {
    open my $save, '<&', \*STDIN;
    open STDIN, '<', $small;
    my $r = curl('-X', 'POST', '-T', '-', "$base/hook");
    open STDIN, '<&', $save;
    $r;
}, 2, 'POST without a length');
list_is($redis, $key, [event(1), event(2)], 'stored');

$redis->flush;
is_deeply([nghttp($small, '--no-content-length', "$base/hook")], [200],
          'nghttp, no length');
is_deeply([nghttp($large, '--no-content-length', "$base/hook")], [200],
          'nghttp, large, no length');
accepted(curl('--data-binary', "\@$large", "$base/hook"), 10_000, 'large, a length');
is($redis->cmd('LLEN', $key), 20_002, 'stored');
is_deeply([nghttp($small, '-m', 20, "$base/hook")], [(200) x 20], 'twenty streams at once');
is($redis->cmd('LLEN', $key), 20_042, 'stored');

problem(curl('--data-binary', "\@$bad", "$base/hook"), 400, 'wrong_type', 'a bad payload',
        field => 'contactId', event => 0);
problem(curl('-X', 'POST', '-H', 'Content-Length: 0', "$base/hook"), 400, 'empty_body',
        'no body');
is_deeply([nghttp($bad, '-m', 5, "$base/hook")], [(400) x 5], 'bad streams');
is_deeply([nghttp($large, "$base/small")], [413], 'too large');
is_deeply([nghttp($small, '-H', 'content-encoding: gzip', "$base/hook")], [415],
          'an encoding');
is(scalar($nginx->body_files), 0, 'no body went to disk');

# half a body and then nothing; other streams of the connection go on

my $h2 = Esputnik::H2->connect($nginx->port);
my $start = time;
my $half = $h2->post('/slow', ['content-length', '100']);
$h2->data($half, '[');
my $open = $h2->post('/slow');
$h2->data($open, '[');
my $whole = $h2->post('/hook');
$h2->data($whole, events(1), 1);
accepted($h2->response($whole), 1, 'a whole one beside two halves');
for my $stream ($half, $open) {
    my $r = $h2->response($stream);
    is($r->{status}, 408, 'half a body: 408');
    like($r->{body}, qr/urn:esputnik:problem:body-timeout/, 'and says why');
    cmp_ok(time - $start, '<', slow(0.9), 'in its time');
}
my $dribble = $h2->post('/slow');
$start = time;
while (time < $start + slow(0.4)) {
    $h2->data($dribble, ' ');
    sleep 0.02;
}
is($h2->response($dribble)->{status}, 408, 'dribbling: 408');
cmp_ok(time - $start, '<', slow(0.9), 'in its time');

# where the client's window is shut, an answer waits; what still comes of the body is
# not kept anywhere
for my $case (['/small', 413, 'body-too-large'], ['/slow', 408, 'body-timeout']) {
    my ($uri, $status, $reason) = @$case;
    my $narrow = Esputnik::H2->connect($nginx->port, window => 0);
    my $stream = $narrow->post($uri);
    $narrow->data($stream, 'x' x 1000);
    sleep slow(0.5);
    for (1 .. 4) {
        $narrow->data($stream, 'x' x 10_000);
        sleep 0.02;
    }
    $narrow->widen($stream, 10_000);
    my $r = $narrow->response($stream);
    is($r->{status}, $status, "a refusal that has to wait: $status");
    like($r->{body}, qr/urn:esputnik:problem:$reason/, 'it comes as a whole');
    $narrow->close;
}
is(scalar($nginx->body_files), 0, 'no body went to disk');

# one byte a frame
$redis->flush;
my $bytewise = $h2->post('/hook');
$h2->data($bytewise, $_) for split //, events(1);
$h2->data($bytewise, '', 1);
accepted($h2->response($bytewise), 1, 'one byte a frame');
list_is($redis, $key, [event(1)], 'stored');

# streams that are given up in every state, and one that is not behind them

$redis->flush;
for my $body ('', '[', events(2)) {
    my $gone = $h2->post('/hook');
    $h2->data($gone, $body, $body eq events(2));
    $h2->rst($gone);
    my $next = $h2->post('/hook');
    $h2->data($next, events(1), 1);
    accepted($h2->response($next), 1, "behind a stream given up");
}
is(scalar(grep { $_ eq event(1) } @{ $redis->list($key) }), 3, 'all of them stored');
cmp_ok(scalar(grep { $_ eq event(2) } @{ $redis->list($key) }), '<=', 1,
       'the one given up is there once at most');
$h2->close;

# streams that are given up in the middle, then a good one
$redis->flush;
for (1 .. 3) {
    system('curl', '-s', '--http2-prior-knowledge', '--max-time', '0.2', '-o',
           '/dev/null', '--limit-rate', '100k', '--data-binary', "\@$large",
           "$base/hook");
}
is($redis->cmd('EXISTS', $key), 0, 'half bodies leave nothing');
accepted(curl('--data-binary', "\@$small", "$base/hook"), 2, 'a good one');

finish();
