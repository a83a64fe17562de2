# A Redis Cluster behind TLS, with client certificates: the topology and all
# nodes, redirections included, and never in the clear.  Then the same cluster
# with announced host names, which the certificates are for.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use Esputnik::Certs;
use Esputnik::Cluster;
use Esputnik::Dns;

my $certs = Esputnik::Certs->new;
$certs->issue('node', 'IP:127.0.0.1');
$certs->issue('named', 'DNS:node.test');
$certs->issue('client', 'DNS:client.test');
my $other = Esputnik::Certs->new(name => 'Another CA');
my $dns = Esputnik::Dns->start('node.test' => '127.0.0.1');

my $cluster = Esputnik::Cluster->start(
    masters => 3, timeout => slow(2000),
    tls => ['--tls-cert-file', $certs->cert('node'), '--tls-key-file', $certs->key('node'),
            '--tls-ca-cert-file', $certs->cert('ca')],
    args => ['--cluster-require-full-coverage', 'no', '--appendonly', 'yes', '--appendfsync', 'no']);
my ($one, $two, $three) = $cluster->masters;

my $client = 'tls_certificate %%CERT%%; tls_certificate_key %%KEY%%;';
my $ca = 'tls_trusted_certificate %%CA%%;';
my $limit = 'connect_timeout ' . ms(500) . ';';
my %o = (
    workers => 2,
    vars => { SEEDS => $cluster->tls_seeds, PLAIN => $cluster->seeds, CA => $certs->cert('ca'),
              OTHER => $other->cert('ca'), CERT => $certs->cert('client'), KEY => $certs->key('client'),
              DNS => $dns->port,
              NAMED => join ' ', map { "node.test:$_->{tls_port}" } $cluster->masters });
my $nginx = nginx(
    %o,
    http => <<"END",
esputnik_redis c { server %%SEEDS%%; cluster on; $limit tls on; $ca $client }
esputnik_redis wrong_ca { server %%SEEDS%%; cluster on; $limit tls on; tls_trusted_certificate %%OTHER%%; $client }
esputnik_redis no_client { server %%SEEDS%%; cluster on; $limit tls on; $ca }
esputnik_redis no_tls { server %%SEEDS%%; cluster on; $limit }
esputnik_redis to_plain { server %%PLAIN%%; cluster on; $limit tls on; $ca $client }
END
    server => join "\n", map { "location /$_ { esputnik_pass $_; esputnik_key $_:\$esputnik_contact_id; }" }
        qw(c wrong_ca no_client no_tls to_plain));

my $http = $nginx->http;
my $requests = 0;

sub post
{
    my ($uri, @ids) = @_;
    $requests++;
    return $http->request(POST => $uri, body => events(@ids ? @ids : 1));
}

# The module's connections that came in by another port than the one of TLS.
sub in_the_clear
{
    return map {
        my $port = $_->{tls_port};
        grep { !/\bladdr=127\.0\.0\.1:$port\b/ } $_->module_clients
    } $cluster->masters;
}

my @ids = 1 .. 30;
sub everything { my ($prefix) = @_; return [map { @{ $cluster->list("$prefix:$_") } } @ids] }

accepted(post('/c', @ids), scalar @ids, 'events for 30 lists');
is_deeply(everything('c'), [map { event($_) } @ids], 'each in its list');
my %owner = map { $cluster->node_of("c:$_")->port => 1 } @ids;
is(scalar keys %owner, 3, 'on all three masters');
is(scalar(grep { $_->module_clients } $cluster->masters), 3, 'with a connection to each');
is(join("\n", in_the_clear()), '', 'by TLS only');
accepted(post('/c', 1), 1, 'one event');
like($nginx->access_line($requests), qr/redis=127\.0\.0\.1:@{[ $cluster->node_of('c:1')->{tls_port} ]} /,
     '$esputnik_redis_addr has the TLS port');

# redirections name the TLS port, too

my $slot = $cluster->slot('c:1');
my $from = $cluster->node_of('c:1');
my ($to) = grep { $_ != $from } $cluster->masters;
$cluster->begin_move($slot, $from, $to);
is($cluster->move_keys($slot, $from, $to), 1, 'a slot moves');
accepted(post('/c', 1), 1, 'ASK');
$cluster->end_move($slot, $from, $to);
accepted(post('/c', 1), 1, 'MOVED');
is_deeply($to->list('c:1'), [(event(1)) x 4], 'all are at the new node');
is(join("\n", in_the_clear()), '', 'by TLS only');

# a connection that is lost comes again

$to->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
ok(wait_for(sub { post('/c', 1)->{status} == 200 }, slow(3), 0.05), 'a lost connection comes again');
$to->restart;
ok(wait_for(sub { $cluster->node_of('c:1') && post('/c', 1)->{status} == 200 }, slow(10), 0.05), 'a node, too');
is(join("\n", in_the_clear()), '', 'by TLS only');

