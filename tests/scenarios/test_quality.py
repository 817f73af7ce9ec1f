# SPDX-License-Identifier: Apache-2.0
"""How well the pages of real programs are known, recorded from their first instruction: a compiler, Go, Python and node.

In every scan of every process: each page has one owner, and at most 0.1 % of the pages that came after attach have no evidence.
Of all scans together: at most 0.5 % are believed to be there and are not. No event is lost, and what the kernel side saw is what
it delivered.
The figures are printed, also when the test passes.
"""
import os
import re
import shutil
import subprocess

from support import ROOT, Skip
from support.answers import born, page_scans
from support.workloads import go

WORKLOADS = ROOT / "tests/bench/workloads"
# That exec itself fills, before anything can fault: where the .bss of the program and of its loader begin; of the stack the page of
# the pointers, and those of the arguments and the environment, which begin anywhere in a page.
EXEC_PAGES = 2 + 1 + 2 + sum(len(name) + len(value) + 2 for name, value in os.environ.items()) // 4096


def program(name):
    path = shutil.which(name)
    if path is None:
        raise Skip(f"{name} is not installed")
    return path


def check_kinds(case, file):
    """seen = delivered + lost of each kind of event, and nothing lost; returns how many page faults were seen."""
    done = subprocess.run([case.build / "bin/trace_dump", case.folder / file], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    last = [line for line in done.stdout.splitlines() if " coverage: " in line][-1]
    kinds = {kind: tuple(map(int, (a.replace(",", ""), b.replace(",", ""), c.replace(",", ""))))
             for kind, a, b, c in re.findall(r'"(\w+)" ([\d,]+) seen = ([\d,]+) delivered \+ ([\d,]+) lost', last)}
    assert "page_fault" in kinds and "vma_map" in kinds, last
    for kind, (seen, delivered, lost) in kinds.items():
        assert seen == delivered + lost and lost == 0, f"{kind}: {seen} seen, {delivered} delivered, {lost} lost"
    return kinds["page_fault"][0]


def quality(case, name, scans, faults):
    """The figures of all scans together, checked."""
    total = {key: 0 for key in ("resident", "born", "unknown", "stale", "stack_lost")}
    ways, worst = {}, 0.0
    for scan in scans:
        assert scan["sum"] == scan["resident"] == sum(scan["how"].values()), scan
        assert scan["doubtful"] == 0, scan
        unknown = scan["how"].get("unknown", 0)
        total["resident"] += scan["resident"]
        total["born"] += born(scan)
        total["unknown"] += unknown
        total["stale"] += scan["stale"]
        total["stack_lost"] += scan["stack_lost"]
        worst = max(worst, unknown / max(born(scan), 1))
        # Besides those of exec: their mapping owns them.
        assert unknown <= 0.001 * born(scan) + EXEC_PAGES, f"{unknown} of {born(scan)} unattributed in {scan}"
        for way, pages in scan["how"].items():
            ways[way] = ways.get(way, 0) + pages
    shares = ", ".join(f"{way} {100 * pages / total['resident']:.2f} %" for way, pages in sorted(ways.items()))
    print(f"{name}: {len(scans)} scans of {len({s['space'] for s in scans})} spaces, {faults} faults, {total['resident']} pages: {shares}; "
          f"unattributed {100 * total['unknown'] / total['born']:.4f} % of those born after attach (worst scan {100 * worst:.3f} %), "
          f"stale {100 * total['stale'] / total['resident']:.4f} %, without their stack {100 * total['stack_lost'] / total['resident']:.3f} %")
    assert total["born"] > 1000, "too little to judge"
    assert total["stale"] <= 0.005 * total["resident"], f"{total['stale']} of {total['resident']} stale"


def run(case, name, command, *options):
    # 20 s: a scan each 5 s, and at each second in which RSS moved by 5 %. The recording ends with the command.
    _, err = case.memwhy("record", "-d", "20s", *options, "-o", "quality.memwhy", "--", *command, cwd=case.folder)
    assert "exited with status 0" in err, err
    explanation = case.explain("quality.memwhy", cwd=case.folder)  # checks that each timeline point sums to its scan
    assert explanation["coverage"]["events_lost"] == 0 and explanation["coverage"]["recording"]["damage"] == []
    scanned = [p for p in explanation["processes"] if p["ledger"]]
    assert scanned and sum(len([t for t in p["timeline"] if t["ledger"]]) for p in scanned) > 0
    for point in [point for process in scanned for point in process["timeline"] if point["ledger"]]:
        assert point["ledger"].get("unattributed", 0) <= 0.001 * point["rss_bytes"], point
    faults = check_kinds(case, "quality.memwhy")
    quality(case, name, page_scans(case, "quality.memwhy"), faults)


def test_compiler(case):
    run(case, "g++", [program("g++"), "-O0", "-c", WORKLOADS / "regex.cpp", "-o", "regex.o"])


def test_compiler_followed(case):
    run(case, "g++ --follow", [program("g++"), "-O0", "-c", WORKLOADS / "regex.cpp", "-o", "regex.o"], "--follow")


def test_go(case):
    out = case.folder / "go_gc"
    go("go1.26.8", "build", "-o", out, WORKLOADS / "go_gc/main.go")
    run(case, "Go", [out])


def test_python(case):
    run(case, "python", [program("python3"), WORKLOADS / "json_objects.py"])


def test_node(case):
    run(case, "node", [program("node"), WORKLOADS / "objects.js"])
