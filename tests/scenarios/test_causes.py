# SPDX-License-Identifier: Apache-2.0
"""Memory beside RSS, of a program that is known to have it (workloads/causes.c). Causes of what is in RSS are rows of the scoreboard
(rows.py)."""
import pathlib
import subprocess

from support import MIB, Skip
from support.answers import only_process
from support.scoreboard import figure, finding


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


def c_story(case, name):
    return Story(case, [case.build / "workloads/causes", name])


def test_huge_pages_beside_rss(case):
    pool = pathlib.Path("/proc/sys/vm/nr_hugepages")
    had = int(pool.read_text())
    try:
        pool.write_text(str(had + 16))
        if int(pool.read_text()) < had + 16:
            raise Skip("the kernel has no 16 huge pages to give")
        story = c_story(case, "hugetlb")
        story.happen()
        process = only_process(case.explain("-p", story.pid, "-d", 3))
        assert figure(finding(process, "hugetlb"), "hugetlb_bytes") == 32 * MIB
        assert process["rss"]["bytes"] < 8 * MIB
        text, _ = case.memwhy("explain", "-p", story.pid, "-d", 1)
        assert "32.0 MiB more are in huge pages (hugetlb)" in text.splitlines()[0], text
        story.process.kill()
        story.process.wait()
    finally:
        pool.write_text(str(had))
