# What is counted, and how esputnik_status tells it: each number exact, for all
# workers together, over a reload; JSON, Prometheus' text, the choice by Accept.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Nginx;

my $redis = redis(args => ['--requirepass', 's3cret-word'], password => 's3cret-word');
my $spooled = redis(start => 0);
my $fake = fake_redis(on => {
    RPUSH => sub {
        my ($c, $words) = @_;
        $c->send($c->mode eq 'oom' ? "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
                 : $c->push_reply($words));
    },
    EVALSHA => sub { $_[0]->send("-OOM command not allowed when used memory > 'maxmemory'.\r\n") },
});

my $address = $redis->address;
my $config = <<'END';
location /hook { esputnik_pass main; }
location /quarantine { esputnik_pass main; esputnik_invalid quarantine; }
location /dedup { esputnik_pass main; esputnik_key dedup; esputnik_dedup 1h; }
location /limits { esputnik_pass main; esputnik_max_events 1; client_max_body_size 1k; }
location /token { esputnik_pass main; esputnik_token $http_x_token file=%%PREFIX%%/tokens; }
location /fake { esputnik_pass %%FAKE%%; }
location /same { esputnik_pass %%FAKE%%; esputnik_timeout 2s; }
location /fake_quarantine { esputnik_pass %%FAKE%%; esputnik_invalid quarantine; }
location /spool { esputnik_pass %%SPOOLED%%; esputnik_spool %%PREFIX%%/spool max_size=1m; }
location /spool_quarantine { esputnik_pass %%SPOOLED%%; esputnik_spool %%PREFIX%%/spool; esputnik_invalid quarantine; }
location = /status { esputnik_status; }
location = /json { esputnik_status json; }
location = /metrics { esputnik_status prometheus; }
location = /page { esputnik_status html; }
END
my $nginx = nginx(
    workers => 2, main => 'thread_pool default threads=2;',
    vars => { REDIS => $address, FAKE => $fake->url, SPOOLED => $spooled->url },
    files => { tokens => "t0ken-word\n" },
    http => <<'END', server => $config);
esputnik_redis main { server %%REDIS%%; password s3cret-word; }
END

