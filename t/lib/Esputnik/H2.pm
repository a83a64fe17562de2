package Esputnik::H2;

# Just enough of HTTP/2 (RFC 9113, prior knowledge) to send a request in
# pieces, to stop in the middle of it, and to read what comes back.  Header
# fields are sent as literals without an index (RFC 7541, section 6.2.2).

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

use Esputnik::Env qw(slow);

use constant { DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6,
               WINDOW_UPDATE => 8, END_STREAM => 1, END_HEADERS => 4 };

# %o: window => how many bytes of an answer's body may come (65,535).
sub connect
{
    my ($class, $port, %o) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or die "connect to port $port: $!\n";
    my $self = bless { socket => $socket, buffer => '', next => 1, streams => {} }, $class;
    my $settings = defined $o{window} ? pack 'nN', 4, $o{window} : '';
    $self->_send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . _frame(SETTINGS, 0, 0, $settings));
    return $self;
}

sub _frame
{
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream)
        . $payload;
}

sub _send
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

# Opens a stream with a POST's header; more fields as [name, value].  Returns
# the stream's number.
sub post
{
    my ($self, $uri, @fields) = @_;
    my $stream = $self->{next};
    $self->{next} += 2;
    my $block = join '', map {
        my ($name, $value) = @$_;
        "\0" . chr(length $name) . $name . chr(length $value) . $value
    } [':method', 'POST'], [':scheme', 'http'], [':path', $uri],
      [':authority', 'test'], @fields;
    $self->_send(_frame(HEADERS, END_HEADERS, $stream, $block));
    return $stream;
}

# A piece of the body, at most 16,384 bytes; last ends the stream.
sub data
{
    my ($self, $stream, $bytes, $last) = @_;
    return $self->_send(_frame(DATA, $last ? END_STREAM : 0, $stream, $bytes));
}

# Lets so many more bytes of the answer's body come.
sub widen
{
    my ($self, $stream, $bytes) = @_;
    return $self->_send(_frame(WINDOW_UPDATE, 0, $stream, pack 'N', $bytes));
}

sub rst
{
    my ($self, $stream) = @_;
    return $self->_send(_frame(RST_STREAM, 0, $stream, pack 'N', 8));
}

# The response on a stream, in the form of Esputnik::Http's; without headers,
# as nginx sends them compressed.
sub response
{
    my ($self, $stream, %o) = @_;
    my $start = time;
    my $deadline = $start + ($o{timeout} || slow(15));
    my $s = $self->{streams}{$stream} ||= { status => 0, body => '' };
    while (!$s->{ended}) {
        if ($self->{eof} || !$self->_read_frame($deadline)) {
            $s->{error} = $self->{eof} ? 'closed' : 'timeout';
            last;
        }
    }
    return { %$s, headers => {}, time => time - $start };
}

sub _read_frame
{
    my ($self, $deadline) = @_;
    for (;;) {
        if (length $self->{buffer} >= 9) {
            my $length = unpack 'N', "\0" . substr $self->{buffer}, 0, 3;
            if (length $self->{buffer} >= 9 + $length) {
                my ($type, $flags, $stream) = unpack 'x3CCN', $self->{buffer};
                my $payload = substr $self->{buffer}, 9, $length;
                substr $self->{buffer}, 0, 9 + $length, '';
                $self->_take($type, $flags, $stream & 0x7fffffff, $payload);
                return 1;
            }
        }
        my $left = $deadline - time;
        return 0 if $left <= 0;
        IO::Select->new($self->{socket})->can_read($left) or return 0;
        my $n = sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer};
        if (!$n) {
            $self->{eof} = 1;
            return 0;
        }
    }
}

# The statuses of RFC 7541's static table.
my %indexed = (0x88 => 200, 0x89 => 204, 0x8a => 206, 0x8b => 304, 0x8c => 400,
               0x8d => 404, 0x8e => 500);

sub _take
{
    my ($self, $type, $flags, $stream, $payload) = @_;
    if ($type == SETTINGS && !($flags & 1)) {
        $self->_send(_frame(SETTINGS, 1, 0, ''));
        return;
    }
    if ($type == PING && !($flags & 1)) {
        $self->_send(_frame(PING, 1, 0, $payload));
        return;
    }
    my $s = $self->{streams}{$stream} ||= { status => 0, body => '' };
    if ($type == HEADERS) {
        # nginx puts a change of its table's size first, then :status
        my $block = $payload =~ s/\A[\x20-\x3f]//r;
        $s->{status} = $indexed{ ord $block }
            || ($block =~ /\A.\x03(\d{3})/s ? $1 + 0 : 0);
    } elsif ($type == DATA) {
        $s->{body} .= $payload;
    }
    $s->{ended} = 1 if $type == RST_STREAM
        || ($type == HEADERS || $type == DATA) && $flags & END_STREAM;
}

sub close { CORE::close $_[0]{socket} }

1;
