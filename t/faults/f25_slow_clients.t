# F25: clients that send half a body, or a byte now and then: 408 when the time
# for the whole body is over, and nobody else is slowed down.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $slow = long(300, 10_000);
my $redis = redis();
my $limit = slow(long(2, 30));    # long enough for all of them to be there at once

# nginx closes idle connections when but a sixteenth is left of those it may have
my $scene = scene(redis => $redis, workers => 1, modes => ['plain', 'spool_dedup'],
                  connections => int(1.2 * $slow) + 200, main => 'worker_rlimit_nofile 20000;',
                  each => 'esputnik_body_timeout ' . int(1000 * $limit) . 'ms;');
my $nginx = $scene->nginx;

sub latencies
{
    my @times;
    for my $load (values %{ $scene->{load} }) {
        push @times, map { $_->{time} } $load->answers;
    }
    return @times;
}

sub percentile
{
    my ($share, @times) = @_;
    @times = sort { $a <=> $b } @times;
    return $times[$share * $#times];
}

$scene->load;
ok($scene->answered(100), 'answers without slow clients');
my @before = latencies();
$scene->verify('no slow clients');
$redis->flush;
$scene->load;

# nginx' own timeout counts between two bytes: these send one again and again
my $bytes = Esputnik::Http->bytes(POST => '/plain', body => events(1 .. 5));
my $half = length($bytes) / 2;
my (@slow, @answered, @late);

# Which of them have an answer, by one call for all.
sub readable
{
    my $wanted = '';
    vec($wanted, fileno $_->{http}{socket}, 1) = 1 for @slow;
    select my $ready = $wanted, undef, undef, 0;
    return $ready;
}

# To read thousands of answers takes longer than they are apart: later.
sub serve
{
    my $ready = readable();
    my $now = time;
    for my $s (splice @slow) {
        my $c = $s->{http};
        if (vec $ready, fileno $c->{socket}, 1) {
            push @late, $now - $s->{start};
            push @answered, $c;
            next;
        }
        $c->send_raw(substr $bytes, $s->{sent}++, 1)
            if $s->{sent} < length($bytes) - 20 && rand() < long(0.2, 0.01);
        push @slow, $s;
    }
}

if ($slow > 500) {    # more than the usual limit of open files
    is(system('prlimit', '--pid', $$, '--nofile=' . ($slow + 1000)), 0, 'limits raised');
}
while (@slow < $slow && !@late) {
    my $c = $nginx->http;
    $c->send_raw(substr $bytes, 0, $half);
    push @slow, { http => $c, start => time, sent => $half };
    serve() if @slow % 200 == 0;
}
is(scalar @slow, $slow, 'all are there at once');
my $end = time + $limit + slow(2);
while (@slow && time < $end) {
    serve();
    sleep 0.05;
}
my ($timeouts, $others) = (0, 0);
for my $c (@answered) {
    $c->response->{status} == 408 ? $timeouts++ : $others++;
    $c->close;
}
is("$timeouts of $slow, others $others, left " . @slow, "$slow of $slow, others 0, left 0",
   'each slow client gets 408');
my ($first, $last) = (percentile(0, @late), percentile(1, @late));
note(sprintf '408 after %.2f to %.2f s', $first, $last);
cmp_ok($first, '>', $limit - 0.2, 'not before the time is over');
cmp_ok($last, '<', $limit + slow(1.5), 'and not long after');

my @after = latencies();
note(sprintf 'p99 of the others: %.1f ms before, %.1f ms with those among %d slow clients',
     1000 * percentile(0.99, @before), 1000 * percentile(0.99, @after), $slow);
cmp_ok(percentile(0.99, @after), '<', percentile(0.99, @before) + slow(0.05),
       'the others are as fast as before');
$scene->verify('slow clients');
is(scalar(grep { !/"messageId"/ } @{ $redis->list('plain') }), 0, 'no half body was stored');

finish();
