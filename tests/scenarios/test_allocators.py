# SPDX-License-Identifier: Apache-2.0
"""Allocators other than glibc's, with their own statistics as referees: what is in use and what is free, and that what a call is said
to return is what it returns."""
import os
import shutil
import subprocess

from support import MIB, ROOT, Skip, absent
from support.answers import finding, ledger, only_process, problems
from support.referees import rss_of


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
        if not python or subprocess.run([python, "-S", "-c", ""], capture_output=True).returncode != 0:
            if program != "python3":
                raise Skip(f"{program} is not installed")  # a distribution has one release
            absent("python3 is not installed")
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


# ---- Allocators behind malloc


class Heap:
    """other_heap, set up, with an allocator in front of it (LD_PRELOAD), or built with one."""

    def __init__(self, case, program, pattern, mib, preload=None):
        environment = dict(os.environ) | ({"LD_PRELOAD": preload} if preload else {})
        self.process = case.start([program, pattern, mib], stdin=subprocess.PIPE, env=environment)
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return [int(word) for word in self.process.stdout.readline().split()[1:]]

    def purge(self):
        before, after = self.ask("purge")
        return before - after


def library(name):
    """Where the dynamic linker finds it."""
    out = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, env={"PATH": "/sbin:/usr/sbin:/bin:/usr/bin"}).stdout
    for line in out.splitlines():
        if line.split(" ")[0].strip() == name:
            return line.rpartition("=> ")[2]
    absent(f"{name} is not installed")


def explained(case, heap, runtime):
    process = only_process(case.explain("-p", heap.pid, "-d", 1))
    assert abs(process["rss"]["bytes"] - rss_of(heap.pid)) <= 0.01 * process["rss"]["bytes"]
    assert [(each["runtime"], each["trust"]) for each in process["coverage"]["runtimes"]] == [(runtime, "verified")], process["coverage"]
    assert ledger(process).get("anon.before_attach", 0) <= 0.05 * process["rss"]["bytes"], ledger(process)
    return process


