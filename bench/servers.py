"""The programs under test: Redis, nginx with one module or another, Node.

Each runs in its own folder under build/bench/run, on its own port, pinned to a
core; each is ended by its own process id.
"""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time

BENCH = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(BENCH)
OUT = os.path.join(ROOT, "build", "bench")
RUN = os.path.join(OUT, "run")
MODULE = os.environ.get("BENCH_MODULE") \
    or os.path.join(ROOT, "build", "ngx_esputnik_module.so")
FLOOR = os.environ.get("BENCH_FLOOR") \
    or os.path.join(OUT, "nginx", "objs", "ngx_http_floor_module.so")
NGINX = os.environ.get("TEST_NGINX_BINARY") or shutil.which("nginx") \
    or "/usr/sbin/nginx"
PEERS = os.path.join(BENCH, "peers")
DEBIAN_MODULES = "/usr/lib/nginx/modules"

PORT = int(os.environ.get("BENCH_PORT", "22000"))

# The server under test has a core of its own; the loader and Redis share the
# next one.
SERVER_CORE, LOAD_CORE = 0, 1


class Failed(Exception):
    """Something that makes the figures worthless."""


def raise_descriptor_limit(wanted=20000):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def pinned(core, argv):
    return ["taskset", "-c", str(core)] + argv


def cpu_ns(pid):
    """CPU time of all threads, in nanoseconds (/proc/PID/stat has ticks of
    10 ms only)."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
            total += int(f.read().split()[0])
    return total


def asleep(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rpartition(")")[2].split()[0] == "S"


def rss_kb(pid, what="VmRSS"):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith(what + ":"):
                return int(line.split()[1])
    raise Failed("no %s of %d" % (what, pid))


def wait_for_port(port, process, seconds=10):
    end = time.time() + seconds
    while time.time() < end:
        if process.poll() is not None:
            raise Failed("%s ended with %s" % (process.args[-1],
                                               process.returncode))
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Failed("nothing listens on port %d" % port)


def fresh_folder(name):
    folder = os.path.join(RUN, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


class Process:
    """A child that is ended with the object."""

    process = None

    def start(self, argv, folder, env=None):
        self.log = os.path.join(folder, "output.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=dict(os.environ, **env) if env else None)

    def stop(self, sig=signal.SIGTERM, seconds=20):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(sig)
            end = time.time() + seconds
            while time.time() < end:
                try:
                    self.process.wait(0.5)
                    break
                except subprocess.TimeoutExpired:
                    self.poke()
            else:
                self.process.kill()
                self.process.wait()
                raise Failed("%s did not stop" % self.process.args[-1])
        self.process = None

    def poke(self):
        """A signal that comes between two waits of an nginx without a master
        is seen after the next event only."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            pass


