# esputnik_key, esputnik_value, esputnik_push, and several keys in one POST.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my @scalar = qw(activityDateTime activityStatus broadcastId clickEventLink contactId
    email externalCustomerId from hardBounce iid mediaType messageId
    messageInstanceId messageLanguageCode messageName messageTag mobilepush
    osName osType sms sourceEventId sourceEventKey sourceEventTypeKey
    statusDescription viber viewMessageLink webpush workflowBlockId workflowId
    workflowInstanceId);
my %snake = map { my $s = $_; $s =~ s/([A-Z])/_\l$1/g; ($_ => $s) } @scalar;
my $every = join ';', map { "$_=\$esputnik_$snake{$_}" } @scalar;

my $redis = redis();
my $nginx = nginx(
    vars => { URL => $redis->url, EVERY => $every },
    http => <<'END',
client_max_body_size 4m;
large_client_header_buffers 4 16k;
map $esputnik_activity_status $queue {
    volatile;
    default         other;
    ~^(READ|CLICKED)$ seen;
    SPAM            "";
}
map $esputnik_media_type $medium {
    volatile;
    default $esputnik_media_type;
    ""      none;
}
END
    server => <<'END');
location /fixed { esputnik_pass %%URL%%; esputnik_key my:list; }
location /arg { esputnik_pass %%URL%%; esputnik_key "q:$arg_q"; }
location /bare { esputnik_pass %%URL%%; esputnik_key $arg_q; }
location /event { esputnik_pass %%URL%%; esputnik_key e:$esputnik_activity_status; }
location /map { esputnik_pass %%URL%%; esputnik_key $queue; }
location /two { esputnik_pass %%URL%%; esputnik_key m:$medium:$queue; }
location /email { esputnik_pass %%URL%%; esputnik_key $esputnik_email; }
location /index { esputnik_pass %%URL%%; esputnik_key i:$esputnik_event_index; }
location /left { esputnik_pass %%URL%%; esputnik_push lpush; }
location /left_event { esputnik_pass %%URL%%; esputnik_push lpush; esputnik_key e:$esputnik_activity_status; }
location /right { esputnik_pass %%URL%%; esputnik_push rpush; }
location /envelope {
    esputnik_pass %%URL%%;
    esputnik_value '{"i":$esputnik_event_index,"from":"$arg_who","event":$esputnik_event}';
}
location /every { esputnik_pass %%URL%%; esputnik_value "%%EVERY%%"; }
location /constant { esputnik_pass %%URL%%; esputnik_value constant; }
location /mapped_value { esputnik_pass %%URL%%; esputnik_value $queue/$medium; }
location /pair { esputnik_pass %%URL%%; esputnik_key p:$esputnik_activity_status; }
location /user { esputnik_pass %%URL%%; esputnik_key u:$esputnik_contact_id; }
location /user_once {
    esputnik_pass %%URL%%;
    esputnik_key u:$esputnik_contact_id;
    esputnik_dedup 1h;
}
location /outer {
    esputnik_key outer;
    esputnik_value v;
    location /outer/inner { esputnik_pass %%URL%%; }
}
END

my $http = $nginx->http;

sub post
{
    my ($uri, @events) = @_;
    return $http->request(POST => $uri, body => '[' . join(',', @events) . ']');
}

