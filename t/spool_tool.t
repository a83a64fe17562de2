# esputnik-spool: lists, prints, verifies and replays.  The spools are made
# here, by a second writer of the format that knows docs/spool.md only.

use strict;
use warnings;
no warnings 'portable';   # ids have 64 bits

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Fcntl qw(:flock);
use FindBin;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";
use Esputnik::Env qw(redis_binary);

my $top  = abs_path(dirname(__FILE__) . '/..');
my $tool = $ENV{ESPUTNIK_SPOOL_TOOL} // "$top/build/esputnik-spool";
my $tmp  = tempdir('spool-tool-XXXXXX', TMPDIR => 1, CLEANUP => 1);

-x $tool or BAIL_OUT("$tool is not built: make -C t/unit tools");

# --- the format -----------------------------------------------------------

my @crc = map {
    my $c = $_;
    $c = $c & 1 ? ($c >> 1) ^ 0x82f63b78 : $c >> 1 for 1 .. 8;
    $c;
} 0 .. 255;

sub crc32c {
    my ($bytes, $crc) = @_;
    $crc = ($crc // 0) ^ 0xffffffff;
    $crc = ($crc >> 8) ^ $crc[($crc ^ $_) & 0xff] for unpack 'C*', $bytes;
    return $crc ^ 0xffffffff;
}

sub segment_header {
    my ($id, $target, %more) = @_;
    my $h = 'ESPSPOOL' . pack('VVQ<Q<Q<Q<VC', $more{version} // 1, 512, $id,
                              0, $more{first} // 1, 1700000000000, 77,
                              length $target) . $target;
    $h .= "\0" x (508 - length $h);
    return $h . pack('V', crc32c($h));
}

sub operation {
    my ($kind, $key, @values) = @_;
    my $o = pack('Cx3VQ<VV', $kind, 0, 0, scalar @values, length $key) . $key;
    $o .= pack('VV', length $_, 0) . $_ for @values;
    return $o;
}

sub record {
    my ($id, $sequence, $target, $payload, $events, $kind) = @_;
    my $seed = crc32c(pack('Q<', $id));
    my $head = 'ESPR' . pack('VQ<Q<VCCx2', length $payload, $sequence,
                             1700000000000 + $sequence, $events // 1,
                             $kind // 1, length $target);
    my $body = $target . $payload;
    $head .= pack('V', crc32c($body, crc32c($head, $seed)));
    $head .= pack('V', crc32c($head, $seed));
    my $r = $head . $body;
    return $r . "\0" x (-length($r) % 8);
}

sub sectors {
    my ($bytes) = @_;
    return $bytes . "\0" x (-length($bytes) % 512);
}

sub spool {
    my ($name, %segments) = @_;
    my $dir = "$tmp/$name";
    mkdir $dir, 0700;
    for my $id (keys %segments) {
        open my $f, '>:raw', sprintf('%s/%016x.seg', $dir, $id) or die $!;
        print $f $segments{$id};
        close $f or die $!;
    }
    return $dir;
}

# --- helpers --------------------------------------------------------------

sub run {
    my @args = @_;
    my $pid = open(my $out, '-|');
    defined $pid or die $!;
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec { $tool } $tool, @args or die $!;
    }
    my $text = do { local $/; <$out> };
    close $out;
    return ($? >> 8, $text // '');
}

my $port = $ENV{SPOOL_TEST_PORT} // 21010;
my $redis;

sub start_redis {
    my $socket = "$tmp/redis.sock";
    $redis = fork;
    if ($redis == 0) {
        open STDOUT, '>', "$tmp/redis.log";
        exec redis_binary('server'), '--port', $port, '--bind', '127.0.0.1',
             '--unixsocket', $socket, '--save', '', '--dir', $tmp,
             '--daemonize', 'no' or die $!;
    }
    for (1 .. 100) {
        return $socket if IO::Socket::UNIX->new(Peer => $socket);
        sleep 0.05;
    }
    BAIL_OUT(redis_binary('server') . ' does not start');
}

END {
    my $status = $?;
    if ($redis) {
        kill 'TERM', $redis;
        waitpid $redis, 0;
    }
    $? = $status;
}

sub redis {
    my @words = @_;
    my $s = IO::Socket::INET->new("127.0.0.1:$port") or die $!;
    print $s '*' . @words . "\r\n", map { '$' . length . "\r\n$_\r\n" } @words;
    $s->flush;
    return reply($s);
}

sub reply {
    my ($s) = @_;
    local $/ = "\r\n";
    my $line = <$s>;
    chomp $line;
    my ($type, $rest) = $line =~ /^(.)(.*)$/s;
    if ($type eq '*') {
        return [map { reply($s) } 1 .. $rest];
    }
    return $rest if $type ne '$' || $rest < 0;
    my $bytes;
    read $s, $bytes, $rest;
    <$s>;
    return $bytes;
}

# --- command line ---------------------------------------------------------

my ($status, $out) = run('--help');
is $status, 0, 'help';
like $out, qr/^usage: esputnik-spool COMMAND DIR/, 'help text';
($status, $out) = run('--version');
is $status, 0, 'version';
for my $bad ([], ['list'], ['look', $tmp], ['list', $tmp, 'more'],
             ['list', $tmp, '--nothing'], ['replay', $tmp],
             ['list', $tmp, '--all'], ['list', $tmp, '--redis', 'x:1'],
             ['print', $tmp, '--limit', '0'], ['print', $tmp, '--limit', 'x'],
             ['replay', $tmp, '--redis', 'x:1', '--db', '-1'],
             ['replay', $tmp, '--redis', 'x:1', '--user', 'u'])
{
    is +(run(@$bad))[0], 2, "usage: @$bad";
}
is +(run('list', "$tmp/none"))[0], 3, 'no such folder';
is +(run('replay', "$tmp/none", '--redis', "127.0.0.1:$port"))[0], 3,
    'no such folder to replay';

# --- a sound spool --------------------------------------------------------

my ($one, $other) = (0x18bcfe5680000001, 0x18bcfe5680000002);
my $event = '{"contactId":1,"email":"a@b.c"}';

sub sound {
    my ($name) = @_;
    my $dir = spool($name,
        $one => segment_header($one, 'main')
            . sectors(record($one, 1, 'main', operation(1, 'list', $event)))
            . sectors(record($one, 3, 'main', operation(1, 'list', 'three')
                                            . operation(2, 'left', "l\n1",
                                                        'l2'), 3))
            . record($one, 3, 'main', '', 0, 2),
        $other => segment_header($other, 'main', first => 2)
            . sectors(record($other, 2, 'main', operation(1, 'list', 'two'))
                      . record($other, 4, 'main', operation(3, 'stream', 'x'))));
    return $dir;
}

my $dir = sound('sound');
($status, $out) = run('list', $dir);
is $status, 0, 'list';
like $out, qr/^18bcfe5680000001 \s+ waiting \s+ 2 \s+ 2 \s+ 4 \s+ \d+
              \s+ 2023-11-14T22:13:20.001Z \s+ 2023-11-14T22:13:20.003Z
              \s+ main$/mx, 'a segment in the list';
like $out, qr/4 records \(4 waiting with 6 events\)$/m, 'totals';

($status, $out) = run('print', $dir);
is $status, 0, 'print';
my @lines = split /\n/, $out;
is scalar @lines, 6, 'one event a line';
like $out, qr/^1  2023-\S+  18bcfe5680000001  main  rpush list  \Q$event\E$/m,
    'an event';
like $out, qr/lpush left  l\\x0a1$/m, 'control characters are escaped';
($status, $out) = run('print', $dir, '--values', '--limit', 2);
is $out, "$event\nthree\n", 'values alone, limited';
($status, $out) = run('print', $dir, '--target', 'other');
is $out, '', 'no such target';

($status, $out) = run('verify', $dir);
is $status, 0, 'verify';
like $out, qr/^2 segments, 4 good records, 0 problems$/m, 'all is well';

# --- damage ---------------------------------------------------------------

my $good = record($one, 1, 'main', operation(1, 'list', 'one'));
my $next = record($one, 2, 'main', operation(1, 'list', 'two'));
my $hurt = $good;
substr $hurt, 60, 1, '~';
my %damage = (
    'corrupt, good records follow' =>
        segment_header($one, 'main') . sectors($hurt) . $next,
    'torn tail' =>
        segment_header($one, 'main') . sectors($good) . substr($next, 0, 50),
    'corrupt header' =>
        'X' . substr(segment_header($one, 'main') . $good, 1),
    'unknown version' =>
        segment_header($one, 'main', version => 9) . $good,
    'malformed record' =>
        segment_header($one, 'main') . record($one, 1, 'main', 'nonsense'),
    'sequence out of order' =>
        segment_header($one, 'main') . $next . $good,
);
my $n = 0;
for my $what (sort keys %damage) {
    my $d = spool('damage' . $n++, $one => $damage{$what});
    ($status, $out) = run('verify', $d);
    is $status, 1, "verify: $what";
    like $out, qr/^18bcfe5680000001  offset \d+  \d+ bytes  \Q$what\E$/m,
        "named: $what";
    is +(run('list', $d))[0], 0, "list: $what";
}

# --- replay ---------------------------------------------------------------

my $socket = start_redis();
my $address = "127.0.0.1:$port";

is +(run('replay', $dir, '--redis', "127.0.0.1:" . ($port + 1)))[0], 3,
    'no Redis there';

open my $lock, '>', "$dir/lock" or die $!;
flock $lock, LOCK_EX or die $!;
($status, $out) = run('replay', $dir, '--redis', $address);
is $status, 4, 'refused while nginx has the lock';
close $lock;

redis('SET', 'left', 'of another type');
($status, $out) = run('replay', $dir, '--redis', "unix:$socket");
is $status, 1, 'a key of another type';
like $out, qr/^3 records with 3 events sent$/m, 'the others go';
is_deeply redis('LRANGE', 'list', 0, -1), [$event, 'two'],
    'in order, and nothing of the stuck record';
is redis('XLEN', 'stream'), 1, 'the stream';

($status, $out) = run('list', $dir);
like $out, qr/\(1 waiting with 3 events\)/, 'the stuck one waits';
($status, $out) = run('print', $dir, '--values');
is $out, "three\nl\\x0a1\nl2\n", 'and is printed';

redis('DEL', 'left');
($status, $out) = run('replay', $dir, '--redis', $address);
is $status, 0, 'replay goes on';
is_deeply redis('LRANGE', 'list', 0, -1), [$event, 'two', 'three'],
    'nothing twice';
is_deeply redis('LRANGE', 'left', 0, -1), ['l2', "l\n1"], 'LPUSH';
is_deeply [glob "$dir/*.seg $dir/*.done"], [], 'delivered segments are gone';
($status, $out) = run('replay', $dir, '--redis', $address);
is $status, 0, 'nothing to do';
like $out, qr/^0 records/m, 'said so';

# several targets, a password, another database
my $two = spool('two',
    $one => segment_header($one, 'main')
        . record($one, 1, 'main', operation(1, 'db', 'm')),
    $other => segment_header($other, 'other')
        . record($other, 1, 'other', operation(1, 'db', 'o')));
($status, $out) = run('replay', $two, '--redis', $address);
is $status, 3, 'which target?';
like $out, qr/^  main$/m, 'they are named';

redis('CONFIG', 'SET', 'requirepass', 'secret word');
open my $file, '>', "$tmp/password" or die $!;
print $file "secret word\n";
close $file;
($status, $out) = run('replay', $two, '--redis', $address, '--target', 'other');
is $status, 3, 'without the password';
unlike $out, qr/secret/, 'no password is shown';
($status, $out) = run('replay', $two, '--redis', $address, '--target', 'other',
                      '--user', 'default', '--password-file',
                      "$tmp/password", '--db', 3);
is $status, 0, 'with the password';
my $s = IO::Socket::INET->new($address) or die $!;
print $s "AUTH \"secret word\"\r\nSELECT 3\r\nLRANGE db 0 -1\r\n";
$s->flush;
is reply($s), 'OK', 'AUTH';
is reply($s), 'OK', 'SELECT';
is_deeply reply($s), ['o'], 'the other target only';
like +(run('list', $two))[1], qr/1 records \(1 waiting/, 'the first is there';

done_testing();
