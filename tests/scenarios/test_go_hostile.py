# SPDX-License-Identifier: Apache-2.0
"""Go programs that change the tables of their own runtime while memwhy reads them, and one with a million goroutines: the
recording ends, within its share of the machine, and what was left out is told."""
import json
import os
import resource
import subprocess

from support import DEADLINE, MIB
from support.answers import check, only_process


def hostile(case, *arguments):
    program = case.go_build("go_hostile", "go1.26.8", ldflags="-checklinkname=0")
    process = case.start([program, *arguments], stdin=subprocess.PIPE)
    assert process.stdout.readline().strip() == "ready"
    return process.pid


def explained(case, pid, seconds):
    """The one process of the explanation, and what memwhy itself took."""
    command = [case.program, "explain", "-p", str(pid), "-d", f"{seconds}s", "--json"]
    out = case.folder / "out.json"
    with open(out, "w") as file:
        memwhy = case.start(command, stdout=file)
        _, status, used = os.wait4(memwhy.pid, 0)
        memwhy.returncode = os.waitstatus_to_exitcode(status)
    case.log.append((command, memwhy.returncode, out.read_text()[-3000:], ""))
    assert memwhy.returncode == 0, memwhy.returncode
    return check(json.loads(out.read_text())), used


def cpu(used):
    return used.ru_utime + used.ru_stime


def test_variables_that_grow_between_two_reads(case):
    explanation, used = explained(case, hostile(case, "flip"), 4)
    assert only_process(explanation)["rss"]["bytes"] > 0
    assert used.ru_maxrss < 300 * 1024, used.ru_maxrss


def test_elements_whose_product_wraps(case):
    explanation, used = explained(case, hostile(case, "elem"), 2)
    assert only_process(explanation)["rss"]["bytes"] > 0
    assert cpu(used) < 10, used


def test_one_goroutine_named_sixteen_million_times(case):
    explanation, used = explained(case, hostile(case, "allgs"), 2)
    assert only_process(explanation)["rss"]["bytes"] > 128 * MIB
    assert used.ru_maxrss < 300 * 1024, used.ru_maxrss
    assert cpu(used) < 10, used


def test_a_million_goroutines(case):
    explanation, used = explained(case, hostile(case, "parked", "1000000"), 10)
    assert only_process(explanation)["rss"]["bytes"] > 2048 * MIB
    assert used.ru_maxrss < 300 * 1024, used.ru_maxrss
    assert cpu(used) < 9, used
    told = explanation["coverage"]["not_seen"]
    assert [line for line in told if "% of a CPU" in line], told
    assert not [line for line in told if "was not finished" in line], told


def test_as_many_stacks_as_goroutines(case):
    explanation, used = explained(case, hostile(case, "stacks", "300000"), 4)
    assert only_process(explanation)["rss"]["bytes"] > 600 * MIB
    assert used.ru_maxrss < 300 * 1024, used.ru_maxrss
    assert [line for line in explanation["coverage"]["not_seen"] if "stacks" in line], explanation["coverage"]
