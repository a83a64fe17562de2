# What is no sound payload: 400 and a problem (RFC 9457) that tells where and
# why; nothing is stored, and the connection goes on.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis();
my $nginx = nginx(vars => { URL => $redis->url }, server => <<'END');
location /hook { esputnik_pass %%URL%%; }
END

my $http = $nginx->http;

# is refused with status 400 for the reason; offset: where known for certain
sub refused
{
    my ($name, $body, $reason, %members) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $http = $nginx->http unless $http;
    my $r = $http->request(POST => '/hook', body => $body);
    problem($r, 400, $reason, $name, %members);
    undef $http if !$r->{status} || ($r->{headers}{connection} || '') eq 'close';
    return $r;
}

my $good = event(1);
my $length = length $good;

# not JSON

refused('an empty body', '', 'empty_body');
refused('white space only', " \n\t ", 'empty_body');

my %not_json = (
    'nothing but a bracket' => '[',
    'a bracket and a brace' => '[{',
    'an event without its end' => '[' . substr($good, 0, -1),
    'an array without its end' => "[$good",
    'a comma at the end' => "[$good,]",
    'a comma at the start' => "[,$good]",
    'two commas' => "[$good,,$good]",
    'no comma' => "[$good $good]",
    'a wrong bracket' => "[$good}",
    'a comma at the end of an object' => '[{"a":1,}]',
    'a comma at the start of an object' => '[{,"a":1}]',
    'no colon' => '[{"a" 1}]',
    'no value' => '[{"a":}]',
    'two colons' => '[{"a"::1}]',
    'a name without quotes' => '[{a:1}]',
    'a number as a name' => '[{1:1}]',
    'single quotes' => "[{'a':1}]",
    'a string without its end' => '[{"a":"x}]',
    'a name without its end' => '[{"a',
    'a bad escape' => '[{"a":"\x41"}]',
    'a bad \u' => '[{"a":"\u12g4"}]',
    'a short \u' => '[{"a":"\u12"}]',
    'a backslash at the end' => '[{"a":"\\',
    'a bare word' => '[{"a":yes}]',
    'True' => '[{"a":True}]',
    'tru' => '[{"a":tru}]',
    'nulll' => '[{"a":nulll}]',
    'NaN' => '[{"a":NaN}]',
    'Infinity' => '[{"a":Infinity}]',
    'a plus' => '[{"a":+1}]',
    'a leading zero' => '[{"a":01}]',
    'a minus alone' => '[{"a":-}]',
    'a leading dot' => '[{"a":.5}]',
    'a trailing dot' => '[{"a":5.}]',
    'an empty exponent' => '[{"a":5e}]',
    'a hexadecimal number' => '[{"a":0x1F}]',
    'a comment' => "[/* c */$good]",
    'a line comment' => "[// c\n$good]",
    'XML' => '<a/>',
    'a form' => 'a=1&b=2',
    'a bare closing bracket' => ']',
    'a vertical tab between tokens' => "[\x0b$good]",
    'a vertical tab in an object' => "[{\"a\":\x0b1}]",
    'a form feed between tokens' => "[$good\x0c]",
    'a form feed behind a name' => "[{\"a\"\x0c:1}]",
    'a no-break space' => "[\xc2\xa0$good]",
    'a byte order mark' => "\xef\xbb\xbf[$good]",
    'a NUL before' => "\x00[$good]",
    'a NUL between tokens' => "[\x00$good]",
    'a line feed in a string' => qq([{"a":"x\ny"}]),
    'a tab in a string' => qq([{"a":"x\ty"}]),
    'a NUL in a string' => qq([{"a":"x\x00y"}]),
    'a control byte in a name' => qq([{"a\x1f":1}]),
);
refused($_, $not_json{$_}, 'not_json') for sort keys %not_json;

# where: the byte that cannot stand there
refused('offset of a bad token', '[{"a":yes}]', 'not_json', offset => 6);
refused('offset of a vertical tab', "[\x0b]", 'not_json', offset => 1);
refused('offset of a form feed', "[$good\x0c]", 'not_json', offset => 1 + $length);

