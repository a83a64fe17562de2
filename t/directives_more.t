# The directives that say how events are kept, at nginx -t: what is right
# passes, what is wrong is [emerg] with the directive's name, file and line,
# and what was expected.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

# asked without valgrind: nothing runs here but the reading of a file
my $nginx = Esputnik::Nginx->new;
my $prefix = $nginx->prefix;
my $pass = 'esputnik_pass redis://127.0.0.1;';

# nginx -t of text: at the place of %% in location, in server and in http
my %frame = (
    location => ['', "location / { $pass\n%%\n}"],
    locations => ['', '%%'],
    http => ["%%\n", "location / { $pass }"],
    server => ['', "%%\nlocation / { $pass }"],
);

sub test
{
    my ($place, $text) = @_;
    my ($http, $server) = map { my $t = $_; $t =~ s/%%/$text/; $t } @{ $frame{$place} };
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
        is($status, 0, $text =~ tr/\n/ /r) or diag($said);
        unlike($said, qr/\[(?:emerg|alert|crit)\]/, 'without a word') if $said =~ /\[/;
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
        my ($at) = $emerg =~ m{/nginx\.conf:(\d+)$};
        my @lines = split /\n/, $nginx->config;
        my @wrong;
        push @wrong, 'it passes' if $status == 0;
        push @wrong, 'the directive is not named' if $emerg !~ /\b\Q$name\E\b/;
        push @wrong, "/$expected/ is not said" if $emerg !~ $expected;
        push @wrong, 'no file and line' if !$at;
        push @wrong, "line $at is: $lines[$at - 1]"
            if $at && $lines[$at - 1] !~ /\b(?:\Q$name\E|esputnik_pass)\b/;
        ok(!@wrong, 'refused: ' . $text =~ tr/\n/ /r) or diag(map({ "$_\n" } @wrong), $said);
    }
}

my $args = qr/invalid number of arguments/;
my $expected = qr/expected/;
my $huge = '99999999999999999999';
my %both = (
    esputnik_spool => [
        ["$prefix/spool", "$prefix/spool/", 'off', 'spool', "$prefix/spool max_size=64k",
         "$prefix/spool max_size=65536", "$prefix/spool max_size=10m", "$prefix/spool max_size=2g",
         "\"$prefix/a b\""],
        ['""', "$prefix/spool 10m", "$prefix/spool max_size=", "$prefix/spool max_size=0",
         "$prefix/spool max_size=63k", "$prefix/spool max_size=x", "$prefix/spool max_size=-1",
         "$prefix/spool max_size=$huge", "$prefix/spool max=1m", 'off max_size=x',
         '/' . 'x' x 4090, '/nowhere/at/all', "$prefix/nginx.conf", "$prefix/nginx.conf/x"]],
    esputnik_dedup => [
        ['1s', '60', '1m', '24h', '30d', '1h30m', 'off', '1h $esputnik_contact_id',
         '1h "$esputnik_contact_id:$esputnik_iid"', '1h x'],
        ['0', '0s', '500ms', '31d', '-1s', 'x', '""', $huge, '1h ""', 'off x', 'on']],
    esputnik_ack => [
        ['memory', 'replicas=1', 'replicas=100', 'aof'],
        ['""', 'replicas', 'replicas=', 'replicas=0', 'replicas=-1', 'replicas=101', 'replicas=x',
         "replicas=$huge", 'none', 'off', 'AOF']],
    esputnik_max_length => [
        ['1', '5000000', '4000000000', 'off'],
        ['0', '-1', 'x', '""', '1k', '4000000001', $huge]],
    esputnik_shards => [
        ['1', '64', '16384', 'off', '64 $esputnik_contact_id', '8 "$esputnik_email/$arg_q"'],
        ['0', '-1', '16385', 'x', '""', $huge, '64 ""', 'off x', '8k']],
    esputnik_push => [
        ['rpush', 'lpush', 'xadd', 'xadd maxlen=1', 'xadd maxlen=1000000'],
        ['push', '""', 'RPUSH', 'xadd maxlen', 'xadd maxlen=', 'xadd maxlen=0', 'xadd maxlen=-1',
         'xadd maxlen=x', "xadd maxlen=$huge", 'xadd 100', 'rpush maxlen=100', 'lpush maxlen=100',
         'xadd length=5']],
);

for my $name (sort keys %both) {
    my ($right, $wrong) = @{ $both{$name} };
    good('location', map { "$name $_;" } @$right);
    good('server', "$name $right->[0];");
    good('http', "$name $right->[0];");
    my @late = $name eq 'esputnik_spool' ? splice @$wrong, -3 : ();
    bad('location', $name, $expected, map { "$name $_;" } @$wrong);
    # known only when all is read: there is no line to name
    for my $value (@late) {
        my ($status, $said) = test('location', "$name $value;");
        isnt($status, 0, "refused: $name $value;");
        like($said, qr/\[emerg\].* "esputnik_spool" "\Q$value\E" is not what is expected, a folder/,
             'by name') or diag($said);
    }
    bad('location', $name, $args, "$name;", "$name $right->[0] x y z;");
    bad('location', $name, qr/duplicate/, "$name $right->[0]; $name $right->[-1];");
}
ok(!-e "$prefix/spool", 'nginx -t makes no folder');

# what has to fit together

