# SPDX-License-Identifier: Apache-2.0
"""The agent: what closes a ring, what it is told and asked, and clients that are slow. What is on its disk afterwards is explained as
any recording is. The node as a whole: test_node.py."""
import os
import signal
import socket
import sys

from support.agent import agent
from support.answers import problems
from support.cgroups import cgroup
from support.story import C_HEAP, as_named

QUIET = """
import sys, time
open("/proc/self/comm", "w").write("quiet")
held = bytearray(b"q" * (12 << 20))
print("ready", flush=True)
time.sleep(1000)
"""


def python(case, script):
    process = case.start([sys.executable, "-c", script])
    assert process.stdout.readline() == "ready\n"
    return process


def until_explained(case, node, unit, cause):
    """A recording of the unit whose first problem is this one. Every one that is looked at is whole."""
    right, looked_at = [], set()

    def look():
        for file in node.recordings(unit):
            if file in looked_at:
                continue
            looked_at.add(file)
            answer = case.explain(file)
            assert answer["coverage"]["recording"]["complete"] and answer["coverage"]["recording"]["damage"] == [], file
            assert os.stat(file).st_mode & 0o777 == 0o600, file
            if any(problems(process) and problems(process)[0]["id"] == cause for process in answer["processes"]):
                right.append(file)
        return right

    node.wait(look, f"a recording of {unit} that says {cause}")
    return right[0]


def test_the_victim_of_the_limit(case):
    """A container that outgrows its limit: its last moment is a recording that says so."""
    with cgroup(case, limit=100 << 20) as group, agent(case, comm=["outgrown"]) as node:
        process = group.start(case, as_named(case, case.build / "workloads/container", "outgrown"), "anon", 48)
        assert process.stdout.readline() == "ready\n"
        node.wait(lambda: node.is_recorded(process.pid), "it is recorded")
        process.stdin.write("80\n")
        process.stdin.flush()
        assert process.wait(timeout=100) == -signal.SIGKILL
        file = until_explained(case, node, "outgrown", "oom-kill")
        assert file.name.endswith("_oom-kill.memwhy") or len(node.recordings("outgrown", "oom-kill")) == 1
        assert sum(node.metric("memwhy_oom_kills_total", unit="outgrown").values()) == 1
        assert sum(node.metric("memwhy_triggers_total", trigger="oom-kill").values()) == 1


def test_a_crash_and_a_request(case):
    """SIGSEGV closes the ring, SIGTERM does not; an operator's request does, and says of whom it can't."""
    with agent(case, comm=["quiet"]) as node:
        process, other = python(case, QUIET), python(case, QUIET)
        node.wait(lambda: node.is_recorded(process.pid) and node.is_recorded(other.pid), "both are recorded")
        other.terminate()
        other.wait()
        assert "becomes a recording" in node.ask("trigger", process.pid)
        node.wait(lambda: node.recordings("quiet", "request"), "the recording that was asked for")
        assert f"pid {os.getpid()} is not recorded" in node.ask("trigger", os.getpid(), status=4)
        process.send_signal(signal.SIGSEGV)
        process.wait()
        node.wait(lambda: node.recordings("quiet", "signal"), "the recording of the crash")
        assert len(node.recordings()) == 2, node.recordings()
        answer = case.explain(node.recordings("quiet", "signal")[0])
        assert {each["pid"] for each in answer["processes"]} == {process.pid, other.pid}
        listed = node.ask("recordings")
        assert all(str(file) in listed for file in node.recordings()), listed
        # What has fired is kept, however soon after it the agent is stopped.
        again = python(case, QUIET)
        node.wait(lambda: node.is_recorded(again.pid), "it is recorded")
        assert "becomes a recording" in node.ask("trigger", again.pid)
        node.stop()
        assert len(node.recordings("quiet", "request")) == 2 and list((node.folder / "ring").iterdir()) == []


def test_a_budget_that_pays_for_nothing(case):
    """Less than what any recording costs: it is given up for a time that is said, and the recording that has the gap says so."""
    with agent(case, comm=["quiet"]) as node:
        process = python(case, QUIET)
        node.wait(lambda: node.is_recorded(process.pid), "it is recorded")
        node.write(comm=["quiet"], budget="0.01%")
        node.process.send_signal(signal.SIGHUP)
        node.until("of a budget of 0.01 %: no process is recorded for ")
        node.wait(lambda: node.metric("memwhy_agent_recorded_processes") == {"memwhy_agent_recorded_processes": 0}, "none is")
        assert node.metric("memwhy_agent_degraded") == {"memwhy_agent_degraded": 3}
        assert "no process is recorded for " in node.ask("status")
        # Its ring is there all the same.
        node.process.kill()
        node.process.wait()
        node.write(comm=["nobody"])
        node.start()
        node.wait(lambda: node.recordings("quiet", "interrupted"), "what it had recorded before")
        notices = case.explain(*node.recordings("quiet"))["coverage"]["notices"]
        assert any("memwhy agent kept to its budget" in notice for notice in notices), notices


