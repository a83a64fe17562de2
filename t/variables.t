# The variables for log_format.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis(unix => 1);
my $tcp = redis();
my $nginx = nginx(
    vars => { URL => $redis->url, TCP => $tcp->url, ADDRESS => $redis->address },
    files => { token => "secret\n" },
    http => <<'END',
log_format all '$esputnik_result|$esputnik_events|$esputnik_error|$esputnik_redis_addr|$esputnik_redis_time';
access_log %%PREFIX%%/all.log all;
END
    server => <<'END');
location /hook { esputnik_pass %%TCP%%; }
location /unix { esputnik_pass %%URL%%; }
location /token { esputnik_pass %%TCP%%; esputnik_token $http_x_t file=%%PREFIX%%/token; }
location /keep { esputnik_pass %%TCP%%; esputnik_invalid quarantine; }
location /down { esputnik_pass redis://127.0.0.1:1; }
location /other { return 204; }
location /status {
    esputnik_pass %%TCP%%;
    add_header X-Result "$esputnik_result $esputnik_events" always;
}
END

my $http = $nginx->http;
my $n = 0;

# the log's line of the newest request: [result, events, error, addr, time]
sub logged
{
    $n++;
    my @lines;
    wait_for(sub { @lines = split /\n/, $nginx->_read('all.log'); @lines >= $n }, slow(3));
    return [split /\|/, $lines[$n - 1] // '', -1];
}

my $addr = '127.0.0.1:' . $tcp->port;

$http->request(POST => '/hook', body => events(1 .. 3));
my $l = logged();
is("@$l[0 .. 3]", "accepted 3 - $addr", 'accepted');
like($l->[4], qr/\A\d+\.\d{3}\z/, 'seconds with milliseconds');
cmp_ok($l->[4], '<', slow(2), 'a plausible time');

$http->request(POST => '/unix', body => events(1));
is(join(' ', @{ logged() }[0 .. 3]), 'accepted 1 - ' . $redis->address, 'a unix socket');

$http->request(POST => '/hook', body => '[]');
$l = logged();
is("@$l[0 .. 2]", 'accepted 0 -', 'no event');
is("@$l[3, 4]", '- -', 'Redis was not asked');

$http->request(POST => '/hook', body => events(1) . 'x');
$l = logged();
is($l->[0], 'rejected', 'rejected');
like($l->[2], qr/follow/, 'and why');
is("@$l[3, 4]", '- -', 'Redis was not asked');

$http->request(POST => '/hook', body => '[{"contactId":1,"activityStatus":"READ"}]');
like(logged()->[2], qr/activityDateTime/, 'the reason names the field');

$http->request(POST => '/hook', body => 'x', headers => ['Content-Encoding' => 'gzip']);
$l = logged();
is($l->[0], 'rejected', '415 is rejected');
isnt($l->[2], '-', 'and why');

$http->request(POST => '/token', body => events(1));
is(logged()->[0], 'unauthorized', 'unauthorized');

$http->request(POST => '/keep', body => '[' . event(1) . ',{}]');
is(join(' ', @{ logged() }[0, 1]), 'quarantined 2', 'one of two quarantined');

$http->request(POST => '/down', body => events(1));
$l = logged();
is($l->[0], 'unavailable', 'unavailable');
isnt($l->[2], '-', 'and why');

$http->request(GET => '/hook');
is(join('|', @{ logged() }), '-|-|-|-|-', 'a check has none of it');

$http->request(GET => '/other');
is(join('|', @{ logged() }), '-|-|-|-|-', 'nor has another location');

# an error of Redis is told by name
$tcp->cmd('DEL', 'esputnik:events');
$tcp->cmd('SET', 'esputnik:events', 'x');
$http->request(POST => '/hook', body => events(1));
$l = logged();
is($l->[0], 'unavailable', 'WRONGTYPE is unavailable');
like($l->[2], qr/WRONGTYPE/, 'and says so');
is($l->[3], $addr, 'who said it');
$tcp->flush;

my $r = $http->request(POST => '/status', body => events(1, 2));
is($r->{headers}{'x-result'}, 'accepted 2', 'the variables in a header of the answer');
logged();
$r = $http->request(POST => '/status', body => '[x');
like($r->{headers}{'x-result'}, qr/\Arejected /, 'and of a refusal');
logged();

# a time that was waited for is told
my $slow = proxy($tcp->port, delay => 0.15);
$nginx->configure(vars => { %{ $nginx->{o}{vars} }, TCP => $slow->url });
ok($nginx->reload, 'reload, with a slow Redis');
$http = $nginx->http;
$http->request(POST => '/hook', body => events(1));
$l = logged();
is($l->[0], 'accepted', 'a slow answer');
cmp_ok($l->[4], '>=', 0.14, 'takes its time');
cmp_ok($l->[4], '<', 0.15 * 6 + slow(1), 'and no more');

finish();
