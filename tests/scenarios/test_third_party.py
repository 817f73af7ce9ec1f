# SPDX-License-Identifier: Apache-2.0
"""A Go program that others built and stripped: esbuild as npm ships it, after it has bundled something. Each page of its
heap has an owner, and the runtime's own counters, as memwhy tells them, sum to what the runtime has mapped.
(That the pages equal these counters to the byte is in tests/unit/goruntime/third_party_test.cpp.)"""
import subprocess

from support import MIB, ROOT, absent
from support.answers import ledger, only_process, problems
from support.referees import stopped_between_work

MODULES, FUNCTIONS = 40, 300


def source(folder):
    names = [f"m{n}" for n in range(MODULES)]
    for name in names:
        (folder / f"{name}.js").write_text("".join(
            f"export function f{n}(a, b) {{ const c = [a, b, {n}].map((x) => x * 2); return {{a, b, c}}; }}\n" for n in range(FUNCTIONS)))
    (folder / "all.js").write_text("".join(f"import * as {name} from './{name}.js'; console.log({name});\n" for name in names))
    return folder / "all.js"


def esbuild(case, version):
    """It has bundled, and watches its input: nothing changes."""
    done = subprocess.run([ROOT / "tests/workloads/esbuild.py", version, case.build / "workloads"], capture_output=True, text=True)
    if done.returncode:
        absent(done.stderr.strip())
    process = case.start([done.stdout.strip(), source(case.folder), "--bundle", "--minify", f"--outfile={case.folder}/out.js",
                          "--watch=forever"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stderr:
        if line.startswith("[watch] build finished"):
            return process
    raise AssertionError(f"esbuild {version} ended")


def told(case, version, go):
    target = esbuild(case, version)
    with stopped_between_work(target.pid):
        process = only_process(case.explain("-p", target.pid, "-d", 1))
    assert process["go"]["version"] == go and process["go"]["stripped"] is True, process["go"]
    assert process["go"]["layout"] == "table" and process["go"]["layout_problem"] is None, process["go"]
    assert process["go"]["race"] is not True and problems(process) == [], problems(process)
    totals, held = process["go"]["totals"], ledger(process)
    parts = [totals[key] for key in ("heap_in_use_bytes", "/memory/classes/heap/free:bytes", "/memory/classes/heap/stacks:bytes",
                                     "/memory/classes/profiling/buckets:bytes", "metadata_bytes", "work_buffer_bytes", "/memory/classes/other:bytes")]
    assert sum(parts) == totals["mapped_ready_bytes"], totals
    in_use = held["go.heap.live"] + held.get("go.heap.unmarked", 0) + held.get("go.heap.fragmentation", 0)
    print(f"esbuild {version}, {go}: {in_use / MIB:.1f} MiB resident of {totals['heap_in_use_bytes'] / MIB:.1f} MiB in use, "
          f"{held.get('go.heap.unclassified', 0)} bytes unclassified")
    assert in_use >= 16 * MIB, "too little to judge"
    assert held.get("go.heap.unclassified", 0) <= 0.01 * in_use, held
    assert 0.9 * totals["heap_in_use_bytes"] <= in_use <= totals["heap_in_use_bytes"], (in_use, totals)
    assert held.get("go.heap.idle", 0) <= totals["/memory/classes/heap/free:bytes"], (held, totals)
    assert 0 < held["go.stacks"] <= totals["/memory/classes/heap/stacks:bytes"], (held, totals)


def test_go_1_19(case):
    told(case, "0.15.18", "go1.19.3")


def test_go_1_20(case):
    told(case, "0.19.12", "go1.20.12")


def test_go_1_22(case):
    told(case, "0.23.1", "go1.22.5")


def test_go_1_23(case):
    told(case, "0.25.12", "go1.23.12")


def test_go_1_25_without_build_info(case):
    told(case, "0.27.1", "go1.25.4")


def test_go_1_26_without_build_info(case):
    told(case, "0.28.2", "go1.26.5")
