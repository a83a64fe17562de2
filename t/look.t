# The look at what Redis is, once: a warning where 200 would promise more than
# this Redis keeps.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

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
    server => join '', map { "location /$_ { esputnik_pass $_; }\n" }
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

# once: not again on the next connection
my $mark = $nginx->mark;
for my $name (sort keys %port) {
    $port{$name}->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    ok(wait_for(sub { $nginx->post("/$name", events(2))->{status} == 200 }, slow(1), 0.02),
       "$name: reconnected");
}
sleep slow(0.15);
is(scalar(my @again = warnings($mark)), 0, 'not warned of again');

# a failing look is no reason to lose a request: it comes in the same pipeline
is($hiding->cmd('LLEN', 'esputnik:events'), 2, 'all stored');

finish();