# not UTF-8

my %not_utf8 = (
    'a lone continuation byte' => "\x80",
    'a start without continuation' => "\xc3",
    'a start and an ASCII byte' => "\xc3x",
    'overlong, two bytes' => "\xc0\xaf",
    'overlong, two bytes, C1' => "\xc1\xbf",
    'overlong, three bytes' => "\xe0\x80\xaf",
    'overlong, three bytes, last' => "\xe0\x9f\xbf",
    'overlong, four bytes' => "\xf0\x80\x80\xaf",
    'overlong, four bytes, last' => "\xf0\x8f\xbf\xbf",
    'overlong NUL' => "\xc0\x80",
    'a high surrogate' => "\xed\xa0\x80",
    'a low surrogate' => "\xed\xbf\xbf",
    'a pair of surrogates' => "\xed\xa0\xbd\xed\xb8\x80",
    'above U+10FFFF' => "\xf4\x90\x80\x80",
    'far above' => "\xf5\x80\x80\x80",
    'five bytes' => "\xf8\x88\x80\x80\x80",
    'six bytes' => "\xfc\x84\x80\x80\x80\x80",
    'FE' => "\xfe",
    'FF' => "\xff",
    'Latin-1' => "caf\xe9",
);
for (sort keys %not_utf8) {
    refused($_, qq([{"a":"$not_utf8{$_}"}]), 'bad_utf8');
    refused("$_, in a name", qq([{"$not_utf8{$_}":1}]), 'bad_utf8');
}
refused('offset of bad UTF-8', qq([{"a":"xy\xff"}]), 'bad_utf8', offset => 9);
refused('bad UTF-8 in a required field',
        qq([{"contactId":1,"activityStatus":"\xc0\xaf","activityDateTime":"x"}]),
        'bad_utf8');

# what stands at the top and in the array

my %top = ('an object' => $good, 'an empty object' => '{}', 'a string' => '"x"',
           'a number' => '17', 'null' => 'null', 'true' => 'true',
           'a negative number' => ' -1.5e3 ');
refused("$_ at the top", $top{$_}, 'not_an_array') for sort keys %top;

my %element = (number => '1', string => '"x"', null => 'null', true => 'true',
               false => 'false', array => '[]', 'array of an event' => "[$good]");
for (sort keys %element) {
    refused("$_ as an event", "[$element{$_}]", 'not_an_object',
            event => 0, offset => 1);
    refused("$_ as third event", "[$good,$good,$element{$_}]", 'not_an_object',
            event => 2, offset => 3 + 2 * $length);
}

refused("trailing $_->[0]", "[$good]$_->[1]", 'trailing_garbage',
        offset => 2 + $length)
    for ['bracket', ']'], ['array', '[]'], ['letter', 'x'], ['comma', ','],
        ['object', '{}'], ['NUL', "\0"];

# nesting: 16 containers inside an event are taken (accept.t), one more is not

refused('too deep', '[' . event(1, '"a":' . '[' x 17 . ']' x 17) . ']',
        'too_deep', event => 0);
refused('too deep, objects', '[' . event(1, '"a":' . '{"a":' x 17 . '1' . '}' x 17)
        . ']', 'too_deep', event => 0);
refused('very deep', '[' . event(1, '"a":' . '[' x 100_000) . ']', 'too_deep');
refused('very deep from the top', '[' x 100_000, 'not_an_object');

# the fields

for my $field (qw(activityStatus activityDateTime contactId)) {
    my ($before, $after) = ($good) x 2;
    $after =~ s/"$field":("[^"]*"|\d+),?//;
    $after =~ s/,\}/}/;
    refused("$field missing", "[$before,$after]", 'missing_field',
            event => 1, field => $field);
    ($after = $good) =~ s/"$field":("[^"]*"|\d+)/"$field":null/;
    refused("$field null", "[$before,$before,$after]", 'missing_field',
            event => 2, field => $field);
}
refused('no field at all', '[{}]', 'missing_field', event => 0);

