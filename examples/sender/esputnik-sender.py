#!/usr/bin/python3
"""Sends webhooks as eSputnik does: the same payloads, the same patience.

    esputnik-sender.py --url http://127.0.0.1:8080/webhooks/esputnik \\
        --accounts 4 --rate 50 --duration 60 --time-scale 0.001 --log sent.log \\
        --verify redis://127.0.0.1:6379/0 esputnik:events

First the URL is checked with a GET.  Then every account sends its own stream,
one POST after the other; only 200 counts as delivered.  A POST that failed is
repeated after 1, 2, 4, 8 ... 60 minutes (times --time-scale), and all that
this account has to send waits behind it.  Needs nothing but Python 3.8; for
--verify also python3-redis.

Each event carries its identity, RUN-ACCOUNT-NUMBER, in externalCustomerId, so
that --verify can tell what was lost, came twice or came in the wrong order.

The log has one line an attempt, tab-separated: time, account, number of the
POST, number of the attempt, status (or why there was none), milliseconds, and
for each event its iid/identity, separated by commas.  A POST that was
malformed on purpose has "bad:KIND" instead of the attempt's number.

Exit codes: 0 all well, 1 the lists are not what was acknowledged, 2 the check
of the URL or an option failed, 3 POSTs remained undelivered.
"""

import argparse
import base64
import collections
import json
import os
import random
import re
import select
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.parse

MEDIA = ("email", "sms", "viber", "webpush", "mobilepush", "appinbox",
         "widget", "inapp", "telegram")
# What may follow a status, and how often, in one message's life.
NEXT = {
    "SENT": (("DELIVERED", 9), ("UNDELIVERED", 1)),
    "DELIVERED": (("READ", 6), ("UNSUBSCRIBED", 1), ("SPAM", 1), (None, 4)),
    "READ": (("CLICKED", 5), ("UNSUBSCRIBED", 1), ("SUBSCRIPTION_CHANGED", 1),
             (None, 3)),
    "CLICKED": (("CLICKED", 1), ("SUBSCRIPTION_CHANGED", 1), (None, 3)),
    "UNDELIVERED": ((None, 1),),
    "UNSUBSCRIBED": ((None, 1),),
    "SPAM": ((None, 1),),
    "SUBSCRIPTION_CHANGED": ((None, 1),),
}
FAILURES = ("5.1.2 (bad destination system: no such domain)", "401: null",
            "5.1.1 (bad destination mailbox address)", "NotRegistered",
            "\u0430\u0431\u043e\u043d\u0435\u043d\u0442 "
            "\u043d\u0435\u0434\u043e\u0441\u0442\u0443\u043f\u043d\u0438\u0439")


def uuid_of(rng):
    bits = f"{rng.getrandbits(128):032x}"
    return "-".join((bits[:8], bits[8:12], bits[12:16], bits[16:20], bits[20:]))


