# esputnik_spool: what Redis cannot take now is in the folder, durable, before
# it is answered 200; whose folder it is, what it holds, when it is full.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::SlowDisk;
use Esputnik::Spool;

my $redis = redis(start => 0);
my $second = redis(start => 0);
my $disk = Esputnik::SlowDisk->new;
my $nginx = $disk->around(sub { nginx(
    workers => 2, vars => { URL => $redis->url, SECOND => $second->url },
    http => <<'END', server => <<'END') });
esputnik_spool %%PREFIX%%/spool;
END
location = /hook { esputnik_pass %%URL%%; }
location = /second { esputnik_pass %%SECOND%%; esputnik_key second; }
location = /other { esputnik_pass %%URL%%; esputnik_key other; esputnik_spool %%PREFIX%%/other/; }
location = /status { esputnik_status json; }
location = /off { esputnik_pass %%URL%%; esputnik_key off; esputnik_spool off; }
location = /full {
    esputnik_pass %%URL%%;
    esputnik_key full;
    esputnik_spool %%PREFIX%%/full max_size=64k;
}
END
my $prefix = $nginx->prefix;
my ($folder, $other, $full) = map { "$prefix/$_" } qw(spool other full);
my $requests = 0;

sub post { my ($uri, $body) = @_; $requests++; return $nginx->post($uri, $body) }

# The last answer's line of the access log; of two workers the one before may
# be late.
sub logged
{
    my ($pattern, $name) = @_;
    my $last = $nginx->access_line($requests);
    my $before = $requests > 1 ? $nginx->access_line($requests - 1) : '';
    like($last =~ $pattern ? $last : $before, $pattern, $name);
}

# the folders are there from the start

for my $path ($folder, $other, $full) {
    my @stat = stat $path;
    is(sprintf('%04o', $stat[2] & 07777), '0700', 'made with mode 0700');
    is($stat[4], $>, 'of the user of the workers');
}

# Redis is absent

spooled(post('/hook', events(1, 2)), 2, 'a POST');
like($nginx->access_line(1), qr/ 200 result=spooled events=2 /, 'its variables');
is(join(' ', waiting_values($folder)), event(1) . ' ' . event(2), 'is in the folder');
spooled(post('/hook', events(3)), 1, 'the next');
is("@{[map { qq($_->{status} $_->{body}) } post('/hook', '[]')]}", '200 {"accepted":0}',
   'no events: nothing to spool');
problem(post('/hook', '[{}]'), 400, 'missing_field', 'malformed', event => 0,
        offset => 1, field => 'activityDateTime');
is($nginx->get('/hook')->{status}, 200, 'GET');
$requests++;
problem(post('/off', events(1)), 503, 'unavailable', 'off: 503');
logged(qr/ 503 result=unavailable /, 'and its variable');

spooled(post('/second', events(11, 12)), 2, 'another target, the same folder');
spooled(post('/other', events(21)), 1, 'the same target, another folder');
is(join(' ', waiting_values($other)), event(21), 'each record is in its folder');
is(join(' ', waiting_values($folder, '--target', $second->address . '/0')),
   event(11) . ' ' . event(12), 'and under its target') or diag((spool_tool('list', $folder))[1]);

# the tool, while nginx writes

my ($status, $said) = spool_tool('list', $folder);
is($status, 0, 'esputnik-spool list');
is(scalar(() = $said =~ /\bwriting\b/g), segments($folder), 'shows segments that are being written')
    or diag($said);
($status, $said) = spool_tool('verify', $folder);
is($status, 0, 'esputnik-spool verify finds nothing') or diag($said);
($status, $said) = spool_tool('print', $folder, '--limit', 2);
is($status, 0, 'esputnik-spool print');
is(scalar(() = $said =~ /\bRPUSH\b/gi), 2, 'shows as many as asked for') or diag($said);
($status, $said) = spool_tool('replay', $folder, '--redis', $redis->address);
is($status, 4, 'esputnik-spool replay refuses while nginx has the folder') or diag($said);

# a second nginx

{
    my $rival = Esputnik::Nginx->new(
        vars => { URL => $redis->url, FOLDER => $folder }, allow => [qr/esputnik_spool/],
        server => 'location / { esputnik_pass %%URL%%; esputnik_spool %%FOLDER%%; }');
    my @test = $rival->test;
    is($test[0], 0, 'nginx -t of a second nginx on the folder') or diag($test[1]);
    ok(!eval { $rival->launch(fails => 1); 1 }, 'the second nginx does not start');
    like($rival->error_log, qr/\[emerg\].*"esputnik_spool" "\Q$folder\E" is in use by another nginx/,
         'and says why');
    spooled(post('/hook', events(4)), 1, 'the first one is not disturbed');

    my $absent = "$prefix/absent";
    $rival->configure(vars => { URL => $redis->url, FOLDER => $absent });
    is(($rival->test)[0], 0, 'nginx -t with a folder that is not there');
    ok(!-e $absent, 'does not make it');
}

# a small one

my @kept;
my $r;
for my $n (1 .. 400) {
    my @ids = map { $n * 10 + $_ } 1 .. 5;
    $r = post('/full', events(@ids));
    last if $r->{status} != 200;
    push @kept, map { event($_) } @ids;
}
problem($r, 503, 'unavailable', 'full: 503');
like($r->{headers}{'retry-after'} // '', qr/\A[1-9]\d*\z/, 'full: Retry-After');
logged(qr/error="[^"]*full/, 'full: $esputnik_error');
cmp_ok(scalar @kept, '>=', 100, 'full: ' . @kept . ' events were taken');
cmp_ok(bytes_of($full), '<=', 64 * 1024, 'full: not larger than its max_size');
spooled(post('/other', events(22)), 1, 'full: another folder is not');

