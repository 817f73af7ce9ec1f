# SPDX-License-Identifier: Apache-2.0
"""Stacks of programs without frame pointers, recorded from their first instruction on: how many bytes have a whole one, and
whether the callers are those that are known."""
import contextlib
import os
import re
import shutil
import signal
import subprocess

from support import DEADLINE, ROOT, absent
from support.workloads import go

MEMSET = ("memset", "local function after ")  # as glibc's is called with its debug file installed, and without
KINDS = ["whole", "recovered", "frame_pointers", "jit", "cut", "unreadable", "lost"]


@contextlib.contextmanager
def recorded(case, *command):
    """The explanation, with cells, of a command that keeps its memory and says "ready": of the largest process."""
    memwhy = case.start_memwhy("record", "-o", "stacks.memwhy", "--", *command, stdin=subprocess.PIPE)
    assert memwhy.stdout.readline() == "ready\n"
    memwhy.send_signal(signal.SIGINT)
    assert memwhy.wait(timeout=DEADLINE) == 0
    explanation = case.explain("stacks.memwhy", "--cells", cwd=case.folder)
    yield max(explanation["processes"], key=lambda process: process["rss"]["bytes"] or 0)
    memwhy.stdin.close()


def known_share(process, made=False):
    """Of the bytes with a stack, what has one that is whole; made: or reaches the outermost frame through code that a run time
    made. Each kind is said, and they are the cells' own."""
    by_kind = process["coverage"]["stacks"]
    assert list(by_kind) == KINDS, by_kind
    cells = dict.fromkeys(KINDS, 0)
    for cell in process["cells"]:
        if cell["stack"] is not None:
            cells[process["stacks"][cell["stack"]]["trust"]] += cell["bytes"]
    for kind in KINDS[:-1]:
        assert cells[kind] <= by_kind[kind], (kind, cells, by_kind)
    total = sum(by_kind.values())
    share = (by_kind["whole"] + by_kind["recovered"] + (by_kind["jit"] if made else 0)) / total
    mib = ", ".join(f"{kind} {n / (1 << 20):.1f}" for kind, n in by_kind.items() if n)
    print(f"whole or recovered{', or through made code' if made else ''}: {share:.2%} of {total / (1 << 20):.1f} MiB ({mib})")
    return share


def stacks(process):
    """(bytes, names of the functions, innermost first) of each stack."""
    found = {}
    for cell in process["cells"]:
        if cell["stack"] is not None:
            found[cell["stack"]] = found.get(cell["stack"], 0) + cell["bytes"]
    names = [frame["function"] or "?" for frame in process["frames"]]
    return [(n, [names[frame] for frame in process["stacks"][at]["frames"]]) for at, n in found.items()]


def bytes_below(process, *chain):
    """What was touched by stacks that have these functions next to each other, innermost first; a name may be a part, or a tuple of
    parts of which one is enough."""
    def matches(part, name):
        return any(each in name for each in ([part] if isinstance(part, str) else part))

    def has(names):
        starts = range(len(names) - len(chain) + 1)
        return any(all(matches(part, name) for part, name in zip(chain, names[i:])) for i in starts)
    return sum(n for n, names in stacks(process) if has(names))


def test_the_zoo_of_c(case):
    with recorded(case, case.build / "workloads/stack_zoo") as process:
        assert known_share(process) >= 0.97
        for store in ["storeA", "storeB"]:  # the direct caller of libc's memset
            got = bytes_below(process, MEMSET, store, "everything", "main")
            assert got >= 0.99 * (8 << 20), (store, got, stacks(process)[:8])
        part = 128 * 4096
        for chain, times in [(("touchPages", "recursive", "recursive", "recursive", "withAlloca", "everything", "main"), 4),
                             (("touchPages", "recursive", "recursive", "recursive", "recursive", "realigned", "everything", "main"), 4),
                             (("touchPages", "recursive", "recursive", "recursive", "inCoroutine"), 4),
                             (("touchPages", "recursive", "recursive", "recursive", "onSignal"), 8),
                             (("touchPages", "never", "endsInNever", "everything", "main"), 4)]:
            got = bytes_below(process, *chain)
            assert got >= 0.9 * times * part, (chain, got)
        for outermost in ["sortInts", "raiseBoth"]:
            assert bytes_below(process, outermost, "everything", "main") >= 4 * 0.9 * part, outermost


PYTHON = """
import json, sys, time
def keep():
    text = json.dumps([{"name": "n%d" % i, "values": [i, i + 1.5, str(i)]} for i in range(40000)])
    return json.loads(text)
end = time.monotonic() + 1
while True:
    kept = [keep(), b"x" * (8 << 20)]
    if time.monotonic() > end:
        break
print("ready", flush=True)
sys.stdin.readline()
"""


