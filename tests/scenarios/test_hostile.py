# SPDX-License-Identifier: Apache-2.0
"""Targets that do something to whoever looks at them: memwhy ends in time, says what it could not see, and sees the rest."""
import os
import pathlib
import signal
import subprocess

from support import absent
from support.answers import only_process


def children_of(pid):
    """memwhy's own: who opens files of targets, and who parses them."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"\nPPid:\t{pid}\n" in (entry / "status").read_text():
                found[(entry / "comm").read_text().strip()] = int(entry.name)
        except OSError:
            pass  # it has just left
    return found


def test_files_whose_server_is_silent(case):
    """The open of a file blocks for ever, in the kernel, where no signal arrives."""
    mount = case.folder / "mount"
    mount.mkdir()
    server = case.start([case.build / "workloads/silent_files", mount], stdin=subprocess.PIPE)
    line = server.stdout.readline().split()
    if not line:
        absent("no FUSE here")
    target = int(line[1])
    server.stdin.write("silent\n")
    server.stdin.flush()
    assert server.stdout.readline() == "is silent\n"
    explanation = case.explain("-p", target, "-d", 3)
    server.stdin.close()
    unanswered = server.stdout.read().split()
    assert unanswered, "nobody asked for the file: the scenario shows nothing"
    told = [line for line in explanation["coverage"]["not_seen"] if "did not answer" in line]
    assert told, explanation["coverage"]["not_seen"]
    process = only_process(explanation)
    assert process["rss"]["bytes"] > 0
    assert explanation["coverage"]["recording"]["complete"]


def test_the_children_are_killed(case):
    """kill -9 of those who open and parse files, again and again: names may be lost, nothing else, and it is told."""
    target = case.start(["python3", "-c", CHURN], stdin=subprocess.PIPE)
    assert target.stdout.readline() == "ready\n"
    memwhy = case.start_memwhy("record", "-p", target.pid, "-o", "killed.memwhy")
    killed, stopped = 0, None
    for step in range(12):
        children = children_of(memwhy.pid)
        if step == 5:  # one that hangs: memwhy, with what is left of its privileges, ends it
            stopped = children["memwhy:opener"]
            os.kill(stopped, signal.SIGSTOP)
        for name in ("memwhy:opener", "memwhy:parser")[step % 2:][:1]:
            if name in children:
                os.kill(children[name], signal.SIGKILL)
                killed += 1
        target.stdin.write("\n")  # a library that was not mapped yet, and memory touched from it
        target.stdin.flush()
        assert target.stdout.readline() == f"step {step}\n"
    case.finish(memwhy)
    explanation = case.explain("killed.memwhy", cwd=case.folder)
    assert killed >= 2, killed
    assert explanation["coverage"]["recording"]["complete"]
    told = [line for line in explanation["coverage"]["not_seen"] if "died; it was replaced" in line]
    assert told, explanation["coverage"]["not_seen"]
    assert stopped is not None and not pathlib.Path(f"/proc/{stopped}").exists(), "the one that hung is still there"
    assert only_process(explanation)["coverage"]["unattributed_bytes"] == 0


CHURN = """
import importlib, sys
print("ready", flush=True)
kept = []
modules = ["sqlite3", "decimal", "ssl", "curses", "xml.parsers.expat", "bz2", "lzma", "ctypes", "readline", "zlib", "_json", "array"]
for step, module in enumerate(modules):
    sys.stdin.readline()
    try:
        importlib.import_module(module)
    except ImportError:
        pass
    kept.append(bytearray(1 << 20))
    print("step", step, flush=True)
sys.stdin.readline()
"""
