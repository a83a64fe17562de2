"""The module against the floor and the peers: interleaved rounds, medians."""

import subprocess
import sys

import load
import servers
from servers import CONTESTANTS, Failed

# The slowest answers one POST of 10,000 events in a second.
LONGER = {10000: 3}

# (name, events, connections, append-only file)
LOADS = [
    ("1 event, 1 connection", 1, 1, False),
    ("1 event, 64 connections", 1, 64, False),
    ("1 event, 256 connections", 1, 256, False),
    ("4 events, 64 connections", 4, 64, False),
    ("100 events, 64 connections", 100, 64, False),
    ("10,000 events, 2 connections", 10000, 2, False),
    ("1 event, 64 connections, AOF everysec", 1, 64, True),
    ("100 events, 64 connections, AOF everysec", 100, 64, True),
]


def start(names, redis):
    running = []
    try:
        for i, name in enumerate(n for n in CONTESTANTS if n in names):
            if name == "node" and not servers.Node.installed():
                print("without the Node peer", file=sys.stderr)
                continue
            running.append(CONTESTANTS[name](servers.PORT + 1 + i, redis))
    except Exception:
        stop(running)
        raise
    return running


def stop(running):
    for s in running:
        s.stop()


def check_all(running, redis):
    for s in running:
        same = total = 0
        for events, posts in ((1, 50), (4, 20), (100, 5), (10000, 1)):
            same += load.prove(s, redis, events, posts)
            total += events * posts
        if s.key:
            refused = load.refusals(s)
            print("%-7s %d events stored in order, %d of them byte for byte; "
                  "%d bad bodies refused" % (s.name, total, same, refused))
        else:
            if s.parses and s.post(b"[{")[0] != 400:
                raise Failed("%s does not parse" % s.name)
            print("%-7s answers" % s.name)
        sys.stdout.flush()


def redis_round_trip(redis):
    """p50 in µs of one client that waits for each RPUSH of an event's size,
    from the server's core."""
    out = subprocess.run(
        servers.pinned(servers.SERVER_CORE, [
            "redis-benchmark", "-h", "127.0.0.1", "-p", str(redis.port), "-c",
            "1", "-n", "30000", "-d", "450", "-t", "rpush", "--csv"]),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True) \
        .stdout.decode().splitlines()
    redis.command("DEL", "mylist")
    head = [c.strip('"') for c in out[0].split(",")]
    row = [c.strip('"') for c in out[1].split(",")]
    return float(row[head.index("p50_latency_ms")]) * 1000


def check(args):
    redis = servers.Redis()
    running = []
    try:
        running = start(args.only, redis)
        check_all(running, redis)
    finally:
        stop(running)
        redis.stop()


def run(args):
    rounds = args.rounds or (2 if args.quick else 5)
    seconds = args.seconds or (1 if args.quick else 3)
    redis = servers.Redis(extra=["--appendfsync", "everysec"])
    running = []
    try:
        running = start(args.only, redis)
        check_all(running, redis)
        trip = redis_round_trip(redis)
        taken = {name: {s.name: [] for s in running}
                 for name, _, _, _ in LOADS}
        for n in range(rounds):
            for name, events, connections, aof in LOADS:
                redis.append_only(aof)
                for s in running:
                    if aof and not s.key:
                        continue
                    r = load.one_round(s, redis, events, connections,
                                       seconds * LONGER.get(events, 1))
                    taken[name][s.name].append(r)
                    print("round %d/%d  %-42s %-7s %8.0f/s %9.1f µs"
                          % (n + 1, rounds, name, s.name, r["rate"],
                             r["cpu"]), file=sys.stderr)
        redis.append_only(False)
        complaints = [c for s in running for c in s.complaints()]
    finally:
        stop(running)
        redis.stop()
    if complaints:
        raise Failed("\n".join(complaints[:20]))
    return {
        "rounds": rounds, "seconds": seconds, "redis_round_trip": trip,
        "loads": [{
            "name": name, "events": events, "connections": connections,
            "servers": {s: dict(load.medians(rs), rounds=rs)
                        for s, rs in taken[name].items() if rs},
        } for name, events, connections, aof in LOADS],
    }
