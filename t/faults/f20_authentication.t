# F20: Redis stops to trust us, live: the user is gone (-WRONGPASS), the
# password is another, a password is asked for (-NOAUTH), the command is not
# permitted any more (-NOPERM).

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = redis();
my @user = ('ACL', 'SETUSER', 'hook', 'on', 'resetpass', '~*', '+@all');
$redis->cmd(@user, '>first-secret');
my $port = $redis->port;
my $scene = scene(redis => $redis, url => "redis://hook:first-secret\@127.0.0.1:$port");
my $nginx = $scene->nginx;

sub case
{
    my ($name, $word, $start, $end, %o) = @_;
    $scene->load;
    ok($scene->answered(10), "$name: answers at first");
    my ($mark, $since) = ($nginx->mark, time);
    $start->();
    ok(wait_for(sub { $scene->probe->{status} == 503 }, slow(5), 0.01), "$name: refused");
    ok($scene->answered(10), "$name: answers while it lasts");
    ok(scalar(grep { / 503 .*error="$word/ } $nginx->access), "$name: the reason is told");

    my $lines = () = $nginx->log_lines(qr/\[error\].*esputnik: redis .*$word/, $mark);
    cmp_ok($lines, '<=', 2, "$name: one line in ten seconds from each worker");
    my $all = () = $nginx->log_lines(qr/\[(?:warn|error)\]/, $mark);
    cmp_ok($all, '<=', 2 * 6 * (1 + time - $since), "$name: $all lines in all");

    $end->();
    $scene->recovers(slow(1), $name);
    ok($scene->drained, "$name: the spool is brought in");
    $scene->answered(10, 200);
    # cut: Redis closes the connection, and what it has just executed may be
    # answered no more
    $o{dup} = { plain => $scene->under_way, spool => $scene->under_way }
        if delete $o{cut};
    $scene->verify($name, refused => ['plain', 'plain_dedup'],
                   spooled => ['spool', 'spool_dedup'], %o);
    $redis->flush;
}

case('user gone', 'WRONGPASS', sub { $redis->cmd('ACL', 'DELUSER', 'hook') },
     sub { $redis->cmd(@user, '>first-secret') }, cut => 1);

case('not permitted', 'NOPERM',
     sub { $redis->cmd('ACL', 'SETUSER', 'hook', '-rpush', '-eval', '-evalsha') },
     sub { $redis->cmd('ACL', 'SETUSER', 'hook', '+rpush', '+eval', '+evalsha') });

# rotated: nginx learns the new one by a reload
case('rotated', 'WRONGPASS',
     sub {
         $redis->cmd(@user, '>second-secret');
         $redis->cmd('CLIENT', 'KILL', 'USER', 'hook');
     },
     sub {
         $nginx->configure(vars => { %{ $nginx->{o}{vars} },
             URL => "redis://hook:second-secret\@127.0.0.1:$port" });
         ok($nginx->reload, 'reload with the new one');
     }, died => 1, closed => 1, cut => 1);

$nginx->configure(vars => { %{ $nginx->{o}{vars} }, URL => $redis->url });
ok($nginx->reload, 'reload without one');
$scene->{pids} = join ' ', sort $nginx->worker_pids;
$redis->{password} = 'third-secret';
case('AUTH asked for', 'NOAUTH',
     sub {
         $redis->cmd('CONFIG', 'SET', 'requirepass', 'third-secret');
         $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
     },
     sub { $redis->cmd('CONFIG', 'SET', 'requirepass', '') }, cut => 1);

my $logs = $nginx->error_log . join "\n", $nginx->access;
my $found = () = $logs =~ /(?:first|second|third)-secret/g;
is($found, 0, 'no password in the logs');

finish();
