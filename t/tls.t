# Redis behind TLS: who it has to be, what is said when it is somebody else,
# and that nothing ever goes out in the clear.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use Esputnik::Certs;
use Esputnik::Dns;
use Esputnik::Port qw(free_port);
use IO::Socket::INET;

my $certs = Esputnik::Certs->new;
$certs->issue('address', 'IP:127.0.0.1,DNS:localhost');
$certs->issue('name', 'DNS:redis.test');
$certs->issue('expired', 'IP:127.0.0.1', expired => 1);
$certs->issue('client', 'DNS:client.test');
my $other = Esputnik::Certs->new(name => 'Another CA');

my $key = 'esputnik:events';

# a redis-server with a TLS port beside the plain one, which the test asks
sub tls_redis
{
    my ($cert, @args) = @_;
    my $port = free_port();
    my $redis = redis(args => [
        '--tls-port', $port, '--tls-cert-file', $certs->cert($cert),
        '--tls-key-file', $certs->key($cert), '--tls-ca-cert-file',
        $certs->cert('ca'), '--tls-auth-clients', 'no', @args]);
    return ($redis, $port);
}

my ($good, $good_port) = tls_redis('address');
my ($named, $named_port) = tls_redis('name');
my ($old, $old_port) = tls_redis('expired');
my ($strict, $strict_port) = tls_redis('address', '--tls-auth-clients', 'yes');
my $plain = redis();
my $proxy = proxy($good_port);

# takes connections and says nothing at all; writes down what it was sent
my $mute_port = free_port();
my $heard = File::Temp->new;
my $mute = Esputnik::Process::fork_code(sub {
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $mute_port, Listen => 16,
        ReuseAddr => 1) or die "listen: $!\n";
    my $select = IO::Select->new($listener);
    my $parent = getppid;
    while (getppid == $parent) {
        for my $s ($select->can_read(1)) {
            if ($s == $listener) {
                $select->add($s->accept);
            } elsif (!sysread $s, my $bytes, 65536) {
                $select->remove($s);
            } else {
                syswrite $heard, $bytes;
            }
        }
    }
});

my $session_port = free_port();
my %vars = (SESSION => $session_port, GOOD => $good_port, NAMED => $named_port, OLD => $old_port,
            STRICT => $strict_port, PLAIN => $plain->port, PROXY => $proxy->port,
            MUTE => $mute_port, CA => $certs->cert('ca'),
            OTHER => $other->cert('ca'), CERT => $certs->cert('client'),
            KEY => $certs->key('client'));
my $ca = 'tls_trusted_certificate %%CA%%;';
my $nginx = nginx(
    vars => \%vars,
    http => <<"END",
esputnik_redis good { server 127.0.0.1:%%GOOD%%; tls on; $ca password tls-secret-word; }
esputnik_redis name { server 127.0.0.1:%%NAMED%%; tls on; $ca tls_server_name redis.test; }
esputnik_redis localhost { server localhost:%%GOOD%%; tls on; $ca }
esputnik_redis wrong_name { server 127.0.0.1:%%NAMED%%; tls on; $ca }
esputnik_redis wrong_name2 { server 127.0.0.1:%%GOOD%%; tls on; $ca tls_server_name redis.test; }
esputnik_redis wrong_ca { server 127.0.0.1:%%GOOD%%; tls on; tls_trusted_certificate %%OTHER%%; }
esputnik_redis system_ca { server 127.0.0.1:%%GOOD%%; tls on; }
esputnik_redis unverified { server 127.0.0.1:%%NAMED%%; tls on; tls_verify off; }
esputnik_redis expired { server 127.0.0.1:%%OLD%%; tls on; $ca }
esputnik_redis client { server 127.0.0.1:%%STRICT%%; tls on; $ca
    tls_certificate %%CERT%%; tls_certificate_key %%KEY%%; }
esputnik_redis no_client { server 127.0.0.1:%%STRICT%%; tls on; $ca }
esputnik_redis to_plain { connect_timeout @{[ ms(500) ]}; server 127.0.0.1:%%PLAIN%%; tls on; $ca password tls-secret-word; }
esputnik_redis plain { server 127.0.0.1:%%GOOD%%; }
esputnik_redis mute { connect_timeout @{[ ms(500) ]}; server 127.0.0.1:%%MUTE%%; tls on; $ca password tls-secret-word; }
esputnik_redis session { connect_timeout @{[ ms(500) ]}; server 127.0.0.1:%%SESSION%%; tls on; $ca }
esputnik_redis proxy { server 127.0.0.1:%%PROXY%%; tls on; $ca }
END
    server => join "\n", (map { "location /$_ { esputnik_pass $_; }" } qw(
        good name localhost wrong_name wrong_name2 wrong_ca system_ca unverified expired
        client no_client to_plain plain mute proxy session)),
    'location /url { esputnik_pass rediss://127.0.0.1:%%GOOD%%/1; }');

