"""One round of load on one server, and the proof that it stored what it
answered."""

import json
import os
import socket
import statistics
import subprocess
import time

import payloads
import servers
from servers import Failed, cpu_ns, pinned, rss_kb

PAYLOADS = os.path.join(servers.OUT, "payloads")
SCRIPT = os.path.join(servers.BENCH, "wrk.lua")


class Wrk:
    """wrk on the loader's core, rotating through the bodies of a load."""

    def __init__(self, port, events, connections, seconds):
        self.process = subprocess.Popen(
            pinned(servers.LOAD_CORE, [
                "wrk", "-t1", "-c", str(connections), "-d",
                "%dms" % int(seconds * 1000) if seconds < 1
                else "%ds" % int(seconds), "--timeout", "60s", "-s", SCRIPT,
                "http://127.0.0.1:%d/" % port, "--"]
                + payloads.write(PAYLOADS, events)),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def result(self):
        out = self.process.communicate()[0].decode()
        last = out.strip().rsplit("\n", 1)[-1]
        if self.process.returncode != 0 or not last.startswith("{"):
            raise Failed("wrk: " + out)
        return json.loads(last)


class Mark:
    """How far an nginx has come, and what it took."""

    def __init__(self, server):
        # the two are read one after the other: not with a pause between them
        for _ in range(20):
            start = time.time()
            self.seen = server.requests_seen()
            self.cpu = sum(map(cpu_ns, server.pids))
            self.time = time.time()
            if self.time - start < 0.02:
                return


def one_round(server, redis, events, connections, seconds, warm=0):
    """Figures of one round; raises when an answer was not 200 or the list does
    not hold what was answered.

    CPU is that of the whole round, or, with so many seconds to warm up, of
    what comes after these (thousands of connections take a while to make)."""
    if server.key:
        redis.command("DEL", server.key)
    start = None
    cpu, redis_cpu = sum(map(cpu_ns, server.pids)), redis.cpu()
    wrk = Wrk(server.port, events, connections, warm + seconds)
    if warm:
        time.sleep(warm)
        start = Mark(server)
        time.sleep(seconds * 0.8)
        end = Mark(server)
    r = wrk.result()
    stored = redis.settled_length(server.key, server.pids) \
        if server.key else 0
    cpu = sum(map(cpu_ns, server.pids)) - cpu
    redis_cpu = redis.cpu() - redis_cpu
    answers = r["answers"]
    if r["refused"] or r["broken"] or not answers:
        raise Failed("%s: %d answers, %d of them not 200, %d broken"
                     % (server.name, answers, r["refused"], r["broken"]))
    if server.key:
        # What was on its way when the loader stopped may be stored without
        # having been counted: at most one POST a connection.
        least = answers * events
        most = (answers + connections) * events
        if stored % events or not least <= stored <= most:
            raise Failed("%s: %d answers of %d events, but %d stored"
                         % (server.name, answers, events, stored))
        redis.command("DEL", server.key)
    each = cpu / 1000.0 / answers
    rate = answers * 1e6 / r["us"]
    if start:
        each = (end.cpu - start.cpu) / 1000.0 / (end.seen - start.seen)
        rate = (end.seen - start.seen) / (end.time - start.time)
    return {
        "answers": answers, "stored": stored,
        "rate": rate,
        "p50": r["p50"], "p99": r["p99"],
        "cpu": each,
        "redis_cpu": redis_cpu / 1000.0 / answers,
        "busy": cpu / 1000.0 / r["us"],
        "rss": sum(map(rss_kb, server.pids)) / 1024.0,
    }


def medians(rounds):
    return {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}


def prove(server, redis, events, posts):
    """Every POST one after the other, then the list is read back: each event
    once, in order, and equal to what was sent.  Returns how many were equal
    byte for byte."""
    sent = payloads.bodies(events, posts, seed=time.time_ns())
    if server.key:
        redis.command("DEL", server.key)
    with socket.create_connection(("127.0.0.1", server.port), 60) as c:
        for b in sent:
            status, text = server.post(payloads.body(b), c)
            if status != 200:
                raise Failed("%s answered %d: %s"
                             % (server.name, status, text.decode()))
            if server.key and json.loads(text) != {"accepted": events}:
                raise Failed("%s answered %s" % (server.name, text.decode()))
    if not server.key:
        return 0
    same = 0
    stored = redis.command("LRANGE", server.key, 0, -1)
    redis.command("DEL", server.key)
    wanted = [e for b in sent for e in b]
    if len(stored) != len(wanted):
        raise Failed("%s: %d events sent, %d stored"
                     % (server.name, len(wanted), len(stored)))
    for a, b in zip(wanted, stored):
        if a == b:
            same += 1
        elif json.loads(a) != json.loads(b):
            raise Failed("%s stored %s for %s" % (server.name, b, a))
    return same


def refusals(server):
    """The bad bodies that every contestant must refuse."""
    good = payloads.bodies(1)[0][0]
    event = json.loads(good)
    cases = {"not JSON": b"[{", "not an array": good, "not an object": b"[1]"}
    for field, value in (("contactId", None), ("contactId", "1"),
                         ("activityStatus", 7), ("email", {}),
                         ("messageId", 1.5), ("hardBounce", "no"),
                         ("statusData", "x"), ("subscriptions", [1])):
        cases["%s = %r" % (field, value)] = payloads.body(
            [payloads.encode(dict(event, **{field: value}))])
    for what, body in cases.items():
        status, _ = server.post(body)
        if status != 400:
            raise Failed("%s answered %d to: %s" % (server.name, status, what))
    return len(cases)