sub status { return decode($nginx->get($_[0] // '/json')->{body}) }

sub text { return $nginx->get('/metrics')->{body} }

# The value of a sample as it is written there.
sub sample
{
    my ($name) = @_;
    return text() =~ /^\Q$name\E (\S+)$/m ? $1 : undef;
}

# The members of $was that differ in $is, as "a.b" => difference.
sub changes
{
    my ($was, $is, $path) = @_;
    $path //= '';
    return map {
        my $name = $path eq '' ? $_ : "$path.$_";
        ref $is->{$_} eq 'HASH' ? changes($was->{$_}, $is->{$_}, $name)
            : ($is->{$_} // 0) == ($was->{$_} // 0) ? ()
            : ($name => $is->{$_} - ($was->{$_} // 0))
    } keys %$is;
}

# What is counted of POSTs between two moments; the rest is the target's.
sub counted
{
    my ($code) = @_;
    my $was = status();
    $code->();
    my $is = status();
    my %of = map { $_ => { changes($was->{$_}, $is->{$_}) } } qw(requests events refusals);
    return { map { my $k = $_; map { ("$k.$_" => $of{$k}{$_}) } keys %{ $of{$k} } } keys %of };
}

sub counts
{
    my ($name, $want, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply(counted($code), $want, $name);
}

# --- from nothing ---------------------------------------------------------------

my $s = status();
is($s->{version}, 1, 'the version of the JSON');
is($s->{workers}, 2, 'both workers');
cmp_ok(abs($s->{time} - time), '<', slow(2), 'the time');
cmp_ok($s->{since}, '<=', $s->{time}, 'counting began before');
is_deeply([sort { $a <=> $b } map { values %{ $s->{$_} } } qw(requests refusals)],
          [(0) x 27], 'nothing is counted yet');
is($s->{sender}{seconds_since_post}, undef, 'no POST yet');
is(join(' ', map { "$_->{name} $_->{state}" } @{ $s->{targets} }),
   "main idle 127.0.0.1:@{[$fake->port]}/0 idle 127.0.0.1:@{[$spooled->port]}/0 idle",
   'the targets, that nobody has needed yet');

# --- requests and events -----------------------------------------------------------

counts('the check of the URL is no POST', {}, sub { $nginx->get('/hook') });
is(status()->{checks}, 1, 'it is counted by itself');

my $mixed = '[' . join(',', event(1, '"mediaType":"SMS"'), event(2, '"mediaType":"Viber"'),
    map { event(3, $_) =~ s/DELIVERED/READ/r } '"mediaType":"pigeon"', '"mediaType":null') . ']';
counts('events by status and channel', {
    'requests.accepted' => 1, 'events.accepted' => 4,
    'events.status.DELIVERED' => 2, 'events.status.READ' => 2,
    'events.media_type.sms' => 1, 'events.media_type.viber' => 1,
    'events.media_type.other' => 1, 'events.media_type.absent' => 1,
}, sub { accepted($nginx->post('/hook', $mixed), 4, 'posted') });

counts('a status that is new', {
    'requests.accepted' => 1, 'events.accepted' => 1, 'events.status.unknown' => 1,
    'events.media_type.absent' => 1,
}, sub { $nginx->post('/hook', events(1) =~ s/DELIVERED/TELEPORTED/r) });

counts('no event', { 'requests.accepted' => 1 }, sub { $nginx->post('/hook', '[]') });

counts('two workers, many POSTs', {
    'requests.accepted' => 60, 'events.accepted' => 120, 'events.status.DELIVERED' => 120,
    'events.media_type.absent' => 120,
}, sub { $nginx->post('/hook', events(1, 2)) for 1 .. 60 });

for my $case (
    ['/hook', '[1]', 400, 'rejected', 'not_an_object'],
    ['/hook', '', 400, 'rejected', 'empty_body'],
    ['/hook', '[{"contactId":1}]', 400, 'rejected', 'missing_field'],
    ['/limits', events(1, 2), 413, 'rejected', 'too_many_events'],
    ['/limits', events(1 .. 30), 413, 'rejected', 'body_too_large'],
    ['/token', events(1), 401, 'unauthorized', 'unauthorized'],
) {
    my ($uri, $body, $code, $result, $reason) = @$case;
    counts("$reason: only its reason", { "requests.$result" => 1, "refusals.$reason" => 1 },
           sub { is($nginx->post($uri, $body)->{status}, $code, "$uri: $code") });
}
counts('another method', { 'refusals.method_not_allowed' => 1 },
       sub { is($nginx->request(PUT => '/hook', body => 'x')->{status}, 405, 'PUT: 405') });

counts('one bad of three in the quarantine', {
    'requests.quarantined' => 1, 'refusals.missing_field' => 1, 'events.accepted' => 2,
    'events.quarantined' => 1, 'events.status.DELIVERED' => 2, 'events.media_type.absent' => 2,
}, sub { $nginx->post('/quarantine', '[' . event(1) . ',{"contactId":7},' . event(2) . ']') });
counts('a whole body in the quarantine', {
    'requests.quarantined' => 1, 'refusals.not_json' => 1, 'events.quarantined' => 1,
}, sub { $nginx->post('/quarantine', '[{') });

$nginx->post('/dedup', events(1, 2));
counts('duplicates', {
    'requests.accepted' => 1, 'events.accepted' => 1, 'events.duplicates' => 2,
    'events.status.DELIVERED' => 3, 'events.media_type.absent' => 3,
}, sub { $nginx->post('/dedup', events(1, 2, 3)) });

counts('a client that goes away', { 'requests.abandoned' => 1 }, sub {
    my $http = $nginx->http;
    $http->send_raw("POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[");
    sleep slow(0.1);
    close $http->{socket};
    wait_for(sub { status()->{requests}{abandoned} == 1 }, slow(3));
});

# --- the last refusals ----------------------------------------------------------------

my $bad = '[' . event(1) . ',{"contactId":"private@example.com"}]';
$nginx->post('/hook', $bad);
$s = status();
my $last = $s->{last_refusals}[0];
is_deeply({ %$last, time => 0 }, {
    time => 0, reason => 'wrong_type', title => $last->{title}, status => 400,
    offset => index($bad, '"private'),
    event => 1, field => 'contactId', redis => undef, quarantined => JSON::PP::false(),
}, 'the last refusal: where and why') or diag(explain($last));
cmp_ok(abs($last->{time} - time), '<', slow(2), 'and when');
is(scalar @{ $s->{last_refusals} }, 10, 'as many as there were');
$nginx->post('/hook', '[1]') for 1 .. 20;
is(scalar @{ status()->{last_refusals} }, 16, 'at most 16');

# --- targets -------------------------------------------------------------------------------

sub target { my ($n) = @_; return status()->{targets}[$n] }

my $t = target(0);
is($t->{state}, 'up', 'up');
is($t->{list_length}, $redis->cmd('LLEN', 'esputnik:events'), 'the length of the longest list');
is($t->{connections}{up}, $t->{connects}, 'connections');
is_deeply($t->{errors}, { NOSCRIPT => $t->{errors}{NOSCRIPT} }, 'no error but the first use of a script');
is("$t->{in_flight} $t->{queue_bytes} $t->{reconnects}", '0 0 0', 'nothing waits');
like($t->{warnings}[0] // '', qr/appendonly/, 'the warning of the look');

my $commands = $t->{commands};
$nginx->post('/hook', events(1)) for 1 .. 5;
is(target(0)->{commands} - $commands, 5, 'commands');
is(target(0)->{list_length}, $redis->cmd('LLEN', 'esputnik:events'), 'its length');

$redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
ok(wait_for(sub { $nginx->post('/hook', events(1))->{status} == 200 && target(0)->{reconnects} > 0 },
            slow(5)), 'a reconnect is counted');

# two locations that differ in their timeouts have one deployment
accepted($nginx->post('/fake', events(1)), 1, 'the scripted Redis');
accepted($nginx->post('/same', events(1, 2)), 2, 'the same, by another location');
is(scalar @{ status()->{targets} }, 3, 'it is told of once');
is(target(1)->{connects}, 2, 'with what both have done');
my %times;
$times{$_}++ for text() =~ /^([^#]\S*(?: \S+)*) \S+$/mg;
is(join(' ', grep { $times{$_} > 1 } sort keys %times), '', 'no series twice');
my %length = map { $_->{name} => $_->{list_length} // 0 } @{ status()->{targets} };
my $lists = 0;
$lists += $_ for values %length;
ok(wait_for(sub { (status('/json?history')->{history}{list_length}[-1] // -1) == $lists }, slow(5)),
   'nor a length in the history');
$fake->mode('oom');
counts('an error of Redis', { 'requests.unavailable' => 1, 'refusals.unavailable' => 1 },
       sub { is($nginx->post('/fake', events(1))->{status}, 503, 'OOM: 503') });
is(target(1)->{errors}{OOM}, 1, 'by its code');
is(status()->{last_refusals}[0]{redis}, 'OOM', 'in the last refusals too');
$fake->mode('good');

# what the quarantine has not got either is no quarantined event
$fake->mode('oom');
for my $body ('[{', '[' . event(1) . ',{"contactId":7}]') {
    counts("for the quarantine, refused: $body", { 'requests.unavailable' => 1, 'refusals.unavailable' => 1 },
           sub { is($nginx->post('/fake_quarantine', $body)->{status}, 503, 'refused') });
    my $refusals = status()->{last_refusals};
    is("$refusals->[0]{reason} $refusals->[0]{status}", 'unavailable 503', 'as such the last refusal');
    ok(!$refusals->[$_]{quarantined}, 'and no word of the quarantine') for 0, 1;
}
$fake->mode('good');
is($nginx->post('/quarantine', '[' . join(',', ('{"contactId":7}') x 20) . ']')->{status}, 200, 'twenty in one POST');
my @last = @{ status()->{last_refusals} };
is(join(' ', map { $_->{event} } @last), join(' ', reverse 4 .. 19), 'the last of them are told of');
is(scalar(grep { $_->{status} == 200 && $_->{quarantined} } @last), 16, 'as quarantined');

# --- the sender --------------------------------------------------------------------------------

is($nginx->post('/hook', '[2]')->{status}, 400, 'a POST is refused') for 1 .. 2;
my $owed = status()->{sender}{owed};
my $again = status()->{sender}{seen_again};
$fake->mode('oom');
$nginx->post('/fake', events(70 .. 75));
is(status()->{sender}{owed}, $owed + 1, 'one more is owed');
$fake->mode('good');
accepted($nginx->post('/fake', events(70 .. 75)), 6, 'it comes again');
is(status()->{sender}{owed}, $owed, 'and is not owed any more');
is(status()->{sender}{seen_again}, $again + 1, 'seen again');
cmp_ok(status()->{sender}{seconds_since_ok}, '<=', slow(2), 'since the last 200');
my @gmt = gmtime(time - 3600);
my $hour_ago = sprintf '%04d-%02d-%02dT%02d:%02d:%02d', $gmt[5] + 1900, $gmt[4] + 1, @gmt[3, 2, 1, 0];
$nginx->post('/hook', '[' . join(',', event(1), event(2) =~ s/2023[^"]*/$hour_ago/r, event(3)) . ']');
cmp_ok(abs(status()->{sender}{lag} - 3600), '<=', slow(3), 'the lag of the newest event');

# --- times ------------------------------------------------------------------------------------------

$s = status();
my $posts = 0;
$posts += $_ for values %{ $s->{requests} };
is($s->{request_time}{count}, $posts, 'each POST has a time');
my $in_buckets = 0;
$in_buckets += $_->[1] for @{ $s->{request_time}{buckets} };
is($in_buckets, $posts, 'in a bucket');
cmp_ok($s->{redis_time}{count}, '<', $posts, 'fewer have asked Redis');
cmp_ok($s->{redis_time}{sum}, '<', $s->{request_time}{sum}, 'and did more than that');
cmp_ok($s->{request_time}{p50}, '>', 0, 'a median');
cmp_ok($s->{request_time}{p50}, '<=', $s->{request_time}{p99}, 'below the 99th percentile');
ok(wait_for(sub {
    my $h = status('/json?history')->{history};
    my $samples = @{ $h->{time} };
    $samples > 1 && !grep { ref && @$_ != $samples } values %$h;
}, slow(8)), 'a history');
ok(!exists status()->{history}, 'for those who ask');

# --- a spool -----------------------------------------------------------------------------------------

counts('spooled', {
    'requests.spooled' => 1, 'events.spooled' => 2, 'events.status.DELIVERED' => 2,
    'events.media_type.absent' => 2,
}, sub { is($nginx->post('/spool', events(1, 2))->{status}, 200, 'Redis is away: into the spool') });
$t = target(2);
is($t->{state}, 'down', 'the target is down');
cmp_ok($t->{failures}, '>', 0, 'tries have failed');
my $spool = status()->{spools}[0];
is("$spool->{records} $spool->{events} $spool->{max_bytes}", '1 2 1048576', 'what the spool holds');
cmp_ok($spool->{folder_bytes}, '>', 0, 'its bytes');
counts('spooled for the quarantine', {
    'requests.spooled' => 1, 'refusals.missing_field' => 1, 'events.spooled' => 1,
    'events.quarantined' => 1, 'events.status.DELIVERED' => 1, 'events.media_type.absent' => 1,
}, sub { is($nginx->post('/spool_quarantine', '[' . event(3) . ',{"contactId":7}]')->{status}, 200, 'spooled') });
is(status()->{last_refusals}[0]{quarantined}, JSON::PP::true(), 'the last refusal');
cmp_ok(abs($spool->{oldest} - time), '<', slow(5), 'how old the oldest is');
is(sample("esputnik_redis_up{target=\"$t->{name}\"}"), 0, 'down, in Prometheus too');
$spooled->launch;
ok(wait_for(sub { status()->{spools}[0]{events} == 0 }, slow(5)), 'it empties');
is(status()->{spools}[0]{oldest}, undef, 'there is no oldest');
is(target(2)->{state}, 'up', 'the target is up');
is(target(2)->{list_length}, 3, 'the length, told by the drain');
$spooled->stop;
is($nginx->post('/spool', events(4, 5, 6))->{status}, 200, 'Redis is away again');
is(join(' ', @{ status()->{spools}[0] }{qw(records events)}), '1 3', 'what the spool holds then');
$spooled->launch;
ok(wait_for(sub { status()->{spools}[0]{events} == 0 }, slow(5)), 'it empties again');

# --- forms -----------------------------------------------------------------------------------------------

my $browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
my $scraper = 'application/openmetrics-text;version=1.0.0,application/openmetrics-text;'
    . 'version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
for my $case (
    ['/status', undef, 'application/json'], ['/status', '*/*', 'application/json'],
    ['/status', $browser, 'text/html; charset=utf-8'],
    ['/status', $scraper, 'text/plain; version=0.0.4'],
    ['/status', 'application/json', 'application/json'],
    ['/json', $browser, 'application/json'], ['/metrics', $browser, 'text/plain; version=0.0.4'],
    ['/page', '*/*', 'text/html; charset=utf-8'], ['/page?history', '*/*', 'application/json'],
) {
    my ($uri, $accept, $type) = @$case;
    my $r = $nginx->get($uri, $accept ? (headers => [Accept => $accept]) : ());
    my $what = "$uri, Accept: " . substr($accept // 'none', 0, 20);
    is("$r->{status} $r->{headers}{'content-type'}", "200 $type", $what);
    is($r->{headers}{'cache-control'}, 'no-store', 'not to be kept');
    is($r->{headers}{vary}, $uri eq '/status' ? 'Accept' : undef, 'Vary');
}
my $head = $nginx->request(HEAD => '/json');
is("$head->{status} [$head->{body}]", '200 []', 'HEAD');
my $post = $nginx->post('/json', 'x');
is("$post->{status} $post->{headers}{allow}", '405 GET, HEAD', 'POST');
my $page = $nginx->get('/page');
like($page->{headers}{'content-security-policy'}, qr/\Adefault-src 'none'; .*frame-ancestors 'none'\z/,
     'a strict policy');
unlike($page->{body}, qr/(?:src|href)="?(?!data:)[^">]*\/\//, 'nothing from elsewhere');

# --- Prometheus' own opinion ------------------------------------------------------------------------------

sub run
{
    my ($input, @argv) = @_;
    my $file = $nginx->write('input', $input);
    my $said = `@argv < $file 2>&1`;
    return ($? >> 8, $said);
}

my ($code, $said) = run(text(), 'promtool check metrics');
is("$code $said", '0 ', 'promtool check metrics');
my $rules = root() . '/docs/monitoring/alerts.yml';
($code, $said) = run('', "promtool check rules $rules");
is($code, 0, 'promtool check rules') or diag($said);

# every metric that the rules and the dashboard ask for is one of ours
my %known = map { $_ => 1 } text() =~ /^# TYPE (\S+)/mg;
for my $name (qw(alerts.yml grafana-dashboard.json)) {
    open my $in, '<', root() . "/docs/monitoring/$name" or die "$name: $!\n";
    my $content = do { local $/; <$in> };
    my %asked = map { s/_(?:bucket|sum|count)\z//r => 1 } $content =~ /\b(esputnik_[a-z_]+)\b(?=[{\[) ><])/g;
    cmp_ok(scalar keys %asked, '>', 5, "$name asks for metrics");
    is(join(' ', grep { !$known{$_} } sort keys %asked), '', "$name: all of them exist");
    ok(ref JSON::PP->new->decode($content), "$name is JSON") if $name =~ /json/;
}

# every member of the JSON is in its document, by its name
open my $in, '<', root() . '/docs/monitoring/status.md' or die "status.md: $!\n";
my $document = do { local $/; <$in> };
my %members;
my $walk;
$walk = sub {
    my ($v) = @_;
    if (ref $v eq 'HASH') { $members{$_}++, $walk->($v->{$_}) for keys %$v }
    if (ref $v eq 'ARRAY') { $walk->($_) for @$v }
};
$walk->(status('/json?history'));
delete @members{qw(OOM NOSCRIPT)};   # Redis' own words
is(join(' ', grep { $document !~ /`\Q$_\E`/ } sort keys %members), '', 'each member is documented');
is(join(' ', grep { $document !~ /`\Q$_\E`/ } sort keys %known), '', 'each metric too');

# --- nothing that is not to be seen -----------------------------------------------------------------------

my $all = join "\n", map { $nginx->get($_)->{body} } qw(/json?history /metrics /page);
for my $secret ('s3cret-word', 't0ken-word', 'private@example.com', 'TELEPORTED', 'pigeon') {
    unlike($all, qr/\Q$secret\E/, "no \"$secret\"");
}

# --- workers that come and go -------------------------------------------------------------------------------

$posts = status()->{requests}{accepted};
ok($nginx->reload, 'reload');
is(status()->{requests}{accepted}, $posts, 'the counters stay');
# the old ones have stopped to listen, and end when their threads have
ok(wait_for(sub { status()->{workers} == 2 }, slow(3), 0.02), 'only living workers are told of');
$nginx->post('/hook', events(1)) for 1 .. 4;
is(status()->{requests}{accepted}, $posts + 4, 'and go on');
ok(wait_for(sub { my $c = target(0)->{connections}{up}; $c >= 1 && $c <= 2 }, slow(3)),
   'connections of old workers are gone');

$nginx->allow(qr/exited on signal 9/);
my @old = $nginx->worker_pids;
kill 'KILL', @old;
ok(wait_for(sub {
    my @new = $nginx->worker_pids;
    @new == 2 && !grep { my $p = $_; grep { $_ == $p } @old } @new;
}, slow(5)), 'workers are killed, new ones come');
is(status()->{requests}{accepted}, $posts + 4, 'the counters stay');
is(target(0)->{connections}{up}, 0, 'their connections do not');
is(status()->{workers}, 2, 'nor do they');
$nginx->post('/hook', events(1));
is(target(0)->{connections}{up}, 1, 'a new one is told of');

# --- directives ------------------------------------------------------------------------------------------------

sub refuses
{
    my ($what, $http, $server, $said) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $bad = Esputnik::Nginx->new(http => $http, server => $server,
                                   vars => { URL => $redis->url });
    my ($code, $log) = $bad->test;
    isnt($code, 0, "$what: refused");
    like($log, qr/\[emerg\].*$said.* in .*nginx\.conf:\d+/, "$what: says what and where");
}

refuses('a word', '', 'location /s { esputnik_status xml; }',
        'invalid value "xml" in "esputnik_status" directive, expected "json", "prometheus" or "html"');
refuses('twice', '', 'location /s { esputnik_status; esputnik_status json; }',
        '"esputnik_status" directive is duplicate');
refuses('two words', '', 'location /s { esputnik_status json html; }',
        'invalid number of arguments in "esputnik_status" directive');
refuses('in a server', '', 'esputnik_status;', '"esputnik_status" directive is not allowed here');
refuses('with a pass before', '', 'location /s { esputnik_pass %%URL%%; esputnik_status; }',
        '"esputnik_status" directive cannot share a location with "esputnik_pass"');
refuses('with a pass behind', '', 'location /s { esputnik_status; esputnik_pass %%URL%%; }',
        '"esputnik_pass" directive cannot share a location with "esputnik_status"');
refuses('a zone without a size', 'esputnik_zone one;', '',
        'invalid number of arguments in "esputnik_zone" directive');
refuses('a small zone', 'esputnik_zone one 4k;', '', 'invalid value "4k" in "esputnik_zone" directive');
refuses('no size', 'esputnik_zone one big;', '', 'invalid value "big" in "esputnik_zone" directive');
refuses('two zones', 'esputnik_zone one 1m; esputnik_zone two 1m;', '', 'is duplicate');
refuses('a zone in a server', '', 'esputnik_zone one 1m;', 'not allowed here');

# the smallest zone is enough, and without a status page all is counted too
my $small = nginx(http => 'esputnik_zone tiny 64k;', vars => { URL => $fake->url },
                  server => 'location /hook { esputnik_pass %%URL%%; }');
accepted($small->post('/hook', events(1)), 1, 'the smallest zone');
$small->configure(server => 'location /hook { esputnik_pass %%URL%%; }'
                  . 'location /json { esputnik_status json; }');
ok($small->reload, 'a status page is added');
is(decode($small->get('/json')->{body})->{requests}{accepted}, 1, 'what was counted before it came');

finish();
