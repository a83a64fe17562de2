# F21, of a whole Redis instead of a key: one that is down holds back its own
# events and nobody else's, though they share the spool's folder.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Faults;

my ($down, $well) = (lasting_redis(), lasting_redis());
my $nginx = nginx(workers => 2, vars => { DOWN => $down->url, WELL => $well->url },
                  server => <<'END');
location = /down { esputnik_pass %%DOWN%%; esputnik_spool %%PREFIX%%/spool; }
location = /well { esputnik_pass %%WELL%%; esputnik_spool %%PREFIX%%/spool; }
END
my (@down, @well);

sub post
{
    my ($uri, $list) = @_;
    my $event = event(1 + @$list);
    my $r = $nginx->post($uri, "[$event]");
    push @$list, $event if $r->{status} == 200;
    return $r->{body};
}

$_->kill9 for $down, $well;
like(post('/down', \@down), qr/"spooled":true/, 'both down: spooled for the one') for 1 .. 10;
sleep slow(0.1);
like(post('/well', \@well), qr/"spooled":true/, 'and for the other') for 1 .. 10;
$well->launch;
ok(wait_for(sub { $well->cmd('LLEN', 'esputnik:events') == @well }, slow(4)),
   'one is back: its events are drained though the other is down');
ok(wait_for(sub { post('/well', \@well) !~ /spooled/ }, slow(4), 0.1),
   'and newer ones go to it directly');
post('/down', \@down) for 1 .. 5;

$down->launch;
ok(wait_for(sub { $down->cmd('LLEN', 'esputnik:events') == @down }, slow(4)),
   'the other is back: its events are drained');
list_is($well, 'esputnik:events', \@well, 'of ' . @well . ' accepted each once, in order');
list_is($down, 'esputnik:events', \@down, 'of ' . @down . ' accepted each once, in order');

finish();
