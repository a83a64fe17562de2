"""What grows with what: CPU over connections and over events a POST, memory
over requests, rates over workers."""

import os
import sys

import load
import plot
import servers
from report import number, table

CONNECTIONS = [1, 4, 16, 64, 256, 1000, 4000]
EVENTS = [1, 2, 4, 10, 30, 100, 300, 1000, 3000, 10000]
REQUESTS = 2000000
LONG = 10000000


def say(*words):
    print(*words, file=sys.stderr)


def interleaved(rounds, cases, one):
    """{case: medians} of one(case), the cases taken in turn."""
    taken = {c: [] for c in cases}
    for n in range(rounds):
        for c in cases:
            r = one(c)
            taken[c].append(r)
            say("round %d/%d  %-28s %8.0f/s %10.2f µs"
                % (n + 1, rounds, c, r["rate"], r["cpu"]))
    return {c: load.medians(rs) for c, rs in taken.items()}


def over_connections(redis, rounds, seconds):
    both = {c.name: c(servers.PORT + 11 + i, redis)
            for i, c in enumerate((servers.Module, servers.Floor))}
    try:
        figures = interleaved(
            rounds, [(s, c) for c in CONNECTIONS for s in both],
            # wrk takes its time to make thousands of connections
            lambda case: load.one_round(both[case[0]], redis, 1, case[1],
                                        seconds, warm=2 + case[1] // 400))
    finally:
        for s in both.values():
            s.stop()
    return {s: [(c, figures[s, c]["cpu"]) for c in CONNECTIONS] for s in both}


def over_events(redis, rounds, seconds):
    module = servers.Module(servers.PORT + 11, redis)
    try:
        figures = interleaved(
            rounds, EVENTS,
            lambda n: load.one_round(module, redis, n, 16 if n < 1000 else 2,
                                     seconds))
    finally:
        module.stop()
    return [(n, figures[n]["cpu"] / n) for n in EVENTS]


def over_requests(redis, total):
    """[(requests, RSS in MB)] of one worker."""
    module = servers.Module(servers.PORT + 11, redis)
    out, done = [], 0
    try:
        while done < total:
            r = load.one_round(module, redis, 1, 64, 5)
            done += r["answers"]
            out.append((done, r["rss"]))
            say("%9d requests, RSS %.2f MB" % out[-1])
    finally:
        module.stop()
    return out


def over_workers(redis, rounds, seconds):
    """{(workers, events): medians}; the second worker shares its core with the
    loader and Redis when there are only two."""
    one = servers.Module(servers.PORT + 11, redis, folder="workers-1")
    two = servers.Module(servers.PORT + 12, redis, workers=2,
                         folder="workers-2")
    both = {1: one, 2: two}
    try:
        return interleaved(
            rounds, [(w, n) for n in (1, 100) for w in both],
            lambda case: load.one_round(both[case[0]], redis, case[1], 64,
                                        seconds))
    finally:
        one.stop()
        two.stop()


def run(args):
    rounds = args.rounds or (1 if args.quick else 3)
    seconds = args.seconds or (1 if args.quick else 3)
    redis = servers.Redis()
    try:
        connections = over_connections(redis, rounds, seconds)
        events = over_events(redis, rounds, seconds)
        workers = over_workers(redis, rounds, seconds)
        rss = over_requests(redis, 400000 if args.quick
                            else LONG if args.long else REQUESTS)
    finally:
        redis.stop()

    charts = [
        ("connections.svg", "CPU of a POST over connections (1 event)",
         "connections", "µs of the worker", connections, True),
        ("events.svg", "CPU of an event over events a POST",
         "events in one POST", "µs of the worker", {"module": events}, True),
        ("rss.svg", "Memory of the worker over requests", "requests", "MB",
         {"module": rss}, False),
        ("workers.svg", "POSTs a second over workers (100 events)", "workers",
         "POSTs/s", {"module": [(w, workers[w, 100]["rate"])
                                for w in (1, 2)]}, True),
    ]
    for name, title, x, y, series, log_x in charts:
        plot.line_chart(os.path.join(servers.OUT, name), title, x, y, series,
                        log_x)

    text = [table(["connections"] + list(connections),
                  [["{:,}".format(c)] + [number(dict(s)[c])
                                         for s in connections.values()]
                   for c in CONNECTIONS])
            + "\n\nCPU µs a POST with one event.",
            table(["events a POST", "CPU µs an event"],
                  [["{:,}".format(n), "%.3f" % us] for n, us in events]),
            table(["workers", "events a POST", "POSTs/s", "CPU µs/POST",
                   "p99 µs"],
                  [[str(w), str(n), number(f["rate"]), number(f["cpu"]),
                    number(f["p99"])] for (w, n), f in workers.items()]),
            "RSS of the worker: %.2f MB after %s requests, %.2f MB after %s, "
            "at most %.2f MB." % (
                rss[0][1], "{:,}".format(rss[0][0]), rss[-1][1],
                "{:,}".format(rss[-1][0]), max(m for _, m in rss))]
    return {"text": "\n\n".join(text), "plots": [c[0] for c in charts],
            "connections": connections, "events": events, "rss": rss,
            "workers": [dict(f, workers=w, events=n)
                        for (w, n), f in workers.items()]}
