# SPDX-License-Identifier: Apache-2.0
"""Many nodes: three agents, each for a program of its own, scraped by a real Prometheus with the rules that are given away. Every query
of the dashboard has an answer there, and one answers which cause costs the most bytes over all nodes. And the recordings of three
hosts in DuckDB, by the SQL that is given away. tools/packaging/fleet has all of it.

    agent 1: c-heap, 100 MiB freed ─┐                           ┌─ rules ─► ALERTS
    agent 2: causes, 80 MiB stacks ─┼─ /metrics ─► Prometheus ──┼─ each query of dashboard.json
    agent 3: quiet, 64 MiB in use  ─┘       ▲                   └─ topk(1, …)
    MADE_UP: what these three do not have ──┘ (a heap profile, a limit, kills)"""
import contextlib
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading

from support import MIB, ROOT, absent
from support.answers import problems
from support.prometheus import FLEET, Prometheus, fetched, free_ports, until

sys.path.insert(0, str(ROOT / "tests"))
from readers import packages  # noqa: E402

STACKS = 40 * 2 * MIB  # causes.c
QUIET = f"import sys; b = bytearray({64 * MIB}); b[::4096] = b'x' * len(b[::4096]); print('ready', flush=True); sys.stdin.read()"
MADE_UP = {  # {metric and labels: value at a scrape}
    'memwhy_heap_profile_bytes{unit="made-up"}': lambda n: 8 * MIB,
    'memwhy_gap_bytes{unit="made-up"}': lambda n: 100 * MIB,
    'memwhy_unit_cgroup_usage_bytes{unit="made-up"}': lambda n: (50 + n) * MIB,
    'memwhy_unit_cgroup_limit_bytes{unit="made-up"}': lambda n: 1000 * MIB,
    'memwhy_oom_kills_total{unit="made-up"}': lambda n: 1 + n // 3,
    'memwhy_recordings_closed_total{unit="made-up",trigger="oom-kill"}': lambda n: 1 + n // 3,
}


