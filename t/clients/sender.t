# The vendor's simulator: its stream is what the module takes, its patience is
# the vendor's, and its look at the lists finds what is wrong with them.

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use MIME::Base64 qw(encode_base64);
use Esputnik::Process qw(spawn wait_exit);
use Esputnik::Test;
use Consumer;

my $folder = tempdir('esputnik-sender-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $redis = redis();
my $nginx = nginx(vars => { URL => $redis->url }, workers => 2, http => <<'END',
client_max_body_size 1m;
map "$http_authorization $http_x_one $http_x_two" $known {
    default 0;
    "Basic dmVuZG9yOnA6dw== 1 a:b" 1;
}
END
    server => <<'END');
location = /webhooks { esputnik_pass %%URL%%; esputnik_connect_timeout 200ms; }
location = /stream { esputnik_pass %%URL%%; esputnik_key bad; }
location = /locked {
    if ($known = 0) { return 401; }
    esputnik_pass %%URL%%;
    esputnik_key locked;
}
END

my $base = 'http://127.0.0.1:' . $nginx->port;
my $runs = 0;

sub launch
{
    my (@options) = @_;
    my $out = "$folder/out." . ++$runs;
    my $pid = spawn([$Consumer::python, example('sender/esputnik-sender.py'),
                     '--quiet', @options], stderr => $out);
    return [$pid, $out];
}

sub ended
{
    my ($run) = @_;
    my $status = wait_exit($run->[0], slow(60)) // -256;
    open my $in, '<', $run->[1];
    local $/;
    return ($status >> 8, scalar <$in>);
}

sub sender { return ended(launch(@_)) }

sub attempts
{
    open my $in, '<', $_[0] or return wantarray ? () : 0;
    return map { [split /\t/] } <$in>;
}

# the stream

my ($status, $out) = sender('--url', "$base/webhooks", '--count', 300,
    '--accounts', 3, '--batch', '1-20', '--log', "$folder/log",
    '--verify', $redis->url, 'esputnik:events', '--no-duplicates');
is($status, 0, 'all is delivered') || diag($out);
like($out, qr/^answers: 200 300$/m, 'in as many POSTs');
my $found = $redis->cmd('LLEN', 'esputnik:events');
like($out, qr/^verify: acknowledged $found, found $found, lost 0, duplicates 0 \(without a failed attempt 0\), order inversions 0, stored without a 200 0, malformed stored 0$/m,
     'and found in the list');
my @log = attempts("$folder/log");
is(scalar @log, 300, 'the log has each attempt');
is(scalar(map { split /,/, $_->[6] } @log), $found, 'and each event');
my @events = map { decode($_) } @{ $redis->list('esputnik:events') };
my %statuses = map { $_->{activityStatus} => 1 } @events;
is(join(' ', sort keys %statuses),
   'CLICKED DELIVERED READ SENT SPAM SUBSCRIPTION_CHANGED UNDELIVERED UNSUBSCRIBED',
   'every status is there');
my %media = map { lc $_->{mediaType} => 1 } @events;
is(join(' ', sort keys %media),
   'appinbox email inapp mobilepush sms telegram viber webpush widget',
   'and every medium');
cmp_ok(scalar(grep { $_->{broadcastId} } @events), '>', 100, 'bulk messages');
cmp_ok(scalar(grep { $_->{workflowId} } @events), '>', 100, 'triggered ones');
my %order;
push @{ $order{$_->{iid}} }, $_->{activityStatus} for @events;
ok(!(grep { $_ !~ /^(?:SENT )?(?:UN)?DELIVERED|^SENT$/ } map { "@$_" } values %order),
   'each message begins its life at the beginning');

# seeds

my @dumps;
for my $seed (7, 7, 8) {
    $redis->cmd('DEL', 'esputnik:events');
    sender('--url', "$base/webhooks", '--count', 5, '--seed', $seed, '--run',
           'r', '--date', '2023-09-14T08:30:03');
    push @dumps, join "\n", @{ $redis->list('esputnik:events') };
}
ok($dumps[0] eq $dumps[1], 'the same seed, the same bytes');
ok($dumps[0] ne $dumps[2], 'another seed, others');

# patience

$redis->cmd('DEL', 'esputnik:events');
unlink "$folder/log";
my @patient = ('--url', "$base/webhooks", '--accounts', 2, '--rate', 100,
    '--duration', 3, '--time-scale', 0.002, '--log', "$folder/log",
    '--verify', $redis->url, 'esputnik:events');
$redis->cmd('CONFIG', 'SET', 'appendonly', 'yes');
my $run = launch(@patient);
wait_for(sub { attempts("$folder/log") > 40 }, slow(10));
$redis->kill9;
my $refused = wait_for(sub { grep { $_->[4] ne '200' } attempts("$folder/log") },
                       slow(10));
ok($refused, 'Redis is away, POSTs are refused');
sleep 1;
push @{ $redis->{args} }, '--appendonly', 'yes';
$redis->launch;
($status, $out) = ended($run);
is($status, 0, 'Redis is back, nothing is lost') || diag($out);
like($out, qr/\blost 0,.* order inversions 0,/, 'and all in order');
my (%last, @wrong, @waits);
for (attempts("$folder/log")) {
    my ($time, $account, $post, $attempt, $answer) = @$_;
    my $before = $last{$account};
    if ($before && $before->[4] ne '200') {
        push @wrong, "POST $post passed $before->[2]" if $post != $before->[2];
        push @waits, [$attempt, $time - $before->[0]];
    } elsif ($before) {
        push @wrong, "POST $post after $before->[2]" if $post != $before->[2] + 1;
    }
    $last{$account} = $_;
}
is(join("\n", @wrong), '', 'nothing passes a POST that failed');
# the log has milliseconds
my @short = grep { $_->[1] < 0.002 * 60 * 2**($_->[0] - 2) - 0.0015 } @waits;
ok(@waits >= 4 && !@short, 'each wait is twice the former')
    || diag(map { "@$_\n" } @waits);

# malformed ones

($status, $out) = sender('--url', "$base/stream", '--count', 200, '--bad-ratio',
    0.4, '--verify', $redis->url, 'bad', '--no-duplicates');
is($status, 0, 'malformed POSTs leave nothing behind') || diag($out);
like($out, qr/^sent: 200 POSTs \(([5-9]\d|1[01]\d) malformed\)/m, 'though many');
my ($malformed) = $out =~ /\((\d+) malformed/;
like($out, qr/^answers: 200 @{[200 - $malformed]}, 400 $malformed$/m,
     'and each was refused');

# who may

my @basic = ('--basic', 'vendor:p:w');
my @headers = ('--header', 'X-One: 1', '--header', 'X-Two:a:b');
is((sender('--url', "$base/locked", '--count', 2, @headers))[0], 2,
   'the check by GET fails without the password');
is((sender('--url', "$base/locked", '--count', 2, @basic))[0], 2,
   'and without the headers');
is((sender('--url', "$base/locked", '--count', 2, @basic, @headers))[0], 0,
   'with all of them the webhooks are taken');
is((sender('--url', "$base/locked", '--count', 2, '--no-check', '--time-scale',
           0.0001, '--max-attempts', 3))[0], 3,
   'what is refused for ever remains undelivered');
is((sender('--url', $base, '--count', 1, ('--header', 'A: 1') x 6))[0], 2,
   'six headers are more than the vendor has');
is((sender('--url', 'http://127.0.0.1:1/', '--count', 1))[0], 2, 'nobody there');

# the look at the lists finds what is wrong

my @check = ('--log', "$folder/log", '--verify', $redis->url);
$redis->cmd('COPY', 'esputnik:events', 'copy');
is((sender(@check, 'copy'))[0], 0, 'the log and a sound list');
my $list = $redis->list('copy');

# of one account, so that their order counts
my ($x, $y) = grep { /"externalCustomerId":"[^"]*-1-\d+"/ } @$list[10 .. 99];
$redis->cmd('LREM', 'copy', 1, $x);
($status, $out) = sender(@check, 'copy');
is($status, 1, 'a lost event');
like($out, qr/ lost 1, .*order inversions 0,/, 'is counted');
$redis->cmd('LINSERT', 'copy', 'AFTER', $y, $x);
($status, $out) = sender(@check, 'copy');
is($status, 1, 'an event behind its successor');
like($out, qr/ lost 0, .*order inversions 1,/, 'is counted');
$redis->cmd('DEL', 'copy');
$redis->cmd('RPUSH', 'copy', @$list, $list->[0]);
($status, $out) = sender(@check, 'copy');
is($status, 1, 'a copy that no failed attempt explains');
like($out, qr/ lost 0, duplicates 1 \(without a failed attempt 1\)/, 'is counted');
$redis->cmd('DEL', 'copy');
$redis->cmd('XADD', 'copy', '*', 'event', $_) for @$list;
is((sender(@check, 'copy'))[0], 0, 'a stream is read too');

# an interrupt

my $endless = launch('--url', "$base/webhooks", '--duration', 60, '--verify',
                     $redis->url, 'esputnik:events');
sleep 0.7;
kill 'INT', $endless->[0];
($status, $out) = ended($endless);
is($status, 0, 'an interrupt ends the stream');
like($out, qr/^verify: acknowledged [1-9]\d+, .*lost 0/m, 'with its look at the lists');

finish();