# a node with a certificate of somebody else gets nothing, the others go on

my @other_ca = ($other->issue('node', 'IP:127.0.0.1')->cert('node'), $other->key('node'));
$to->cmd('CONFIG', 'SET', 'tls-cert-file', $other_ca[0], 'tls-key-file', $other_ca[1]);
$to->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
my ($kept) = grep { $cluster->node_of("c:$_") == $from } @ids;
my $before = @{ $cluster->list('c:1') };
ok(wait_for(sub { post('/c', 1)->{body} =~ /certificate of Redis is not valid/ }, slow(3), 0.05),
   'a node with a certificate of another CA: 503');
is(scalar @{ $cluster->list('c:1') }, $before, 'and nothing is stored there');
ok(wait_for(sub { post('/c', $kept)->{status} == 200 }, slow(3), 0.05), 'the others go on');
$to->cmd('CONFIG', 'SET', 'tls-cert-file', $certs->cert('node'), 'tls-key-file', $certs->key('node'));
ok(wait_for(sub { post('/c', 1)->{status} == 200 }, slow(5), 0.05), 'with the right one: 200');

# F23 at the seeds

for my $case (['/wrong_ca', 'certificate of Redis is not valid: '],
              # the alert that says so may be lost in the reset behind it
              ['/no_client', 'certificate required|handshake failure|reset by peer|closed'],
              ['/no_tls', 'closed the connection|reading from Redis failed|reset by peer'],
              ['/to_plain', 'TLS handshake'])
{
    my ($uri, $pattern) = @$case;
    my $mark = $nginx->mark;
    problem(post($uri), 503, 'unavailable', "$uri: 503");
    like($nginx->access_line($requests), qr/error=".*topology cannot be read: .*(?:$pattern)/, "$uri: the reason");
    is_deeply(everything(substr $uri, 1), [], "$uri: nothing is stored");
}

# Host names: the nodes announce one, and their certificates are for it alone.
# Names come from the cluster while nginx runs, so that it needs a resolver.

for my $node ($cluster->masters) {
    $node->cmd('CONFIG', 'SET', 'tls-cert-file', $certs->cert('named'), 'tls-key-file', $certs->key('named'));
    $node->cmd('CONFIG', 'SET', 'cluster-announce-hostname', 'node.test');
    $node->cmd('CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'hostname');
}
ok(wait_for(sub {
    !grep { my $node = $_; grep { ($_->[2][0] // '') ne 'node.test' } @{ $node->cmd('CLUSTER', 'SLOTS') } }
          $cluster->masters
}, slow(15), 0.1), 'all nodes have a host name');

my $named = nginx(
    %o,
    http => <<"END",
esputnik_redis c { server %%NAMED%%; cluster on; $limit tls on; $ca $client }
esputnik_redis by_address { server %%SEEDS%%; cluster on; $limit tls on; $ca $client }
esputnik_redis by_name { server %%SEEDS%%; cluster on; $limit tls on; $ca $client tls_server_name node.test; }
esputnik_redis no_resolver { server %%PLAIN%%; cluster on; $limit }
END
    server => <<'END');
location /c { resolver 127.0.0.1:%%DNS%% ipv6=off; esputnik_pass c; esputnik_key n:$esputnik_contact_id; }
location /by_address { resolver 127.0.0.1:%%DNS%% ipv6=off; esputnik_pass by_address; }
location /by_name { resolver 127.0.0.1:%%DNS%% ipv6=off; esputnik_pass by_name; esputnik_key b:$esputnik_contact_id; }
location /plain { resolver 127.0.0.1:%%DNS%% ipv6=off; esputnik_pass no_resolver; esputnik_key p:$esputnik_contact_id; }
location /no_resolver { esputnik_pass no_resolver; esputnik_key x:$esputnik_contact_id; }
END
$http = $named->http;
accepted(post('/c', @ids), scalar @ids, 'host names: events for 30 lists');
is_deeply(everything('n'), [map { event($_) } @ids], 'each in its list');
problem(post('/by_address'), 503, 'unavailable', 'a certificate for the name, a seed by its address: 503');
accepted(post('/by_name', @ids), scalar @ids, 'with tls_server_name: 200');
is_deeply(everything('b'), [map { event($_) } @ids], 'each in its list');
is(join("\n", in_the_clear()), '', 'by TLS only');
accepted(post('/plain', @ids), scalar @ids, 'without TLS');
is_deeply(everything('p'), [map { event($_) } @ids], 'each in its list');
my $r = post('/no_resolver', @ids);
problem($r, 503, 'unavailable', 'host names, no resolver: 503');
like($r->{body}, qr/no resolver for this name/, 'which says why');
is_deeply(everything('x'), [], 'nothing is stored');

finish();
