"""User instructions a POST, counted by callgrind: the same on a busy machine as
on a quiet one, and so a figure that a test can hold on to.

An nginx of one process serves one client, which waits for each answer.  Two
runs differ by N POSTs of one load; what both do (start, connect, stop) cancels
out.
"""

import json
import os
import platform
import re
import socket
import subprocess
import time

import payloads
import servers
from servers import Failed

RECORD = os.path.join(servers.BENCH, "instructions.json")
PORT = servers.PORT + 100

# events a POST: POSTs that the two runs differ by
LOADS = {1: 200, 4: 200, 100: 40}
WARM_UP = 20

# Of the figure itself, when everything below it is as it was recorded; else of
# its ratio to the floor, which moves with the compiler and the libraries too.
MARGIN = 0.03
RATIO_MARGIN = 0.15


def versions():
    """What the figure depends on beside our own code."""
    with open("/proc/cpuinfo") as f:
        flags = re.search(r"^flags\s*:(.*)$", f.read(), re.M)
    flags = flags.group(1).split() if flags else []
    out = {name: servers.package_version(package) for name, package in (
        ("yajl", "libyajl2"), ("libc", "libc6"),
        ("hiredis", "libhiredis-dev"), ("valgrind", "valgrind"))}
    out["g++"] = subprocess.run(["g++", "-dumpfullversion"],
                                stdout=subprocess.PIPE, check=True) \
        .stdout.decode().strip()
    out["nginx"] = subprocess.run(
        [servers.NGINX, "-v"], stderr=subprocess.PIPE, check=True) \
        .stderr.decode().strip().rpartition("/")[2]
    # libc picks its string functions by these
    out["cpu"] = " ".join([platform.machine()] + [
        f for f in ("avx2", "avx512f", "erms") if f in flags])
    return out


def serve(contestant, redis, posts, wrapper, env=None):
    """Starts a server of one process, sends it so many POSTs of each load, and
    ends it."""
    server = contestant(PORT + 1, redis, single_process=True, wrapper=wrapper,
                        env=env, folder="one-" + contestant.name)
    try:
        with socket.create_connection(("127.0.0.1", server.port), 120) as c:
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for events, count in posts.items():
                bodies = [payloads.body(b) for b in payloads.bodies(events)]
                for i in range(count):
                    status, text = server.post(bodies[i % len(bodies)], c)
                    if status != 200:
                        raise Failed("%s answered %d: %s" % (
                            server.name, status, text.decode()))
        # back to its wait, where the signal to stop finds it in every run
        time.sleep(0.2)
    finally:
        server.stop(seconds=120)
    complaints = server.complaints()
    if complaints:
        raise Failed("\n".join(complaints))
    return server


def differences(contestant, redis, loads, count):
    """{events: [difference a POST of each thing counted]}; count(posts) gives
    the list of what was counted in a run with these POSTs."""
    base = {events: WARM_UP for events in loads}
    least = count(base)
    out = {}
    for events, n in loads.items():
        more = count({**base, events: WARM_UP + n})
        out[events] = [(b - a) / n for a, b in zip(least, more)]
    if contestant.key:
        redis.command("DEL", contestant.key)
    return out


def measure(contestant, redis, loads=None):
    """{events: instructions a POST}"""
    def count(posts):
        folder = servers.fresh_folder("callgrind")
        out = os.path.join(folder, "out")
        serve(contestant, redis, posts, [
            "valgrind", "--tool=callgrind", "--callgrind-out-file=" + out,
            "--log-file=" + os.path.join(folder, "log")])
        with open(out) as f:
            for line in f:
                if line.startswith(("summary:", "totals:")):
                    return [int(line.split()[1])]
        raise Failed("callgrind wrote no sum")

    return {events: round(d[0]) for events, d in
            differences(contestant, redis, loads or LOADS, count).items()}


def both():
    redis = servers.Redis(port=PORT, name="redis-instructions")
    try:
        return {c.name: measure(c, redis)
                for c in (servers.Floor, servers.Module)}
    finally:
        redis.stop()


def record():
    figures = both()
    with open(RECORD, "w") as f:
        json.dump({"versions": versions(), "instructions": figures}, f,
                  indent=1)
        f.write("\n")
    for name, loads in figures.items():
        for events, n in loads.items():
            print("%-7s %5d events %12s instructions a POST"
                  % (name, events, "{:,}".format(n)))


def guard(events):
    """What t/guard.t judges, one row a load."""
    loads = {e: LOADS[e] for e in events or LOADS}
    with open(RECORD) as f:
        recorded = json.load(f)
    was, now = recorded["versions"], versions()
    others = ["%s %s, recorded with %s" % (k, now.get(k), was.get(k))
              for k in sorted(set(was) | set(now)) if was.get(k) != now.get(k)]
    redis = servers.Redis(port=PORT, name="redis-instructions")
    try:
        module = measure(servers.Module, redis, loads)
        floor = measure(servers.Floor, redis, loads) if others else None
    finally:
        redis.stop()
    rows = []
    for events, n in module.items():
        then = recorded["instructions"]["module"][str(events)]
        row = {"events": events, "instructions": n, "recorded": then,
               "margin": MARGIN}
        row["change"] = n / then - 1
        if floor:
            ratio = n / floor[events]
            ratio_then = then / recorded["instructions"]["floor"][str(events)]
            row.update(change=ratio / ratio_then - 1, margin=RATIO_MARGIN,
                       ratio=ratio, recorded_ratio=ratio_then)
        rows.append(row)
    return {"others": others, "rows": rows}

