# F17: slots of a cluster move under load by redis-cli's own means: a reshard, a
# node that joins, a rebalance, a node that leaves.  MOVED and ASK are followed:
# nothing is refused, lost, doubled or out of order.  (Redirections that are
# wrong on purpose: ../redirects.t.)

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Cluster;

use constant SENDERS => 16;

my $cluster = Esputnik::Cluster->start(masters => 3, replicas => 1, timeout => slow(2000));
my ($one, $two) = $cluster->masters;
my $nginx = nginx(
    workers => 2, vars => { SEEDS => $cluster->seeds },
    http => 'esputnik_redis c { server %%SEEDS%%; cluster on; }',
    server => <<'END');
esputnik_shards 64;
location /hook { esputnik_pass c; esputnik_key "esputnik:events:{$esputnik_shard}"; }
location /spread { esputnik_pass c; esputnik_key "spread:{$esputnik_shard}"; }
END

my @crc = map {
    my $c = $_;
    $c = $c & 1 ? ($c >> 1) ^ 0xedb88320 : $c >> 1 for 1 .. 8;
    $c;
} 0 .. 255;

sub shard
{
    my ($text) = @_;
    my $c = 0xffffffff;
    $c = ($c >> 8) ^ $crc[($c ^ $_) & 0xff] for unpack 'C*', $text;
    return ($c ^ 0xffffffff) % 64;
}

# One of redis-cli's own means; it must succeed.  Not redis-cli is tested here,
# which gives up where a node is late: slots that it then leaves open are closed
# before the next try.
sub cluster_tool
{
    my ($name, @words) = @_;
    my $start = time;
    my ($ok, $text);
    for my $try (1 .. 3) {
        ($ok, $text) = redis_cli(@words);
        last if $ok;
        diag("$name, try $try: ", substr $text, -2000);
        redis_cli('fix', $one->address, '--cluster-yes');
        agreed("$name, after try $try");
    }
    ok($ok, $name);
    my ($moved) = $text =~ /^Moving (\d+) slots/m;
    $moved //= () = $text =~ /^Moving slot/mg;
    note(sprintf '%s: %d slots, %.1f s', $name, $moved, time - $start) if $moved;
}

# did it succeed, and what it said
sub redis_cli
{
    my (@words) = @_;
    my $tool = redis_binary('cli');
    open my $out, '-|', 'sh', '-c', 'exec "$0" --cluster "$@" 2>&1 </dev/null', $tool, @words
        or die "$tool: $!\n";
    my $text = do { local $/; <$out> };
    close $out;
    return ($? == 0, $text);
}

# all nodes know each other and agree, also the one that has just been told
sub agreed
{
    my ($name) = @_;
    ok($cluster->settled, "$name: all nodes agree") or diag($cluster->views);
}

sub redirected
{
    my $n = 0;
    for my $node ($cluster->nodes) {
        my $info = $node->cmd('INFO', 'errorstats');
        $n += $1 while $info =~ /errorstat_(?:MOVED|ASK):count=(\d+)/g;
    }
    return $n;
}

# 64 shards over the masters

my $http = $nginx->http;
for my $n (0 .. 9) {
    my @ids = map { 100_000 + 200 * $n + $_ } 0 .. 199;
    my $r = $http->request(POST => '/spread', body => events(@ids));
    is($r->{status}, 200, '200 events for all shards') or diag($r->{body});
}
my (%events, %shards, $wrong, $unordered, $total);
for my $shard (0 .. 63) {
    my $node = $cluster->node_of("spread:{$shard}");
    my @ids = map { /"contactId":(\d+)/ } @{ $node->list("spread:{$shard}") };
    $total += @ids;
    $events{ $node->port } += @ids;
    $shards{ $node->port }++;
    $wrong += grep { shard($_) != $shard } @ids;
    $unordered++ if "@ids" ne join ' ', sort { $a <=> $b } @ids;
}
note('spread: ', join ', ', map { "master $_: $shards{$_} shards, $events{$_} events" } sort keys %events);
is($total, 2000, 'all stored');
is(($wrong // 0) . ' ' . ($unordered // 0), '0 0', 'each in its shard, in order');
is(scalar keys %shards, 3, 'on all masters');

# under load

my $load = load(port => $nginx->port, uri => '/hook', senders => SENDERS, retry => 1, pause => 0.03);
sleep 0.5;
my $before = redirected();

cluster_tool('reshard', 'reshard', $one->address, '--cluster-from', $cluster->id($one),
             '--cluster-to', $cluster->id($two), '--cluster-slots', 500,
             '--cluster-yes', '--cluster-pipeline', 10);
agreed('resharded');

my $new = $cluster->fresh;
cluster_tool('add-node', 'add-node', $new->address, $one->address);
agreed('joined');
my $weight = $cluster->id($new) . '=0.12';
cluster_tool('rebalance to the new node', 'rebalance', $one->address, '--cluster-use-empty-masters',
             '--cluster-weight', $weight, '--cluster-pipeline', 10);
agreed('rebalanced');
my @there = grep { $cluster->node_of("esputnik:events:{$_}") == $new } 0 .. 63;
note('the new node has the shards ', join ' ', @there);
cmp_ok(scalar @there, '>', 0, 'the new node has shards');
ok(wait_for(sub { $new->module_clients }, slow(5), 0.1), 'and the module a connection to it');

($weight = $cluster->id($new)) .= '=0';
cluster_tool('rebalance away', 'rebalance', $one->address, '--cluster-weight', $weight,
             '--cluster-pipeline', 10);
agreed('emptied');
my $redirected = redirected() - $before;
cluster_tool('del-node', 'del-node', $one->address, $cluster->id($new));
$cluster->forget($new);
agreed('left');
sleep slow(1);
$load->stop;

my (@all, $misplaced);
for my $shard (0 .. 63) {
    my $list = $cluster->list("esputnik:events:{$shard}");
    push @all, @$list;
    $misplaced += grep { !/"contactId":(\d+)/ || shard($1) != $shard } @$list;
}
my $count = $load->compare(\@all);
my $by = $load->by_status;
note(join(', ', map { "$_ $count->{$_}" } sort keys %$count), ', answers ',
     join(' ', map { "$_: $by->{$_}" } sort keys %$by), ", redirections $redirected");
cmp_ok($redirected, '>', 0, 'there were redirections');
cmp_ok($count->{accepted}, '>', 500, 'events were accepted');
is(join(' ', sort keys %$by), '200', 'not one was refused');
is(scalar @all, $count->{accepted}, 'as many are there as were accepted');
is($count->{$_}, 0, "$_ 0") for qw(lost duplicates disorder refused_stored torn);
is($misplaced // 0, 0, "each contact's events are in one shard");

finish();
