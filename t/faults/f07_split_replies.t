# F07: replies that come byte by byte, and 10,000 of them at once.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my $redis = redis();
my $proxy = proxy($redis->port, split => 1);
my $scene = scene(redis => $redis, url => $proxy->url, timeout => 2000);
$scene->load;
ok($scene->answered(20), 'answers, byte by byte');
$scene->verify('byte by byte',
               status => { map { $_ => [] } qw(plain plain_dedup spool spool_dedup) });

# as many requests as replies: all wait for a Redis that stands still
my $many = 10_000;
system('prlimit', '--pid', $$, '--nofile=' . ($many + 1000) . ':20000');
my $nginx = nginx(connections => 12_000, main => 'worker_rlimit_nofile 20000;',
                  vars => { URL => $redis->url }, server => <<'END');
location = /many { esputnik_pass %%URL%%; esputnik_key many; esputnik_timeout 60s; }
END
is($nginx->post('/many', events(0))->{status}, 200, 'up');
$redis->freeze;
my @c = map {
    my $c = $nginx->http;
    $c->send_raw(Esputnik::Http->bytes(POST => '/many', body => events($_)));
    sleep 0.01 if $_ % 200 == 0;    # no more than the queue of new ones holds
    $c;
} 1 .. $many;
sleep slow(0.5);
$redis->thaw;
my %status;
for (@c) {
    my $r = $_->response(timeout => slow(10));
    $status{ $r->{error} || $r->{status} }++;
}
is(join(' ', %status), "200 $many", "$many requests that waited together: 200");
my %times;
$times{$_}++ for @{ $redis->list('many') };
is(scalar keys %times, $many + 1, 'each is stored');
is(scalar(grep { $_ != 1 } values %times), 0, 'once');
note("$many replies at once: $status{200} answered 200, ",
     $many + 1 - keys %times, ' lost, ', scalar(grep { $_ > 1 } values %times), ' duplicates');

finish();
