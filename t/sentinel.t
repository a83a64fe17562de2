# A master that sentinels watch: found, followed through failovers, and never
# mistaken for a replica.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use Esputnik::Process qw(reap alive);
use Esputnik::Sentinel;

use constant DOWN_AFTER => 1000;     # ms

# users of the sentinels: one that may do what the module needs, as the
# directives' page says, one that may not ask, one that may not set its name
my $rights = '-@all +ping +subscribe resetchannels &+switch-master';
my $ask = '+sentinel|get-master-addr-by-name';
my $ha = Esputnik::Sentinel->start(
    down_after => DOWN_AFTER, password => 'sentinel-secret', args => ['--appendonly', 'yes'],
    users => ["webhooks on >user-secret $rights $ask +client|setname", "blind on >user-secret $rights",
              "nameless on >user-secret $rights $ask"]);
my $sentinels = $ha->addresses;
my ($first) = map { "127.0.0.1:$_->{port}" } $ha->sentinels;

# sentinels that tell a test's own stories
my $key = 'esputnik:events';
my ($master, $replica) = $ha->servers;
my $address = sub {
    my ($port) = @_;
    return "*2\r\n\$9\r\n127.0.0.1\r\n\$" . length($port) . "\r\n$port\r\n";
};
my ($master_port, $replica_port) = ($master->port, $replica->port);
my $liar = fake_redis(on => {
    SENTINEL => sub {
        my ($c) = @_;
        my $mode = $c->mode;
        return $c->send($address->($1)) if $mode =~ /^name (\d+)/;
        return $c->send("*-1\r\n") if $mode eq 'null';
        return $c->send("-IDONTKNOW No such master\r\n") if $mode eq 'error';
        return $c->send("*2\r\n\$1\r\n?\r\n\$1\r\n0\r\n") if $mode eq 'bad';
        return $c->close if $mode eq 'close';
        return if $mode eq 'mute';
        return $c->send(":1\r\n");
    },
    SUBSCRIBE => sub { $_[0]->send("*3\r\n\$9\r\nsubscribe\r\n\$14\r\n+switch-master\r\n:1\r\n") },
});

my $quick = 'connect_timeout ' . ms(500) . ';';
my $nginx = nginx(
    workers => 2,
    vars => { SENTINELS => $sentinels, FIRST => $first, LIAR => $liar->address },
    files => { secret => "sentinel-secret\n", wrong => "no-sentinel-secret\n", word => "user-secret\n" },
    http => <<"END",
esputnik_redis ha { server %%SENTINELS%%; sentinel mymaster; $quick sentinel_password_file %%PREFIX%%/secret; }
esputnik_redis safe { server %%SENTINELS%%; sentinel mymaster; $quick sentinel_password_file %%PREFIX%%/secret; }
esputnik_redis wide { server %%SENTINELS%%; sentinel mymaster; $quick sentinel_password_file %%PREFIX%%/secret;
    connections 3; database 2; }
esputnik_redis unknown { server %%SENTINELS%%; sentinel nobody; $quick sentinel_password_file %%PREFIX%%/secret; }
esputnik_redis wrong { server %%FIRST%%; sentinel mymaster; $quick sentinel_password_file %%PREFIX%%/wrong; }
esputnik_redis user { server %%SENTINELS%%; sentinel mymaster; $quick sentinel_user webhooks;
    sentinel_password_file %%PREFIX%%/word; }
esputnik_redis nameless { server %%SENTINELS%%; sentinel mymaster; $quick sentinel_user nameless;
    sentinel_password_file %%PREFIX%%/word; }
esputnik_redis blind { server %%FIRST%%; sentinel mymaster; $quick sentinel_user blind;
    sentinel_password_file %%PREFIX%%/word; }
esputnik_redis wrong_user { server %%FIRST%%; sentinel mymaster; $quick sentinel_user nobody;
    sentinel_password_file %%PREFIX%%/word; }
esputnik_redis users_wrong { server %%FIRST%%; sentinel mymaster; $quick sentinel_user webhooks;
    sentinel_password_file %%PREFIX%%/secret; }
esputnik_redis no_user { server %%FIRST%%; sentinel mymaster; $quick sentinel_password_file %%PREFIX%%/word; }
esputnik_redis dead { server 127.0.0.1:1 127.0.0.1:2; sentinel mymaster; $quick }
esputnik_redis liar { server %%LIAR%%; sentinel mymaster; $quick }
esputnik_redis mixed { server 127.0.0.1:1 %%LIAR%%; sentinel mymaster; $quick }
END
    server => join "\n", (map { "location /$_ { esputnik_pass $_; esputnik_key list:$_; }" }
        qw(ha wide unknown wrong dead liar mixed user nameless blind wrong_user users_wrong no_user)),
    'location /asked { esputnik_pass ha; esputnik_key list:asked; }',
    'location /killed { esputnik_pass ha; esputnik_key list:killed; }',
    'location /spooled { esputnik_pass ha; esputnik_key list:spooled; esputnik_spool %%PREFIX%%/spool; }',
    'location /safe { esputnik_pass safe; esputnik_key list:safe; esputnik_ack replicas=2; }');

