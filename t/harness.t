# The harness itself, on a plain nginx: a test tool that cannot fail proves
# nothing.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use Esputnik::Dns;
use IO::Socket::INET;

my $nginx = nginx(module => 0, level => 'debug', workers => 2, server => <<'END');
location / { return 200 "hello\n"; }
location /body { proxy_pass http://127.0.0.1:%%PORT%%/; }
END

# HTTP

my $http = $nginx->http;
for (1 .. 2) {
    my $r = $http->request(GET => '/');
    is("$r->{status} $r->{body}", "200 hello\n", "keep-alive request $_");
}
is($http->request('HEAD', '/')->{body}, '', 'HEAD has no body');
is($http->request(POST => '/body', body => 'x' x 100, chunked => 7)->{status}, 200,
   'a chunked request');
$http->send_raw(Esputnik::Http->bytes(GET => '/') x 3);
is(join(' ', map { $http->response->{status} } 1 .. 3), '200 200 200', 'pipelined');
is($http->response(timeout => 0.1)->{error}, 'timeout', 'no surplus response');
ok(!$http->closed_within(0.1), 'the connection is open');
$http->send_raw("nonsense\r\n\r\n");
is($http->response->{status}, 400, 'a bad request');
ok($http->closed_within(2), 'closes the connection');
$http->close;

is(scalar(my @pids = $nginx->worker_pids), 2, 'two workers');
ok($nginx->reload, 'reload');
is($nginx->get('/')->{status}, 200, 'after the reload');

# Redis

my $redis = redis(args => ['--appendonly', 'yes', '--appendfsync', 'always']);
is($redis->cmd('RPUSH', 'k', "a\r\nb", ''), 2, 'a reply');
list_is($redis, 'k', ["a\r\nb", ''], 'binary values');
is($redis->cmd('GET', 'none'), undef, 'nil');
like($redis->cmd('INCR', 'k'), qr/\AWRONGTYPE/, 'an error');
$redis->restart;
is($redis->cmd('LLEN', 'k'), 2, 'data survive a kill');
is(Esputnik::Redis->start(unix => 1)->cmd('PING'), 'PONG', 'over a unix socket');
is($redis->cmd('INFO', 'server') =~ /^valkey_version:/m ? 'valkey' : 'redis',
   $ENV{TEST_REDIS} || 'redis', 'of the kind that is asked for');

# FakeRedis

my $fake = fake_redis(on => {
    RPUSH => sub {
        my ($c, $words) = @_;
        return $c->send("-LOADING later\r\n") if $c->mode eq 'loading';
        return $c->send_split($c->push_reply($words)) if $c->seen('RPUSH') < 3;
        $c->reset;
    },
});

my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $fake->port);
my $client = Esputnik::Resp->new($socket);
my $ask = sub {
    $client->send(Esputnik::Resp::encode_command(@_));
    my ($ok, $reply) = $client->read_reply(time + slow(2));
    return $ok ? "$reply" : 'nothing';
};
is($ask->(RPUSH => 'k', 'a', 'b'), 2, 'fake push, split');
$fake->mode('loading');
is($ask->(RPUSH => 'k', 'a'), 'LOADING later', 'another mode');
$fake->mode('');
is($ask->(RPUSH => 'k', 'c'), 'nothing', 'reset');
is_deeply([$fake->commands('RPUSH')],
          [[1, 'RPUSH', 'k', 'a', 'b'], [1, 'RPUSH', 'k', 'a'],
           [1, 'RPUSH', 'k', 'c']], 'what was received');
is($fake->connections, 1, 'one connection');

my $deaf = fake_redis(accept => 0);
my $start = time;
ok(!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $deaf->port,
                          Timeout => 0.3), 'a connect that never completes');
cmp_ok(time - $start, '>', 0.25, 'is not refused but waits');

# Proxy

my $proxy = proxy($redis->port, replies => 2, then => 'rst', split => 1);
my $through = Esputnik::Resp->new(
    IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $proxy->port));
my @replies;
for (1 .. 3) {
    $through->send(Esputnik::Resp::encode_command('RPUSH', 'p', $_));
    my ($ok, $reply) = $through->read_reply(time + slow(2));
    push @replies, $ok ? $reply : 'cut';
}
is("@replies", '1 2 cut', 'cut after two replies');
is($proxy->connections, 1, 'one connection');

# Dns

my $dns = Esputnik::Dns->start('redis.test' => '127.0.0.1');
my $server = nginx(module => 0, vars => { DNS => $dns->port }, server => <<'END');
resolver 127.0.0.1:%%DNS%% ipv6=off;
location = /hello { return 200 "by name\n"; }
location / { set $host_name $arg_name; proxy_pass http://$host_name:%%PORT%%/hello; }
END
is($server->get('/?name=redis.test')->{body}, "by name\n", 'a name that is known');
is($server->get('/?name=other.test')->{status}, 502, 'a name that is not');
is_deeply([$dns->queries], ['redis.test', 'other.test'], 'what was asked');

# The oracle of the load tests finds what it is there to find

my $oracle = load(port => $nginx->port, uri => '/', senders => 1, events => 2);
wait_for(sub { $oracle->answers >= 5 }, slow(5));
$oracle->stop;
my @sent = map { Esputnik::Load::event(1, $_) } 1 .. 2 * $oracle->answers;
my $verdict = sub { my $r = $oracle->compare([@_]); join ' ', map { "$_=$r->{$_}" }
                    grep { $r->{$_} } qw(lost duplicates disorder torn refused_stored) };
is($verdict->(@sent), '', 'all there');
is($verdict->(@sent[2 .. $#sent]), 'lost=2', 'a POST lost');
is($verdict->(@sent[1 .. $#sent]), 'lost=1 torn=1', 'half a POST lost');
is($verdict->(@sent, $sent[0]), 'duplicates=1', 'a duplicate');
is($verdict->(@sent[2, 3, 0, 1], @sent[4 .. $#sent]), 'disorder=2', 'out of order');

# The final look finds what it is there to find

my $loud = Esputnik::Nginx->new(module => 0);
$loud->write('error.log', "2023/01/01 [alert] 1#1: open socket #3 left\n[error] x\n");
is_deeply([$loud->complaints], ['2023/01/01 [alert] 1#1: open socket #3 left'],
          'an alert is a complaint, an error is not');
$loud->allow(qr/open socket/);
is_deeply([$loud->complaints], [], 'unless the test allows it');

server: {
    my $bad = Esputnik::Nginx->new(module => 0, server => 'nonsense;');
    my ($status, $said) = $bad->test;
    isnt($status, 0, 'nginx -t refuses nonsense');
    like($said, qr/\[emerg\].*nonsense.*nginx\.conf:\d+/, 'and says where');
}

finish();
