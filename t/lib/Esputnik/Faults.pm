package Esputnik::Faults;

# The stage of a fault's test: one nginx with a location for each way in which
# events can be taken, a load of numbered events on each, and the oracle that
# compares at the end what was answered 200 with what is in Redis.
#
#     plain          no spool, no dedup
#     plain_dedup    no spool, dedup
#     spool          spool, no dedup
#     spool_dedup    both
#
# All go to the same Redis at the same time, so that one fault serves for all;
# each has a list of its own, named after it.

use strict;
use warnings;

use Exporter 'import';
use Test::More;
use Time::HiRes qw(sleep time);

use Esputnik::Env qw(slow ms);
use Esputnik::Http;
use Esputnik::Load;
use Esputnik::Nginx;
use Esputnik::Process qw(wait_for);
use Esputnik::Redis;

our @EXPORT = qw(scene lasting_redis long rss_of fds_of);

my @modes = qw(plain plain_dedup spool spool_dedup);

# A figure that the soak may raise: TEST_LONG=1.
sub long { my ($short, $long) = @_; return $ENV{TEST_LONG} ? $long : $short }

# A Redis that keeps, through a kill, all that it has answered.
sub lasting_redis
{
    my (%o) = @_;
    return Esputnik::Redis->start(
        %o, args => ['--appendonly', 'yes', '--appendfsync', 'no', @{ $o{args} || [] }]);
}

sub scene { return Esputnik::Faults->new(@_) }

# %o: redis => where the lists are read, url => what the module is told (the
# redis' own), timeout (500) and connect_timeout (300) in ms, workers (2),
# folder => of the spool, spool => more words of esputnik_spool, modes => some
# of the above, each => more directives in each location, key => another than
# the mode's name (%s), server, http, main, vars, allow: as nginx() has them.
sub new
{
    my ($class, %o) = @_;
    my $self = bless { %o, modes => $o{modes} || [@modes],
                       timeout => $o{timeout} || 500,
                       workers => $o{workers} || 2 }, $class;
    my $folder = $o{folder} || '%%PREFIX%%/spool';
    my $spool = "esputnik_spool $folder" . ($o{spool} ? " $o{spool}" : '') . ';';
    my $each = "esputnik_pass %%URL%%; esputnik_timeout %%TIMEOUT%%;"
        . " esputnik_connect_timeout %%CONNECT%%; " . ($o{each} || '');
    my $server = '';
    for my $mode (@{ $self->{modes} }) {
        $server .= "location = /$mode { $each esputnik_key "
            . sprintf($o{key} || '%s', $mode) . '; '
            . ($mode =~ /spool/ ? $spool : '')
            . ($mode =~ /dedup/ ? ' esputnik_dedup 1h;' : '') . " }\n";
    }
    $server .= "location = /probe { $each esputnik_key probe; }\n"
        . "location = /probe_spool { $each esputnik_key probe; $spool }\n";
    $self->{nginx} = Esputnik::Nginx->start(
        workers => $self->{workers}, connections => $o{connections},
        http => $o{http}, main => $o{main}, allow => $o{allow}, level => $o{level},
        vars => { URL => $o{url} || $o{redis}->url, TIMEOUT => ms($self->{timeout}),
                  CONNECT => ms($o{connect_timeout} || 300), %{ $o{vars} || {} } },
        server => $server . ($o{server} || ''));
    $self->{pids} = join ' ', sort $self->{nginx}->worker_pids;
    return $self;
}

sub nginx { $_[0]{nginx} }

# The load: senders (2) of each mode, events (3) in each POST, sent again until
# they are 200, as the vendor does.  %o as Esputnik::Load has it, and modes.
sub load
{
    my ($self, %o) = @_;
    $self->{senders} = $o{senders} || 2;
    $self->{events} = $o{events} || 3;
    $self->{mark} = () = $self->{nginx}->access;
    for my $mode (@{ $o{modes} || $self->{modes} }) {
        $self->{load}{$mode} = Esputnik::Load->start(
            retry => 1, pause => 0.005, port => $self->{nginx}->port, %o,
            uri => "/$mode", senders => $self->{senders}, events => $self->{events});
    }
    return $self;
}

# Events of one mode that can be under way at one moment.
sub under_way { my ($self) = @_; return $self->{senders} * $self->{events} }

# Waits until n more POSTs of each mode have been answered; status: only those.
sub answered
{
    my ($self, $n, $status) = @_;
    my $count = sub {
        my ($load) = @_;
        return scalar grep { !$status || $_->{status} == $status } $load->answers;
    };
    for my $load (values %{ $self->{load} }) {
        my $from = $count->($load);
        wait_for(sub { $count->($load) >= $from + $n }, slow(15), 0.03) or return 0;
    }
    return 1;
}

sub _post
{
    my ($self, $uri) = @_;
    my $seq = ++$self->{probes};
    my $r = eval {
        $self->{nginx}->post($uri, '[' . Esputnik::Load::event(0, $seq) . ']');
    };
    return $r || { status => 0, body => '', time => 0, error => 'no connection' };
}

