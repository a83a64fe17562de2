"""The benchmark; tools/bench.sh says how it is called and makes ready what it
needs."""

import argparse
import json
import os
import sys

import servers
from servers import Failed


def parse_arguments(argv):
    p = argparse.ArgumentParser(prog="./build.sh bench")
    p.add_argument("what", nargs="?", default=None, choices=[
        "compare", "growth", "memory", "parse", "profile", "spool", "cluster",
        "check", "guard"])
    p.add_argument("--quick", action="store_true")
    p.add_argument("--long", action="store_true")
    p.add_argument("--rounds", type=int)
    p.add_argument("--seconds", type=int)
    p.add_argument("--only", default="floor,yajl,module,lua,node")
    p.add_argument("--record", action="store_true")
    p.add_argument("--write", action="store_true")
    p.add_argument("--events", type=int, action="append")
    args = p.parse_args(argv)
    args.only = args.only.split(",")
    for name in args.only:
        if name not in servers.CONTESTANTS:
            p.error("no contestant %r" % name)
    return args


def save(what, figures):
    """build/bench/results.json keeps the newest figures of each kind."""
    path = os.path.join(servers.OUT, "results.json")
    results = {}
    if os.path.exists(path):
        with open(path) as f:
            results = json.load(f)
    results[what] = figures
    results["machine"] = servers.machine()
    with open(path + ".new", "w") as f:
        json.dump(results, f, indent=1, sort_keys=True)
        f.write("\n")
    os.replace(path + ".new", path)
    return results


def main(argv):
    args = parse_arguments(argv)
    servers.raise_descriptor_limit()
    try:
        if args.record:
            import instructions
            instructions.record()
            return
        what = args.what
        if what is None and not args.write:
            what = "compare"
        if what == "guard":
            import instructions
            print(json.dumps(instructions.guard(args.events)))
            return
        if what == "check":
            import compare
            compare.check(args)
            return
        if what:
            module = __import__("parsing" if what == "parse"
                                else "profiling" if what == "profile"
                                else what)
            load = os.getloadavg()[0]
            figures = module.run(args)
            figures["load"] = load
            if args.quick:
                figures["quick"] = True
            results = save(what, figures)
            import report
            print(report.text(what, results))
        if args.write:
            import report
            report.write()
    except Failed as e:
        sys.exit("bench: %s" % e)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main(sys.argv[1:])
