package Esputnik::Http;

# An HTTP/1.1 client that shows and does everything a test may want: keep-alive,
# chunked bodies, slow or broken sending, pipelining, aborts.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);

use Esputnik::Env qw(slow);

sub connect
{
    my ($class, $port) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $port)
        or die "connect to port $port: $!\n";
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    return bless { socket => $socket, buffer => '' }, $class;
}

sub send_raw
{
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes, 65536;
        return 0 unless $n;
        substr $bytes, 0, $n, '';
    }
    return 1;
}

# The bytes of a request.  %o: body, headers => [name => value …], chunked =>
# size of a chunk (instead of Content-Length), version.
sub bytes
{
    my ($class, $method, $uri, %o) = @_;
    my $out = "$method $uri HTTP/" . ($o{version} || '1.1') . "\r\nHost: test\r\n";
    my @headers = @{ $o{headers} || [] };
    while (my ($name, $value) = splice @headers, 0, 2) {
        $out .= "$name: $value\r\n";
    }
    my $body = $o{body};
    if ($o{chunked}) {
        $out .= "Transfer-Encoding: chunked\r\n\r\n";
        for (my $at = 0; $at < length $body; $at += $o{chunked}) {
            my $piece = substr $body, $at, $o{chunked};
            $out .= sprintf "%x\r\n%s\r\n", length $piece, $piece;
        }
        return $out . "0\r\n\r\n";
    }
    $out .= 'Content-Length: ' . length($body) . "\r\n" if defined $body;
    return $out . "\r\n" . ($body // '');
}

# Sends a request and reads its response.  %o as in bytes(), and timeout.
sub request
{
    my ($self, $method, $uri, %o) = @_;
    $self->send_raw(ref($self)->bytes($method, $uri, %o));
    return $self->response(head => $method eq 'HEAD', timeout => $o{timeout});
}

# A response: { status, headers => { lower-case name => value }, body, time };
# status 0 and error => 'closed' or 'timeout' when there is none.
sub response
{
    my ($self, %o) = @_;
    my $start = time;
    my $deadline = $start + ($o{timeout} || slow(15));
    my $fail = sub {
        return { status => 0, headers => {}, body => '', time => time - $start,
                 error => $self->{eof} ? 'closed' : 'timeout' };
    };

    while ($self->{buffer} !~ /\r\n\r\n/) {
        $self->_fill($deadline) or return $fail->();
    }
    $self->{buffer} =~ s/\A(.*?)\r\n\r\n//s;
    my ($line, @lines) = split /\r\n/, $1;
    my ($status) = $line =~ m{\AHTTP/1\.[01] (\d{3})} or die "bad response: $line\n";
    my %headers;
    for (@lines) {
        my ($name, $value) = /\A([^:]+):\s*(.*)\z/ or die "bad header: $_\n";
        $name = lc $name;
        $headers{$name} = exists $headers{$name} ? "$headers{$name}, $value" : $value;
    }

    my $body = '';
    if ($o{head} || $status =~ /\A1/ || $status == 204) {
        # no body
    } elsif (($headers{'transfer-encoding'} || '') eq 'chunked') {
        for (;;) {
            while ($self->{buffer} !~ /\A([0-9a-f]+)\r\n/i) {
                $self->_fill($deadline) or return $fail->();
            }
            my ($skip, $size) = (length($1) + 2, hex $1);
            while (length $self->{buffer} < $skip + $size + 2) {
                $self->_fill($deadline) or return $fail->();
            }
            $body .= substr $self->{buffer}, $skip, $size;
            substr $self->{buffer}, 0, $skip + $size + 2, '';
            last unless $size;
        }
    } elsif (defined(my $length = $headers{'content-length'})) {
        while (length $self->{buffer} < $length) {
            $self->_fill($deadline) or return $fail->();
        }
        $body = substr $self->{buffer}, 0, $length, '';
    } else {
        1 while $self->_fill($deadline);
        $body = $self->{buffer};
        $self->{buffer} = '';
    }

    return { status => $status + 0, headers => \%headers, body => $body,
             time => time - $start };
}

sub _fill
{
    my ($self, $deadline) = @_;
    return 0 if $self->{eof};
    my $left = $deadline - time;
    return 0 if $left <= 0;
    IO::Select->new($self->{socket})->can_read($left) or return 0;
    my $n = sysread $self->{socket}, $self->{buffer}, 65536,
                    length $self->{buffer};
    $self->{eof} = 1 unless $n;
    return $n;
}

# True when the server closes the connection within the time.
sub closed_within
{
    my ($self, $seconds) = @_;
    my $deadline = time + $seconds;
    1 while $self->_fill($deadline);
    return $self->{eof} ? 1 : 0;
}

sub close { CORE::close $_[0]{socket} }

# Goes away with an RST.
sub reset
{
    my ($self) = @_;
    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0;
    CORE::close $self->{socket};
}

1;
