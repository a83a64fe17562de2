# Reload and quit under load: no request fails, every event is stored once.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis(args => ['--appendonly', 'yes']);
my $nginx = nginx(workers => 2, vars => { URL => $redis->url, KEY => 'a' }, server => <<'END');
location /hook { esputnik_pass %%URL%%; esputnik_key load; }
location /fresh { esputnik_pass %%URL%%; esputnik_key load; keepalive_timeout 0; }
END

my $reloads = 5;
for my $uri ('/fresh', '/hook') {
    $redis->flush;
    my $load = load(port => $nginx->port, uri => $uri, senders => 4, events => 3);
    sleep 0.1;
    for (1 .. $reloads) {
        ok($nginx->reload, "$uri: reload $_");
        my $before = () = $load->answers;
        wait_for(sub { $before + 10 < (my @a = $load->answers) }, slow(5));
    }
    $load->stop;
    my $r = $load->compare($redis->list('load'));
    my $by = $load->by_status;
    # a keep-alive connection that nginx closes in the moment in which the
    # next request is sent ends without an answer: that is HTTP, and known to
    # the sender; a refusal would be ours
    my @refused = grep { $_ != 200 && $_ != 0 } keys %$by;
    is("@refused", '', "$uri: no request was refused");
    is($by->{0} || 0, 0, "$uri: none was without an answer") if $uri eq '/fresh';
    cmp_ok($by->{200}, '>', 50, "$uri: $by->{200} answered 200");
    is("lost $r->{lost} duplicates $r->{duplicates} disorder $r->{disorder} torn $r->{torn}",
       'lost 0 duplicates 0 disorder 0 torn 0', "$uri: of $r->{accepted} events");
    is($r->{stored}, $r->{accepted}, "$uri: stored exactly these") if !$by->{0};
}

ok(wait_for(sub { 2 == (my @p = $nginx->child_pids) }, slow(4)), 'the old workers are gone');
cmp_ok(scalar(my @c = $redis->module_clients), '<=', 2, 'and their connections');

# a reload that is no good leaves everything as it was
$nginx->allow(qr/unknown directive "nonsense"/);
my $good = $nginx->config;
$nginx->write('nginx.conf', "nonsense;\n$good");
kill 'HUP', $nginx->pid;
ok(wait_for(sub { $nginx->log_lines(qr/nonsense/) }, slow(3)), 'a bad configuration is refused');
is($nginx->post('/hook', events(1))->{status}, 200, 'and nothing changes');
$nginx->write('nginx.conf', $good);

# a reload that changes where events go: each request by its own configuration
$redis->flush;
$nginx->configure(server => <<'END');
location /hook { esputnik_pass %%URL%%/3; esputnik_key other; }
END
ok($nginx->reload, 'reload with another database');
is($nginx->post('/hook', events(1))->{status}, 200, 'stored');
$redis->cmd('SELECT', 3);
list_is($redis, 'other', [event(1)], 'there');
$redis->cmd('SELECT', 0);

# quit under load: what is under way is answered
$redis->flush;
$redis->cmd('SELECT', 3);
$redis->flush;
my $load = load(port => $nginx->port, uri => '/hook', senders => 4);
wait_for(sub { $load->answers > 40 }, slow(5));
$nginx->stop;
$load->stop;
my $r = $load->compare($redis->list('other'));
my $by = $load->by_status;
my @refused = grep { $_ != 200 && $_ != 0 } keys %$by;
is("@refused", '', 'quit: no request was refused');
is($r->{lost}, 0, "quit: of $r->{accepted} events none is lost");

# requests whose bodies come while their worker shuts down, one by one: each
# finds Redis
{
    my $last = nginx(vars => { URL => $redis->url }, server => <<'END');
location /hook { esputnik_pass %%URL%%; esputnik_key late; }
END
    is($last->post('/hook', events(0))->{status}, 200, 'a link that is young');
    my $bytes = Esputnik::Http->bytes(POST => '/hook', body => events(1));
    my @c = map { $last->http } 1 .. 8;
    $_->send_raw(substr $bytes, 0, -1) for @c;
    sleep 0.05;
    ok($last->reload, 'reload while eight bodies are on their way');
    is(join(' ', map { $_->send_raw(substr $bytes, -1); $_->response->{status} } @c),
       join(' ', (200) x 8), 'the old worker takes them all');
    $redis->cmd('SELECT', 0);
    is($redis->cmd('LLEN', 'late'), 9, 'stored');
}

# a request that waits for Redis when quit comes is answered before the end
{
    my $slow = fake_redis(on => { RPUSH => sub {
        my ($c, $words) = @_;
        sleep slow(0.4);
        $c->send($c->push_reply($words));
    } });
    my $last = nginx(vars => { URL => $slow->url }, server => <<'END');
location /hook { esputnik_pass %%URL%%; esputnik_timeout 10s; }
END
    for my $signal ('HUP', 'QUIT') {
        my $c = $last->http;
        $c->send_raw(Esputnik::Http->bytes(POST => '/hook', body => events(1)));
        sleep slow(0.1);
        kill $signal, $last->pid;
        is($c->response->{status}, 200, "$signal while Redis is asked: 200");
    }
    ok(defined Esputnik::Process::wait_exit($last->pid, slow(2)), 'and nginx ends soon');
}

finish();