class Exporter(http.server.BaseHTTPRequestHandler):
    scrapes = 0

    def do_GET(self):
        Exporter.scrapes += 1
        text = "".join(f"{name} {value(Exporter.scrapes)}\n" for name, value in MADE_UP.items()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def exporter():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def happened(case, program, *arguments):
    """A workload of which a line on its stdin makes happen what it is for."""
    process = case.start([program, *arguments], stdin=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    return process


def workloads(case):
    """{name of the program: its process}"""
    heap = case.start([case.build / "workloads/c_heap", "freed", 100], stdin=subprocess.PIPE)
    quiet = case.folder / "quiet"
    quiet.symlink_to(shutil.which("python3"))
    still = case.start([quiet, "-c", QUIET], stdin=subprocess.PIPE)
    assert heap.stdout.readline() == still.stdout.readline() == "ready\n"
    return {"c-heap": heap, "causes": happened(case, case.build / "workloads/causes", "deep"), "quiet": still}


def agent(case, comm, port):
    return case.start([case.program, "agent", "--dir", case.folder / f"agent-{comm}", "--socket", case.folder / f"{comm}.sock", "--comm", comm,
                       "--listen", f"127.0.0.1:{port}", "--window", "5s", "--budget", "20%"], stderr=subprocess.DEVNULL)


def test_rules(case):
    """promtool takes them, and each alert fires for what it should and for nothing else."""
    if shutil.which("promtool") is None:
        absent("promtool (prometheus) is not installed")
    for command in (["check", "rules", "memwhy.rules.yml"], ["check", "config", "prometheus.yml"], ["test", "rules", "memwhy.rules.test.yml"]):
        done = subprocess.run(["promtool", *command], cwd=FLEET, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    alerts = set(re.findall(r"alert: (\w+)", (FLEET / "memwhy.rules.yml").read_text()))
    tested = set(re.findall(r"\b(Memwhy\w+)", (FLEET / "memwhy.rules.test.yml").read_text()))
    assert alerts == tested, f"alerts without a test: {alerts - tested}"


def dashboard_queries():
    """[(title, query)] with the variables as they are when all is chosen."""
    chosen = {"$instance": ".*", "$unit": ".*", "$__rate_interval": "5s", "$__range": "1m"}
    found = []
    dashboard = json.loads((FLEET / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in chosen.items():
                query = query.replace(name, value)
            assert "$" not in query, f"{panel['title']}: a variable that the test does not know: {query}"
            found.append((panel["title"], query))
    assert len(found) > 20
    return found


def test_three_agents(case):
    running = workloads(case)
    ports = free_ports(3)
    agents = [agent(case, comm, port) for comm, port in zip(running, ports)]
    with exporter() as made_up:
        prometheus = Prometheus(case, [*ports, made_up])
        everything = [*agents, *running.values(), prometheus.process]

        # Which cause costs the most bytes over all nodes?
        causes = lambda: dict((labels["cause"], value) for labels, value in prometheus.query("sum by (cause) (memwhy_finding_bytes)"))
        until(lambda: causes().keys() >= {"c-heap-free", "thread-stacks"}, "both problems in Prometheus", *everything)
        [(labels, value)] = prometheus.query("topk(1, sum by (cause) (memwhy_finding_bytes))")
        assert labels == {"cause": "c-heap-free"} and abs(value - 100 * MIB) < 10 * MIB, (labels, value)
        assert abs(causes()["thread-stacks"] - STACKS) < 0.1 * STACKS, causes()
        assert set(causes()) == {"c-heap-free", "thread-stacks"}, causes()

        # Two alerts of a problem, none for the quiet one; the made-up kill is one with a recording.
        wanted = {("MemwhyProblem", "c-heap"), ("MemwhyProblem", "causes"), ("MemwhyOomKillExplained", "made-up")}
        until(lambda: prometheus.firing() >= wanted, f"{wanted} firing", *everything)
        firing = prometheus.firing()
        assert {unit for _, unit in firing} & {"quiet"} == set(), firing
        assert {alert for alert, unit in firing if unit in running} == {"MemwhyProblem"}, firing

        # Every query of the dashboard, and every recording rule.
        queries = dashboard_queries() + [(name, name) for name in re.findall(r"record: (\S+)", (FLEET / "memwhy.rules.yml").read_text())]
        for title, query in queries:
            until(lambda: prometheus.query(query), f"an answer to {title}: {query}", *everything)

        # What a rule or a query names, an agent has.
        exposed = set(re.findall(r"^# TYPE (\w+)", fetched(f"http://127.0.0.1:{ports[0]}/metrics"), re.M))
        asked = (FLEET / "memwhy.rules.yml").read_text() + (FLEET / "dashboard.json").read_text()
        named = set(re.findall(r"(?<![:\w])memwhy_[a-z_]+", asked))
        assert named <= exposed, f"no agent has {named - exposed}"
        assert {name.split("{")[0] for name in MADE_UP} <= exposed
        # The owners of a unit sum to what was resident when it was explained, in Prometheus too.
        [(_, owners)] = until(lambda: prometheus.query('sum(memwhy_owner_bytes{unit="quiet"})'), "the quiet one explained", *everything)
        [(_, resident)] = prometheus.query('memwhy_unit_resident_bytes{unit="quiet", instance="127.0.0.1:%d"}' % ports[2])
        assert abs(owners - resident) < 2 * MIB, (owners, resident)


def statements():
    """{number or view: text} of recordings.sql"""
    text = (FLEET / "recordings.sql").read_text()
    text = re.sub(r"^-- (?!\d).*\n", "", text, flags=re.M)
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def test_recordings_of_many_nodes(case):
    """Three hosts (by name), two of them with a problem; one process is recorded twice, and counts once."""
    try:
        sys.path.insert(0, str(packages.wheels(case.build / "readers")))
    except packages.Unreachable as missing:
        absent(str(missing))
    import duckdb

    running = workloads(case)
    explained = {}
    for name, host, comm in (("old", "node1", "c-heap"), ("new", "node1", "c-heap"), ("b", "node2", "causes"), ("c", "node3", "quiet")):
        file = case.folder / f"{name}.memwhy"
        case.memwhy("record", "-p", running[comm].pid, "-d", "2s", "-o", file,
                    wrapper=["unshare", "--uts", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh", host])
        case.memwhy("export", "-f", "ndjson", file, "-o", case.folder / f"{name}.ndjson")
        explained[host] = case.explain(file)["processes"]
    database = duckdb.connect()
    database.execute(f"set file_search_path = '{case.folder}'")
    answers = [database.execute(statement).fetchall() for statement in statements()]
    causes, by_node, owners, programs, wrong = answers[4:]

    found = [(host, process["comm"], each) for host, processes in explained.items() for process in processes for each in problems(process)]
    assert {(host, each["id"]) for host, _, each in found} == {("node1", "c-heap-free"), ("node2", "thread-stacks")}
    assert causes == sorted(((each["id"], each["bytes"], each["recoverable_bytes"], 1, 1) for _, _, each in found), key=lambda row: -row[1])
    assert causes[0][0] == "c-heap-free" and abs(causes[0][1] - 100 * MIB) < 10 * MIB, causes
    assert [row[:4] for row in by_node] == [(host, comm, each["id"], each["bytes"]) for host, comm, each in
                                            sorted(found, key=lambda row: -row[2]["bytes"])]
    everything = [process for processes in explained.values() for process in processes]
    total = sum(process["rss"]["bytes"] for process in everything)
    assert sum(row[1] for row in owners) == sum(row[1] for row in programs) == total, (owners, programs)
    assert wrong == []
