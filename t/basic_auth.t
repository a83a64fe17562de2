# Basic authentication and access rules by nginx's own modules in front of ours.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use MIME::Base64 qw(encode_base64);

my $redis = redis();
my $nginx = nginx(
    vars => { URL => $redis->url },
    files => { htpasswd => "sender:{PLAIN}open sesame\n", token => "secret\n" },
    http => 'limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;',
    server => <<'END');
location /basic {
    auth_basic webhooks;
    auth_basic_user_file %%PREFIX%%/htpasswd;
    esputnik_pass %%URL%%;
}
location /both {
    auth_basic webhooks;
    auth_basic_user_file %%PREFIX%%/htpasswd;
    esputnik_token $http_x_t file=%%PREFIX%%/token;
    esputnik_pass %%URL%%;
}
location /denied { deny all; esputnik_pass %%URL%%; }
location /limited { limit_req zone=one; esputnik_pass %%URL%%; }
location /only { limit_except POST { deny all; } esputnik_pass %%URL%%; }
location /mirrored_by { mirror /by; esputnik_pass %%URL%%; esputnik_key original; }
location /by { internal; esputnik_pass %%URL%%; esputnik_key by:$esputnik_contact_id; }
location /mirrored { mirror /copy; esputnik_pass %%URL%%; esputnik_key original; }
location /copy { internal; esputnik_pass %%URL%%; esputnik_key copy; }
location /if {
    if ($arg_no) { return 403; }
    if ($arg_set) { set $x 1; }
    esputnik_pass %%URL%%;
}
location /rewritten { rewrite ^ /if last; }
END

my $key = 'esputnik:events';
my $http = $nginx->http;

sub post
{
    my ($uri, $login, @more) = @_;
    my @headers = @more;
    push @headers, Authorization => 'Basic ' . encode_base64($login, '') if defined $login;
    return $http->request(POST => $uri, body => events(1), headers => \@headers);
}

accepted(post('/basic', 'sender:open sesame'), 1, 'login and password');
my $r = post('/basic');
is($r->{status}, 401, 'none');
is($r->{headers}{'www-authenticate'}, 'Basic realm="webhooks"', 'nginx asks for them');
is(post('/basic', 'sender:wrong')->{status}, 401, 'a wrong password');
is(post('/basic', 'other:open sesame')->{status}, 401, 'an unknown login');
is($http->request(GET => '/basic')->{status}, 401, 'the check of the URL needs them too');
is($http->request(GET => '/basic', headers => [
    Authorization => 'Basic ' . encode_base64('sender:open sesame', '')])->{status}, 200,
   'and passes with them');

accepted(post('/both', 'sender:open sesame', 'X-T' => 'secret'), 1, 'both');
problem(post('/both', 'sender:open sesame'), 401, 'unauthorized', 'no token');
is(post('/both', undef, 'X-T' => 'secret')->{status}, 401, 'no login');

is(post('/denied')->{status}, 403, 'deny all');
accepted(post('/limited'), 1, 'limit_req lets one pass');
is(post('/limited')->{status}, 503, 'and not the next');
accepted(post('/only'), 1, 'limit_except POST');
is($http->request(GET => '/only')->{status}, 403, 'the others are denied');
is($redis->cmd('LLEN', $key), 4, 'what passed is stored');

# our location under nginx' other ways to get there
accepted(post('/if'), 1, 'if, not taken');
accepted(post('/if?set=1'), 1, 'if, taken');
is(post('/if?no=1')->{status}, 403, 'if with a return');
accepted(post('/rewritten'), 1, 'rewritten');

# mirror reads the body before we do
$redis->flush;
accepted(post('/mirrored'), 1, 'mirrored');
list_is($redis, 'original', [event(1)], 'the original is stored');
my $large = events(1 .. 2000);
accepted($http->request(POST => '/mirrored', body => $large), 2000, 'a large body, mirrored');
is($redis->cmd('LLEN', 'original'), 2001, 'stored');
accepted($http->request(POST => '/mirrored', body => $large, chunked => 1000), 2000,
         'in chunks, mirrored');
is($redis->cmd('LLEN', 'original'), 4001, 'stored');


# a subrequest has events of its own
accepted($http->request(POST => '/mirrored_by', body => events(31, 32, 31)), 3, 'mirrored by contact');
ok(wait_for(sub { $redis->cmd('LLEN', 'by:31') == 2 && $redis->cmd('LLEN', 'by:32') == 1 }, slow(3)),
   'each event of the copy is where its own variables say');

finish();
