# SPDX-License-Identifier: Apache-2.0
"""The rows of the scoreboard (support/scoreboard.py): for each cause a program that has it and is known to have it, and the same
without it. What each program does stands at the top of its source in tests/workloads. Rows of one batch are watched together.

To add one: a line here; a story that prints "ready", waits for a line, and prints "done".
"""
import functools
import shutil
import subprocess

from support import MIB, ROOT, absent
from support.scoreboard import Batch, Program, Row

GO_1_19, GO_1_24, GO_1_27 = "debian", "go1.24.9", "go1.27.3"
EACH_GO = (GO_1_19, GO_1_24, GO_1_27)


def c(name, *arguments, done="done", environment=dict):
    def command(case, _):
        return [case.build / "workloads" / name, *arguments]
    return Program(command, done=done, environment=environment)


def go(name, *arguments, ready="ready", done="done", stripped=True, race=False, environment=dict):
    def command(case, toolchain):
        return [case.go_build(name, toolchain, stripped=stripped and not race, race=race), *arguments]
    return Program(command, ready=ready, done=done, environment=environment)


def python(script):
    def command(case, _):
        return [shutil.which("python3") or absent("python3 is not installed"), "-S", "-c", script]
    return Program(command)


@functools.cache
def library(name):
    """Where the dynamic linker finds it."""
    out = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    for line in out.splitlines():
        if line.split(" ")[0].strip() == name:
            return line.rpartition("=> ")[2]
    return absent(f"{name} is not installed")


def built(compiler, *options, source="c_heap.c", arguments=("used", 64, "late")):
    """A workload in C, by another compiler or with what changes its memory."""
    def command(case, _):
        if not shutil.which(compiler):
            absent(f"{compiler} is not installed")
        program = case.folder / f"{compiler}{''.join(options)}{source}".replace("/", "_")
        if not program.exists():
            subprocess.run([compiler, "-O1", *options, ROOT / "tests/workloads" / source, "-o", program, "-lpthread"], check=True)
        return [program, *arguments]
    return Program(command)


def heap(case_name, mib=100):
    return c("c_heap", case_name, mib, "late")


def other(pattern, preload):
    return c("other_heap", pattern, 100, "late", environment=lambda: {"LD_PRELOAD": library(preload)})


def finds(story, *options, **keywords):
    return go("go_findings", "-late", *options, story, stripped=False, **keywords)


def job(*options):
    return go("hourly_job", "-period", "4s", "-runs", 10, "-hold", 1, "-size", 32, *options, ready="holding")


PYTHON = """
import sys
print('ready', flush=True)
sys.stdin.readline()
objects = [{{'number': (i, i + 1)}} for i in range(400000)]
{}
print('done', flush=True)
sys.stdin.readline()
"""

