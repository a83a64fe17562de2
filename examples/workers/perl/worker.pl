#!/usr/bin/perl
# Takes events off the list that nginx fills, one at a time, at least once.
#
# Put your work into handle(). Needs libredis-perl and Redis 6.2 or later.
#
#     REDIS_URL=redis://127.0.0.1:6379/0 QUEUE=esputnik:events ./worker.pl
#
# REDIS_URL, QUEUE  where the events are
# WORKER_ID         unique among the workers of a queue (host name and pid)
# ATTEMPTS          tries before an event goes to QUEUE:dead (3)
# LEASE             seconds that handle() may take; a worker that is silent for
#                   longer is taken for dead, its event given to another (60)
#
# SIGTERM and SIGINT let the event at hand be finished first.

use strict;
use warnings;

use Digest::SHA qw(sha1_hex);
use JSON::PP;
use POSIX qw(strftime);
use Redis;
use Sys::Hostname;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);

my $url      = $ENV{REDIS_URL} // 'redis://127.0.0.1:6379/0';
my $queue    = $ENV{QUEUE}     // 'esputnik:events';
my $id       = $ENV{WORKER_ID} // hostname() . "-$$";
my $attempts = $ENV{ATTEMPTS}  // 3;
my $lease    = $ENV{LEASE}     // 60;

my ($redis, $stopping, $next_beat) = (undef, 0, 0);

$SIG{TERM} = $SIG{INT} = sub { $stopping = 1 };
$| = 1;
run();

# Your work. To die means: try again, later give up.
sub handle {
    my ($event) = @_;

    my $data = decode_json($event);
    die "no activityStatus\n" if !defined $data->{activityStatus};
    print join("\t", $data->{activityStatus}, $data->{contactId},
               $data->{iid} // '-', $data->{externalCustomerId} // '-'), "\n";
}

sub run {
    my $restore = sub { take_back($id) };    # a predecessor's event

    while (!$stopping) {
        my $done = eval {
            $redis = connect_redis();
            beat();
            $restore->();

            # From now on what is found here was lost with a connection.
            $restore = \&put_back;
            while (!$stopping) {
                beat();
                my $event = $redis->blmove($queue, processing($id),
                                           'LEFT', 'RIGHT', 1);
                work($event) if defined $event;
            }
            leave();
            1;
        };
        if (!$done) {
            logline("redis: $@");
            pause(1);
        }
    }
}

# redis://[user[:password]@]host[:port][/db] or unix:///path[?db=N]
sub connect_redis {
    my ($scheme, $auth, $host, $path, $db) =
        $url =~ m{^([a-z+]+)://(?:([^@/]*)@)?([^/]*)(/[^?]*)?(?:\?db=(\d+))?$}
        or die "REDIS_URL is no URL of Redis\n";

    my %where;
    if ($scheme =~ /unix$/) {
        %where = (sock => $path);
    } else {
        $host .= ':6379' if $host !~ /:\d+$/;
        $db //= $1 if ($path // '') =~ m{^/(\d+)$};
        %where = (server => $host);
    }
    if (defined $auth) {
        my ($user, $password) = map { s/%([0-9a-f]{2})/chr hex $1/gier }
            split /:/, $auth, 2;
        $where{username} = $user if length $user;
        $where{password} = $password;
    }

    # No reconnect: a BLMOVE sent again after a lost reply would leave an
    # event behind in the processing list.
    my $r = Redis->new(%where, reconnect => 0, cnx_timeout => 5,
                       read_timeout => 10, write_timeout => 10);
    $r->select($db) if $db;
    return $r;
}

sub work {
    my ($event) = @_;

    for my $attempt (1 .. $attempts) {
        if (!eval { handle($event); 1 }) {
            chomp(my $reason = $@);
            logline("attempt $attempt: $reason");
            return bury($id, $event, $attempt, $reason)
                if $attempt == $attempts;
            pause(2**($attempt - 1));
            return if $stopping;    # leave() puts it back
            beat();
            next;
        }
        if (!$redis->lrem(processing($id), 1, $event)) {
            logline('took longer than LEASE: another worker has been given '
                    . 'the event too');
        }
        return;
    }
}

# Once a second: says that this worker lives, and looks for others that do not.
sub beat {
    return if clock_gettime(CLOCK_MONOTONIC) < $next_beat;

    $redis->sadd("$queue:workers", $id);
    $redis->set(alive($id), '', 'EX', $lease);

    # The lock is left to expire: one look per LEASE among all workers.
    if ($redis->set("$queue:reaper", $id, 'NX', 'EX', $lease)) {
        for my $worker ($redis->smembers("$queue:workers")) {
            next if $redis->exists(alive($worker));
            logline("worker $worker is dead");
            take_back($worker);
            $redis->srem("$queue:workers", $worker);
        }
    }
    $next_beat = clock_gettime(CLOCK_MONOTONIC) + 1;
}

# What a dead worker had at hand goes back to the head of the queue; after
# ATTEMPTS deaths the event is held to be their cause.
sub take_back {
    my ($worker) = @_;

    while (defined(my $event = $redis->lindex(processing($worker), -1))) {
        my $deaths = $redis->hincrby("$queue:deaths", sha1_hex($event), 1);
        $redis->expire("$queue:deaths", 86400);
        if ($deaths >= $attempts) {
            bury($worker, $event, $deaths, 'its worker died each time');
        } else {
            $redis->lmove(processing($worker), $queue, 'RIGHT', 'LEFT');
        }
    }
}

sub bury {
    my ($worker, $event, $tries, $reason) = @_;

    my $head = JSON::PP->new->utf8->canonical->encode({
        reason => $reason, attempts => $tries, worker => $worker,
        time   => strftime('%Y-%m-%dT%H:%M:%SZ', gmtime),
    });
    $redis->rpush("$queue:dead", "$head\n$event");
    $redis->lrem(processing($worker), 1, $event);
}

sub put_back {
    1 while defined $redis->lmove(processing($id), $queue, 'RIGHT', 'LEFT');
}

sub leave {
    put_back();
    $redis->del(alive($id));
    $redis->srem("$queue:workers", $id);
}

sub processing { return "$queue:processing:$_[0]" }
sub alive      { return "$queue:worker:$_[0]" }

sub pause {
    my $deadline = clock_gettime(CLOCK_MONOTONIC) + $_[0];
    sleep 0.1 while !$stopping && clock_gettime(CLOCK_MONOTONIC) < $deadline;
}

sub logline {
    my ($message) = @_;
    chomp $message;
    print STDERR strftime('%Y-%m-%dT%H:%M:%SZ ', gmtime), $message, "\n";
}
