"""Bodies in the vendor's documented shape, with ids that vary.

The same call gives the same bytes on every machine: figures of two runs are of
the same payloads.

    payloads.py FOLDER N     writes bodies of N events into FOLDER
"""

import json
import os
import random
import sys

# One body would teach the branch predictor its bytes by heart: a load rotates
# through several.
BODIES = 16

STATUSES = ["DELIVERED"] * 10 + ["READ"] * 6 + ["CLICKED"] * 2 \
    + ["UNDELIVERED", "UNSUBSCRIBED"]
CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
NAMES = ["Spring sale", "Abandoned cart", "Order 2-day reminder",
         "Весняний розпродаж", "Weekly digest"]
TAGS = ["spring", "cart,trigger", "digest", "tag2,tag,test"]


def uuid(rng):
    h = "%032x" % rng.getrandbits(128)
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))


def word(rng, length):
    return "".join(rng.choice(CHARS) for _ in range(length))


def event(rng):
    status = rng.choice(STATUSES)
    contact = rng.randrange(10 ** 8, 4 * 10 ** 9)
    triggered = rng.random() < 0.3
    e = {"messageName": rng.choice(NAMES)}
    if triggered:
        e["workflowId"] = rng.randrange(10 ** 5, 10 ** 6)
        e["sourceEventTypeKey"] = "productViewed"
        e["workflowInstanceId"] = uuid(rng)
    else:
        e["broadcastId"] = rng.randrange(10 ** 6, 10 ** 7)
        e["messageTag"] = rng.choice(TAGS)
    if status == "UNDELIVERED":
        e["hardBounce"] = rng.random() < 0.5
    e["iid"] = uuid(rng)
    e["contactId"] = contact
    e["externalCustomerId"] = str(rng.randrange(10 ** 8, 10 ** 9))
    e["email"] = "contact%d@example.com" % contact
    e["mediaType"] = "email"
    e["activityStatus"] = status
    e["messageId"] = rng.randrange(10 ** 6, 10 ** 7)
    e["messageInstanceId"] = rng.randrange(10 ** 6, 10 ** 7)
    e["activityDateTime"] = "2023-09-%02dT%02d:%02d:%02d" % (
        rng.randrange(1, 31), rng.randrange(24), rng.randrange(60),
        rng.randrange(60))
    if status == "UNDELIVERED":
        e["statusDescription"] = \
            "5.1.2 (bad destination system: no such domain)"
    e["viewMessageLink"] = "https://u51739.example.com/" + word(rng, 18)
    if status == "CLICKED":
        e["clickEventLink"] = "https://shop.example.com/sale?utm_source=mail" \
            "&id=" + word(rng, 8)
    e["statusData"] = {}
    return e


def encode(e):
    return json.dumps(e, separators=(",", ":"), ensure_ascii=False).encode()


def bodies(events, count=None, seed=1):
    """count bodies of so many events each, as lists of encoded events."""
    if count is None:
        count = BODIES if events <= 100 else 4 if events <= 1000 else 1
    rng = random.Random("%d/%d" % (seed, events))
    return [[encode(event(rng)) for _ in range(events)] for _ in range(count)]


def body(events):
    return b"[" + b",".join(events) + b"]"


def write(folder, events):
    """Writes the bodies once; returns their paths."""
    folder = os.path.join(folder, str(events))
    os.makedirs(folder, exist_ok=True)
    paths = []
    for i, b in enumerate(bodies(events)):
        path = os.path.join(folder, "%02d.json" % i)
        with open(path, "wb") as f:
            f.write(body(b))
        paths.append(path)
    return paths


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    for p in write(sys.argv[1], int(sys.argv[2])):
        print(p, os.path.getsize(p))
