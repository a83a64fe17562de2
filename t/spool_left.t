# What old workers spool on their way out, after a reload with another zone: the
# new ones have counted an empty folder, and find it all the same.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Spool;

my $redis = redis();
my $nginx = nginx(
    workers => 2, vars => { URL => $redis->url, TIMEOUT => ms(1500) }, server => <<'END');
location = /hook {
    esputnik_pass %%URL%%;
    esputnik_dedup 1h;    # what was under way may be executed as well
    esputnik_timeout %%TIMEOUT%%;
    esputnik_spool %%PREFIX%%/spool max_size=1m;
}
location = /status { esputnik_status json; }
END
my $key = 'esputnik:events';
my $folder = $nginx->prefix . '/spool';

sub spool { return decode($nginx->get('/status')->{body})->{spools}[0] }

direct_again($nginx, '/hook', 'direct') for 1 .. 6;   # both have a connection
$redis->cmd('DEL', $key);
$redis->freeze;
my @http = map { $nginx->http } 1 .. 8;
for my $n (0 .. $#http) {
    $http[$n]->send_raw(Esputnik::Http->bytes(POST => '/hook', body => events(2 * $n, 2 * $n + 1)));
}
sleep 0.2;
$nginx->configure(http => 'esputnik_zone other 1m;');
ok($nginx->reload, 'reload with another zone, POSTs under way to a Redis that is frozen');
is(segments($folder), 0, 'nothing is spooled yet');
spooled($_->response(timeout => slow(5)), 2, 'an old worker spools') for @http;
cmp_ok(segments($folder), '>', 0, 'which is in the folder');
is(spool()->{events}, 0, 'and not known to the new workers');
my $start = time;
$redis->kill9;      # what it was sent is not executed
$redis->launch;

ok(wait_for(sub { !segments($folder) }, slow(15), 0.05), 'it is found and drained');
note(sprintf 'after %.2f s', time - $start);
my %id;
$id{ /"contactId":(\d+)/ ? $1 : $_ }++ for @{ $redis->list($key) };
is(join(' ', map { "$_:$id{$_}" } sort { $a <=> $b } keys %id), join(' ', map { "$_:1" } 0 .. 15),
   'all events, each once');
ok(scalar $nginx->log_lines(qr/\[notice\].*spool "\Q$folder\E" holds events .* that other workers have left/),
   'the log says so');
direct_again($nginx, '/hook', 'then direct');

# its size was never counted by the new workers, and is not taken off what they
# have
ok(wait_for(sub { spool()->{folder_bytes} == 0 }, slow(8), 0.05), 'the folder is empty');
$redis->stop;
spooled($nginx->post('/hook', events(100)), 1, 'the spool takes as before');
is(join(' ', @{ spool() }{qw(records events)}), '1 1', 'and counts from zero');

finish();