# Growth shows from 20 s on.
GROWTH = Batch(after=40, before=40, rows=(
    Row("C heap that grows", "c-heap-growth", c("growth", "leak", done="grown"), c("growth", "level", done="grown"), rate=8 * MIB,
        figures=(("chunk_size", 1008),)),
    Row("mappings in steps", "anon-growth", c("growth", "steps", done="grown"), c("growth", "load", done="grown"), rate=6 * MIB),
    Row("growth through several owners", "rss-growth", c("growth", "owners", done="grown"), c("growth", "replaced", done="grown"),
        rate=3 * 4 * (MIB // 20 // 4096 * 4096)),
    Row("shared memory that grows", "shared-memory", c("growth", "shared", done="grown"), c("growth", "ring", done="grown"), rate=8 * MIB),
))
# The runtime collects 2, 6, 14, 30, 62 s after it begins: whenever memwhy attaches, two of them and 20 s are seen.
GO_GROWTH = Batch(after=64, before=40, rows=(
    Row("a Go heap that grows; teeth", "live-heap-growth", go("go_growth", "leak", 16, 8, done="", stripped=False),
        c("growth", "teeth", done="grown"), rate=8 * MIB, go=EACH_GO, says=("by main.keep",)),
    Row("a Go heap that grows; one that turns over", "live-heap-growth", go("go_growth", "leak", 16, 8, done=""),
        go("go_growth", "churn", 32, 8, done=""), rate=8 * MIB, go=EACH_GO),
))

# They grow for 38 s, and are seen to: those that wait where idle workers wait. 10 s is what makes waiting long.
LEAKS = Batch(after=12, before=0, rows=(
    Row("goroutines that send", "goroutine-leak", job(), job("-fix"), bytes=10 * 32 * MIB, go=EACH_GO,
        says=("10 goroutines blocked in chan send at main.run.func1.1 (main.go:",), figures=(("goroutines", 10),)),
    Row("goroutines, and a variable that leads to them", "goroutine-leak", job("-wait", "global"), job("-fix"), bytes=10 * 32 * MIB,
        go=EACH_GO, says=("10 goroutines blocked in chan send at main.run.func1.1",)),
))
IDLE_LEAKS = Batch(after=12, before=0, rows=(
    Row("goroutines in a sleep", "goroutine-leak", job("-wait", "sleep"), job("-fix"), bytes=10 * 32 * MIB, go=EACH_GO,
        says=("10 goroutines waiting in sleep at main.sleepOn",), after=False),
    Row("goroutines in a read", "goroutine-leak", job("-wait", "pipe"), job("-fix"), bytes=10 * 32 * MIB, go=EACH_GO,
        says=("10 goroutines waiting in IO wait at main.readOn",), after=False),
))

GO_CAUSES = Batch(after=10, before=10, rows=(
    Row("variables of a Go program", "program-data", go("go_causes", "table", stripped=False), go("go_causes", "-fix", "table"),
        problem=False, bytes=300 * MIB, says=("(.noptrbss)", "main.table in .noptrbss"), go=EACH_GO),
    Row("objects behind a blocked finalizer", "finalizer-queue", go("go_causes", "finalizer"), go("go_causes", "-fix", "finalizer"),
        bytes=100 * MIB, says=("main.(*handle).close",), go=EACH_GO),
    Row("trace without a reader", "trace-buffers", go("go_causes", "trace"), go("go_causes", "-fix", "trace"), bytes=64 * MIB, near=0.1,
        go=EACH_GO),
    # What the runtime counts of its own outside of the heap is taken off: a lower bound.
    Row("mappings of a Go program", "own-mappings", go("go_causes", "mappings"), go("go_causes", "-fix", "mappings"), problem=False,
        bytes=96 * MIB, near=0.1, go=EACH_GO),
    Row("race detector", "race-detector", go("race_service", "-late", 128, race=True), go("race_service", "-late", 128), go=EACH_GO,
        says=("-race=true",)),
))

# What holds a heap is read in the last look alone, which has a second for all of them.
GO_HELD = Batch(after=4, before=4, rows=(
    Row("a list", "held-heap", go("go_held", "chain", stripped=False), go("go_held", "-fix", "chain", stripped=False), problem=False,
        bytes=96 * MIB, says=("hang from the variable main.recent alone", "96 of 1.0 MiB", "main.buffer"), go=EACH_GO),
    Row("an empty map", "held-heap", go("go_held", "pointed", stripped=False), go("go_held", "-fix", "pointed", stripped=False),
        problem=False, says=("hang from the variable main.db alone, a map of 0 entries in ",), go=EACH_GO),
))
GO_HELD_TEXTS = Batch(after=4, before=4, rows=(
    Row("parts of texts, stripped", "held-heap", go("go_held", "texts"), go("go_held", "-fix", "texts"), problem=False, bytes=64 * MIB,
        says=("hang from the variable at 0x", " (used by main.texts) alone"),
        figures=(("pinned_objects", 256), ("pinned_bytes", 64 * MIB), ("used_bytes", 256 * 51)), go=EACH_GO),
    Row("a variable of a goroutine", "held-heap", go("go_held", "local", stripped=False), go("go_held", "-fix", "local", stripped=False),
        problem=False, bytes=64 * MIB, says=("hang from a goroutine in main.keep", "started at main.local"), go=EACH_GO),
))
GO_HELD_POOL = Batch(after=4, before=4, rows=(
    Row("buffers in a pool", "pool-retention", go("go_held", "pool", stripped=False), go("go_held", "-fix", "pool", stripped=False),
        problem=False, bytes=64 * MIB, says=("lie in a sync.Pool, the variable main.buffers",), go=EACH_GO),
    Row("two variables", "held-heap", go("go_held", "twice", stripped=False), go("go_held", "-fix", "twice", stripped=False),
        problem=False, bytes=64 * MIB, says=("which is nearest, and from others",), go=EACH_GO),
))

# What is so for a moment is no problem: three scans have it.
GO_HEAP = Batch(after=6, before=25, rows=(
    Row("idle heap", "idle-heap", finds("idle"), finds("idle", "-fix"), bytes="free", go=(GO_1_24, GO_1_27), promise="free"),
    Row("collector off", "gc-headroom", finds("headroom"), finds("headroom", "-fix"), bytes="known", go=EACH_GO,
        says=("the collector is off (GOGC=off)",)),
    Row("fragmentation", "fragmentation", finds("fragments"), finds("fragments", "-fix"), bytes="unused", go=EACH_GO),
    Row("given back lazily", "lazy-free", finds("given_back", environment=lambda: {"GODEBUG": "madvdontneed=0"}), finds("given_back"),
        bytes="known", go=EACH_GO),
))
GO_REST = Batch(after=6, before=25, rows=(
    Row("large stacks", "goroutine-stacks", finds("stacks"), finds("stacks", "-fix"), bytes=2000 * 120 << 10, near=0.1, go=EACH_GO,
        says=("in 2000 goroutines in chan receive at main.descend",)),
    Row("memory never touched", "untouched-large-allocation", finds("untouched"), finds("untouched", "-fix"), problem=False, go=EACH_GO),
    Row("buckets of the profiler", "profiler-buckets", finds("profiler"), finds("profiler", "-fix"), bytes="buckets", go=EACH_GO),
    # Its heap bitmap takes a 32nd of the peak; newer releases keep it in the spans, where little stays.
    Row("tables after a peak", "metadata-after-peak", finds("metadata"), finds("metadata", "-fix"), go=(GO_1_19,)),
    Row("many connections", "goroutines", go("go_held", "many", stripped=False), go("go_held", "-fix", "many", stripped=False),
        problem=False, says=("2000 in chan receive at main.serve",), figures=(("goroutines", 2000),), go=EACH_GO),
))

# What an allocator gives back by itself within a minute is no problem.
C_HEAP = Batch(after=4, before=65, rows=(
    Row("freed below an object", "c-heap-free", heap("freed"), heap("used"), promise="trim"),
    Row("every second large object freed", "c-heap-free", heap("every_second", 64), heap("mapped", 64), promise="trim"),
    Row("pages pinned by small objects", "c-heap-free", heap("pinned", 28), heap("caches", 28), problem=False, promise="trim"),
    Row("arenas of threads", "c-heap-free", heap("arenas"), heap("full_arenas"), promise="trim", says=("arenas beside the main one",)),
    Row("arenas of CPython", "python-arenas", python(PYTHON.format("kept = objects[::1000]; del objects")), python(PYTHON.format("")),
        problem=False),
))
OTHER_HEAPS = Batch(after=4, before=65, rows=(
    Row("jemalloc", "c-heap-free", other("freed", "libjemalloc.so.2"), other("used", "libjemalloc.so.2"), promise="purge"),
    Row("tcmalloc", "c-heap-free", other("freed", "libtcmalloc_minimal.so.4"), other("used", "libtcmalloc_minimal.so.4"),
        promise="purge"),
    Row("mimalloc", "c-heap-free", other("freed", "libmimalloc.so.2"), other("used", "libmimalloc.so.2"), problem=False),
    Row("musl", "c-heap-free", built("musl-gcc", source="other_heap.c", arguments=("freed", 100, "late")),
        built("musl-gcc", source="other_heap.c", arguments=("used", 100, "late")), problem=False),
))

C_CAUSES = Batch(after=6, before=6, rows=(
    Row("variables of a C program", "program-data", c("causes", "table"), c("causes", "small_table"), problem=False, bytes=96 * MIB,
        says=("table in .bss",)),
    Row("threads that nobody joins", "thread-leak", c("causes", "unjoined"), c("causes", "joined"),
        figures=(("ended_threads", 1000), ("not_joined", 960))),
    Row("deep stacks", "thread-stacks", c("causes", "deep"), c("causes", "shallow"), bytes=40 * 2 * MIB),
    Row("a file", "file-mapping", c("causes", "file"), c("causes", "small_file"), problem=False, bytes=64 * MIB),
    Row("shared memory", "shared-memory", c("causes", "shared"), c("causes", "small_shared"), problem=False, bytes=96 * MIB,
        says=("shared with 3 other processes",)),
    Row("copies since a fork", "unshared-by-fork", c("causes", "prefork"), c("causes", "no_fork"), problem=False, first=False,
        bytes=96 * MIB, says=("32.0 MiB of the same mappings are still shared with 1 other process",)),
    Row("a peak that is over", "transient-spike", c("causes", "spike"), c("causes", "no_spike"), problem=False, first=False,
        figure="peak_bytes", bytes=401 * MIB),
))
# What the kernel or the compiler of this machine may refuse.
MACHINE = Batch(after=6, before=6, rows=(
    Row("stacks in huge pages", "huge-pages", c("causes", "stacks"), c("causes", "small_stacks"), bytes=320 * MIB),
    Row("locked memory", "locked-memory", c("causes", "locked"), c("causes", "small_shared"), problem=False, first=False,
        figure="locked_bytes", bytes=128 * MIB),
))
BUILDS = Batch(after=4, before=4, rows=(
    Row("AddressSanitizer", "instrumented-build", built("gcc", "-fsanitize=address"), built("gcc"), says=("AddressSanitizer",),
        problem=False, known_before=False),
    Row("ThreadSanitizer", "instrumented-build", built("gcc", "-fsanitize=thread"), built("gcc"), says=("ThreadSanitizer",),
        known_before=False),
    Row("MemorySanitizer", "instrumented-build", built("clang-16", "-fsanitize=memory"), built("clang-16"), says=("MemorySanitizer",),
        known_before=False),
))

BATCHES = {"growth": GROWTH, "go_growth": GO_GROWTH, "leaks": LEAKS, "idle_leaks": IDLE_LEAKS, "go_causes": GO_CAUSES, "go_held": GO_HELD,
           "go_held_texts": GO_HELD_TEXTS, "go_held_pool": GO_HELD_POOL, "go_heap": GO_HEAP, "go_rest": GO_REST, "c_heap": C_HEAP,
           "other_heaps": OTHER_HEAPS, "c_causes": C_CAUSES, "machine": MACHINE, "builds": BUILDS}
