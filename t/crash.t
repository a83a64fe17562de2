# Redis killed and started again under load: what was answered 200 is there.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my @durable = ('--appendonly', 'yes', '--appendfsync', 'always');
my $redis = redis(args => \@durable);
my $nginx = nginx(workers => 2, vars => { URL => $redis->url, LIMIT => ms(1000) },
                  server => <<'END');
location /hook { esputnik_pass %%URL%%; esputnik_key load; esputnik_timeout %%LIMIT%%; }
location /several {
    esputnik_pass %%URL%%;
    esputnik_key load:$esputnik_contact_id;
    esputnik_timeout %%LIMIT%%;
}
END

my $rounds = 4;
my $senders = 6;

for my $retry (0, 1) {
    my $how = $retry ? 'with retries' : 'without retries';
    $redis->flush;
    my $load = load(port => $nginx->port, uri => '/hook', senders => $senders,
                    events => 5, retry => $retry);
    for my $round (1 .. $rounds) {
        wait_for(sub { grep({ $_->{status} == 200 } $load->answers) > 50 * $round },
                 slow(5));
        $redis->kill9;
        sleep 0.1;
        $redis->launch;
        my $start = time;
        wait_for(sub { $nginx->get('/hook'); $redis->module_clients }, slow(3), 0.01);
        cmp_ok(time - $start, '<', slow(1), "$how: connected again within a second");
    }
    sleep 0.2;
    $load->stop;

    my $r = $load->compare($redis->list('load'));
    my $by = $load->by_status;
    diag("$how: accepted $r->{accepted}, duplicates $r->{duplicates}, answers "
         . join ' ', map { "$_: $by->{$_}" } sort keys %$by) if $ENV{TEST_VERBOSE};
    is($r->{lost}, 0, "$how: of $r->{accepted} events none is lost");
    is($r->{torn}, 0, "$how: no POST is there in part");
    is($r->{disorder}, 0, "$how: each sender's are in order");
    cmp_ok($by->{503} || 0, '>', 0, "$how: some were refused meanwhile");
    is(join(' ', grep { $_ != 200 && $_ != 503 } keys %$by), '', "$how: by 503 only");

    # the one exception: executed, and the answer lost with Redis; at most what
    # was under way at each kill
    my $most = 5 * $senders * $rounds;
    cmp_ok($r->{duplicates} + $r->{refused_stored}, '<=', $most,
           "$how: outcomes unknown to us are those under way");

    my @slow = grep { $_->{time} > slow(1.5) } $load->answers;
    is(scalar @slow, 0, "$how: every answer came in its time");
}

# several keys in one POST: all or nothing through a crash
$redis->flush;
my $pid = Esputnik::Process::fork_code(sub {
    my $c = $nginx->http;
    for my $n (1 .. 100_000) {
        my $r = eval {
            $c->request(POST => '/several', body => '[' . join(',', map {
                Esputnik::Load::event($_, $n) } 1 .. 8) . ']') };
        $c = $nginx->http unless $r && $r->{status};
    }
});
for (1 .. 3) {
    wait_for(sub { $redis->cmd('LLEN', 'load:1') > 20 }, slow(3));
    $redis->kill9;
    sleep 0.05;
    $redis->launch;
    my $lengths = $redis->cmd('EVAL', 'local r = {} for i = 1, 8 do '
        . 'r[i] = redis.call("LLEN", "load:" .. i) end return r', 0);
    my %seen = map { $_ => 1 } @$lengths;
    is(scalar keys %seen, 1, "eight lists of the same length: @$lengths");
}
Esputnik::Process::reap($pid);

finish();
