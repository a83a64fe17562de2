# Redis by name: through nginx's resolver at run time, or at start without one.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Dns;

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
