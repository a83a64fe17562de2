# A worker that ends while it drains the spool: what Redis has said that it has is
# marked, and not sent again by the next one.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Process qw(wait_exit);
use Esputnik::Spool;

my $push = sub {
    my ($c, $words) = @_;
    my $mode = $c->mode;
    sleep slow(0.25) if $mode =~ /slow/;
    $c->send($mode =~ /refuse/ ? "-LOADING\r\n" : $c->push_reply($words));
};
my $fake = fake_redis(on => { RPUSH => $push, LPUSH => $push });
my $nginx = nginx(vars => { URL => $fake->url }, http => "esputnik_spool %%PREFIX%%/spool;\n",
                  server => <<'END');
esputnik_timeout 10s;
location = /right { esputnik_pass %%URL%%; }
location = /left { esputnik_pass %%URL%%; esputnik_push lpush; }
END
my $id = 0;

sub pushes { return grep { $_->[1] =~ /\A[LR]PUSH\z/ } $fake->commands }

# How often each event was sent since a mark.
sub sent
{
    my ($from) = @_;
    my @all = pushes();
    my %n;
    for my $words (@all[$from .. $#all]) {
        $n{$_}++ for map { /"contactId":(\d+)/g } @$words[3 .. $#$words];
    }
    return \%n;
}

# Twelve events, each a batch of its own as the next one is another command; Redis
# is slow, and has said of four that it has them when nginx ends as it is told.
# Then no event is sent more than once, but for those that may.
for (['stop', 1, sub {
          kill 'TERM', $nginx->pid;
          ok(defined wait_exit($nginx->pid, slow(5)), 'stop: nginx ends');
          $nginx->launch;
      }],
     ['quit', 0, sub {
          kill 'QUIT', $nginx->pid;
          ok(defined wait_exit($nginx->pid, slow(5)), 'quit: nginx ends');
          $nginx->launch;
      }],
     ['reload, refused meanwhile', 1, sub {
          my ($seen) = @_;
          $fake->mode('slow refuse');
          wait_for(sub { $seen < (my @now = pushes()) }, slow(3), 0.01);
          ok($nginx->reload, 'reload while Redis is about to refuse');
          sleep slow(0.5);
      }],
     ['reload, refused before', 1, sub {
          $fake->mode('refuse');
          sleep slow(0.5);
          ok($nginx->reload, 'reload while Redis refuses');
      }]) {
    my ($name, $twice, $end) = @$_;
    direct_again($nginx, '/right', "$name: direct before");
    $fake->mode('refuse');
    for (1 .. 6) {
        spooled($nginx->post($_, events(++$id)), 1, "$name: event $id") for qw(/right /left);
    }
    my $last = $id;
    sleep slow(0.6);    # what is under way has been refused
    $fake->mode('slow');
    my $from = () = pushes();
    ok(wait_for(sub { $from + 5 <= (my @now = pushes()) }, slow(10), 0.01),
       "$name: four are there, the fifth is under way");
    my $seen = () = pushes();
    $end->($seen);
    $fake->mode('');
    direct_again($nginx, '/right', "$name: drained");
    my %n = %{ sent($from) };
    my @ids = $last - 11 .. $last;
    is(scalar(grep { !$n{$_} } @ids), 0, "$name: all events have come");
    is(join(' ', map { "$_:" . ($n{$_} // 0) } @ids[0 .. 3]),
       join(' ', map { "$_:1" } @ids[0 .. 3]), "$name: the first four once");
    my @again = grep { ($n{$_} // 0) > 1 } @ids;
    cmp_ok(scalar @again, '<=', $twice, "$name: sent again: @again");
}

finish();
