package Esputnik::Spool;

# A spool seen from outside: its folder, the tool that reads it, and the
# answers of those who write to it.

use strict;
use warnings;

use Exporter 'import';
use Test::More;

use Esputnik::Env qw(root slow);
use Esputnik::Load;
use Esputnik::Process qw(wait_for);

our @EXPORT = qw(spooled spool_tool waiting_values segments bytes_of direct_again);

# The response is 200 and says that the spool took n events.
sub spooled
{
    my ($r, $n, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is("$r->{status} $r->{body}", qq(200 {"accepted":$n,"spooled":true}), $name)
        || diag($r->{error} || ());
}

# (exit status, what it said)
sub spool_tool
{
    my (@args) = @_;
    my $tool = root() . '/build/esputnik-spool';
    my $pid = open my $out, '-|';
    defined $pid or die "fork: $!\n";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        no warnings 'exec';
        exec { $tool } $tool, @args;
        print STDERR "cannot run $tool: $!\n";
        POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? >> 8, $text);
}

# What waits in a folder, a value each.
sub waiting_values
{
    my ($folder, @more) = @_;
    my ($status, $text) = spool_tool('print', $folder, '--values', @more);
    return $status == 0 ? split /\n/, $text : "exit status $status: $text";
}

sub segments { my ($folder) = @_; my @all = glob "$folder/*.seg"; return scalar @all }

sub bytes_of
{
    my ($folder) = @_;
    my $sum = 0;
    $sum += -s $_ || 0 for glob "$folder/*";
    return $sum;
}

# The spool has nothing left: the next POST goes to Redis.  Posts probes, an
# event each, until then, and returns their texts.
my $probes = 0;

sub direct_again
{
    my ($nginx, $uri, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($r, @texts);
    wait_for(sub {
        push @texts, Esputnik::Load::event(0, ++$probes);
        $r = $nginx->post($uri, "[$texts[-1]]");
        $r->{status} == 200 && $r->{body} !~ /spooled/;
    }, slow(10), 0.05);
    like("$r->{status} $r->{body}", qr/\A200 (?!.*spooled)/, $name);
    return @texts;
}

1;
