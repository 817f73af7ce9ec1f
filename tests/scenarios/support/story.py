# SPDX-License-Identifier: Apache-2.0
"""The story of a node: services of which each grows for a reason of its own, among many that do nothing. What a scenario asserts,
tools/demo node shows."""
import re
import subprocess
import sys
import types

from support.answers import problems

# {unit: (the cause, how the first sentence of its recording goes on)}
SERVICES = {
    "leaky": ("goroutine-leak", r"\d+ goroutines in chan send keep"),
    "racy": ("race-detector", r"[\d.]+ MiB \(\d+ %\) are the race detector"),
    "cheap": ("c-heap-growth", r"[\d.]+ MiB \(\d+ %\) are allocated with malloc, and keep growing"),
}
# Blocks of 100 KiB are malloc's, not of Python's own arenas. Up to 800 MiB, and a limit ends it before.
C_HEAP = """
import time
open("/proc/self/comm", "w").write("cheap")
held = []
print("ready", flush=True)
while True:
    if len(held) < 8000:
        held.append(b"c" * (100 << 10))
    time.sleep(0.02)
"""
# Each a process with a name of its own and 20 MiB in use, which are the same 20 MiB: more would not fit on a small machine. They end
# with their parent.
QUIET = """
import os, sys
held = bytearray(b"q" * (20 << 20))
alive, parent = os.pipe()
for number in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.close(parent)
        open("/proc/self/comm", "w").write(f"quiet-{number}")
        os.read(alive, 1)
        os._exit(0)
open("/proc/self/comm", "w").write("quiet")
print("ready", flush=True)
os.read(alive, 1)
"""


def quiet_names(count):
    return ["quiet", *(f"quiet-{number}" for number in range(count))]


def as_named(case, program, name):
    """The program under another name, which is its comm."""
    link = case.folder / name
    link.symlink_to(program)
    return link


def ready(process):
    assert process.stdout.readline() == "ready\n"
    return process


def start_quiet(case, count):
    return ready(case.start([sys.executable, "-c", QUIET, count]))


def start_services(case, group):
    """{unit: process}; the one with the C heap is in the memory cgroup `group`, if there is one."""
    heap = [sys.executable, "-c", C_HEAP]
    leaky = as_named(case, case.go_build("hourly_job", "debian", stripped=True), "leaky")
    racy = as_named(case, case.go_build("race_service", "debian", race=True), "racy")
    return {"leaky": case.start([leaky, "-period", "4s"], stdin=subprocess.PIPE),
            "racy": case.start([racy, "-import", "64"]),
            "cheap": ready(group.start(case, *heap) if group else case.start(heap))}


def right_recording(case, node, unit, cause, trigger=""):
    """The first recording of the unit whose first problem is this one, as it is explained; None until there is one."""
    for file in node.recordings(unit, trigger):
        answer = case.explain(file)
        for process in answer["processes"]:
            found = [each["id"] for each in problems(process)]
            if process["comm"] == unit and found[:1] == [cause]:
                return types.SimpleNamespace(file=file, problems=found, recording=answer["coverage"]["recording"],
                                             sentence=first_sentence(case, file, unit))
    return None


def first_sentence(case, file, unit):
    """Of the text, in one line."""
    text, _ = case.memwhy("explain", file)
    start = text.index(f"{unit} (pid ")
    return re.sub(r"\s+", " ", text[start:text.index("\n  ", start)])
