package Consumer;

# What the tests of the consuming side share: programs of examples/ as child
# processes, what they have handled, and the one test that every worker passes.

use strict;
use warnings;

use Exporter 'import';
use File::Temp qw(tempdir);

use Esputnik::Process qw(spawn alive wait_exit reap);
use Esputnik::Test;

our @EXPORT = qw(example worker_is_reliable numbered);

# Debian's own, which has Debian's modules, whatever comes first in PATH.
our $python = '/usr/bin/python3';

$ENV{NODE_PATH} ||= root() . '/build/npm/node_modules';

sub example { return root() . "/examples/$_[0]" }

# The text of an event whose externalCustomerId is the number; more members.
sub numbered
{
    my ($number, $more) = @_;
    return event(3_000_000_000 + $number, qq("externalCustomerId":"$number",)
        . qq("messageName":"\xd1\x82\\u0435\\n\\"st\\" $number")
        . (defined $more ? ",$more" : ''));
}

# A program: argv => [...], env => {...}.
sub start
{
    my ($class, %o) = @_;
    my $folder = tempdir('esputnik-worker-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { folder => $folder, %o }, $class;
    $self->{pid} = spawn(
        ['sh', '-c', 'out=$1; shift; exec "$@" >>"$out"', 'sh', "$folder/out",
         @{ $o{argv} }],
        stderr => "$folder/err",
        env => { PYTHONDONTWRITEBYTECODE => 1, %{ $o{env} || {} } });
    return $self;
}

sub signal { my ($self, $name) = @_; kill $name, $self->{pid} }
sub kill9 { my ($self) = @_; reap($self->{pid}) }
sub running { my ($self) = @_; return alive($self->{pid}) }

# SIGTERM; the exit status, or undef when it still runs.
sub stop
{
    my ($self, $seconds) = @_;
    $self->signal('TERM');
    return wait_exit($self->{pid}, slow($seconds || 10));
}

sub _read
{
    my ($self, $name) = @_;
    open my $in, '<', "$self->{folder}/$name" or return '';
    local $/;
    return scalar(<$in>) // '';
}

sub errors { my ($self) = @_; return $self->_read('err') }

# The numbers of the events in the order in which handle() saw them.
sub handled
{
    my ($self) = @_;
    return map { (split /\t/)[3] } split /\n/, $self->_read('out');
}

sub has_handled
{
    my ($self, $n, $seconds) = @_;
    return wait_for(sub { $self->handled >= $n }, slow($seconds || 20));
}

sub identity_of
{
    my ($event) = @_;
    return $event =~ /"externalCustomerId":"(\w+)"/ ? $1 : undef;
}

sub inversions
{
    my ($last, $n) = (0, 0);
    for (@_) {
        $n++ if $_ < $last;
        $last = $_;
    }
    return $n;
}

sub repeated
{
    my %seen;
    return grep { $seen{$_}++ } @_;
}

# Posts numbered events, 500 at a time.
sub post_range
{
    my ($nginx, $uri, $first, $last) = @_;
    my $http = $nginx->http;
    for (my $at = $first; $at <= $last; $at += 500) {
        my $end = $at + 499 < $last ? $at + 499 : $last;
        my $body = '[' . join(',', map { numbered($_) } $at .. $end) . ']';
        my $r = $http->request(POST => $uri, body => $body);
        return 0 if $r->{status} != 200;
    }
    return 1;
}

# Kills a worker with an event at hand, loses a reply to another, gives it an
# event that it cannot handle, and ends it in the middle of its work.
sub worker_is_reliable
{
    my ($name, $argv, %env) = @_;
    my $queue = "esputnik:events";
    my $redis = redis();
    my $proxy = proxy($redis->port);
    my $nginx = nginx(vars => { URL => $redis->url }, server => <<'END');
client_max_body_size 1m;
location /webhooks { esputnik_pass %%URL%%; }
location /lenient { esputnik_pass %%URL%%; esputnik_require contactId; }
END
    my $launch = sub {
        my ($id, $url) = @_;
        return Consumer->start(argv => $argv, env => {
            REDIS_URL => "$url/0", QUEUE => $queue, WORKER_ID => $id,
            LEASE => 2, ATTEMPTS => 2, %env });
    };
    my $length = sub { $redis->cmd('LLEN', "$queue$_[0]") };

    # killed with an event at hand

    ok(post_range($nginx, '/webhooks', 1, 3000), 'the events are accepted');
    is($length->(''), 3000, 'and wait in the queue');
    my $first = $launch->('first', $redis->url);
    ok($first->has_handled(20), 'the first worker is at work')
        || do { diag($first->errors); return finish() };
    my $at_hand = wait_for(sub {
        $first->signal('STOP');
        sleep 0.02;    # what it has sent is done by then
        my $list = $redis->list("$queue:processing:first");
        return $list->[0] if @$list;
        $first->signal('CONT');
        return undef;
    }, slow(5), 0.0007);
    ok(defined $at_hand, 'it has an event at hand');
    $first->kill9;
    is($length->(':processing:first'), 1, 'and is killed');
    $at_hand = identity_of($at_hand // '');
    my @before = $first->handled;
    cmp_ok(scalar @before, '<', 3000, 'before it has handled all');

    # another one takes over

    my $second = $launch->('second', $proxy->url);
    ok(wait_for(sub {
        $length->('') == 0 && $length->(':processing:first') == 0
            && $length->(':processing:second') == 0
    }, slow(20)), 'the second worker handles all the rest')
        || diag($second->errors);
    my @after = $second->handled;
    my %seen = map { $_ => 1 } @before, @after;
    is(scalar(grep { !$seen{$_} } 1 .. 3000), 0, 'nothing is lost');
    is(join(' ', grep { $_ ne $at_hand } repeated(@before, @after)), '',
       'nothing but the event at hand comes twice');
    is(scalar(grep { $_ eq $at_hand } @after), 1,
       'which the second worker was given');
    is(inversions(@before), 0, 'the first worker saw the events in order');
    is(inversions(grep { $_ ne $at_hand } @after), 0, 'so did the second');
    is(join(' ', @{ $redis->cmd('SMEMBERS', "$queue:workers") }), 'second',
       'the dead one is no longer known');

    # what cannot be handled

    my $bad = '{"contactId":5,"externalCustomerId":"bad"}';
    accepted($nginx->post('/lenient', "[$bad," . numbered(3001) . ']'), 2,
             'an event that cannot be handled');
    ok($second->has_handled(@after + 1), 'does not hold back the next one')
        || diag($second->errors);
    my $dead = $redis->list("$queue:dead");
    is(scalar @$dead, 1, 'it is a dead letter');
    my ($head, $event) = split /\n/, $dead->[0] // '', 2;
    is($event, $bad, 'with its own bytes');
    $head = decode($head);
    ok(length($head->{reason} // ''), "and the reason: " . ($head->{reason} // ''));
    is(join(' ', map { $_ // 'absent' } @$head{qw(attempts worker)}), '2 second',
       'after the attempts that were allowed, by whom');
    like($head->{time} // '', qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z\z/,
         'and when');
    ok(wait_for(sub { $length->(':processing:second') == 0 }, slow(5)),
       'nothing is left in the processing list');

    # the reply to BLMOVE is lost

    @after = $second->handled;
    $proxy->rules(arm => "LEFT\r\n\$5\r\nRIGHT", after => 0, then => 'rst');
    my $connections = $proxy->connections;
    ok(wait_for(sub { $proxy->connections > $connections }, slow(10)),
       'the connection is lost in a BLMOVE');
    accepted($nginx->post('/webhooks', '[' . numbered(3002) . ']'), 1,
             'an event comes');
    ok(wait_for(sub { $length->(':processing:second') == 1 }, slow(10)),
       'it is moved, but the reply is lost');
    $proxy->rules;
    ok($second->has_handled(@after + 1), 'it is found again')
        || diag($second->errors);
    ok(wait_for(sub { $length->(':processing:second') == 0 }, slow(5)),
       'and done with');
    is(join(' ', ($second->handled)[scalar @after .. $#after + 1]), '3002',
       'once');

    # SIGTERM in the middle

    ok(post_range($nginx, '/webhooks', 4001, 9000), 'more events');
    ok($second->has_handled(@after + 50), 'are worked at');
    is($second->stop(5), 0, 'SIGTERM ends the worker, with status 0')
        || diag($second->errors);
    my @done = grep { $_ > 4000 } $second->handled;
    my @left = map { identity_of($_) } @{ $redis->list($queue) };
    cmp_ok(scalar @left, '>', 0, 'before all was done');
    is($length->(':processing:second'), 0, 'nothing was left at hand');
    ok("@done @left" eq join(' ', 4001 .. 9000),
       'each event was handled, or is in the queue, in order');
    is($redis->cmd('EXISTS', "$queue:worker:second", "$queue:workers"), 0,
       'and it has taken its leave');

    finish();
}

1;
