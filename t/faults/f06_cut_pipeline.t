# F06: the connection breaks in the middle of a pipeline of five requests,
# after the n-th reply, by FIN, RST or half a close.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = redis();
my $proxy = proxy($redis->port);
my $scene = scene(redis => $redis, url => $proxy->url, workers => 1, timeout => 3000,
                  server => <<'END');
location = /keyed {
    esputnik_pass %%URL%%;
    esputnik_timeout %%TIMEOUT%%;
    esputnik_connect_timeout %%CONNECT%%;
    esputnik_key keyed:$esputnik_iid;
}
END
my $nginx = $scene->nginx;
my $id = 0;
my %accepted;

sub event_of { my ($id, $of) = @_; return event($id, "\"iid\":\"$of\"") }

# Five requests that are under way together, in this order; their answers.
sub five
{
    my ($uri, @bodies) = @_;
    my @c = map { $nginx->http } @bodies;
    $redis->freeze;
    for my $i (0 .. $#c) {
        $c[$i]->send_raw(Esputnik::Http->bytes(POST => $uri, body => "[$bodies[$i]]"));
        sleep slow(0.004);
    }
    sleep slow(0.02);
    $redis->thaw;
    return map { $_->response->{status} } @c;
}

for my $uri ('plain', 'keyed', 'spool', 'spool_dedup') {
    my ($posted, $answered, $lost, $double, $shifted, $most) = (0) x 6;
    for my $then ('fin', 'rst') {
        for my $n (0 .. 5) {
            $redis->flush;
            $redis->cmd('SET', 'keyed:b', 'a string') if $uri eq 'keyed';
            $proxy->rules;
            wait_for(sub { $scene->probe->{status} == 200 }, slow(2), 0.01);
            my $first = $id + 1;
            my @bodies = map { event_of(++$id, (qw(a b c d e))[$_]) } 0 .. 4;
            $proxy->rules(replies => $n, then => $then, arm => "\"contactId\":$first,");
            my $connections = $proxy->connections;
            my @status = five("/$uri", @bodies);
            $proxy->rules;
            # what had no answer, and what the drain may have sent before the
            # proxy was good again
            $most += 5 - $n + 5 * ($proxy->connections - $connections) if $uri eq 'spool';

            # each its own answer: the first n by Redis (the second of
            # "keyed" is an error), and all others unknown
            my @want = $uri =~ /spool/ ? (200) x 5 : ((200) x $n, (503) x (5 - $n));
            $want[1] = 503 if $uri eq 'keyed';
            $shifted++ if "@status" ne "@want";
            is("@status", "@want", "$uri, $then after $n replies") if "@status" ne "@want";

            ok($scene->drained, "$uri, $then after $n: drained") if $uri =~ /spool/;
            my %times;
            my @keys = $uri eq 'keyed' ? map { "keyed:$_" } qw(a c d e) : $uri;
            $times{$_}++ for map { @{ $redis->list($_) } } @keys;
            for my $i (0 .. 4) {
                $posted++;
                my $there = $times{ $bodies[$i] } || 0;
                $answered++ if $status[$i] == 200;
                $lost++ if $status[$i] == 200 && !$there;
                $double += $there - 1 if $there > 1;
                fail("$uri, $then after $n: request $i is there $there times")
                    if $there > 1 && ($i < $n || $uri !~ /\Aspool\z/);
            }
        }
    }
    note("$uri: $posted POSTs, $answered answered 200, lost $lost, duplicates $double of at most $most");
    is("shifted $shifted lost $lost", 'shifted 0 lost 0', "$uri: of $answered accepted");
    cmp_ok($double, '<=', $most, "$uri: duplicates");
}

# half a close: Redis shuts down its side after n replies, and reads on
{
    my $fake = fake_redis(on => { RPUSH => sub {
        my ($c, $words) = @_;
        return $c->send($c->push_reply($words)) if $c->mode eq '';
        return if $c->seen('RPUSH') < 6;
        $c->send(":1\r\n" x $c->mode);
        shutdown $c->{resp}->socket, 1;
    } });
    my $other = nginx(vars => { URL => $fake->url, LIMIT => ms(1000) },
                      http => join('', map { "esputnik_redis f$_ { server 127.0.0.1:"
                                             . $fake->port . "; }\n" } 0 .. 5),
                      server => join '', map { "location = /f$_ { esputnik_pass f$_; "
                                               . "esputnik_timeout %%LIMIT%%; }\n" } 0 .. 5);
    for my $n (0 .. 5) {
        # the first one also waits for what the module asks a new Redis
        $fake->mode('');
        is($other->post("/f$n", events(1))->{status}, 200, 'up');
        sleep slow(0.05);
        $fake->mode($n);
        my @c = map { $other->http } 1 .. 5;
        for (@c) {
            $_->send_raw(Esputnik::Http->bytes(POST => "/f$n", body => events(1)));
            sleep slow(0.004);
        }
        my @r = map { $_->response } @c;
        is(join(' ', map { $_->{status} } @r), join(' ', (200) x $n, (503) x (5 - $n)),
           "half a close after $n replies");
        cmp_ok($r[4]{time}, '<', slow(0.5), 'noticed at once');
    }
}

finish();
