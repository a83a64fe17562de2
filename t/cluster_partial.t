# A POST of which a cluster could store a part only, because the master of the
# other part is dead: 503, and when the slots are served again the sender's
# repetition is stored, each event once with dedup.  With a spool the answer is
# 200, and the spool takes what is not stored yet.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

use Esputnik::Cluster;

# A node that comes back has all that it had answered.
my $cluster = Esputnik::Cluster->start(
    masters => 3, timeout => slow(1000),
    args => ['--cluster-require-full-coverage', 'no', '--appendonly', 'yes', '--appendfsync', 'no']);
my ($live, $dead) = $cluster->masters;

my @modes = qw(plain dedup spool spool_dedup);
my $nginx = nginx(
    vars => { SEEDS => $cluster->seeds },
    http => 'esputnik_redis c { server %%SEEDS%%; cluster on; }',
    server => join "\n", map {
        "location = /$_ { esputnik_pass c; esputnik_key $_:\$esputnik_contact_id; "
        . (/dedup/ ? 'esputnik_dedup 1h; ' : '')
        . (/spool/ ? "esputnik_spool %%PREFIX%%/$_; " : '') . '}'
    } @modes);
my $http = $nginx->http;

sub post { my ($mode, @ids) = @_; return $http->request(POST => "/$mode", body => events(@ids)) }

# For each mode a contact whose list is on the living master, and one on the
# dead one.
my (%on_live, %on_dead);
for my $mode (@modes) {
    ($on_live{$mode}) = grep { $cluster->node_of("$mode:$_", $live) == $live } 1 .. 200;
    ($on_dead{$mode}) = grep { $cluster->node_of("$mode:$_", $live) == $dead } 1 .. 200;
}

# how often the mode's two events are stored, of the living master and of the other
sub stored
{
    my ($mode) = @_;
    return join ' ', map {
        my ($node, $id) = @$_;
        scalar grep { $_ eq event($id) } @{ $node->list("$mode:$id") };
    } [$live, $on_live{$mode}], [$dead, $on_dead{$mode}];
}

accepted(post($_, 1000), 1, "$_: up") for @modes;
isnt($cluster->slot("dedup:$on_live{dedup}"), $cluster->slot("dedup:$on_dead{dedup}"), 'two slots');

$dead->kill9;

for my $mode ('plain', 'dedup') {
    for my $time ('', ', again') {
        problem(post($mode, $on_live{$mode}, $on_dead{$mode}), 503, 'unavailable',
                "$mode: a master of two is dead$time: 503");
    }
}
my $list = sub { my ($mode) = @_; scalar @{ $live->list("$mode:$on_live{$mode}") } };
is($list->('plain'), 2, 'plain: the part of the other master is stored with each try: duplicates');
is($list->('dedup'), 1, 'dedup: that part is stored once');

for my $mode ('spool', 'spool_dedup') {
    my $r = post($mode, $on_live{$mode}, $on_dead{$mode});
    is("$r->{status} $r->{body}", '200 {"accepted":2,"spooled":true}', "$mode: 200, the rest is spooled");
    ok(wait_for(sub { $list->($mode) }, slow(2)), "$mode: a part is stored");
}
# what comes behind it waits for its turn, also for a master that lives
my ($behind) = grep { $_ != $on_live{spool} && $cluster->node_of("spool:$_", $live) == $live } 1 .. 200;
my $r = post('spool', $behind);
is("$r->{status} $r->{body}", '200 {"accepted":1,"spooled":true}', 'spool: an event of the living master is spooled');

# once the others have noticed, nobody serves the slots
ok(wait_for(sub { $live->cmd('CLUSTER', 'INFO') =~ /cluster_slots_fail:[1-9]/ }, slow(10), 0.05),
   'the cluster knows it');
problem(post('dedup', $on_live{dedup}, $on_dead{dedup}), 503, 'unavailable', 'slots of nobody: 503');
is($list->('dedup'), 1, 'dedup: still once');
is(scalar @{ $live->list("spool:$behind") }, 0, 'spool: what came behind waits');

$dead->launch;
ok(wait_for(sub { $live->cmd('CLUSTER', 'INFO') =~ /cluster_slots_fail:0/ }, slow(15), 0.05),
   'the slots are served again');

# the sender's retry
for my $mode ('plain', 'dedup') {
    my $r;
    ok(wait_for(sub {
        $r = post($mode, $on_live{$mode}, $on_dead{$mode});
        return $r->{status} == 200;
    }, slow(5), 0.2), "$mode: the same POST again: 200");
    is($r->{body}, $mode eq 'dedup' ? '{"accepted":1,"duplicates":1}' : '{"accepted":2}',
       "$mode: what it says");
}
is(stored('dedup'), '1 1', 'dedup: each event is stored exactly once');
is((split / /, stored('plain'))[1], 1, 'plain: the part that had failed is stored once');
cmp_ok((split / /, stored('plain'))[0], '>=', 3, 'plain: the other part once for each try');

# the spool's own retry
ok(wait_for(sub { (() = $nginx->error_log =~ /spool \S+ is empty, redis/g) == 2 }, slow(10), 0.05),
   'the spools are drained');
is(stored('spool_dedup'), '1 1', 'spool and dedup: each event is stored exactly once');
is(stored('spool'), '1 1', 'spool: so it is without dedup, as only the rest was spooled');
is(scalar @{ $live->list("spool:$behind") }, 1, 'spool: and what came behind once');

finish();
