# esputnik_zone: what the workers know together.  Kept over reloads; another
# name or size begins anew, and the spool goes on all the same.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Spool;

my $redis = redis(args => ['--appendonly', 'yes', '--appendfsync', 'no']);
my $server = <<'END';
location = /hook { esputnik_pass %%URL%%; esputnik_spool %%PREFIX%%/spool; esputnik_timeout %%TIMEOUT%%; }
location = /load { esputnik_pass %%URL%%; esputnik_spool %%PREFIX%%/spool; esputnik_key load; esputnik_timeout %%TIMEOUT%%; }
location = /status { esputnik_status json; }
END
my $nginx = nginx(workers => 2, vars => { URL => $redis->url, TIMEOUT => ms(500) },
                  server => $server);
my $key = 'esputnik:events';

sub post { my ($uri, @ids) = @_; return $nginx->post($uri, events(@ids)) }
sub texts { return [map { event($_) } @_] }

sub status { return decode($nginx->get('/status')->{body}) }

# "accepted spooled" events as the zone has counted them
sub counted { my $events = status()->{events}; return "$events->{accepted} $events->{spooled}" }

sub again
{
    my ($zone, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $nginx->configure(http => $zone);
    ok($nginx->reload, $name);
}

# counters: kept over a reload, new in another zone

accepted(post('/hook', 1, 2, 3), 3, 'the zone that is there without the directive');
is(counted(), '3 0', 'counts');
my $since = status()->{since};
again('', 'reload');
is(counted(), '3 0', 'is kept');
is(status()->{since}, $since, 'since when');
accepted(post('/hook', 4), 1, 'goes on');
is(counted(), '4 0', 'goes on counting');
again('esputnik_zone esputnik 1m;', 'its default, written');
is(counted(), '4 0', 'is the same zone');
again('esputnik_zone named 1m;', 'another name');
is(counted(), '0 0', 'begins anew');
accepted(post('/hook', 5), 1, 'goes on');
again('esputnik_zone named 2m;', 'another size');
is(counted(), '0 0', 'begins anew');
cmp_ok(status()->{since}, '>', $since, 'since then');
list_is($redis, $key, texts(1 .. 5), 'no event got lost with it');

# more targets at a reload: those that were there are kept

accepted(post('/hook', 6), 1, 'one event');
$nginx->configure(server => $server . 'location = /more { esputnik_pass redis://127.0.0.1:1; }');
ok($nginx->reload, 'one target more');
is(counted(), '1 0', 'is kept');
is(scalar @{ status()->{targets} }, 2, 'two targets');
$nginx->configure(server => $server);
ok($nginx->reload, 'one target less');
is(counted(), '1 0', 'is kept');
is(scalar @{ status()->{targets} }, 1, 'one target');
$redis->flush;

# the spool: waiting events are known after a reload, in the same zone or not

my @all;
my $id = 0;
$redis->stop;
for (['esputnik_zone named 2m;', 'same zone'], ['esputnik_zone named 1m;', 'another size'],
     ['esputnik_zone other 1m;', 'another name'], ['', 'the first zone again']) {
    my ($zone, $name) = @$_;
    spooled(post('/hook', $id + 1, $id + 2), 2, "$name: before");
    $id += 2;
    again($zone, "$name: reload");
    is(status()->{spools}[0]{events}, $id, "$name: $id events are known to be in the spool");
    cmp_ok(status()->{spools}[0]{folder_bytes}, '>=', bytes_of($nginx->prefix . '/spool') - 4096,
           "$name: and what they take");
}
spooled(post('/hook', ++$id), 1, 'one more');
$redis->launch;
ok(wait_for(sub { $redis->cmd('LLEN', $key) >= $id }, slow(10), 0.02), 'drained');
my @probes = direct_again($nginx, '/hook', 'then direct');
list_is($redis, $key, [@{ texts(1 .. $id) }, @probes], 'in order, once');
ok(wait_for(sub { !status()->{spools}[0]{events} }, slow(3), 0.05), 'none is counted any more');
$redis->flush;

# under load, Redis away, with one zone after the other

my $load = load(port => $nginx->port, uri => '/load', senders => 4, events => 2, close => 1,
                pause => 0.005);
wait_for(sub { $load->answers > 20 }, slow(10));
$redis->stop;
for my $zone ('esputnik_zone a 1m;', 'esputnik_zone a 2m;', 'esputnik_zone b 2m;') {
    my $n = $load->answers;
    wait_for(sub { $load->answers > $n + 20 }, slow(10));
    again($zone, "under load: $zone");
}
my $n = $load->answers;
wait_for(sub { $load->answers > $n + 20 }, slow(10));
$redis->launch;
ok(wait_for(sub { post('/hook', 1)->{body} !~ /spooled/ }, slow(10), 0.05), 'under load: drained');
$load->stop;
direct_again($nginx, '/load', 'under load: then direct');
my $r;
wait_for(sub { $r = $load->compare($redis->list('load')); !$r->{lost} }, slow(5), 0.05);
is("lost $r->{lost} disorder $r->{disorder} torn $r->{torn}", 'lost 0 disorder 0 torn 0',
   "under load: of $r->{accepted} events");
# Redis ended in good order, but what it had executed may have gone unanswered
cmp_ok($r->{duplicates}, '<=', 4 * 2, "under load: $r->{duplicates} twice");
is_deeply([keys %{ $load->by_status }], [200], 'under load: every answer was 200');

# too small for what the configuration has

my $targets = join '', map {
    "location = /target$_ { esputnik_pass redis://127.0.0.1:$_; }\n" } 101 .. 160;
my $many = join '', map {
    "location = /$_ { esputnik_pass redis://127.0.0.1:$_; esputnik_spool $_; }\n" } 1 .. 60;
my $small = Esputnik::Nginx->new(http => 'esputnik_zone tiny 64k;', server => $many,
                                 allow => [qr/"esputnik_zone" "tiny"/]);
my ($status, $said) = $small->test;
isnt($status, 0, 'too small a zone: nginx -t refuses it');
like($said, qr/\[emerg\].*"esputnik_zone" "tiny" is too small .*expected a larger size/,
     'and says why');
$small->configure(http => 'esputnik_zone tiny 4m;');
$small->launch;
is($small->get('/1')->{status}, 200, 'a larger one is enough');

$nginx->allow(qr/"esputnik_zone" "tiny"/, qr/ngx_slab_alloc\(\) failed/);
$nginx->configure(http => 'esputnik_zone tiny 64k;', server => $server . $many);
my @pids = sort $nginx->worker_pids;
kill 'HUP', $nginx->pid;
ok(wait_for(sub { $nginx->log_lines(qr/"esputnik_zone" "tiny" is too small/) }, slow(5)),
   'at a reload: refused');
is("@{[sort $nginx->worker_pids]}", "@pids", 'and the workers stay');
accepted(post('/hook', 1), 1, 'with their zone');

# the zone that the refused configuration has filled is still that of the
# workers: one that starts later finds only what is whole in it.  Other numbers
# of targets: the memory ends at another step

for my $n (1, 2) {
    my $few = join '', map { "location = /few$_ { esputnik_pass redis://127.0.0.1:$_; }\n" } 1 .. $n;
    my $full = nginx(vars => { URL => $redis->url }, http => 'esputnik_zone tight 64k;',
                     server => "location = /hook { esputnik_pass %%URL%%; }\n$few",
                     allow => [qr/"esputnik_zone" "tight" is too small/, qr/ngx_slab_alloc\(\) failed/,
                               qr/exited on signal 9/]);
    $full->configure(server => "location = /hook { esputnik_pass %%URL%%; }\n$few$targets");
    kill 'HUP', $full->pid;
    ok(wait_for(sub { $full->log_lines(qr/"tight" is too small/) }, slow(5)),
       "in the same zone, filled from $n on: refused");
    my ($old) = $full->worker_pids;
    kill 'KILL', $old;
    ok(wait_for(sub { grep { $_ != $old } $full->worker_pids }, slow(5)), 'a worker is killed');
    my $r;
    wait_for(sub { ($r = $full->post('/hook', events(1)))->{status} == 200 }, slow(2), 0.05);
    accepted($r, 1, 'its successor takes events');
}

# loaded and not used, the module takes no memory for it

sub mapped
{
    my ($nginx) = @_;
    my ($pid) = $nginx->worker_pids;
    open my $in, '<', "/proc/$pid/maps" or return;
    no warnings 'portable';
    # nginx' own is small
    return scalar(grep { m{\A(\w+)-(\w+) .*/dev/zero} && hex($2) - hex($1) >= 1 << 20 } <$in>);
}
my $unused = nginx(server => 'location = /hook { return 204; }');
is($unused->get('/hook')->{status}, 204, 'not used: nginx works');
is(mapped($unused), 0, 'not used: no shared memory');
$unused->configure(server => 'location = /status { esputnik_status json; }');
ok($unused->reload, 'a reload to its use');
is($unused->get('/status')->{status}, 200, 'used');
is(mapped($unused), 1, 'used: shared memory');
$unused->configure(server => 'location = /hook { return 204; }');
ok($unused->reload, 'and back');
is($unused->get('/hook')->{status}, 204, 'not used any more');

finish();
