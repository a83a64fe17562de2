# Replies of Redis that should not be: garbage, too many, too large, of the
# wrong type. Never a wrong 200, never a shifted answer, never a stuck link.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

# sends, instead of its reply, the bytes that the mode gives in hexadecimal
my $fake = fake_redis(
    connected => sub {
        my ($c) = @_;
        $c->send(pack 'H*', $1) if $c->mode =~ /\Aconnected ([0-9a-f]*)/;
        if ($c->mode =~ /close/) { $c->close }
    },
    on => {
        RPUSH => sub {
            my ($c, $words) = @_;
            my $mode = $c->mode;
            return $c->send($c->push_reply($words)) if $mode eq '' || $mode =~ /connected/;
            my ($hex) = $mode =~ /\Asend ([0-9a-f]*)/;
            $c->send(pack 'H*', $hex) if defined $hex;
            $c->reset if $mode =~ /reset/;
            $c->close if $mode =~ /close/;
            if ($mode =~ /\Astream (\d+) (.*)/s) {
                my ($size, $head) = ($1, pack 'H*', $2);
                $c->send($head) or return;
                my $sent = 0;
                while ($sent < $size) {
                    $c->send('x' x 65536) or return;
                    $sent += 65536;
                }
            }
        },
    });
my $redis = redis();
my $split = proxy($redis->port, split => 1);

# Many targets, one a case: each has a link of its own, so that no case waits
# for the pause that the one before has earned.
my $targets = 60;
my $nginx = nginx(
    vars => { FAKE => $fake->port, SPLIT => $split->url, LIMIT => ms(500) },
    http => join('', map {
        "esputnik_redis fake$_ { server 127.0.0.1:%%FAKE%%; timeout %%LIMIT%%; }\n"
    } 1 .. $targets),
    server => join('', 'location /split { esputnik_pass %%SPLIT%%; }', map {
        "location = /fake$_ { esputnik_pass fake$_; }\n"
    } 1 .. $targets));

sub send_bytes { $fake->mode('send ' . unpack('H*', $_[0]) . ($_[1] || '')) }

sub rss
{
    my ($worker) = $nginx->worker_pids;
    open my $in, '<', "/proc/$worker/status" or return 0;
    my ($kb) = join('', <$in>) =~ /VmRSS:\s+(\d+) kB/;
    return $kb;
}

my $http = $nginx->http;
my $target = 1;

sub post { return $http->request(POST => "/fake$target", body => events(1)) }

# The end of a case: what it did to its link is over soon; then the next one.
sub back_to_good
{
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $fake->mode('');
    ok(wait_for(sub { post()->{status} == 200 }, slow(1.5), 0.02),
       "$name: 200 again on a new connection");
    $target++;
    post();
}

back_to_good('at first');
my $before = rss();

my %garbage = (
    'an HTTP answer' => "HTTP/1.1 400 Bad Request\r\n\r\n",
    'a TLS alert' => "\x15\x03\x01\x00\x02\x02\x46",
    'no number' => ":abc\r\n",
    'an empty number' => ":\r\n",
    'a length below -1' => "\$-5\r\n",
    'a count below -1' => "*-2\r\n",
    'NULs' => "\0\0\0\0\r\n",
    'a number beyond 64 bits' => ":9223372036854775808\r\n",
    'a length beyond 64 bits' => "\$99999999999999999999\r\n",
    'two billion elements' => "*2147483647\r\n",
    'a string of 512 MB' => "\$536870911\r\n",
    'nesting' => "*1\r\n" x 20 . ":1\r\n",
    'a RESP3 map' => "%1\r\n+a\r\n:1\r\n",
    'an unknown type' => "?1\r\n",
    'an empty line' => "\r\n",
);
for my $name (sort keys %garbage) {
    my $connections = $fake->connections;
    send_bytes($garbage{$name});
    problem(post(), 503, 'unavailable',
            "$name: 503");
    back_to_good($name);
    cmp_ok($fake->connections, '>', $connections, "$name: the link was closed");
}

# an endless line, an endless string: closed at the bound
for my $head ('+', '-', "\$100000000\r\n", ':') {
    my $name = "endless $head";
    $name =~ s/\s+//g;
    $fake->mode("stream 20000000 " . unpack 'H*', $head);
    problem(post(), 503, 'unavailable',
            "$name: 503");
    back_to_good($name);
}
my $grown = rss() - $before;
cmp_ok($grown, '<', 1024, "the worker has grown by $grown kB")
    unless Esputnik::Env::asan() || Esputnik::Env::valgrind();

