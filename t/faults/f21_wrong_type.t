# F21: a key holds something else than a list (-WRONGTYPE): what is for it
# waits in the spool, and all other keys go on.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = redis();
my $scene = scene(redis => $redis, server => <<'END');
location = /stuck {
    esputnik_pass %%URL%%;
    esputnik_timeout %%TIMEOUT%%;
    esputnik_connect_timeout %%CONNECT%%;
    esputnik_key stuck;
    esputnik_spool %%PREFIX%%/spool;
}
END
$redis->cmd('SET', 'stuck', 'a string');

my $http = $scene->nginx->http;
my @stuck;
for my $n (1 .. 20) {
    my $event = event($n);
    my $r = $http->request(POST => '/stuck', body => "[$event]");
    is($r->{status}, 200, 'for the stuck key: 200') if $n == 1 || $r->{status} != 200;
    push @stuck, $event if $r->{status} == 200;
}

# the others: plain ones are not concerned, spooled ones queue and go on
$scene->load;
ok($scene->answered(30), 'answers meanwhile');
$_->stop for values %{ $scene->{load} };
my $seconds = slow(3);
for my $mode (sort keys %{ $scene->{load} }) {
    my $load = $scene->{load}{$mode};
    my $r;
    my $start = time;
    ok(wait_for(sub { $r = $load->compare($redis->list($mode)); !$r->{lost} }, $seconds, 0.05),
       "$mode: all are in Redis though another key is stuck");
    note(sprintf '%s: %d events, the last of them %.2f s after their answers', $mode,
         $r->{accepted}, time - $start);
}
is($redis->cmd('GET', 'stuck'), 'a string', 'the stuck key is untouched');
ok(scalar(grep { /spool .*waits: .*WRONGTYPE/ } $scene->nginx->log_lines(qr/WRONGTYPE/)),
   'the log says what the spool waits for');

$redis->cmd('DEL', 'stuck');
ok(wait_for(sub { $redis->cmd('LLEN', 'stuck') == @stuck }, slow(5), 0.05),
   'the key is free: what had waited comes');
list_is($redis, 'stuck', \@stuck, 'in order, once');
$scene->verify('wrong type', spooled => ['spool', 'spool_dedup']);

# without a spool: 503, nothing is stored
$redis->cmd('SET', 'plain', 'a string');
$scene->load(modes => ['plain'], retry => 0);
ok($scene->answered(20), 'without a spool: answers');
my $load = delete $scene->{load}{plain};
$load->stop;
is(join(' ', keys %{ $load->by_status }), '503', 'all 503');
is($redis->cmd('GET', 'plain'), 'a string', 'nothing is stored');

finish();