class Redis(Process):
    def __init__(self, port=PORT, core=LOAD_CORE, name="redis", extra=()):
        self.port = port
        self.folder = fresh_folder(name)
        argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1",
                "--save", "", "--appendonly", "no", "--dir", self.folder,
                "--maxmemory-policy", "noeviction"] + list(extra)
        self.start(pinned(core, argv), self.folder)
        wait_for_port(port, self.process)
        self.pid = self.process.pid
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.file = self.socket.makefile("rb")

    def cpu(self):
        return cpu_ns(self.pid)

    def command(self, *args):
        out = [b"*%d\r\n" % len(args)]
        for a in args:
            a = a if isinstance(a, bytes) else str(a).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(a), a))
        self.socket.sendall(b"".join(out))
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line:
            raise Failed("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Failed("Redis: " + rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        n = int(rest)
        if n < 0:
            return None
        if kind == b"$":
            return self.file.read(n + 2)[:-2]
        return [self.reply() for _ in range(n)]

    def settled_length(self, key, pids):
        """The list's length once those who fill it have come to rest: a
        process that waits for a busy core has not."""
        last, rest = -1, 0
        while True:
            n = self.command("LLEN", key)
            rest = rest + 1 if n == last and all(map(asleep, pids)) else 0
            if rest == 3:
                return n
            last = n
            time.sleep(0.03)

    def append_only(self, on):
        self.command("CONFIG", "SET", "appendonly", "yes" if on else "no")
        while on and b"aof_rewrite_in_progress:1" in \
                self.command("INFO", "persistence"):
            time.sleep(0.02)


class Server(Process):
    """name, port, key (None: stores nothing), pid of what does the work."""

    key = None
    requests_seen = None
    versions = ()

    def post(self, body, connection=None):
        """(status, body) of one POST."""
        c = connection or socket.create_connection(("127.0.0.1", self.port),
                                                   30)
        try:
            c.sendall(b"POST / HTTP/1.1\r\nHost: bench\r\n"
                      b"Content-Type: application/json\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(body) + body)
            return read_answer(c)
        finally:
            if connection is None:
                c.close()


def read_answer(c):
    data = b""
    while b"\r\n\r\n" not in data:
        more = c.recv(65536)
        if not more:
            raise Failed("connection closed instead of an answer")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(rest) < length:
        more = c.recv(65536)
        if not more:
            raise Failed("connection closed within an answer")
        rest += more
    return int(head.split()[1]), rest


class Nginx(Server):
    """One nginx; the subclasses say what its location does."""

    modules = ()
    http = ""
    location = ""
    # Without it nginx writes a larger body to a file, which no contestant
    # shall have to; the module does not need it.
    body_buffer = "client_body_buffer_size 16m;"

    def __init__(self, port, redis=None, workers=1, single_process=False,
                 wrapper=(), env=None, extra="", folder=None):
        self.port = port
        self.redis = redis
        self.extra = extra
        self.folder = fresh_folder(folder or self.name)
        for m in self.modules:
            if not os.path.exists(m):
                raise Failed("%s is not there: %s" % (self.name, m))
        conf = os.path.join(self.folder, "nginx.conf")
        with open(conf, "w") as f:
            f.write(self.configuration(workers, single_process))
        self.start(list(wrapper) + [NGINX, "-p", self.folder, "-c", conf,
                                    "-e", "error.log"], self.folder, env)
        wait_for_port(port, self.process, 60 if wrapper else 10)
        self.pids = [self.process.pid] if single_process \
            else self.workers(workers)
        self.pid = self.pids[0]

    def workers(self, count):
        master = self.process.pid
        for _ in range(250):
            with open("/proc/%d/task/%d/children" % (master, master)) as f:
                pids = [int(p) for p in f.read().split()]
            if len(pids) == count:
                return pids
            time.sleep(0.02)
        raise Failed("%s has no worker" % self.name)

    def configuration(self, workers, single_process):
        fill = {"bench": BENCH, "peers": PEERS, "port": self.port,
                "key": self.key,
                "redis": self.redis.port if self.redis else 0}
        return """\
%(load)s
daemon off;
%(processes)s
%(user)s
pid nginx.pid;
error_log error.log warn;
worker_rlimit_nofile 20000;
events { worker_connections 10000; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_max_body_size 16m;
    %(body_buffer)s
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    %(http)s
    server {
        listen 127.0.0.1:%(port)d backlog=8192;
        location = / {
            %(location)s
            %(extra)s
        }
        location = /stub_status { stub_status; }
    }
}
""" % {
            "load": "".join("load_module %s;\n" % m for m in self.modules),
            "processes": "master_process off;" if single_process else
            "worker_processes %d;\nworker_cpu_affinity %s;"
            % (workers, " ".join("10" if i % 2 else "01"
                                 for i in range(workers))),
            "user": "user root;" if os.geteuid() == 0 else "",
            "http": self.http % fill, "body_buffer": self.body_buffer, "location": self.location % fill,
            "extra": self.extra, "port": self.port}

    def requests_seen(self):
        """Requests begun so far, this one not counted."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as c:
            c.sendall(b"GET /stub_status HTTP/1.1\r\nHost: bench\r\n\r\n")
            status, text = read_answer(c)
        if status != 200:
            raise Failed("stub_status: %d" % status)
        return int(text.split(b"\n")[2].split()[2]) - 1

    def complaints(self):
        """Lines of the error log that a sound run does not have."""
        with open(os.path.join(self.folder, "error.log")) as f:
            return [line.strip() for line in f
                    if "[alert]" in line or "[crit]" in line
                    or "[emerg]" in line or "[error]" in line]


class Floor(Nginx):
    name = "floor"
    parses = False
    modules = (FLOOR,)
    location = "floor;"


class Yajl(Floor):
    """What no module can go below that parses with yajl."""

    name = "yajl"
    parses = True
    location = "floor yajl;"


class Module(Nginx):
    name = "module"
    key = "bench:module"
    body_buffer = ""
    modules = (MODULE,)
    location = "esputnik_pass redis://127.0.0.1:%(redis)d/0;\n" \
               "            esputnik_key %(key)s;"


class Lua(Nginx):
    name = "lua"
    key = "bench:lua"
    modules = (DEBIAN_MODULES + "/ndk_http_module.so",
               DEBIAN_MODULES + "/ngx_http_lua_module.so")
    http = """\
lua_package_path "%(peers)s/lua/?.lua;/usr/share/lua/5.1/?.lua;;";
    init_by_lua_block {
        require("webhook").init("%(peers)s/fields.json")
    }"""
    location = """\
content_by_lua_block {
                require("webhook").handle("127.0.0.1", %(redis)d, "%(key)s")
            }"""


class Node(Server):
    name = "node"
    key = "bench:node"
    packages = os.path.join(OUT, "npm")

    @classmethod
    def installed(cls):
        return os.path.exists(os.path.join(cls.packages, "installed.json"))

    def __init__(self, port, redis):
        self.port = port
        self.folder = fresh_folder(self.name)
        self.start(pinned(SERVER_CORE, [
            "node", os.path.join(PEERS, "node", "server.js"), str(port),
            str(redis.port), self.key, os.path.join(PEERS, "fields.json"),
            self.packages]), self.folder, {"NODE_ENV": "production"})
        wait_for_port(port, self.process)
        self.pid = self.process.pid
        self.pids = [self.pid]

    def complaints(self):
        with open(self.log) as f:
            return [line.strip() for line in f]


CONTESTANTS = {c.name: c for c in (Floor, Yajl, Module, Lua, Node)}


def package_version(name):
    r = subprocess.run(["dpkg-query", "-W", "-f=${Version}", name],
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return r.stdout.decode() if r.returncode == 0 else None


def npm_version(name):
    path = os.path.join(OUT, "npm", "node_modules", name, "package.json")
    if not os.path.exists(path):
        return None
    with open(path) as f:
        return json.load(f)["version"]


def machine():
    """What the figures were taken on."""
    model = "unknown"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    node = subprocess.run(["node", "--version"], stdout=subprocess.PIPE) \
        .stdout.decode().strip() if shutil.which("node") else None
    gcc = subprocess.run(["g++", "-dumpfullversion"], stdout=subprocess.PIPE) \
        .stdout.decode().strip()
    with open("/etc/os-release") as f:
        system = dict(line.rstrip().split("=", 1) for line in f if "=" in line)
    return {
        "cpu": model, "cores": os.cpu_count(),
        "system": system["PRETTY_NAME"].strip('"'),
        "kernel": os.uname().release.split("-")[0], "g++": gcc,
        "nginx": package_version("nginx"),
        "yajl": package_version("libyajl2"),
        "hiredis": package_version("libhiredis-dev"),
        "redis": package_version("redis-server"),
        "wrk": package_version("wrk"),
        "lua": package_version("libnginx-mod-http-lua"),
        "lua-nginx-redis": package_version("lua-nginx-redis"),
        "lua-cjson": package_version("lua-cjson"),
        "node": node, "fastify": npm_version("fastify"),
        "ioredis": npm_version("ioredis"),
    }