# wrong types
my %type = ('+OK' => "+OK\r\n", '$2' => "\$2\r\nab\r\n", 'nil' => "\$-1\r\n",
            'nil array' => "*-1\r\n", ':0' => ":0\r\n", ':-1' => ":-1\r\n",
            'an array' => "*1\r\n:1\r\n", 'QUEUED' => "+QUEUED\r\n");
for my $name (sort keys %type) {
    send_bytes($type{$name});
    isnt(post()->{status}, 200,
         "$name to a push is no 200");
    back_to_good($name);
}

# a reply cut off
for my $end ('close', 'reset') {
    for my $part ('', ':', ':1', ":1\r") {
        my $show = $part =~ s/\r/\\r/r;
        send_bytes($part, " $end");
        problem(post(), 503, 'unavailable',
                "'$show' and $end: 503");
        back_to_good("'$show' and $end");
    }
}

# a reply that stops in the middle ends with the deadline
send_bytes(':1');
my $r = post();
is($r->{status}, 503, 'half a reply: 503');
cmp_ok($r->{time}, '<', slow(1), 'in its time');
back_to_good('half a reply');

# replies that nobody waits for: no answer is ever shifted
for my $extra (":1\r\n:1\r\n", ":1\r\n-ERR surplus\r\n", ":1\r\n+OK\r\n:7\r\n") {
    send_bytes($extra);
    my $connections = $fake->connections;
    is(post()->{status}, 200,
       'a reply and one too many');
    $fake->mode('send ' . unpack 'H*', "-ERR no\r\n");
    my %status;
    ok(wait_for(sub { $status{ post()->{status} }++; $fake->connections > $connections },
                slow(1.5), 0.02), 'the next ones go over a new connection');
    is(join(' ', keys %status), 503, 'and get their own answers');
    back_to_good('a surplus reply');
}

# what Redis says before it is asked
for my $hello ('-ERR max number of clients reached', '-DENIED Redis is running in protected mode',
               ':1', '+OK') {
    $fake->mode('connected ' . unpack('H*', "$hello\r\n") . ' close');
    # the link in use goes first
    my $mark = $nginx->mark;
    $fake->mode('send reset');
    post();
    $fake->mode('connected ' . unpack('H*', "$hello\r\n") . ' close');
    wait_for(sub { sleep 0.05; post();
                   $hello !~ /^-/ || $nginx->log_lines(qr/\Q@{[substr $hello, 1, 12]}\E/, $mark) },
             slow(1.5));
    isnt(post()->{status}, 200,
         "'$hello' before anything was asked is no 200");
    ok(scalar($nginx->log_lines(qr/\Q@{[substr $hello, 1, 12]}\E/, $mark)), 'and is in the log')
        if $hello =~ /^-/;
    back_to_good("'$hello'");
}

# byte by byte
accepted($http->request(POST => '/split', body => events($_)), 1, 'split replies')
    for 1 .. 5;
list_is($redis, 'esputnik:events', [map { event($_) } 1 .. 5], 'stored');

# cut after the n-th reply of a pipeline: those before are 200, the others not
$split->stop;
my $cut = proxy($redis->port);
$nginx->configure(vars => { %{ $nginx->{o}{vars} }, SPLIT => $cut->url });
ok($nginx->reload, 'reload');
for my $then ('fin', 'rst') {
    for my $n (0, 1, 3, 5) {
        $redis->flush;
        $cut->rules;
        wait_for(sub { $nginx->post('/split', events(999))->{status} == 200 }, slow(2), 0.02);
        $cut->rules(replies => $n, then => $then, arm => '"contactId":1,');
        my @c = map { $nginx->http } 1 .. 5;
        $redis->freeze;   # so that all five are under way together
        for my $i (0 .. 4) {
            $c[$i]->send_raw(Esputnik::Http->bytes(POST => '/split', body => events($i + 1)));
            sleep 0.01;
        }
        sleep slow(0.02);
        $redis->thaw;
        my @status = map { $_->response->{status} } @c;
        my $ok = grep { $_ == 200 } @status;
        is($ok, $n, "$then after $n replies: as many 200");
        my %there = map { $_ => 1 } @{ $redis->list('esputnik:events') };
        is(scalar(grep { $status[$_] == 200 && !$there{ event($_ + 1) } } 0 .. 4), 0,
           'and these are stored');
    }
}

finish();
