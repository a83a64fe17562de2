# Large bodies while Redis takes nothing: their commands are not copied before
# their turn, and what leaves then is what came.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Certs;
use Esputnik::Faults;
use Esputnik::Port qw(free_port);

my $certs = Esputnik::Certs->new;
$certs->issue('address', 'IP:127.0.0.1');
my $tls = free_port();
my $redis = redis(args => [
    '--repl-diskless-sync-delay', '0', '--tls-port', $tls,
    '--tls-cert-file', $certs->cert('address'), '--tls-key-file', $certs->key('address'),
    '--tls-ca-cert-file', $certs->cert('ca'), '--tls-auth-clients', 'no']);
my $replica = redis(args => ['--replicaof', '127.0.0.1', $redis->port]);
my %proxy = map { $_ => proxy($redis->port) } qw(fin rst);
my $nginx = nginx(
    connections => 1024,
    vars => { FIN => $proxy{fin}->url, RST => $proxy{rst}->url, URL => $redis->url,
              TLS => $tls, CA => $certs->cert('ca'),
              SHORT => ms(800), LONG => ms(60000) },
    http => 'esputnik_redis tls { server 127.0.0.1:%%TLS%%; tls on; '
        . 'tls_trusted_certificate %%CA%%; }',
    server => <<'END');
client_max_body_size 1m;
esputnik_timeout %%LONG%%;
location = /status { esputnik_status; }
location = /plain { esputnik_pass %%URL%%; esputnik_key plain; }
location = /dedup { esputnik_pass %%URL%%; esputnik_key dedup; esputnik_dedup 1h; }
location = /ack { esputnik_pass %%URL%%; esputnik_key ack; esputnik_ack replicas=1; }
location = /tls { esputnik_pass tls; esputnik_key tls; }
location = /fin { esputnik_pass %%FIN%%; esputnik_key fin; }
location = /rst { esputnik_pass %%RST%%; esputnik_key rst; }
location = /short { esputnik_pass %%URL%%; esputnik_key short; esputnik_timeout %%SHORT%%; }
location = /spool {
    esputnik_pass %%URL%%;
    esputnik_key spool;
    esputnik_timeout %%SHORT%%;
    esputnik_spool %%PREFIX%%/spool;
}
END

# three events of 16 kB in each POST, no two alike
my $posts = 300;
my $next = 0;
my @events;

sub body
{
    my @new = map {
        my $id = ++$next;
        event($id, '"x":"' . substr("$id " x 4000, 0, 16000) . '"');
    } 1 .. 3;
    push @events, @new;
    return '[' . join(', ', @new) . ']';
}

sub commands
{
    my $status = decode($nginx->get('/status')->{body});
    my $n = 0;
    $n += $_->{in_flight} for @{ $status->{targets} };
    return $n;
}

# Redis is frozen, and so many POSTs wait for it; [their connections].
sub while_frozen
{
    my ($uri, $count) = @_;
    @events = ();
    $redis->freeze;
    my @https = map { $nginx->http } 1 .. $count;
    $_->send_raw(Esputnik::Http->bytes(POST => $uri, body => body())) for @https;
    return \@https;
}

sub all_wait { my ($n) = @_; return wait_for(sub { commands() >= $n }, slow(20)) }

