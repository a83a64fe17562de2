# Events on streams: XADD, trimmed, alone and many in one atomic step, read by
# a consumer group, also in a cluster.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use Esputnik::Cluster;

my $redis = redis(args => ['--appendonly', 'yes']);
my $cluster = Esputnik::Cluster->start(masters => 3);
my $nginx = nginx(
    workers => 2,
    vars => { URL => $redis->url, SEEDS => $cluster->seeds },
    http => <<'END',
esputnik_redis nodes { server %%SEEDS%%; cluster on; }
END
    server => <<'END');
location /stream { esputnik_pass %%URL%%; esputnik_push xadd; esputnik_key events; }
location /short { esputnik_pass %%URL%%; esputnik_push xadd maxlen=100; esputnik_key short; }
location /dedup { esputnik_pass %%URL%%; esputnik_push xadd; esputnik_key marked; esputnik_dedup 1h; }
location /list { esputnik_pass %%URL%%; esputnik_push xadd; esputnik_key list; }
location /cluster { esputnik_pass nodes; esputnik_push xadd; esputnik_key "s:$esputnik_shard";
                    esputnik_shards 8; }
END

my $http = $nginx->http;
sub post { my ($uri, $body) = @_; return $http->request(POST => $uri, body => $body) }

# the events of a stream, each entry's only field being `event`
sub entries
{
    my ($server, $key) = @_;
    return [map {
        my ($id, $fields) = @$_;
        @$fields == 2 && $fields->[0] eq 'event' ? $fields->[1] : "strange: @$fields"
    } @{ $server->cmd('XRANGE', $key, '-', '+') }];
}

accepted(post('/stream', events(1)), 1, 'one event');
accepted(post('/stream', events(2 .. 500)), 499, 'many');
is_deeply(entries($redis, 'events'), [map { event($_) } 1 .. 500], 'in order, their own bytes');

accepted(post('/short', events(1 .. 1000)), 1000, 'maxlen');
my $length = $redis->cmd('XLEN', 'short');
cmp_ok($length, '>=', 100, "about 100 are kept: $length");
cmp_ok($length, '<=', 300, 'and not many more');
is(entries($redis, 'short')->[-1], event(1000), 'the newest');
accepted(post('/short', events($_)), 1, 'one by one') for 1001 .. 1003;
is(entries($redis, 'short')->[-1], event(1003), 'the newest');

is(post('/dedup', events(1 .. 10))->{body}, '{"accepted":10}', 'dedup: new');
is(post('/dedup', events(6 .. 15))->{body}, '{"accepted":5,"duplicates":5}', 'half of them twice');
is_deeply(entries($redis, 'marked'), [map { event($_) } 1 .. 15], 'each once, in order');

$redis->cmd('RPUSH', 'list', 'x');
problem(post('/list', events(1)), 503, 'unavailable', 'what is no stream: 503');
problem(post('/list', events(1, 2)), 503, 'unavailable', 'and with several');
is_deeply($redis->list('list'), ['x'], 'as it was');

accepted(post('/cluster', events(1 .. 64)), 64, 'shards of a cluster');
my @all = map { my $node = $cluster->node_of("s:$_"); @{ entries($node, "s:$_") } } 0 .. 7;
is_deeply([sort @all], [sort map { event($_) } 1 .. 64], 'all there');

# A consumer group of a client that people use: each event goes to one of two
# readers, under load; one of them leaves its last ones unacknowledged, and the
# other claims them.

my $load = load(port => $nginx->port, uri => '/stream', senders => 4, events => 3, retry => 1);
my $script = $nginx->write('reader.py', <<'END');
import sys, time
import redis

name, port, leave = sys.argv[1], int(sys.argv[2]), sys.argv[3] == 'leave'
r = redis.Redis(port=port)
try:
    r.xgroup_create('events', 'workers', id='0', mkstream=True)
except redis.ResponseError as e:
    if 'BUSYGROUP' not in str(e):
        raise
end = time.time() + 1.5
quiet = 0
while quiet < 3:
    if leave and time.time() > end:
        r.xreadgroup('workers', name, {'events': '>'}, count=7, block=200)
        break
    found = r.xreadgroup('workers', name, {'events': '>'}, count=50, block=300)
    if not found:
        quiet += 1
        if not leave:
            for id, fields in r.xautoclaim('events', 'workers', name, 100, count=1000)[1]:
                print(fields[b'event'].decode())
                r.xack('events', 'workers', id)
        continue
    quiet = 0
    for id, fields in found[0][1]:
        print(fields[b'event'].decode())
        r.xack('events', 'workers', id)
END
my %readers = map {
    my $name = $_;
    my $leave = $name eq 'first' ? 'leave' : 'stay';
    ($name => Esputnik::Process::spawn(['/usr/bin/python3', $script, $name, $redis->port, $leave],
                                       stderr => $nginx->prefix . "/$name"))
} 'first', 'second';
sleep 2;
$load->stop;
is(Esputnik::Process::wait_exit($readers{$_}, slow(20)), 0, "$_ reader ends") for sort keys %readers;
my @read;
for my $name (sort keys %readers) {
    open my $in, '<', $nginx->prefix . "/$name" or die "$name: $!\n";
    chomp(my @lines = <$in>);
    cmp_ok(scalar @lines, '>', 10, "$name reader had " . @lines);
    push @read, @lines;
}
my $stored = entries($redis, 'events');
is(scalar @read, scalar @$stored, 'what was read is as much as was stored');
is_deeply([sort @read], [sort @$stored], 'every event was read once');
my $c = $load->compare([grep { /messageId/ } @$stored]);
cmp_ok($c->{accepted}, '>', 100, "$c->{accepted} accepted");
is($c->{$_}, 0, "$_ 0") for qw(lost duplicates disorder torn refused_stored);
my $pending = $redis->cmd('XPENDING', 'events', 'workers');
is($pending->[0], 0, 'none is pending');

finish();
