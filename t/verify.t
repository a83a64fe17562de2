# The vendor's check of the URL (GET, HEAD), and all other methods: 405.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

# Redis is not asked: the port has nobody behind it
my $nginx = nginx(http => 'client_max_body_size 1k;', server => <<'END');
location /hook { esputnik_pass redis://127.0.0.1:1; }
END

my $http = $nginx->http;

for (1 .. 2) {
    is($http->request(GET => '/hook')->{status}, 200, "GET $_");
    my $r = $http->request(HEAD => '/hook');
    is($r->{status}, 200, "HEAD $_");
}
is($http->request(GET => '/hook?a=b')->{status}, 200, 'GET with arguments');
is($http->request(GET => '/hook', body => 'x' x 100)->{status}, 200, 'GET with a body');
is($http->request(GET => '/hook')->{status}, 200, 'and the request behind it');

for my $method (qw(PUT DELETE PATCH OPTIONS PROPFIND MKCOL)) {
    my $r = $http->request($method, '/hook');
    problem($r, 405, 'method_not_allowed', $method);
    is($r->{headers}{allow}, 'GET, HEAD, POST', "$method names the methods");
}

for my $method (qw(PUT DELETE PATCH)) {
    my $r = $http->request($method, '/hook', body => '[' . 'x' x 500 . ']');
    is($r->{status}, 405, "$method with a body");
    is($http->request(GET => '/hook')->{status}, 200, 'the connection goes on');
    $r = $http->request($method, '/hook', body => 'x' x 700, chunked => 100);
    is($r->{status}, 405, "$method with chunks");
    is($http->request(GET => '/hook')->{status}, 200, 'the connection goes on');
}

my $r = $nginx->request(TRACE => '/hook');
is($r->{status}, 405, 'TRACE is refused by nginx');

$r = $nginx->get('/hook', version => '1.0');
is($r->{status}, 200, 'HTTP/1.0');

like($nginx->access_line(1), qr{^GET /hook 200 result=- }, 'a check is no result');

finish();
