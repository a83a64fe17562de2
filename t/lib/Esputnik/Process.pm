package Esputnik::Process;

# Child processes, each known by its pid and gone when the test is: programs
# (nginx, redis-server) and forked Perl code (fakes, proxies, load).

use strict;
use warnings;

use Exporter 'import';
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(spawn fork_code reap alive wait_exit kill_all wait_for);

my %live;    # pid => 1 for a program, -1 for forked code (own group)
my %status;  # pid => $? of those that ended
my $owner = $$;

# Starts a program.  %o: stderr (a file that takes stdout too), env (hash).
# The kernel ends it should this process be killed.
sub spawn
{
    my ($argv, %o) = @_;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        $ENV{$_} = $o{env}{$_} for keys %{ $o{env} || {} };
        if ($o{stderr}) {
            open STDOUT, '>>', $o{stderr} or POSIX::_exit(126);
            open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
        }
        open STDIN, '<', '/dev/null';
        no warnings 'exec';
        exec 'setpriv', '--pdeathsig', $o{death} || 'KILL', @$argv;
        POSIX::_exit(127);
    }
    $live{$pid} = 1;
    return $pid;
}

# Runs code in a child of its own process group (its children go with it).
sub fork_code
{
    my ($code) = @_;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        setpgrp 0, 0;
        %live = ();
        $SIG{$_} = 'DEFAULT' for qw(INT TERM CHLD ALRM);
        $SIG{PIPE} = 'IGNORE';
        alarm 900;
        my $ok = eval { $code->(); 1 };
        print STDERR "# child of $owner: $@" unless $ok;
        POSIX::_exit($ok ? 0 : 1);
    }
    setpgrp $pid, $pid;
    $live{$pid} = -1;
    return $pid;
}

sub _note
{
    my ($pid) = @_;
    my $r = waitpid $pid, WNOHANG;
    if ($r == $pid) {
        $status{$pid} = $?;
        delete $live{$pid};
    }
}

sub alive
{
    my ($pid) = @_;
    _note($pid) if $live{$pid};
    return $live{$pid} ? 1 : 0;
}

# Waits for the end; the wait status, or undef when it still runs.
sub wait_exit
{
    my ($pid, $seconds) = @_;
    my $end = time + $seconds;
    while (alive($pid)) {
        return undef if time > $end;
        sleep 0.005;
    }
    return $status{$pid};
}

# Kills a child (group) for sure and takes its status.
sub reap
{
    my ($pid) = @_;
    return $status{$pid} unless alive($pid);
    kill 'KILL', $live{$pid} < 0 ? -$pid : $pid;
    waitpid $pid, 0;
    $status{$pid} = $?;
    delete $live{$pid};
    return $status{$pid};
}

sub kill_all
{
    return if $$ != $owner;
    reap($_) for keys %live;
}

# Calls code until it gives something true (returned) or time is up.
sub wait_for
{
    my ($code, $seconds, $step) = @_;
    my $end = time + $seconds;
    for (;;) {
        my $r = $code->();
        return $r if $r;
        return $r if time > $end;
        sleep($step || 0.01);
    }
}

1;
