"""The parser against a bare yajl pass (parse.cpp) and against simdjson
(simdjson.cpp); tools/bench.sh has compiled both."""

import json
import os
import subprocess

import payloads
import servers

EVENTS = (1, 4, 100, 10000)


def output(argv):
    r = subprocess.run(servers.pinned(servers.SERVER_CORE, argv),
                       stdout=subprocess.PIPE)
    if r.returncode:
        raise servers.Failed("%s ended with %d" % (argv[0], r.returncode))
    return r.stdout.decode()


def simdjson(variant):
    program = os.path.join(servers.OUT, "simdjson-" + variant)
    files = [payloads.write(os.path.join(servers.OUT, "payloads"), n)[0]
             for n in EVENTS]
    return [json.loads(line) for line in
            output([program] + files).splitlines()]


def run(args):
    return {
        "bare": output([os.path.join(servers.OUT, "parse"),
                        "1" if args.quick else "5"]),
        "rows": simdjson("baseline"), "native": simdjson("native"),
        "check": output([os.path.join(servers.OUT, "simdjson-baseline"),
                         "--check"]),
    }