# an event with a status and more members
sub with
{
    my ($id, $status, $more) = @_;
    return qq({"contactId":$id,"activityStatus":"$status","activityDateTime":"x")
        . ($more ? ",$more}" : '}');
}

# all lists of Redis: { key => [elements] }
sub lists
{
    return { map { $_ => $redis->list($_) } @{ $redis->cmd('KEYS', '*') } };
}

sub stored
{
    my ($uri, $events, $want, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $redis->flush;
    accepted(post($uri, @$events), scalar @$events, $name);
    is_deeply(lists(), $want, "$name: stored");
}

my ($read, $click, $sent, $spam) = (with(1, 'READ'), with(2, 'CLICKED'),
                                    with(3, 'SENT'), with(4, 'SPAM'));

# keys of the request

stored('/fixed', [$read, $sent], { 'my:list' => [$read, $sent] }, 'a fixed key');
stored('/arg?q=a', [$read], { 'q:a' => [$read] }, 'a key with a variable');
stored('/arg', [$read], { 'q:' => [$read] }, 'an empty variable in a key');
stored('/outer/inner', [$read, $sent], { outer => ['v', 'v'] }, 'inherited');

problem(post('/bare', $read), 400, 'bad_key', 'an empty key');
problem(post('/map', $spam), 400, 'bad_key', 'an empty key from a map', event => 0);
problem(post('/map', $read, $sent, $spam), 400, 'bad_key', 'for one of the events',
        event => 2);
my $long = 'k' x 1024;
stored("/bare?q=$long", [$read], { $long => [$read] }, 'a key of 1,024 bytes');
$redis->flush;
problem(post("/bare?q=${long}k", $read), 400, 'bad_key', 'a key of 1,025 bytes');
problem(post('/email', with(1, 'READ', '"email":"' . $long . 'x"')), 400, 'bad_key',
        "an event's key of 1,025 bytes", event => 0);
is_deeply(lists(), {}, 'nothing of these is stored');

# keys of the event

stored('/event', [$read, $sent, $read, $spam, $sent],
       { 'e:READ' => [$read, $read], 'e:SENT' => [$sent, $sent], 'e:SPAM' => [$spam] },
       'a key for each event');
stored('/map', [$read, $click, $sent],
       { seen => [$read, $click], other => [$sent] }, 'a map, volatile');
my ($sms, $mail) = (with(1, 'READ', '"mediaType":"sms"'), with(2, 'SENT', '"mediaType":"email"'));
stored('/two', [$sms, $read, $mail, $sms],
       { 'm:sms:seen' => [$sms, $sms], 'm:none:seen' => [$read], 'm:email:other' => [$mail] },
       'two maps');
stored('/index', [$read, $sent, $spam],
       { 'i:0' => [$read], 'i:1' => [$sent], 'i:2' => [$spam] }, 'by index');

my @many = map { with($_, 'S' . $_ % 300) } 1 .. 3000;
my %want;
push @{ $want{"e:S" . $_ % 300} }, $many[$_ - 1] for 1 .. 3000;
stored('/event', \@many, \%want, '3,000 events on 300 keys');

# as many keys as a POST may have events: the reply of Redis does not grow with them
my @users = map { with($_, 'SENT') } 1 .. 10_000;
for my $uri ('/user', '/user_once') {
    $redis->flush;
    accepted(post($uri, @users), 10_000, "$uri: 10,000 events on 10,000 keys");
    my @wrong = grep { my $l = $redis->list("u:$_"); @$l != 1 || $l->[0] ne $users[$_ - 1] } 1 .. 10_000;
    is("@wrong", '', "$uri: each on its own");
}
my $again = post('/user_once', @users[0 .. 9998], with(0, 'SENT'));
is("$again->{status} $again->{body}", '200 {"accepted":1,"duplicates":9999}', 'again, and a new one');
is(scalar @{ $redis->list('u:1') }, 1, 'stored once');

# bytes that would break a protocol of lines
my %odd = ('a\r\n$3\r\nfoo' => "a\r\n\$3\r\nfoo", 'nul\u0000nul' => "nul\0nul",
           '\u00e9\ud83d\ude00' => "\xc3\xa9\xf0\x9f\x98\x80", '*' => '*',
           'with \"quotes\"' => 'with "quotes"', '\r\nFLUSHALL\r\n' => "\r\nFLUSHALL\r\n");
my (@odd, %odd_want);
for my $escaped (sort keys %odd) {
    my $event = with(1, 'READ', qq("email":"$escaped"));
    push @odd, $event;
    $odd_want{ $odd{$escaped} } = [$event];
}
stored('/email', \@odd, \%odd_want, 'keys of any bytes');

# order

stored('/left', [$read, $sent, $spam], { 'esputnik:events' => [$spam, $sent, $read] },
       'lpush: the last event is at the head');
stored('/left_event', [$read, $sent, with(9, 'READ')],
       { 'e:READ' => [with(9, 'READ'), $read], 'e:SENT' => [$sent] }, 'lpush, several keys');
stored('/right', [$read, $sent], { 'esputnik:events' => [$read, $sent] }, 'rpush');

# values

stored('/envelope?who=me', [$read, $sent], { 'esputnik:events' => [
    qq({"i":0,"from":"me","event":$read}), qq({"i":1,"from":"me","event":$sent})] },
    'an envelope');
stored('/constant', [$read, $sent], { 'esputnik:events' => ['constant', 'constant'] },
       'a constant');
stored('/mapped_value', [$sms, $sent], { 'esputnik:events' => ['seen/sms', 'other/none'] },
       'maps in a value');

my %value = map { $_ => "v-$_" } @scalar;
$value{$_} = 1000 + length $_
    for qw(broadcastId contactId messageId messageInstanceId sourceEventId workflowId);
$value{hardBounce} = 'true';
$value{activityStatus} = 'READ';
my $full = '{' . join(',', map {
    my $v = $value{$_};
    qq("$_":) . ($v =~ /\A\d+\z|\Atrue\z/ ? $v : qq("$v"))
} @scalar) . '}';
my $empty = with(5, 'SENT', '"email":null,"hardBounce":false,"messageId":-7');
stored('/every', [$full, $empty], { 'esputnik:events' => [
    join(';', map { "$_=$value{$_}" } @scalar),
    join(';', map {
        my %v = (activityDateTime => 'x', activityStatus => 'SENT', contactId => 5,
                 hardBounce => 'false', messageId => -7);
        "$_=" . ($v{$_} // '')
    } @scalar)] }, 'a variable for every field');
stored('/every', [with(1, 'READ', '"email":"\u0041\n\u00e9\"\\\\\/"')],
       { 'esputnik:events' => [join ';', map {
           my %v = (activityDateTime => 'x', activityStatus => 'READ', contactId => 1,
                    email => "A\n\xc3\xa9\"\\/");
           "$_=" . ($v{$_} // '')
       } @scalar] }, 'escapes are resolved in variables');

# all or nothing: one of the keys holds something else

$redis->flush;
$redis->cmd('SET', 'e:SENT', 'a string');
for my $order ([$read, $sent], [$sent, $read], [$read, $sent, $read, $spam]) {
    my $r = post('/event', @$order);
    problem($r, 503, 'unavailable', 'one key holds a string');
}
is_deeply([sort @{ $redis->cmd('KEYS', '*') }], ['e:SENT'], 'nothing on the other keys');
is($redis->cmd('GET', 'e:SENT'), 'a string', 'the string is as it was');
accepted(post('/event', $read, $spam), 2, 'other keys go on');

# nobody ever sees one half of a POST

$redis->flush;
my $look = 'return redis.call("LLEN","p:READ") - redis.call("LLEN","p:SENT")';
my $pid = Esputnik::Process::fork_code(sub {
    my $c = $nginx->http;
    for my $i (1 .. 400) {
        $c->request(POST => '/pair', body => '[' . with($i, 'READ') . ','
                    . with($i, 'SENT') . ']')->{status} == 200 or die "not stored\n";
    }
});
my ($looks, $halves) = (0, 0);
while (Esputnik::Process::alive($pid)) {
    $halves++ if $redis->cmd('EVAL', $look, 0) != 0;
    $looks++;
}
is($redis->cmd('LLEN', 'p:READ'), 400, 'all stored');
is($redis->cmd('LLEN', 'p:SENT'), 400, 'on both lists');
is($halves, 0, "never one half ($looks looks)");

finish();
