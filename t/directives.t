# Every directive at nginx -t: what is right passes, what is wrong is [emerg]
# with the directive's name, file and line, and what was expected.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

# asked without valgrind: nothing runs here but the reading of a file
my $nginx = Esputnik::Nginx->new(files => {
    token => "secret\n", empty => '', blank => "\n\n",
    password => "secret\n", no_password => "\n",
});

# nginx -t of text: at the place of %% in location, in server and in http
my %frame = (
    location => ['', "location / { %% }"],
    http => ['%%', 'location / { esputnik_pass redis://127.0.0.1; }'],
    block => ['esputnik_redis b { %% }', 'location / { esputnik_pass b; }'],
    server => ['', "%%\nlocation / { esputnik_pass redis://127.0.0.1; }"],
);

sub test
{
    my ($place, $text) = @_;
    my ($http, $server) = map { s/%%/$text/r } @{ $frame{$place} };
    $nginx->configure(http => $http, server => $server);
    return $nginx->test;
}

# @texts pass
sub good
{
    my ($place, @texts) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $text (@texts) {
        my ($status, $said) = test($place, $text);
        is($status, 0, "$text") or diag($said);
    }
}

# is refused; the message names the directive, says what was expected where
# we say it (not where nginx does), and where it stands
sub bad
{
    my ($place, $name, $expected, @texts) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $text (@texts) {
        my ($status, $said) = test($place, $text);
        my ($emerg) = $said =~ /(\[emerg\].*)/;
        $emerg //= 'no [emerg]';
        my @wrong;
        push @wrong, 'it passes' if $status == 0;
        push @wrong, 'the directive is not named' if $emerg !~ /\b\Q$name\E\b/;
        push @wrong, "/$expected/ is not said" if $emerg !~ $expected;
        push @wrong, 'no file and line' if $emerg !~ m{/nginx\.conf:\d+$};
        ok(!@wrong, "refused: $text") or diag(map({ "$_\n" } @wrong), $said);
    }
}

my $args = qr/invalid number of arguments/;
my $expected = qr/expected/;
my $pass = 'esputnik_pass redis://127.0.0.1;';

# esputnik_pass

good('location', map { "esputnik_pass $_;" }
    'redis://127.0.0.1', 'redis://127.0.0.1:6380', 'redis://127.0.0.1/0',
    'redis://127.0.0.1:6379/15', 'redis://localhost', 'redis://[::1]:6379',
    'redis://user:password@127.0.0.1', 'redis://:password@127.0.0.1',
    'redis+unix:///tmp/redis.sock', 'redis+unix:///tmp/redis.sock?db=3',
    'redis+unix://user:password@/tmp/redis.sock');
bad('location', 'esputnik_pass', qr/expect|has to|cannot|only/, map { "esputnik_pass $_;" }
    'redis://', 'redis:///', 'redis://127.0.0.1:0', 'redis://127.0.0.1:65536',
    'redis://127.0.0.1:x', 'redis://127.0.0.1/x', 'redis://127.0.0.1/-1',
    'redis://127.0.0.1/0/1', 'redis://127.0.0.1/0?x=1', 'redis://127.0.0.1/65536',
    'redis://[::1', 'redis://@127.0.0.1', 'redis+unix://tmp/redis.sock',
    'redis+unix:///', 'redis+unix:///tmp/x?db=', 'redis+unix:///tmp/x?nonsense=1',
    'redis://a:%zz@127.0.0.1', '""', 'http://127.0.0.1', 'no_such_block');
bad('location', 'esputnik_pass', $args, 'esputnik_pass;', "esputnik_pass a b;");
bad('location', 'esputnik_pass', qr/duplicate/, "$pass $pass");
bad('http', 'esputnik_pass', qr/not allowed here/, $pass);
bad('server', 'esputnik_pass', qr/not allowed here/, $pass);
{
    my (undef, $said) = test('location', 'esputnik_pass redis://user:s3cret@127.0.0.1/x;');
    unlike($said, qr/s3cret/, 'a password in a bad URL is not repeated');
}

# inherited from http, server, location alike

my %both = (
    'esputnik_key' => [['a', '"a b"', 'k:$arg_q', '$esputnik_activity_status',
                        '"x$esputnik_iid"', 'x' x 1024],
                       ['""', 'x' x 1025]],
    'esputnik_value' => [['$esputnik_event', "'{\"a\":\$esputnik_event}'", 'x']],
    'esputnik_push' => [['rpush', 'lpush'], ['push', '""', 'RPUSH']],
    'esputnik_invalid' => [['reject', 'quarantine', 'quarantine my:key', 'quarantine k:$arg_q'],
                           ['keep', '""', 'reject key', 'quarantine ""']],
    'esputnik_unknown_status' => [['accept', 'reject'], ['allow', '""', 'ACCEPT', 'on']],
    'esputnik_require' => [['off', 'contactId', 'contactId email iid', 'statusData'],
                           ['nonsense', 'contact_id', 'contactId nonsense', 'off contactId',
                            'contactId off', '""']],
    'esputnik_max_events' => [['1', '10000', '1000000'],
                              ['0', '-1', 'x', '1k', '""', '99999999999999999999']],
    'esputnik_max_depth' => [['1', '16', '1000'], ['0', '-1', 'x', '""', '99999999999999999999']],
    'esputnik_connect_timeout' => [['1s', '500ms', '1m', '60'], ['0', '0s', 'x', '-1s', '""', '1x']],
    'esputnik_timeout' => [['1s', '500ms', '1m', '60'], ['0', '0s', 'x', '-1s', '""', '1x']],
    'esputnik_body_timeout' => [['1s', '500ms', '1m', '60'], ['0', '0s', 'x', '-1s', '""', '1x']],
);
for my $name (sort keys %both) {
    my ($right, $wrong) = @{ $both{$name} };
    good('location', map { "$pass $name $_;" } @$right);
    good('server', "$name $right->[0];");
    good('http', "$name $right->[0];");
    bad('location', $name, $expected, map { "$pass $name $_;" } @$wrong) if $wrong;
    bad('location', $name, $args, "$pass $name;");
    bad('location', $name, qr/duplicate/, "$pass $name $right->[0]; $name $right->[0];");
}
bad('location', $_, $args, "$pass $_ " . $both{$_}[0][0] . " x y z;")
    for grep { $_ ne 'esputnik_require' } sort keys %both;