class Message:
    """One message to one contact; its statuses share its iid."""

    __slots__ = ("iid", "media", "status", "head", "tail")

    def __init__(self, rng, account, day):
        self.iid = uuid_of(rng)
        self.media = rng.choices(MEDIA, (40, 10, 10, 8, 12, 5, 5, 5, 5))[0]
        if self.media == "mobilepush":
            self.status = "SENT"
        else:
            self.status = "UNDELIVERED" if rng.random() < 0.05 else "DELIVERED"
        contact = rng.randrange(1, 5_000_000_000)
        phone = f"38095{rng.randrange(10**6, 10**7)}"
        bulk = rng.random() < 0.6
        head = {"broadcastId": rng.randrange(3_000_000, 4_000_000)} if bulk else {
            "workflowId": rng.randrange(300_000, 400_000),
            "workflowBlockId": f"_{rng.getrandbits(128):032x}",
            "sourceEventId": rng.randrange(10**9),
            "sourceEventKey": uuid_of(rng),
            "sourceEventTypeKey": rng.choice(("productViewed", "cartAbandoned",
                                              "orderCreated")),
            "workflowInstanceId": uuid_of(rng)}
        head.update(messageName=f"campaign {account}", iid=self.iid,
                    contactId=contact)
        if self.media == "email":
            head["email"] = f"contact{contact}@example.com"
            head["from"] = "\u041c\u0430\u0433\u0430\u0437\u0438\u043d"
        elif self.media in ("sms", "viber"):
            head[self.media] = phone
        elif self.media in ("mobilepush", "webpush"):
            head[self.media] = f"{rng.getrandbits(256):064x}"
            head["osName"] = rng.choice(("Android", "iOS", "Windows"))
            head["osType"] = rng.choice(("mobile", "desktop"))
        head["mediaType"] = (self.media.upper() if rng.random() < 0.1
                             else self.media)
        tail = {"messageId": rng.randrange(2_000_000, 4_000_000),
                "messageInstanceId": rng.randrange(4_000_000, 5_000_000)}
        if rng.random() < 0.3:
            tail["messageTag"] = "tag2,tag,test"
            tail["messageLanguageCode"] = rng.choice(("uk", "en", "de"))
        if self.media == "email":
            tail["viewMessageLink"] = f"https://u51739.example.com/{self.iid[:13]}"
        tail["statusData"] = {}
        dump = json.JSONEncoder(
            separators=(",", ":"),
            ensure_ascii=rng.random() < 0.5).encode
        self.head = dump(head)[:-1]
        self.tail = "," + dump(tail)[1:]

    def event(self, rng, identity, when):
        """The text of the event for the status at hand; then moves on."""
        status, extra = self.status, ""
        if status == "CLICKED":
            extra = (f',"clickEventLink":"https://shop.example.com/p/'
                     f'{rng.randrange(1000)}?utm_source={self.media}"')
        elif status == "UNDELIVERED":
            hard = "true" if rng.random() < 0.5 else "false"
            extra = (f',"hardBounce":{hard},"statusDescription":'
                     + json.dumps(rng.choice(FAILURES)))
        elif status == "SUBSCRIPTION_CHANGED":
            extra = ',"subscriptions":["news","sale"],"subscription":{}'
        names, weights = zip(*NEXT[status])
        self.status = rng.choices(names, weights)[0]
        return (f'{self.head},"externalCustomerId":"{identity}",'
                f'"activityStatus":"{status}","activityDateTime":"{when}"'
                f'{extra}{self.tail}')


class Stream:
    """The endless row of one account's POSTs; the seed decides all of it."""

    def __init__(self, options, account):
        self.rng = random.Random(f"{options.seed}/{account}")
        self.account = account
        self.run = options.run
        self.batch = options.batch
        self.bad_ratio = options.bad_ratio
        self.date = options.date
        self.live = collections.deque()
        self.number = 0
        self.post = 0

    def next(self):
        rng = self.rng
        self.post += 1
        bad = (rng.choice(sorted(BAD)) if self.bad_ratio
               and rng.random() < self.bad_ratio else None)
        when = self.date or time.strftime("%Y-%m-%dT%H:%M:%S")
        texts, names = [], []
        for _ in range(rng.randint(*self.batch)):
            if self.live and rng.random() < 0.6:
                message = self.live.popleft()
            else:
                message = Message(rng, self.account, when)
            self.number += 1
            name = f"{self.run}-{self.account}-{self.number}"
            if bad:
                name = "bad-" + name
            texts.append(message.event(rng, name, when))
            names.append(f"{message.iid}/{name}")
            if message.status and len(self.live) < 1000:
                self.live.append(message)
        if bad:
            return bad, BAD[bad](texts), names
        return None, ("[" + ",".join(texts) + "]").encode(), names


# What is wrong with a payload, and how to make it so from sound events.
BAD = {
    "empty": lambda t: b"",
    "text": lambda t: b"status=DELIVERED&contactId=1",
    "object": lambda t: t[0].encode(),
    "truncated": lambda t: ("[" + ",".join(t))[:-7].encode(),
    "trailing": lambda t: ("[" + ",".join(t) + "]]").encode(),
    "element": lambda t: ("[" + ",".join(t) + ",7]").encode(),
    "status": lambda t: ("[" + ",".join(t[:-1] + [t[-1].replace(
        '"activityStatus":', '"activity":')]) + "]").encode(),
    "type": lambda t: ("[" + ",".join(t[:-1] + [re.sub(
        r'"contactId":(\d+)', r'"contactId":"\1"', t[-1])]) + "]").encode(),
    "twice": lambda t: ("[" + ",".join(t[:-1] + [t[-1][:-1]
        + ',"activityStatus":"READ"}']) + "]").encode(),
    "deep": lambda t: ("[" + t[0][:-1] + ',"x":' + "[" * 200 + "]" * 200
                       + "}]").encode(),
    "utf8": lambda t: ("[" + ",".join(t) + "]").encode().replace(
        b"campaign", b"campaign\xc0\xaf", 1),
}


