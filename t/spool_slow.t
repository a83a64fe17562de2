# A Redis that answers, but slowly: what is drained is on its way for longer
# than esputnik_timeout, and is not sent once more meanwhile.  One that large
# commands do not reach in time: they become smaller.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Spool;

use constant SLOW => 0.15;      # seconds that a push to `other` takes

my $fake = fake_redis(on => {
    RPUSH => sub {
        my ($c, $words) = @_;
        if ($words->[1] eq 'other') {
            sleep SLOW;
            return $c->send($c->push_reply($words));
        }
        return $c->send("-LOADING x\r\n") if $c->mode eq 'loading';
        return sleep 2 if $c->mode eq 'silent';
        # as behind a slow line: the connection is given up before all is here
        return sleep 2 if $c->mode eq 'narrow' && @$words > 2 + 5;
        $c->{fake}->_note(taken => join(' ', map { /"contactId":(\d+)/g } @$words) . "\n");
        $c->send($c->push_reply($words));
    },
});
my $nginx = nginx(vars => { URL => $fake->url, TIMEOUT => ms(400) },
                  server => "esputnik_timeout %%TIMEOUT%%;\n" . <<'END');
location = /hook { esputnik_pass %%URL%%; esputnik_spool %%PREFIX%%/spool; }
location = /other { esputnik_pass %%URL%%; esputnik_key other; }
END

sub taken
{
    open my $in, '<', "$fake->{folder}/taken" or return;
    return split ' ', join ' ', <$in>;
}

direct_again($nginx, '/hook', 'direct');
my $before = () = taken();
$fake->mode('loading');
spooled($nginx->post('/hook', events($_)), 1, "event $_") for 101 .. 103;

# on the same connection others keep it busy for some seconds
my @http = map { $nginx->http } 1 .. 20;
$_->send_raw(Esputnik::Http->bytes(POST => '/other', body => events(1))) for @http;
sleep SLOW;
$fake->mode('');
my %status;
$status{ $_->response(timeout => slow(5))->{status} }++ for @http;
cmp_ok($status{503} || 0, '>', 10, "Redis takes longer than esputnik_timeout: $status{503} times 503");
ok(wait_for(sub { !segments($nginx->prefix . '/spool') && !grep({ !defined } (taken())[$before + 2]) },
            slow(15), 0.05), 'drained');
sleep SLOW;
my @taken = taken();
is(join(' ', @taken[$before .. $#taken]), '101 102 103', 'in order, and none of it twice');

# one that falls silent is left all the same, while nothing else is under way

direct_again($nginx, '/hook', 'direct');
$before = () = taken();
$fake->mode('loading');
spooled($nginx->post('/hook', events($_)), 1, "event $_") for 111 .. 113;
sleep 1;
my $mark = $nginx->mark;
$fake->mode('silent');
ok(wait_for(sub { $nginx->log_lines(qr/spool .* waits: Redis does not answer/, $mark) }, slow(3), 0.05),
   'a silent Redis is left');
$fake->mode('');
direct_again($nginx, '/hook', 'then direct');
@taken = taken();
is(join(' ', grep { $_ > 100 } @taken[$before .. $#taken]), '111 112 113', 'in order, once');

# a batch that never gets through

direct_again($nginx, '/hook', 'direct');
$before = () = taken();
$fake->mode('loading');
spooled($nginx->post('/hook', events($_)), 1, "event $_") for 201 .. 240;
$fake->mode('narrow');
ok(wait_for(sub { (() = taken()) >= $before + 40 }, slow(20), 0.05), 'drained in smaller ones');
@taken = taken();
is(join(' ', @taken[$before .. $#taken]), join(' ', 201 .. 240), 'in order, once');
direct_again($nginx, '/hook', 'then direct');

finish();
