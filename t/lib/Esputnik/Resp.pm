package Esputnik::Resp;

# The protocol of Redis (RESP2) over a socket, from both ends: commands
# encoded and replies decoded (a client), commands decoded (a fake server).
# Blocking, with a deadline.

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use Time::HiRes qw(time);

our @EXPORT_OK = qw(encode_command);

{
    package Esputnik::Resp::Error;
    use overload '""' => sub { ${ $_[0] } }, fallback => 1;
    sub new { my ($class, $text) = @_; return bless \$text, $class }
}

sub encode_command
{
    my $out = '*' . @_ . "\r\n";
    $out .= '$' . length($_) . "\r\n$_\r\n" for @_;
    return $out;
}

sub new
{
    my ($class, $socket) = @_;
    return bless { socket => $socket, buffer => '' }, $class;
}

sub socket { $_[0]{socket} }

sub send
{
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes;
        return 0 unless $n;
        substr $bytes, 0, $n, '';
    }
    return 1;
}

# More bytes into the buffer; false at the end of the stream or of the time.
sub _fill
{
    my ($self, $deadline) = @_;
    if (defined $deadline) {
        my $left = $deadline - time;
        return 0 if $left <= 0;
        IO::Select->new($self->{socket})->can_read($left) or return 0;
    }
    my $n = sysread $self->{socket}, $self->{buffer}, 65536,
                    length $self->{buffer};
    return $n ? 1 : 0;
}

sub _line
{
    my ($self, $deadline) = @_;
    for (;;) {
        if ($self->{buffer} =~ s/\A([^\r\n]*)\r\n//) {
            return $1;
        }
        $self->_fill($deadline) or return undef;
    }
}

sub _bytes
{
    my ($self, $length, $deadline) = @_;
    while (length $self->{buffer} < $length + 2) {
        $self->_fill($deadline) or return undef;
    }
    my $bytes = substr $self->{buffer}, 0, $length;
    substr $self->{buffer}, 0, $length + 2, '';
    return $bytes;
}

# One reply as (1, value); () at the end of the stream or of the time.  Errors
# are Esputnik::Resp::Error, nil is undef, arrays are references.
sub read_reply
{
    my ($self, $deadline) = @_;
    my $line = $self->_line($deadline) // return;
    my $type = substr $line, 0, 1, '';

    return (1, $line) if $type eq '+' || $type eq ':';
    return (1, Esputnik::Resp::Error->new($line)) if $type eq '-';

    if ($type eq '$') {
        return (1, undef) if $line < 0;
        my $bytes = $self->_bytes($line, $deadline) // return;
        return (1, $bytes);
    }

    if ($type eq '*') {
        return (1, undef) if $line < 0;
        my @items;
        for (1 .. $line) {
            my ($ok, $item) = $self->read_reply($deadline) or return;
            push @items, $item;
        }
        return (1, \@items);
    }

    die "not a reply of Redis: $type$line\n";
}

# One command as a reference to its words; undef at the end of the stream.
sub read_command
{
    my ($self, $deadline) = @_;
    my ($ok, $words) = $self->read_reply($deadline) or return undef;
    ref $words eq 'ARRAY' or die "not a command\n";
    return $words;
}

1;
