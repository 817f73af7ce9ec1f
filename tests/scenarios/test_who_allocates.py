# SPDX-License-Identifier: Apache-2.0
"""--who-allocates: which functions call malloc, of a program whose calls come in a known order (tests/workloads/allocating.c)."""
import re
import shutil
import subprocess

from support import absent
from support.answers import figure, finding, only_process

WATCHED = 30  # seconds: growth shows from 20 s on
LEAST_CALLS = 500


def started(case, rounds, **options):
    program = case.start([case.build / "workloads/allocating", rounds], stdin=subprocess.PIPE, **options)
    assert program.stdout.readline() == "ready\n"
    program.stdin.write("\n")
    program.stdin.flush()
    return program


def code_of_libc(pid):
    """The private pages of libc's code hold what a probe has left behind: its bytes, and those of the file."""
    for line in open(f"/proc/{pid}/maps"):
        found = re.match(r"(\w+)-(\w+) r-xp (\w+) \S+ \d+ +(\S*/libc\.so\.6)$", line)
        if found:
            start, end, offset = (int(found[i], 16) for i in (1, 2, 3))
            with open(f"/proc/{pid}/mem", "rb") as memory, open(f"/proc/{pid}/root{found[4]}", "rb") as file:
                memory.seek(start)
                file.seek(offset)
                return memory.read(end - start), file.read(end - start)
    raise AssertionError("no libc")


def by_function(process):
    sums = {}
    for site in process["allocations"]["sites"]:
        name = (site["where"] or "?").split(" ")[0]
        sums[name] = sums.get(name, 0) + site["calls"]
    return sums


def check_shares(process):
    """Of 8 calls in a row 3 are of look_up, 2 of parse, 2 of extend, 1 of keep_record: whatever a turn of 250 calls begins with, of
    each function one call more or less."""
    calls, sums = process["allocations"]["calls"], by_function(process)
    assert LEAST_CALLS <= calls <= 2000, process["allocations"]
    for name, share in {"look_up": 3, "parse": 2, "extend": 2, "keep_record": 1}.items():
        assert abs(sums.get(name, 0) - calls * share / 8) <= 16, (calls, sums)
    return calls


def test_the_leak_of_a_busy_program(case):
    """5 MiB/s of blocks of 1,000 bytes among eight times as many calls."""
    program = started(case, 500)
    explanation = case.explain("-p", program.pid, "-d", WATCHED, "--who-allocates")
    process = only_process(explanation)
    calls = check_shares(process)
    found = finding(process, "c-heap-growth")
    assert found and found["kind"] == "problem", process["findings"]
    assert figure(found, "chunk_size") == 1008 and figure(found, "calls_seen") == calls, found
    assert figure(found, "calls_by_caller") == figure(found, "calls_of_size") == by_function(process)["keep_record"], found
    assert "keep_record (allocating.c:" in found["remedy"], found
    sizes = {(site["where"].split(" ")[0], site["object_bytes"]) for site in process["allocations"]["sites"] if site["where"]}
    assert {("look_up", 100), ("parse", 120), ("extend", 50), ("extend", 200), ("keep_record", 1000)} <= sizes, sizes
    hooks = [hook for hook in explanation["coverage"]["hooks"] if hook["name"] == "allocation_call"]
    assert len(hooks) == 1 and "malloc, calloc and realloc of libc.so.6" in hooks[0]["purpose"], hooks
    print(hooks[0]["purpose"])
    in_memory, in_file = code_of_libc(program.pid)
    assert in_memory == in_file, "the code of libc is not what it was"
    text, _ = case.memwhy("explain", "-p", program.pid, "-d", 3, "--who-allocates")
    assert "Who calls malloc and its kind: " in text and "look_up (allocating.c:" in text, text


def test_nothing_is_probed_unless_asked_for(case):
    program = started(case, 10)
    explanation = case.explain("-p", program.pid, "-d", 2)
    assert only_process(explanation)["allocations"] is None
    assert not [hook for hook in explanation["coverage"]["hooks"] if hook["name"] == "allocation_call"], explanation["coverage"]
    case.fails(2, "--who-allocates", arguments=("explain", "file.memwhy", "--who-allocates"))


def test_refused_where_each_call_would_be_single_stepped(case):
    """A malloc of the program's own that begins with an instruction that the kernel does not emulate."""
    compiler = shutil.which("gcc") or absent("gcc is not installed")
    source = case.folder / "own.c"
    source.write_text("""
#include <stddef.h>
#include <string.h>
static char room[1 << 26] __attribute__((aligned(16)));
static size_t used;
void* malloc(size_t n) { void* at = room + used; used += (n + 31) & ~15UL; return used < sizeof room ? at : NULL; }
void* calloc(size_t n, size_t m) { return malloc(n * m); }
void* realloc(void* old, size_t n) { void* at = malloc(n); if (old) memcpy(at, old, n); return at; }
void free(void* old) { (void)old; }
""")
    library = case.folder / "libown.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-fno-builtin", "-fcf-protection=none", source, "-o", library], check=True)
    program = started(case, 2, env={"LD_PRELOAD": str(library)})
    explanation = case.explain("-p", program.pid, "-d", 3, "--who-allocates")
    told = [line for line in explanation["coverage"]["not_seen"] if "single-stepped" in line]
    assert any(line.startswith("malloc is not probed: ") for line in told), explanation["coverage"]["not_seen"]
    assert "malloc" not in " ".join(hook["purpose"] for hook in explanation["coverage"]["hooks"] if hook["name"] == "allocation_call")
