package Esputnik::Test;

# What every test file uses: Test::More, short names for the servers and
# clients, the checks that many tests share, and the end: servers stopped,
# their logs looked at.

use strict;
use warnings;

use File::Temp ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Esputnik::Env qw(slow ms root redis_binary);
use Esputnik::FakeRedis;
use Esputnik::Http;
use Esputnik::Load;
use Esputnik::Nginx;
use Esputnik::Process qw(wait_for kill_all);
use Esputnik::Proxy;
use Esputnik::Redis;

our @EXPORT = qw(nginx redis fake_redis proxy load event events payload
                 decode accepted problem list_is finish slow ms wait_for sleep
                 time root redis_binary);

sub import
{
    my $to = caller;
    strict->import;
    warnings->import;
    no strict 'refs';
    *{"${to}::$_"} = \&{$_} for @EXPORT;
    for (@Test::More::EXPORT) {
        *{"${to}::$_"} = \&{"Test::More::$_"} if /\A\w/;
    }
}

my $owner = $$;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };
$SIG{PIPE} = 'IGNORE';

sub nginx { return Esputnik::Nginx->start(@_) }
sub redis { return Esputnik::Redis->start(@_) }
sub fake_redis { return Esputnik::FakeRedis->start(@_) }
sub proxy { return Esputnik::Proxy->start(@_) }
sub load { return Esputnik::Load->start(@_) }

# A sound event's text; more members, as JSON text, behind the required ones.
sub event
{
    my ($id, $more) = @_;
    return '{"contactId":' . ($id // 1) . ',"activityStatus":"DELIVERED",'
        . '"activityDateTime":"2023-09-14T08:30:03"'
        . (defined $more ? ",$more" : '') . '}';
}

# An array's text of the events with these ids.
sub events { return '[' . join(',', map { event($_) } @_) . ']' }

sub payload
{
    my ($name) = @_;
    open my $in, '<', root() . "/t/payloads/$name.json" or die "$name: $!\n";
    binmode $in;
    local $/;
    return scalar <$in>;
}

sub decode
{
    my ($text) = @_;
    return eval { JSON::PP->new->utf8->decode($text) } || { undecodable => $text };
}

# The response is 200 and says how many events it took.
sub accepted
{
    my ($r, $n, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is("$r->{status} $r->{body}", qq(200 {"accepted":$n}), $name)
        || diag($r->{error} || ());
}

# The response is a problem (RFC 9457) with this status, for this reason, with
# these members (offset, event, field); undef: the member must be absent.
sub problem
{
    my ($r, $status, $reason, $name, %members) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @wrong;
    push @wrong, "status $r->{status}, not $status" if $r->{status} != $status;
    my $type = $r->{headers}{'content-type'} || 'none';
    push @wrong, "content type $type" if $type ne 'application/problem+json';
    my $p = decode($r->{body});
    $reason =~ tr/_/-/;
    my %want = (%members, status => $status, type => "urn:esputnik:problem:$reason");
    for (sort keys %want) {
        my ($is, $want) = map { $_ // 'absent' } $p->{$_}, $want{$_};
        push @wrong, "$_ is $is, not $want" if $is ne $want;
    }
    for (qw(title detail)) {
        push @wrong, "no $_" unless defined $p->{$_} && length $p->{$_};
    }
    return ok(!@wrong, $name)
        || diag(map { "$_\n" } @wrong, $r->{error} || $r->{body});
}

sub list_is
{
    my ($redis, $key, $want, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply($redis->list($key), $want, $name);
}

# The end of every test file: all nginx end gracefully, and no log holds what
# no test asked for.
my $finished;

sub finish
{
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $finished = 1;
    $_->stop for Esputnik::Nginx->all;
    my @complaints = map { $_->complaints } Esputnik::Nginx->all;
    is(join("\n", @complaints), '', 'nothing alarming in the logs');
    done_testing();
}

END {
    if ($$ == $owner) {
        my $status = $?;
        # after a death in the middle: workers outlive a killed master
        $_->stop('TERM') for Esputnik::Nginx->all;
        # what it died of may be there
        my @complaints = $finished ? () : map { $_->complaints } Esputnik::Nginx->all;
        is(join("\n", @complaints), '', 'nothing alarming in the logs') if @complaints;
        kill_all();
        $? = $status;
    }
}

1;
