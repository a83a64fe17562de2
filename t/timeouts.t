# Time limits towards Redis: a frozen one, one that never accepts, one that is
# slow to greet, a worker that stands still; and that no late answer ever goes to
# the wrong request.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $limit = slow(0.4);
my $redis = redis();
my $deaf = fake_redis(accept => 0);
my $proxy = proxy($redis->port);
my $greeter = fake_redis(on => {
    CLIENT => sub {
        my ($c) = @_;
        sleep slow(0.15) if $c->mode ne 'never';
        sleep 60 if $c->mode eq 'never';
        $c->send("+OK\r\n");
    },
});

# Has the worker stand still until the time of its command is up, and answers
# just after that, or not at all.
my $stall = fake_redis(on => {
    RPUSH => sub {
        my ($c, $words) = @_;
        if ($c->mode =~ /(\w+) (\d+)/) {
            kill 'STOP', $2;
            sleep $limit + slow(0.3);
            kill 'CONT', $2;
            sleep 0.05;
            return if $1 eq 'mute';
        }
        $c->do_rpush($words);
    },
});

my $nginx = nginx(
    vars => { URL => $redis->url, DEAF => $deaf->url, LIMIT => ms(400),
              LONG => ms(3000), PROXY => $proxy->url, GREET => $greeter->url, STALL => $stall->url, SHORT => ms(60),
              PORT1 => $redis->port },
    http => <<'END',
esputnik_redis patient { server 127.0.0.1:%%PORT1%%; timeout %%LIMIT%%; }
END
    server => <<'END');
location /hook { esputnik_pass %%URL%%; esputnik_timeout %%LIMIT%%; }
location /block { esputnik_pass patient; esputnik_timeout 60s; }
location /deaf { esputnik_pass %%DEAF%%; esputnik_connect_timeout %%LIMIT%%; esputnik_timeout %%LONG%%; }
location /deaf_short { esputnik_pass %%DEAF%%; esputnik_connect_timeout %%LONG%%; esputnik_timeout %%LIMIT%%; }
location /proxy { esputnik_pass %%PROXY%%; esputnik_timeout %%LIMIT%%; }
location /greet { esputnik_pass %%GREET%%; esputnik_timeout %%LONG%%; }
location /stall { esputnik_pass %%STALL%%; esputnik_timeout %%LIMIT%%; }
location /impatient { esputnik_pass %%GREET%%; esputnik_key impatient; esputnik_timeout %%SHORT%%; }
END

my $key = 'esputnik:events';

