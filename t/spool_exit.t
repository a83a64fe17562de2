# A worker that ends while a thread is at the disk for it: it waits for the
# thread, whose memory and files these are.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::SlowDisk;
use Esputnik::Spool;

my $redis = redis(start => 0);
my $disk = Esputnik::SlowDisk->new;

sub there { my ($pid) = @_; return -d "/proc/$pid" }

# max_queue=0: nginx' own wait for its threads finds no room in the queue, and
# gives up
for my $pool ('', 'thread_pool default threads=2;', 'thread_pool default threads=1 max_queue=0;') {
    my $name = $pool || 'the default pool';
    my $nginx = $disk->around(sub { nginx(
        vars => { URL => $redis->url }, main => $pool,
        server => 'location = /hook { esputnik_pass %%URL%%; esputnik_spool %%PREFIX%%/spool; }') });
    my $folder = $nginx->prefix . '/spool';
    my $id = 0;

    for my $signal ('TERM', 'QUIT') {
        wait_for(sub { $nginx->post('/hook', events(++$id))->{status} == 200 }, slow(5), 0.1);
        sleep slow(0.5);    # the drain has read it: the only thread is free
        my ($worker) = $nginx->worker_pids;
        $disk->stand_still;
        my $c = $nginx->http;
        my $n = ++$id;
        $c->send_raw(Esputnik::Http->bytes(POST => '/hook', body => events($n)));
        sleep slow(0.3);
        kill $signal, $worker;
        sleep slow(0.5);
        ok(there($worker), "$name: $signal while the disk stands still: it waits");
        $disk->go_on;
        is($c->response->{status}, 200, "$name: $signal: it answers") if $signal eq 'QUIT';
        $c->close;
        ok(wait_for(sub { !there($worker) }, slow(5)), "$name: $signal: then it ends");
        is(scalar(grep { $_ eq event($n) } waiting_values($folder)), 1,
           "$name: $signal: what was written is whole");
        ok(wait_for(sub { grep { $_ != $worker } $nginx->worker_pids }, slow(5)),
           "$name: $signal: the next one");
    }
    ok(!$nginx->log_lines(qr/exited on signal/), "$name: no worker has died");
    $nginx->stop;
}

finish();
