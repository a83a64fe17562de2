# esputnik_token: one of the lines of the file, or 401.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis();
my $nginx = nginx(vars => { URL => $redis->url },
    files => {
        tokens => "first-token\nsecond token with spaces\n",
        one => 'no-line-feed-at-the-end',
        crlf => "dos-token\r\n",
        blank => "\n\nreal\n\n",
    },
    server => <<'END');
location /hook {
    esputnik_pass %%URL%%;
    esputnik_token $http_x_webhook_token file=%%PREFIX%%/tokens;
}
location /one {
    esputnik_pass %%URL%%;
    esputnik_token $http_x_webhook_token file=%%PREFIX%%/one;
}
location /blank {
    esputnik_pass %%URL%%;
    esputnik_token $http_x_webhook_token file=%%PREFIX%%/blank;
}
location /arg {
    esputnik_pass %%URL%%;
    esputnik_token $arg_t file=%%PREFIX%%/one;
}
location /crlf {
    esputnik_pass %%URL%%;
    esputnik_token $http_x_webhook_token file=%%PREFIX%%/crlf;
}
END

my $http = $nginx->http;

sub post
{
    my ($uri, @token) = @_;
    return $http->request(POST => $uri, body => events(1),
                          headers => [map { ('X-Webhook-Token' => $_) } @token]);
}

accepted(post('/hook', 'first-token'), 1, 'the first line');
accepted(post('/hook', 'second token with spaces'), 1, 'the second line');
accepted(post('/one', 'no-line-feed-at-the-end'), 1, 'a line without its end');
accepted(post('/blank', 'real'), 1, 'a line among blank ones');
accepted(post('/crlf', 'dos-token'), 1, 'a line as DOS ends it');
accepted(post('/arg?t=no-line-feed-at-the-end'), 1, 'another variable');

problem(post('/hook'), 401, 'unauthorized', 'no header');
problem(post('/hook', $_), 401, 'unauthorized', "token '$_'")
    for '', 'x', 'first-toke', 'first-tokenx', 'First-token', 'second',
        "first-token second token with spaces", 'x' x 5000;
problem(post('/blank', ''), 401, 'unauthorized', 'an empty token, though lines are blank');
problem(post('/blank'), 401, 'unauthorized', 'no token, though lines are blank');
problem(post('/arg'), 401, 'unauthorized', 'no argument');

# a body is not even looked at
my $r = $http->request(POST => '/hook', body => 'not JSON');
problem($r, 401, 'unauthorized', 'the token comes before the body');
$r = $http->request(POST => '/hook', body => 'x' x 50_000, chunked => 5000);
is($r->{status}, 401, 'with a chunked body');
is($http->request(GET => '/hook')->{status}, 200,
   'the check of the URL needs no token; the connection goes on');

is($redis->cmd('LLEN', 'esputnik:events'), 6, 'only what was authorized is stored');

# rotation: the file is read again on reload
$nginx->write('tokens', "second token with spaces\nthird\n");
ok($nginx->reload, 'reload');
$http = $nginx->http;
is(post('/hook', 'third')->{status}, 200, 'a new token');
is(post('/hook', 'second token with spaces')->{status}, 200, 'one that stays');
is(post('/hook', 'first-token')->{status}, 401, 'one that is gone');

for my $secret ('first-token', 'second token', 'third', 'no-line-feed') {
    unlike($nginx->error_log, qr/$secret/, 'no token in the log');
}
ok(wait_for(sub { ($nginx->access)[-1] =~ / 401 result=unauthorized / }, slow(2)),
   '$esputnik_result');

finish();
