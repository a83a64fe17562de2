# nginx itself may end a request in the midst of its body: a malformed chunk, a
# pause, a broken stream.  What the module has set up for that body must then
# answer nobody, though the request lives on: lingering, or elsewhere by
# error_page or post_action.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::H2;
use Esputnik::Port;

use IO::Select;
use IO::Socket::INET;

# takes connections, and answers when it is told to
my $elsewhere = IO::Socket::INET->new(Listen => 100, LocalAddr => '127.0.0.1')
    or die "listen: $!\n";

my $redis = redis();
my $nginx = nginx(
    vars => { URL => $redis->url, SHORT => ms(300), BACKEND => $elsewhere->sockport,
              H2 => my $h2_port = Esputnik::Port::free_port() },
    http => <<'END', server => <<'END');
lingering_timeout 60s;
client_body_buffer_size 1k;
client_max_body_size 2k;
esputnik_body_timeout %%SHORT%%;
server {
    listen 127.0.0.1:%%H2%% http2;
    location /hook { esputnik_pass %%URL%%; }
    location /page { esputnik_pass %%URL%%; error_page 400 /elsewhere; }
    location /elsewhere { proxy_pass http://127.0.0.1:%%BACKEND%%; }
}
END
location /hook { esputnik_pass %%URL%%; }
location /always { esputnik_pass %%URL%%; lingering_close always; }
location /page { esputnik_pass %%URL%%; error_page 400 /elsewhere; }
location /name { esputnik_pass %%URL%%; error_page 400 = @name; }
location @name { esputnik_pass %%URL%%; }
location /pause { esputnik_pass %%URL%%; client_body_timeout 100ms; }
location /post { esputnik_pass %%URL%%; client_body_timeout 100ms; post_action /elsewhere; }
location /elsewhere { proxy_pass http://127.0.0.1:%%BACKEND%%; }
END

my $over = slow(0.3) + 0.3;    # esputnik_body_timeout has passed

# A request that came to the other location, or undef.
sub taken
{
    my ($wait) = @_;
    IO::Select->new($elsewhere)->can_read($wait // slow(3)) or return undef;
    return $elsewhere->accept;
}

sub answer
{
    my ($c) = @_;
    sysread $c, my $head, 65536;
    syswrite $c, "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nelsewhere";
    close $c;
}

# A client that has sent a good chunk and is waited for.
sub begun
{
    my ($uri) = @_;
    my $c = $nginx->http;
    $c->send_raw("POST $uri HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[{\r\n");
    sleep 0.05;
    return $c;
}

my $bad = "zz\r\n";

# lingering

my @open;
for my $case (['/always', $bad, 'lingering always'],
              ['/hook', $bad, 'not lingering'],
              ['/hook', $bad . 'x' x 200_000, 'with more to come']) {
    my ($uri, $bytes, $name) = @$case;
    my $c = begun($uri);
    $c->send_raw($bytes);
    is($c->response->{status}, 400, "a malformed chunk, $name: nginx' 400");
    push @open, $c;
}

# above the limit and malformed at once: 413 is posted, nginx is first
{
    my $c = begun('/hook');
    $c->send_raw(sprintf("%x\r\n%s\r\n", 5000, 'x' x 5000) . $bad . 'x' x 5000);
    like($c->response->{status}, qr/\A4(?:00|13)\z/, 'too much and malformed');
    push @open, $c;
}
sleep $over;
$_->closed_within(0.01) for @open;
ok(!(grep { length $_->{buffer} } @open), 'no second answer');
$_->close for @open;

# elsewhere

{
    my $c = begun('/page');
    $c->send_raw($bad);
    my $there = taken();
    ok($there, 'error_page: the request is elsewhere');
    sleep $over;
    answer($there);
    my $r = $c->response;
    is("$r->{status} $r->{body}", '400 elsewhere', 'and is answered from there');
    $c->close;
}

{
    my $c = begun('/name');
    $c->send_raw($bad);
    problem($c->response, 400, 'empty_body', 'error_page to a second pass: its answer');
    sleep $over;
    $c->closed_within(0.01);
    is($c->{buffer}, '', 'and no other');
    $c->close;
}

# a pause

{
    my $c = begun('/pause');
    ok($c->closed_within(slow(1)), "nginx' client_body_timeout is first");
    my $post = begun('/post');
    my $there = taken();
    ok($there, 'post_action: the request is elsewhere');
    sleep $over;
    answer($there);
    $post->close;
    sleep $over;
}

# HTTP/2: given up, more than was declared, in the midst of a body

{
    my $h2 = Esputnik::H2->connect($h2_port);
    for my $uri ('/hook', '/page') {
        my $gone = $h2->post($uri);
        $h2->data($gone, '[{');
        sleep 0.05;
        $h2->rst($gone);
    }

    my $long = $h2->post('/hook', ['content-length', '3']);
    $h2->data($long, '[{');
    sleep 0.05;
    $h2->data($long, '}]]]');
    is($h2->response($long)->{status}, 400, "more than was declared: nginx' 400");

    my $page = $h2->post('/page', ['content-length', '3']);
    $h2->data($page, '[{');
    sleep 0.05;
    $h2->data($page, '}]]]');
    my $there = taken();
    ok($there, 'error_page: the request is elsewhere');
    sleep $over;
    answer($there);
    my $r = $h2->response($page);
    is("$r->{status} $r->{body}", '400 elsewhere', 'and is answered from there');

    my $next = $h2->post('/hook');
    $h2->data($next, events(1), 1);
    accepted($h2->response($next), 1, 'the connection goes on');
    $h2->close;
}

list_is($redis, 'esputnik:events', [event(1)], 'only a whole body is stored');
ok(!defined taken(0), 'nothing else went elsewhere');

finish();
