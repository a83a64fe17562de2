package Esputnik::Shim;

# A C library that is preloaded into nginx and makes calls of it fail on
# demand.  It is compiled when the test runs, into a folder of the test's own,
# and reads a small shared file that the test writes to: see t/faults/shim.c.

use strict;
use warnings;

use File::Temp qw(tempdir);

use Esputnik::Env qw(root asan preload);

# In the order of the enum in shim.c.
my @calls = qw(pwrite fdatasync fsync rename unlink open ftruncate alloc clock);
my %index = map { $calls[$_] => $_ } 0 .. $#calls;

use constant { WORDS => 8, SIZE => 4096 };

sub new
{
    my ($class) = @_;
    my $folder = tempdir('esputnik-shim-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { so => "$folder/shim.so", control => "$folder/control" }, $class;
    system($ENV{CC} || 'cc', '-shared', '-fPIC', '-O1', '-Wall', '-o', $self->{so},
           root() . '/t/faults/shim.c', '-ldl') == 0 or die "cannot compile the shim\n";
    open my $out, '>', $self->{control} or die "$self->{control}: $!\n";
    print $out "\0" x SIZE;
    close $out;
    return $self;
}

# Runs code that starts nginx, which then has the library in it.
sub around
{
    my ($self, $code) = @_;
    my $so = $self->{so};
    local $ENV{ESPUTNIK_SHIM} = $self->{control};
    local $ENV{TEST_PRELOAD} = preload() . ":$so" if asan() && preload();
    local $ENV{LD_PRELOAD} = $so unless asan() && preload();
    return $code->();
}

sub _word
{
    my ($self, $call, $word, $value) = @_;
    my $at = ($index{$call} * WORDS + $word) * 8;
    open my $file, '+<', $self->{control} or die "$self->{control}: $!\n";
    binmode $file;
    sysseek $file, $at, 0;
    if (defined $value) {
        syswrite $file, pack 'q<', $value;
        return $value;
    }
    sysread $file, my $bytes, 8;
    return unpack 'q<', $bytes;
}

# From now on: %o: error => the errno of calls that fail, after => so many
# that pass first, count => how many then fail (all), short => 1: writes take
# half of what they are given, delta => for clock: seconds to add.
sub arm
{
    my ($self, $call, %o) = @_;
    $self->_word($call, 0, 0);
    $self->_word($call, 1, $o{error} || 0);
    $self->_word($call, 2, $o{after} || 0);
    $self->_word($call, 3, $o{count} || 1 << 40);
    $self->_word($call, 4, $o{short} || 0);
    $self->_word($call, 5, 0);
    $self->_word($call, 6, $o{delta} || 0);
    $self->_word($call, 0, 1);
}

sub disarm { my ($self, $call) = @_; $self->_word($call, 0, 0) }

# How many calls failed since arm(), and how often a file was synced or written
# again after its fdatasync had failed.
sub failed { my ($self, $call) = @_; return $self->_word($call, 5) }
sub retried { my ($self) = @_; return $self->_word('fdatasync', 7) }

1;
