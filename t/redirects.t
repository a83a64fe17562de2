# What nodes of a cluster may say instead of taking an event, from nodes that
# say it on purpose: redirections good and bad, loops, and topologies that are
# none.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Spool;

use Esputnik::Port qw(free_port);

# Two nodes; `a` has all slots.  The mode says what a push is answered with:
# a list of answers, the last of them for ever; %A and %B are the ports, "ok"
# a push.
my ($port_a, $port_b) = (free_port(), free_port());

sub answer
{
    my ($c, $words) = @_;
    my @all = split /\|/, $c->mode;
    my $n = ++$c->{pushes};
    my $text = $all[$n - 1] // $all[-1] // 'ok';
    $text =~ s/%A/$port_a/g;
    $text =~ s/%B/$port_b/g;
    return $c->send($c->push_reply($words)) if $text eq 'ok';
    if ($text =~ /^asked (.*)/) {
        # as Redis: what is not asked for is somewhere else
        my $after = $c->{asked};
        $c->{asked} = 0;
        return $c->send($after ? $c->push_reply($words) : "-$1\r\n");
    }
    return $c->send("-$text\r\n");
}

sub node
{
    my ($port, $topology) = @_;
    return fake_redis(port => $port, on => {
        RPUSH => \&answer,
        ASKING => sub { $_[0]{asked} = 1; $_[0]->send("+OK\r\n") },
        CLUSTER => sub {
            my ($c, $words) = @_;
            return $c->send("-ERR unknown subcommand\r\n") if uc $words->[1] ne 'SLOTS';
            $c->send($topology->($c));
        },
    });
}

sub slots
{
    return '*' . @_ . "\r\n" . join '', map {
        my ($first, $last, $host, $port) = @$_;
        "*3\r\n:$first\r\n:$last\r\n*3\r\n\$" . length($host) . "\r\n$host\r\n:$port\r\n"
            . "\$40\r\n" . 'a' x 40 . "\r\n"
    } @_;
}

my $host = '127.0.0.1';
my $first = node($port_a, sub { slots([0, 16383, $host, $port_a]) });
my $second = node($port_b, sub { slots([0, 16383, $host, $port_a]) });
my %topology = (
    slot => sub { slots([0, 99999, $host, $port_a]) },
    port => sub { slots([0, 16383, $host, 65536]) },
    port0 => sub { slots([0, 16383, $host, 0]) },
    host => sub { slots([0, 16383, "bad host\n", $port_a]) },
    none => sub { "*0\r\n" },
    shape => sub { "*1\r\n*1\r\n:5\r\n" },
    integer => sub { ":1\r\n" },
    error => sub { "-ERR This instance has cluster support disabled\r\n" },
    huge => sub { "*2147483647\r\n" },
);
my %bad = map { $_ => node(free_port(), $topology{$_}) } keys %topology;
my $port_e = free_port();
my $empty_host = node($port_e, sub { slots([0, 16383, '', $port_e]) });
my $port_l = free_port();
my $large = node($port_l, sub {
    # each slot a range of its own: more than a usual reply may have
    slots(map { [$_, $_, $host, $port_l] } 0 .. 16383);
});
my $bad = join ' ', map { $_->address } values %bad;

my $nginx = nginx(
    vars => { A => $first->address, B => $second->address, EMPTY => $empty_host->address,
              LARGE => $large->address, BAD => $bad, map {; "BAD_$_" => $bad{$_}->address } keys %bad },
    http => join("\n",
        'esputnik_redis two { server %%A%% %%B%%; cluster on; timeout ' . ms(700) . '; }',
        'esputnik_redis empty_host { server %%EMPTY%%; cluster on; }',
        'esputnik_redis large { server %%LARGE%%; cluster on; }',
        'esputnik_redis after_bad { server %%BAD%% %%A%%; cluster on; }',
        map { "esputnik_redis $_ { server %%BAD_$_%%; cluster on; }" } keys %bad),
    server => join "\n", 'location /spooled { esputnik_pass two; esputnik_spool %%PREFIX%%/spool; }',
        map { "location /$_ { esputnik_pass $_; }" } 'two', 'empty_host', 'large', 'after_bad', keys %bad);

my $http = $nginx->http;
my $requests = 0;

sub post
{
    my ($uri) = @_;
    $requests++;
    return $http->request(POST => $uri || '/two', body => events(1));
}

