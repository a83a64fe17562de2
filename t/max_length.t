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

# asked for its length some times at once and then now and then, not for each
# refusal
my $llen = sub { $redis->cmd('INFO', 'commandstats') =~ /cmdstat_llen:calls=(\d+)/ ? $1 : 0 };
my ($before, $start) = ($llen->(), time);
for (1 .. 400) {
    my $r = post('/hook', 1);
    is($r->{status}, 503, 'still full') if $r->{status} != 503;
}
cmp_ok($llen->() - $before, '<=', 2 * (11 + 10 * (time - $start)), 'ten looks, and ten a second, at most');

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

# The first POST after a consumer has made room finds it: it waits until Redis
# has told, in each way in which a POST can go.

my $limit = ms(1500);
my $one = nginx(vars => { URL => $redis->url, LIMIT => $limit }, server => <<'END');
esputnik_timeout %%LIMIT%%;
location = /plain { esputnik_pass %%URL%%; esputnik_key plain; esputnik_max_length 5; }
location = /dedup { esputnik_pass %%URL%%; esputnik_key dedup; esputnik_max_length 5; esputnik_dedup 1h; }
location = /keys { esputnik_pass %%URL%%; esputnik_key k:$esputnik_activity_status; esputnik_max_length 5; }
location = /spool {
    esputnik_pass %%URL%%;
    esputnik_key spooled;
    esputnik_max_length 5;
    esputnik_spool %%PREFIX%%/spool;
}
location = /off { esputnik_pass %%URL%%; esputnik_key off; }
location = /same { esputnik_pass %%URL%%; esputnik_key plain; esputnik_value '$esputnik_event'; }
location = /more { esputnik_pass %%URL%%; esputnik_key plain; esputnik_max_length 100; }
END
my $last = 0;
my $next = sub { $one->post($_[0], events(++$last))->{status} };
my $fill = sub {
    my ($uri, $list) = @_;
    $redis->cmd('DEL', $list);
    my @status = map { $next->($uri) } 1 .. 5;
    is("@status", '200 200 200 200 200', "$uri: filled");
};

$redis->flush;
for (['/plain', 'plain'], ['/dedup', 'dedup'], ['/keys', 'k:DELIVERED']) {
    my ($uri, $list) = @$_;
    $fill->($uri, $list);
    is($next->($uri), 503, "$uri: full");
    $redis->cmd('DEL', $list);
    is($next->($uri), 200, "$uri: gone: the first POST is taken");
    list_is($redis, $list, texts($last), "$uri: and there");
    $fill->($uri, $list);
    is($next->($uri), 503, "$uri: full again");
    $redis->cmd('LTRIM', $list, 1, -1);
    is($next->($uri), 200, "$uri: one less: the first POST is taken");
    is($next->($uri), 503, "$uri: the next one is not");
    is($redis->cmd('LLEN', $list), 5, "$uri: as long as it may be");
}
ok(wait_for(sub {
       ($one->access)[-1] =~ / 503 .* redis=127\.0\.0\.1:\d+ time=\d\.\d+ error="the list is full"/
   }, slow(2)), 'the log tells of the question');

# of several lists each is asked for
$redis->flush;
my $status = sub { my ($s) = @_; qq({"contactId":1,"activityStatus":"$s","activityDateTime":"x"}) };
my @statuses = map { "S$_" } 1 .. 4;
my $all = '[' . join(',', map { $status->($_) } @statuses) . ']';
for my $s (@statuses) {
    $one->post('/keys', '[' . $status->($s) . ']') for 1 .. 5;
}
problem($one->post('/keys', $all), 503, 'unavailable', 'four full lists in one POST');
$redis->cmd('DEL', map { "k:S$_" } 1, 2, 4);
problem($one->post('/keys', $all), 503, 'unavailable', 'one is still full');
is($redis->cmd('EXISTS', 'k:S1'), 0, 'nothing of it is stored');
$redis->cmd('DEL', 'k:S3');
accepted($one->post('/keys', $all), 4, 'none is');
is($redis->cmd('LLEN', "k:$_"), 1, "$_ has its event") for @statuses;

# a spool does not take what Redis can
$redis->flush;
$fill->('/spool', 'spooled');
$redis->cmd('DEL', 'spooled');
accepted($one->post('/spool', events(1)), 1, 'spool: gone: not spooled');
list_is($redis, 'spooled', texts(1), 'spool: in Redis');

# another location's limit is none of this one's
$redis->flush;
$fill->('/plain', 'plain');
for my $uri ('/same', '/more') {
    is($next->($uri), 200, "$uri: goes on");
    is($next->('/plain'), 503, "$uri: and the list is as full as before");
}
is($redis->cmd('LLEN', 'plain'), 7, 'has what was taken');

