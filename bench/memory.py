"""What a request in flight costs in memory, beside its body."""

import signal
import socket
import time

import payloads
import servers
from report import number, table
from servers import Failed, read_answer, rss_kb

COUNT = 500


def connect(port):
    return [socket.create_connection(("127.0.0.1", port), 60)
            for _ in range(COUNT)]


def settled_rss(pid):
    """KB, once the worker has come to rest."""
    last = servers.cpu_ns(pid)
    while True:
        time.sleep(0.2)
        now = servers.cpu_ns(pid)
        if now - last < 1000000:
            return rss_kb(pid)
        last = now


def in_flight(contestant, redis, events, waiting):
    """Bytes a request beside its body: with its body all but read, or, when
    waiting, with its command sent to a Redis that does not answer."""
    extra = "esputnik_timeout 120s;" if contestant is servers.Module else ""
    server = contestant(servers.PORT + 11, redis, extra=extra)
    body = payloads.body(payloads.bodies(events)[0])
    head = (b"POST / HTTP/1.1\r\nHost: bench\r\n"
            b"Content-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body))
    try:
        # the worker's own start, and that of each connection, are not counted
        for _ in range(20):
            server.post(body)
        connections = connect(server.port)
        before = settled_rss(server.pid)
        if waiting:
            redis.process.send_signal(signal.SIGSTOP)
        for c in connections:
            c.sendall(head + (body if waiting else body[:-1]))
        during = settled_rss(server.pid)
        if waiting:
            redis.process.send_signal(signal.SIGCONT)
        else:
            for c in connections:
                c.sendall(body[-1:])
        for c in connections:
            status, text = read_answer(c)
            if status != 200:
                raise Failed("%d: %s" % (status, text.decode()))
            c.close()
        after = settled_rss(server.pid)
    finally:
        redis.process.send_signal(signal.SIGCONT)
        server.stop()
    if contestant.key:
        redis.command("DEL", contestant.key)
    return {"server": contestant.name, "events": events, "body": len(body),
            "waiting": waiting,
            "beside": (during - before) * 1024.0 / COUNT - len(body),
            "before": before, "during": during, "after": after}


def run(args):
    redis = servers.Redis()
    try:
        rows = [in_flight(c, redis, events, waiting)
                for events in (1, 100)
                for c, waiting in ((servers.Floor, False),
                                   (servers.Module, False),
                                   (servers.Module, True))]
    finally:
        redis.stop()
    floor = {r["events"]: r["beside"] for r in rows if r["server"] == "floor"}
    text = table(
        ["", "state", "body", "beside it", "over the floor", "RSS before",
         "during", "after"],
        [[r["server"], "waits for Redis" if r["waiting"] else "body comes in",
          "{:,} B".format(r["body"]), "{:,.0f} B".format(r["beside"]),
          "{:,.0f} B".format(r["beside"] - floor[r["events"]]),
          number(r["before"] / 1024) + " MB",
          number(r["during"] / 1024) + " MB",
          number(r["after"] / 1024) + " MB"] for r in rows])
    return {"text": text + "\n\n%d requests in flight on as many connections."
            % COUNT, "rows": rows}
