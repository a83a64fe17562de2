# Redis by name: through nginx's resolver at run time, or at start without one.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Dns;
use Esputnik::Port;
use Socket ();

my $redis = redis();
my $dns = Esputnik::Dns->start('redis.test' => '127.0.0.1', 'quiet.test' => 'silence',
                               'empty.test' => '', 'moves.test' => '127.0.0.1');
my %o = (vars => { DNS => $dns->port, PORT1 => $redis->port, LIMIT => ms(400) });
my $nginx = nginx(%o,
    http => 'esputnik_redis block { server redis.test:%%PORT1%%; }',
    server => <<'END');
resolver 127.0.0.1:%%DNS%% valid=1s ipv6=off;
resolver_timeout %%LIMIT%%;
location /name { esputnik_pass redis://redis.test:%%PORT1%%; }
location /block { esputnik_pass block; }
location /none { esputnik_pass redis://none.test:%%PORT1%%; }
location /empty { esputnik_pass redis://empty.test:%%PORT1%%; }
location /quiet { esputnik_pass redis://quiet.test:%%PORT1%%; esputnik_connect_timeout %%LIMIT%%; }
location /moves { esputnik_pass redis://moves.test:%%PORT1%%; }
END

my $key = 'esputnik:events';

is_deeply([$dns->queries], [], 'nothing is asked before a request comes');
accepted($nginx->post('/name', events(1)), 1, 'a name in a URL');
accepted($nginx->post('/block', events(2)), 1, 'a name in a block');
list_is($redis, $key, [event(1), event(2)], 'stored');
like($nginx->access_line(1), qr/redis=127\.0\.0\.1:@{[$redis->port]} /,
     '$esputnik_redis_addr is the address');

for my $uri ('/none', '/empty') {
    my $r = $nginx->post($uri, events(1));
    problem($r, 503, 'unavailable', "$uri: 503");
    cmp_ok($r->{time}, '<', slow(0.3), 'at once');
}
like($nginx->error_log, qr/none\.test.*(?:not found|resolve)/i, 'the log says which name');

my $r = $nginx->post('/quiet', events(1));
problem($r, 503, 'unavailable', 'a name server that is silent: 503');
cmp_ok($r->{time}, '<', slow(0.9), 'in its time');
$dns->records('redis.test' => '127.0.0.1', 'quiet.test' => '127.0.0.1',
              'moves.test' => '127.0.0.1');
ok(wait_for(sub { $nginx->post('/quiet', events(1))->{status} == 200 }, slow(3), 0.05),
   'which speaks again: 200');

# several requests wait for one look-up
{
    $redis->flush;
    my $fresh = nginx(%o, server => <<'END');
resolver 127.0.0.1:%%DNS%% ipv6=off;
location /name { esputnik_pass redis://redis.test:%%PORT1%%; }
END
    my $before = () = $dns->queries;
    my @c = map { $fresh->http } 1 .. 10;
    $_->send_raw(Esputnik::Http->bytes(POST => '/name', body => events(1))) for @c;
    is(scalar(grep { $_->response->{status} == 200 } @c), 10, 'ten wait together');
    is(scalar(my @q = $dns->queries) - $before, 1, 'for one look-up');
    is($redis->cmd('LLEN', $key), 10, 'stored');
}

# the name moves: the next connection goes where it points
accepted($nginx->post('/moves', events(1)), 1, 'before the move');
$dns->records('moves.test' => '127.0.0.2');
$redis->kill9;
redis(port => $redis->port, host => '127.0.0.2');
ok(wait_for(sub { $nginx->post('/moves', events(2))->{status} == 200 }, slow(4), 0.05),
   'after the move');
ok(wait_for(sub { grep { m{^POST /moves 200 .*redis=127\.0\.0\.2:} } $nginx->access }, slow(2)),
   'at its new place');

# A name with several addresses, of which one is alive, in an order that is
# nginx's: each database is a target with connections of its own.
my $port = Esputnik::Port::free_port();
my $host = redis(port => $port);
$dns->records('two.test' => '127.0.0.1 127.0.0.2', 'quiet.test' => 'silence');
my $several = nginx(vars => { DNS => $dns->port, PORT1 => $port, LIMIT => ms(400) }, server => <<'END');
resolver 127.0.0.1:%%DNS%% valid=1s ipv6=off;
esputnik_connect_timeout %%LIMIT%%;
location = /0 { esputnik_pass redis://two.test:%%PORT1%%/0; }
location = /1 { esputnik_pass redis://two.test:%%PORT1%%/1; }
location = /2 { esputnik_pass redis://two.test:%%PORT1%%/2; }
location = /3 { esputnik_pass redis://two.test:%%PORT1%%/3; }
location = /4 { esputnik_pass redis://two.test:%%PORT1%%/4; }
location = /5 { esputnik_pass redis://two.test:%%PORT1%%/5; }
END
my @six = map { "/$_" } 0 .. 5;
my $longest;    # of the last POSTs
my $all = sub {
    $longest = 0;
    return join ' ', map {
        my $r = $several->post($_, events(1));
        $longest = $r->{time} if $r->{time} > $longest;
        $r->{status};
    } @six;
};
my $good = join ' ', (200) x @six;

is($all->(), $good, 'one address of two is dead: the first POSTs are taken');
for my $time (1 .. 4) {
    $host->restart;
    is($all->(), $good, "and those after Redis was away, time $time");
}
$host->kill9;
my $until = time + 1.5;
my $down = 503;
while (time < $until) {
    $down = $_ for grep { $_ != 503 } split / /, $all->();
    sleep 0.05;
}
is($down, 503, 'no address is alive: 503');
like($several->error_log, qr/redis ".*two\.test.*" at 127\.0\.0\.[12]:$port: cannot connect/, 'the address is in the log');
$host->launch;
sleep 1.1;      # the longest pause between two tries
is($all->(), $good, 'alive again: the next POSTs are taken');

# one that takes a connection and drops it
$host->kill9;
my $drops = fake_redis(port => $port, connected => sub { $_[0]->close });
$host = redis(port => $port, host => '127.0.0.2');
sleep 1.1;
is($all->(), $good, 'one address drops its connections: taken at the other');

# one that does not answer costs the time for a connection, and only once
$drops->stop;
$host->kill9;
my $deaf = fake_redis(port => $port, accept => 0);
$host->launch;
is($all->(), $good, 'one address is deaf: taken at the other');
for my $time (1 .. 3) {
    $host->restart;
    is($all->(), $good, "time $time: the one that worked is the first that is tried");
    cmp_ok($longest, '<', slow(0.35), "time $time: at once");
}
sleep 1.1;
$host->kill9;
$deaf->stop;
$host = redis(port => $port);
is($all->(), $good, 'the other one is alive again: taken there');
cmp_ok($longest, '<', slow(0.35), 'at once');

# both are deaf: no longer than a request may take
$host->kill9;
my @deaf = map { fake_redis(port => $port, host => $_, accept => 0) } '127.0.0.1', '127.0.0.2';
my $hasty = nginx(vars => { DNS => $dns->port, PORT1 => $port, LIMIT => ms(400), TOTAL => ms(600) },
                  server => <<'END');
resolver 127.0.0.1:%%DNS%% ipv6=off;
esputnik_connect_timeout %%LIMIT%%;
esputnik_timeout %%TOTAL%%;
location / { esputnik_pass redis://two.test:%%PORT1%%; }
END
$r = $hasty->post('/', events(1));
problem($r, 503, 'unavailable', 'two deaf ones: 503');
cmp_ok($r->{time}, '<', slow(0.8), 'within the time of a request');
ok(wait_for(sub { $hasty->post('/', events(1))->{body} =~ /took too long/ }, slow(3), 0.05),
   'and the reason is told');
$_->stop for @deaf;

# one that is a replica is left for the other
$host = redis(port => $port);
my $replica = redis(port => $port, host => '127.0.0.2', args => ['--replicaof', '127.0.0.1', $port]);
sleep 1.1;
for my $uri (@six) {
    my $last = 0;
    ok(wait_for(sub { $several->post($uri, events(++$last))->{status} == 200 }, slow(3), 0.05),
       "$uri: found the master");
    cmp_ok($last, '<=', 3, "$uri: soon");
}
is($all->(), $good, 'and stays there');

# a name that nginx has looked up when it started
SKIP: {
    my ($error, @found) = Socket::getaddrinfo('localhost', $port, { socktype => Socket::SOCK_STREAM() });
    my %family = map { $_->{family} => 1 } @found;
    skip('localhost has one address', 5) if keys %family < 2;
    my $local = nginx(vars => { PORT1 => $port }, server => <<'END');
location / { esputnik_pass redis://localhost:%%PORT1%%; }
END
    for my $time (1 .. 5) {
        is($local->post('/', events(1))->{status}, 200, "localhost, time $time");
        $host->restart;
    }
}

# a worker that quits while a name is looked up
$dns->records('quiet.test' => 'silence');
my $waiting = nginx(%o, server => <<'END');
resolver 127.0.0.1:%%DNS%% ipv6=off;
location /quiet { esputnik_pass redis://quiet.test:%%PORT1%%; }
END
my $c = $waiting->http;
my $asked = () = $dns->queries;
$c->send_raw(Esputnik::Http->bytes(POST => '/quiet', body => events(1)));
wait_for(sub { $asked < (my @q = $dns->queries) }, slow(1));
kill 'QUIT', $waiting->pid;
is($c->response->{status}, 503, 'a request that waits for a name is answered on quit');
$c->close;
ok(defined Esputnik::Process::wait_exit($waiting->pid, slow(2)), 'and nginx ends');

# Names that sentinels and clusters tell while nginx runs (announced host names)
# need a resolver.  (A real cluster with such names: tls_cluster.t.)
{
    my $announced = redis();
    my ($host, $port) = ('announced.test', $announced->port);
    $dns->records($host => '127.0.0.1');
    my $bulk = sub { '$' . length($_[0]) . "\r\n$_[0]\r\n" };
    my $teller = fake_redis(on => {
        SENTINEL => sub { $_[0]->send("*2\r\n" . join '', map { $bulk->($_) } $host, $port) },
        SUBSCRIBE => sub { $_[0]->send("*3\r\n\$9\r\nsubscribe\r\n\$14\r\n+switch-master\r\n:1\r\n") },
        CLUSTER => sub {
            my ($c, $words) = @_;
            return $c->send("-ERR unknown subcommand\r\n") if uc $words->[1] ne 'SLOTS';
            $c->send("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n" . $bulk->($host) . ":$port\r\n");
        },
    });
    my $names = nginx(%o, vars => { DNS => $dns->port, TELLER => $teller->address, LIMIT => ms(400) },
        http => <<'END',
esputnik_redis ha { server %%TELLER%%; sentinel mymaster; connect_timeout %%LIMIT%%; }
esputnik_redis cluster { server %%TELLER%%; cluster on; }
END
        server => <<'END');
location /with/ {
    resolver 127.0.0.1:%%DNS%% ipv6=off;
    location /with/ha { esputnik_pass ha; }
    location /with/cluster { esputnik_pass cluster; }
}
location /without/ha { esputnik_pass ha; }
location /without/cluster { esputnik_pass cluster; }
END
    for my $uri ('ha', 'cluster') {
        my $mark = $names->mark;
        problem($names->post("/without/$uri", events(1)), 503, 'unavailable', "$uri: no resolver for its host name: 503");
        ok(scalar $names->log_lines(qr/$host.*no resolver for this name/, $mark), 'the log says so')
            or diag(substr $names->error_log, $mark);
        accepted($names->post("/with/$uri", events(1)), 1, "$uri: with a resolver: 200");
    }
    list_is($announced, $key, [event(1), event(1)], 'stored');
}

# without a resolver a name must be known at start
my ($status, $said) = Esputnik::Nginx->new(server => <<'END')->test;
location / { esputnik_pass redis://no-such-host.invalid; }
END
isnt($status, 0, 'a name that is not known at start');
like($said, qr/\[emerg\].*no-such-host\.invalid/, 'is named');

finish();