sub probe { my ($self, $uri) = @_; return $self->_post($uri || '/probe') }

# From now on, how long until Redis takes events again; then within the time?
sub recovers
{
    my ($self, $limit, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $start = time;
    wait_for(sub { $self->_post('/probe')->{status} == 200 }, $limit + slow(5), 0.01);
    my $took = time - $start;
    note(sprintf '%s: first 200 after %.3f s', $name, $took);
    return cmp_ok($took, '<=', $limit, "$name: 200 again within $limit s");
}

# The spool has nothing left: newer events go to Redis directly.
sub drained
{
    my ($self) = @_;
    return wait_for(sub {
        my $r = $self->_post('/probe_spool');
        return $r->{status} == 200 && $r->{body} !~ /spooled/;
    }, slow(20), 0.05);
}

# Results of a mode's requests since load(), as the access log counts them.
sub results
{
    my ($self, $mode) = @_;
    my @lines = $self->{nginx}->access;
    my %n;
    for (@lines[$self->{mark} .. $#lines]) {
        my ($uri, $result) = m{\APOST /(\S+) \d+ result=(\S+)} or next;
        $n{$result}++ if $uri eq $mode;
    }
    return \%n;
}

# The end of a load, and the row's figures.  %o:
#   dup => { mode => the most duplicates }: without, none
#   refused => [modes that must have had 503], spooled => [… events spooled],
#   status => { mode => [what else than 200 may be answered] }: without, 503 of
#   the plain ones
#   deadline => ms after which each answer has come, but for half a second
#   died => 1: workers were killed on purpose
#   closed => 1: requests may end without an answer
#   redis => where the lists are, if not where they were
sub verify
{
    my ($self, $name, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @loaded = sort keys %{ $self->{load} };

    $_->stop for values %{ $self->{load} };
    if (grep { /spool/ } @{ $self->{modes} }) {
        ok($self->drained, "$name: the spool is empty in the end");
    }

    my $redis = $o{redis} || $self->{redis};
    for my $mode (@loaded) {
        my $load = delete $self->{load}{$mode};
        my $what = "$name, $mode";
        my $r = $load->compare($redis->list($mode));
        my $by = $load->by_status;
        my $results = $self->results($mode);
        my ($longest) = sort { $b <=> $a } map { $_->{time} } $load->answers;
        my $double = $r->{duplicates} + $r->{refused_stored};
        # An attempt that ended with its time is of unknown outcome, whatever the
        # fault: on a busy machine Redis, too, is late at times.
        my $late = grep { $_->{status} != 200 && $_->{time} >= 0.9 * $self->{timeout} / 1000 }
            $load->answers;
        my $most = $mode =~ /dedup/ ? 0 : ($o{dup}{$mode} || 0) + $late * $self->{events};

        note(sprintf '%s: accepted %d (of POSTs %d spooled), lost %d, duplicates %d of at most %d, '
             . 'inversions %d, torn %d, longest answer %.3f s, answers %s', $what,
             $r->{accepted}, $results->{spooled} || 0, $r->{lost}, $r->{duplicates}, $most,
             $r->{disorder}, $r->{torn}, $longest || 0,
             join(' ', map { "$_: $by->{$_}" } sort keys %$by));

        cmp_ok($r->{accepted}, '>', 0, "$what: some were accepted");
        is("lost $r->{lost} inversions $r->{disorder} torn $r->{torn}",
           'lost 0 inversions 0 torn 0', "$what: of $r->{accepted} events");
        cmp_ok($r->{duplicates}, '<=', $most, "$what: duplicates, at most $most");
        # of the very last POST of a sender nobody knows: its answer was 503
        cmp_ok($r->{refused_stored}, '<=', $most || $self->under_way,
               "$what: refused and stored") if $r->{refused_stored};

        my %may = map { $_ => 1 } 200, @{ $o{status}{$mode} || [$mode =~ /plain/ ? 503 : ()] },
            $o{closed} ? 0 : ();
        is(join(' ', grep { !$may{$_} } sort keys %$by), '', "$what: only known answers");
        cmp_ok($by->{503} || 0, '>', 0, "$what: some were refused meanwhile")
            if grep { $_ eq $mode } @{ $o{refused} || [] };
        cmp_ok($results->{spooled} || 0, '>', 0, "$what: some were spooled")
            if grep { $_ eq $mode } @{ $o{spooled} || [] };

        my $limit = slow(($o{deadline} || $self->{timeout}) / 1000) + slow(0.5);
        cmp_ok($longest || 0, '<=', $limit, "$what: every answer came within $limit s");
    }

    is(join(' ', sort $self->{nginx}->worker_pids), $self->{pids}, "$name: the workers live")
        unless $o{died};
    $self->{pids} = join ' ', sort $self->{nginx}->worker_pids;
}

# Memory of a process, in kB, and its open descriptors.
sub rss_of
{
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/status" or return 0;
    my ($kb) = join('', <$in>) =~ /VmRSS:\s+(\d+) kB/;
    return $kb || 0;
}

sub fds_of { my ($pid) = @_; my @fds = glob "/proc/$pid/fd/*"; return scalar @fds }

1;
