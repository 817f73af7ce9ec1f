# SPDX-License-Identifier: Apache-2.0
"""What tools/demo node shows: the story of test_node.py, as it happens. demo_node.py MEMWHY BUILD_DIR"""
import contextlib
import os
import sys
import tempfile
import time

from support import MIB, Skip
from support.agent import agent
from support.cgroups import cgroup
from support.driver import Case
from support.prometheus import Prometheus, until
from support.story import SERVICES, quiet_names, right_recording, start_quiet, start_services

QUIET = 200
STARTED = time.monotonic()


def say(text):
    print(f"demo: {time.monotonic() - STARTED:4.0f} s  {text}", flush=True)


def show(found):
    say(f"{found.file.name}\n             {found.sentence}")


def group_or_none(stack, case):
    try:
        return stack.enter_context(cgroup(case))
    except Skip as reason:
        say(f"none of the services will be killed: {reason}")
        return None


def grow(case, node, prometheus, running):
    for unit, (cause, _) in SERVICES.items():
        show(node.wait(lambda: right_recording(case, node, unit, cause), f"a recording that says why {unit} grows"))
    wanted = {("MemwhyProblem", unit) for unit in SERVICES}
    until(lambda: prometheus.firing() >= wanted, "the alerts", prometheus.process, node.process)
    say("firing in Prometheus: " + ", ".join(f"{alert} of {unit}" for alert, unit in sorted(prometheus.firing())))
    say(f"of {QUIET} quiet processes there are {len(node.recordings('quiet*'))} recordings")


def kill(case, node, prometheus, group, process):
    group.limit(group.usage() + 30 * MIB)
    say("the cgroup of cheap has a limit now, 30 MiB from here")
    process.wait(timeout=120)
    found = node.wait(lambda: right_recording(case, node, "cheap", "oom-kill", "oom-kill"), "the recording of the kill")
    show(found)
    until(lambda: ("MemwhyOomKillExplained", "cheap") in prometheus.firing(), "the alert", prometheus.process, node.process)
    say("firing in Prometheus: MemwhyOomKillExplained of cheap")
    say(f"memwhy explain {found.file.name}\n")
    print(case.memwhy("explain", found.file)[0])


def main():
    memwhy, build = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="memwhy-demo-") as folder, contextlib.ExitStack() as stack:
        os.chmod(folder, 0o755)
        case = Case(memwhy, build, folder)
        stack.callback(case.end)
        try:
            group = group_or_none(stack, case)
            node = stack.enter_context(agent(case, comm=[*SERVICES, *quiet_names(QUIET)]))
            prometheus = Prometheus(case, [node.port])
        except Skip as reason:
            say(f"this machine can't show it: {reason}")
            return 5
        shown = [line for line in node.file.read_text().splitlines() if "comm" not in line]
        say("memwhy agent runs, for these processes alone; its minutes are seconds here:\n             " + "\n             ".join(shown))
        start_quiet(case, QUIET)
        say(f"{QUIET} processes that do nothing, and three services: leaky leaks goroutines, racy was built with -race,\n"
            "             cheap is Python with a heap of C that grows. From here on nobody asks the agent for anything.")
        running = start_services(case, group)
        grow(case, node, prometheus, running)
        if group is not None:
            kill(case, node, prometheus, group, running["cheap"])
        say("memwhy agent status\n")
        print(node.ask("status"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
