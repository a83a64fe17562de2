# The look at what Redis is, on each connection: a warning where 200 would promise
# more than this Redis keeps, once in the log, on the status page while it is so.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use Esputnik::Cluster;

my $safe = redis(args => ['--appendonly', 'yes']);
my $forgetful = redis(args => ['--appendonly', 'no']);
my $evicting = redis(args => ['--appendonly', 'yes', '--maxmemory', '100mb',
                              '--maxmemory-policy', 'allkeys-lru']);
my $replica = redis(args => ['--appendonly', 'yes', '--replicaof', '127.0.0.1', '1',
                             '--replica-read-only', 'no']);
my $hiding = redis(args => ['--appendonly', 'no']);
$hiding->cmd('ACL', 'SETUSER', 'narrow', 'on', '>x', '~*', '+rpush', '+auth');
my $renamed = redis(args => ['--rename-command', 'CONFIG', '', '--rename-command', 'INFO', '',
                             '--rename-command', 'ROLE', '']);

my $nginx = nginx(
    vars => { SAFE => $safe->port, FORGET => $forgetful->port, EVICT => $evicting->port,
              REPLICA => $replica->port, HIDE => $hiding->port, RENAMED => $renamed->port },
    http => <<'END',
esputnik_redis safe { server 127.0.0.1:%%SAFE%%; }
esputnik_redis forgetful { server 127.0.0.1:%%FORGET%%; }
esputnik_redis evicting { server 127.0.0.1:%%EVICT%%; }
esputnik_redis replica { server 127.0.0.1:%%REPLICA%%; }
esputnik_redis hiding { server 127.0.0.1:%%HIDE%%; user narrow; password x; }
esputnik_redis renamed { server 127.0.0.1:%%RENAMED%%; }
END
    server => join '', 'location = /status { esputnik_status json; }',
              map { "location /$_ { esputnik_pass $_; }\n" }
              qw(safe forgetful evicting replica hiding renamed));

sub warnings
{
    my ($from) = @_;
    return $nginx->log_lines(qr/\[warn\]/, $from);
}

my %port = (safe => $safe, forgetful => $forgetful, evicting => $evicting,
            replica => $replica, hiding => $hiding, renamed => $renamed);
my %word = (forgetful => qr/appendonly/, evicting => qr/maxmemory-policy/,
            replica => qr/replica|role/);

for my $name (qw(safe hiding renamed forgetful evicting replica)) {
    my $mark = $nginx->mark;
    accepted($nginx->post("/$name", events(1)), 1, "$name: stored all the same");
    if ($word{$name}) {
        wait_for(sub { scalar warnings($mark) }, slow(2));
        my @warned = warnings($mark);
        is(scalar @warned, 1, "$name: one warning") or diag(@warned);
        like($warned[0] // '', $word{$name}, "$name: of the right thing");
        my $port = $port{$name}->port;
        like($warned[0] // '', qr/$port|$name/, "$name: says where");
    } else {
        sleep slow(0.15);
        is(scalar(my @w = warnings($mark)), 0, "$name: no warning");
        is(scalar(my @e = $nginx->log_lines(qr/\[error\]/, $mark)), 0, "$name: no error");
    }
}

# What the status tells of a deployment, one word for each warning.
sub shown
{
    my ($name, $on) = @_;
    my ($t) = grep { $_->{name} eq $name } @{ decode(($on // $nginx)->get('/status')->{body})->{targets} };
    return join ' ', map { /(appendonly|maxmemory-policy|replica)/ } @{ $t->{warnings} };
}

sub comes_to
{
    my ($name, $want, $what, $on) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for(sub { shown($name, $on) eq $want }, slow(2), 0.05);
    return is(shown($name, $on), $want, "$name: $what");
}

comes_to($_->[0], $_->[1], 'on the status page')
    for ['safe', ''], ['hiding', ''], ['renamed', ''], ['forgetful', 'appendonly'],
        ['evicting', 'maxmemory-policy'], ['replica', 'replica'];

# once: not again on the next connection
my $mark = $nginx->mark;
for my $name (sort keys %port) {
    $port{$name}->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    ok(wait_for(sub { $nginx->post("/$name", events(2))->{status} == 200 }, slow(1), 0.02),
       "$name: reconnected");
}
sleep slow(0.15);
is(scalar(my @again = warnings($mark)), 0, 'not warned of again');

# on the status page it is what the last look has found

sub again
{
    my ($name, $on, $redis) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $redis //= $port{$name};
    $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    ok(wait_for(sub { ($on // $nginx)->post("/$name", events(3))->{status} == 200 }, slow(1), 0.02),
       "$name: reconnected");
}

$mark = $nginx->mark;
$forgetful->cmd('CONFIG', 'SET', 'appendonly', 'yes');
$evicting->cmd('CONFIG', 'SET', 'maxmemory', 0);
$replica->cmd('REPLICAOF', 'NO', 'ONE');
for my $name (qw(forgetful evicting replica)) {
    again($name);
    comes_to($name, '', 'put right');
}
$forgetful->cmd('CONFIG', 'SET', 'appendonly', 'no');
again('forgetful');
comes_to('forgetful', 'appendonly', 'wrong again');
is(scalar(@again = warnings($mark)), 0, 'none of it in the log again');

$safe->stop;
$safe->{args} = ['--appendonly', 'no'];
$safe->launch;
again('safe');
comes_to('safe', 'appendonly', 'another one at its address');
is(scalar(@again = warnings($mark)), 1, 'for the first time: in the log') or diag(@again);

$mark = $nginx->mark;
ok($nginx->reload, 'reload');
is(shown('forgetful'), 'appendonly', 'kept over a reload');
$forgetful->cmd('CONFIG', 'SET', 'appendonly', 'yes');
again('forgetful');
comes_to('forgetful', '', 'put right at last');
again('safe');
is(scalar(@again = warnings($mark)), 0, 'nothing in the log again');

# a cluster's masters each count, whichever was looked at last

my $cluster = Esputnik::Cluster->start(masters => 3, args => ['--appendonly', 'yes']);
my ($bad, @good) = $cluster->masters;
$bad->cmd('CONFIG', 'SET', 'appendonly', 'no');
my $sharded = nginx(
    vars => { SEEDS => $cluster->seeds },
    http => 'esputnik_redis cluster { server %%SEEDS%%; cluster on; }',
    server => 'location = /status { esputnik_status json; }'
              . 'location /cluster { esputnik_pass cluster; esputnik_key k:$esputnik_contact_id; }');
accepted($sharded->post('/cluster', events(1 .. 40)), 40, 'cluster: stored on all masters');
comes_to('cluster', 'appendonly', 'one of the masters', $sharded);
for my $node (@good) {
    $node->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    ok(wait_for(sub { $sharded->post('/cluster', events(1 .. 40))->{status} == 200 }, slow(2), 0.05),
       'cluster: a good one is looked at anew');
    sleep slow(0.15);
    is(shown('cluster', $sharded), 'appendonly', 'cluster: still the other one');
}
$bad->cmd('CONFIG', 'SET', 'appendonly', 'yes');
$bad->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
ok(wait_for(sub { $sharded->post('/cluster', events(1 .. 40))->{status} == 200 }, slow(2), 0.05),
   'cluster: and that one');
comes_to('cluster', '', 'put right', $sharded);

# a failing look is no reason to lose a request: it comes in the same pipeline
is($hiding->cmd('LLEN', 'esputnik:events'), 2, 'a look that fails: all stored');

finish();
