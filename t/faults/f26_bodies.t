# F26: bodies in every shape: small buffers, chunks, HTTP/2 without a length,
# Expect: 100-continue, also when the client then goes away: what arrives as a
# whole is stored byte by byte.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;
use Esputnik::H2;

my $redis = lasting_redis();
my $scene = scene(redis => $redis, modes => ['plain', 'spool'],
                  each => 'client_body_buffer_size 1k; client_max_body_size 4m;',
                  http => 'server { listen 127.0.0.1:%%H2%% http2; client_max_body_size 4m;'
                      . ' location = /plain { esputnik_pass %%URL%%; esputnik_key plain; } }',
                  vars => { H2 => my $h2_port = Esputnik::Port::free_port() });
my $nginx = $scene->nginx;

# events with every kind of byte that JSON allows, of many sizes
my $odd = '"\u0000\u00e9\ud83d\ude00' . "\xc3\xa9\xf0\x9f\x98\x80\x7f" . '\\\\\"\/ \t"';
my %bodies = map {
    my $n = $_;
    ($n => [map { event($n * 1000 + $_, "\"odd\":$odd,\"n\":1e5,\"pad\":\"" . 'x' x ($_ * 7)
                        . '"') } 1 .. $n]);
} 1, 3, 40, 400;

my ($posts, $bytes) = (0, 0);

sub stored
{
    my ($key, $name, $events) = @_;
    my $list = $redis->list($key);
    $posts++;
    $bytes += length for @$events;
    ok("@$list" eq "@$events", $name)
        or diag(scalar(@$list), ' of ', scalar(@$events), ' events');
    $redis->cmd('DEL', $key);
}

for my $down (0, 1) {
    for my $uri ($down ? 'spool' : ('plain', 'spool')) {
        for my $n (sort { $a <=> $b } keys %bodies) {
            my $body = '[' . join(',', @{ $bodies{$n} }) . ']';
            my %how = (
                'with a length' => sub { $nginx->post("/$uri", $body) },
                'in chunks of 7' => sub { $nginx->post("/$uri", $body, chunked => 7) },
                'in chunks of 5000' => sub { $nginx->post("/$uri", $body, chunked => 5000) },
                'after Expect' => sub {
                    my $c = $nginx->http;
                    $c->send_raw("POST /$uri HTTP/1.1\r\nHost: x\r\nContent-Length: "
                                 . length($body) . "\r\nExpect: 100-continue\r\n\r\n");
                    my $r = $c->response;
                    return $r if $r->{status} != 100;
                    $c->send_raw($body);
                    return $c->response;
                },
                'in pieces' => sub {
                    my $c = $nginx->http;
                    my $all = Esputnik::Http->bytes(POST => "/$uri", body => $body);
                    my $step = 1 + int(length($all) / 50);
                    for (my $at = 0; $at < length $all; $at += $step) {
                        $c->send_raw(substr $all, $at, $step);
                        sleep 0.0005;
                    }
                    return $c->response;
                },
            );
            for my $name (sort keys %how) {
                $redis->kill9 if $down;
                my $r = $how{$name}->();
                is($r->{status}, 200, "$uri, $n events $name: 200") if $r->{status} != 200;
                if ($down) {
                    $redis->launch;
                    $scene->drained;
                }
                stored($uri, "$uri, $n events $name" . ($down ? ', through the spool' : ''),
                       $bodies{$n});
            }
        }
    }
}

# HTTP/2, in frames, without a length
for my $n (sort { $a <=> $b } keys %bodies) {
    my $body = '[' . join(',', @{ $bodies{$n} }) . ']';
    last if length $body > 60_000;    # the first window of the connection
    my $h2 = Esputnik::H2->connect($h2_port);
    my $stream = $h2->post('/plain');
    for (my $at = 0; $at < length $body; $at += 4000) {
        $h2->data($stream, substr($body, $at, 4000), $at + 4000 >= length $body);
    }
    is($h2->response($stream)->{status}, 200, "h2, $n events without a length: 200");
    stored('plain', "h2, $n events", $bodies{$n});
}

# asked to go on, and gone
for my $sent (0, 10) {
    for (1 .. 50) {
        my $c = $nginx->http;
        $c->send_raw("POST /plain HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
                     . "Expect: 100-continue\r\n\r\n" . '[' x $sent);
        $c->reset;
    }
}
is($nginx->post('/plain', events(1))->{status}, 200, 'after clients that went away: 200');
list_is($redis, 'plain', [event(1)], 'and nothing else is stored');
note("$posts POSTs, $bytes bytes of events compared");

finish();
