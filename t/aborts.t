# Clients that go away while Redis is asked: the place in the queue stays, the
# reply is dropped, and everybody else gets his own answer.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

# answers late, and by what is pushed: status BAD is refused
my $fake = fake_redis(on => {
    RPUSH => sub {
        my ($c, $words) = @_;
        sleep $c->mode || 0;
        $c->send($words->[2] =~ /BAD/ ? "-ERR a bad one\r\n" : $c->push_reply($words));
    },
});
my $redis = redis();
my $nginx = nginx(vars => { FAKE => $fake->url, URL => $redis->url }, server => <<'END');
location /fake { esputnik_pass %%FAKE%%; esputnik_timeout 20s; }
location /hook { esputnik_pass %%URL%%; }
END

sub with_status { return '[{"contactId":1,"activityStatus":"' . $_[0] . '","activityDateTime":"x"}]' }
my ($good, $bad) = (with_status('READ'), with_status('BAD'));

$fake->mode(slow(0.1));
is($nginx->post('/fake', $good)->{status}, 200, 'a good one');
is($nginx->post('/fake', $bad)->{status}, 503, 'a bad one');

for my $how ('close', 'reset') {
    for my $first ($good, $bad) {
        my $second = $first eq $good ? $bad : $good;
        my $gone = $nginx->http;
        $gone->send_raw(Esputnik::Http->bytes(POST => '/fake', body => $first));
        sleep 0.03;
        $gone->$how;
        my $http = $nginx->http;
        is($http->request(POST => '/fake', body => $second)->{status},
           $second eq $good ? 200 : 503, "$how, then its own answer");
        is($http->request(POST => '/fake', body => $first)->{status},
           $first eq $good ? 200 : 503, 'and again');
    }
}
is($fake->connections, 1, 'on one connection all the time');
is(scalar($fake->commands('RPUSH')), 14, 'what was sent was sent, gone or not');
my @lost = grep { / 499 / } $nginx->access;
is(scalar @lost, 4, 'logged as 499');

# a pipelining client that goes away with several requests under way
my $gone = $nginx->http;
$gone->send_raw(Esputnik::Http->bytes(POST => '/fake', body => $bad) x 3);
sleep 0.03;
$gone->reset;
is($nginx->post('/fake', $good)->{status}, 200, 'behind an aborted pipeline');

# by the thousand, at random moments, good and bad, against a real Redis
$redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
$fake->mode(0);
srand 17;
my $body = events(1 .. 20);
my $bytes = Esputnik::Http->bytes(POST => '/hook', body => $body);
my $count = int(1500 / Esputnik::Env::slow_factor());
for (1 .. $count) {
    my $c = $nginx->http;
    my $part = rand() < 0.3 ? int rand length $bytes : length $bytes;
    $c->send_raw(substr $bytes, 0, $part);
    sleep rand 0.001 if rand() < 0.5;
    rand() < 0.5 ? $c->reset : $c->close;
}
my $http = $nginx->http;
for (1 .. 100) {
    my $status = $http->request(POST => '/hook', body => $body)->{status};
    is($status, 200, "after $count aborts") if $_ == 100 || $status != 200;
}
is($redis->cmd('LLEN', 'esputnik:events') % 20, 0, 'all or nothing of every POST');

# the same with bad and good mixed, each told apart by its answer
my $wrong = 0;
for (1 .. 200) {
    my $c = $nginx->http;
    $c->send_raw(Esputnik::Http->bytes(POST => '/fake', body => rand() < 0.5 ? $good : $bad));
    sleep 0.001 if rand() < 0.5;
    $c->reset;
    my $mine = rand() < 0.5;
    my $r = $http->request(POST => '/fake', body => $mine ? $good : $bad);
    $wrong++ if $r->{status} != ($mine ? 200 : 503);
}
is($wrong, 0, 'nobody got the answer of one who had gone');

finish();
