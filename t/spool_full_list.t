# esputnik_max_length with a spool: a full list keeps back what is for it, and
# nothing else; no list gets more than it may, however many are full.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Spool;

my $redis = redis();
my $nginx = nginx(workers => 2, vars => { URL => $redis->url }, http => <<'END', server => <<'END');
esputnik_spool %%PREFIX%%/spool;
END
location = /keys {
    esputnik_pass %%URL%%;
    esputnik_key key:$esputnik_contact_id;
    esputnik_max_length 5;
}
location = /stream { esputnik_pass %%URL%%; esputnik_key stream; esputnik_push xadd; }
END
my $folder = $nginx->prefix . '/spool';

# numbered events, and what of them each list is to have
my ($n, %want);

sub post
{
    my ($uri, @ids) = @_;
    my @events = map { event($_, '"n":' . ++$n) } @ids;
    my $r = $nginx->post($uri, '[' . join(',', @events) . ']');
    push @{ $want{$ids[$_]} }, $events[$_] for 0 .. $#ids;
    return $r;
}

sub length_of { return $redis->cmd('LLEN', "key:$_[0]") }
sub has { my ($id) = @_; return length_of($id) == @{ $want{$id} } }

# until the spool takes them
sub fill
{
    my ($id) = @_;
    for (1 .. 20) {
        my $r = post('/keys', $id);
        return 1 if $r->{body} =~ /spooled/;
    }
    return 0;
}

# one list is full and nobody reads it

ok(fill(1), 'a list is full: spooled');
my $length = length_of(1);
cmp_ok($length, '<=', 5 + 2, 'it has as many as it may, and one of each worker');
spooled(post('/keys', 2), 1, 'for another list: behind it') for 1 .. 3;
spooled(post('/keys', 3, 1), 2, 'for a third one and the full one');
spooled(post('/keys', $_), 1, 'and more') for 3, 4, 1, 4;
spooled(post('/stream', 8), 1, 'and for a stream') for 1 .. 9;
ok(wait_for(sub { has(2) && has(4) }, slow(3), 0.02), 'other lists get theirs');
list_is($redis, "key:$_", $want{$_}, "in order: key $_") for 2, 4;
ok(wait_for(sub { $redis->cmd('XLEN', 'stream') == 9 }, slow(3), 0.02), 'and a stream, without a limit');
is($redis->cmd('EXISTS', 'key:3'), 0, 'a POST is whole: what came with the full one waits');
ok(scalar $nginx->log_lines(qr/spool "\Q$folder\E" waits: the list is full/), 'the log says so');
sleep 1.2;
is(length_of(1), $length, 'the full one stays as it is');
for (1 .. 2) {
    spooled(post('/keys', 2), 1, 'newer ones still go behind');
    ok(wait_for(sub { has(2) }, slow(2), 0.02), 'and get through');
}

# somebody reads it

my @got;
ok(wait_for(sub {
    push @got, @{ $redis->cmd('LPOP', 'key:1', 2) || [] };
    return @got >= @{ $want{1} };
}, slow(20), 0.05), 'it is read: the rest comes');
is_deeply(\@got, $want{1}, 'in order, once');
ok(wait_for(sub { has(3) }, slow(5), 0.02), 'and what came with it');
list_is($redis, "key:$_", $want{$_}, "in order, once: key $_") for 2 .. 4;
ok(wait_for(sub { !segments($folder) }, slow(5), 0.05), 'the spool is empty');

# more full lists than a worker remembers

$redis->flush;
%want = ();
my @ids = 1001 .. 1100;
for my $round (1 .. 9) {
    post('/keys', $_)->{status} == 200 or fail("round $round, key $_") for @ids;
}
my $longest = sub { my ($max) = sort { $b <=> $a } map { length_of($_) } @ids; $max };
ok(wait_for(sub { !grep { length_of($_) < 5 } @ids }, slow(5), 0.05), 'a hundred lists are full');
cmp_ok($longest->(), '<=', 5 + 2, 'and have no more than they may');
post('/keys', 1);
ok(wait_for(sub { has(1) }, slow(3), 0.02), 'another one gets its event');
sleep 2.5;
cmp_ok($longest->(), '<=', 5 + 2, 'nor have they after a while');
my %got;
ok(wait_for(sub {
    push @{ $got{$_} }, @{ $redis->cmd('LPOP', "key:$_", 5) || [] } for @ids;
    return !grep { @{ $got{$_} } < 9 } @ids;
}, slow(20), 0.1), 'all are read: the rest comes');
is_deeply(\%got, { map { $_ => $want{$_} } @ids }, 'in order, once');
direct_again($nginx, '/keys', 'then direct');

finish();
