"""Where a POST's time goes: instructions (callgrind), system calls (strace),
heap and copies (count_heap.c), of the module beside the floor."""

import os
import signal
import subprocess
import time

import instructions
import load
import payloads
import servers
from servers import Failed

COLUMNS = ["instructions", "syscalls, 1 connection",
           "syscalls, 64 connections", "heap calls", "heap bytes",
           "copied bytes", "copies of the body"]
HEAP_POSTS = {1: 2000, 4: 2000, 100: 500}


def heap(contestant, redis):
    """{events: (calls, bytes, copied) a POST}"""
    library = os.path.join(servers.OUT, "count_heap.so")
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror",
                    "-fno-builtin", "-shared", "-fPIC", "-o", library,
                    os.path.join(servers.BENCH, "count_heap.c")], check=True)
    counted = os.path.join(servers.RUN, "heap")

    def count(posts):
        if os.path.exists(counted):
            os.unlink(counted)
        instructions.serve(contestant, redis, posts, [], {
            "LD_PRELOAD": library, "COUNT_HEAP": counted})
        with open(counted) as f:
            calls, freed, size, copied = map(int, f.read().split())
        return [calls, size, copied]

    return {e: tuple(d) for e, d in instructions.differences(
        contestant, redis, HEAP_POSTS, count).items()}


def system_calls(server, redis, events, connections, seconds):
    """{name: calls a POST} of a worker under load."""
    out = os.path.join(servers.RUN, "strace")
    wrk = load.Wrk(server.port, events, connections, seconds + 2)
    time.sleep(0.5)
    seen = server.requests_seen()
    strace = subprocess.Popen(["strace", "-c", "-o", out, "-p",
                               str(server.pid)], stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    strace.send_signal(signal.SIGINT)
    strace.wait()
    seen = server.requests_seen() - seen
    result = wrk.result()
    if result["refused"] or result["broken"]:
        raise Failed("%s under strace: %s" % (server.name, result))
    if server.key:
        redis.settled_length(server.key, server.pids)
        redis.command("DEL", server.key)
    calls = {}
    with open(out) as f:
        for line in f:
            words = line.split()
            if len(words) >= 5 and words[0][0].isdigit() \
                    and words[-1] != "total":
                calls[words[-1]] = int(words[3]) / seen
    return calls


def run(args):
    seconds = 2 if args.quick else 5
    redis = servers.Redis()
    rows, details = {}, {}
    try:
        for contestant in (servers.Floor, servers.Module):
            executed = instructions.measure(contestant, redis)
            heaps = heap(contestant, redis)
            server = contestant(servers.PORT + 11, redis)
            try:
                for events in executed:
                    one = system_calls(server, redis, events, 1, seconds)
                    many = system_calls(server, redis, events, 64, seconds)
                    name = "%d event%s, %s" % (
                        events, "s" if events > 1 else "", contestant.name)
                    calls, size, copied = heaps[events]
                    rows[name] = dict(zip(COLUMNS, [
                        executed[events], sum(one.values()),
                        sum(many.values()), calls, size, copied,
                        copied / body_length(events)]))
                    details[name + ", 64 connections"] = sorted(
                        many.items(), key=lambda c: -c[1])[:8]
            finally:
                server.stop()
    finally:
        redis.stop()
    return {"columns": COLUMNS, "rows": rows, "syscalls": details}


def body_length(events):
    """The mean of those that a load rotates through."""
    bodies = payloads.bodies(events)
    return sum(len(payloads.body(b)) for b in bodies) / len(bodies)
