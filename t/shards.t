# esputnik_shards: $esputnik_shard is CRC-32 modulo N, of the contact id or of a
# string, the same for ever; a contact's events are in one list, in order.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis();
my $nginx = nginx(workers => 2, vars => { URL => $redis->url }, server => <<'END');
location = /hook { esputnik_pass %%URL%%; esputnik_shards 64; esputnik_key "s:{$esputnik_shard}"; }
location = /load { esputnik_pass %%URL%%; esputnik_shards 4; esputnik_key "l:{$esputnik_shard}"; }
location = /one { esputnik_pass %%URL%%; esputnik_shards 1; esputnik_key "o:$esputnik_shard"; }
location = /many { esputnik_pass %%URL%%; esputnik_shards 16384; esputnik_key "m:$esputnik_shard"; }
location = /email { esputnik_pass %%URL%%; esputnik_shards 64 $esputnik_email; esputnik_key "e:$esputnik_shard"; }
location = /string {
    esputnik_pass %%URL%%;
    esputnik_shards 7 "$arg_q/$esputnik_contact_id";
    esputnik_key "q:$esputnik_shard";
}
location = /value {
    esputnik_pass %%URL%%;
    esputnik_shards 64;
    esputnik_key value;
    esputnik_value '$esputnik_shard $esputnik_contact_id';
}
location = /off { esputnik_pass %%URL%%; esputnik_key off; esputnik_value 'x$esputnik_shard'; }
location /in {
    esputnik_shards 64;
    esputnik_key "in:$esputnik_shard";
    location = /in/yes { esputnik_pass %%URL%%; }
    location = /in/no { esputnik_pass %%URL%%; esputnik_shards off; }
}
END

my @crc = map {
    my $c = $_;
    $c = $c & 1 ? ($c >> 1) ^ 0xedb88320 : $c >> 1 for 1 .. 8;
    $c;
} 0 .. 255;

sub crc32
{
    my ($text) = @_;
    my $c = 0xffffffff;
    $c = ($c >> 8) ^ $crc[($c ^ $_) & 0xff] for unpack 'C*', $text;
    return $c ^ 0xffffffff;
}

is(crc32('123456789'), 0xcbf43926, 'the check value of CRC-32');

# keys of redis that begin with a prefix: { shard => [contact ids in order] }
sub shards
{
    my ($prefix) = @_;
    my %got;
    for my $key (@{ $redis->cmd('KEYS', "$prefix:*") }) {
        my ($shard) = $key =~ /(\d*)\}?\z/;
        $got{$shard} = [map { /"contactId":(-?\d+)/ } @{ $redis->list($key) }];
    }
    return \%got;
}

sub expected
{
    my ($n, $string, @ids) = @_;
    my %want;
    push @{ $want{ crc32($string->($_)) % $n } }, $_ for @ids;
    return \%want;
}

# the table of docs/cluster.md

accepted($nginx->post('/hook', events(1, 123456789, 9876543, 2147483648)), 4, 'four contacts');
is(join(' ', sort @{ $redis->cmd('KEYS', '*') }), 's:{14} s:{1} s:{38} s:{55}', 'are where documented');
list_is($redis, 's:{14}', [event(9876543)], 'the one of the commands');
$redis->flush;

# many, in POSTs of any order, over a restart

my @ids = map { 1 + int rand 2_000_000_000 } 1 .. 400;
my $identity = sub { $_[0] };
accepted($nginx->post('/hook', events(@ids[0 .. 199])), 200, '200 contacts in one POST');
$nginx->stop;
$nginx->launch;
for (my $i = 200; $i < @ids; $i += 20) {
    my $r = $nginx->post('/hook', events(@ids[$i .. $i + 19]));
    is($r->{status}, 200, '20 more') if $r->{status} != 200;
}
is_deeply(shards('s'), expected(64, $identity, @ids), '400 contacts: each in its shard, also after a restart');
accepted($nginx->post('/hook', events($ids[0], 5, $ids[0])), 3, 'contacts again');
is(shards('s')->{ crc32($ids[0]) % 64 }[-1], $ids[0], 'go where they went');
$redis->flush;

# ids of every kind

accepted($nginx->post($_, '[' . join(',', map { '{"contactId":' . $_
    . ',"activityStatus":"READ","activityDateTime":"2023-09-14T08:30:03"}' }
    qw(0 -1 9223372036854775807 -9223372036854775808 10 100)) . ']'), 6, "$_: ids of every kind")
    for qw(/hook /one /many);
is_deeply(shards('s'), expected(64, $identity, qw(0 -1 9223372036854775807 -9223372036854775808 10 100)), 'as text');
is_deeply([keys %{ shards('o') }], [0], 'one shard is 0');
is_deeply(shards('m'), expected(16384, $identity, qw(0 -1 9223372036854775807 -9223372036854775808 10 100)), '16,384 shards');
accepted($nginx->post('/value', events(9876543, 1)), 2, 'in a value');
list_is($redis, 'value', ['14 9876543', '55 1'], 'it is a number');
$redis->flush;

# of a string

my %email = map { $_ => "user$_\@example.com" } 1 .. 30;
accepted($nginx->post('/email', '[' . join(',', map { event($_, qq("email":"$email{$_}")) } 1 .. 30) . ']'),
         30, 'by e-mail address');
is_deeply(shards('e'), expected(64, sub { $email{ $_[0] } }, 1 .. 30), 'each in the shard of its address');
$redis->flush;
accepted($nginx->post('/email', '[' . event(1) . ',' . event(2, '"email":""') . ','
    . event(3, '"email":"user\u0040example.com"') . ',' . event(4, '"email":"\u043f\u0440"') . ']'),
         4, 'no address, an empty one, escapes');
is_deeply(shards('e'),
          { 0 => [1, 2], 33 => [3], crc32("\xd0\xbf\xd1\x80") % 64 => [4] }, 'absent is empty, escapes are resolved');
accepted($nginx->post('/string?q=abc', events(1 .. 20)), 20, 'by a string of several');
is_deeply(shards('q'), expected(7, sub { "abc/$_[0]" }, 1 .. 20), 'each in its shard');

# off, inherited

accepted($nginx->post('/off', events(1)), 1, 'without the directive');
list_is($redis, 'off', ['x'], 'it is empty');
accepted($nginx->post("/in/$_", events(9876543)), 1, "/in/$_") for qw(yes no);
is_deeply(shards('in'), { 14 => [9876543], '' => [9876543] }, 'inherited, and off');

# under load from both workers: each contact in one list, in order

my $load = load(port => $nginx->port, uri => '/load', senders => 8, events => 5, close => 1);
wait_for(sub { $load->answers > 200 }, slow(10));
$load->stop;
my (%list_of, @all);
for my $shard (0 .. 3) {
    my $list = $redis->list("l:{$shard}");
    push @all, @$list;
    $list_of{$_}{$shard} = 1 for map { /"contactId":(\d+)/ } @$list;
}
is_deeply({ map { $_ => join ' ', keys %{ $list_of{$_} } } keys %list_of },
          { map { $_ => crc32($_) % 4 } 1 .. 8 }, 'load: each contact is in one list, its own');
my $r = $load->compare(\@all);
is("lost $r->{lost} duplicates $r->{duplicates} disorder $r->{disorder} torn $r->{torn}",
   'lost 0 duplicates 0 disorder 0 torn 0', "load: $r->{accepted} events");

finish();
