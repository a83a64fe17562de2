"""One queue over a cluster: CPU an event with 1, 3 and 6 masters, and how even
the shards are.  All masters share the loader's core, so rates say nothing."""

import time

import load
import payloads
import servers
from report import number, table
from servers import Failed

MASTERS = (1, 3, 6)
SHARDS = 64
SLOTS = 16384
LOADS = (1, 100)
QUEUED = 200000
CONTACTS = 20000


class Cluster:
    """What load.one_round() asks of a Redis, asked of all masters."""

    def __init__(self, port, count):
        self.nodes = []
        try:
            for i in range(count):
                self.nodes.append(servers.Redis(
                    port=port + i, name="cluster-%d-%d" % (count, i),
                    extra=["--cluster-enabled", "yes", "--cluster-port",
                           str(port + 50 + i)]))
            for i, node in enumerate(self.nodes):
                node.command("CLUSTER", "ADDSLOTSRANGE", SLOTS * i // count,
                             SLOTS * (i + 1) // count - 1)
                node.command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
                self.nodes[0].command("CLUSTER", "MEET", "127.0.0.1",
                                      node.port, port + 50 + i)
            self.settle()
        except Exception:
            self.stop()
            raise
        self.port = port

    def settle(self):
        end = time.time() + 30
        while time.time() < end:
            infos = [n.command("CLUSTER", "INFO").decode() for n in self.nodes]
            if all("cluster_state:ok" in i and "cluster_known_nodes:%d\r\n"
                   % len(self.nodes) in i for i in infos):
                return
            time.sleep(0.1)
        raise Failed("the cluster does not come up")

    def stop(self):
        for n in self.nodes:
            n.stop()

    def cpu(self):
        return sum(n.cpu() for n in self.nodes)

    def command(self, *args):
        if args[0] != "DEL":
            raise Failed("only the lists are to be emptied")
        for n in self.nodes:
            n.command("FLUSHALL")

    def lengths(self):
        """[[length of each list] of each master]"""
        return [[n.command("LLEN", k) for k in n.command("KEYS", "*")]
                for n in self.nodes]

    def settled_length(self, key, pids):
        last, rest = -1, 0
        while rest < 3:
            self.last = self.lengths()
            n = sum(map(sum, self.last))
            rest = rest + 1 if n == last and all(map(servers.asleep, pids)) \
                else 0
            last = n
            time.sleep(0.03)
        return last


class Sharded(servers.Module):
    name = "sharded"
    key = "bench:events"
    location = "esputnik_pass events;\n" \
               "            esputnik_shards %d;\n" \
               "            esputnik_key " \
               "\"%%(key)s:{$esputnik_shard}\";" % SHARDS

    def __init__(self, port, cluster, **more):
        self.http = "esputnik_redis events { cluster on; server %s; }" \
            % " ".join("127.0.0.1:%d" % n.port for n in cluster.nodes)
        super().__init__(port, cluster, **more)


class OneByOne(servers.Module):
    """The same shards on a Redis without a cluster."""

    name = "shards"
    location = "esputnik_pass redis://127.0.0.1:%(redis)d/0;\n" \
               "            esputnik_shards {};\n" \
               "            esputnik_key " \
               "\"%(key)s:{{$esputnik_shard}}\";"
    location = location.replace("{}", str(SHARDS)) \
        .replace("{{", "{").replace("}}", "}")


class Alone(Cluster):
    """A Redis that is no cluster."""

    def __init__(self, port):
        self.nodes = [servers.Redis(port=port, name="redis-alone")]
        self.port = port


def memory_an_event(redis):
    """Bytes of Redis for one event that waits in a list."""
    events = [e for b in payloads.bodies(100) for e in b]
    before = redis.command("INFO", "memory").decode()
    for i in range(0, QUEUED, 100):
        redis.command("RPUSH", "bench:memory",
                      *[events[(i + j) % len(events)] for j in range(100)])
    after = redis.command("INFO", "memory").decode()

    def used(text):
        return int(text.split("used_memory:")[1].split("\r")[0])
    redis.command("DEL", "bench:memory")
    return {"bytes": (used(after) - used(before)) / QUEUED,
            "event": sum(map(len, events)) / len(events)}


def spread(redis, server):
    """Least and most of the mean, on a list and on a master, when as many
    contacts have an event each."""
    redis.command("DEL", server.key)
    for body in payloads.bodies(1000, CONTACTS // 1000):
        status, text = server.post(payloads.body(body))
        if status != 200:
            raise Failed("%s: %s" % (server.name, text.decode()))
    if redis.settled_length(server.key, server.pids) != CONTACTS:
        raise Failed("%s has not stored all" % server.name)

    def parts(counts):
        mean = sum(counts) / len(counts)
        return min(counts) / mean, max(counts) / mean
    lists = [n for node in redis.last for n in node]
    return {"lists": len(lists), "list": parts(lists),
            "node": parts([sum(node) for node in redis.last])}


def run(args):
    rounds = args.rounds or (1 if args.quick else 3)
    seconds = args.seconds or (1 if args.quick else 3)
    cases, spreads = {}, {}
    try:
        alone = Alone(servers.PORT + 200)
        memory = memory_an_event(alone.nodes[0])
        cases["one list"] = (alone, servers.Module(servers.PORT + 211, alone))
        cases["%d lists" % SHARDS] = (
            alone, OneByOne(servers.PORT + 212, alone, folder="shards"))
        for i, n in enumerate(MASTERS):
            cluster = Cluster(servers.PORT + 220 + 100 * i, n)
            cases["%d master%s" % (n, "s" if n > 1 else "")] = (
                cluster, Sharded(servers.PORT + 213 + i, cluster,
                                 folder="sharded-%d" % n))
        figures = {(name, e): [] for name in cases for e in LOADS}
        for name, (redis, server) in cases.items():
            spreads[name] = spread(redis, server)
        for _ in range(rounds):
            for e in LOADS:
                for name, (redis, server) in cases.items():
                    figures[name, e].append(load.one_round(
                        server, redis, e, 64, seconds))
    finally:
        for redis, server in cases.values():
            server.stop()
        for redis in {id(r): r for r, _ in cases.values()}.values():
            redis.stop()

    rows = []
    for (name, e), taken in figures.items():
        m = load.medians(taken)
        rows.append(dict(spreads[name], name=name, events=e,
                         cpu=m["cpu"] / e, redis_cpu=m["redis_cpu"] / e))
    text = table(
        ["", "events a POST", "CPU µs/event", "Redis µs/event", "lists",
         "least and most on a list", "on a master"],
        [[r["name"], str(r["events"]), number(r["cpu"]),
          number(r["redis_cpu"]), str(r["lists"]),
          "%.2f to %.2f" % r["list"], "%.2f to %.2f" % r["node"]]
         for r in rows])
    text += "\n\n64 connections; the last two columns are parts of the mean, " \
            "of %s contacts with an event each.\n\nAn event of %.0f bytes in a list takes %.0f " \
            "bytes of Redis' memory." \
            % ("{:,}".format(CONTACTS), memory["event"], memory["bytes"])
    return {"text": text, "rows": rows, "memory": memory}
