# SPDX-License-Identifier: Apache-2.0
"""The C heap of processes that were there before, beside the rows of the scoreboard (rows.py): what is used and what is free stands in
the ledger, and what malloc_trim(0) is said to return is what it returns."""
import shutil
import subprocess

from support import MIB, Skip
from support.answers import finding, ledger, only_process, problems
from support.referees import rss_of


class Server:
    """c_heap, set up; trim() is what malloc_trim(0) returned by the kernel's count."""

    def __init__(self, case, name, mib, static=False):
        program = case.build / ("workloads/c_heap_static" if static else "workloads/c_heap")
        self.process = case.start([program, name, mib], stdin=subprocess.PIPE)
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def trim(self):
        _, before, after = self.ask("trim")
        return int(before) - int(after)


def explained(case, server):
    """Attached after the growth, standing still: next to nothing is left that memwhy only knows the address of."""
    process = only_process(case.explain("-p", server.pid, "-d", 4))
    assert process["comm"] == "c-heap"
    assert abs(process["rss"]["bytes"] - rss_of(server.pid)) <= 0.01 * process["rss"]["bytes"]
    before_attach = ledger(process).get("anon.before_attach", 0)
    assert before_attach <= 0.05 * process["rss"]["bytes"], ledger(process)
    assert [each for each in process["coverage"]["runtimes"] if each["runtime"] == "glibc"] == [
        {"runtime": "glibc", "trust": "verified", "problem": None, "conflict_bytes": 0}], process["coverage"]["runtimes"]
    return process


def check_promise(case, server, process):
    """What is promised is returned. 64 KiB are the code of the call itself, which it brings in."""
    found = finding(process, "c-heap-free")
    promised = found["recoverable_bytes"] if found else 0
    returned = server.trim()
    assert abs(returned - promised) <= max(0.01 * promised, MIB // 2), f"promised {promised}, returned {returned}"
    return found


def test_full_arenas_are_the_heap(case):
    process = explained(case, Server(case, "full_arenas", 100))
    assert ledger(process)["c.heap.used"] >= 99 * MIB, ledger(process)
    assert finding(process, "c-heap-free") is None and problems(process) == [], process["findings"]


def test_mapped_chunks(case):
    server = Server(case, "mapped", 64)
    process = explained(case, server)
    assert abs(ledger(process)["c.heap.used"] - 32 * MIB) <= MIB, ledger(process)
    check_promise(case, server, process)


def test_a_heap_that_brk_refused_to_extend(case):
    server = Server(case, "brk_refused", 50)
    process = explained(case, server)
    assert ledger(process)["c.heap.free"] >= 20 * MIB, ledger(process)
    check_promise(case, server, process)


def test_a_static_program(case):
    server = Server(case, "every_second", 50, static=True)
    process = explained(case, server)
    check_promise(case, server, process)
    assert ledger(process)["c.heap.free"] >= 20 * MIB, ledger(process)


def test_python(case):
    """Rows of a table, most of which are dropped."""
    python = shutil.which("python3")
    if not python:
        raise Skip("python3 is not installed")
    script = (
        "import ctypes, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.malloc_trim.argtypes = [ctypes.c_size_t]\n"
        "rows = [bytes(2000) for i in range(50000)]\n"
        "rows = rows[::50]\n"
        "def rss():\n"
        "    with open('/proc/self/smaps_rollup') as file:\n"
        "        return next(int(line.split()[1]) for line in file if line.startswith('Rss:')) * 1024\n"
        "rss()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "before = rss(); libc.malloc_trim(0); print('trim', before, rss(), flush=True)\n"
        "sys.stdin.readline()\n")
    program = case.start([python, "-c", script], stdin=subprocess.PIPE)
    assert program.stdout.readline() == "ready\n"
    process = only_process(case.explain("-p", program.pid, "-d", 2))
    found = finding(process, "c-heap-free")
    assert found and found["recoverable_bytes"] >= 60 * MIB, process["findings"]
    program.stdin.write("\n")
    program.stdin.flush()
    _, before, after = program.stdout.readline().split()
    returned = int(before) - int(after)
    assert abs(returned - found["recoverable_bytes"]) <= max(0.01 * returned, MIB // 2), (returned, found)
