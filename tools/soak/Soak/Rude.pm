package Soak::Rude;

# A client as no vendor is: malformed bodies, senders that dribble, that go away
# with a request half sent or unanswered.  What it did, and what it was
# answered, goes into logs as Soak::Oracle reads them.

use strict;
use warnings;

use Esputnik::Http;
use Esputnik::Process qw(fork_code wait_exit reap);
use Time::HiRes qw(sleep time);

my @kinds = qw(bad bad bad dribble dribble half half abort abort reset idle);

# %o: port, seed, uris => [...], folder, pause => mean seconds between two.
sub start
{
    my ($class, %o) = @_;
    my $self = bless { %o }, $class;
    $self->{pid} = fork_code(sub { $self->_run });
    return $self;
}

sub log_of
{
    my ($self, $uri) = @_;
    return "$self->{folder}/rude-" . substr($uri, 1) . '.log';
}

# Ends it, after what it is about.
sub stop
{
    my ($self) = @_;
    open my $out, '>', "$self->{folder}/rude.stop" or die "rude.stop: $!\n";
    close $out;
    wait_exit($self->{pid}, 30) // reap($self->{pid});
    unlink "$self->{folder}/rude.stop";
}

sub counts
{
    my ($self) = @_;
    my %n;
    for my $uri (@{ $self->{uris} }) {
        open my $in, '<', $self->log_of($uri) or next;
        while (<$in>) {
            my ($kind, $status) = (split /\t/)[7, 4];
            chomp $kind;
            $n{$kind}{$status}++;
        }
    }
    return \%n;
}

sub _event
{
    my ($name) = @_;
    return '{"contactId":77,"activityStatus":"DELIVERED","activityDateTime":'
        . qq("2023-09-14T08:30:03","externalCustomerId":"$name"})
}

sub _run
{
    my ($self) = @_;
    srand $self->{seed};
    alarm 0;
    my %log;
    for my $uri (@{ $self->{uris} }) {
        open $log{$uri}, '>>', $self->log_of($uri) or die "log: $!\n";
        $log{$uri}->autoflush;
    }
    my $parent = getppid;
    my $n = 0;
    until (-e "$self->{folder}/rude.stop" || getppid != $parent) {
        my $kind = $kinds[rand @kinds];
        my $uri = $self->{uris}[rand @{ $self->{uris} }];
        my @names = map { 'rude.' . substr($uri, 1) . '-' . ++$n } 0 .. int rand 5;
        my $start = time;
        my $method = "_$kind";
        my ($attempt, $status) = eval { $self->$method($uri, \@names) };
        # before its body was sent: nothing can be there of it
        ($attempt, $status) = ('bad:unsent', 'none') unless defined $attempt;
        printf { $log{$uri} } "%.3f\t0\t%d\t%s\t%s\t%.1f\t%s\t%s\n", $start, $n, $attempt,
            $status, 1000 * (time - $start), join(',', map { "-/$_" } @names), $kind;
        sleep rand 2 * $self->{pause};
    }
}

# What is wrong with a body, from the texts of sound events.
my @wrong = (
    sub { '' },
    sub { '[' . join(',', @_) },
    sub { join ',', @_ },
    sub { '[' . join(',', @_) . "]\0" },
    sub { '[' . join(',', @_, '{}') . ']' },
    sub { '[' . join(',', @_, "\"\xff\"") . ']' },
    sub { '[' . join(',', @_, _event("x\xc0\xaf")) . ']' },
    sub { '[' . join(',', @_) . ',' . '[' x 5000 . ']' },
    sub { '[' . join("\x0b,", @_, '1') . ']' },
    sub { '[' . join(',', @_, '{"contactId":99999999999999999999}') . ']' },
    sub { join('', map { chr int rand 256 } 1 .. 300) . "@_" },
);

sub _bad
{
    my ($self, $uri, $names) = @_;
    my $body = $wrong[rand @wrong]->(map { _event($_) } @$names);
    my @how = rand() < 0.3 ? (chunked => 1 + int rand 50) : ();
    my $r = Esputnik::Http->connect($self->{port})->request(
        POST => $uri, body => $body, @how);
    return ("bad:wrong", $r->{status} || 'none');
}

sub _body { my ($names) = @_; return '[' . join(',', map { _event($_) } @$names) . ']' }

# In many pieces, with pauses; waits for its answer.
sub _dribble
{
    my ($self, $uri, $names) = @_;
    my $http = Esputnik::Http->connect($self->{port});
    my $bytes = Esputnik::Http->bytes(POST => $uri, body => _body($names),
                                      rand() < 0.5 ? (chunked => 1 + int rand 20) : ());
    my $piece = 1 + int(length($bytes) / (3 + rand 20));
    my $sent = 0;
    while (length $bytes) {
        $http->send_raw(substr $bytes, 0, $piece, '');
        sleep rand 0.1;
    }
    my $r = $http->response;
    return (1, $r->{status} || 'none');
}

sub _leave
{
    my ($http) = @_;
    rand() < 0.5 ? $http->close : $http->reset;
}

# Some of the body, then gone: nothing of it may be stored.
sub _half
{
    my ($self, $uri, $names) = @_;
    my $http = Esputnik::Http->connect($self->{port});
    my $body = _body($names);
    my $bytes = Esputnik::Http->bytes(POST => $uri, body => $body);
    $http->send_raw(substr $bytes, 0, length($bytes) - 1 - int rand length $body);
    sleep rand 0.2;
    _leave($http);
    return ('bad:half', 'none');
}

# All of it, then gone without waiting for the answer.
sub _abort
{
    my ($self, $uri, $names) = @_;
    my $http = Esputnik::Http->connect($self->{port});
    my $bytes = Esputnik::Http->bytes(POST => $uri, body => _body($names));
    $http->send_raw($bytes);
    sleep rand 0.005 if rand() < 0.5;
    _leave($http);
    return ('may:abort', 'none');
}

# As an abort, with others behind it on the same connection.
sub _reset
{
    my ($self, $uri, $names) = @_;
    my $http = Esputnik::Http->connect($self->{port});
    $http->send_raw(join '', map {
        Esputnik::Http->bytes(POST => $uri, body => _body([$_])) } @$names);
    sleep rand 0.003;
    $http->reset;
    return ('may:pipelined', 'none');
}

# A connection that says little or nothing for a while.
sub _idle
{
    my ($self, $uri) = @_;
    my $http = Esputnik::Http->connect($self->{port});
    $http->send_raw(substr "POST $uri HTTP/1.1\r\nHost: test\r\n", 0, int rand 40);
    sleep rand 1;
    _leave($http);
    return ('bad:idle', 'none');
}

1;
