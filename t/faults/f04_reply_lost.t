# F04: the connection ends between the command and its reply: Redis has
# executed it, and nobody was told.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = lasting_redis();
my $proxy = proxy($redis->port);
my $scene = scene(redis => $redis, url => $proxy->url, server => <<'END');
location = /several {
    esputnik_pass %%URL%%;
    esputnik_key several:$esputnik_contact_id;
}
location = /several_spool {
    esputnik_pass %%URL%%;
    esputnik_key several_spool:$esputnik_contact_id;
    esputnik_spool %%PREFIX%%/spool;
}
END

for my $then ('fin', 'rst', 'hole') {
    $scene->load;
    ok($scene->answered(10), "$then: answers at first");
    my ($cuts, $most, $spooled) = (0, 0, 0);
    for my $round (1 .. 2) {
        my $before = $proxy->connections;
        $proxy->rules(replies => 0, then => $then, arm => '"messageId"');
        ok(wait_for(sub { $proxy->connections >= $before + 2 }, slow(5)),
           "$then, round $round: connections are cut and made again");
        $proxy->rules;
        my $attempts = 2 + $proxy->connections - $before;
        $cuts += $attempts;
        $scene->recovers(slow(1.5), "$then, round $round");
        ok($scene->drained, "$then, round $round: the spool is brought in");
        my $now = 3 * ($scene->results('spool')->{spooled} || 0);
        $most += $attempts * ($scene->under_way + $now - $spooled);
        $spooled = $now;
    }
    $scene->answered(10, 200);

    # The drain's attempts are cut as well, each with what is in the spool.
    note("$then: $cuts connections cut, $spooled events spooled");
    $scene->verify("reply lost, $then", refused => ['plain', 'plain_dedup'],
                   spooled => ['spool', 'spool_dedup'],
                   dup => { plain => $cuts * $scene->under_way,
                            spool => $most });
    $redis->flush;
}

# The different lengths of eight lists, at one moment.
sub lengths
{
    my ($uri) = @_;
    return map { $_ => 1 } @{ $redis->cmd('EVAL', 'local r = {} for i = 1, 8 do '
        . 'r[i] = redis.call("LLEN", ARGV[1] .. i) end return r', 0, "$uri:") };
}

# several lists in one POST: all or none, cut or not
for my $uri ('several', 'several_spool') {
    my %count;
    for my $n (1 .. 20) {
        my $cut = $n % 2;
        $proxy->rules($cut ? (replies => 0, then => 'rst', arm => '"messageId"') : ());
        my $r = $scene->nginx->post("/$uri", '[' . join(',', map {
            Esputnik::Load::event($_, $n) } 1 .. 8) . ']');
        $count{ $r->{status} }++;
        my %lengths = lengths($uri);
        is(scalar keys %lengths, 1, "$uri: eight lists of the same length after POST $n")
            if keys %lengths != 1 || $n == 20;
        $scene->recovers(slow(1.5), "$uri, POST $n") if $n % 4 == 0;
    }
    $proxy->rules;
    ok($scene->drained, "$uri: nothing is left");
    my %lengths = lengths($uri);
    is(scalar keys %lengths, 1, "$uri: all lists hold the same number: @{[keys %lengths]}");
    cmp_ok((keys %lengths)[0], '>=', $count{200} // 0, "$uri: of @{[ $count{200} // 0 ]} accepted none is lost");
    note("$uri: answers ", join ' ', map { "$_: $count{$_}" } sort keys %count);
}

finish();