sub mode
{
    my ($mode_a, $mode_b) = @_;
    $first->mode($mode_a);
    $second->mode($mode_b // 'ok');
    # from new connections, so that each begins with its first answer
    $nginx->reload;
    $http = $nginx->http;
}

sub pushes { return join ' ', map { my @all = $_->commands('RPUSH'); scalar @all } $first, $second }

# runs one POST; how many pushes each node saw
sub seen
{
    my @before = split / /, pushes();
    my $r = post();
    my @after = split / /, pushes();
    return ($r, join ' ', map { $after[$_] - $before[$_] } 0, 1);
}

sub goes
{
    my ($name, $mode_a, $mode_b, $want) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    mode($mode_a, $mode_b);
    my ($r, $seen) = seen();
    accepted($r, 1, "$name: 200");
    is($seen, $want, "$name: pushes at a and b");
}

sub fails
{
    my ($name, $mode_a, $mode_b, $pattern) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    mode($mode_a, $mode_b);
    my ($r, $seen) = seen();
    problem($r, 503, 'unavailable', "$name: 503");
    like($nginx->access_line($requests), qr/error=".*$pattern/, "$name: the reason");
    cmp_ok($r->{time}, '<', slow(1.2), "$name: in time");
    return $seen;
}

accepted(post(), 1, 'the first of all');
is(pushes(), '1 0', 'to the master of the slot');

goes('MOVED', 'MOVED 9471 127.0.0.1:%B', 'ok', '1 1');
goes('MOVED without a host', 'MOVED 9471 :%B', 'ok', '1 1');
goes('ASK', 'ASK 9471 127.0.0.1:%B', 'asked MOVED 9471 127.0.0.1:%A', '1 1');
my @asked = map { $_->[1] } $second->commands;
my ($at) = grep { $asked[$_] eq 'ASKING' } 0 .. $#asked;
is($asked[$at + 1], 'RPUSH', 'ASKING directly before its command');
goes('TRYAGAIN twice', 'TRYAGAIN wait|TRYAGAIN wait|ok', 'ok', '3 0');
goes('ASK, then TRYAGAIN there, then ASK again', 'ASK 9471 127.0.0.1:%B',
     'TRYAGAIN wait|ok', '2 2');

is(fails('a loop of MOVED', 'MOVED 9471 127.0.0.1:%B', 'MOVED 9471 127.0.0.1:%A',
         'too many redirections'), '3 3', 'ends after five hops');
fails('a loop of ASK', 'ASK 9471 127.0.0.1:%B', 'ASK 9471 127.0.0.1:%A', 'too many redirections');
fails('a slot out of range', 'MOVED 99999 127.0.0.1:%B', 'ok', 'sound slot');
fails('another slot', 'MOVED 1 127.0.0.1:%B', 'ok', 'redirection of another slot');
fails('port 0', 'MOVED 9471 127.0.0.1:0', 'ok', 'sound port');
fails('port 65536', 'MOVED 9471 127.0.0.1:65536', 'ok', 'sound port');
fails('no port', 'MOVED 9471 127.0.0.1', 'ok', 'without a port');
fails('a host that is none', 'MOVED 9471 a/b:%B', 'ok', 'sound host');
fails('nobody there', 'MOVED 9471 127.0.0.1:1', 'ok', 'cannot connect');
fails('CLUSTERDOWN', 'CLUSTERDOWN Hash slot not served', 'ok', 'CLUSTERDOWN');
fails('TRYAGAIN for ever', 'TRYAGAIN wait', 'ok', 'the slot is being moved');

# pipelined: each ASKING stays with its own command

mode('ASK 9471 127.0.0.1:%B', 'asked MOVED 9471 127.0.0.1:%A');
my $load = load(port => $nginx->port, uri => '/two', senders => 8);
sleep 0.5;
$load->stop;
my $status = $load->by_status;
is(join(' ', keys %$status), '200', "ASK under load: $status->{200} times 200");
my @talks;
push @{ $talks[$_->[0]] }, $_->[1] for grep { $_->[1] =~ /ASKING|RPUSH/ } $second->commands;
my @words = @{ (sort { @$b <=> @$a } grep { $_ } @talks)[0] };
cmp_ok(scalar @words, '>', 100, 'on one connection');
is(scalar(grep { $words[$_] ne ($_ % 2 ? 'RPUSH' : 'ASKING') } 0 .. $#words), 0,
   'ASKING and RPUSH in turn');

# with a spool a loop is no reason for 503: it ends when the nodes agree

for my $word ('MOVED', 'ASK') {
    mode("$word 9471 127.0.0.1:%B", "$word 9471 127.0.0.1:%A");
    my $mark = $nginx->mark;
    for my $id (2, 3) {
        spooled($http->request(POST => '/spooled', body => events($id)), 1, "a loop of $word: spooled");
    }
    ok(wait_for(sub { $nginx->log_lines(qr/spool .* waits: too many redirections/, $mark) }, slow(3)),
       "a loop of $word: the spool waits");
    my $seen = () = $first->commands('RPUSH');
    $first->mode('ok');
    direct_again($nginx, '/spooled', "a loop of $word: the nodes agree: then direct");
    my @all = $first->commands('RPUSH');
    my @ids = map { /"contactId":(\d+)/g } map { @$_[3 .. $#$_] } @all[$seen .. $#all];
    is(join(' ', grep { $_ > 1 } @ids), '2 3', "a loop of $word: in order, once");
}

# topologies

mode('ok', 'ok');
accepted(post('/empty_host'), 1, 'a topology without hosts: the host that was asked');
accepted(post('/large'), 1, 'a topology of 16,384 ranges');
for my $name (sort keys %bad) {
    problem(post("/$name"), 503, 'unavailable', "a topology that is none ($name): 503");
    wait_for(sub { ($nginx->access)[-1] =~ m{^POST /$name } }, slow(3));
    like(($nginx->access)[-1], qr/topology cannot be read: /, "$name: the reason");
}
accepted(post('/after_bad'), 1, 'the next seed has a good one');

finish();