my $http = $nginx->http;
my $requests = 0;

sub post
{
    my ($uri) = @_;
    $requests++;
    return $http->request(POST => $uri, body => events(1));
}

sub refused
{
    my ($uri, $pattern, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = post($uri);
    problem($r, 503, 'unavailable', "$name: 503");
    like($nginx->access_line($requests), qr/error=".*$pattern/, "$name: the reason");
    cmp_ok($r->{time}, '<', slow(1.5), "$name: soon");
}

accepted(post('/ha'), 1, 'the master is found');
is($master->cmd('LLEN', 'list:ha'), 1, 'and has it');
like($nginx->access_line($requests), qr/redis=127\.0\.0\.1:$master_port /, '$esputnik_redis_addr');
accepted(post('/wide'), 1, 'several connections and a database') for 1 .. 6;
$master->cmd('SELECT', 2);
is($master->cmd('LLEN', 'list:wide'), 6, 'all in it');
$master->cmd('SELECT', 0);

# Several connections, one is lost: the master is asked for anew, and the other
# connection whether it still leads there, while the lost one is made again.
# Either may be heard first.

my $twins = nginx(
    vars => { SENTINELS => $sentinels, LIAR => $liar->address }, files => { secret => "sentinel-secret\n" },
    http => <<"END", server => 'location /pair { esputnik_pass pair; } location /fake { esputnik_pass fake; }');
esputnik_redis pair { server %%SENTINELS%%; sentinel mymaster; $quick sentinel_password_file %%PREFIX%%/secret;
    connections 2; database 3; }
esputnik_redis fake { server %%LIAR%%; sentinel mymaster; $quick connections 2; }
END

sub both { my ($uri) = @_; return 2 == grep { $twins->post($uri, events(1))->{status} == 200 } 1, 2 }

for my $turn (1 .. 20) {
    both('/pair');
    my ($lost) = map { /\bid=(\d+)/ } grep { /\bdb=3\b/ } $master->module_clients;
    $master->cmd('CLIENT', 'KILL', 'ID', $lost // 0);
    ok(wait_for(sub { both('/pair') }, slow(1), 0.02), "one of two is lost, $turn: 200 again") or last;
}

# the question comes as a second ROLE on the connection that is left
my $fake = fake_redis(on => {
    ROLE => sub {
        my ($c) = @_;
        return $c->do_role if $c->seen('ROLE') == 1;
        sleep 0.1;
        return $c->do_role if $c->mode !~ /demoted/;
        $c->send("*5\r\n\$5\r\nslave\r\n\$9\r\n127.0.0.1\r\n:1\r\n\$9\r\nconnected\r\n:0\r\n");
    },
    RPUSH => sub {
        my ($c, $words) = @_;
        return $c->close if $c->mode =~ /lose (\d+)/ && $c->number == $1;
        $c->do_rpush($words);
    },
});
$liar->mode('name ' . $fake->port);
ok(both('/fake'), 'a scripted master');
for my $case (['lose 1', 'it answers late'], ['lose 3, demoted', 'it is none any more']) {
    my ($mode, $name) = @$case;
    $fake->mode($mode);
    both('/fake');
    is($twins->post('/fake', events(1))->{status}, 200, "$name: 200 at once") if $mode !~ /demoted/;
    ok(wait_for(sub { both('/fake') }, slow(1), 0.02), "$name: 200 again");
}
# 200 may come by the new connection before the other one has answered
my $asked = 2 + 2 + 4;
wait_for(sub { both('/fake'); $fake->commands('ROLE') >= $asked }, slow(3), 0.02);
is(scalar $fake->commands('ROLE'), $asked, 'asked each time');

# a user of the sentinels' access control lists, who may do no more than this

sub clients_of
{
    my ($user) = @_;
    return grep { /\buser=$user\b/ } map { split /\n/, $ha->ask($_, 'CLIENT', 'LIST') } $ha->sentinels;
}

for my $user ('user', 'nameless') {
    my $name = $user eq 'user' ? 'webhooks' : $user;
    accepted(post("/$user"), 1, "sentinel_user $name: the master is found");
    is($master->cmd('LLEN', "list:$user"), 1, 'and has it');
    # the subscription is this user's, too
    ok(wait_for(sub { grep { /\bsub=1\b/ } clients_of($name) }, slow(3)), 'a failover will be heard of');
}
is(scalar(grep { !/\bname=ngx_esputnik-\d+/ } clients_of('webhooks')), 0, 'who tells its name');
my @denied = map { my %entry = @$_; "$entry{username} $entry{reason} $entry{object}" }
             map { @{ $ha->ask($_, 'ACL', 'LOG') } } $ha->sentinels;
is(join(', ', grep { /^webhooks/ } @denied), '', 'nothing that it asked for is denied');
is(join(', ', grep { /^nameless/ && !/command client\|setname/ } @denied), '',
   'nor to the other one, but for its name');

refused('/blind', 'master cannot be found: ', 'a user who may not ask');
like($nginx->error_log, qr/at \Q$first\E: the sentinel refused to tell the master/, 'the log says so');
for my $case (['/wrong_user', 'an unknown user'], ['/users_wrong', 'a wrong password of the user'],
              ['/no_user', "a user's password without the user"])
{
    my ($uri, $name) = @$case;
    my $mark = $nginx->mark;
    refused($uri, 'master cannot be found: ', $name);
    ok(scalar $nginx->log_lines(qr/at \Q$first\E: WRONGPASS/, $mark), 'the log says so')
        or diag(substr $nginx->error_log, $mark);
}

# F19: sentinels that are away, do not know, or name another than the master

refused('/unknown', 'master cannot be found: ', 'an unknown master');
like($nginx->error_log, qr/does not know this master/, 'the log says so');
refused('/wrong', 'master cannot be found: ', 'a wrong password of the sentinel');
like($nginx->error_log, qr/at \Q$first\E: WRONGPASS/, 'the log says so');
refused('/dead', 'master cannot be found: ', 'no sentinel');

$liar->mode("name $replica_port");
refused('/liar', 'master cannot be found: ', 'a sentinel that names a replica');
like($nginx->error_log, qr/the sentinel named a replica/, 'the log says so');
for my $mode ('null', 'error', 'bad', 'close', 'nonsense') {
    $liar->mode($mode);
    sleep 0.02;
    refused('/liar', 'master cannot be found: ', "a sentinel's answer: $mode");
}
$liar->mode('mute');
sleep 0.6;
refused('/liar', 'master cannot be found|did not answer', 'a silent sentinel');
$liar->mode("name 1");
sleep 0.6;
refused('/liar', 'master cannot be found: ', 'a master that cannot be reached');
is($_->cmd('EXISTS', 'list:liar'), 0, 'nothing was stored') for $ha->servers;
$liar->mode("name $master_port");
ok(wait_for(sub { post('/liar')->{status} == 200 }, slow(2), 0.05), 'it tells the truth: 200');
ok(wait_for(sub { post('/mixed')->{status} == 200 }, slow(2), 0.05), 'a dead sentinel is passed over');

# A failover that was asked for, under load.  The old master answers until it is
# demoted, and Redis throws away what it took since the other was promoted:
# counted here, and none of it where all replicas had to have it.

my $load = load(port => $nginx->port, uri => '/asked', senders => 4, retry => 1, pause => 0.002);
my $safe = load(port => $nginx->port, uri => '/safe', senders => 4, retry => 1, pause => 0.002);
sleep 0.5;
my ($s) = $ha->sentinels;
is($ha->ask($s, 'SENTINEL', 'FAILOVER', 'mymaster'), 'OK', 'SENTINEL FAILOVER');
my $second = $ha->wait_other($master, 15);
ok($second, 'there is another master');
for my $list ('asked', 'safe') {
    my $n = $second->cmd('LLEN', "list:$list");
    ok(wait_for(sub { $second->cmd('LLEN', "list:$list") > $n }, slow(15)), "it gets events: $list");
}
$_->stop for $load, $safe;

sub counts
{
    my ($name, $load, $list) = @_;
    my $c = $load->compare($list);
    $c->{refusals} = $load->by_status->{503} // 0;
    diag("$name: " . join ', ', map { "$_ $c->{$_}" } sort keys %$c);
    cmp_ok($c->{accepted}, '>', 50, "$name: events were accepted");
    is($c->{torn}, 0, "$name: none torn");
    is($load->by_status->{0} // 0, 0, "$name: every request was answered");
    ok(!(grep { $_->{time} > slow(3.5) } $load->answers), "$name: within its time");
    return $c;
}
my $c = counts('failover asked for', $load, $second->list('list:asked'));
cmp_ok($c->{duplicates}, '<=', 4 * 2, "duplicates, of unknown outcome: $c->{duplicates}");
$c = counts('the same, replicas=2', $safe, $second->list('list:safe'));
is($c->{lost}, 0, 'none lost');

# the old one is a replica now and gets nothing
ok(wait_for(sub { $master->cmd('INFO', 'replication') =~ /role:slave/ }, slow(15)), 'the old master is a replica');
accepted(post('/ha'), 1, 'events go to the new one');
ok(wait_for(sub { !grep { /cmd=(?:rpush|evalsha)/ } $master->module_clients }, slow(3)),
   'and none to the old');

# F18: kill -9 of the master

$load = load(port => $nginx->port, uri => '/killed', senders => 6, retry => 1, pause => 0.005);
my $spooled = load(port => $nginx->port, uri => '/spooled', senders => 4, retry => 1, pause => 0.005);
sleep 0.5;
my $killed = time;
$second->kill9;
sleep 0.2;
my $r = post('/ha');
problem($r, 503, 'unavailable', 'killed: 503');
my $third = $ha->wait_other($second, 20);
my $named = time - $killed;
ok(wait_for(sub { post('/ha')->{status} == 200 }, slow(5), 0.02), '200 again');
my $again = time - $killed;
diag(sprintf 'killed: another master after %.2f s, 200 after %.2f s', $named, $again);
cmp_ok($again, '<', $named + slow(1), 'soon after there is a master');
sleep 0.4;
$_->stop for $load, $spooled;
ok(wait_for(sub { $nginx->error_log =~ /spool .* is empty, redis/ }, slow(5)), 'the spool is drained');
sleep 0.2;
$c = counts('killed, with a spool', $spooled, $third->list('list:spooled'));
is($c->{refusals}, 0, 'not one was refused');
cmp_ok($c->{lost}, '<=', 4, "lost by Redis itself: $c->{lost}");
cmp_ok($c->{duplicates}, '<=', 4 * 2, "duplicates, of unknown outcome: $c->{duplicates}");
is($c->{disorder}, 0, 'in order');
$c = counts('killed', $load, $third->list('list:killed'));
# what the dead one had not replicated is lost by Redis, at most what was in flight
cmp_ok($c->{lost}, '<=', 6, "lost by Redis itself: $c->{lost}");
cmp_ok($c->{duplicates}, '<=', 6 * 2, "duplicates, of unknown outcome: $c->{duplicates}");

# the dead one comes back as a master, for a moment, and then as a replica

$second->launch;
ok(wait_for(sub { $second->cmd('INFO', 'replication') =~ /role:slave/ }, slow(20), 0.1),
   'back, a replica');
accepted(post('/ha'), 1, 'events go to the master');

# all sentinels die: the master goes on; then the master too, and all come back

for my $s ($ha->sentinels) { reap($s->{pid}) }
accepted(post('/ha'), 1, 'no sentinel: the link stays');
$third->kill9;
problem(post('/ha'), 503, 'unavailable', 'no master: 503');
$third->launch;
$ha->launch($_) for $ha->sentinels;
ok(wait_for(sub { post('/ha')->{status} == 200 }, slow(8), 0.05), 'all are back: 200');

# nginx -t, and the reload keeps the way

ok($nginx->reload, 'reload');
$http = $nginx->http;
accepted(post('/ha'), 1, 'after a reload');

$nginx->stop;
unlike($nginx->error_log . join('', $nginx->access), qr/sentinel-secret|user-secret/, 'no password in the logs');

my $said = '';
sub config
{
    my ($block) = @_;
    $nginx->configure(http => "esputnik_redis r {\n$block\n}\n",
                      server => 'location / { esputnik_pass r; }');
    (my $rc, $said) = $nginx->test;
    return $rc;
}

is(config($_), 0, "good: $_") or diag($said) for
    'server 127.0.0.1; sentinel m;',
    'server 127.0.0.1 127.0.0.2:1; server [::1]; sentinel m; database 3; connections 2;',
    'server localhost; sentinel m;',
    'server 127.0.0.1; sentinel m; sentinel_user u; sentinel_password_file %%PREFIX%%/secret;',
    'server 127.0.0.1 127.0.0.2; cluster on;',
    'server 127.0.0.1; cluster on; database 0;',
    'server 127.0.0.1; cluster off;';

for my $case (
    ['server 127.0.0.1 127.0.0.2;', 'several servers.*expected one, or "sentinel" or "cluster on"'],
    ['server 127.0.0.1 127.0.0.2; cluster off;', 'several servers'],
    ['server 127.0.0.1; sentinel m; cluster on;', '"sentinel" and "cluster on".*expected one of them'],
    ['server 127.0.0.1; sentinel m; sentinel n;', '"sentinel" directive is duplicate'],
    ['server 127.0.0.1; sentinel "";', '"sentinel" directive.*the name of a master'],
    ['server 127.0.0.1; sentinel a b;', 'invalid number of arguments in "sentinel"'],
    ['sentinel m;', 'no "server"'],
    ['server 127.0.0.1; sentinel_user u;', 'expected "sentinel" with the name'],
    ['server 127.0.0.1; sentinel_password_file %%PREFIX%%/secret;', 'expected "sentinel" with the name'],
    ['server 127.0.0.1; sentinel m; sentinel_user u;', '"sentinel_user" without a password'],
    ['server 127.0.0.1; sentinel m; sentinel_password_file /nowhere/x;',
     'cannot open "/nowhere/x" of "sentinel_password_file"'],
    ['server 127.0.0.1; cluster yes;', '"cluster" directive.*"on" or "off"'],
    ['server 127.0.0.1; cluster on; cluster on;', '"cluster" directive is duplicate'],
    ['server 127.0.0.1; cluster on; database 1;', '"database" with "cluster on".*expected none, or 0'],
    ['server unix:/tmp/x.sock; cluster on;', '"cluster on" with a unix socket'])
{
    my ($block, $pattern) = @$case;
    isnt(config($block), 0, "bad: $block");
    like($said, qr/\[emerg\].*$pattern/, 'says why');
}

finish();
