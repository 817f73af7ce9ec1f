# SPDX-License-Identifier: Apache-2.0
"""Healthy programs that others wrote, under load that changes: none of them has a problem, whatever moment memwhy looks at, from their
start on. For as long as it is told; each round has another length (10 s, 30 s, 60 s, 120 s). Prints each problem that was
said, and at the end what was said of each program. Exits 1 if there was one.

usage: healthy.py MEMWHY BUILD_DIR [SECONDS], as root (1800; tools/soak healthy)
"""
import collections
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from support import ROOT
from support.answers import check, problems
from support.driver import Case

ROUNDS = (10, 30, 60, 120)  # seconds that memwhy watches
PHASES = (("idle", 0), ("light", 20), ("heavy", 400), ("bursts", 2000))  # requests a second, to each program; 20 s each

PYTHON_SERVER = """
import collections, http.server, sys
cache = collections.OrderedDict()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        rows = cache.get(self.path) or [{'id': i, 'name': 'row %d' % i} for i in range(2000)]
        cache[self.path] = rows
        while len(cache) > 50: cache.popitem(last=False)
        body = repr(rows[:100]).encode()
        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *ignored): pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""
NODE_SERVER = """
const cache = new Map();
require('http').createServer((request, response) => {
  const rows = cache.get(request.url) || Array.from({ length: 2000 }, (_, id) => ({ id, name: `row ${id}` }));
  cache.set(request.url, rows);
  if (cache.size > 50) cache.delete(cache.keys().next().value);
  response.end(JSON.stringify(rows.slice(0, 100)));
}).listen(+process.argv[1], '127.0.0.1');
"""
JAVA_SERVER = """
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.*;
import java.util.concurrent.Executors;
class Serve {
  static final Map<String, List<String>> cache = Collections.synchronizedMap(new LinkedHashMap<>() {
    protected boolean removeEldestEntry(Map.Entry<String, List<String>> eldest) { return size() > 50; }
  });
  public static void main(String[] a) throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(a[0])), 0);
    server.createContext("/", exchange -> {
      List<String> rows = new ArrayList<>();
      for (int i = 0; i < 2000; i++) rows.add("row " + i);
      cache.put(exchange.getRequestURI().toString(), rows);
      byte[] body = rows.subList(0, 100).toString().getBytes();
      exchange.sendResponseHeaders(200, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.setExecutor(Executors.newFixedThreadPool(8));
    server.start();
  }
}
"""


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def until_open(at):
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", at), timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Programs:
    """Each with its pid and one request of it: a function, called by one thread of its own."""

    def __init__(self, case):
        self.case, self.pids, self.requests = case, {}, {}
        for start in (self.redis, self.memcached, self.postgres, self.nginx, self.haproxy, self.node, self.python, self.java,
                      self.etcd, self.prometheus, self.go, self.busybox):
            start()

    def add(self, name, process, request, fill=0):
        """fill: requests that fill its cache. Until it is full it grows as a leak does, and nobody can tell them apart."""
        self.pids[name] = process if isinstance(process, int) else process.pid
        self.requests[name] = request
        for n in range(fill):
            request(n)

    def start(self, *command, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        return self.case.start(command, stderr=subprocess.DEVNULL, **options)

    def over_http(self, at, path=lambda n: f"/{n % 200}", body=lambda n: None):
        state = {}

        def request(n):
            link = state.get("link") or http.client.HTTPConnection("127.0.0.1", at, timeout=30)
            state["link"] = link
            try:
                data = body(n)
                link.request("POST" if data else "GET", path(n), body=data)
                link.getresponse().read()
            except (OSError, http.client.HTTPException):
                link.close()
                state.clear()
        return request

    def over_lines(self, at, text):
        state = {}

        def request(n):
            try:
                link = state.get("link") or socket.create_connection(("127.0.0.1", at), timeout=30)
                state["link"] = link
                link.sendall(text(n))
                link.recv(1 << 16)
            except OSError:
                state.clear()
        return request

    def redis(self):
        at = port()
        process = self.start("redis-server", "--port", at, "--save", "", "--daemonize", "no")
        until_open(at)
        value = b"x" * 2000
        self.add("redis", process, self.over_lines(at, lambda n: b"*3\r\n$3\r\nSET\r\n$5\r\n%05d\r\n$%d\r\n%s\r\n" % (n % 20000, len(value), value)),
                 fill=20000)

    def memcached(self):
        at = port()
        process = self.start("memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", at, "-m", 64)
        until_open(at)
        self.add("memcached", process, self.over_lines(at, lambda n: b"set k%05d 0 0 2000\r\n%s\r\n" % (n % 20000, b"y" * 2000)),
                 fill=20000)

    def postgres(self):
        tools = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        folder = self.case.folder / "postgres"
        folder.mkdir()
        shutil.chown(folder, "postgres")
        as_user = ("runuser", "-u", "postgres", "--")
        at = port()
        for command in ((tools / "initdb", "-D", folder / "data", "-A", "trust"),):
            subprocess.run([*as_user, *map(str, command)], check=True, stdout=subprocess.DEVNULL)
        server = self.start(*as_user, tools / "postgres", "-D", folder / "data", "-c", f"port={at}", "-c", "listen_addresses=127.0.0.1",
                            "-c", f"unix_socket_directories={folder}")
        until_open(at)
        link = ("-h", "127.0.0.1", "-p", str(at), "-U", "postgres")
        bench = str(tools / "pgbench")
        while subprocess.run([bench, *link, "-i", "-s", "5", "-q", "postgres"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL).returncode:
            time.sleep(0.2)
        client = self.start("psql", *link, "-qAt", "postgres", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def ask(text):
            client.stdin.write(text + "\n")
            client.stdin.flush()
            return client.stdout.readline().strip()
        backend = int(ask("select pg_backend_pid();"))
        self.add("postgres backend", backend, lambda n: ask(
            f"select count(*) from pgbench_accounts where aid between {n % 1000 * 100} and {n % 1000 * 100 + 500};"))
        del server

    def nginx(self):
        at = port()
        folder = self.case.folder / "nginx"
        folder.mkdir()
        (folder / "page").write_bytes(b"z" * 100000)
        (folder / "conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log /dev/null; events {{}} http {{ access_log off; "
            f"client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; "
            f"scgi_temp_path {folder}/s; server {{ listen 127.0.0.1:{at}; root {folder}; }} }}\n")
        process = self.start("nginx", "-c", folder / "conf")
        until_open(at)
        self.nginx_port = at
        self.add("nginx", process, self.over_http(at, path=lambda n: "/page"))

    def haproxy(self):
        at = port()
        conf = self.case.folder / "haproxy.cfg"
        conf.write_text("defaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n"
                        f"frontend f\n  bind 127.0.0.1:{at}\n  default_backend b\nbackend b\n  server s 127.0.0.1:{self.nginx_port}\n")
        process = self.start("haproxy", "-db", "-f", conf)
        until_open(at)
        self.add("haproxy", process, self.over_http(at, path=lambda n: "/page"))

    def node(self):
        at = port()
        process = self.start("node", "-e", NODE_SERVER, at)
        until_open(at)
        self.add("node", process, self.over_http(at))

    def python(self):
        at = port()
        process = self.start(sys.executable, "-c", PYTHON_SERVER, at)
        until_open(at)
        self.add("python", process, self.over_http(at))

    def java(self):
        at = port()
        (self.case.folder / "Serve.java").write_text(JAVA_SERVER)
        subprocess.run(["javac", "Serve.java"], cwd=self.case.folder, check=True)
        process = self.start("java", "-Xmx256m", "-cp", self.case.folder, "Serve", at)
        until_open(at)
        self.add("java", process, self.over_http(at))

    def etcd(self):
        at, peer = port(), port()
        process = self.start("etcd", "--data-dir", self.case.folder / "etcd", "--listen-client-urls", f"http://127.0.0.1:{at}",
                             "--advertise-client-urls", f"http://127.0.0.1:{at}", "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                             "--enable-v2=false", "--auto-compaction-retention", "1m")
        until_open(at)
        self.add("etcd", process, self.over_http(at, path=lambda n: "/v3/kv/range", body=lambda n: '{"key": "a2V5"}'))

    def prometheus(self):
        at = port()
        conf = self.case.folder / "prometheus.yml"
        conf.write_text(f"scrape_configs:\n- job_name: self\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['127.0.0.1:{at}']\n")
        process = self.start("prometheus", f"--config.file={conf}", f"--storage.tsdb.path={self.case.folder}/prometheus",
                             f"--web.listen-address=127.0.0.1:{at}")
        until_open(at)
        self.add("prometheus", process, self.over_http(at, path=lambda n: "/api/v1/query?query=up"))

    def go(self):
        service = self.case.race_service("go1.27.3", race=False)
        at = int(service.url.rpartition(":")[2])
        self.add("Go service", service.pid, self.over_http(at, path=lambda n: "/query" if n % 2 else "/parse?bad=5"))

    def busybox(self):
        at = port()
        process = self.start("busybox", "httpd", "-f", "-p", f"127.0.0.1:{at}", "-h", ROOT)
        until_open(at)
        self.add("busybox httpd", process, self.over_http(at, path=lambda n: "/README.md"))


def load(request, rate, stop):
    """Requests of one program for as long as it goes on; rate()[0] of them a second, in bursts where that is so."""
    n = 0
    while not stop.is_set():
        wanted, bursts = rate()
        if wanted == 0:
            stop.wait(0.5)
            continue
        begun = time.monotonic()
        share = wanted // 10 or 1
        for _ in range(share * (10 if bursts else 1)):
            request(n)
            n += 1
            if stop.is_set():
                return
        stop.wait(max(0.0, (3.0 if bursts else 0.1) - (time.monotonic() - begun)))


def watch(case, programs, seconds, said):
    """One look at all of them at once. Returns the problems, as texts."""
    pids = [word for pid in programs.pids.values() for word in ("-p", pid)]
    done = subprocess.run([case.program, "explain", *map(str, pids), "-d", f"{seconds}s", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = {pid: name for name, pid in programs.pids.items()}
    wrong = []
    for process in check(json.loads(done.stdout))["processes"]:
        name = names.get(process["pid"], process["comm"])
        said[name][process["verdict"]["is"]] += 1
        wrong += [f"{name}, {seconds} s: {each['id']}: {each['claim']}" for each in problems(process)]
    assert {p["pid"] for p in json.loads(done.stdout)["processes"]} >= set(programs.pids.values()), "a program is missing"
    return wrong


def main():
    memwhy, build, amount = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1800
    said = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory(prefix="memwhy-healthy-") as folder:
        os.chmod(folder, 0o755)
        case, stop, wrong, rounds = Case(memwhy, build, folder), threading.Event(), [], 0
        try:
            programs = Programs(case)
            begun = time.monotonic()

            def rate():
                name, wanted = PHASES[int((time.monotonic() - begun) / 20) % len(PHASES)]
                return wanted, name == "bursts"
            threads = [threading.Thread(target=load, args=(request, rate, stop), daemon=True) for request in programs.requests.values()]
            for thread in threads:
                thread.start()
            while time.monotonic() - begun < amount:
                some = watch(case, programs, ROUNDS[rounds % len(ROUNDS)], said)
                rounds += 1
                for line in some:
                    print("PROBLEM", line, flush=True)
                wrong += some
            minutes = (time.monotonic() - begun) / 60
        finally:
            stop.set()
            case.end()
    for name, verdicts in said.items():
        print(f"{name}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    print(f"healthy: {len(wrong)} false problems of {len(said)} programs in {rounds} looks, {minutes:.0f} min")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