my $http = $nginx->http;
my $requests = 0;

sub post
{
    my ($uri, $body) = @_;
    $requests++;
    return $http->request(POST => $uri, body => $body // events(1));
}

sub stored
{
    my ($uri, $redis, $body) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $redis->cmd('DEL', $key);
    accepted(post($uri), 1, "$uri: 200");
    list_is($redis, $key, [event(1)], "$uri: stored");
}

sub refused
{
    my ($uri, $pattern) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $mark = $nginx->mark;
    my $r = post($uri);
    problem($r, 503, 'unavailable', "$uri: 503");
    like($nginx->access_line($requests), qr/error=".*(?:$pattern)/, "$uri: the reason");
    ok(scalar $nginx->log_lines(qr/\[error\].*(?:$pattern)/, $mark), "$uri: in the log")
        or diag(substr $nginx->error_log, $mark);
    return $r;
}

$good->cmd('CONFIG', 'SET', 'requirepass', 'tls-secret-word');
$good->{password} = 'tls-secret-word';
delete $good->{client};
stored('/good', $good);
$good->cmd('CONFIG', 'SET', 'requirepass', '');
delete $good->{password};

stored('/name', $named);
stored('/localhost', $good);
stored('/unverified', $named);
stored('/client', $strict);

my ($client) = $good->module_clients;
like($client, qr/name=ngx_esputnik/, 'CLIENT LIST knows it');

# F23

$_->cmd('FLUSHALL') for $good, $named, $old, $strict, $plain;

refused('/wrong_name', 'not for this name: 127\.0\.0\.1');
refused('/wrong_name2', 'not for this name: redis\.test');
refused('/wrong_ca', 'certificate of Redis is not valid: ');
refused('/system_ca', 'certificate of Redis is not valid: ');
refused('/url', 'certificate of Redis is not valid: ');
refused('/expired', 'not valid: certificate has expired');
# the alert that says so may be lost in the reset behind it
refused('/no_client', 'certificate required|handshake failure|reset by peer|Redis closed');
refused('/to_plain', 'TLS handshake (?:failed|took too long)');
refused('/plain', 'Redis closed the connection|reading from Redis failed');

my $r = refused('/mute', 'TLS handshake took too long');
cmp_ok($r->{time}, '<', slow(1), '/mute: within the time for connecting');
unlike(do { open my $in, '<', "$heard"; local $/; <$in> // '' },
       qr/AUTH|secret/, 'and nothing in the clear');

is($_->cmd('DBSIZE'), 0, 'nothing was stored') for $good, $named, $old, $strict, $plain;

# large commands, replies split at every byte

my $long = '"x":"' . 'y' x 3000 . '"';
my $big = '[' . join(',', map { event($_, $long) } 1 .. 200) . ']';
is(post('/proxy', $big)->{status}, 200, '600 KB');
is($good->cmd('LLEN', $key), 200, 'are 200 events');
is($good->cmd('LINDEX', $key, 199), event(200, $long), 'the last one whole');
$proxy->rules(split => 1);
$good->cmd('DEL', $key);
is(post('/proxy')->{status}, 200, 'split at every byte: 200');
is($good->cmd('LLEN', $key), 1, 'stored once');
$proxy->rules;

# The session of a lost connection is used for the next one.  This server
# speaks TLS only, and tells of it.

pipe my $reader, my $writer or die "pipe: $!\n";
my $server_log = File::Temp->new;
Esputnik::Process::fork_code(sub {
    open STDIN, '<&', $reader;
    open STDOUT, '>&', $server_log;
    open STDERR, '>&', $server_log;
    exec 'openssl', 's_server', '-accept', "127.0.0.1:$session_port", '-cert',
        $certs->cert('address'), '-key', $certs->key('address');
});
sub server_said { open my $in, '<', "$server_log"; local $/; return scalar(<$in>) // '' }
wait_for(sub { server_said() =~ /ACCEPT/ }, slow(5));
is(post('/session')->{status}, 503, 'no Redis behind TLS: 503');
unlike(server_said(), qr/Reused session-id/, 'a new session');
sleep 0.1;
is(post('/session')->{status}, 503, 'no Redis behind TLS: 503');
ok(wait_for(sub { server_said() =~ /Reused session-id/ }, slow(3)), 'used again')
    or diag(server_said());

# SNI: the name that is asked for is tls_server_name, else the host as it stands
# in the configuration, whatever its address; an address is none (RFC 6066).  A
# server tells; what it sends back is no reply of Redis, which ends the
# connection.

$certs->issue('any', 'IP:127.0.0.1,DNS:localhost,DNS:redis.test,DNS:resolved.test');
my $sni_port = free_port();
my $sni_log = File::Temp->new;
Esputnik::Process::spawn(
    ['openssl', 's_server', '-rev', '-tlsextdebug', '-accept', "127.0.0.1:$sni_port",
     '-cert', $certs->cert('any'), '-key', $certs->key('any')], stderr => "$sni_log");
sub sni_said { open my $in, '<', "$sni_log"; local $/; return scalar(<$in>) // '' }
ok(wait_for(sub { sni_said() =~ /ACCEPT/ }, slow(5)), 'a server that tells what it was asked for');

# The names in a ClientHello as the server dumps it: a list of 1, of kind 0.
sub names_of
{
    my ($said) = @_;
    my @names;
    while ($said =~ /^TLS client extension "server name" \(id=0\), len=\d+\n((?:[0-9a-f]{4} - .*\n)+)/mg) {
        my $bytes = join '', map { pack 'H*', substr($_, 7, 48) =~ tr/0-9a-f//cdr } split /\n/, $1;
        push @names, unpack 'x2 x n/a', $bytes;
    }
    return @names;
}

my $dns = Esputnik::Dns->start('resolved.test' => '127.0.0.1', 'redis.test' => '127.0.0.9');
my @sni = (
    ["127.0.0.1:$sni_port; tls_server_name redis.test", 'redis.test', 'tls_server_name'],
    ["resolved.test:$sni_port; tls_server_name redis.test", 'redis.test', 'tls_server_name before the host'],
    ["localhost:$sni_port", 'localhost', 'the host that was resolved at start'],
    ["resolved.test:$sni_port", 'resolved.test', 'the host that the resolver knows'],
    ["127.0.0.1:$sni_port", undef, 'an address'],
    ["localhost:$sni_port; tls_server_name 127.0.0.1", undef, 'an address as tls_server_name'],
);
my $sni = nginx(
    vars => { DNS => $dns->port, CA => $certs->cert('ca') },
    http => join('', map { "esputnik_redis sni$_ { server $sni[$_][0]; tls on; $ca }\n" } 0 .. $#sni),
    server => join '', map {
        # without a resolver a name is looked up at start
        my $resolver = $sni[$_][0] =~ /resolved/ ? 'resolver 127.0.0.1:%%DNS%% ipv6=off;' : '';
        "location = /sni$_ { $resolver esputnik_pass sni$_; }\n"
    } 0 .. $#sni);

for my $i (0 .. $#sni) {
    my (undef, $name, $what) = @{ $sni[$i] };
    my $from = length sni_said();
    my $r = $sni->post("/sni$i", events(1));
    ok(wait_for(sub { substr(sni_said(), $from) =~ /CONNECTION ESTABLISHED/ }, slow(3)), "$what: a handshake");
    is(join(' ', names_of(substr sni_said(), $from)), $name // '',
       defined $name ? "$what: the name is $name" : "$what: no name is sent");
    unlike($r->{body}, qr/certificate/, "$what: the certificate is good") or diag($r->{body});
}

# cut at any place: the handshake, the replies; and it comes back

for my $after (0, 1, 5, 100, 700, 1500) {
    $proxy->rules(after => $after, then => $after % 2 ? 'rst' : 'fin');
    $good->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    sleep 0.05;
    $good->cmd('DEL', $key);
    my $r = post('/proxy');
    ok($r->{status} == 503 || $r->{status} == 200, "cut after $after bytes: $r->{status}");
    cmp_ok($good->cmd('LLEN', $key), '>=', $r->{status} == 200, 'and 200 means stored');
}
$proxy->rules;
ok(wait_for(sub { post('/proxy')->{status} == 200 }, slow(3), 0.05), 'back again');

# under load while connections are lost: nothing that was answered 200 is lost

$good->cmd('DEL', $key);
my $load = load(port => $nginx->port, uri => '/localhost', senders => 4, retry => 1);
for (1 .. 5) {
    sleep 0.4;
    $good->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
}
sleep 0.3;
$load->stop;
my $c = $load->compare($good->list($key));
cmp_ok($c->{accepted}, '>', 100, "load: $c->{accepted} accepted");
is($c->{lost}, 0, 'none lost');
is($c->{torn}, 0, 'none torn');
is($c->{disorder}, 0, 'in order');
is($c->{refused_stored}, 0, 'the retries are in, too');

# certificates are read again at a reload

my $moving = $nginx->prefix . '/moving.pem';
system('cp', $other->cert('ca'), $moving);
$nginx->configure(
    http => "esputnik_redis moving { server 127.0.0.1:%%GOOD%%; tls on; tls_trusted_certificate $moving; }",
    server => 'location /moving { esputnik_pass moving; }');
ok($nginx->reload, 'reload');
$http = $nginx->http;
is(post('/moving')->{status}, 503, 'a CA file with the wrong CA: 503');
system('cp', $certs->cert('ca'), $moving);
ok($nginx->reload, 'reload');
$http = $nginx->http;
is(post('/moving')->{status}, 200, 'the same file with the right one: 200');

$nginx->stop;
unlike($nginx->error_log . join('', $nginx->access), qr/tls-secret-word/, 'no password in the logs');

# nginx -t

my $said = '';
sub config
{
    my ($block) = @_;
    $nginx->configure(http => "esputnik_redis r {\n$block\n}\n",
                      server => 'location / { esputnik_pass r; }');
    (my $rc, $said) = $nginx->test;
    return $rc;
}

my $server = 'server 127.0.0.1:%%GOOD%%;';
is(config($_), 0, "good: $_") or diag($said) for
    "$server tls on;",
    "$server tls off;",
    "$server tls on; tls_verify off;",
    "$server tls on; tls_verify on; $ca tls_server_name redis.test;",
    "$server tls on; tls_certificate %%CERT%%; tls_certificate_key %%KEY%%;";

for my $case (
    ["$server tls maybe;", '"tls" directive.*"on" or "off"'],
    ["$server tls on; tls on;", '"tls" directive is duplicate'],
    ["$server tls on; tls_verify 1;", '"tls_verify" directive'],
    ["$server tls_verify off;", 'without TLS.*expected "tls on"'],
    ["$server tls off; $ca", 'without TLS.*expected "tls on"'],
    ["$server tls on; tls_trusted_certificate /nowhere/ca.pem;",
     '"tls_trusted_certificate" directive expects a readable PEM file'],
    ["$server tls on; tls_trusted_certificate %%KEY%%;", '"tls_trusted_certificate" directive'],
    ["$server tls on; tls_certificate %%CERT%%;", 'expected "tls_certificate" and'],
    ["$server tls on; tls_certificate_key %%KEY%%;", 'expected "tls_certificate" and'],
    ["$server tls on; tls_certificate /nowhere/c.pem; tls_certificate_key %%KEY%%;",
     '"tls_certificate" directive expects'],
    ["$server tls on; tls_certificate %%CERT%%; tls_certificate_key /nowhere/k;",
     '"tls_certificate_key" directive expects'],
    ["$server tls on; tls_server_name 'a b';", '"tls_server_name" directive'],
    ["$server tls on; tls_server_name '';", '"tls_server_name" directive'],
    ['server unix:/tmp/x.sock; tls on;', '"tls on" with a unix socket'])
{
    my ($block, $pattern) = @$case;
    isnt(config($block), 0, "bad: $block");
    like($said, qr/\[emerg\].*$pattern/, 'says why');
}

finish();
