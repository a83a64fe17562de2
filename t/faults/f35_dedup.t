# F35: dedup: Redis dies while it runs the script; marks and events are one; a
# retry after a push that failed is stored; marks that are lost make
# duplicates, never losses.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = lasting_redis();
my $proxy = proxy($redis->port);
my $scene = scene(redis => $redis, url => $proxy->url, modes => ['plain_dedup', 'spool_dedup'],
                  server => <<'END');
location = /short { esputnik_pass %%URL%%; esputnik_key short; esputnik_dedup 2s; }
END
my $nginx = $scene->nginx;

# killed in the middle of scripts, again and again
$scene->load(senders => 4, events => 20);
ok($scene->answered(5), 'answers at first');
my $kills = long(6, 60);
for (1 .. $kills) {
    sleep rand slow(0.1);
    $redis->kill9;
    $redis->launch;
    $scene->answered(3, 200);
}
$scene->verify("killed $kills times", refused => ['plain_dedup']);

# an event that was refused is stored by its retry, and then known
$redis->flush;
my $one = '[' . event(1) . ']';
$redis->cmd('CONFIG', 'SET', 'maxmemory', 1, 'maxmemory-policy', 'noeviction');
is($nginx->post('/plain_dedup', $one)->{status}, 503, 'refused: no memory');
$redis->cmd('CONFIG', 'SET', 'maxmemory', 0);
my $r = $nginx->post('/plain_dedup', $one);
is("$r->{status} $r->{body}", '200 {"accepted":1}', 'its retry is stored');
like($nginx->post('/plain_dedup', $one)->{body}, qr/"duplicates":1/, 'another is a duplicate');
list_is($redis, 'plain_dedup', [event(1)], 'there once');

# the answer was lost: the retry is not stored again
my $two = '[' . event(2) . ']';
$proxy->rules(replies => 0, then => 'rst', arm => 'EVALSHA');
is($nginx->post('/plain_dedup', $two)->{status}, 503, 'the answer is lost: 503');
$proxy->rules;
ok(wait_for(sub { $r = $nginx->post('/plain_dedup', $two); $r->{status} == 200 }, slow(2)),
   'its retry is 200');
like($r->{body}, qr/"duplicates":1/, 'as a duplicate');
list_is($redis, 'plain_dedup', [event(1), event(2)], 'there once');

# the marks are lost: duplicates, and no loss
my @marks = grep { /dedup:/ } @{ $redis->cmd('KEYS', '*') };
cmp_ok(scalar @marks, '>', 0, 'there are marks');
$redis->cmd('DEL', @marks);
is($nginx->post('/plain_dedup', $two)->{body}, '{"accepted":1}', 'marks lost: stored again');
list_is($redis, 'plain_dedup', [event(1), event(2), event(2)], 'twice');

# marks with Redis' answer of another script flush
$redis->cmd('SCRIPT', 'FLUSH');
is($nginx->post('/plain_dedup', '[' . event(3) . ']')->{body}, '{"accepted":1}',
   'the script is forgotten: loaded again');

# the edge of the window: known for all of it, forgotten a tenth or two later
$redis->flush;
is($nginx->post('/short', $one)->{body}, '{"accepted":1}', 'a window of 2 s: stored');
my $start = time;
my ($known, $stored_again) = (0, 0);
until ($stored_again || time - $start > 8) {
    my $before = time - $start;
    $r = $nginx->post('/short', $one);
    if ($r->{body} =~ /duplicates/) {
        $known = $before;
    } else {
        $stored_again = time - $start;
    }
    sleep 0.1;
}
note(sprintf 'known until %.1f s, stored again after %.1f s', $known, $stored_again);
cmp_ok($stored_again, '>=', 2, 'not before the window ends');
cmp_ok($stored_again, '<', 2 * 1.5 + slow(1), 'and not long after');
list_is($redis, 'short', [event(1), event(1)], 'twice');

finish();
