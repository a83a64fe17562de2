package Soak::Oracle;

# What was answered, from the logs of the senders, against what the lists hold.
#
# A log has a line an attempt, as examples/sender/esputnik-sender.py writes it:
# time, account, POST, attempt, status, milliseconds, names.  An attempt that
# begins with "bad:" is of a POST that must not be stored, "may:" of one that
# nobody waited for.

use strict;
use warnings;

# The figures of one key: its logs, the identities in its lists in order, and code
# that says whether a fault was at work at some time between two moments.
sub compare
{
    my ($logs, $ids, $fault) = @_;
    my %r = map { $_ => 0 } qw(posts attempts refused unanswered bad bad_taken may
                               acknowledged unknown found lost duplicates unexplained
                               inversions torn unanswered_stored bad_stored longest);
    my (%acknowledged, %failed, %bad, %may, @posts);
    my %statuses;

    for my $file (@$logs) {
        open my $in, '<', $file or die "$file: $!\n";
        while (<$in>) {
            chomp;
            my ($end, undef, undef, $attempt, $status, $ms, $names) = split /\t/;
            my @ids = map { s{.*/}{}r } split /,/, $names;
            $statuses{ $status =~ /\A\d+\z/ ? $status : 'none' }++;
            if ($attempt =~ /\Abad:/) {
                $r{bad}++;
                $r{bad_taken}++ if $status eq '200';
                $bad{$_} = 1 for @ids;
                next;
            }
            if ($attempt =~ /\Amay:/) {
                $r{may}++;
                $r{unknown} += @ids;
                $may{$_} = 1 for @ids;
                next;
            }
            $r{longest} = $ms if $ms > $r{longest};
            $r{attempts}++;
            if ($status eq '200') {
                $r{posts}++;
                my $quiet = !$fault->($end - $ms / 1000, $end);
                @acknowledged{@ids} = ($quiet ? 'quiet' : 'fault') x @ids;
            } else {
                $status =~ /\A\d+\z/ ? $r{refused}++ : $r{unanswered}++;
                $r{unknown} += @ids;
                $failed{$_}++ for @ids;
            }
            push @posts, \@ids if @ids > 1;
        }
    }

    my (%times, %latest);
    for my $id (@$ids) {
        if ($bad{$id}) {
            $r{bad_stored}++;
            next;
        }
        $r{found}++;
        if ($times{$id}++) {
            $r{duplicates}++;
            $r{unexplained}++
                if ($acknowledged{$id} || '') eq 'quiet' && !$failed{$id};
            next;
        }
        # what nobody was told about may come late
        next unless $acknowledged{$id};
        my ($account, $number) = $id =~ /\A(.*)-(\d+)\z/;
        $r{inversions}++ if $number < ($latest{$account} || 0);
        $latest{$account} = $number if $number > ($latest{$account} || 0);
    }

    $r{acknowledged} = keys %acknowledged;
    my @lost = grep { !$times{$_} } keys %acknowledged;
    $r{lost} = @lost;
    $r{unanswered_stored} = grep { !$acknowledged{$_} } keys %times;
    $r{strange} = grep { !$acknowledged{$_} && !$failed{$_} && !$may{$_} } keys %times;
    for my $ids (@posts) {
        my $there = grep { $times{$_} } @$ids;
        $r{torn}++ if $there && $there != @$ids;
    }
    $r{statuses} = \%statuses;
    $r{lost_names} = [splice @{ [sort @lost] }, 0, 5];
    return \%r;
}

1;
