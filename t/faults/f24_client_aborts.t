# F24: clients go away, by FIN, RST or RST_STREAM, while the head is read, the
# body is read, Redis is asked, the spool is written: each POST is there once
# or not at all, and nobody gets another's answer.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Env qw(asan valgrind);
use Esputnik::Faults;
use Esputnik::H2;

my $aborts = long(3000, 100_000);
my $redis = redis();
my $scene = scene(redis => $redis, workers => 1, modes => ['plain', 'spool_dedup'],
                  http => 'server { listen 127.0.0.1:%%H2%% http2; http2_max_requests 1000000;'
                      . ' location = /plain { esputnik_pass %%URL%%; esputnik_timeout %%TIMEOUT%%;'
                      . ' esputnik_connect_timeout %%CONNECT%%; esputnik_key plain; } }',
                  vars => { H2 => my $h2_port = Esputnik::Port::free_port() });
my $nginx = $scene->nginx;
srand 24;

my $number = 0;
my ($wrong, $good) = (0, 0);
my ($http, $fds, $rss) = ($nginx->http);
my ($worker) = $nginx->worker_pids;

sub one_abort
{
    my ($uri) = @_;
    $number++;
    my $events = join ',', map { Esputnik::Load::event($number, $_) } 1, 2;
    my $bytes = Esputnik::Http->bytes(POST => $uri, body => "[$events]");
    my $c = $nginx->http;
    my $length = length $bytes;
    my $part = rand() < 0.4 ? int rand $length : $length;
    $c->send_raw(substr $bytes, 0, $part) if $part;
    # up to the time that an answer takes
    sleep rand 0.0006 if rand() < 0.7;
    rand() < 0.5 ? $c->reset : $c->close;
}

# Every so often a sound request on a connection of its own, half of which
# Redis refuses: it gets its own answer.
sub one_sound
{
    my ($uri) = @_;
    my $stuck = rand() < 0.5;
    my $r = $http->request(POST => $stuck ? '/wrong' : $uri, body => events(1));
    if ($r->{status} == ($stuck ? 503 : 200)) {
        $good++;
    } else {
        $wrong++;
    }
}

$nginx->configure(server => $nginx->{o}{server} . <<'END');
location = /wrong { esputnik_pass %%URL%%; esputnik_timeout %%TIMEOUT%%;
                    esputnik_connect_timeout %%CONNECT%%; esputnik_key wrong; }
END
ok($nginx->reload, 'reload');
$scene->{pids} = join ' ', $nginx->worker_pids;
($worker) = $nginx->worker_pids;
$redis->cmd('SET', 'wrong', 'a string');
$http = $nginx->http;

# twice, so that the worker's memory can be compared with what one round needs
for my $uri ('/plain', '/spool_dedup', '/plain', '/spool_dedup') {
    for my $state ($uri eq '/spool_dedup' ? ('up', 'spooling') : 'up') {
        $redis->cmd('CONFIG', 'SET', 'min-replicas-to-write', 1) if $state eq 'spooling';
        for my $n (1 .. $aborts / 6) {
            one_abort($uri);
            one_sound($uri) if $n % 20 == 0 && $state eq 'up';
        }
        $redis->cmd('CONFIG', 'SET', 'min-replicas-to-write', 0);
        ok($scene->drained, "$uri, $state: nothing is left in the spool");
    }
    ($fds, $rss) = (fds_of($worker), rss_of($worker)) if $uri eq '/spool_dedup' && !$fds;
    # of each POST two events, side by side, once
    my (%times, $torn);
    my @list = grep { /"messageId"/ } @{ $redis->list(substr $uri, 1) };
    while (my ($one, $other) = splice @list, 0, 2) {
        my ($post) = $one =~ /"contactId":(\d+),"messageId":1/;
        $times{ $post || 0 }++;
        $torn++ unless $post && ($other // '') =~ /"contactId":$post,"messageId":2/;
    }
    note("$uri: ", scalar keys %times, ' aborted POSTs are there');
    is($torn || 0, 0, "$uri: each as a whole");
    is(scalar(grep { $_ != 1 } values %times), 0, "$uri: each once or not at all");
    cmp_ok(scalar keys %times, '>', 0, "$uri: some were stored");
    $redis->cmd('DEL', substr $uri, 1);
}
cmp_ok(scalar(grep { / 499 / } $nginx->access), '>', 0, 'some were noticed while Redis was asked');

# HTTP/2: streams that are reset in all states, many in one connection
my $streams = 0;
for my $round (1 .. 20) {
    my $h2 = Esputnik::H2->connect($h2_port);
    for (1 .. $aborts / 100) {
        my $body = '[' . Esputnik::Load::event(++$number, 1) . ']';
        my $stream = $h2->post('/plain');
        $streams++;
        my $how = int rand 4;
        $h2->data($stream, substr($body, 0, $how < 2 ? 20 : length $body), $how == 3) if $how;
        $h2->rst($stream);
        one_sound('/plain') if $streams % 20 == 0;
    }
}
my %times;
for (@{ $redis->list('plain') }) {
    my ($post) = /"contactId":(\d+),"messageId"/ or next;
    $times{$post}++;
}
is(scalar(grep { $_ != 1 } values %times), 0, "h2: of $streams reset streams each once at most");

is($wrong, 0, "sound requests in between: $good got their own answers");
ok(wait_for(sub { fds_of($worker) <= $fds + 2 }, slow(3)), 'no descriptor is left open');
my $grown = rss_of($worker) - $rss;
note("$aborts aborts, $streams reset streams, the worker has grown by $grown kB");
cmp_ok($grown, '<', 1024, 'the worker has not grown') unless asan() || valgrind();
is(join(' ', $nginx->worker_pids), $scene->{pids}, 'the worker lives');

finish();
