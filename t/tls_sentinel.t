# Sentinels and their master behind TLS: asked, listened to and followed through
# a failover, with a client certificate, and never in the clear.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use Esputnik::Certs;
use Esputnik::Sentinel;

my $certs = Esputnik::Certs->new;
$certs->issue('server', 'IP:127.0.0.1');
$certs->issue('client', 'DNS:client.test');
my $other = Esputnik::Certs->new(name => 'Another CA');

# all of them ask for a client certificate, which is what they do by default
my $ha = Esputnik::Sentinel->start(
    replicas => 1, down_after => 1000, password => 'sentinel-secret',
    tls => ['--tls-cert-file', $certs->cert('server'), '--tls-key-file', $certs->key('server'),
            '--tls-ca-cert-file', $certs->cert('ca')]);
my ($master, $replica) = $ha->servers;

my $common = 'server %%SENTINELS%%; sentinel mymaster; sentinel_password_file %%PREFIX%%/secret;'
    . ' connect_timeout ' . ms(500) . ';';
my $client = 'tls_certificate %%CERT%%; tls_certificate_key %%KEY%%;';
my $nginx = nginx(
    workers => 2,
    vars => { SENTINELS => $ha->tls_addresses, PLAIN => $ha->addresses, CA => $certs->cert('ca'),
              OTHER => $other->cert('ca'), CERT => $certs->cert('client'), KEY => $certs->key('client') },
    files => { secret => "sentinel-secret\n" },
    http => <<"END",
esputnik_redis ha { $common tls on; tls_trusted_certificate %%CA%%; $client }
esputnik_redis wrong_ca { $common tls on; tls_trusted_certificate %%OTHER%%; $client }
esputnik_redis wrong_name { $common tls on; tls_trusted_certificate %%CA%%; tls_server_name redis.test; $client }
esputnik_redis no_client { $common tls on; tls_trusted_certificate %%CA%%; }
esputnik_redis no_tls { $common }
esputnik_redis to_plain { @{[ $common =~ s/SENTINELS/PLAIN/r ]} tls on; tls_trusted_certificate %%CA%%; $client }
END
    server => join "\n", map { "location /$_ { esputnik_pass $_; esputnik_key list:$_; }" }
        qw(ha wrong_ca wrong_name no_client no_tls to_plain));

my $requests = 0;
sub post { my ($uri) = @_; $requests++; return $nginx->post($uri, events(1)) }

# The module's connections in an answer to CLIENT LIST; of these, the ones that
# came in by another port than the one of TLS.
sub ours { return grep { /\bname=ngx_esputnik/ } split /\n/, $_[0] }
sub in_the_clear { my ($clients, $port) = @_; return grep { !/\bladdr=127\.0\.0\.1:$port\b/ } ours($clients) }

sub by_both_workers
{
    my ($server, $name) = @_;
    ok(wait_for(sub { post('/ha'); ours($server->cmd('CLIENT', 'LIST')) >= 2 }, slow(10)),
       "$name: from both workers");
    is(join("\n", in_the_clear($server->cmd('CLIENT', 'LIST'), $server->{tls_port})), '', "$name: by TLS only");
}

accepted(post('/ha'), 1, 'the master is found');
is($master->cmd('LLEN', 'list:ha'), 1, 'and has it');
like($nginx->access_line($requests), qr/redis=127\.0\.0\.1:$master->{tls_port} /, 'at its TLS port');
by_both_workers($master, 'the master');
my $asked = 0;
for my $s ($ha->sentinels) {
    my $clients = $ha->ask($s, 'CLIENT', 'LIST');
    is(join("\n", in_the_clear($clients, $s->{tls_port})), '', 'a sentinel: by TLS only');
    $asked += ours($clients);
}
# each worker listens to one, at least
cmp_ok($asked, '>=', 2, 'and those to the sentinels');

# F23 behind sentinels: the sentinel is not believed

for my $case (['/wrong_ca', 'certificate of Redis is not valid: '],
              ['/wrong_name', 'not for this name: redis\.test'],
              # the alert that says so may be lost in the reset behind it
              ['/no_client', 'certificate required|handshake failure|reset by peer|closed'],
              ['/no_tls', 'closed the connection|reading from Redis failed|reset by peer'],
              ['/to_plain', 'TLS handshake'])
{
    my ($uri, $pattern) = @$case;
    my $mark = $nginx->mark;
    problem(post($uri), 503, 'unavailable', "$uri: 503");
    like($nginx->access_line($requests), qr/error=".*master cannot be found/, "$uri: the reason");
    ok(scalar $nginx->log_lines(qr/at 127\.0\.0\.1:\d+: .*(?:$pattern)/, $mark), "$uri: in the log")
        or diag(substr $nginx->error_log, $mark);
    is($master->cmd('EXISTS', 'list:' . substr $uri, 1), 0, "$uri: nothing is stored");
}

# A failover is heard of and followed

my $load = load(port => $nginx->port, uri => '/ha', senders => 4, retry => 1, pause => 0.005);
sleep 0.5;
my $mark = $nginx->mark;
my ($s) = $ha->sentinels;
is($ha->ask($s, 'SENTINEL', 'FAILOVER', 'mymaster'), 'OK', 'SENTINEL FAILOVER');
my $second = $ha->wait_other($master, 15);
is($second && $second->port, $replica->port, 'there is another master');
my $n = $second->cmd('LLEN', 'list:ha');
ok(wait_for(sub { $second->cmd('LLEN', 'list:ha') > $n + 50 }, slow(15)), 'it gets events');
ok(wait_for(sub { $nginx->log_lines(qr/the master has moved/, $mark) }, slow(5)), '+switch-master is heard')
    or diag(substr $nginx->error_log, $mark);
$load->stop;
# what the old one took until it was demoted is thrown away by Redis: sentinel.t
my $c = $load->compare([grep { /messageId/ } @{ $second->list('list:ha') }]);
is($c->{torn}, 0, 'none torn');
by_both_workers($second, 'the new master');

# the new one dies, the old one comes to be again

ok(wait_for(sub { $master->cmd('INFO', 'replication') =~ /role:slave[^\0]*master_link_status:up/ }, slow(15), 0.05),
   'the old master is a replica');
$second->kill9;
ok($ha->wait_other($second, 20), 'killed: there is another master');
ok(wait_for(sub { post('/ha')->{status} == 200 }, slow(5), 0.05), '200 again');
by_both_workers($master, 'the old master');

$nginx->stop;
unlike($nginx->error_log . join('', $nginx->access), qr/sentinel-secret/, 'no password in the logs');

finish();
