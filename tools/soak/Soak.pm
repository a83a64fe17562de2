package Soak;

# The soak's stage, its course and its figures: nginx with two workers, a real
# Redis with its append-only file, the vendor's simulator as several accounts on
# each location, a rude client, consumers, and unrest; then all is counted.

use strict;
use warnings;

use File::Temp qw(tempdir);
use Time::HiRes qw(sleep time);

use Esputnik::Env qw(root asan slow ms nginx_binary redis_binary);
use Esputnik::Nginx;
use Esputnik::Process qw(alive spawn wait_exit wait_for reap);
use Esputnik::Redis;
use Soak::Consumer;
use Soak::Gauge;
use Soak::Oracle;
use Soak::Rude;
use Soak::Unrest;

# Locations; each has a list of its own, named after it.
my @locations = (
    { name => 'spool_dedup', spool => 1, dedup => 1 },
    { name => 'spool', spool => 1 },
    { name => 'dedup', dedup => 1 },
);

# %o: seconds, seed, rate => POSTs a second on each location (20), accounts (3)
# on each, gap => [least, most] seconds between two faults, longest => seconds
# that Redis is frozen, kills => 0 for no killed workers, every => seconds
# between two samples, say => where to tell what goes on.
sub new
{
    my ($class, %o) = @_;
    my $short = $o{seconds} < 120;
    return bless {
        rate => 20, accounts => 3, kills => 1, say => sub { },
        gap => $short ? [0.3, 0.9] : [4, 12],
        longest => $short ? 1.5 : 8,
        every => $short ? 0.5 : 5,
        # kB: new workers still grow; AddressSanitizer keeps what was freed, and
        # looks for leaks itself
        growth => asan() ? 64 * 1024 : $short ? 3072 : 1024,
        # workers are ended on purpose before and after these parts of the time
        calm => $short ? [0.45, 0.9] : [0.2, 0.9],
        checks => [],
        %o,
    }, $class;
}

sub run
{
    my ($self) = @_;
    $self->_set_up;
    $self->_course;
    $self->_end;
    return $self;
}

sub _say { my ($self, $text) = @_; $self->{say}->($text) }

# --- the stage ----------------------------------------------------------------

sub _set_up
{
    my ($self) = @_;
    $self->{folder} = tempdir('esputnik-soak-XXXXXX', TMPDIR => 1,
                              CLEANUP => !$ENV{TEST_KEEP});
    # what a killed Redis has answered it has also written, though not synced
    $self->{redis} = Esputnik::Redis->start(
        args => ['--appendonly', 'yes', '--appendfsync', 'no']);
    my $server = '';
    for my $at (@locations) {
        $server .= "location = /$at->{name} { esputnik_pass %%URL%%;"
            . " esputnik_key $at->{name};"
            . ($at->{spool} ? ' esputnik_spool %%PREFIX%%/spool;' : '')
            . ($at->{dedup} ? ' esputnik_dedup 2h;' : '') . " }\n";
    }
    # Each thread of the spool takes an arena of malloc when its turn comes: of
    # few, all have come before memory is first looked at.
    $self->{nginx} = Esputnik::Nginx->start(
        main => "thread_pool default threads=4;\n",
        workers => 2, level => 'notice', vars => { URL => $self->{redis}->url },
        http => 'esputnik_connect_timeout ' . ms(300) . '; esputnik_timeout '
            . ms(1000) . '; esputnik_body_timeout ' . ms(5000) . ";\n",
        allow => [qr/worker process \d+ exited on signal 9/],
        server => $server);
    $self->{master_fds} = _descriptors($self->{nginx}->pid);
}

sub _descriptors { my ($pid) = @_; my @fds = glob "/proc/$pid/fd/*"; return scalar @fds }

