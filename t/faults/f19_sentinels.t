# F19: sentinels that are wrong, frozen or gone.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Process qw(reap);
use Esputnik::Sentinel;

my $ha = Esputnik::Sentinel->start(down_after => 1000);
my ($master, $replica) = $ha->servers;
my @port = ($master->port, $replica->port);
my $liar = fake_redis(on => {
    SENTINEL => sub {
        my ($c) = @_;
        return $c->send("*-1\r\n") if $c->mode eq 'null';
        my $port = $port[$c->mode eq 'stale' ? 1 : 0];
        $c->send("*2\r\n\$9\r\n127.0.0.1\r\n\$" . length($port) . "\r\n$port\r\n");
    },
    SUBSCRIBE => sub { $_[0]->send("*3\r\n\$9\r\nsubscribe\r\n\$14\r\n+switch-master\r\n:1\r\n") },
});
$liar->mode('stale');
my $nginx = nginx(
    workers => 2, vars => { SENTINELS => $ha->addresses, LIAR => $liar->address, TIMEOUT => ms(600) },
    http => <<'END',
esputnik_redis ha { server %%SENTINELS%%; sentinel mymaster; timeout %%TIMEOUT%%; connect_timeout %%TIMEOUT%%; }
esputnik_redis stale { server %%LIAR%%; sentinel mymaster; timeout %%TIMEOUT%%; connect_timeout %%TIMEOUT%%; }
END
    server => <<'END');
esputnik_timeout %%TIMEOUT%%;
location /ha { esputnik_pass ha; esputnik_key ha; }
location /stale { esputnik_pass stale; esputnik_key stale; }
location /spooled { esputnik_pass stale; esputnik_key spooled; esputnik_spool %%PREFIX%%/spool; }
END

sub post { return $nginx->http->request(POST => $_[0], body => events(1)) }

# A stale one names a replica, then nobody, then the master.

my %load = map { $_ => load(port => $nginx->port, uri => "/$_", senders => 3, retry => 1, pause => 0.01) }
           'stale', 'spooled';
sleep slow(1);
is($load{stale}->by_status->{200} // 0, 0, 'a replica is named: nothing is accepted');
$liar->mode('null');
sleep slow(0.7);
is($load{stale}->by_status->{200} // 0, 0, 'no address: nothing is accepted');
for my $server ($ha->servers) {
    is($server->cmd('EXISTS', 'stale', 'spooled'), 0, 'nothing stored anywhere');
}
$liar->mode('true');
my $start = time;
ok(wait_for(sub { post('/stale')->{status} == 200 }, slow(4), 0.02), 'the master is named: 200');
note(sprintf 'after %.2f s', time - $start);
ok(wait_for(sub { my $r = post('/spooled'); $r->{status} == 200 && $r->{body} !~ /spooled/ },
            slow(5), 0.05), 'the spool is empty');
sleep 0.3;
$_->stop for values %load;
for my $mode (sort keys %load) {
    my $c = $load{$mode}->compare([grep { /messageId/ } @{ $master->list($mode) }]);
    my $by = $load{$mode}->by_status;
    note("$mode: ", join(', ', map { "$_ $c->{$_}" } sort keys %$c), ', answers ',
         join ' ', map { "$_: $by->{$_}" } sort keys %$by);
    cmp_ok($c->{accepted}, '>', 10, "$mode: events were accepted");
    is($c->{$_}, 0, "$mode: $_ 0") for qw(lost duplicates disorder refused_stored torn);
}
is($load{spooled}->by_status->{503} // 0, 0, 'with a spool not one was refused');

# The sentinel that is listened to falls silent without a word: another one is
# listened to, and the next failover is heard of.

accepted(post('/ha'), 1, 'the true sentinels');
accepted(post('/ha'), 1, 'each worker begins with its first request') for 1 .. 30;

sub listeners
{
    my ($s) = @_;
    my @found = grep { /\bname=\S*esputnik/ && /sub=1/ }
                split /\n/, $ha->ask($s, 'CLIENT', 'LIST') // '';
    return scalar @found;
}
my $all = sub { my $n = 0; $n += listeners($_) for @_; return $n };
ok(wait_for(sub { $all->($ha->sentinels) == 2 }, slow(5), 0.1), 'two workers listen');
my ($heard) = grep { listeners($_) } $ha->sentinels;
my @rest = grep { $_ != $heard } $ha->sentinels;
kill 'STOP', $heard->{pid};
$start = time;
ok(wait_for(sub { $all->(@rest) == 2 }, slow(8), 0.05), 'another sentinel is listened to');
my $took = time - $start;
note(sprintf 'after %.2f s', $took);
# a PING a second, its answer within the timeout, and half a second's pause, and
# maybe once more the frozen one
cmp_ok($took, '<', 1 + slow(0.6) * 2 + 1.5 + slow(1), 'in its time');
like($nginx->error_log, qr/127\.0\.0\.1:$heard->{port}: [^\n]*(?:does not answer|not answer in time)/,
     'the log says why');

my $mark = $nginx->mark;
is($ha->ask($rest[0], 'SENTINEL', 'FAILOVER', 'mymaster'), 'OK', 'SENTINEL FAILOVER');
my $moved = sub { scalar $nginx->log_lines('the master has moved', $mark) };
ok(wait_for($moved, slow(15), 0.05), 'the message is heard');
kill 'CONT', $heard->{pid};
my $second = $ha->wait_other($master, 15);
ok(wait_for(sub { post('/ha')->{status} == 200 }, slow(8), 0.05), 'events are taken again');
ok(wait_for(sub { $second->cmd('LLEN', 'ha') > 0 }, slow(3)), 'from the new master');

ok(wait_for(sub { $master->cmd('INFO', 'replication') =~ /role:slave/ }, slow(20), 0.1),
   'the old one is a replica');

# all are gone: the master is known, and stays

my $load = load(port => $nginx->port, uri => '/ha', senders => 3, pause => 0.01, retry => 1);
sleep 0.3;
reap($_->{pid}) for $ha->sentinels;
sleep slow(1.5);
$load->stop;
my $c = $load->compare([grep { /messageId/ } @{ $second->list('ha') }]);
note('no sentinel: ', join ', ', map { "$_ $c->{$_}" } sort keys %$c);
is(join(' ', keys %{ $load->by_status }), '200', 'no sentinel at all: every event is taken');
is($c->{$_}, 0, "$_ 0") for qw(lost duplicates disorder torn);

finish();
