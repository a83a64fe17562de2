package Esputnik::SlowDisk;

# A disk that stands still when the test says so: a C library, preloaded into
# nginx, whose fdatasync() does not go on while a file is there.

use strict;
use warnings;

use File::Temp qw(tempdir);

use Esputnik::Env qw(asan preload);

my $source = <<'END';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *still;

/* nginx takes the environment away from its workers */
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("ESPUTNIK_DISK_STILL");
    still = path != NULL ? strdup(path) : NULL;
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");

    while (still != NULL && access(still, F_OK) == 0) {
        usleep(2000);
    }
    return real(fd);
}
END

sub new
{
    my ($class) = @_;
    my $folder = tempdir('esputnik-slow-disk-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { so => "$folder/disk.so", still => "$folder/still" }, $class;
    open my $out, '>', "$folder/disk.c" or die "$folder/disk.c: $!\n";
    print $out $source;
    close $out;
    system($ENV{CC} || 'cc', '-shared', '-fPIC', '-O1', '-Wall', '-o', $self->{so},
           "$folder/disk.c", '-ldl') == 0 or die "cannot compile the disk\n";
    return $self;
}

# Runs code that starts nginx, which then has this disk.
sub around
{
    my ($self, $code) = @_;
    my $so = $self->{so};
    local $ENV{ESPUTNIK_DISK_STILL} = $self->{still};
    local $ENV{TEST_PRELOAD} = preload() . ":$so" if asan() && preload();
    local $ENV{LD_PRELOAD} = $so unless asan() && preload();
    return $code->();
}

sub stand_still
{
    my ($self) = @_;
    open my $out, '>', $self->{still} or die "$self->{still}: $!\n";
}

sub go_on { my ($self) = @_; unlink $self->{still} }

1;
