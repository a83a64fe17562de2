# F18: a master that sentinels watch is frozen and comes back to life after its
# failover, then its successor is killed.  What Redis loses by itself is
# measured.  With esputnik_ack and as many replicas as there are nothing is lost:
# sentinels may promote another one than the first that had it.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Sentinel;

use constant DOWN_AFTER => 1000;     # ms
use constant SENDERS => 4;

my $ha = Esputnik::Sentinel->start(down_after => DOWN_AFTER);
my ($first) = $ha->servers;
my @modes = qw(plain safe spool spool_safe);
my $nginx = nginx(
    workers => 2, vars => { SENTINELS => $ha->addresses, TIMEOUT => ms(800) },
    http => 'esputnik_redis ha { server %%SENTINELS%%; sentinel mymaster; timeout %%TIMEOUT%%;'
        . ' connect_timeout %%TIMEOUT%%; }',
    server => "esputnik_timeout %%TIMEOUT%%;\nlocation /probe { esputnik_pass ha; esputnik_key probe; }\n"
        . join "\n", map {
            "location /$_ { esputnik_pass ha; esputnik_key $_; "
            . (/safe/ ? 'esputnik_ack replicas=2; ' : '')
            . (/spool/ ? "esputnik_spool %%PREFIX%%/$_; " : '') . '}'
        } @modes);

sub post
{
    my ($uri) = @_;
    my $r = eval { $nginx->http->request(POST => $uri, body => events(1)) };
    return $r || { status => 0, body => '' };
}

# the load on all modes, the fault, and what came of it
sub round
{
    my ($name, $old, $fault, $revive) = @_;
    my %load = map { $_ => load(port => $nginx->port, uri => "/$_", senders => SENDERS,
                                retry => 1, pause => 0.01) } @modes;
    sleep 0.8;
    my $start = time;
    $fault->($old);
    sleep slow(0.1);
    my $new = $ha->wait_other($old, 20);
    ok($new, "$name: there is another master");
    my $named = time - $start;
    ok(wait_for(sub { post('/probe')->{status} == 200 }, slow(6), 0.02), "$name: 200 again");
    my $again = time - $start;
    note(sprintf '%s: another master after %.2f s, 200 after %.2f s', $name, $named, $again);
    cmp_ok($again, '<', $named + slow(2), "$name: soon after there is a master");

    # alive again, it takes itself for the master for a while
    sleep 0.3;
    $revive->($old);
    ok(wait_for(sub { eval { $old->cmd('INFO', 'replication') =~ /role:slave[^\0]*master_link_status:up/ } },
                slow(25), 0.1), "$name: the old one has become a replica");
    sleep slow(0.8);
    $_->stop for values %load;
    ok(wait_for(sub {
        !grep { my $r = post("/$_"); $r->{status} != 200 || $r->{body} =~ /spooled/ } 'spool', 'spool_safe'
    }, slow(15), 0.1), "$name: the spools are empty");
    sleep 0.3;

    for my $mode (@modes) {
        my $c = $load{$mode}->compare([grep { /messageId/ } @{ $new->list($mode) }]);
        my $by = $load{$mode}->by_status;
        my ($longest) = sort { $b <=> $a } map { $_->{time} } $load{$mode}->answers;
        note("$name, $mode: ", join(', ', map { "$_ $c->{$_}" } sort keys %$c), ', answers ',
             join(' ', map { "$_: $by->{$_}" } sort keys %$by), sprintf ', longest %.3f s', $longest);
        cmp_ok($c->{accepted}, '>', 50, "$name, $mode: events were accepted");
        if ($mode =~ /safe/) {
            is($c->{lost}, 0, "$name, $mode: none lost");
        } else {
            note("$name, $mode: lost by Redis itself: $c->{lost}");
        }
        is($c->{torn}, 0, "$name, $mode: none torn");
        is($c->{disorder}, 0, "$name, $mode: in order") if !$c->{lost};
        is(join(' ', grep { $_ != 200 && ($mode eq 'spool' || $_ != 503) } sort keys %$by), '',
           "$name, $mode: only known answers");
        # one that a master has stored and has too few replicas for
        cmp_ok($by->{503} // 0, '<=', SENDERS, "$name, $mode: hardly one was refused")
            if $mode eq 'spool_safe';
        cmp_ok($longest, '<', slow(1.3), "$name, $mode: each in its time");
        $new->cmd('DEL', $mode);
    }
    my $foreign = grep { /cmd=(?:rpush|evalsha)/ } $old->module_clients;
    is($foreign, 0, "$name: nothing is sent to the old one");
    return $new;
}

is(post('/probe')->{status}, 200, 'the master is found');
my $second = round('frozen', $first, sub { $_[0]->freeze }, sub { $_[0]->thaw });
round('killed', $second, sub { $_[0]->kill9 }, sub { $_[0]->launch });

finish();