# the client is gone while the disk works

my @pids = sort $nginx->worker_pids;
my @gone;
$disk->stand_still;
for my $n (1 .. 12) {
    my $http = $nginx->http;
    $http->send_raw(Esputnik::Http->bytes(POST => '/hook', body => events(100 + $n)));
    push @gone, $http;
}
my $stays = $nginx->http;
$stays->send_raw(Esputnik::Http->bytes(POST => '/hook', body => events(200)));
is($stays->response(timeout => slow(0.3))->{error}, 'timeout',
   'a disk that stands still: no answer before it is safe');
is($nginx->get('/hook')->{status}, 200, 'and nobody else waits');
$_ % 2 ? $gone[$_]->reset : $gone[$_]->close for 0 .. $#gone;
$requests += 14;
wait_for(sub { $nginx->access >= $requests - 1 }, slow(3));
$disk->go_on;
$r = $stays->response;
spooled($r, 1, 'the disk goes on: who waited is answered');
is(scalar(grep { /^POST .* 499 / } $nginx->access), 12, 'the others are 499');
is("@{[sort $nginx->worker_pids]}", "@pids", 'no worker died');

# Redis is there

my @first = map { event($_) } 1 .. 4;
$_->launch for $redis, $second;
ok(wait_for(sub { @{ $redis->list('esputnik:events') } >= 4 + 12 + 1 }, slow(10), 0.05),
   'what was spooled comes');
my @list = @{ $redis->list('esputnik:events') };
is_deeply([@list[0 .. 3]], \@first, 'in order');
is(join(' ', sort @list), join(' ', sort @first, map { event($_) } 101 .. 112, 200),
   'also of those who had gone, and nothing twice');
ok(wait_for(sub { @{ $second->list('second') } == 2 && @{ $redis->list('other') } == 2
                      && @{ $redis->list('full') } >= @kept }, slow(10), 0.05),
   'of each target and folder');
list_is($second, 'second', [event(11), event(12)], 'the second target');
list_is($redis, 'other', [event(21), event(22)], 'the second folder');
list_is($redis, 'full', \@kept, 'the full one: what was answered 200 and nothing else');
is($redis->cmd('EXISTS', 'off'), 0, 'off: what was refused is not there');

direct_again($nginx, $_, "$_: direct again") for qw(/hook);
ok(wait_for(sub { post('/full', events(1))->{body} !~ /spooled/ }, slow(5)), 'and the full one');
ok(wait_for(sub { !grep { segments($_) } $folder, $other, $full }, slow(10), 0.05),
   'delivered segments are removed');
my $sizes = sub { join ' ', map { $_->{folder_bytes} } @{ decode($nginx->get('/status')->{body})->{spools} } };
ok(wait_for(sub { $sizes->() eq '0 0 0 0' }, slow(3), 0.05), 'and no longer counted')
    or diag($sizes->());
$redis->stop;
spooled(post('/full', events(1)), 1, 'the one that was full has room again');
$redis->launch;

# the workers' user, when nginx is started by root; the parent's owner otherwise

if ($> == 0) {
    my $plain = Esputnik::Nginx->new(
        vars => { URL => $redis->url },
        server => 'location / { esputnik_pass %%URL%%; esputnik_key n; esputnik_spool %%PREFIX%%/spool; }');
    $plain->write('nginx.conf', $plain->config =~ s/^user root;/user nobody nogroup;/mr);
    $plain->launch;
    my @stat = stat $plain->prefix . '/spool';
    is($stat[4], scalar getpwnam('nobody'), 'the folder belongs to the user of the workers');
    is(sprintf('%04o', $stat[2] & 07777), '0700', 'and to nobody else');
    $redis->stop;
    spooled($plain->post('/', events(1)), 1, 'who can write there');
}

# a disk that hangs is no excuse: each request ends in its time, and what waits in
# memory is bounded

{
    my $fake = fake_redis(accept => 0);
    my $hasty = $disk->around(sub { nginx(
        vars => { ADDRESS => $fake->address, SHORT => ms(300) },
        http => 'client_max_body_size 10m; esputnik_redis small { server %%ADDRESS%%; }',
        server => <<'END') });
location = /hasty { esputnik_pass small; esputnik_timeout %%SHORT%%; esputnik_connect_timeout %%SHORT%%;
    esputnik_spool %%PREFIX%%/spool; }
END
    spooled($hasty->post('/hasty', events(1)), 1, 'hasty: spooled');
    $disk->stand_still;
    my @c = map { my $c = $hasty->http;
                  $c->send_raw(Esputnik::Http->bytes(POST => '/hasty', body => events($_)));
                  $c } 1 .. 3;
    my $large = '[' . (event(1) =~ s/\}\z//r) . ',"note":"' . 'x' x (9 << 20) . '"}]';
    my @many = map { my $c = $hasty->http;
                     $c->send_raw(Esputnik::Http->bytes(POST => '/hasty', body => $large));
                     $c } 1 .. 6;
    my @quick = grep { ($_->{status} // 0) == 503 } map { $_->response(timeout => slow(0.3)) } @many;
    cmp_ok(scalar @quick, '>=', 2, 'hasty: 503 at once when more than 32 MB would wait');
    for (@c) {
        my $r = $_->response(timeout => 15);
        problem($r, 503, 'unavailable', 'hasty, the disk hangs: 503');
        cmp_ok($r->{time} // 0, '<', 10 + slow(0.5), 'hasty, the disk hangs: in time');
    }
    $disk->go_on;
    ok(wait_for(sub { $hasty->post('/hasty', events(9))->{status} == 200 }, slow(5), 0.05),
       'hasty: the disk goes on');
}

finish();
