# F13: Redis refuses writes for a while: MISCONF (of RDB and of AOF, on a full
# disk), NOREPLICAS, BUSY, MASTERDOWN.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Disk;
use Esputnik::Faults;
use Esputnik::Resp qw(encode_command);

my $disk = Esputnik::Disk->new(size => '16m');
my $redis = redis(args => ['--enable-protected-configs', 'yes']);
my $scene = scene(redis => $redis);

sub config { $redis->cmd('CONFIG', 'SET', @_) }

my %cause = (
    NOREPLICAS => [sub { config('min-replicas-to-write', 1) },
                   sub { config('min-replicas-to-write', 0) }],
    MASTERDOWN => [sub {
                       config('replica-serve-stale-data', 'no', 'replica-read-only', 'no');
                       $redis->cmd('REPLICAOF', '127.0.0.1', 1);
                   },
                   sub {
                       $redis->cmd('REPLICAOF', 'NO', 'ONE');
                       config('replica-serve-stale-data', 'yes', 'replica-read-only', 'yes');
                   }],
    BUSY => [sub {
                 config('busy-reply-threshold', 20);
                 # on a connection of its own: its answer comes at the end
                 my $looping = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                                     PeerPort => $redis->port);
                 Esputnik::Resp->new($looping)
                     ->send(encode_command('EVAL', 'while true do end', 0));
                 $redis->{looping} = $looping;
                 wait_for(sub { $redis->cmd('PING') =~ /BUSY/ }, slow(5));
             },
             sub { $redis->cmd('SCRIPT', 'KILL'); delete $redis->{looping} }],
    'MISCONF, RDB' => [sub {
                           config('dir', $disk->path);
                           $disk->fill;
                           $redis->cmd('BGSAVE');
                           config('save', '3600 1');
                           wait_for(sub { $redis->cmd('INFO', 'persistence')
                                              =~ /rdb_last_bgsave_status:err/ }, slow(5));
                       },
                       sub {
                           $disk->empty;
                           $redis->cmd('BGSAVE');
                           wait_for(sub { $redis->cmd('INFO', 'persistence')
                                              =~ /rdb_last_bgsave_status:ok/ }, slow(5));
                           config('save', '');
                       }],
    'MISCONF, AOF' => [sub {
                           config('dir', $disk->path);
                           config('appendfsync', 'no');
                           config('appendonly', 'yes');
                           wait_for(sub { $redis->cmd('INFO', 'persistence')
                                              =~ /aof_rewrite_in_progress:0/ }, slow(5));
                           $disk->fill;
                       },
                       sub { $disk->empty; config('appendonly', 'no') }],
);

for my $name (sort keys %cause) {
    my ($start, $end) = @{ $cause{$name} };
    my ($word) = $name =~ /(\w+)/;
    $scene->load;
    ok($scene->answered(10), "$name: answers at first");
    $start->();
    ok(wait_for(sub { $scene->probe->{status} == 503 }, slow(5), 0.01), "$name: refused");
    my @before = map { $redis->cmd('LLEN', $_) } qw(plain spool) if $word !~ /BUSY|MASTERDOWN/;
    ok($scene->answered(10), "$name: answers while it refuses");
    is(join(' ', map { $redis->cmd('LLEN', $_) } qw(plain spool)), "@before",
       "$name: and nothing is stored") if @before;
    ok(scalar(grep { / 503 .*error="$word / } $scene->nginx->access), "$name: the reason is told");
    $end->();
    $scene->recovers(slow($word eq 'MISCONF' ? 2.5 : 1), $name);
    $scene->answered(10, 200);
    $scene->verify($name, refused => ['plain', 'plain_dedup'],
                   spooled => ['spool', 'spool_dedup']);
    $redis->flush;
}

$redis->stop;
$disk->remove;
finish();