sub _senders
{
    my ($self) = @_;
    for my $at (@locations) {
        my $base = "$self->{folder}/$at->{name}";
        $at->{log} = "$base.log";
        $at->{out} = "$base.out";
        $at->{pid} = spawn(
            ['/usr/bin/python3', root() . '/examples/sender/esputnik-sender.py',
             '--quiet', '--url', 'http://127.0.0.1:' . $self->{nginx}->port . "/$at->{name}",
             '--accounts', $self->{accounts}, '--rate', $self->{rate},
             '--duration', $self->{seconds}, '--time-scale', 0.001,
             '--bad-ratio', 0.02, '--seed', $self->{seed}, '--run', $at->{name} =~ tr/_/./r,
             '--log', $at->{log}],
            stderr => $at->{out}, death => 'INT');
    }
    $self->{rude} = Soak::Rude->start(
        port => $self->{nginx}->port, seed => $self->{seed}, folder => $self->{folder},
        uris => [map { "/$_->{name}" } @locations], pause => 0.1);
    $self->{consumer} = Soak::Consumer->start(
        redis => $self->{redis}, seed => $self->{seed} + 1,
        keys => [map { $_->{name} } @locations]);
}

# --- its course ---------------------------------------------------------------

sub _course
{
    my ($self) = @_;
    my $gauge = $self->{gauge} = Soak::Gauge->new(every => $self->{every});
    my $wait = sub {
        my $end = time + $_[0];
        while ((my $left = $end - time) > 0) {
            $gauge->look($self->{nginx});
            sleep($left < 0.1 ? $left : 0.1);
        }
    };
    my $start = $self->{start} = time;
    my $unrest = $self->{unrest} = Soak::Unrest->new(
        seed => $self->{seed}, nginx => $self->{nginx}, redis => $self->{redis},
        gap => $self->{gap}, longest => $self->{longest}, worker_kills => $self->{kills},
        wait => $wait,
        log => sub { $self->_say(sprintf '%6.1f s  %s', time - $start, $_[0]) });
    $self->_senders;

    my ($from, $to) = map { $start + $_ * $self->{seconds} } @{ $self->{calm} };
    $self->{calm_at} = [$from, $to];
    for my $phase ([$from, 1], [$to, 0], [$start + $self->{seconds}, 1]) {
        my ($until, $workers) = @$phase;
        $unrest->workers($workers);
        while (time < $until) {
            # a step that fails must not take the figures along
            if (!eval { $unrest->work; $self->_archive; 1 }) {
                $self->_say("NOT OK: $@");
                $self->_check(0, 'each step of the unrest succeeds', $@);
            }
            $wait->(0.05);
        }
    }
}

# --- the end ------------------------------------------------------------------

