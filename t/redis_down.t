# Redis away: at start, in between, for a while; and back.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis(start => 0, args => ['--appendonly', 'yes', '--appendfsync', 'always']);
my $unix = redis(start => 0, unix => 1);
my $nginx = nginx(vars => { URL => $redis->url, UNIX => $unix->url }, server => <<'END');
location /hook { esputnik_pass %%URL%%; }
location /unix { esputnik_pass %%UNIX%%; }
END

my $http = $nginx->http;
my $id = 0;
my @accepted;

sub post
{
    my ($uri) = @_;
    my $event = event(++$id);
    my $r = $http->request(POST => $uri, body => "[$event]");
    push @accepted, $event if $r->{status} == 200 && $uri eq '/hook';
    return $r;
}

# from now on, how long until the first 200; asked often, as a busy sender does
sub first_200
{
    my ($uri) = @_;
    my $start = time;
    wait_for(sub { post($uri)->{status} == 200 }, slow(5), 0.02);
    return time - $start;
}

is(($nginx->test)[0], 0, 'nginx -t with Redis down');
is($nginx->get('/hook')->{status}, 200, 'the check of the URL with Redis down');

for my $uri ('/hook', '/unix') {
    for my $try (1 .. 3) {
        my $r = post($uri);
        problem($r, 503, 'unavailable', "$uri: 503");
        like($r->{headers}{'retry-after'} // '', qr/\A[1-9]\d*\z/, 'Retry-After');
        cmp_ok($r->{time}, '<', slow(0.2), 'at once');
    }
}
like($nginx->error_log, qr/\[error\].*127\.0\.0\.1:@{[$redis->port]}.*refused/i,
     'the log says where and why');
like($nginx->error_log, qr/\[error\].*\Q@{[$unix->path]}\E.*No such file/i,
     'of a unix socket too');

ok($nginx->reload, 'reload with Redis down');
$http = $nginx->http;
is(post('/hook')->{status}, 503, 'still 503');

# many refusals do not fill the log
my $mark = $nginx->mark;
post('/hook') for 1 .. 200;
my $lines = () = $nginx->log_lines(qr/\[error\]/, $mark);
cmp_ok($lines, '<', 30, "200 refusals, $lines lines");

$redis->launch;
$unix->launch;
cmp_ok(first_200('/hook'), '<', slow(1), 'Redis appears: 200 within a second');
cmp_ok(first_200('/unix'), '<', slow(1), 'of a unix socket too');

# an idle Redis dies and comes back
for my $round (1 .. 2) {
    is(post('/hook')->{status}, 200, 'up');
    $redis->kill9;
    problem(post('/hook'), 503, 'unavailable', 'killed: 503');
    sleep 0.5 if $round == 2;
    $redis->launch;
    cmp_ok(first_200('/hook'), '<', slow(1), 'back: 200 within a second');
}

# A link that had lasted for a second is made anew at once: nobody notices
# that it was closed, since nothing had been written.
sleep 1.1;
$redis->restart;
is(post('/hook')->{status}, 200, 'restarted between two requests: 200');
sleep 1.1;
$redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
is(post('/hook')->{status}, 200, 'CLIENT KILL between two requests: 200');

# one that had not is made anew a little later
for (1 .. 3) {
    $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    cmp_ok(first_200('/hook'), '<', slow(0.3), 'CLIENT KILL of a young link: soon 200');
}

# a shutdown in good order
$redis->stop;
is(post('/hook')->{status}, 503, 'shut down: 503');
$redis->launch;
cmp_ok(first_200('/hook'), '<', slow(1), 'started: 200 within a second');

list_is($redis, 'esputnik:events', \@accepted,
        'the list holds what was answered 200, and nothing else');

finish();
