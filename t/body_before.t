# Another module has the body read before: mirror, a firewall.  It is within
# client_max_body_size there, too, for whoever reads it in a location with a
# pass.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::H2;
use Esputnik::Port;

my $redis = redis();
my $nginx = nginx(
    vars => { URL => $redis->url, BACK => Esputnik::Port::free_port(),
              H2 => my $h2_port = Esputnik::Port::free_port() },
    files => { token => "secret\n" },
    http => <<'END', server => <<'END');
client_body_buffer_size 1k;
client_max_body_size 4k;
server {
    listen 127.0.0.1:%%H2%% http2;
    location /hook { esputnik_pass %%URL%%; mirror /copy; }
    location = /copy { esputnik_pass %%URL%%; esputnik_key copy; }
}
server {
    listen 127.0.0.1:%%BACK%%;
    location / { esputnik_pass %%URL%%; esputnik_key proxied; client_max_body_size 0; }
}
END
location /hook { esputnik_pass %%URL%%; mirror /copy; }
location /any { esputnik_pass %%URL%%; mirror /copy_any; client_max_body_size 0; }
location /token {
    esputnik_pass %%URL%%;
    esputnik_token $http_x_t file=%%PREFIX%%/token;
    mirror /copy;
}
location /unread { esputnik_pass %%URL%%; mirror /copy; mirror_request_body off; }
location = /copy { esputnik_pass %%URL%%; esputnik_key copy; }
location = /copy_any { esputnik_pass %%URL%%; esputnik_key copy; client_max_body_size 0; }

location /if {
    esputnik_pass %%URL%%;
    if ($arg_to = proxy) { proxy_pass http://127.0.0.1:%%BACK%%; }
}
location /limit {
    esputnik_pass %%URL%%;
    client_max_body_size 3k;
    limit_except GET { proxy_pass http://127.0.0.1:%%BACK%%; }
    location /limit/nested { proxy_pass http://127.0.0.1:%%BACK%%; }
}
END

# A sound body of so many bytes.
sub body_of
{
    my ($size) = @_;
    my $fill = $size - length '[' . event(1, '"a":""') . ']';
    return '[' . event(1, '"a":"' . 'x' x $fill . '"') . ']';
}

my %how = ('with a length' => 0, 'in chunks of 1,000' => 1000, 'in chunks of 7' => 7,
           'in one chunk' => 1_000_000);

sub is_413
{
    my ($r, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($r->{status}, 413, "$name: 413");
}

sub too_large
{
    my ($r, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return problem($r, 413, 'body_too_large', "$name: 413");
}

for my $name (sort keys %how) {
    my $chunked = $how{$name};
    $redis->flush;
    accepted($nginx->post('/hook', body_of(4096), chunked => $chunked), 1,
             "mirror, as much as is allowed $name");
    ok(wait_for(sub { $redis->cmd('LLEN', 'copy') == 1 }, slow(3)), 'and is mirrored');
    list_is($redis, 'copy', $redis->list('esputnik:events'), 'byte by byte');
    $redis->flush;
    my $mark = $nginx->mark;
    too_large($nginx->post('/hook', body_of(4097), chunked => $chunked), "one byte more $name");
    too_large($nginx->post('/hook', body_of(1_000_000), chunked => $chunked), "far more $name");
    ok(wait_for(sub { 2 == $nginx->log_lines(qr/\[error\].*client intended to send too large/,
                                             $mark) }, slow(1)), "nginx' words in the log");
    too_large($nginx->post('/unread', body_of(4097), chunked => $chunked),
              "a mirror without bodies $name");
    is($redis->cmd('DBSIZE'), 0, "nothing is stored or mirrored $name");
}

# as without a mirror, a wrong token comes first; and what is no POST is nginx'
# own affair
for my $name (sort keys %how) {
    my @o = (body => body_of(4097), chunked => $how{$name});
    problem($nginx->request(POST => '/token', @o), 401, 'unauthorized', "no token $name");
    my $r = $nginx->request(GET => '/hook', @o);
    is_413($r, "GET $name");
    like($r->{headers}{'content-type'}, qr/html/, "in nginx' words");
}

# what is not limited is not
for my $name (sort keys %how) {
    $redis->flush;
    accepted($nginx->post('/any', body_of(500_000), chunked => $how{$name}), 1,
             "mirror, no limit $name");
}

# `if` and limit_except take another handler, but not another limit
for my $case (['/if?to=proxy', 4096], ['/limit', 3072], ['/limit/nested', 3072]) {
    my ($uri, $limit) = @$case;
    for my $name (sort keys %how) {
        $redis->flush;
        accepted($nginx->post($uri, body_of($limit), chunked => $how{$name}), 1,
                 "$uri, as much as is allowed $name");
        is($redis->cmd('LLEN', 'proxied'), 1, 'and went through the proxy');
        is_413($nginx->post($uri, body_of($limit + 1), chunked => $how{$name}),
               "$uri, one byte more $name");
    }
}
too_large($nginx->post('/if', body_of(4097)), "and the module's own");

# HTTP/2, in frames of 1,000 bytes

for my $length (0, 1) {
    my $how = $length ? 'with a length' : 'without one';
    my $send = sub {
        my ($size) = @_;
        my $h2 = Esputnik::H2->connect($h2_port);
        my $body = body_of($size);
        my $stream = $h2->post('/hook', $length ? ['content-length', $size] : ());
        for (my $at = 0; $at < $size; $at += 1000) {
            $h2->data($stream, substr($body, $at, 1000), $at + 1000 >= $size);
        }
        return $h2->response($stream);
    };
    $redis->flush;
    accepted($send->(4096), 1, "HTTP/2, as much as is allowed $how");
    ok(wait_for(sub { $redis->cmd('LLEN', 'copy') == 1 }, slow(3)), 'and is mirrored');
    $redis->flush;
    for my $size (4097, 50_000) {
        my $r = $send->($size);
        is_413($r, "HTTP/2, $size bytes $how");
        like($r->{body}, qr/urn:esputnik:problem:body-too-large/, 'and says why');
    }
    is($redis->cmd('DBSIZE'), 0, "nothing is stored or mirrored $how");
}

finish();
