# SPDX-License-Identifier: Apache-2.0
"""From what a stable Go heap hangs: programs of which it is known (workloads/go_held), attached after it was filled; and the same
programs after they let go of it, of which none of it is said."""
import subprocess

from support import MIB
from support.answers import only_process, problems
from support.referees import until_still

NEW, OLD = "go1.27.3", "debian"


def held(case, story, toolchain, *, fix=False, stripped=False, seconds=2):
    program = case.go_build("go_held", toolchain, stripped=stripped)
    process = case.start([program, *(["-fix"] if fix else []), story], stdin=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go on\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    until_still(process.pid)
    return only_process(case.explain("-p", process.pid, "-d", seconds))


def finding(process):
    return next((each for each in process["findings"] if each["id"] == "held-heap"), None)


def figure(found, name):
    return next(each["value"] for each in found["figures"] if each["id"] == name)


def said(process, megabytes, *words):
    """That it is said first, with these words, of so many bytes."""
    assert process["findings"][0]["id"] == "held-heap", [(each["id"], each["claim"]) for each in process["findings"]]
    found = process["findings"][0]
    assert found["kind"] == "explains" and problems(process) == [], found
    assert abs(found["bytes"] - megabytes * MIB) <= 0.05 * megabytes * MIB, found
    for word in words:
        assert word in found["claim"], (word, found["claim"])
    return found


def nothing(process):
    assert problems(process) == [], [each["claim"] for each in problems(process)]
    found = finding(process)
    assert found is None or found["bytes"] < 4 * MIB, found


def test_a_variable_with_two_ends(case):
    for toolchain in (NEW, OLD):
        found = said(held(case, "chain", toolchain), 96, "hang from the variable main.recent alone")
        assert found["confidence"] == "high", found
        assert any("96 of 1.0 MiB" in each for each in found["evidence"]), found["evidence"]
        assert any("main.buffer" in each for each in found["evidence"]), found["evidence"]
        nothing(held(case, "chain", toolchain, fix=True))


def test_a_map_that_was_emptied(case):
    for toolchain in (NEW, OLD):
        process = held(case, "emptied", toolchain)
        found = process["findings"][0]
        assert found["id"] == "held-heap", process["findings"]
        assert "main.sessions alone, a map of 0 entries in " in found["claim"], found["claim"]
        # No more than four times as many slots as there were entries, and each has room for 64 bytes.
        assert 1_000_000 <= figure(found, "map_slots") <= 4_000_000, found
        assert found["bytes"] >= figure(found, "map_slots") * 64, found
        nothing(held(case, "emptied", toolchain, fix=True))


def test_texts_of_which_a_part_is_kept(case):
    for toolchain in (NEW, OLD):
        found = said(held(case, "texts", toolchain), 64, "hang from the variable main.matches alone")
        assert figure(found, "pinned_objects") == 256, found
        assert figure(found, "pinned_bytes") == 64 * MIB, found
        assert figure(found, "used_bytes") == 256 * 51, found
        nothing(held(case, "texts", toolchain, fix=True))


def test_a_variable_of_a_goroutine(case):
    for toolchain in (NEW, OLD):
        said(held(case, "local", toolchain), 64, "hang from a goroutine in main.keep", "started at main.local")
        nothing(held(case, "local", toolchain, fix=True))


def test_two_variables(case):
    for toolchain in (NEW, OLD):
        process = held(case, "twice", toolchain)
        found = said(process, 64, "which is nearest, and from others")
        assert "main.one" in found["claim"] or "main.other" in found["claim"], found["claim"]
        nothing(held(case, "twice", toolchain, fix=True))


def test_a_stripped_program(case):
    for toolchain in (NEW, OLD):
        said(held(case, "texts", toolchain, stripped=True), 64, "hang from the variable at 0x", " (used by main.texts) alone")
