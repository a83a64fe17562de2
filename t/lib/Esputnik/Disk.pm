package Esputnik::Disk;

# A small disk of the test's own: a tmpfs in a folder, which can be full.
# Needs root.

use strict;
use warnings;

use File::Temp qw(tempdir);

my $owner = $$;
my @mounted;

# %o: size => as mount takes it ("1m").
sub new
{
    my ($class, %o) = @_;
    my $folder = tempdir('esputnik-disk-XXXXXX', TMPDIR => 1);
    my $self = bless { path => $folder }, $class;
    system('mount', '-t', 'tmpfs', '-o', "size=$o{size},mode=0755", 'none', $folder) == 0
        or die "cannot mount a tmpfs on $folder\n";
    push @mounted, $self;
    return $self;
}

sub path { $_[0]{path} }

# Takes all the room that is left; empty() gives it back.
sub fill
{
    my ($self) = @_;
    open my $out, '>', "$self->{path}/ballast" or die "ballast: $!\n";
    for my $size (65536, 4096, 1) {
        my $block = "\0" x $size;
        1 while (syswrite($out, $block) || 0) == $size;
    }
    close $out;
}

sub empty { my ($self) = @_; unlink "$self->{path}/ballast" }

sub remove
{
    my ($self) = @_;
    my $path = delete $self->{path} or return;
    # lazily: what still has a file open keeps it until it ends
    system 'umount', '-l', $path;
    rmdir $path;
}

END { if ($$ == $owner) { my $status = $?; $_->remove for @mounted; $? = $status } }

1;
