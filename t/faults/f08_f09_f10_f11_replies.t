# F08 to F11: replies that should not be: garbage (F08), huge ones (F09), some
# that nobody asked for (F10), some of another type (F11).  Never a wrong 200,
# never another's answer; with a spool 200, and stored when Redis is sane again.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Env qw(asan valgrind);
use Esputnik::Faults;

my %case = (
    'F08 an HTTP answer' => "HTTP/1.1 400 Bad Request\r\n\r\n",
    'F08 a TLS alert' => "\x15\x03\x01\x00\x02\x02\x46",
    'F08 no number' => ":abc\r\n",
    'F08 a length of -5' => "\$-5\r\n",
    'F08 a count of -2' => "*-2\r\n",
    'F08 NULs' => "\0" x 64,
    'F08 a number of 2^63' => ":9223372036854775808\r\n",
    'F08 an empty line' => "\r\n",
    'F09 two billion elements' => "*2147483647\r\n",
    'F09 a string of 512 MB' => "\$536870911\r\n",
    'F09 nesting' => "*1\r\n" x 12 . ":1\r\n",
    'F09 an endless line' => '+' . 'x' x 300_000,
    'F09 an endless string' => "\$400000\r\n" . 'x' x 300_000,
    'F10 too many clients' => "-ERR max number of clients reached\r\n",
    'F10 denied' => "-DENIED Redis is running in protected mode\r\n",
    'F11 +OK' => "+OK\r\n",
    'F11 a string' => "\$2\r\nab\r\n",
    'F11 :0' => ":0\r\n",
    'F11 :-1' => ":-1\r\n",
    'F11 nil' => "\$-1\r\n",
    'F11 an array' => "*1\r\n:1\r\n",
);
my @names = sort keys %case;

# What it answers well it has stored.
my $fake = fake_redis(on => { RPUSH => sub {
    my ($c, $words) = @_;
    my $mode = $c->mode;
    if ($mode eq '') {
        $c->{fake}->_note('stored', "$_\n") for @$words[2 .. $#$words];
        return $c->send($c->push_reply($words));
    }
    $c->send(pack 'H*', $mode);
} });

sub stored
{
    my %times;
    open my $in, '<', "$fake->{folder}/stored" or return {};
    while (my $line = <$in>) {
        chomp $line;
        $times{$line}++;
    }
    return \%times;
}

# A target and a folder for each case: none waits for the pause that another
# has earned.
my ($http, $server) = ('', '');
for my $i (0 .. $#names) {
    $http .= "esputnik_redis plain$i { server %%FAKE%%; timeout %%LIMIT%%; }\n"
        . "esputnik_redis spool$i { server %%FAKE%%; timeout %%LIMIT%%; }\n";
    $server .= "location = /plain$i { esputnik_pass plain$i; }\n"
        . "location = /spool$i { esputnik_pass spool$i; esputnik_spool %%PREFIX%%/spool$i; }\n";
}
my $nginx = nginx(vars => { FAKE => $fake->address, LIMIT => ms(600) },
                  http => $http, server => $server);
my ($worker) = $nginx->worker_pids;
my $id = 0;

sub post
{
    my ($uri) = @_;
    my $event = event(++$id);
    my $r = $nginx->post("/$uri", "[$event]");
    return ($r, $event);
}

# everything that is made once for each target is made
post("plain$_"), post("spool$_") for 0 .. $#names;
my $rss = rss_of($worker);

my (@accepted, @refused);
my ($attempts, $answers) = (0, 0);
for my $i (0 .. $#names) {
    my $name = $names[$i];
    my @up = (post("plain$i"), post("spool$i"));
    is("$up[0]{status} $up[2]{status}", '200 200', "$name: up");
    push @accepted, @up[1, 3];

    $fake->mode(unpack 'H*', $case{$name});
    my ($r, $event) = post("plain$i");
    is($r->{status}, 503, "$name: 503");
    cmp_ok($r->{time}, '<', slow(1.1), "$name: in its time");
    push @refused, $event;
    ($r, $event) = post("spool$i");
    is("$r->{status} $r->{body}", '200 {"accepted":1,"spooled":true}', "$name, spool: 200");
    push @accepted, $event;

    $fake->mode('');
    ok(wait_for(sub { stored()->{$event} }, slow(3)), "$name, spool: stored in the end");
    my @back;
    ok(wait_for(sub { @back = post("plain$i"); $back[0]{status} == 200 }, slow(2), 0.03),
       "$name: 200 when Redis is sane");
    push @accepted, $back[1];
}

my $times = stored();
my $lost = grep { !$times->{$_} } @accepted;
my $double = grep { ($times->{$_} || 0) > 1 } @accepted;
my $wrong = grep { $times->{$_} } @refused;
my $grown = rss_of($worker) - $rss;
note(scalar @names, ' kinds of replies: ', scalar @accepted, " accepted, lost $lost, duplicates "
     . "$double, refused and stored $wrong; the worker has grown by $grown kB");
is("lost $lost duplicates $double wrong $wrong", 'lost 0 duplicates 0 wrong 0',
   'of ' . @accepted . ' accepted');
cmp_ok($grown, '<', 1024, 'the worker has not grown by what it was sent')
    unless asan() || valgrind();

# F10: one reply too many: request n never gets the answer of n-1 or n+1
{
    my $shifting = fake_redis(on => { RPUSH => sub {
        my ($c, $words) = @_;
        my ($n) = $words->[2] =~ /"contactId":(\d+)/;
        # the odd ones are refused; now and then one more answer, that would
        # be the wrong one for the next
        my $reply = $n % 2 ? "-ERR odd\r\n" : ":1\r\n";
        my $other = $n % 2 ? ":1\r\n" : "-ERR odd\r\n";
        $c->send($reply . ($n % 5 ? '' : $other));
    } });
    my $one = nginx(vars => { URL => $shifting->url }, server => <<'END');
location = /hook { esputnik_pass %%URL%%; }
END
    my ($right, $unavailable, $shifted) = (0, 0, 0);
    for my $n (1 .. 300) {
        my $r = $one->post('/hook', events($n));
        my $odd = $n % 2;
        if ($r->{status} == 200) {
            $odd ? $shifted++ : $right++;
        } elsif (($one->access)[-1] // '' =~ /error="ERR odd"/) {
            $unavailable++;
        }
        sleep 0.005;
    }
    note("300 requests among surplus replies: $right answered 200, all of them stored");
    is($shifted, 0, 'no refused request was answered 200');
    cmp_ok($right, '>', 20, 'some were answered 200');
    cmp_ok($shifting->connections, '>', 10, 'each surplus reply has closed its connection');
}

# F10: a real Redis that takes one client only
{
    my $redis = redis(args => ['--maxclients', 3]);
    my @others = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $redis->port) }
                     1 .. 2;
    my $one = nginx(vars => { URL => $redis->url }, server => <<'END');
location = /hook { esputnik_pass %%URL%%; }
location = /spool { esputnik_pass %%URL%%; esputnik_spool %%PREFIX%%/spool; }
END
    $redis->cmd('PING');
    is($one->post('/hook', events(1))->{status}, 503, 'no room for one more client: 503');
    like($one->post('/spool', events(2))->{body}, qr/"spooled":true/, 'spool: 200');
    ok(wait_for(sub { $one->error_log =~ /max number of clients/ }, slow(2)), 'the log says why');
    close $_ for @others;
    ok(wait_for(sub { $redis->cmd('LLEN', 'esputnik:events') == 1 }, slow(4)),
       'room again: it comes from the spool');
    list_is($redis, 'esputnik:events', [event(2)], 'once, and what was refused does not');
}

finish();