# esputnik_token

my $file = 'file=' . $nginx->prefix;
good('location', "$pass esputnik_token \$http_x_webhook_token $file/token;");
good('server', "esputnik_token \$http_x_webhook_token $file/token;");
bad('location', 'esputnik_token', $args, "$pass esputnik_token;",
    "$pass esputnik_token \$http_x $file/token more;");
bad('location', 'esputnik_token', $expected, "$pass esputnik_token \$http_x;",
    "$pass esputnik_token \$http_x " . $nginx->prefix . '/token;',
    "$pass esputnik_token \$http_x file=;",
    "$pass esputnik_token http_x $file/token;",
    "$pass esputnik_token \$http_x $file/empty;",
    "$pass esputnik_token \$http_x $file/blank;");
bad('location', 'esputnik_token', qr/No such file/,
    "$pass esputnik_token \$http_x $file/absent;");
bad('location', 'esputnik_token', qr/duplicate/,
    "$pass esputnik_token \$http_x $file/token; esputnik_token \$http_x $file/token;");
chmod 0644, $nginx->prefix . '/token';
my (undef, $said) = test('location', "$pass esputnik_token \$http_x $file/token;");
like($said, qr/\[warn\].*token.*0600/, 'a token file that others may read is warned of');
chmod 0600, $nginx->prefix . '/token';

# esputnik_redis

my $server = 'server 127.0.0.1:6379;';
my $prefix = $nginx->prefix;
good('block', $server, 'server 127.0.0.1;', 'server localhost:6379;', 'server [::1]:6379;',
     'server unix:/tmp/redis.sock;',
     map { "$server $_" } 'user u; password p;', 'password p;',
     "password_file $prefix/password;", 'database 0;', 'database 15;', 'connections 1;',
     'connections 8;', 'connect_timeout 1s;', 'timeout 500ms;');
my %line = (
    server => ['server 127.0.0.1:0;', 'server 127.0.0.1:99999;', 'server "";', 'server unix:;'],
    user => ["$server user \"\"; password p;"],
    password => ["$server password \"\";"],
    password_file => ["$server password_file $prefix/no_password;"],
    database => [map { "$server database $_;" } 'x', '-1', '65536', '""'],
    connections => [map { "$server connections $_;" } '0', '-1', 'x', '1000000', '""'],
    connect_timeout => [map { "$server connect_timeout $_;" } '0', 'x', '-1s', '""'],
    timeout => [map { "$server timeout $_;" } '0', 'x', '-1s', '""'],
);
for my $name (sort keys %line) {
    bad('block', $name, $expected, @{ $line{$name} });
    bad('block', $name, $args, "$server $name;");
    bad('block', $name, $args, "$server $name 1 2 3;") if $name ne 'server';
}
bad('block', $_->[0], qr/duplicate/, "$server $_->[1] $_->[1]")
    for ['user', 'user u;'], ['password', 'password p;'], ['database', 'database 1;'],
        ['connect_timeout', 'connect_timeout 1s;'], ['timeout', 'timeout 1s;'],
        ['connections', 'connections 2;'];
bad('block', 'password_file', qr/duplicate/, "$server password p; password_file $prefix/password;");
bad('block', 'password_file', qr/No such file/, "$server password_file $prefix/absent;");
bad('block', 'server', $expected, '');
bad('block', 'user', $expected, "$server user u;");
bad('block', 'nonsense', qr/unknown directive/, "$server nonsense 1;");
bad('http', 'esputnik_redis', $args, "esputnik_redis { $server }", "esputnik_redis a b { $server }");
bad('http', 'esputnik_redis', $expected, "esputnik_redis \"\" { $server }");
bad('http', 'esputnik_redis', qr/duplicate/, "esputnik_redis a { $server } esputnik_redis a { $server }");
bad('server', 'esputnik_redis', qr/not allowed here/, "esputnik_redis a { $server }");
good('http', "esputnik_redis a { $server } esputnik_redis b { $server }");

# a block may stand behind the location that uses it
$nginx->configure(http => '', server => 'location / { esputnik_pass late; }',
                  main => '');
$nginx->write('nginx.conf', $nginx->config =~ s/\n\}\s*\z/\nesputnik_redis late { $server }\n}\n/r);
is(($nginx->test)[0], 0, 'a block behind its use');

# variables

for my $name (qw(esputnik_event esputnik_event_index esputnik_contact_id esputnik_hard_bounce
                 esputnik_workflow_instance_id)) {
    good('location', "$pass esputnik_key k\$$name;");
}
{
    # nginx finds out when all is read, and has no line to name
    my ($status, $said) = test('location', "$pass esputnik_key \$esputnik_no_such_field;");
    isnt($status, 0, 'a variable that is none of ours is refused');
    like($said, qr/\[emerg\].*unknown "esputnik_no_such_field" variable/, 'by name');
}
good('http', 'map $esputnik_activity_status $q { volatile; default x; READ y; } esputnik_key $q;');

finish();
