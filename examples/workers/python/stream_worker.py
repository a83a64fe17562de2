#!/usr/bin/python3
"""Takes events off a stream (esputnik_push xadd), at least once, as a member
of a consumer group.

Put your work into handle(). Needs python3-redis and Redis 7.0 or later.

    REDIS_URL=redis://127.0.0.1:6379/0 QUEUE=esputnik:events ./stream_worker.py

REDIS_URL, QUEUE  where the stream is
GROUP             the consumer group, made when it is missing (workers)
WORKER_ID         unique in the group; keep it over restarts (host name)
ATTEMPTS          tries before an event goes to the list QUEUE:dead (3)
LEASE             seconds after which an event that is still not acknowledged
                  is given to another worker (60)

SIGTERM and SIGINT let the event at hand be finished first.
"""

import json
import logging
import os
import signal
import socket
import threading
import time

import redis

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
QUEUE = os.environ.get("QUEUE", "esputnik:events")
GROUP = os.environ.get("GROUP", "workers")
WORKER_ID = os.environ.get("WORKER_ID", socket.gethostname())
ATTEMPTS = int(os.environ.get("ATTEMPTS", "3"))
LEASE = int(os.environ.get("LEASE", "60"))

log = logging.getLogger("worker")
stopping = threading.Event()


def handle(event: bytes) -> None:
    """Your work. An exception means: try again, later give up."""
    data = json.loads(event)
    print(data["activityStatus"], data["contactId"], data.get("iid", "-"),
          data.get("externalCustomerId", "-"), sep="\t", flush=True)


class Worker:
    def __init__(self) -> None:
        self.redis = redis.Redis.from_url(REDIS_URL, socket_timeout=10)
        self.next_claim = 0.0

    def run(self) -> None:
        while not stopping.is_set():
            try:
                self.join()
                # "0": what this worker was given and never acknowledged.
                while not stopping.is_set() and self.read("0"):
                    pass
                while not stopping.is_set():
                    self.claim()
                    self.read(">")
            except redis.RedisError as e:
                log.warning("redis: %s", e)
                self.redis.connection_pool.disconnect()
                stopping.wait(1)

    def join(self) -> None:
        try:
            self.redis.xgroup_create(QUEUE, GROUP, id="0", mkstream=True)
        except redis.ResponseError as e:
            if not str(e).startswith("BUSYGROUP"):
                raise

    def read(self, since: str) -> bool:
        """One event; whether there was one."""
        streams = self.redis.xreadgroup(
            GROUP, WORKER_ID, {QUEUE: since}, count=1, block=1000)
        entries = streams[0][1] if streams else []
        for entry, fields in entries:
            self.process(entry, fields)
        return bool(entries)

    def claim(self) -> None:
        """Takes over what others have not acknowledged within LEASE."""
        if time.monotonic() < self.next_claim:
            return
        cursor = "0-0"
        while not stopping.is_set():
            cursor, entries, *_ = self.redis.xautoclaim(
                QUEUE, GROUP, WORKER_ID, LEASE * 1000, cursor, count=1)
            for entry, fields in entries:
                log.warning("taken over: %s", entry.decode())
                self.process(entry, fields)
            if cursor in (b"0-0", "0-0"):
                break
        self.next_claim = time.monotonic() + LEASE

    def process(self, entry: bytes, fields: dict) -> None:
        if not fields:  # trimmed before it was handled
            log.warning("event %s is gone: maxlen is too low", entry.decode())
            self.redis.xack(QUEUE, GROUP, entry)
            return
        event = fields[b"event"]
        pending = self.redis.xpending_range(QUEUE, GROUP, entry, entry, 1)
        attempt = pending[0]["times_delivered"] if pending else 1
        reason = "its worker died each time"
        while attempt <= ATTEMPTS:
            try:
                handle(event)
            except Exception as e:
                reason = f"{type(e).__name__}: {e}"
                log.warning("attempt %d: %s", attempt, reason)
                if attempt < ATTEMPTS and stopping.wait(2 ** (attempt - 1)):
                    return  # stays pending
                attempt += 1
            else:
                self.redis.xack(QUEUE, GROUP, entry)
                return
        head = json.dumps({
            "reason": reason, "attempts": ATTEMPTS, "worker": WORKER_ID,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})
        self.redis.rpush(f"{QUEUE}:dead", head.encode() + b"\n" + event)
        self.redis.xack(QUEUE, GROUP, entry)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO,
                        format="%(asctime)s %(name)s %(message)s")
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stopping.set())
    Worker().run()
