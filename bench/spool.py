"""The way over the disk: what is taken while Redis is down, against what the
disk can sync, and how fast it goes on to Redis, against redis-benchmark."""

import os
import subprocess
import time

import load
import payloads
import servers
from report import number, table
from servers import Failed

CONNECTIONS = (1, 64, 256)


class Spooling(servers.Module):
    """Its Redis is on a port where there is none at first."""

    name = "spool"
    key = "bench:spool"
    location = "esputnik_pass redis://127.0.0.1:%(redis)d/0;\n" \
               "            esputnik_key %(key)s;\n" \
               "            esputnik_spool spool;"

    def complaints(self):
        return []  # that there is no Redis is an error to it


class Nowhere:
    port = servers.PORT + 30


def sync_rate(folder, size, seconds):
    """fdatasync() calls a second of one who appends so much before each: into
    a file that is written already, as into one that has to grow."""
    path = os.path.join(folder, "sync")
    rates = []
    for grown in (True, False):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            if grown:
                os.write(fd, bytes(8 << 20))
                os.fsync(fd)
                os.lseek(fd, 0, os.SEEK_SET)
            n, start = 0, time.time()
            while time.time() - start < seconds:
                os.write(fd, bytes(size))
                os.fdatasync(fd)
                n += 1
            rates.append(n / (time.time() - start))
        finally:
            os.close(fd)
            os.unlink(path)
    return rates


def file_system(folder):
    out = subprocess.run(["stat", "-f", "-c", "%T", folder],
                         stdout=subprocess.PIPE, check=True)
    return out.stdout.decode().strip()


def taken(server, connections, seconds):
    """(POSTs/s, CPU us a POST) with one event each, all of them spooled."""
    cpu = servers.cpu_ns(server.pid)
    r = load.Wrk(server.port, 1, connections, seconds).result()
    if r["refused"] or r["broken"] or not r["answers"]:
        raise Failed("spool: %s" % r)
    return dict(r, connections=connections, rate=r["answers"] * 1e6 / r["us"],
                cpu=(servers.cpu_ns(server.pid) - cpu) / 1e3 / r["answers"])


def drained(server, answers, connections):
    """Starts the Redis and waits until all is there: events/s from the first
    one on."""
    redis = servers.Redis(port=Nowhere.port, name="redis-drain")
    try:
        end = time.time() + 120
        first = None
        while time.time() < end:
            n = redis.command("LLEN", server.key)
            if first is None and n:
                first, at_first = time.time(), n
            if n >= answers:
                break
            time.sleep(0.002)
        else:
            raise Failed("spool: %d of %d drained" % (n, answers))
        seconds = time.time() - first
        stored = redis.settled_length(server.key, server.pids)
        if not answers <= stored <= answers + connections:
            raise Failed("spool: %d answers, %d drained" % (answers, stored))
        return {"events": stored, "rate": (answers - at_first) / seconds}
    finally:
        redis.stop()


def benchmark_rate(pipeline, size):
    """Events a second that redis-benchmark brings to a Redis with so many
    commands under way."""
    redis = servers.Redis(port=Nowhere.port, name="redis-drain")
    try:
        out = subprocess.run(
            servers.pinned(servers.SERVER_CORE, [
                "redis-benchmark", "-p", str(redis.port), "-c", "1", "-P",
                str(pipeline), "-d", str(size), "-n", "200000", "--csv", "-t",
                "rpush"]),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        return float(out.stdout.decode().splitlines()[1].split('"')[3])
    finally:
        redis.stop()


def run(args):
    seconds = args.seconds or (2 if args.quick else 5)
    rounds = args.rounds or (1 if args.quick else 3)
    size = len(payloads.bodies(1)[0][0])
    server = Spooling(servers.PORT + 11, Nowhere)
    answers = 0
    rows, syncs = {c: [] for c in CONNECTIONS}, []
    try:
        for _ in range(rounds):
            syncs.append(sync_rate(server.folder, size, seconds / 2))
            for c in CONNECTIONS:
                rows[c].append(taken(server, c, seconds))
                answers += rows[c][-1]["answers"]
        drain = drained(server, answers, sum(CONNECTIONS) * rounds)
    finally:
        server.stop()

    # what the drain has under way: kReadBytes of ngx_esputnik_drain.cpp
    pipeline = 256 * 1024 // size
    reach = benchmark_rate(pipeline, size)
    rewrite, append = (sorted(s[i] for s in syncs)[len(syncs) // 2]
                       for i in (0, 1))
    medians = {c: load.medians(r) for c, r in rows.items()}
    text = [
        table(["connections", "POSTs/s", "syncs of the disk", "p50 µs",
               "p99 µs", "CPU µs/POST"],
              [[str(c), number(m["rate"]), "%.2f x" % (m["rate"] / append),
                number(m["p50"]), number(m["p99"]), number(m["cpu"])]
               for c, m in medians.items()]),
        "One event a POST, Redis down. The disk (%s) syncs %s times a second "
        "when %d bytes are appended before each fdatasync(), %s times when "
        "they go over bytes that are there."
        % (file_system(servers.RUN), number(append), size, number(rewrite)),
        "Draining %s events: %s a second; redis-benchmark with one client, "
        "the same size and %d commands under way: %s."
        % ("{:,}".format(drain["events"]), number(drain["rate"]), pipeline,
           number(reach))]
    return {"text": "\n\n".join(text), "taken": list(medians.values()),
            "syncs": syncs, "drain": drain, "redis_benchmark": reach}
