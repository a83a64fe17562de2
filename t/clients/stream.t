# esputnik_push xadd and a consumer group of a real client: the worker of
# examples/workers/python/stream_worker.py, killed with an event at hand.

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/lib";
use Esputnik::Test;
use Consumer;

my $queue = 'esputnik:events';
my $redis = redis();
my $nginx = nginx(vars => { URL => $redis->url }, server => <<'END');
client_max_body_size 1m;
location /webhooks { esputnik_pass %%URL%%; esputnik_push xadd; }
location /lenient { esputnik_pass %%URL%%; esputnik_push xadd; esputnik_require contactId; }
END

sub worker
{
    my ($id, %env) = @_;
    return Consumer->start(
        argv => [$Consumer::python, example('workers/python/stream_worker.py')],
        env => { REDIS_URL => $redis->url . '/0', QUEUE => $queue,
                 WORKER_ID => $id, LEASE => 2, ATTEMPTS => 2, %env });
}

# How many events the group has given out that are not acknowledged.
sub pending
{
    my $reply = $redis->cmd('XPENDING', $queue, 'workers');
    return ref $reply ? $reply->[0] : 0;
}

sub lag
{
    for (@{ $redis->cmd('XINFO', 'GROUPS', $queue) }) {
        my %group = @$_;
        return $group{lag} if $group{name} eq 'workers';
    }
    return -1;
}

# killed with an event at hand

ok(Consumer::post_range($nginx, '/webhooks', 1, 2000), 'the events are accepted');
is($redis->cmd('XLEN', $queue), 2000, 'and wait in the stream');
my $first = worker('first');
ok($first->has_handled(20), 'the first worker is at work')
    || diag($first->errors);
ok(wait_for(sub {
    $first->signal('STOP');
    sleep 0.02;    # what it has sent is done by then
    return 1 if pending() == 1;
    $first->signal('CONT');
    return 0;
}, slow(5), 0.0007), 'it has an event at hand');
$first->kill9;
my $entry = $redis->cmd('XPENDING', $queue, 'workers', '-', '+', 1)->[0][0];
my $text = $redis->cmd('XRANGE', $queue, $entry, $entry)->[0][1];
is($text->[0], 'event', 'the field of an entry');
my $at_hand = Consumer::identity_of($text->[1]);
my @before = $first->handled;

my $second = worker('second');
ok(wait_for(sub { lag() == 0 && pending() == 0 }, slow(20)),
   'the second worker handles all the rest') || diag($second->errors);
my @after = $second->handled;
my %seen = map { $_ => 1 } @before, @after;
is(scalar(grep { !$seen{$_} } 1 .. 2000), 0, 'nothing is lost');
is(join(' ', grep { $_ ne $at_hand } Consumer::repeated(@before, @after)), '',
   'nothing but the event at hand comes twice');
is(scalar(grep { $_ eq $at_hand } @after), 1, 'which the second worker was given');
is(Consumer::inversions(grep { $_ ne $at_hand } @after), 0, 'in order');

# what cannot be handled

my $bad = '{"contactId":5,"externalCustomerId":"bad"}';
accepted($nginx->post('/lenient', "[$bad," . numbered(2001) . ']'), 2,
         'an event that cannot be handled');
ok($second->has_handled(@after + 1), 'does not hold back the next one');
my ($head, $event) = split /\n/, $redis->list("$queue:dead")->[0] // '', 2;
is($event, $bad, 'it is a dead letter');
is(decode($head)->{attempts}, 2, 'after the attempts that were allowed');

# another group sees all of them, too

my $other = worker('second', GROUP => 'others');
ok(wait_for(sub { $other->handled >= 2001 }, slow(20)),
   'another group has its own view') || diag($other->errors);
is(scalar(Consumer::repeated($other->handled)), 0, 'each once');

# SIGTERM in the middle

ok(Consumer::post_range($nginx, '/webhooks', 3001, 6000), 'more events');
ok($second->has_handled(@after + 50), 'are worked at');
is($_->stop(5), 0, 'SIGTERM ends the worker') || diag($_->errors)
    for $second, $other;
is(pending(), 0, 'nothing is left at hand');
my @done = grep { $_ > 3000 } $second->handled;
is(join(' ', @done), join(' ', 3001 .. 3000 + @done), 'what was done is done, in order');
is(lag(), 3000 - @done, 'the rest waits');

finish();