sub _check
{
    my ($self, $good, $name, $detail) = @_;
    push @{ $self->{checks} }, { ok => $good ? 1 : 0, name => $name,
                                 detail => $good ? '' : $detail // '' };
}

sub checks { @{ $_[0]{checks} } }

sub failed { my ($self) = @_; return scalar grep { !$_->{ok} } $self->checks }

sub _end
{
    my ($self) = @_;
    my ($nginx, $redis, $unrest) = @$self{qw(nginx redis unrest)};

    for my $at (@locations) {
        my $status = wait_exit($at->{pid}, slow(60));
        reap($at->{pid}) unless defined $status;
        $self->_check(defined $status && $status == 0,
                      "$at->{name}: the sender has delivered everything",
                      _read($at->{out}));
    }
    $self->{rude}->stop;
    $self->{took} = time - $self->{start};

    my $drained = time;
    my $waiting = '';
    my $empty = wait_for(sub { ($waiting = $self->_spool) =~ /\(0 waiting with 0 events\)/ },
                         slow(30), 0.1);
    $self->{drained} = time - $drained;
    $self->_check($empty, 'the spool is empty', $waiting);
    $self->_check(!glob($nginx->prefix . '/spool/corrupt-*'), 'nothing was set aside');

    my @children;
    wait_for(sub { 2 == (@children = $nginx->child_pids) }, slow(10), 0.05);
    $self->_check(@children == 2, 'old workers are gone', "@children");
    my $signals = () = $nginx->error_log =~ /exited on signal/g;
    my $killed = $unrest->counts->{kill_worker} || 0;
    $self->_check($signals == $killed, 'no worker died but those killed',
                  "$signals died, $killed killed");
    $self->_check($unrest->counts->{$_}, "it came to pass: $_")
        for grep { $self->{kills} || $_ ne 'kill_worker' } Soak::Unrest->kinds;
    $self->_flat;

    $self->{consumer}->stop;
    $self->_count;

    my $master_fds = _descriptors($nginx->pid);
    $self->_check($master_fds <= $self->{master_fds} + 2, 'the master has no more descriptors',
                  "$self->{master_fds} at first, then $master_fds");
    $nginx->stop;
    my @complaints = $nginx->complaints;
    $self->_check(!@complaints, 'the error log is clean',
                  join "\n", splice @complaints, 0, 20);
    $redis->stop;
}

# What the spool holds, as the command-line tool counts it.
sub _spool
{
    my ($self) = @_;
    my ($tool, $folder) = (root() . '/build/esputnik-spool', $self->{nginx}->prefix . '/spool');
    my $text = `'$tool' list '$folder' 2>&1`;
    return $? == 0 ? $text : "esputnik-spool: exit status $?: $text";
}

sub _read
{
    my ($file) = @_;
    open my $in, '<', $file or return '';
    local $/;
    return scalar(<$in>) // '';
}

sub _flat
{
    my ($self) = @_;
    my ($from, $to) = @{ $self->{calm_at} };
    my $fifth = ($to - $from) / 5;
    my @fifths = map { $self->{gauge}->between($from + $_ * $fifth, $from + ($_ + 1) * $fifth) }
        0 .. 4;
    $self->{fifths} = \@fifths;
    my ($first, $last) = @fifths[0, -1];
    $self->_check($first->{samples} && $last->{samples}, 'memory was sampled');
    $self->_check($last->{rss} - $first->{rss} < $self->{growth}, 'memory of a worker is flat',
                  "$first->{rss} kB, then $last->{rss} kB");
    $self->_check($last->{fds} - $first->{fds} <= 2, 'descriptors of a worker are flat',
                  "$first->{fds}, then $last->{fds}");
}

# Of each location's events of POSTs that were spooled after they had been sent
# to Redis: their outcome there is unknown.
sub _spooled
{
    my ($self) = @_;
    my %n;
    for ($self->{nginx}->access) {
        my ($name, $events, $time) =
            m{\APOST /(\S+) \d+ result=spooled events=(\d+) .*? time=(\S+)} or next;
        $n{$name}{posts}++;
        $n{$name}{events} += $events;
        $n{$name}{sent} += $events if $time =~ /\d/;
    }
    return \%n;
}

sub _count
{
    my ($self) = @_;
    my $spooled = $self->_spooled;
    my $counts = $self->{unrest}->counts;
    # the batch that the drain had under way at each of these
    my $broken = 0;
    $broken += $_ for values %$counts;

    for my $at (@locations) {
        my $name = $at->{name};
        $self->_take($at, "$name:taken");
        my $taken = @{ $at->{ids} };
        $self->_take($at, $name);
        my $list = $at->{ids};
        my $r = $at->{figures} =
            Soak::Oracle::compare([$at->{log}, $self->{rude}->log_of("/$name")], $list,
                                  sub { $self->{unrest}->between($_[0] - 3, $_[1] + 1) });
        $r->{taken} = $taken;
        $r->{spooled} = $spooled->{$name}{posts} || 0;
        $r->{most} = $at->{dedup} ? 0
            : $r->{unknown} + ($spooled->{$name}{sent} || 0)
              + _least($broken * $self->_batch($at), $spooled->{$name}{events} || 0);
        $self->_check($r->{acknowledged} > 0 && !$r->{lost}, "$name: nothing is lost",
                      "$r->{lost} of $r->{acknowledged}: @{ $r->{lost_names} }");
        for (['inversions', 'all is in order'], ['torn', 'no POST is there in part'],
             ['bad_stored', 'nothing malformed or unfinished is stored'],
             ['bad_taken', 'nothing malformed is answered 200'],
             ['strange', 'nothing is there that nobody sent'],
             ['unexplained', 'no duplicates without a fault'])
        {
            my ($what, $text) = @$_;
            $self->_check(!$r->{$what}, "$name: $text", $r->{$what});
        }
        $self->_check($r->{duplicates} <= $r->{most},
                      "$name: at most $r->{most} duplicates", $r->{duplicates});
    }
}

sub _least { my ($a, $b) = @_; return $a < $b ? $a : $b }

# Events in a batch of the drain: it reads 256 KiB at a time.
sub _batch
{
    my ($self, $at) = @_;
    return @{ $at->{ids} } ? int(256 * 1024 * @{ $at->{ids} } / $at->{bytes}) : 0;
}

# What was consumed leaves Redis now and then, so that it does not spend ever
# more of the time with reading its data.
sub _archive
{
    my ($self) = @_;
    return if time < ($self->{archive_at} // 0);
    $self->{archive_at} = time + 15;
    $self->_take($_, "$_->{name}:taken") for @locations;
}

# Moves a list's head from Redis to what this process knows: identities only.
sub _take
{
    my ($self, $at, $key) = @_;
    for (;;) {
        my $piece = $self->{redis}->cmd('LRANGE', $key, 0, 4999);
        last unless @$piece;
        for (@$piece) {
            $at->{bytes} += length;
            push @{ $at->{ids} }, $_ =~ /"externalCustomerId":"([^"]+)"/ ? $1 : "strange: $_";
        }
        $self->{redis}->cmd('LTRIM', $key, scalar @$piece, -1);
    }
    $at->{ids} ||= [];
}

