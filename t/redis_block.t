# Where Redis is and how one gets in: URLs and esputnik_redis blocks.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis(args => ['--requirepass', 'p@ss/w:rd'], password => 'p@ss/w:rd');
my $open = redis();
my $unix = redis(unix => 1);

sub acl
{
    my (@words) = @_;
    is($redis->cmd('ACL', 'SETUSER', @words), 'OK', "ACL SETUSER $words[0]");
}
acl('pusher', 'on', '>push-secret', '~esputnik:*', '+@all', '-@dangerous');
acl('narrow', 'on', '>narrow-secret', '~esputnik:*', '+rpush', '+select', '+auth');
is($open->cmd('ACL', 'SETUSER', 'free', 'on', 'nopass', '~*', '+@all'), 'OK', 'ACL SETUSER free');

my $nginx = nginx(
    workers => 1,
    vars => { PORT1 => $redis->port, PORT2 => $open->port, SOCK => $unix->path },
    files => { secret => "p\@ss/w:rd\n", readable => "push-secret\r\nmore\n" },
    http => <<'END',
esputnik_redis password { server 127.0.0.1:%%PORT1%%; password p@ss/w:rd; }
esputnik_redis user { server 127.0.0.1:%%PORT1%%; user pusher; password push-secret; database 3; }
esputnik_redis file { server 127.0.0.1:%%PORT1%%; password_file %%PREFIX%%/secret; }
esputnik_redis user_file { server 127.0.0.1:%%PORT1%%; user pusher; password_file %%PREFIX%%/readable; }
esputnik_redis narrow { server 127.0.0.1:%%PORT1%%; user narrow; password narrow-secret; }
esputnik_redis wrong { server 127.0.0.1:%%PORT1%%; password wr0ng-secret; }
esputnik_redis nobody { server 127.0.0.1:%%PORT1%%; }
esputnik_redis socket { server unix:%%SOCK%%; database 2; }
esputnik_redis many { server 127.0.0.1:%%PORT2%%; connections 3; }
esputnik_redis database { server 127.0.0.1:%%PORT2%%; database 99; }
END
    server => <<'END');
location /password { esputnik_pass password; }
location /user { esputnik_pass user; }
location /file { esputnik_pass file; }
location /user_file { esputnik_pass user_file; }
location /narrow { esputnik_pass narrow; }
location /wrong { esputnik_pass wrong; }
location /nobody { esputnik_pass nobody; }
location /socket { esputnik_pass socket; }
location /many { esputnik_pass many; }
location /database { esputnik_pass database; }
location /url { esputnik_pass redis://:p%40ss%2Fw%3Ard@127.0.0.1:%%PORT1%%; }
location /url_user { esputnik_pass redis://pusher:push-secret@127.0.0.1:%%PORT1%%/4; }
location /url_nopass { esputnik_pass redis://free@127.0.0.1:%%PORT2%%/7; }
location /url_unknown { esputnik_pass redis://unknown@127.0.0.1:%%PORT2%%; }
location /url_unix { esputnik_pass redis+unix://%%SOCK%%?db=5; }
location /url_localhost { esputnik_pass redis://localhost:%%PORT2%%/6; }
END

my $http = $nginx->http;
my $key = 'esputnik:events';

sub post
{
    my ($uri) = @_;
    return $http->request(POST => $uri, body => events(1));
}

# is accepted and found in the database of the server
sub stored
{
    my ($uri, $server, $db) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $server->cmd('SELECT', $db);
    $server->cmd('DEL', $key);
    accepted(post($uri), 1, $uri);
    $server->cmd('SELECT', $db);
    list_is($server, $key, [event(1)], "$uri: stored in database $db");
    $server->cmd('SELECT', 0);
}

stored('/password', $redis, 0);
stored('/user', $redis, 3);
stored('/file', $redis, 0);
stored('/user_file', $redis, 0);
stored('/narrow', $redis, 0);
stored('/socket', $unix, 2);
stored('/url', $redis, 0);
stored('/url_user', $redis, 4);
stored('/url_nopass', $open, 7);
stored('/url_unix', $unix, 5);
stored('/url_localhost', $open, 6);
stored('/many', $open, 0);

# who is who

my ($worker) = $nginx->worker_pids;
my @clients = $redis->module_clients;
is(scalar(grep { /\bname=ngx_esputnik-$worker-\d+ / } @clients), scalar @clients,
   'CLIENT LIST shows the worker') unless Esputnik::Env::valgrind();
is(scalar(grep { /\buser=pusher / } @clients), 3, 'and the user');
is(scalar(grep { /\buser=pusher db=3|\bdb=3 .*user=pusher/ } @clients), 1,
   'and the database');
is(scalar(grep { /\bdb=7 .*\buser=free / || /\buser=free db=7/ } $open->module_clients), 1,
   'also one without a password');

# several connections: all of them used, no more than these

my @posters = map {
    Esputnik::Process::fork_code(sub {
        my $c = $nginx->http;
        $c->request(POST => '/many', body => events(1))->{status} == 200
            or die "refused\n" for 1 .. 50;
    })
} 1 .. 6;
Esputnik::Process::wait_exit($_, slow(20)) for @posters;
is($open->cmd('LLEN', $key), 301, 'six senders');
my $n = grep { !/ db=[67] / } $open->module_clients;
is($n, 3, 'three connections of three allowed');

# no way in: 503, the reason by name, and never the secret

for my $case (['/wrong', 'WRONGPASS'], ['/url_unknown', 'WRONGPASS'], ['/nobody', 'NOAUTH'], ['/database', 'out of range']) {
    my ($uri, $word) = @$case;
    problem(post($uri), 503, 'unavailable', "$uri: 503");
    like($nginx->error_log, qr/$word/, "$uri: the log says $word");
    wait_for(sub { ($nginx->access)[-1] =~ m{^POST $uri } }, slow(2));
    like(($nginx->access)[-1], qr/result=unavailable .*error=".*$word/,
         "$uri: \$esputnik_error says so too");
}

# the administrator repairs it: the next attempt gets through, no reload

$redis->cmd('CONFIG', 'SET', 'requirepass', 'wr0ng-secret');
ok(wait_for(sub { post('/wrong')->{status} == 200 }, slow(2), 0.05),
   'it is made right');

$nginx->stop;
my $logs = $nginx->error_log . join "\n", $nginx->access;
unlike($logs, qr/\Q$_\E/, 'no password in the logs')
    for 'p@ss', 'p%40ss', 'push-secret', 'narrow-secret', 'wr0ng';

chmod 0644, $nginx->prefix . '/readable';
my (undef, $said) = $nginx->test;
like($said, qr/\[warn\].*readable.*0600/, 'a password file that others may read');
unlike($said, qr/\[warn\].*secret"/, 'but not one that they may not');

finish();