# every documented field, with every type it is not
my %type = (
    (map { $_ => 'integer' } qw(broadcastId contactId messageId
        messageInstanceId sourceEventId workflowId)),
    (map { $_ => 'string' } qw(activityDateTime activityStatus clickEventLink
        email externalCustomerId from iid mediaType messageLanguageCode
        messageName messageTag mobilepush osName osType sms sourceEventKey
        sourceEventTypeKey statusDescription viber viewMessageLink webpush
        workflowBlockId workflowInstanceId)),
    hardBounce => 'boolean',
    statusData => 'container',
    subscription => 'container',
    subscriptions => 'strings',
);
my %sample = (
    integer => ['12', '-3'],
    fraction => ['1.0', '1.5', '1e3', '1E3', '-0.1'],
    string => ['"12"', '""', '"true"'],
    boolean => ['true', 'false'],
    object => ['{}', '{"a":1}'],
    strings => ['[]', '["a"]', '["a","b"]'],
    mixed => ['["a",1]', '[null]', '[["a"]]', '[{"a":"b"}]'],
);
my %fits = (
    integer => { integer => 1 },
    string => { string => 1 },
    boolean => { boolean => 1 },
    container => { object => 1, strings => 1, mixed => 1 },
    strings => { strings => 1 },
);

my $taken = 0;
for my $field (sort keys %type) {
    my (@wrong, $tried);
    for my $kind (sort keys %sample) {
        for my $value (@{ $sample{$kind} }) {
            my %member = (contactId => 1, activityStatus => '"READ"',
                          activityDateTime => '"x"', $field => $value);
            my $body = '[{' . join(',', map { "\"$_\":$member{$_}" }
                                        sort keys %member) . '}]';
            my $r = $http->request(POST => '/hook', body => $body);
            my $p = decode($r->{body});
            my $ok = $fits{ $type{$field} }{$kind}
                ? $r->{status} == 200 && ++$taken
                : $r->{status} == 400 && ($p->{type} // '') =~ /:wrong-type\z/
                  && ($p->{field} // '') eq $field && ($p->{event} // '') eq '0'
                  && defined $p->{offset};
            push @wrong, "$field: $value gives $r->{status} $r->{body}" if !$ok;
            $tried++;
        }
    }
    ok(!@wrong, "$field takes what is documented and nothing else ($tried tried)")
        or diag(map { "$_\n" } @wrong);
}

refused('offset of a wrong type', '[{"contactId":"5"}]', 'wrong_type',
        offset => 14, field => 'contactId', event => 0);

for my $value ('9223372036854775808', '-9223372036854775809',
               '123456789012345678901234567890') {
    refused("contactId $value", '[' . event($value) . ']', 'out_of_range',
            field => 'contactId', event => 0);
    refused("messageId $value", '[' . event(1) . ',' . event(2, "\"messageId\":$value")
            . ']', 'out_of_range', field => 'messageId', event => 1);
}

refused("$_ twice", '[' . event(1, "\"$_\":null,\"$_\":null") . ']',
        'duplicate_field', field => $_, event => 0)
    for grep { !/\A(?:contactId|activityStatus|activityDateTime)\z/ } sort keys %type;
refused('contactId twice', '[' . event(1, '"contactId":1') . ']',
        'duplicate_field', field => 'contactId', event => 0);
refused('twice, once written with an escape',
        '[' . event(1, '"emai\u006c":"a","email":"b"') . ']',
        'duplicate_field', field => 'email', event => 0);

# a fault late in a long body

refused('the last of 1,000 events', '[' . join(',', map { event($_) } 1 .. 999)
        . ',{"contactId":1}]', 'missing_field', event => 999);

# nothing of the payload comes back, not even in JSON's own clothes
my $r = refused('a payload that would like to be quoted',
                '[{"contactId":"SECRET\u0022}"}]', 'wrong_type');
unlike($r->{body}, qr/SECRET/, 'the answer does not quote the payload');
unlike($nginx->error_log, qr/SECRET/, 'nor does the log');

is($redis->cmd('LLEN', 'esputnik:events'), $taken, 'nothing refused was stored');
accepted($http->request(POST => '/hook', body => events(1)), 1,
         'the connection still works');

finish();
