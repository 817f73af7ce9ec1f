# SPDX-License-Identifier: Apache-2.0
"""Parts of a recording, two of them side by side, and limits for CI."""
import json
import signal
import subprocess

from support import MIB
from support.answers import ledger, only_process
from support.workloads import go

# Holds what the lines on its stdin say: each a number of MiB more, by a function of its own.
STEPS = """
import sys
kept = []
def grow(mib):
    kept.append(bytearray(b"x") * (mib << 20))
for line in sys.stdin:
    grow(int(line))
    print("has", line.strip(), flush=True)
"""


class Steps:
    def __init__(self, case):
        self.process = case.start(["python3", "-c", STEPS], stdin=subprocess.PIPE)
        self.pid = self.process.pid

    def grow(self, mib):
        self.process.stdin.write(f"{mib}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == f"has {mib}\n"


def recorded(case, steps, name, *mibs):
    """A recording in which it grows by these; its first and its last scan see it before and after."""
    memwhy = case.start_memwhy("record", "-p", steps.pid, "-o", name)
    for mib in mibs:
        steps.grow(mib)
    case.finish(memwhy, signal.SIGINT)
    return name


def test_a_part_of_a_recording(case):
    """From its last moment on there is no growth, up to its first moment there is none yet; both know all stacks."""
    steps = Steps(case)
    steps.grow(32)
    recorded(case, steps, "r.memwhy", 64)
    whole = only_process(case.explain("r.memwhy", cwd=case.folder))
    assert whole["rss"]["bytes"] - whole["rss"]["start_bytes"] >= 64 * MIB, whole["rss"]
    scans = [point["t"] for point in whole["timeline"] if point["ledger"]]
    first = only_process(case.explain("r.memwhy", "--to", scans[0].replace("Z", "999Z"), cwd=case.folder))
    assert first["rss"]["bytes"] == whole["rss"]["start_bytes"] and first["scan_time"] == scans[0], first["rss"]
    last = only_process(case.explain("r.memwhy", "--from", scans[-1].replace("Z", "999Z"), cwd=case.folder))
    assert last["rss"]["start_bytes"] == last["rss"]["bytes"] == whole["rss"]["bytes"], last["rss"]
    assert ledger(last) == ledger(whole)
    assert all(line["growth_bytes_per_s"] in (0, None) for line in last["ledger"]), last["ledger"]


def test_moments_that_are_none(case):
    steps = Steps(case)
    recorded(case, steps, "r.memwhy", 1)
    case.fails(2, "not within the recording", arguments=["explain", "r.memwhy", "--from", "+9d"], cwd=case.folder)
    case.fails(2, "not within the recording", arguments=["explain", "r.memwhy", "--to", "2001-01-01T00:00:00Z"], cwd=case.folder)
    case.fails(2, "not a moment", arguments=["explain", "r.memwhy", "--from", "noon"], cwd=case.folder)
    case.fails(2, "not before", arguments=["explain", "r.memwhy", "--from", "-0.001s", "--to", "+0.001s"], cwd=case.folder)
    case.fails(2, "no sense with -p", arguments=["explain", "-p", steps.pid, "--from", "+1s"], cwd=case.folder)
    case.fails(2, "no finding has this id", arguments=["explain", "r.memwhy", "--fail-on", "leaks"], cwd=case.folder)


def check_diff(diff):
    """Every table of every program sums to the difference of RSS."""
    assert diff["format"] == "memwhy.diff/1"
    for program in diff["programs"]:
        before, after = ((program[side] or {"rss_bytes": 0})["rss_bytes"] for side in ("before", "after"))
        assert program["rss_change"] == after - before
        for name, table in program["by"].items():
            assert sum(line["change"] for line in table["lines"]) + table["rest"] == program["rss_change"], name
            assert all(line["after"] - line["before"] == line["change"] for line in table["lines"]), name
    return diff


def test_two_recordings(case):
    """96 MiB more, by the function that brought them; and two moments of one recording say the same."""
    steps = Steps(case)
    recorded(case, steps, "a.memwhy", 8)
    recorded(case, steps, "b.memwhy", 96)
    out, _ = case.memwhy("diff", "a.memwhy", "b.memwhy", "--json", cwd=case.folder)
    program, = check_diff(json.loads(out))["programs"]
    assert program["same_build"] and 96 * MIB <= program["rss_change"] <= 98 * MIB, program["rss_change"]
    owner = program["by"]["owner"]
    assert owner["rest"] == 0 and owner["lines"][0]["name"].startswith("c.heap") and owner["lines"][0]["change"] >= 95 * MIB, owner
    text, _ = case.memwhy("diff", "a.memwhy", "b.memwhy", cwd=case.folder)
    assert "+96." in text or "+97." in text, text
    whole = only_process(case.explain("b.memwhy", cwd=case.folder))
    first = [point["t"] for point in whole["timeline"] if point["ledger"]][0]
    out, _ = case.memwhy("diff", "b.memwhy", "--from", first.replace("Z", "999Z"), "--json", cwd=case.folder)
    program, = check_diff(json.loads(out))["programs"]
    assert program["rss_change"] == whole["rss"]["bytes"] - whole["rss"]["start_bytes"]
    functions = {line["name"]: line["change"] for line in program["by"]["function"]["lines"]}
    assert max(functions.values()) >= 95 * MIB, functions
    case.fails(2, "two FILEs", arguments=["diff", "a.memwhy", "b.memwhy", "--from", "+1s"], cwd=case.folder)
    case.fails(2, "second FILE", arguments=["diff", "a.memwhy"], cwd=case.folder)
    case.fails(6, arguments=["diff", "a.memwhy", "/dev/null"], cwd=case.folder)


def test_two_builds(case):
    """A function that stands on another line of another build is the same function; a goroutine group too."""
    names = []
    for padding in (0, 40):
        source = case.folder / f"build{padding}" / "web.go"
        source.parent.mkdir()
        source.write_text(GO.replace("PADDING", "\n" * padding))
        go("debian", "build", "-o", source.parent / "web", source)
        target = case.start([source.parent / "web", str(32 + padding)], stdin=subprocess.PIPE)
        assert target.stdout.readline() == "ready\n"
        case.memwhy("record", "-p", target.pid, "-d", 1, "-o", f"{padding}.memwhy", cwd=case.folder)
        names.append(f"{padding}.memwhy")
    out, _ = case.memwhy("diff", *names, "--json", cwd=case.folder)
    program, = check_diff(json.loads(out))["programs"]
    assert not program["same_build"] and 40 * MIB <= program["rss_change"] <= 43 * MIB, program["rss_change"]
    groups = [line["name"] for line in program["by"]["goroutine_group"]["lines"]]
    changed = {line["name"]: line for line in program["by"]["goroutine_group"]["lines"]}
    name, = [name for name in groups if "main.keep" in name]
    assert changed[name]["count_before"] == 32 and changed[name]["count_after"] == 72, changed[name]
    assert 40 * MIB <= changed[name]["change"] <= 41 * MIB, changed[name]


GO = """package main

import (
	"fmt"
	"os"
	"strconv"
)
PADDING
func keep(ready, forever chan []byte) {
	mine := make([]byte, 1<<20)
	for i := range mine {
		mine[i] = 1
	}
	ready <- nil
	forever <- mine
}

func main() {
	count, _ := strconv.Atoi(os.Args[1])
	ready, forever := make(chan []byte), make(chan []byte)
	for i := 0; i < count; i++ {
		go keep(ready, forever)
		<-ready
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
}
"""


def test_limits(case):
    """Kept: status 0. Broken: status 3, a sentence for each, and the same as JSON."""
    steps = Steps(case)
    steps.grow(64)
    recorded(case, steps, "r.memwhy", 1)
    out, _ = case.memwhy("check", "r.memwhy", "--max-rss", "1G", "--max-owner", "c.heap=500M", "--fail-on", "any-problem",
                         cwd=case.folder)
    assert "3 limits kept" in out, out
    sentence = case.fails(3, "RSS of", "more than 32.0 MiB", "(and 1 more)",
                          arguments=["check", "r.memwhy", "--max-rss", "32M", "--max-owner", "c.heap=1M"], cwd=case.folder)
    assert str(steps.pid) in sentence
    out, _ = case.memwhy("check", "r.memwhy", "--max-rss", "32M", "--json", cwd=case.folder, status=3)
    checked = json.loads(out)
    assert checked["format"] == "memwhy.check/1" and checked["passed"] is False
    broken, = checked["broken"]
    assert broken["limit"] == "max_rss" and broken["allowed_bytes"] == 32 * MIB and broken["bytes"] >= 64 * MIB, broken
    case.fails(2, "say what to check", arguments=["check", "r.memwhy"], cwd=case.folder)
    case.fails(2, "no line of a ledger", arguments=["check", "r.memwhy", "--max-owner", "heap=1M"], cwd=case.folder)


def test_against_bases(case):
    """Repetitions of the same are no failure, 64 MiB more are, and the sentence says how much more."""
    bases = []
    for name in ("base1.memwhy", "base2.memwhy"):
        steps = Steps(case)
        steps.grow(64)
        bases.append(recorded(case, steps, name, 1))
    same = Steps(case)
    same.grow(64)
    recorded(case, same, "same.memwhy", 1)
    out, _ = case.memwhy("check", "same.memwhy", "--against", *bases, cwd=case.folder)
    assert "2 bases kept" in out, out
    recorded(case, same, "more.memwhy", 64)
    case.fails(3, "more than", "the mean of 2 bases", arguments=["check", "more.memwhy", "--against", *bases], cwd=case.folder)


def test_fail_on(case):
    """A leak is a problem, and status 3 says so; of another id it does not."""
    jobs = case.hourly_job("debian", "-period", "4s", "-hold", 3, "-runs", 7)  # who waits for 10 s is blocked
    jobs.holds()
    memwhy = case.start_memwhy("record", "-p", jobs.pid, "-o", "leak.memwhy")
    jobs.go_on()
    jobs.done()
    case.finish(memwhy)
    case.memwhy("explain", "leak.memwhy", "--fail-on", "race-detector", cwd=case.folder)
    case.fails(3, "goroutine-leak is a problem of hourly_job", arguments=["explain", "leak.memwhy", "--fail-on",
                                                                          "race-detector,goroutine-leak"], cwd=case.folder)
    case.fails(3, "goroutine-leak", arguments=["check", "leak.memwhy", "--fail-on", "any-problem"], cwd=case.folder)
    out, _ = case.memwhy("explain", "leak.memwhy", "--json", "--min-share", "100%", "--fail-on", "any-problem", cwd=case.folder)
    assert only_process(json.loads(out))["findings"] == []
