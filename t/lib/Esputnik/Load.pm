package Esputnik::Load;

# Senders under load: each posts numbered events, one after the other, and
# writes down each answer after it was received.  At the end what was answered
# 200 is compared with what the lists hold.

use strict;
use warnings;

use File::Temp qw(tempdir);
use Time::HiRes qw(sleep time);

use Esputnik::Env qw(slow);
use Esputnik::Http;
use Esputnik::Process qw(fork_code wait_exit reap);

# %o: port, uri, senders (4), events => in each POST (1), pause => seconds
# between two, retry => 1: a POST that failed is sent again until it is 200
# (as the vendor does), close => 1: a connection for each request.
sub start
{
    my ($class, %o) = @_;
    my $folder = tempdir('esputnik-load-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { folder => $folder, pids => [] }, $class;
    for my $sender (1 .. $o{senders} || 4) {
        push @{ $self->{pids} },
            fork_code(sub { $self->_send($sender, %o) });
    }
    return $self;
}

sub _send
{
    my ($self, $sender, %o) = @_;
    open my $out, '>', "$self->{folder}/$sender" or die "load: $!\n";
    my ($http, $seq) = (undef, 0);
    my $parent = getppid;
    until (-e "$self->{folder}/stop" || getppid != $parent) {
        my $first = $seq + 1;
        my @events = map { event($sender, $first + $_) }
                         0 .. ($o{events} || 1) - 1;
        $seq += @events;
        my $body = '[' . join(',', @events) . ']';
        my $status;
        do {
            my ($start, $error) = (time, '');
            $http ||= eval { Esputnik::Http->connect($o{port}) };
            $status = 0;
            if ($http) {
                my $r = eval { $http->request(POST => $o{uri}, body => $body) };
                $status = $r->{status} if $r;
                $error = $r->{error} || '' if $r;
                undef $http if !$status || $o{close}
                    || ($r->{headers}{connection} || '') eq 'close';
            } else {
                $error = 'no connection';
            }
            syswrite $out, sprintf "%d %d %d %.3f %s\n", $first, scalar @events,
                                   $status, time - $start, $error;
            sleep 0.01 if $status != 200;
        } while ($o{retry} && $status != 200 && !-e "$self->{folder}/stop"
                 && getppid == $parent);
        sleep $o{pause} if $o{pause};
    }
}

sub event
{
    my ($sender, $seq) = @_;
    return '{"contactId":' . $sender . ',"messageId":' . $seq
        . ',"activityStatus":"DELIVERED",'
        . '"activityDateTime":"2023-09-14T08:30:03"}';
}

# Ends the senders, each after its request in flight.
sub stop
{
    my ($self) = @_;
    open my $out, '>', "$self->{folder}/stop" or die "stop: $!\n";
    close $out;
    for my $pid (@{ $self->{pids} }) {
        wait_exit($pid, slow(20)) // reap($pid);
    }
    return $self;
}

# All answers so far: { sender, first, count, status, time, error }.
sub answers
{
    my ($self) = @_;
    my @all;
    for my $file (glob "$self->{folder}/[0-9]*") {
        my ($sender) = $file =~ m{/(\d+)\z};
        open my $in, '<', $file or die "$file: $!\n";
        while (<$in>) {
            chomp;
            my ($first, $count, $status, $time, $error) = split / /, $_, 5;
            push @all, { sender => $sender, first => $first, count => $count,
                         status => $status, time => $time, error => $error };
        }
    }
    return @all;
}

# Counts of answers by status.
sub by_status
{
    my ($self) = @_;
    my %n;
    $n{ $_->{status} }++ for $self->answers;
    return \%n;
}

# The oracle: a list's content against the answers.  accepted: events answered
# 200; lost: of these not in the list; refused_stored: in the list though every
# answer for them was a plain refusal (a status, not 200); duplicates; disorder:
# first occurrences of a sender that are not in ascending order; torn: POSTs of
# which only a part is there.
sub compare
{
    my ($self, $list) = @_;
    my (%times, %last, %r);
    @r{qw(accepted lost refused_stored duplicates disorder torn stored)} = (0) x 7;
    for (@$list) {
        my ($sender, $seq) = /"contactId":(\d+),"messageId":(\d+)/
            or die "strange event: $_\n";
        $r{stored}++;
        if ($times{$sender}{$seq}++) {
            $r{duplicates}++;
            next;
        }
        $r{disorder}++ if $seq < ($last{$sender} || 0);
        $last{$sender} = $seq if $seq > ($last{$sender} || 0);
    }

    my %post;
    for ($self->answers) {
        my $p = $post{"$_->{sender} $_->{first}"} ||= { %$_ };
        $p->{ok} ||= $_->{status} == 200;
        $p->{unknown} ||= !$_->{status};
    }
    for my $p (values %post) {
        my $there = grep { $times{ $p->{sender} }{$_} }
                         $p->{first} .. $p->{first} + $p->{count} - 1;
        $r{torn}++ if $there && $there != $p->{count};
        if ($p->{ok}) {
            $r{accepted} += $p->{count};
            $r{lost} += $p->{count} - $there;
        } elsif ($there && !$p->{unknown}) {
            $r{refused_stored} += $there;
        }
    }
    return \%r;
}

1;