class NoAnswer(Exception):
    """The outcome of a POST is unknown (or it was never sent)."""


class Connection:
    """HTTP/1.1 with keep-alive, just enough of it to be quick."""

    def __init__(self, options):
        self.url = options.target
        self.timeout = options.timeout
        self.context = options.context
        self.head = options.head
        self.socket = None
        self.rest = b""

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket, self.rest = None, b""

    def connect(self):
        try:
            self.socket = socket.create_connection(
                (self.url.hostname, self.url.port), self.timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is not None:
                self.socket = self.context.wrap_socket(
                    self.socket, server_hostname=self.url.hostname)
        except OSError as e:
            self.close()
            raise NoAnswer(f"connect:{reason(e)}") from None
        self.rest = b""

    def request(self, method, body=b""):
        """The status; NoAnswer when none came."""
        if self.socket is not None and self.ended():
            self.close()
        if self.socket is None:
            self.connect()
        head = f"{method} {self.head}"
        if method == "POST":
            head += ("Content-Type: application/json\r\n"
                     f"Content-Length: {len(body)}\r\n")
        try:
            self.socket.sendall(head.encode("latin-1") + b"\r\n" + body)
        except OSError as e:
            # A server may refuse before it has read all: look for its answer.
            error = f"send:{reason(e)}"
        else:
            error = None
        try:
            return self.response(method)
        except OSError as e:
            self.close()
            raise NoAnswer(error or f"receive:{reason(e)}") from None
        except (ValueError, IndexError):
            self.close()
            raise NoAnswer("receive:no HTTP") from None

    def ended(self):
        """An idle connection that the server has closed in the meantime."""
        # Nobody has asked for anything: what can be read is the end.  (With
        # TLS it may be a session ticket.)
        if self.context is not None:
            return False
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed")
        self.rest += data

    def line(self):
        while b"\n" not in self.rest:
            self.more()
        line, self.rest = self.rest.split(b"\n", 1)
        return line.rstrip(b"\r")

    def take(self, length):
        while len(self.rest) < length:
            self.more()
        self.rest = self.rest[length:]

    def response(self, method):
        status = 100
        while status < 200:
            version, code = self.line().split(b" ", 2)[:2]
            status = int(code)
            headers = {}
            while line := self.line():
                name, value = line.split(b":", 1)
                headers[name.lower()] = value.strip().lower()
        close = headers.get(b"connection") == b"close" or version == b"HTTP/1.0"
        if method == "HEAD" or status in (204, 304):
            pass
        elif headers.get(b"transfer-encoding") == b"chunked":
            while size := int(self.line().split(b";")[0], 16):
                self.take(size + 2)
            while self.line():
                pass
        elif b"content-length" in headers:
            self.take(int(headers[b"content-length"]))
        else:
            close = True
        if close:
            self.close()
        return status


def reason(error):
    if isinstance(error, TimeoutError):
        return "timeout"
    return re.sub(r"[\s,]+", "_", error.strerror or str(error))


class Log:
    """The oracle: written before the next thing is done, kept over a crash."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8") if path else None
        self.lock = threading.Lock()

    def write(self, account, post, attempt, status, seconds, names):
        if self.file is None:
            return
        line = (f"{time.time():.3f}\t{account}\t{post}\t{attempt}\t{status}\t"
                f"{seconds * 1000:.1f}\t{','.join(names)}\n")
        with self.lock:
            self.file.write(line)
            self.file.flush()


class Record:
    """What came of every event, from this run or read from a log."""

    def __init__(self):
        self.acknowledged = set()  # identities in POSTs answered 200
        self.failures = {}         # identity: attempts not answered 200

    def add(self, names, attempt, status):
        if attempt.startswith("bad:"):
            return
        identities = [n.rsplit("/", 1)[1] for n in names]
        if status == "200":
            self.acknowledged.update(identities)
        else:
            for identity in identities:
                self.failures[identity] = self.failures.get(identity, 0) + 1

    @classmethod
    def read(cls, path):
        record = cls()
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if not line.endswith("\n"):
                    break  # cut off by a crash
                _, _, _, attempt, status, _, names = line[:-1].split("\t")
                record.add(names.split(","), attempt, status)
        return record


class Sender(threading.Thread):
    """One account."""

    def __init__(self, options, account, record, log, stop):
        super().__init__(daemon=True)
        self.options, self.account = options, account
        self.record, self.log, self.stop = record, log, stop
        self.stream = Stream(options, account)
        self.connection = Connection(options)
        self.statuses = collections.Counter()
        self.posts = self.events = self.delivered = self.bad = 0
        self.waiting = self.undelivered = 0
        self.longest = 0.0
        self.complete = False  # a thread that dies says so on stderr only

    def run(self):
        o = self.options
        interval = o.accounts / o.rate if o.rate else 0.0
        begin = due = time.monotonic() + interval * self.account / o.accounts
        while not self.stop.is_set() and not self.undelivered:
            if o.count and self.posts >= self.share():
                break
            if o.duration and time.monotonic() - begin >= o.duration:
                break
            if interval:
                if self.stop.wait(max(0.0, due - time.monotonic())):
                    break
                due += interval
            bad, body, names = self.stream.next()
            self.posts += 1
            if bad:
                self.send_bad(bad, body, names)
            else:
                self.send(body, names)
        self.connection.close()
        self.complete = True

    def share(self):
        each, rest = divmod(self.options.count, self.options.accounts)
        return each + (self.account < rest)

    def attempt(self, body):
        begin = time.monotonic()
        try:
            status = str(self.connection.request("POST", body))
        except NoAnswer as e:
            status = str(e)
        seconds = time.monotonic() - begin
        self.longest = max(self.longest, seconds)
        self.statuses[status] += 1
        return status, seconds

    def send(self, body, names):
        o = self.options
        self.events += len(names)
        wait, attempt, patience = 60.0, 0, None
        while True:
            attempt += 1
            status, seconds = self.attempt(body)
            self.log.write(self.account, self.stream.post, attempt, status,
                           seconds, names)
            if self.record is not None:
                self.record.add(names, str(attempt), status)
            if status == "200":
                self.delivered += len(names)
                self.waiting = 0
                return
            self.waiting = 1
            if o.max_attempts and attempt >= o.max_attempts:
                break
            # Asked to end, the sender keeps trying for a while: the oracle is
            # sharper when every outcome is known.
            if self.stop.wait(wait * o.time_scale):
                patience = patience or time.monotonic() + o.patience
                if time.monotonic() >= patience:
                    break
                time.sleep(min(wait * o.time_scale,
                               max(0.0, patience - time.monotonic())))
            wait = min(wait * 2, 3600.0)
        self.undelivered += 1
        self.waiting = 0

    def send_bad(self, bad, body, names):
        """Once, whatever the answer: it would hold back the rest for ever."""
        self.bad += 1
        status, seconds = self.attempt(body)
        self.log.write(self.account, self.stream.post, f"bad:{bad}", status,
                       seconds, names)


IDENTITY = re.compile(rb'"externalCustomerId":\s*"((?:bad-)?[^"\\-]+-\d+-\d+)"')


def read_key(client, key):
    """The elements of a list, or of a stream, in order, in pieces."""
    kind = client.type(key)
    if kind == b"stream":
        last = "-"
        while entries := client.xrange(key, last, "+", 1000):
            for entry, fields in entries:
                yield b" ".join(fields.values())
                last = b"(" + entry
    elif kind in (b"list", b"none"):
        at = 0
        while elements := client.lrange(key, at, at + 999):
            yield from elements
            at += 1000
    else:
        raise SystemExit(f"{key} is neither a list nor a stream")


def verify(record, url, keys, out):
    """Compares the lists with what was acknowledged; (faults, duplicates)."""
    try:
        import redis
    except ImportError:
        raise SystemExit("--verify needs python3-redis") from None
    client = redis.Redis.from_url(url.replace("redis+unix:", "unix:", 1))
    found = collections.Counter()
    bad = inversions = 0
    for key in keys:
        latest = {}
        for element in read_key(client, key):
            for identity in IDENTITY.findall(element):
                identity = identity.decode()
                if identity.startswith("bad-"):
                    bad += 1
                    continue
                if identity not in record.acknowledged \
                        and identity not in record.failures:
                    continue  # of another run
                found[identity] += 1
                if found[identity] > 1:
                    continue
                account, number = identity.rsplit("-", 2)[1:]
                if int(number) < latest.get(account, 0):
                    inversions += 1
                latest[account] = int(number)
    lost = [i for i in record.acknowledged if not found[i]]
    surplus = {i: n - 1 for i, n in found.items() if n > 1}
    # Only an attempt that was not answered 200 may have stored a copy.
    unexplained = [i for i, n in surplus.items()
                   if n > record.failures.get(i, 0)]
    unanswered = sum(1 for i in found if i not in record.acknowledged)
    print(f"verify: acknowledged {len(record.acknowledged)}, "
          f"found {sum(found.values())}, lost {len(lost)}, "
          f"duplicates {sum(surplus.values())} "
          f"(without a failed attempt {len(unexplained)}), "
          f"order inversions {inversions}, "
          f"stored without a 200 {unanswered}, malformed stored {bad}",
          file=out)
    for what, which in (("lost", lost), ("duplicate", unexplained)):
        for identity in sorted(which)[:10]:
            print(f"verify: {what}: {identity}", file=out)
    return len(lost) + len(unexplained) + inversions + bad, sum(surplus.values())


def batch(text):
    low, _, high = text.partition("-")
    try:
        low, high = int(low), int(high or low)
    except ValueError:
        low = high = 0
    if not 1 <= low <= high:
        raise argparse.ArgumentTypeError("expected N or MIN-MAX, at least 1")
    return low, high


def arguments():
    p = argparse.ArgumentParser(
        description="Sends webhooks as eSputnik does.",
        epilog="See the head of this file for the log and the exit codes.")
    p.add_argument("--url", help="where nginx takes the webhooks")
    p.add_argument("--accounts", type=int, default=1, metavar="N",
                   help="independent senders side by side (1)")
    p.add_argument("--rate", type=float, default=0, metavar="R",
                   help="POSTs per second, all accounts together (no limit)")
    p.add_argument("--count", type=int, default=0, metavar="N",
                   help="POSTs, all accounts together")
    p.add_argument("--duration", type=float, default=0, metavar="SECONDS",
                   help="begin no new POST after that time")
    p.add_argument("--batch", type=batch, default=(1, 10), metavar="MIN-MAX",
                   help="events in a POST (1-10)")
    p.add_argument("--basic", metavar="USER:PASSWORD")
    p.add_argument("--header", action="append", default=[], metavar="K:V",
                   help="up to 5 fixed headers")
    p.add_argument("--bad-ratio", type=float, default=0, metavar="RATIO",
                   help="share of malformed POSTs, 0 to 1")
    p.add_argument("--time-scale", type=float, default=1, metavar="F",
                   help="factor on the waits between attempts (1)")
    p.add_argument("--timeout", type=float, default=30, metavar="SECONDS",
                   help="for an answer (30)")
    p.add_argument("--max-attempts", type=int, default=0, metavar="N",
                   help="give up after N attempts of one POST (never)")
    p.add_argument("--patience", type=float, default=10, metavar="SECONDS",
                   help="how long a failing POST is repeated after an "
                        "interrupt (10)")
    p.add_argument("--seed", default="1", help="decides all payloads (1)")
    p.add_argument("--run", help="prefix of the identities (time and pid)")
    p.add_argument("--date", metavar="YYYY-MM-DDTHH:MM:SS",
                   help="activityDateTime of all events (now)")
    p.add_argument("--log", metavar="FILE", help="one line an attempt")
    p.add_argument("--insecure", action="store_true",
                   help="do not verify the server's certificate")
    p.add_argument("--no-check", action="store_true", help="no GET first")
    p.add_argument("--quiet", action="store_true", help="no progress line")
    p.add_argument("--verify", nargs="+", metavar=("REDIS_URL", "KEY"),
                   help="compare these lists or streams with what was "
                        "answered 200; without --url, with what the log says")
    p.add_argument("--no-duplicates", action="store_true",
                   help="for --verify: no duplicate is allowed at all")
    o = p.parse_args()

    if o.verify and len(o.verify) < 2:
        p.error("--verify needs a URL and at least one key")
    if not o.url:
        if not (o.verify and o.log):
            p.error("--url is missing (or --log and --verify)")
        return o
    if bool(o.count) == bool(o.duration):
        p.error("one of --count and --duration is needed")
    if len(o.header) > 5:
        p.error("the vendor sends at most 5 headers")
    if o.accounts < 1 or o.rate < 0 or o.count < 0 or o.duration < 0:
        p.error("numbers must not be negative, --accounts at least 1")

    target = urllib.parse.urlsplit(o.url)
    if target.scheme not in ("http", "https") or not target.hostname:
        p.error("--url must be http://HOST... or https://HOST...")
    tls = target.scheme == "https"
    if target.port is None:
        target = target._replace(
            netloc=f"{target.netloc}:{443 if tls else 80}")
    o.context = None
    if tls:
        o.context = ssl.create_default_context()
        if o.insecure:
            o.context.check_hostname = False
            o.context.verify_mode = ssl.CERT_NONE
    o.target = target

    path = urllib.parse.urlunsplit(("", "", target.path or "/", target.query, ""))
    lines = [f"{path} HTTP/1.1", f"Host: {target.netloc.rsplit('@')[-1]}",
             "User-Agent: esputnik-sender", "Accept: */*"]
    if o.basic:
        lines.append("Authorization: Basic "
                     + base64.b64encode(o.basic.encode()).decode())
    for header in o.header:
        name, colon, value = header.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) \
                or re.search(r"[\r\n\0]", value):
            p.error(f"--header {header}: expected NAME:VALUE")
        lines.append(f"{name}: {value.strip()}")
    o.head = "\r\n".join(lines) + "\r\n"
    o.run = o.run or f"{int(time.time()):x}.{os.getpid():x}"
    if not re.fullmatch(r"[0-9A-Za-z.]+", o.run):
        p.error("--run may have letters, digits and dots only")
    return o


def check(options):
    """The vendor's own check when a webhook is saved."""
    connection = Connection(options)
    try:
        status = connection.request("GET")
    except NoAnswer as e:
        status = str(e)
    connection.close()
    if status == 200:
        return True
    print(f"the check of {options.url} failed: GET was answered {status}",
          file=sys.stderr)
    return False


def progress(senders, begin, end):
    seconds = max(time.monotonic() - begin, 1e-9)
    posts = sum(s.posts for s in senders)
    attempts = sum(sum(s.statuses.values()) for s in senders)
    ok = sum(s.statuses["200"] for s in senders)
    held = sum(s.waiting for s in senders)
    print(f"{seconds:7.1f} s  {posts} POSTs  {posts / seconds:.0f}/s  "
          f"{sum(s.delivered for s in senders)} events delivered  "
          f"{attempts - ok} attempts not 200  {held} accounts held back   ",
          end=end, file=sys.stderr, flush=True)


def summary(senders, seconds, out):
    statuses = sum((s.statuses for s in senders), collections.Counter())
    bad = sum(s.bad for s in senders)
    posts = sum(s.posts for s in senders)
    print(f"sent: {posts} POSTs ({bad} malformed), "
          f"{sum(s.events for s in senders)} events, "
          f"{sum(s.delivered for s in senders)} delivered, "
          f"{seconds:.1f} s, {posts / seconds:.0f} POSTs/s, "
          f"slowest answer {max(s.longest for s in senders) * 1000:.0f} ms",
          file=out)
    print("answers: " + (", ".join(
        f"{status} {n}" for status, n in sorted(statuses.items())) or "none"),
        file=out)


def main():
    options = arguments()
    faults = duplicates = 0
    undelivered = 0
    if options.url:
        if not options.no_check and not check(options):
            return 2
        record = Record() if options.verify else None
        stop = threading.Event()
        log = Log(options.log)
        senders = [Sender(options, n, record, log, stop)
                   for n in range(options.accounts)]
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, lambda *_: stop.set())
        begin = time.monotonic()
        for sender in senders:
            sender.start()
        # A terminal sees the line move, a file gets one now and then.
        step, end = (0.5, "\r") if sys.stderr.isatty() else (10.0, "\n")
        while alive := [s for s in senders if s.is_alive()]:
            alive[0].join(step)
            if not options.quiet and alive[0].is_alive():
                progress(senders, begin, end)
        seconds = time.monotonic() - begin
        if not options.quiet:
            progress(senders, begin, "\n")
        summary(senders, seconds, sys.stdout)
        undelivered = sum(s.undelivered + (not s.complete) for s in senders)
        if undelivered:
            print(f"undelivered: {undelivered} POSTs")
    else:
        record = Record.read(options.log)
    if options.verify:
        faults, duplicates = verify(record, options.verify[0],
                                    options.verify[1:], sys.stdout)
    if faults or (options.no_duplicates and duplicates):
        return 1
    return 3 if undelivered else 0


if __name__ == "__main__":
    sys.exit(main())
