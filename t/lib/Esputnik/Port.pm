package Esputnik::Port;

# TCP (and UDP) ports that nobody else has, also when several test files run
# at once: a lock file for each port, held until this process ends.  Ports lie
# below the range from which the kernel takes those of outgoing connections,
# so that no client can sit on one between our look and the server's bind.

use strict;
use warnings;

use Exporter 'import';
use Fcntl qw(:flock O_CREAT O_RDWR);
use File::Spec;
use IO::Socket::INET;

our @EXPORT_OK = qw(free_port);

use constant { FIRST => 20000, LAST => 31999 };

my %held;

sub free_port
{
    my $folder = File::Spec->tmpdir . "/esputnik-ports-$>";
    mkdir $folder, 0700;

    for (1 .. 1000) {
        my $port = FIRST + int rand(LAST - FIRST + 1);
        next if $held{$port};

        sysopen my $lock, "$folder/$port", O_CREAT | O_RDWR, 0600 or next;
        flock $lock, LOCK_EX | LOCK_NB or next;
        next unless _unused($port);

        $held{$port} = $lock;
        return $port;
    }

    die "no free port between @{[FIRST]} and @{[LAST]}\n";
}

sub _unused
{
    my ($port) = @_;
    for my $proto (qw(tcp udp)) {
        my @listen = $proto eq 'tcp' ? (Listen => 1, ReuseAddr => 1) : ();
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
                              Proto => $proto, @listen) or return 0;
    }
    return 1;
}

1;
