"""Tables of the figures, for the terminal and for bench/README.md."""

import json
import os
import shutil

import servers

README = os.path.join(servers.BENCH, "README.md")


def number(x):
    if x is None:
        return ""
    if x >= 100:
        return "{:,.0f}".format(x)
    return "%.1f" % x if x >= 10 else "%.2f" % x


def duration(us):
    return "%s ms" % number(us / 1000) if us >= 10000 \
        else "%s µs" % "{:,.0f}".format(us)


def table(head, rows):
    """A Markdown table, its columns aligned for a terminal too."""
    rows = [head] + rows
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]

    def line(r):
        return "| " + " | ".join(
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(r, widths))) + " |"
    rule = "| " + " | ".join(
        "-" * w if i == 0 else "-" * (w - 1) + ":"
        for i, w in enumerate(widths)) + " |"
    return "\n".join([line(head), rule] + [line(r) for r in rows[1:]])


def ratio(a, b):
    return "%.2f x" % (a / b) if a and b else ""


def compare_text(f):
    parts = []
    for l in f["loads"]:
        by = l["servers"]
        cpu = {name: s["cpu"] for name, s in by.items()}
        best = {name: min(r["cpu"] for r in s["rounds"])
                for name, s in by.items()}
        rows = [[name, number(s["rate"]), duration(s["p50"]),
                 duration(s["p99"]), number(s["cpu"]),
                 ratio(s["cpu"], cpu.get("floor")),
                 ratio(s["cpu"], cpu.get("lua")), number(best[name]),
                 ratio(best[name], best.get("floor")),
                 number(s["redis_cpu"])
                 if servers.CONTESTANTS[name].key else "",
                 number(s["rss"])]
                for name, s in by.items()]
        parts.append("**%s**\n\n%s" % (l["name"], table(
            ["", "POSTs/s", "p50", "p99", "CPU µs/POST", "to floor", "to Lua",
             "best CPU", "to floor", "Redis µs/POST", "RSS MB"], rows)))
    parts.append("One Redis round trip (RPUSH of 450 bytes, one client that "
                 "waits, p50): %.0f µs. Medians of %d interleaved rounds of "
                 "%d s." % (f["redis_round_trip"], f["rounds"], f["seconds"]))
    return "\n\n".join(parts)


def machine_text(m):
    return ("%s, %d cores, %s, Linux %s; nginx %s, g++ %s -O2, yajl %s, "
            "hiredis %s, Redis %s; wrk %s; lua-nginx-module %s, "
            "lua-nginx-redis %s, lua-cjson %s; Node.js %s, Fastify %s, "
            "ioredis %s"
            % tuple(m[k] or "none" for k in (
                "cpu", "cores", "system", "kernel", "nginx", "g++", "yajl",
                "hiredis", "redis", "wrk", "lua", "lua-nginx-redis",
                "lua-cjson", "node", "fastify", "ioredis")))


def load_text(results):
    """What else the machine was doing when each measurement began."""
    return ". Load average before each: %s." % ", ".join(
        "%s %.1f" % (what, f["load"]) for what, f in sorted(results.items())
        if what != "machine")


def parse_text(f):
    rows = [["{:,}".format(r["events"]), "{:,}".format(r["bytes"]),
             number(r["yajl_us"]), number(r["simdjson_us"]),
             number(n["simdjson_us"]), number(r["bytes"] / r["yajl_us"]),
             number(r["bytes"] / r["simdjson_us"]),
             "%.2f x" % (r["yajl_us"] / r["simdjson_us"])]
            for r, n in zip(f["rows"], f["native"])]
    one, other = f["rows"][0], f["native"][0]
    return "```\n%s```\n\n%s\n\n%s" % (
        f["bare"],
        table(["events", "bytes", "parser µs", "simdjson µs",
               "-march=native µs", "parser MB/s", "simdjson MB/s", "gain"],
              rows),
        "The best of %d runs a body. simdjson picks its first pass at run "
        "time (here: %s), its walk at compile time (%s as Debian compiles, "
        "%s with -march=native).\n\n```\n%s```"
        % (one["runs"], one["stage1"], one["walk"], other["walk"],
           f["check"]))


def profile_text(f):
    rows = [[name] + [number(s.get(k)) for k in f["columns"]]
            for name, s in f["rows"].items()]
    out = table(["a POST of"] + f["columns"], rows)
    for name, calls in f["syscalls"].items():
        out += "\n\n%s: %s" % (name, ", ".join(
            "%s %.3f" % tuple(c) for c in calls))
    return out


def plain(f):
    return f["text"]


TEXTS = {"compare": compare_text, "parse": parse_text,
         "profile": profile_text}


def text(what, results):
    return TEXTS.get(what, plain)(results[what])


def write():
    """Puts each kind of figures between its markers in bench/README.md:
    <!-- figures: WHAT --> … <!-- end -->."""
    with open(os.path.join(servers.OUT, "results.json")) as f:
        results = json.load(f)
    quick = [w for w, f in results.items()
             if isinstance(f, dict) and f.get("quick")]
    if quick:
        raise servers.Failed("quick rounds are not written: %s"
                             % ", ".join(quick))
    with open(README) as f:
        readme = f.read()
    results["machine"] = servers.machine()
    for what in results:
        begin = "<!-- figures: %s -->\n" % what
        if begin not in readme:
            raise servers.Failed("bench/README.md has no place for %s" % what)
        before, rest = readme.split(begin)
        after = rest[rest.index("<!-- end -->"):]
        body = machine_text(results["machine"]) + load_text(results) \
            if what == "machine" else text(what, results)
        readme = before + begin + body + "\n" + after
        for svg in results[what].get("plots", []):
            shutil.copy(os.path.join(servers.OUT, svg), servers.BENCH)
    with open(README, "w") as f:
        f.write(readme)
    print("written: " + README)
