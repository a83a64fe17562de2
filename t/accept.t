# What is accepted: 200, and every event on the list, in order, byte for byte.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis();
my $nginx = nginx(vars => { URL => $redis->url }, server => <<'END');
location /hook { esputnik_pass %%URL%%; }
location /db7 { esputnik_pass %%URL%%/7; }
END

my $http = $nginx->http;
my $key = 'esputnik:events';

# posts events (texts) as one array and expects exactly them on the list
sub stored
{
    my ($name, $before, $between, $after, @events) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $redis->flush;
    my $body = "[$before" . join($between, @events) . "$after]";
    accepted($http->request(POST => '/hook', body => $body), scalar @events, $name);
    list_is($redis, $key, \@events, "$name: stored");
}

my $r = $http->request(POST => '/hook', body => events(1));
accepted($r, 1, 'one event');
is($r->{headers}{'content-type'}, 'application/json', 'the answer is JSON');
list_is($redis, $key, [event(1)], 'stored under the default key');

accepted($http->request(POST => '/hook', body => events(2, 3)), 2, 'two more');
list_is($redis, $key, [map { event($_) } 1 .. 3], 'behind the first');

$redis->flush;
for my $empty ('[]', " [ \n] ", "\r\n[\t]\n") {
    accepted($http->request(POST => '/hook', body => $empty), 0, 'no event');
}
is($redis->cmd('EXISTS', $key), 0, 'no event leaves no list');

stored('many events', '', ',', '', map { event($_) } 1 .. 1000);
stored('white space around', " \t\r\n", " ,\n ", "\n\t ", event(1), event(2));

stored('white space inside is kept', '', ',', '',
       "{ \"contactId\" :\t1 ,\r\n\"activityStatus\":\"READ\",\n\n"
       . '"activityDateTime":"2023-09-14T08:30:03"   }');

stored('64-bit integers are exact', '', ',', '',
       event('9223372036854775807', '"messageId":-9223372036854775808'),
       event(9007199254740993));

stored('numbers of any size in fields that are not ours', '', ',', '',
       event(1, '"future":123456789012345678901234567890'),
       event(2, '"future":1.50e+0400,"x":-0,"y":-0.0E-0,"z":1E400'));

stored('escapes are kept as sent', '', ',', '',
       event(1, '"email":"\u0061\u00e9\/\\\\\"\b\f\n\r\t \ud83d\ude00 \u0000"'),
       event(2, "\"messageName\":\"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2 \xf0\x9f\x98\x80\x7f\""));

stored('the order of members is kept', '', ',', '',
       '{"z":1,"contactId":5,"a":2,"activityDateTime":"x","m":{"b":1,"a":2},'
       . '"activityStatus":"SPAM","b":[3,{"z":1,"a":[]}]}');

stored('a key may come twice where it is not ours', '', ',', '',
       event(1, '"future":1,"future":2,"o":{"contactId":"x","contactId":2}'));

stored('names written with escapes', '', ',', '',
       '{"contact\u0049d":7,"activity\u0053tatus":"READ",'
       . '"activityDateTime":"2023-09-14T08:30:03"}');

stored('null where a field is not required', '', ',', '',
       event(1, join ',', map { "\"$_\":null" }
             qw(email messageId hardBounce statusData subscriptions iid)));

stored('nesting', '', ',', '', event(1, '"future":' . '[' x 15 . ']' x 15));

stored('noncharacters and the ends of ranges in UTF-8', '', ',', '',
       map { event(1, "\"future\":\"$_\"") }
       "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
       "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xef\xbb\xbf");

stored('lone surrogates written as escapes are legal JSON', '', ',', '',
       event(1, '"future":"\ud800 \udc00 \ud800\ud800"'));

# the vendor's own samples: the slices of the body, found by a reading of
# their own that knows nothing of the module
for my $name (qw(bulk triggered seed-era)) {
    my $body = payload($name);
    my @slices;
    push @slices, $1 while $body =~ /(\{(?:[^{}"]|"(?:[^"\\]|\\.)*"|(?1))*\})/g;
    $redis->flush;
    accepted($http->request(POST => '/hook', body => $body), scalar @slices, $name);
    list_is($redis, $key, \@slices, "$name: stored byte for byte");
}

$redis->flush;
accepted($http->request(POST => '/db7', body => events(1)), 1, 'another database');
$redis->cmd('SELECT', 7);
list_is($redis, $key, [event(1)], 'stored there');
$redis->cmd('SELECT', 0);
is($redis->cmd('EXISTS', $key), 0, 'and not here');

# the content type does not matter, its absence neither
$redis->flush;
for my $type ('application/json', 'text/plain', 'application/x-www-form-urlencoded',
              'application/json; charset=utf-8') {
    accepted($http->request(POST => '/hook', body => events(1),
                            headers => ['Content-Type' => $type]), 1, $type);
}

# many on one connection, and pipelined
$redis->flush;
$http->send_raw(join '', map {
    Esputnik::Http->bytes(POST => '/hook', body => events($_))
} 1 .. 50);
my @status = map { $http->response->{status} } 1 .. 50;
is("@status", join(' ', (200) x 50), 'pipelined requests');
list_is($redis, $key, [map { event($_) } 1 .. 50], 'in order');

is(scalar($redis->module_clients), 2, 'one connection a target');

finish();
