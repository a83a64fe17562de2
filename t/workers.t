# Two workers: each with its own connection; one that dies takes nothing
# along that was answered 200.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis();
my $nginx = nginx(workers => 2, allow => [qr/exited on signal 9/],
                  vars => { URL => $redis->url }, server => <<'END');
location /hook { esputnik_pass %%URL%%; esputnik_key load; }
END

my $load = load(port => $nginx->port, uri => '/hook', senders => 8, events => 4, close => 1);
my @clients;
wait_for(sub { @clients = $redis->module_clients;
               @clients == 2 && $load->answers > 300 }, slow(10));
is(scalar @clients, 2, 'two connections');
my %name = map { /\bname=(\S+)/ ? ($1 => 1) : () } @clients;
is(scalar keys %name, 2, 'with names of their own');
$load->stop;
my $r = $load->compare($redis->list('load'));
is("lost $r->{lost} duplicates $r->{duplicates} disorder $r->{disorder} torn $r->{torn}"
   . " refused $r->{refused_stored}",
   'lost 0 duplicates 0 disorder 0 torn 0 refused 0', "$r->{accepted} events");
is($r->{stored}, $r->{accepted}, 'exactly these');
is_deeply([keys %{ $load->by_status }], [200], 'all 200');

# a worker is killed under load, again and again
$redis->flush;
$load = load(port => $nginx->port, uri => '/hook', senders => 6, events => 2, retry => 1);
for my $round (1 .. 3) {
    wait_for(sub { $load->answers > 80 * $round }, slow(10));
    my ($victim) = $nginx->worker_pids;
    kill 'KILL', $victim;
    ok(wait_for(sub { my @p = $nginx->worker_pids; @p == 2 && !grep { $_ == $victim } @p },
                slow(5)), "worker killed and replaced, round $round");
}
sleep 0.1;
$load->stop;
$r = $load->compare($redis->list('load'));
is("lost $r->{lost} disorder $r->{disorder} torn $r->{torn}", 'lost 0 disorder 0 torn 0',
   "of $r->{accepted} events");
cmp_ok($r->{duplicates}, '<=', 3 * 6 * 2, 'only what was under way may be there twice');
is(join(' ', grep { $_ && $_ != 200 } keys %{ $load->by_status }), '', 'nothing was refused');
ok(wait_for(sub { 2 >= (my @c = $redis->module_clients) }, slow(2)),
   'the connections of the dead are gone');

finish();
