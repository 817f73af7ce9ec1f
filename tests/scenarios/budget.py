# SPDX-License-Identifier: Apache-2.0
"""The agent's budget in a storm: 300,000 page faults a second in 50 processes, all of which are recorded when it begins. What the agent
costs from then on is measured from outside: CPU time of its processes by /proc, of its BPF programs by the kernel's own
statistics. Within a tenth of each budget, and what the storm did without and with the agent. Exits 1 if one is not held.

usage: budget.py MEMWHY BUILD_DIR [SECONDS], as root (60; tools/soak budget)
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

from support.agent import agent
from support.driver import Case

PROCESSES, FAULTS = 50, 300_000
BUDGETS = (0.03, 0.005)
STATISTICS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")


class Storm:
    def __init__(self, case):
        self.process = case.start([case.build / "workloads/fault_storm", PROCESSES], stdin=subprocess.PIPE)
        assert self.process.stdout.readline() == "ready\n"

    def blow(self, rate):
        """From now on at this rate; pages that were touched up to now."""
        self.process.stdin.write(f"{rate}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def cpu_seconds(pid):
    """Of the process and its children, those that are gone included."""
    ticks = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        if pid in (int(head.split()[0]), int(fields[1])):
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def bpf_seconds(pid):
    """Of the programs that it holds, while statistics are on."""
    found = {}
    for file in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = file.read_text()
        except OSError:
            continue
        if re.search(r"^run_time_ns:", text, re.M):
            found[re.search(r"^prog_id:\s*(\d+)", text, re.M).group(1)] = int(re.search(r"^run_time_ns:\s*(\d+)", text, re.M).group(1))
    return sum(found.values()) / 1e9


def held(case, node, storm, budget, seconds):
    """(share of all CPUs, faults a second, what it gave up)."""
    node.wait(lambda: node.metric("memwhy_agent_recorded_processes").get("memwhy_agent_recorded_processes") == PROCESSES,
              "all of them are recorded")
    before = len(node.said())
    node.write(comm=["fault_storm"], top=PROCESSES, min_rss="2M", budget=f"{budget:.1%}")
    node.process.send_signal(signal.SIGHUP)
    node.until("the configuration was read again", after=before)
    cost, pages, begun = cpu_seconds(node.process.pid) + bpf_seconds(node.process.pid), storm.blow(FAULTS), time.monotonic()
    time.sleep(seconds)
    pages, passed = storm.blow(0) - pages, time.monotonic() - begun
    cost = cpu_seconds(node.process.pid) + bpf_seconds(node.process.pid) - cost
    gave_up = [line.rpartition("%: ")[2] for line in node.said(before).splitlines() if "of a budget of" in line]
    return cost / passed / os.cpu_count(), pages / passed, gave_up


def main():
    memwhy, build, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 60
    wrong, texts, statistics = 0, [], STATISTICS.read_text()
    with tempfile.TemporaryDirectory(prefix="memwhy-budget-") as folder:
        os.chmod(folder, 0o755)
        case = Case(memwhy, build, folder)
        try:
            STATISTICS.write_text("1")
            storm = Storm(case)
            pages, begun = storm.blow(FAULTS), time.monotonic()
            time.sleep(10)
            alone = (storm.blow(0) - pages) / (time.monotonic() - begun)
            for budget in BUDGETS:
                case.folder = pathlib.Path(folder) / f"{budget}"
                case.folder.mkdir()
                with agent(case, comm=["fault_storm"], top=PROCESSES, min_rss="2M") as node:
                    share, faults, gave_up = held(case, node, storm, budget, seconds)
                for line in gave_up:
                    print(line)
                wrong += share > 1.1 * budget
                texts.append(f"{share:.2%} of {budget:.1%}, {faults:,.0f} faults/s")
        finally:
            STATISTICS.write_text(statistics)
            case.end()
    print(f"budget: {'; '.join(texts)}; {alone:,.0f} without the agent")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