def check_promise(heap, process):
    """What is promised is returned. 64 KiB are the code of the call itself, which it brings in."""
    found = finding(process, "c-heap-free")
    promised = found["recoverable_bytes"] if found else 0
    returned = heap.purge()
    assert abs(returned - promised) <= max(0.01 * promised, MIB // 2), f"promised {promised}, returned {returned}"
    return found


def check_patterns(case, runtime, preload, slack):
    """`slack`: what lies in caches of threads, which looks used (tcmalloc's have up to 32 MiB together)."""
    program = case.build / "workloads/other_heap"
    for pattern in ("freed", "large", "small"):
        heap = Heap(case, program, pattern, 100, preload)
        process = explained(case, heap, runtime)
        allocated, _, _ = heap.ask("stats")
        found = check_promise(heap, process)
        # Pages at the end of a size that were never touched are not resident.
        (asked,) = heap.ask("asked")
        assert asked <= figure(found, "used_bytes") <= allocated + slack, (pattern, asked, allocated, found)
        assert (found["kind"] == "problem") == (pattern != "small"), found
    process = explained(case, Heap(case, program, "used", 100, preload), runtime)
    assert finding(process, "c-heap-free") is None and problems(process) == [], process["findings"]
    assert ledger(process)["c.heap.used"] >= 100 * MIB, ledger(process)


def test_jemalloc(case):
    check_patterns(case, "jemalloc", library("libjemalloc.so.2"), MIB)


def test_tcmalloc(case):
    check_patterns(case, "tcmalloc", library("libtcmalloc_minimal.so.4"), 16 * MIB)


def test_redis_on_jemalloc(case):
    """Values, of which most are deleted: what is in use by MEMORY STATS, and what MEMORY PURGE returns."""
    server = shutil.which("redis-server")
    client = shutil.which("redis-cli")
    if not server or not client:
        absent("redis is not installed")
    socket = case.folder / "redis.sock"
    # Nothing goes back by itself between the reading and the call.
    environment = dict(os.environ) | {"MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1"}
    redis = case.start([server, "--port", 0, "--unixsocket", socket, "--save", "", "--enable-debug-command", "yes"],
                       env=environment)
    for line in redis.stdout:
        if "eady to accept connections" in line:
            break

    def ask(*words):
        done = subprocess.run([client, "-s", socket, *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    ask("debug", "populate", 100000, "key", 1000)
    ask("eval", "for i = 0, 99999 do if i % 50 ~= 0 then redis.call('del', 'key:' .. i) end end", 0)
    process = only_process(case.explain("-p", redis.pid, "-d", 1))
    lines = ledger(process)
    assert lines.get("anon.before_attach", 0) <= 0.05 * process["rss"]["bytes"], lines
    allocated = int(ask("memory", "stats").split("allocator.allocated\n")[1].split("\n")[0])
    found = finding(process, "c-heap-free")
    assert found, process["findings"]
    assert abs(figure(found, "used_bytes") - allocated) <= 2 * MIB, (found, allocated)
    before = rss_of(redis.pid)
    ask("memory", "purge")
    returned = before - rss_of(redis.pid)
    assert abs(returned - found["recoverable_bytes"]) <= max(0.1 * returned, 4 * MIB), (returned, found)


def test_mimalloc(case):
    """What a call returns is only bounded, so nothing is promised."""
    program, preload = case.build / "workloads/other_heap", library("libmimalloc.so.2")
    for pattern in ("freed", "large", "small"):
        heap = Heap(case, program, pattern, 100, preload)
        process = explained(case, heap, "mimalloc")
        found = finding(process, "c-heap-free")
        (asked,) = heap.ask("asked")
        assert asked <= figure(found, "used_bytes") <= 1.2 * asked + MIB, (pattern, asked, found)
        assert found["kind"] == "explains" and found["recoverable_bytes"] == 0, found
        assert heap.purge() <= figure(found, "top_bytes") + MIB // 2, found
    process = explained(case, Heap(case, program, "used", 100, preload), "mimalloc")
    assert finding(process, "c-heap-free") is None and problems(process) == [], process["findings"]


def check_musl(case, *options):
    compiler = shutil.which("musl-gcc")
    if not compiler:
        absent("musl-gcc is not installed")
    program = case.folder / "other_heap"
    subprocess.run([compiler, "-O1", *options, ROOT / "tests/workloads/other_heap.c", "-o", program], check=True)
    for pattern in ("freed", "large", "small"):
        heap = Heap(case, program, pattern, 100)
        process = explained(case, heap, "musl")
        found = finding(process, "c-heap-free")
        (asked,) = heap.ask("asked")
        assert asked <= figure(found, "used_bytes") <= 1.2 * asked + MIB, (pattern, asked, found)  # sizes are coarse
        assert found["kind"] == "explains" and found["recoverable_bytes"] == 0, found
        assert "no call returns it" in found["claim"], found
    process = explained(case, Heap(case, program, "used", 100), "musl")
    assert finding(process, "c-heap-free") is None and problems(process) == [], process["findings"]


def test_musl(case):
    check_musl(case)


def test_a_static_musl_program(case):
    check_musl(case, "-static", "-s")


# ---- Sanitizers


BLOCKS = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) {
  for (int i = 0; i < 200000; ++i) memset(malloc(500), 1, 500);
  puts("ready");
  fflush(stdout);
  return getchar();
}
"""


def check_sanitizer(case, compiler, which, shadow_mib):
    """100 MB in blocks: what the sanitizer's malloc gave out, and its shadow, each stands on its line."""
    if not shutil.which(compiler):
        absent(f"{compiler} is not installed")
    source, program = case.folder / "blocks.c", case.folder / "blocks"
    source.write_text(BLOCKS)
    built = subprocess.run([compiler, "-O0", f"-fsanitize={which}", source, "-o", program], capture_output=True, text=True)
    if built.returncode:
        absent(f"{compiler} has no -fsanitize={which}")
    target = case.start([program], stdin=subprocess.PIPE)
    assert target.stdout.readline() == "ready\n"
    process = only_process(case.explain("-p", target.pid, "-d", 1))
    lines = ledger(process)
    assert lines.get("sanitizer.heap", 0) >= 95 * MIB, lines
    assert lines.get("sanitizer.shadow", 0) >= shadow_mib * MIB, lines
    assert lines.get("anon.before_attach", 0) <= 0.15 * process["rss"]["bytes"], lines  # its tables and traces


def test_address_sanitizer(case):
    check_sanitizer(case, "gcc", "address", 10)


def test_thread_sanitizer(case):
    check_sanitizer(case, "gcc", "thread", 200)


def test_memory_sanitizer(case):
    compiler = next((name for name in ("clang", "clang-16", "clang-19") if shutil.which(name)), "clang")
    check_sanitizer(case, compiler, "memory", 90)
