# esputnik_max_length: a list that is as long as it may be takes no more, until
# it is shorter; where there is a spool, this takes them.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Spool;

my $redis = redis();
my $nginx = nginx(workers => 2, vars => { URL => $redis->url }, server => <<'END');
add_header X-Worker $pid always;
location = /hook { esputnik_pass %%URL%%; esputnik_max_length 50; }
location = /left { esputnik_pass %%URL%%; esputnik_key left; esputnik_push lpush; esputnik_max_length 5; }
location = /off { esputnik_pass %%URL%%; esputnik_max_length off; }
location = /keys { esputnik_pass %%URL%%; esputnik_key key:$esputnik_contact_id; esputnik_max_length 5; }
location = /dedup { esputnik_pass %%URL%%; esputnik_key dedup; esputnik_max_length 5; esputnik_dedup 1h; }
location = /bad { esputnik_pass %%URL%%; esputnik_key good; esputnik_invalid quarantine bad; esputnik_max_length 5; }
location = /spool {
    esputnik_pass %%URL%%;
    esputnik_key spool;
    esputnik_max_length 40;
    esputnik_spool %%PREFIX%%/spool;
}
location /in { esputnik_max_length 5; esputnik_key in; location = /in/yes { esputnik_pass %%URL%%; } }
END
my $key = 'esputnik:events';

# on a connection of its own: by either worker
sub post { my ($uri, @ids) = @_; return $nginx->post($uri, events(@ids)) }
sub texts { return [map { event($_) } @_] }

# posts what code gives until both workers have refused and none takes any more
sub refused
{
    my ($uri, $name, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($r, %refused);
    for (1 .. 3000) {
        my ($body, $taken) = $code->();
        $r = $nginx->post($uri, $body);
        if ($r->{status} == 200) {
            $taken->() if $taken;
            %refused = ();
        } else {
            $refused{ $r->{headers}{'x-worker'} }++;
            last if keys %refused == 2;
        }
    }
    is(scalar keys %refused, 2, "$name: refused by both workers");
    problem($r, 503, 'unavailable', "$name: 503");
    like($r->{headers}{'retry-after'} // '', qr/\A[1-9]\d*\z/, "$name: Retry-After");
}

# POSTs of n events; what was taken
sub fill
{
    my ($uri, $n, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @taken;
    refused($uri, $name, sub {
        my @ids = map { @taken + $_ } 1 .. $n;
        return (events(@ids), sub { push @taken, @ids });
    });
    return \@taken;
}

my $taken = fill('/hook', 1, 'full');
list_is($redis, $key, texts(@$taken), 'what was answered 200, and nothing else');
# each worker finds out by the reply to its own push
cmp_ok(scalar @$taken, '>=', 50, 'full: not before it has as many as it may');
cmp_ok(scalar @$taken, '<=', 50 + 2, 'full: and one POST of each worker more, at most');
like(($nginx->access)[-1], qr/ 503 result=unavailable events=1 .*error="the list is full"/,
     'full: $esputnik_error');
like($nginx->error_log, qr/events not stored: the list is full/, 'full: in the log');
accepted(post('/off', 1), 1, 'full: where there is no limit, it goes on');
accepted(post('/left', 1), 1, 'full: another list is not');

# asked for its length now and then, not for each refusal
my $llen = sub { $redis->cmd('INFO', 'commandstats') =~ /cmdstat_llen:calls=(\d+)/ ? $1 : 0 };
my ($before, $start) = ($llen->(), time);
for (1 .. 200) {
    my $r = post('/hook', 1);
    is($r->{status}, 503, 'still full') if $r->{status} != 503;
}
cmp_ok($llen->() - $before, '<=', 2 * (1 + 10 * (time - $start)), 'a look ten times a second at most');

$redis->cmd('LTRIM', $key, 10, -1);
$start = time;
ok(wait_for(sub { post('/hook', 1)->{status} == 200 }, slow(1), 0.02), 'shorter: taken within a second');
note(sprintf 'after %.3f s', time - $start);
$redis->cmd('DEL', $key);
my %takes;
wait_for(sub {
    my $r = post('/hook', 1);
    $takes{ $r->{headers}{'x-worker'} } = $r->{status} == 200;
    $redis->cmd('DEL', $key);
    (grep { $_ } values %takes) == 2;
}, slow(5), 0.01);
is(scalar(grep { $_ } values %takes), 2, 'empty: taken by both workers');

# large POSTs: whole or not at all

$redis->flush;
$taken = fill('/hook', 20, 'POSTs of 20');
list_is($redis, $key, texts(@$taken), 'POSTs of 20: each is whole');
cmp_ok(scalar @$taken, '>=', 50, 'POSTs of 20: not before it is full');
cmp_ok(scalar @$taken, '<=', 49 + 2 * 20, 'POSTs of 20: and one of each worker more, at most');

# other forms

$taken = fill('/left', 1, 'lpush');
cmp_ok($redis->cmd('LLEN', 'left'), '<=', 5 + 2, 'lpush: as long as it may be');
$taken = fill('/dedup', 1, 'dedup');
cmp_ok($redis->cmd('LLEN', 'dedup'), '>=', 5, 'dedup: as long as it may be');
cmp_ok($redis->cmd('LLEN', 'dedup'), '<=', 5 + 2, 'dedup: and no longer');
$redis->cmd('DEL', 'dedup');
ok(wait_for(sub { post('/dedup', 500)->{status} == 200 }, slow(2), 0.02), 'dedup: shorter: taken');
fill('/in/yes', 1, 'inherited');

# several lists: a full one refuses what is for it, and for others beside it

refused('/keys', 'key 1 is full', sub { events(1) });
accepted(post('/keys', 2), 1, 'key 2 is not');
problem(post('/keys', 3, 1), 503, 'unavailable', 'both in one POST: refused');
is($redis->cmd('EXISTS', 'key:3'), 0, 'nothing of it is stored');
accepted(post('/keys', 3, 2), 2, 'without the full one');
cmp_ok($redis->cmd('LLEN', 'key:1'), '<=', 5 + 2, 'key 1 has what it may');
refused('/bad', 'the quarantine is full', sub { '[{}]' });
cmp_ok($redis->cmd('LLEN', 'bad'), '<=', 5 + 2, 'the quarantine has what it may');
accepted(post('/bad', 1), 1, 'good ones go on');

# with a spool: spooled, and drained as the list is consumed

my (@sent, $spooled);
for my $id (1 .. 120) {
    my $r = post('/spool', 2 * $id - 1, 2 * $id);
    is($r->{status}, 200, "POST $id") if $r->{status} != 200;
    $spooled++ if $r->{body} =~ /spooled/;
    push @sent, 2 * $id - 1, 2 * $id;
}
cmp_ok($spooled, '>=', 120 - 22 - 2, "spool: $spooled POSTs are spooled");
sleep 0.7;
my $longest = $redis->cmd('LLEN', 'spool');
cmp_ok($longest, '>=', 40, 'spool: the list is full');
my @got;
ok(wait_for(sub {
    my $length = $redis->cmd('LLEN', 'spool');
    $longest = $length if $length > $longest;
    my $some = $redis->cmd('LPOP', 'spool', 15);
    push @got, @{ $some || [] };
    @got >= @sent;
}, slow(18), 0.05), 'spool: drained as the list is consumed');
is_deeply(\@got, texts(@sent), 'spool: in order, once');
cmp_ok($longest, '<=', 40 + 2 * 2, "spool: the list never had more than it may and a POST a worker ($longest)");
direct_again($nginx, '/spool', 'spool: then direct');

finish();
