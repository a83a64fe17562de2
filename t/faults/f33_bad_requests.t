# F33: requests that will never be good, from a sender who may send: with
# "reject" 400 (413, 415) and nothing stored, with "quarantine" 200 and the
# bytes on the quarantine list, through the spool when Redis is down.  Only what
# is beyond client_max_body_size is not read, and 413 with both.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

use IO::Compress::Gzip qw(gzip);

my $redis = lasting_redis();
my $nginx = nginx(vars => { URL => $redis->url }, server => <<'END');
esputnik_max_events 50;
client_max_body_size 64k;
location = /reject { esputnik_pass %%URL%%; esputnik_key good; }
location = /keep { esputnik_pass %%URL%%; esputnik_key good; esputnik_invalid quarantine bad; }
location = /spool {
    esputnik_pass %%URL%%; esputnik_key good; esputnik_invalid quarantine bad;
    esputnik_spool %%PREFIX%%/spool;
}
END

my $ok = event(1);
my %corpus = (
    'empty' => '',
    'not JSON' => 'hello',
    'a number' => '1',
    'an object' => $ok,
    'an array of numbers' => '[1,2,3]',
    'cut off' => "[$ok,$ok",
    'trailing garbage' => "[$ok]x",
    'a trailing comma' => "[$ok,]",
    'single quotes' => q([{'contactId':1}]),
    'too deep' => '[{"contactId":1,"activityStatus":"READ","activityDateTime":"x","a":'
        . '[' x 40 . ']' x 40 . '}]',
    'invalid UTF-8' => "[" . event(1, "\"a\":\"\xff\xfe\"") . "]",
    'overlong UTF-8' => "[" . event(1, "\"a\":\"\xc0\xaf\"") . "]",
    'a surrogate' => "[" . event(1, "\"a\":\"\xed\xa0\x80\"") . "]",
    'a NUL' => "[$ok\0]",
    'a vertical tab' => "[\x0b$ok]",
    'the last of three is bad' => "[$ok,$ok,{\"contactId\":1}]",
    'the first of three is bad' => "[{\"contactId\":null},$ok,$ok]",
    'a wrong type' => '[{"contactId":"one","activityStatus":"READ","activityDateTime":"x"}]',
    'twice the same field' => '[' . event(1, '"contactId":2') . ']',
    'beyond 64 bits' => '[{"contactId":99999999999999999999,"activityStatus":"READ",'
        . '"activityDateTime":"x"}]',
    'too many events' => events(1 .. 51),
);
gzip(\events(1 .. 20), \$corpus{'compressed'}) or die;

# what is not 400 with "reject"
my %status = ('too many events' => 413, 'compressed' => 415);

sub post
{
    my ($uri, $name) = @_;
    return $nginx->post($uri, $corpus{$name}, $name eq 'compressed'
        ? (headers => ['Content-Encoding' => 'gzip']) : ());
}

# what an entry of the quarantine says of them
my %reason = ('too many events' => 'too_many_events', 'compressed' => 'unsupported_encoding',
              'empty' => 'empty_body', 'too deep' => 'too_deep', 'invalid UTF-8' => 'bad_utf8',
              'a wrong type' => 'wrong_type', 'an object' => 'not_an_array');

# the length of the main list that a body's sound events make
my %sound = ('the last of three is bad' => 2, 'the first of three is bad' => 2);

my $rejected = 0;
for my $name (sort keys %corpus) {
    my $r = post('/reject', $name);
    my $status = $status{$name} || 400;
    is($r->{status}, $status, "$name: $status");
    $rejected++ if $r->{status} == $status;
}
for my $uri ('/reject', '/keep', '/spool') {
    for my $chunked (0, 1000) {
        problem($nginx->post($uri, '[' . event(1, '"a":"' . 'x' x 65536 . '"') . ']',
                             chunked => $chunked), 413, 'body_too_large', "$uri: too large: 413");
    }
}
is($redis->cmd('EXISTS', 'good', 'bad'), 0, "of $rejected rejected ones nothing is stored");

# What an entry of the quarantine holds: a line that says why, and the bytes of
# the body, or of the one event that is bad.
my %offending = ('the last of three is bad' => '{"contactId":1}',
                 'the first of three is bad' => '{"contactId":null}');
$offending{$_} = substr $corpus{$_}, 1, -1
    for 'a wrong type', 'twice the same field', 'beyond 64 bits';

sub kept
{
    my ($how, @names) = @_;
    my @bad = @{ $redis->list('bad') };
    is(scalar @bad, scalar @names, "$how: as many entries as POSTs");
    my ($identical, $sound) = (0, 0);
    for my $name (@names) {
        my ($line, $bytes) = split /\n/, shift(@bad) // '', 2;
        my $want = $offending{$name} // $corpus{$name};
        ok(defined decode($line)->{reason} && ($bytes // '') eq $want,
           "$how: $name, byte by byte") and $identical++;
        is(decode($line)->{reason}, $reason{$name}, "$how: $name, its reason") if $reason{$name};
        $sound += $sound{$name} || 0;
    }
    is($redis->cmd('LLEN', 'good'), $sound, "$how: only sound events on the main list");
    note(sprintf '%s: %d POSTs kept, %d identical, %d events on the main list', $how,
         scalar @names, $identical, $redis->cmd('LLEN', 'good'));
    $redis->flush;
}

my @names = sort keys %corpus;
for my $uri ('/keep', '/spool') {
    is(join(' ', map { post($uri, $_)->{status} } @names),
       join(' ', (200) x @names), "$uri: all 200");
    kept($uri, @names);
}

$redis->kill9;
is(join(' ', map { post('/keep', $_)->{status} } @names),
   join(' ', (503) x @names), 'Redis down, no spool: all 503');
is(join(' ', map { post('/spool', $_)->{status} } @names),
   join(' ', (200) x @names), 'Redis down, spool: all 200');
$redis->launch;
ok(wait_for(sub { $redis->cmd('LLEN', 'bad') == @names }, slow(5)), 'they come from the spool');
kept('from the spool', @names);

finish();