def test_python(case):
    """Its arenas stay as they were touched first, when all was new: the figure is that of its start."""
    with recorded(case, "python3", "-c", PYTHON) as process:
        assert known_share(process) >= 0.6


def test_go_with_cgo(case):
    folder = case.build / "workloads"
    folder.mkdir(exist_ok=True)
    if shutil.which("go") is None or shutil.which("cc") is None:
        absent("no go, or no C compiler for it")
    done = subprocess.run(["go", "build", "-o", folder / "stack_cgo", "."], cwd=ROOT / "tests/workloads/stack_cgo",
                          env=dict(os.environ) | {"CGO_ENABLED": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with recorded(case, folder / "stack_cgo") as process:
        assert known_share(process) >= 0.8
        assert bytes_below(process, MEMSET, "storeInC") >= 0.99 * (16 << 20)
        assert bytes_below(process, "main.touch", "main.goTouches") >= 0.99 * (16 << 20)
        # both ways through cgo, to the first function of the goroutine
        assert bytes_below(process, "runtime.asmcgocall", "runtime.cgocall", "main._Cfunc_c_calls_back", "main.main",
                           "runtime.main", "runtime.goexit") >= 0.8 * (16 << 20)


def test_a_go_collector_under_stress(case):
    """Trees that are built and dropped: half of all faults have a stack of their own. Each is kept, and none is cut."""
    program = case.folder / "go_gc"
    go("go1.26.8", "build", "-o", program, ROOT / "tests/bench/workloads/go_gc/main.go")
    case.memwhy("record", "-o", case.folder / "gc.memwhy", "--", program, env=dict(os.environ) | {"GOMAXPROCS": "4"})
    done = subprocess.run([case.build / "bin/trace_dump", case.folder / "gc.memwhy"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    said = [line for line in lines if " coverage: " in line][-1]
    new, lost = (int(n.replace(",", "")) for n in re.search(r"stacks ([\d,]+) new, ([\d,]+) lost", said).groups())
    kept = [line for line in lines if re.search(r" stack \d+ \d+ frames", line)]
    print(f"{new} stacks, {lost} lost, {len(kept)} recorded")
    assert lost == 0 and new > 16384, said  # of 100,000 faults; some ten thousand fewer where collections are rare
    assert not [line for line in kept if ", cut" in line][:1]
    assert len(kept) > 5000, len(kept)


NODE = """
const kept = [];
for (let i = 0; i < 200000; i++) kept.push({ name: "n" + i, values: [i, i + 1.5, String(i)] });
const text = JSON.stringify(kept);
kept.push(JSON.parse(text), Buffer.alloc(8 << 20, 1));
console.log("ready");
process.stdin.on("data", () => {});
"""


def test_node(case):
    """Its compiled code is in no file: what is above it is by frame pointers, and said so."""
    node = shutil.which("node")
    if node is None:
        absent("no node")
    with recorded(case, node, "-e", NODE) as process:
        assert known_share(process, made=True) >= 0.5  # on a busy machine it runs ahead of whoever learns
        for names in (names for _, names in stacks(process)):  # what has no name is one frame, however many there are
            assert not any(a == b == "[JIT]" for a, b in zip(names, names[1:])), names


FILL = """
function fillRows(n) {
  const rows = [];
  for (let i = 0; i < n; i++) rows.push(new Float64Array(1 << 17).fill(i));
  return rows;
}
const kept = [];
for (let i = 0; i < 8; i++) kept.push(fillRows(8));
console.log("ready");
process.stdin.on("data", () => {});
"""


def test_node_says_how_its_functions_are_called(case):
    """It writes the names of its compiled code for profilers, when told to: they stand in the stacks."""
    node = shutil.which("node")
    if node is None:
        absent("no node")
    with recorded(case, node, "--perf-basic-prof", "--interpreted-frames-native-stack", "-e", FILL) as process:
        by_function = bytes_below(process, "fillRows")
        assert by_function >= 63 << 20, (by_function, stacks(process)[:8])  # 64 arrays of 1 MiB


def test_jvm(case):
    java = shutil.which("java")
    if java is None:
        absent("no java")
    shutil.copy(ROOT / "tests/workloads/Keep.java", case.folder)
    compiler = shutil.which("javac")
    if compiler:
        subprocess.run([compiler, "Keep.java"], cwd=case.folder, check=True)
    what = ["-cp", case.folder, "Keep"] if compiler else ["Keep.java"]
    with recorded(case, java, "-Xmx256m", *what) as process:
        assert known_share(process, made=True) >= 0.5