sub timely
{
    my ($r, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    problem($r, 503, 'unavailable', "$name: 503");
    ok(defined $r->{headers}{'retry-after'}, "$name: Retry-After");
    cmp_ok($r->{time}, '>', $limit * 0.9, "$name: not before the deadline");
    cmp_ok($r->{time}, '<', $limit + slow(0.5), "$name: not long after it");
}

# frozen: the command is written, the answer does not come

for my $uri ('/hook', '/block') {
    my $http = $nginx->http;
    $redis->flush;
    accepted($http->request(POST => $uri, body => events(1)), 1, "$uri: before");
    $redis->freeze;
    timely($http->request(POST => $uri, body => events(2)), "$uri: frozen");
    $redis->thaw;
    ok(wait_for(sub { $http->request(POST => $uri, body => events(3))->{status} == 200 },
                slow(1.5), 0.02), "$uri: goes on");
    my @list = @{ $redis->list($key) };
    is($list[0], event(1), "$uri: first");
    is($list[-1], event(3), "$uri: last");
    cmp_ok(scalar(grep { $_ eq event(2) } @list), '<=', 1,
           "$uri: what was cut off is there once at most");
}

# many wait on one frozen Redis: each ends by its own deadline
{
    $redis->freeze;
    my @waiting;
    for my $i (1 .. 20) {
        my $c = $nginx->http;
        $c->send_raw(Esputnik::Http->bytes(POST => '/hook', body => events(100 + $i)));
        push @waiting, [$c, time];
        sleep 0.01;
    }
    my @late;
    for (@waiting) {
        my ($c, $start) = @$_;
        my $r = $c->response;
        my $took = time - $start;
        push @late, "$r->{status} after $took"
            if $r->{status} != 503 || $took > $limit + slow(0.5);
    }
    is("@late", '', 'twenty requests, each in its time');
    $redis->thaw;
    ok(wait_for(sub { $nginx->post('/hook', events(1))->{status} == 200 }, slow(1.5), 0.02),
       'goes on');
}

# late answers: error replies that come after the deadline must not go to the
# requests behind them
{
    $redis->flush;
    $redis->cmd('SET', $key, 'wrong type');
    my $http = $nginx->http;
    $redis->freeze;
    timely($http->request(POST => '/hook', body => events(1)), 'frozen, wrong type');
    $redis->thaw;
    wait_for(sub { $redis->cmd('PING') eq 'PONG' }, slow(2));
    $redis->flush;
    my $wrong = 0;
    for (1 .. 50) {
        my $before = $redis->cmd('LLEN', $key);
        my $r = $http->request(POST => '/hook', body => events(1));
        my $stored = $redis->cmd('LLEN', $key) - $before;
        $wrong++ if $stored != ($r->{status} == 200 ? 1 : 0);
    }
    is($wrong, 0, 'every answer fits what was done');
}

# a connect that never completes

timely($nginx->post('/deaf', events(1)), 'connect timeout');
timely($nginx->post('/deaf_short', events(1)), 'whole wait, still connecting');

# a black hole behind a connection that worked

{
    my $http = $nginx->http;
    accepted($http->request(POST => '/proxy', body => events(1)), 1, 'through a proxy');
    $proxy->rules(after => 0, then => 'hole');
    timely($http->request(POST => '/proxy', body => events(2)), 'black hole');
    $proxy->rules();
    ok(wait_for(sub { $http->request(POST => '/proxy', body => events(3))->{status} == 200 },
                slow(1.5), 0.02), 'a new connection');
}

# a worker that stands still takes no answer for late that Redis had no time for

{
    my ($worker) = $nginx->worker_pids;
    my $http = $nginx->http;
    accepted($http->request(POST => '/stall', body => events(1)), 1, 'before it stands still');
    for my $case (['late', 200], ['mute', 503], ['late', 200]) {
        my ($mode, $status) = @$case;
        $stall->mode("$mode $worker");
        my $r = $http->request(POST => '/stall', body => events(2));
        is($r->{status}, $status, "the worker stands still, Redis is $mode: $status");
        cmp_ok($r->{time}, '<', $limit + slow(0.8), "the worker stands still, Redis is $mode: soon");
        $stall->mode('');
        ok(wait_for(sub { $http->request(POST => '/stall', body => events(3))->{status} == 200 },
                    slow(1.5), 0.02), 'goes on');
    }
}

# requests that come while the link is being made wait for it

{
    my @c = map { $nginx->http } 1 .. 5;
    $_->send_raw(Esputnik::Http->bytes(POST => '/greet', body => events(1))) for @c;
    is(join(' ', map { $_->response->{status} } @c), '200 200 200 200 200',
       'waiting for the greeting');
    is($greeter->connections, 1, 'on one connection');
    is(scalar($greeter->commands('RPUSH')), 5, 'five commands');
}

# what was refused before the connection was there is not sent when it is
{
    my @waiting = map { my $c = $nginx->http;
                        $c->send_raw(Esputnik::Http->bytes(POST => '/impatient', body => events($_)));
                        $c } 1 .. 5;
    is(join(' ', map { $_->response->{status} } @waiting), '503 503 503 503 503',
       'slow to greet, and little time: 503');
    sleep slow(0.3);
    accepted($nginx->post('/greet', events(6)), 1, 'slow to greet: the connection is there');
    is(scalar(grep { $_->[2] eq 'impatient' } $greeter->commands('RPUSH')), 0,
       'what was answered 503 before anything was sent is never sent');
}

finish();
