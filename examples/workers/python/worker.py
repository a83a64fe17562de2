#!/usr/bin/python3
"""Takes events off the list that nginx fills, one at a time, at least once.

Put your work into handle(). Needs python3-redis and Redis 6.2 or later.

    REDIS_URL=redis://127.0.0.1:6379/0 QUEUE=esputnik:events ./worker.py

REDIS_URL, QUEUE  where the events are
WORKER_ID         unique among the workers of a queue (host name and pid)
ATTEMPTS          tries before an event goes to QUEUE:dead (3)
LEASE             seconds that handle() may take; a worker that is silent for
                  longer is taken for dead, its event given to another (60)

SIGTERM and SIGINT let the event at hand be finished first.
"""

import hashlib
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
WORKER_ID = os.environ.get("WORKER_ID", f"{socket.gethostname()}-{os.getpid()}")
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
        self.next_beat = 0.0

    @staticmethod
    def processing(worker: str) -> str:
        return f"{QUEUE}:processing:{worker}"

    def run(self) -> None:
        recover = lambda: self.take_back(WORKER_ID)  # a predecessor's event
        while not stopping.is_set():
            try:
                self.beat()
                recover()
                # From now on what is found here was lost with a connection.
                recover = self.put_back
                while not stopping.is_set():
                    self.beat()
                    event = self.redis.blmove(
                        QUEUE, self.processing(WORKER_ID), 1, "LEFT", "RIGHT")
                    if event is not None:
                        self.process(event)
                self.leave()
            except redis.RedisError as e:
                log.warning("redis: %s", e)
                self.redis.connection_pool.disconnect()
                stopping.wait(1)

    def process(self, event: bytes) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                handle(event)
            except Exception as e:
                reason = f"{type(e).__name__}: {e}"
                log.warning("attempt %d: %s", attempt, reason)
                if attempt == ATTEMPTS:
                    self.bury(WORKER_ID, event, attempt, reason)
                elif stopping.wait(2 ** (attempt - 1)):
                    return  # leave() puts it back
                else:
                    self.beat()
            else:
                if not self.redis.lrem(self.processing(WORKER_ID), 1, event):
                    log.warning("took longer than LEASE: another worker has "
                                "been given the event too")
                return

    def beat(self) -> None:
        """Once a second: says that this worker lives, and looks for others
        that do not."""
        if time.monotonic() < self.next_beat:
            return
        self.redis.sadd(f"{QUEUE}:workers", WORKER_ID)
        self.redis.set(f"{QUEUE}:worker:{WORKER_ID}", "", ex=LEASE)
        # The lock is left to expire: one look per LEASE among all workers.
        if self.redis.set(f"{QUEUE}:reaper", WORKER_ID, nx=True, ex=LEASE):
            for worker in self.redis.smembers(f"{QUEUE}:workers"):
                worker = worker.decode()
                if not self.redis.exists(f"{QUEUE}:worker:{worker}"):
                    log.warning("worker %s is dead", worker)
                    self.take_back(worker)
                    self.redis.srem(f"{QUEUE}:workers", worker)
        self.next_beat = time.monotonic() + 1

    def take_back(self, worker: str) -> None:
        """What a dead worker had at hand goes back to the head of the queue;
        after ATTEMPTS deaths the event is held to be their cause."""
        while event := self.redis.lindex(self.processing(worker), -1):
            digest = hashlib.sha1(event).hexdigest()
            deaths = self.redis.hincrby(f"{QUEUE}:deaths", digest, 1)
            self.redis.expire(f"{QUEUE}:deaths", 86400)
            if deaths >= ATTEMPTS:
                self.bury(worker, event, deaths, "its worker died each time")
            else:
                self.redis.lmove(
                    self.processing(worker), QUEUE, "RIGHT", "LEFT")

    def bury(self, worker: str, event: bytes, attempts: int,
             reason: str) -> None:
        head = json.dumps({
            "reason": reason, "attempts": attempts, "worker": worker,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})
        self.redis.rpush(f"{QUEUE}:dead", head.encode() + b"\n" + event)
        self.redis.lrem(self.processing(worker), 1, event)

    def put_back(self) -> None:
        while self.redis.lmove(self.processing(WORKER_ID), QUEUE,
                               "RIGHT", "LEFT"):
            pass

    def leave(self) -> None:
        self.put_back()
        self.redis.delete(f"{QUEUE}:worker:{WORKER_ID}")
        self.redis.srem(f"{QUEUE}:workers", WORKER_ID)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO,
                        format="%(asctime)s %(name)s %(message)s")
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stopping.set())
    Worker().run()
