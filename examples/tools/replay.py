#!/usr/bin/python3
"""Sends what lies in the quarantine once more, through nginx and its checks.

An element goes to KEY:replaying, is sent, and is removed when nginx has answered
200; whatever interrupts that, the next run goes on with what lies there. What is
still malformed comes to the quarantine anew, at its end. An event, or a single
object, is sent as an array of one; a body that was kept as a whole is sent as it
is. Needs python3-redis.
"""

import argparse
import json
import subprocess
import sys
import urllib.error
import urllib.request

import redis


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--url", required=True, help="of the location, https://…")
    p.add_argument("--redis", default="redis://127.0.0.1:6379/0")
    p.add_argument("--key", default="esputnik:invalid")
    p.add_argument("--reason", help="only elements with this reason")
    p.add_argument("--fix", metavar="COMMAND",
                   help="what mends a payload: from its input to its output")
    p.add_argument("--header-file", metavar="FILE",
                   help="a line for each header, as 'X-Webhook-Token: …'")
    p.add_argument("--dry-run", action="store_true",
                   help="print what would be sent")
    return p.parse_args()


def body_of(payload, fix):
    if fix:
        payload = subprocess.run(fix, shell=True, input=payload, check=True,
                                 stdout=subprocess.PIPE).stdout
    try:
        if isinstance(json.loads(payload), dict):
            return b"[" + payload + b"]"
    except ValueError:
        pass
    return payload


def send(url, headers, body):
    request = urllib.request.Request(url, body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def headers_in(name):
    headers = {"Content-Type": "application/json"}
    if name:
        with open(name, encoding="ascii") as lines:
            for line in filter(str.strip, lines):
                key, value = line.split(":", 1)
                headers[key.strip()] = value.strip()
    return headers


def main():
    args = arguments()
    r = redis.Redis.from_url(args.redis)
    headers = headers_in(args.header_file)
    busy = args.key + ":replaying"
    total = {"sent": 0, "accepted": 0, "duplicates": 0, "quarantined": 0}

    # what an earlier run was interrupted at goes first
    while r.lmove(busy, args.key, "RIGHT", "LEFT"):
        pass

    for _ in range(r.llen(args.key)):
        element = r.lmove(args.key, busy, "LEFT", "RIGHT")
        if element is None:
            break
        head, payload = element.split(b"\n", 1)

        wanted = args.reason in (None, json.loads(head)["reason"])
        if wanted:
            body = body_of(payload, args.fix)
        if wanted and not args.dry_run:
            answer = send(args.url, headers, body)
            r.lrem(busy, 1, element)
            total["sent"] += 1
            for name in ("accepted", "duplicates", "quarantined"):
                total[name] += answer.get(name, 0)
            continue

        if wanted:
            sys.stdout.buffer.write(body + b"\n")
        r.lmove(busy, args.key, "RIGHT", "RIGHT")

    if not args.dry_run:
        print("{sent} sent: {accepted} accepted, {duplicates} duplicates, "
              "{quarantined} in the quarantine again".format(**total))


try:
    main()
except (urllib.error.URLError, subprocess.CalledProcessError,
        redis.RedisError) as e:
    sys.exit(f"replay.py: {e}; the rest is where it was, run it again")