my $one = "location /a { $pass esputnik_spool $prefix/s max_size=1m; }\n";
good('locations', $one . "location /b { $pass esputnik_spool $prefix/s max_size=1m; }");
good('locations', $one . "location /b { $pass esputnik_spool $prefix/s; }");
good('locations', $one . "location /b { $pass esputnik_spool $prefix/t max_size=2m; }");
bad('locations', 'esputnik_spool', qr/expected the same max_size/,
    $one . "location /b { $pass esputnik_spool $prefix/s max_size=2m; }",
    $one . "location /b { $pass esputnik_spool $prefix/s/ max_size=2m; }");
# a record does not say which user's it is
{
    my $of = sub {
        my ($uri, $login, $more) = @_;
        return "location $uri { esputnik_pass redis://${login}127.0.0.1$more }\n";
    };
    my $a = $of->('/a', 'a:secret-1@', "; esputnik_spool $prefix/s;");
    good('locations', $a . $of->('/b', 'a:secret-1@', "; esputnik_spool $prefix/s; esputnik_timeout 1s;"),
         $a . $of->('/b', 'b:secret-2@', "; esputnik_spool $prefix/t;"),
         $a . $of->('/b', 'b:secret-2@', "/1; esputnik_spool $prefix/s;"),
         $a . $of->('/b', 'b:secret-2@', ';'));
    my @wrong = map { $a . $of->('/b', $_, "; esputnik_spool $prefix/s;") }
        'b:secret-1@', 'a:secret-2@', ':secret-1@', '';
    bad('locations', 'esputnik_spool', qr/expected the same user and password there, or another folder/,
        @wrong);
    unlike(join("\n", map { (test('locations', $_))[1] } @wrong), qr/secret/, 'no password is told');
    $nginx->configure(http => 'esputnik_redis 127.0.0.1:6379/0 { server 127.0.0.2; }', server =>
        "location /a { esputnik_pass redis://127.0.0.1; esputnik_spool $prefix/s; }\n"
        . "location /b { esputnik_pass 127.0.0.1:6379/0; esputnik_spool $prefix/s; }");
    isnt(($nginx->test)[0], 0, 'nor which of two servers of one name it is for');
}

# nor which location's, and one drain serves all
for (['esputnik_ack', ['memory', 'replicas=1', 'replicas=2', 'aof']],
     ['esputnik_max_length', ['off', '5', '6']]) {
    my ($name, $values) = @$_;
    my $of = sub { my ($uri, $rest) = @_; return "location $uri { $pass $rest }\n" };
    my $spool = "esputnik_spool $prefix/s;";
    for my $i (0 .. $#$values) {
        my $a = $of->('/a', "$spool $name $values->[$i];");
        my $other = "$name $values->[$i - 1];";
        good('locations', $a . $of->('/b', "$spool $name $values->[$i];"),
             $a . $of->('/b', "esputnik_spool $prefix/t; $other"), $a . $of->('/b', $other));
        bad('locations', $name, qr/expected the same in all of them, or another folder/,
            $a . $of->('/b', "$spool $other"));
    }
    bad('locations', $name, $expected, $of->('/a', $spool) . $of->('/b', "$spool $name $values->[1];"),
        $of->('/a', "$spool $name $values->[1];") . $of->('/b', $spool));
    good('locations', $of->('/a', $spool) . $of->('/b', "$spool $name $values->[0];"));
}
# streams have no length
{
    my $of = sub { my ($uri, $rest) = @_; return "location $uri { $pass esputnik_spool $prefix/s; $rest }\n" };
    my $stream = $of->('/stream', 'esputnik_push xadd;');
    my ($five, $six) = map { $of->("/$_", "esputnik_max_length $_;") } 5, 6;
    good('locations', "$stream$five", "$five$stream", "$five$stream" . $of->('/b', 'esputnik_max_length 5;'));
    bad('locations', 'esputnik_max_length', $expected, "$stream$five$six", "$five$stream$six");
}

bad('location', 'esputnik_max_length', $expected, 'esputnik_max_length 5; esputnik_push xadd;');
good('locations', "esputnik_max_length 5; location / { $pass esputnik_push xadd; esputnik_max_length off; }");
{
    my $name = 'x' x 300;
    $nginx->configure(http => "esputnik_redis $name { server 127.0.0.1; }",
                      server => "location / { esputnik_pass $name; esputnik_spool $prefix/s; }");
    my ($status, $said) = $nginx->test;
    isnt($status, 0, 'a name that no record can hold');
    like($said, qr/\[emerg\].*too long for "esputnik_spool".* in \S+\/nginx\.conf:\d+$/m, 'is refused')
        or diag($said);
}

# esputnik_zone

good('http', map { "esputnik_zone $_;" } 'a 64k', 'a 1m', 'esputnik 65536', '"a b" 2m');
bad('http', 'esputnik_zone', $expected, map { "esputnik_zone $_;" } '"" 1m', 'a 0', 'a x', 'a 63k',
    'a -1m', 'a ""', "a $huge");
bad('http', 'esputnik_zone', $args, 'esputnik_zone;', 'esputnik_zone a;', 'esputnik_zone a 1m 2m;');
bad('http', 'esputnik_zone', qr/duplicate/, 'esputnik_zone a 1m; esputnik_zone b 1m;',
    'esputnik_zone a 1m; esputnik_zone a 1m;');
bad('server', 'esputnik_zone', qr/not allowed here/, 'esputnik_zone a 1m;');
bad('location', 'esputnik_zone', qr/not allowed here/, 'esputnik_zone a 1m;');
{
    my ($status, $said) = test('http', 'limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s;'
                               . 'esputnik_zone a 1m;');
    isnt($status, 0, "another module's zone of this name");
    like($said, qr/\[emerg\].*"a"/, 'is named');
}

finish();
