# SPDX-License-Identifier: Apache-2.0
"""Allocators other than glibc's, with their own statistics as referees: what is in use and what is free, and that what a call is said
to return is what it returns."""
import shutil
import subprocess

from support import MIB, absent
from support.answers import ledger, only_process, problems
from support.referees import rss_of


def finding(process, name):
    return next((each for each in process["findings"] if each["id"] == name), None)


def figure(found, name):
    return next((each["value"] for each in found["figures"] if each["id"] == name), 0)


# ---- CPython

KEEPS_FEW = """
import sys
objects = [{'number': (i, i + 1)} for i in range(400000)]
kept = objects[::1000]
del objects
"""
KEEPS_ALL = """
import sys
objects = [{'number': (i, i + 1)} for i in range(400000)]
"""


class Python:
    """It makes objects, says ready, and then what sys._debugmallocstats() prints."""

    def __init__(self, case, program, script):
        python = shutil.which(program)
        if not python:
            absent(f"{program} is not installed")
        script += "print('ready', flush=True); sys.stdin.readline(); sys._debugmallocstats(); sys.stderr.flush()\n"
        self.process = case.start([python, "-S", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()

    def statistics(self):
        _, text = self.process.communicate("\n")
        out = {}
        for line in text.splitlines():
            name, _, value = line.rpartition("=")
            if value.strip().replace(",", "").isdigit():
                out[name.strip(" #")] = int(value.replace(",", ""))
        return out


def check_python(case, program, script=KEEPS_FEW):
    python = Python(case, program, script)
    process = only_process(case.explain("-p", python.pid, "-d", 1))
    assert abs(process["rss"]["bytes"] - rss_of(python.pid)) <= 0.01 * process["rss"]["bytes"]
    runtimes = {each["runtime"]: each for each in process["coverage"]["runtimes"]}
    assert runtimes["pymalloc"]["trust"] == "verified", runtimes
    truth = python.statistics()
    # Between the reading and the call it made next to nothing; headers of pools count as used.
    lines = ledger(process)
    used = truth["bytes in allocated blocks"] + truth["bytes lost to pool headers"]
    assert abs(lines["python.objects"] - used) <= 64 << 10, (lines, truth)
    total = next(value for name, value in truth.items() if name.endswith("bytes/arena"))
    assert lines["python.objects"] + lines["python.free"] <= total
    return process, truth, total


def check_few(case, program):
    process, truth, total = check_python(case, program)
    found = finding(process, "python-arenas")
    assert found and found["kind"] == "explains" and found["recoverable_bytes"] == 0, process["findings"]
    assert figure(found, "arenas") == truth["arenas allocated current"], (found, truth)
    # Resident are all pools that were ever given out.
    touched = total - truth["bytes lost to arena alignment"] - 2 * MIB
    assert touched <= figure(found, "arena_bytes") <= total, (found, truth)
    assert figure(found, "free_bytes") >= 80 * MIB, found
    assert process["findings"][0] == found, "it comes first"


def test_python(case):
    check_few(case, "python3")


def test_python3_8(case):
    check_few(case, "python3.8")


def test_python3_9(case):
    check_few(case, "python3.9")


def test_python3_10(case):
    check_few(case, "python3.10")


def test_python3_12(case):
    check_few(case, "python3.12")


def test_python3_13(case):
    check_few(case, "python3.13")


def test_python_that_uses_its_arenas(case):
    process, _, _ = check_python(case, "python3", KEEPS_ALL)
    assert finding(process, "python-arenas") is None and problems(process) == [], process["findings"]
    assert ledger(process)["python.objects"] >= 90 * MIB, ledger(process)
