# What a body costs the worker does not grow with more than its length, however
# it comes: in one piece, in chunks or frames of a byte, a byte a packet.  The
# bodies are of one long string: who looked at a piece as soon as it came would
# look at all of the string each time.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::H2;
use Esputnik::Port;
use Time::HiRes qw(clock_gettime CLOCK_PROCESS_CPUTIME_ID);

my @sizes = (4 * 1024, 32 * 1024);
my $times = $sizes[1] / $sizes[0];    # what is quadratic has the square of it
my $rounds = 5;

my $redis = redis();
my $nginx = nginx(
    vars => { URL => $redis->url, H2 => my $h2_port = Esputnik::Port::free_port() },
    level => 'warn',
    http => 'server { listen 127.0.0.1:%%H2%% http2; location /hook { esputnik_pass %%URL%%; } }',
    server => 'location /hook { esputnik_pass %%URL%%; }');
my ($worker) = $nginx->worker_pids;

# CPU time of the worker, in ms: the clock that clock_getcpuclockid() gives (of
# a number: perl complements the characters of a string)
my $clock = do { use integer; ~($worker + 0) << 3 | 2 };
sub cpu { return 1e3 * clock_gettime($clock) }
{
    # which stands still while the test works
    my $start = cpu();
    my $own = clock_gettime(CLOCK_PROCESS_CPUTIME_ID);
    1 while clock_gettime(CLOCK_PROCESS_CPUTIME_ID) < $own + 0.1;
    cmp_ok($start, '>', 0, 'the clock of the worker');
    cmp_ok(cpu() - $start, '<', 50, 'and not of the test');
}

sub body_of
{
    my ($size) = @_;
    my $fill = $size - length '[' . event(1, '"a":""') . ']';
    return '[' . event(1, '"a":"' . 'x' x $fill . '"') . ']';
}

# Sends these pieces, each as a packet of its own.
sub packets
{
    my ($head, @pieces) = @_;
    my $c = $nginx->http;
    $c->send_raw($head);
    $c->send_raw($_) for @pieces;
    my $r = $c->response;
    $c->close;
    return $r;
}

my $head = "POST /hook HTTP/1.1\r\nHost: t\r\n";
my $chunked = "${head}Transfer-Encoding: chunked\r\n\r\n";

my @ways = (
    'in one piece' => sub { $nginx->post('/hook', $_[0]) },
    'in chunks of a byte' => sub { $nginx->post('/hook', $_[0], chunked => 1) },
    'a byte a packet' => sub {
        packets($head . 'Content-Length: ' . length($_[0]) . "\r\n\r\n", split //, $_[0]);
    },
    'a chunk of a byte a packet' => sub {
        packets($chunked, (map { "1\r\n$_\r\n" } split //, $_[0]), "0\r\n\r\n");
    },
    'in chunks of a byte, a byte a packet' => sub {
        packets($chunked, split //, join('', map { "1\r\n$_\r\n" } split //, $_[0])
                . "0\r\n\r\n");
    },
    'in frames of a byte' => sub {
        my $h2 = Esputnik::H2->connect($h2_port);
        my $stream = $h2->post('/hook');
        $h2->data($stream, $_) for split //, $_[0];
        $h2->data($stream, '', 1);
        my $r = $h2->response($stream);
        $h2->close;
        return $r;
    },
);

while (my ($name, $send) = splice @ways, 0, 2) {
    my @ms;
    for my $size (@sizes) {
        my $body = body_of($size);
        my $taken = 0;
        my @took;
        for (1 .. $rounds) {
            my $start = cpu();
            my $r = $send->($body);
            push @took, cpu() - $start;
            $taken++ if "$r->{status} $r->{body}" eq '200 {"accepted":1}';
        }
        is($taken, $rounds, "$name: $size bytes are taken");

        # where the worker had to wait for a core, bytes came together and cost
        # little: no figure of the short body
        @took = sort { $a <=> $b } @took;
        push @ms, $size == $sizes[0] ? $took[$rounds / 2] : $took[0];
    }
    note(sprintf '%s: %.2f ms of CPU for %d bytes, %.2f for %d, %.1f times as much; %.0f ns a byte',
         $name, $ms[0], $sizes[0], $ms[1], $sizes[1], $ms[1] / $ms[0], 1e6 * $ms[1] / $sizes[1]);
    cmp_ok($ms[1], '<', 3 * $times * $ms[0], "$name: grows with the length only");
}
is($redis->cmd('LLEN', 'esputnik:events'), 6 * @sizes * $rounds, 'all are stored');

finish();
