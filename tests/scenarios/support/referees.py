# SPDX-License-Identifier: Apache-2.0
"""The referees: what is known of a process without memwhy, from the kernel's own files and Go's own tools, and how to hold a
process still while two of them look at it.
"""
import contextlib
import os
import pathlib
import re
import signal
import subprocess

from support import DEADLINE, ROOT


@contextlib.contextmanager
def quiet(pids):
    """They are stopped meanwhile: every thread, seen to be."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            while not all(task.read_text().rpartition(")")[2].split()[0] in "tT"
                          for task in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")):
                os.sched_yield()
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def until_still(pid):
    """Returns once no thread runs or is ready to, three times in a row: what its goroutines did is done."""
    still = 0
    while still < 3:
        tasks = [task.read_text() for task in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")]
        assert tasks, f"pid {pid} is gone"
        still = 0 if any(task.rpartition(")")[2].split()[0] == "R" for task in tasks) else still + 1
        os.sched_yield()


@contextlib.contextmanager
def stopped_between_work(pid):
    """Stopped while every thread waits in the kernel for something to do: nothing is half done. For programs that work a
    little all the time."""
    waits = {"0", "35", "128", "202", "281"}  # read, nanosleep, rt_sigtimedwait, futex, epoll_pwait
    while True:
        with quiet([pid]):
            calls = [task.read_text().split()[0] for task in pathlib.Path(f"/proc/{pid}/task").glob("*/syscall")]
            if waits.issuperset(calls):
                yield
                return
        os.sched_yield()


def rss_rollup(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Rss:\s+(\d+) kB", text, re.M)[1]) * 1024


def rss_of(pid):
    """Rss of smaps_rollup, of the stopped process: exact."""
    with quiet([pid]):
        return rss_rollup(pid)


def vm_rss(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", text, re.M)[1]) * 1024


def pprof_inuse(file):
    """What Go's own reader of heap profiles finds in use, in bytes."""
    done = subprocess.run([ROOT / "tests/workloads/go_release", "debian", "tool", "pprof", "-sample_index=inuse_space", "-unit=B",
                           "-symbolize=none", "-top", file], capture_output=True, text=True, timeout=DEADLINE)
    found = re.search(r" of (\d+)B total", done.stdout)
    assert found, done
    return int(found[1])