# Redis is slow: all wait for one answer, with their own bodies; some go away
my $commands = sub { $redis->cmd('INFO', 'commandstats') =~ /cmdstat_$_[0]:calls=(\d+)/ ? $1 : 0 };
for my $list ('plain', 'dedup') {
    $redis->flush;
    $fill->("/$list", $list);
    $redis->cmd('DEL', $list);
    my $asked = $commands->('llen');
    $redis->freeze;
    my @clients = map { $one->http } 1 .. 12;
    $_->send_raw(Esputnik::Http->bytes(POST => "/$list", body => events(++$last, $last + 1000))) for @clients;
    my $other = $one->http;
    $other->send_raw(Esputnik::Http->bytes(POST => '/off', body => events(7)));
    sleep 0.1;
    for my $gone (1, 5, 11) {
        $clients[$gone]->reset;
        $clients[$gone] = undef;
    }
    sleep 0.1;
    $redis->thaw;
    is(join(' ', map { $_->response->{status} } grep { $_ } @clients), join(' ', (200) x 9),
       "$list: all who waited are taken");
    # the script asks for itself: with dedup once for each POST
    cmp_ok($commands->('llen') - $asked, '<=', $list eq 'dedup' ? 10 : 1, "$list: asked for all of them together");
    accepted($other->response, 1, "$list: who did not wait, too");
    my %times;
    $times{$_}++ for @{ $redis->list($list) };
    is(scalar(grep { $_ != 1 } values %times), 0, "$list: each once");
    is(scalar keys %times, 18, "$list: those who went away are not there");
    my @ids = map { my $id = $last - 12 + $_; ($id, $id + 1000) } grep { $_ !~ /\A(?:2|6|12)\z/ } 1 .. 12;
    list_is($redis, $list, texts(@ids), "$list: the others in the order in which they came");
    list_is($redis, 'off', texts(7), "$list: and the other one is what it was");
}

# Redis does not tell: within the time that a request has
for my $uri ('/plain', '/spool') {
    $redis->flush;
    my $list = $uri eq '/spool' ? 'spooled' : 'plain';
    $fill->($uri, $list);
    $redis->freeze;
    my $r = $one->post($uri, events(++$last));
    if ($uri eq '/plain') {
        problem($r, 503, 'unavailable', 'Redis is frozen: 503');
    } else {
        is($r->{body}, '{"accepted":1,"spooled":true}', 'Redis is frozen: spooled');
    }
    cmp_ok($r->{time}, '<', slow(2.5), "$uri: in its time");
    $redis->thaw;
    $redis->cmd('DEL', $list);
    wait_for(sub { $one->post('/off', events(1))->{status} == 200 }, slow(5), 0.05);
}
ok(wait_for(sub { $redis->cmd('LLEN', 'spooled') == 1 }, slow(5)), 'and drained when it is back');
direct_again($one, '/spool', 'then direct');

# a user that may push and not ask: there is no limit, and the log says why
$redis->flush;
$redis->cmd('ACL', 'SETUSER', 'default', '-llen');
my @status = map { $next->('/plain') } 1 .. 7;
is("@status", join(' ', (200) x 7), 'LLEN is not allowed: no limit');
like($one->error_log, qr/redis .*NOPERM.*llen/, 'and in the log');
$redis->cmd('ACL', 'SETUSER', 'default', '+llen');

# Redis was away, and has lost the list
$redis->flush;
$fill->('/plain', 'plain');
$redis->restart;
ok(wait_for(sub { $next->('/plain') == 200 }, slow(5), 0.05), 'another Redis: taken');

# what is no length at all: the replies behind it may be others' as well
my $fake = fake_redis(on => {
    RPUSH => sub { $_[0]->send(":9\r\n") },
    LLEN => sub { $_[0]->send($_[0]->mode || ":0\r\n") },
});
my $odd = nginx(vars => { FAKE => $fake->url },
    server => 'location /odd { esputnik_pass %%FAKE%%; esputnik_max_length 5; }');
is($odd->post('/odd', events(1))->{status}, 200, 'a list of nine');
for my $reply ("\$1\r\n0\r\n", "+OK\r\n", ":-1\r\n", "*0\r\n") {
    (my $name = $reply) =~ s/\r\n/ /g;
    my $connections = $fake->connections;
    $fake->mode($reply);
    my $r = $odd->post('/odd', events(2));
    problem($r, 503, 'unavailable', "LLEN: $name: 503");
    $fake->mode('');
    ok(wait_for(sub { $odd->post('/odd', events(3))->{status} == 200 }, slow(3), 0.05),
       "LLEN: $name: taken when it is one");
    cmp_ok($fake->connections, '>', $connections, "LLEN: $name: the link was closed");
}

finish();
