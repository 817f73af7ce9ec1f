# SPDX-License-Identifier: Apache-2.0
"""The story of a node, alone: an agent that is asked nothing, three services that grow, and two hundred processes that do not. And what
others may read of it over HTTP. tools/demo node shows the story."""
import os
import re
import signal
import subprocess

from support import MIB
from support.agent import TOKEN, agent
from support.cgroups import cgroup
from support.prometheus import Prometheus, until
from support.story import SERVICES, quiet_names, right_recording, start_quiet, start_services
from support.workloads import go

QUIET = 200


def test_three_that_grow_among_many_quiet_ones(case):
    """Three recordings whose first sentence is right, three alerts in Prometheus, none of either for the quiet ones. Then one of the three
    is killed for its memory, and the file of it says why. The agent has its defaults, but that its minutes are seconds and that it does
    not look at what other tests run."""
    with cgroup(case) as group, agent(case, comm=[*SERVICES, *quiet_names(QUIET)]) as node:
        prometheus = Prometheus(case, [node.port])
        start_quiet(case, QUIET)
        running = start_services(case, group)
        for unit, (cause, sentence) in SERVICES.items():
            found = node.wait(lambda: right_recording(case, node, unit, cause), f"a recording that says why {unit} grows")
            assert re.match(rf"{unit} \(pid {running[unit].pid}\): [\d.]+ MiB resident;? .*{sentence}", found.sentence), found.sentence
            assert found.recording["complete"] and found.recording["damage"] == [], found.recording
        alerts = {("MemwhyProblem", unit) for unit in SERVICES}
        until(lambda: prometheus.firing() >= alerts, f"{alerts} firing", prometheus.process, node.process)

        group.limit(group.usage() + 30 * MIB)
        assert running["cheap"].wait(timeout=100) == -signal.SIGKILL
        found = node.wait(lambda: right_recording(case, node, "cheap", "oom-kill", "oom-kill"), "the recording of the one that was killed")
        assert re.search("killed by the kernel, because (memory ran out|its container reached the limit)", found.sentence), found
        # On a busy machine its heap was last read a while before: then that it grew is known of RSS.
        assert {SERVICES["cheap"][0], "rss-growth"} & set(found.problems), found
        until(lambda: ("MemwhyOomKillExplained", "cheap") in prometheus.firing(), "the alert of it", prometheus.process, node.process)

        assert node.metric("memwhy_agent_processes")["memwhy_agent_processes"] > QUIET
        assert not [unit for _, unit in prometheus.firing() if unit.startswith("quiet")], prometheus.firing()
        assert {file.name.split("_")[1] for file in node.recordings()} == set(SERVICES), node.recordings()
        assert not [key for key in node.metric("memwhy_finding_bytes") if "quiet" in key]


def test_a_profile_of_what_is_resident(case):
    """go tool pprof reads it from the agent, with the token alone; its bytes are those of the recording."""
    held = "held = bytearray(b'h' * (96 << 20)); open('/proc/self/comm', 'w').write('held'); print('ready', flush=True); input()"
    process = case.start(["python3", "-c", held], stdin=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    with agent(case, comm=["held"]) as node:
        node.wait(lambda: node.is_recorded(process.pid), "it is recorded")
        path = "/debug/pprof/resident?unit=held"
        node.get(path, status=401)
        node.get(path.replace("held", "other"), status=404, **node.with_token)
        node.wait(lambda: node.status(path, **node.with_token) == 200, "it is scanned")  # until then there is nothing to show
        url = f"http://any:{TOKEN}@127.0.0.1:{node.port}{path}"
        raw = case.folder / "raw"
        go("debian", "tool", "pprof", "-raw", f"-output={raw}", url, timeout=100, env={**os.environ, "PPROF_TMPDIR": str(case.folder)})
        samples = raw.read_text().split("Locations")[0]
        total = sum(int(each) for each in re.findall(r"^ *(\d+): ", samples, re.M))
        [(_, resident)] = node.metric("memwhy_unit_resident_bytes", unit="held").items()
        assert abs(total - resident) < 2 * MIB, (total, resident)
        assert max(int(each) for each in re.findall(r"^ *(\d+): .*\n.*owner:\[c\.heap\.", samples, re.M)) >= 96 * MIB, samples
        assert TOKEN not in node.said()
