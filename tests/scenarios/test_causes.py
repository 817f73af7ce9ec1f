# SPDX-License-Identifier: Apache-2.0
"""Causes that a fact of the kernel, of a mapping or of a runtime decides, each on a program that has it and is known to have it
(workloads/causes.c, workloads/go_causes), attached after it happened and, where that sees something else, before; and the same
program without the cause, of which none of it is said."""
import pathlib
import subprocess

from support import MIB, Skip
from support.answers import ledger, only_process, problems
from support.referees import until_still

NEW, OLD = "go1.27.3", "debian"


class Story:
    """causes STORY or go_causes STORY, before anything happened; happen() makes it happen."""

    def __init__(self, case, command):
        self.process = case.start(command, stdin=subprocess.PIPE)
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "ready\n"

    def happen(self, what="go on"):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().strip()
        if line.startswith("skip "):
            raise Skip(line[5:])
        assert line == "done", line
        until_still(self.pid)


def c_story(case, name):
    return Story(case, [case.build / "workloads/causes", name])


def go_story(case, name, toolchain=NEW, *, fix=False, stripped=True):
    program = case.go_build("go_causes", toolchain, stripped=stripped)
    return Story(case, [program, *(["-fix"] if fix else []), name])


def after(case, story, seconds=3):
    story.happen()
    return only_process(case.explain("-p", story.pid, "-d", seconds))


def before(case, story):
    with case.watching(story.pid) as watch:
        story.happen()
    return only_process(watch.explanation)


def finding(process, cause):
    return next((each for each in process["findings"] if each["id"] == cause), None)


def figure(found, name):
    return next(each["value"] for each in found["figures"] if each["id"] == name)


def first(process, cause):
    """The first thing that is said."""
    assert process["findings"][0]["id"] == cause, [(each["id"], each["claim"]) for each in process["findings"]]
    return process["findings"][0]


def near(value, wanted, part=0.05):
    assert abs(value - wanted) <= part * wanted, (value, wanted)


def no_problem(process, *causes):
    assert problems(process) == [], [each["claim"] for each in problems(process)]
    for cause in causes:
        assert finding(process, cause) is None, finding(process, cause)


def test_variables_of_a_go_program(case):
    for toolchain in (NEW, OLD):
        process = after(case, go_story(case, "table", toolchain))
        assert process["go"]["layout"] == "table", process["go"]  # a large data segment does not turn it off
        near(ledger(process)["program.data"], 300 * MIB)
        assert "(.noptrbss)" in first(process, "program-data")["claim"]
    process = before(case, go_story(case, "table", stripped=False))
    near(first(process, "program-data")["bytes"], 300 * MIB)
    assert any(each.startswith("main.table in .noptrbss") for each in finding(process, "program-data")["evidence"])
    process = after(case, go_story(case, "table", fix=True))
    no_problem(process)
    assert ledger(process)["program.data"] <= 4 * MIB, ledger(process)  # what was touched, not what is declared


def test_variables_of_a_c_program(case):
    for process in (after(case, c_story(case, "table")), before(case, c_story(case, "table"))):
        near(ledger(process)["program.data"], 96 * MIB)
        assert any("table in .bss" in each for each in first(process, "program-data")["evidence"]), process["findings"]


def test_huge_pages_beside_rss(case):
    pool = pathlib.Path("/proc/sys/vm/nr_hugepages")
    had = int(pool.read_text())
    try:
        pool.write_text(str(had + 16))
        if int(pool.read_text()) < had + 16:
            raise Skip("the kernel has no 16 huge pages to give")
        story = c_story(case, "hugetlb")
        process = after(case, story)
        assert figure(finding(process, "hugetlb"), "hugetlb_bytes") == 32 * MIB
        assert process["rss"]["bytes"] < 8 * MIB
        text, _ = case.memwhy("explain", "-p", story.pid, "-d", 1)
        assert "32.0 MiB more are in huge pages (hugetlb)" in text.splitlines()[0], text
        story.process.kill()
        story.process.wait()
    finally:
        pool.write_text(str(had))


def test_execution_trace_whose_reader_takes_nothing(case):
    process = after(case, go_story(case, "trace"))
    found = first(process, "trace-buffers")
    assert found["kind"] == "problem" and found["confidence"] == "high", found
    near(found["bytes"], 64 * MIB, 0.1)
    assert finding(process, "metadata-after-peak") is None
    no_problem(after(case, go_story(case, "trace", fix=True)), "trace-buffers")


def test_objects_behind_a_blocked_finalizer(case):
    for toolchain in (NEW, OLD):
        process = after(case, go_story(case, "finalizer", toolchain), seconds=8)
        found = first(process, "finalizer-queue")
        assert found["kind"] == "problem", found
        near(found["bytes"], 100 * MIB)
        assert 199 <= figure(found, "waiting") <= 201, found
        assert "main.(*handle).close" in found["claim"], found
        no_problem(after(case, go_story(case, "finalizer", toolchain, fix=True)), "finalizer-queue")


def test_threads_that_nobody_joins(case):
    for process in (after(case, c_story(case, "unjoined")), before(case, c_story(case, "unjoined"))):
        found = first(process, "thread-leak")
        assert found["kind"] == "problem", found
        assert figure(found, "ended_threads") == 2000 and figure(found, "not_joined") == 1960, found
        near(found["bytes"], ledger(process)["thread.stacks.ended"])
        assert found["bytes"] >= 2000 * 24 << 10, found
    no_problem(after(case, c_story(case, "joined")), "thread-leak")


def test_stacks_in_huge_pages(case):
    story = c_story(case, "stacks")
    process = after(case, story)
    rollup = pathlib.Path(f"/proc/{story.pid}/smaps_rollup").read_text()
    if int(rollup.split("AnonHugePages:")[1].split()[0]) < 300 << 10:
        raise Skip("the kernel gave no huge pages")
    found = first(process, "huge-pages")
    near(found["recoverable_bytes"], 320 * MIB)
    no_problem(after(case, c_story(case, "small_stacks")), "huge-pages")


def test_locked_memory(case):
    process = after(case, c_story(case, "locked"))
    assert figure(finding(process, "locked-memory"), "locked_bytes") == 128 * MIB
    assert process["findings"][0]["id"] != "locked-memory"  # whose it is comes first
    no_problem(process)


def test_mappings_of_a_go_program(case):
    for process in (after(case, go_story(case, "mappings")), before(case, go_story(case, "mappings"))):
        near(first(process, "own-mappings")["bytes"], 96 * MIB)
        no_problem(process)
    seen = before(case, go_story(case, "mappings"))
    assert any("main.maps" in each for each in finding(seen, "own-mappings")["evidence"]), seen["findings"]
    no_problem(after(case, go_story(case, "mappings", fix=True)), "own-mappings")