# --- the figures --------------------------------------------------------------

sub table
{
    my ($self) = @_;
    my ($version) = `@{[ nginx_binary() ]} -v 2>&1` =~ m{/(\S+)};
    my $redis = join ' ', `@{[ redis_binary('server') ]} --version` =~ /(\w+) server v=(\S+)/;
    my $counts = $self->{unrest}->counts;
    my $text = sprintf "seed %s, %.0f s, nginx %s with 2 workers, %s\n\n",
        $self->{seed}, $self->{took}, $version, $redis;

    my $row = sub { $text .= sprintf "%-34s" . ('%14s' x (@_ - 1)) . "\n", @_ };
    $row->('', map { "/$_->{name}" } @locations);
    my @rows = (
        [posts => 'POSTs answered 200'], [spooled => '  of these spooled'],
        [refused => 'attempts refused'], [unanswered => 'attempts without an answer'],
        [bad => 'malformed, unfinished, idle'], [may => 'gone before the answer'],
        [longest => 'longest answer, ms'],
        [acknowledged => 'events answered 200'], [found => 'events in Redis'],
        [taken => '  of these consumed meanwhile'], [lost => 'lost'],
        [inversions => 'out of order'], [torn => 'POSTs stored in part'],
        [duplicates => 'duplicates'], [most => '  of at most'],
        [unexplained => '  without a fault near'],
        [unanswered_stored => 'stored, answer unknown'],
        [bad_stored => 'malformed and stored'],
    );
    for (@rows) {
        my ($what, $name) = @$_;
        $row->($name, map { $_->{figures}{$what} } @locations);
    }
    my %statuses;
    for my $at (@locations) {
        $statuses{$_} += $at->{figures}{statuses}{$_} for keys %{ $at->{figures}{statuses} };
    }
    $text .= "\nanswers: " . join(', ', map { "$_ $statuses{$_}" } sort keys %statuses) . "\n";
    $text .= 'faults: ' . join(', ', map { tr/_/ /r . " $counts->{$_}" } sort keys %$counts)
        . "\n\n";

    $text .= sprintf "%-26s%10s%10s%10s%10s%10s\n", 'a worker, medians of fifths', 1 .. 5;
    for (['resident memory, kB', 'rss'], ['  without shared memory', 'own'],
         ['descriptors', 'fds'], ['samples', 'samples'])
    {
        my ($name, $what) = @$_;
        $text .= sprintf "%-26s" . ('%10s' x 5) . "\n", $name,
            map { $_->{$what} } @{ $self->{fifths} };
    }
    $text .= '(of the ' . sprintf('%.0f s', $self->{calm_at}[1] - $self->{calm_at}[0])
        . ' in which no worker was ended on purpose)' . "\n";
    return $text;
}

1;