def test_an_agent_that_is_killed(case):
    """SIGKILL: the next one makes recordings of the rings, and goes on with new ones."""
    with agent(case, comm=["cheap"]) as node:
        heap = python(case, C_HEAP)
        node.wait(lambda: node.is_recorded(heap.pid), "it is recorded")
        node.wait(lambda: any(part.stat().st_size > 4096 for part in node.folder.glob("ring/cheap/*.memwhy")), "a ring")
        node.process.kill()
        node.process.wait()
        before = len(node.said())
        node.start()
        file = until_explained_or_whole(case, node)
        assert any(each["pid"] == heap.pid and each["rss"]["bytes"] > 0 for each in case.explain(file)["processes"])
        node.until(f"recording pid {heap.pid} ", after=before)
        assert "the one before was killed" in node.said(before)
        assert [folder.name for folder in (node.folder / "ring").iterdir()] == ["cheap"]


def until_explained_or_whole(case, node):
    node.wait(lambda: node.recordings("cheap", "interrupted"), "the ring of the agent that was killed")
    file, = node.recordings("cheap", "interrupted")
    recording = case.explain(file)["coverage"]["recording"]
    assert recording["complete"] and recording["damage"] == [], recording
    return file


def test_what_it_is_told_and_asked(case):
    """Two agents, a configuration that is wrong, at the start and later; HTTP says what there is, and nothing else."""
    with agent(case, comm=["quiet"], serve_recordings=True) as node:
        case.fails(8, "an agent is running on", str(node.process.pid), arguments=["agent", "--config", node.file])
        case.fails(2, "agent.toml:1", "growht is no setting", arguments=["agent", "--check", wrong(case, 'growht = "64M"')])
        case.fails(2, "agent.toml:2", arguments=["agent", "--check", wrong(case, "\ngrowth = 64 M")])
        case.fails(2, "a ring of", arguments=["agent", "--check", wrong(case, 'ring-size = "64M"\ndisk = "1M"')])
        case.fails(4, "no agent listens", arguments=["agent", "status", "--socket", case.folder / "nobody"])
        assert case.memwhy("agent", "--check", node.file)[0] == f"{node.file} is good\n"

        good = node.file.read_text()
        node.file.write_text("top = many\n")
        node.process.send_signal(signal.SIGHUP)
        node.until("the configuration stays as it was")
        node.file.write_text(good.replace('"100%"', '"50%"'))
        node.process.send_signal(signal.SIGHUP)
        node.until("the configuration was read again")
        node.wait(lambda: node.metric("memwhy_agent_budget_ratio") == {"memwhy_agent_budget_ratio": 0.5}, "the new budget")

        assert node.get("/healthz") == "ok\n"
        assert node.get("/metrics", Accept="application/openmetrics-text; version=1.0.0").endswith("# EOF\n")
        assert "# EOF" not in node.get("/metrics")
        for path in ("/", "/metrics/x", "/recordings/../lock", "/recordings/lock", "/recordings/..%2flock", "/recordings/.memwhy"):
            node.get(path, status=404, **node.with_token)
        node.get("/recordings", status=401)
        process = python(case, QUIET)
        node.wait(lambda: node.is_recorded(process.pid), "it is recorded")
        node.ask("trigger", process.pid)
        node.wait(node.recordings, "a recording")
        name = node.recordings()[0].name
        node.wait(lambda: name in node.get("/recordings", **node.with_token), "it is listed")
        assert node.get(f"/recordings/{name}", **node.with_token).encode("latin-1") == node.recordings()[0].read_bytes()
        assert "quiet" in node.ask("top") and "trigger request: 1 closed" in node.ask("status")
        assert node.ask("stop") == "the agent stops\n"
        assert node.process.wait(timeout=100) == 0


def wrong(case, text):
    file = case.folder / "wrong" / "agent.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_clients_that_are_slow(case):
    """Connections that say nothing, or an endless head: the metrics are there all the same."""
    with agent(case, comm=["nobody"]) as node:
        silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(8)]
        for each in silent[:4]:
            each.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        large = socket.create_connection(("127.0.0.1", node.port))
        large.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")
        assert b" 200 " not in large.recv(1000)
        assert "memwhy_build_info" in node.get("/metrics")
        assert node.ask("status").startswith("memwhy agent ")
        for each in silent:
            each.close()