# Every event of @events once, in the order of its POST's, and whole.
sub stored
{
    my ($key, $name) = @_;
    my %position;
    my @list = @{ $redis->list($key) };
    push @{ $position{ $list[$_] } }, $_ for 0 .. $#list;
    my @wrong;
    for my $i (0 .. $#events) {
        my $at = $position{ $events[$i] } || [];
        if (@$at != 1) {
            push @wrong, "event $i: " . @$at . ' times';
        } elsif ($i % 3 && $at->[0] != ($position{ $events[$i - 1] } || [-2])->[0] + 1) {
            push @wrong, "event $i: not behind the one before it";
        }
    }
    push @wrong, @list . ' events in the list' if @list != @events;
    return ok(!@wrong, $name) || diag(join "\n", @wrong[0 .. ($#wrong < 9 ? $#wrong : 9)]);
}

my ($worker) = $nginx->worker_pids;

accepted($nginx->post("/$_", events(1)), 1, "$_: at first")
    for qw(plain dedup ack tls fin rst short spool);
$redis->flush;

# what a connection and a request take is there before
my @idle = map { $nginx->http } 1 .. $posts;
$_->request(GET => '/status') for @idle;
$_->close for @idle;

# nginx does not give back all that it took for one of them
my $before = rss_of($worker);
for my $uri (qw(plain dedup ack tls)) {
    my $https = while_frozen("/$uri", $posts);
    ok(all_wait($posts), "$uri: $posts POSTs wait");
    my $grown = (rss_of($worker) - $before) / $posts;
    note(sprintf '%s: %.1f kB for each of %d POSTs of 47 kB', $uri, $grown, $posts);
    cmp_ok($grown, '<', 47 + 25, "$uri: no body is held twice")
        unless Esputnik::Env::asan() || Esputnik::Env::valgrind();

    $redis->thaw;
    my %answers;
    $answers{ $_->response(timeout => slow(30))->{status} }++ for @$https;
    is_deeply(\%answers, { 200 => $posts }, "$uri: all are answered");
    stored($uri, "$uri: each event once, and whole");
    accepted($nginx->post("/$uri", events(1)), 1, "$uri: and on it goes");
    $redis->flush;
}

# Clients that go: what was deferred is not sent, the others' is what it was.
for my $uri (qw(plain dedup ack tls)) {
    my $https = while_frozen("/$uri", $posts);
    all_wait($posts);
    my (@here, @gone);
    push @{ $_ % 3 == 1 ? \@gone : \@here }, $_ for 0 .. $posts - 1;
    $_ % 2 ? $https->[$_]->reset : $https->[$_]->close for @gone;
    wait_for(sub { (grep { / 499 / } $nginx->access) >= @gone }, slow(10));
    $redis->thaw;
    my %answers;
    $answers{ $https->[$_]->response(timeout => slow(30))->{status} }++ for @here;
    is_deeply(\%answers, { 200 => scalar @here }, "$uri: those who stayed are answered");
    my @all = @events;
    my %in = map { $_ => 1 } @{ $redis->list($uri) };
    my @late = grep { $in{ $all[3 * $_] } } @gone;
    cmp_ok(scalar @late, '<', scalar @gone, "$uri: not all of those who went were sent");
    @events = map { @all[3 * $_ .. 3 * $_ + 2] } sort { $a <=> $b } @here, @late;
    stored($uri, "$uri: and each of their events once");
    $redis->flush;
    open my $log, '>', $nginx->prefix . '/access.log' or die $!;
}

# all of them go
for my $uri (qw(plain dedup ack)) {
    my $https = while_frozen("/$uri", $posts);
    all_wait($posts);
    $_->reset for @$https;
    wait_for(sub { (grep { / 499 / } $nginx->access) >= @$https }, slow(10));
    $redis->thaw;
    ok(wait_for(sub { commands() == 0 }, slow(10)), "$uri: nothing waits when all have gone");
    my $length = $redis->cmd('LLEN', $uri);
    cmp_ok($length, '<', 3 * $posts, "$uri: what was deferred is not sent");
    is($length % 3, 0, "$uri: nothing in part");
    accepted($nginx->post("/$uri", events(1)), 1, "$uri: and on it goes");
    $redis->flush;
    open my $log, '>', $nginx->prefix . '/access.log' or die $!;
}

# Out of time: what was not begun never leaves.
{
    my $https = while_frozen('/short', $posts);
    my %answers;
    $answers{ $_->response(timeout => slow(10))->{status} }++ for @$https;
    is_deeply(\%answers, { 503 => $posts }, 'short: nobody is told that it was stored');
    $redis->thaw;
    ok(wait_for(sub { $nginx->post('/short', events(1))->{status} == 200 }, slow(5)),
       'short: and on it goes');
    my %known = map { $_ => 1 } @events, event(1);
    my @list = @{ $redis->list('short') };
    is(scalar(grep { !$known{$_} } @list), 0, 'short: what was begun arrives whole');
    cmp_ok(scalar @list, '<', @events, 'short: what was not, does not');
    $redis->flush;
}

# to the spool instead, and from there
{
    my $https = while_frozen('/spool', $posts);
    my %answers;
    $answers{ $_->response(timeout => slow(10))->{status} }++ for @$https;
    is_deeply(\%answers, { 200 => $posts }, 'spool: all are taken');
    $redis->thaw;
    my %in;
    ok(wait_for(sub {
        %in = map { $_ => 1 } @{ $redis->list('spool') };
        return !grep { !$in{$_} } @events;
    }, slow(20)), 'spool: each of their events arrives');
    $redis->flush;
}

# The connection breaks after twenty replies: what was written is in doubt, what
# was not goes to its successor.  All sockets on the way together hold some 10 MB.
for my $how (qw(fin rst)) {
    my $posts = 2 * $posts;
    my $proxy = $proxy{$how};
    $proxy->rules(replies => 20, then => $how, arm => '"contactId":' . ($next + 1) . ',');
    my $https = while_frozen("/$how", $posts);
    all_wait($posts);
    my $connections = $proxy->connections;
    $redis->thaw;
    my (%answers, @sure);
    my @all = @events;
    for my $i (0 .. $#$https) {
        my $status = $https->[$i]->response(timeout => slow(30))->{status};
        $answers{$status}++;
        push @sure, @all[3 * $i .. 3 * $i + 2] if $status == 200;
    }
    note("$how: ", join ', ', map { "$answers{$_} x $_" } sort keys %answers);
    is(($answers{200} || 0) + ($answers{503} || 0), $posts, "$how: all are answered");
    cmp_ok($answers{200} || 0, '>', 20, "$how: some by the next connection");
    is($proxy->connections, $connections + 1, "$how: which is one");
    my %known = map { $_ => 1 } @all;
    my %in;
    $in{$_}++ for @{ $redis->list($how) };
    is(scalar(grep { ($in{$_} || 0) != 1 } @sure), 0, "$how: what is 200 is there, once");
    is(scalar(grep { !$known{$_} || $in{$_} > 1 } keys %in), 0, "$how: nothing else is");
    accepted($nginx->post("/$how", events(1)), 1, "$how: and on it goes");
    $redis->flush;
}

finish();
