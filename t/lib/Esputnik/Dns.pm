package Esputnik::Dns;

# A name server for nginx's resolver: A records from a table that the test can
# change; all other names do not exist.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();

use Esputnik::Port qw(free_port);
use Esputnik::Process qw(fork_code reap);

# %records: name => address, or several with spaces between them, or '' for a
# name without an address.
# A name that maps to 'silence' is never answered.
sub start
{
    my ($class, %records) = @_;
    my $folder = tempdir('esputnik-dns-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { folder => $folder, port => free_port() }, $class;
    $self->records(%records);
    my $socket = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $self->{port}, Proto => 'udp')
        or die "bind: $!\n";
    $self->{pid} = fork_code(sub { $self->_serve($socket) });
    return $self;
}

sub port { $_[0]{port} }
sub stop { my ($self) = @_; reap(delete $self->{pid}) if $self->{pid} }

sub records
{
    my ($self, %records) = @_;
    open my $out, '>', "$self->{folder}/new" or die "records: $!\n";
    print $out JSON::PP::encode_json(\%records);
    close $out;
    rename "$self->{folder}/new", "$self->{folder}/records";
}

# The names that were asked for, in order.
sub queries
{
    my ($self) = @_;
    open my $in, '<', "$self->{folder}/queries" or return;
    chomp(my @names = <$in>);
    return @names;
}

sub _serve
{
    my ($self, $socket) = @_;
    my $parent = getppid;
    my $select = IO::Select->new($socket);
    while (getppid == $parent) {
        $select->can_read(1) or next;
        my $from = recv $socket, my $query, 4096, 0;
        next unless defined $from && length $query > 12;
        my $answer = $self->_answer($query);
        send $socket, $answer, 0, $from if defined $answer;
    }
}

sub _answer
{
    my ($self, $query) = @_;
    my ($id) = unpack 'n', $query;
    my ($at, @labels) = (12);
    while (my $length = ord substr $query, $at, 1) {
        push @labels, substr $query, $at + 1, $length;
        $at += 1 + $length;
    }
    my $name = lc join '.', @labels;
    my ($type) = unpack 'n', substr $query, $at + 1, 2;
    my $question = substr $query, 12, $at + 5 - 12;

    open my $out, '>>', "$self->{folder}/queries";
    syswrite $out, "$name\n";
    close $out;

    open my $in, '<', "$self->{folder}/records" or return undef;
    my $address = JSON::PP::decode_json(scalar <$in>)->{$name};

    return pack('n6', $id, 0x8183, 1, 0, 0, 0) . $question   # NXDOMAIN
        unless defined $address;
    return undef if $address eq 'silence';
    return pack('n6', $id, 0x8180, 1, 0, 0, 0) . $question
        if $type != 1 || $address eq '';
    my @addresses = split / /, $address;
    return pack('n6', $id, 0x8180, 1, scalar @addresses, 0, 0) . $question
        . join '', map { pack('n3Nn', 0xc00c, 1, 1, 1, 4) . pack('C4', split /\./) } @addresses;
}

1;
