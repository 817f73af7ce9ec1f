# SPDX-License-Identifier: Apache-2.0
"""Programs with a known answer, each a class that says what can be told to it: services, jobs, findings, and single pages by
named steps. A Go program is built here for the release that a scenario asks for.

None of them knows of memwhy. What the programs themselves do is in tests/workloads.
"""
import fcntl
import json
import os
import re
import subprocess
import urllib.request

from support import DEADLINE, ROOT, Skip, absent
from support.referees import until_still


def go_build(folder, name, toolchain, *, race=False, stripped=False, library=False, tags="", arch="amd64", ldflags=""):
    """A Go workload, built by "debian" (1.19) or a release as "go1.27.3"; once for each folder. library: for C programs."""
    words = [name, toolchain, arch, *(["race"] if race else []), *(["stripped"] if stripped else []), *(["so"] if library else []),
             *([tags] if tags else [])]
    out = folder / "-".join(words)
    options = [*(["-race"] if race else []), *(["-buildmode=c-shared"] if library else []), *(["-ldflags", "-s -w"] if stripped else []),
               *(["-ldflags", ldflags] if ldflags else []), *(["-tags", tags] if tags else [])]
    environment = dict(os.environ) | {"GOARCH": arch, "CGO_ENABLED": "1" if race or library else "0"}
    with open(f"{out}.lock", "w") as lock:  # the Go command knows whether anything changed
        fcntl.flock(lock, fcntl.LOCK_EX)
        go(toolchain, "build", *options, "-o", out, ".", cwd=ROOT / "tests/workloads" / name, env=environment)
    return out


def go(toolchain, *arguments, **options):
    """The go command of that release."""
    done = subprocess.run([ROOT / "tests/workloads/go_release", toolchain, *arguments], capture_output=True, text=True, **options)
    if done.returncode and re.search(r"go_release:|download|toolchain not available|dial tcp|no such host", done.stderr):
        absent(f"{toolchain} cannot be had here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


class Service:
    """race_service, ready."""

    def __init__(self, case, process):
        self.case, self.process, self.pid, self.url = case, process, process.pid, ""
        for line in process.stdout:
            if line.startswith("url "):
                self.url = line.split()[1]
            if line.strip() == "ready":
                return
        raise AssertionError("race_service ended before it was ready")

    def get_bytes(self, path):
        with urllib.request.urlopen(self.url + path, timeout=DEADLINE) as answer:
            return answer.read()

    def get(self, path):
        return self.get_bytes(path).decode()

    def stats(self):
        return json.loads(self.get("/stats"))

    def start_load(self, rate=100, path="/query"):
        """Requests until it is ended."""
        return self.case.start([self.case.go_build("race_load", "debian"), "-url", self.url, "-path", path, "-rate", rate])

    def load(self, count, path="/query", rate=0):
        """So many requests, answered; rate: a second at most, 0: as fast as they are answered."""
        program = self.case.go_build("race_load", "debian")
        done = subprocess.run([program, "-url", self.url, "-path", path, "-count", str(count), "-rate", str(rate)],
                              capture_output=True, text=True, timeout=DEADLINE)
        assert done.stdout.strip() == f"sent {count}", done


class Jobs:
    """hourly_job, ready."""

    def __init__(self, process):
        self.process, self.pid, self.ended, self.heap = process, process.pid, 0, 0
        self._until("ready")

    def _until(self, wanted):
        for line in self.process.stdout:
            words = line.split()
            if words[0] == "job":
                self.ended, self.heap = int(words[1]), int(words[3])
            if line.startswith(wanted):
                return
        raise AssertionError(f"hourly_job ended before it said {wanted!r}")

    def until_job(self, number):
        """It has ended, and its goroutine waits; `heap` is what the job's own process then found in use."""
        self._until(f"job {number} ")
        until_still(self.pid)

    def holds(self):
        """It has run the jobs of -hold, and runs no other before go_on()."""
        self._until("holding")
        until_still(self.pid)

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def done(self):
        self._until("done")
        until_still(self.pid)


class Told:
    """go_findings STORY, set up; stats() is what its own runtime says."""

    def __init__(self, process):
        self.process, self.pid = process, process.pid
        self._until("ready")

    def _until(self, wanted):
        line = self.process.stdout.readline().strip()
        assert line == wanted, f"go_findings said {line!r}, not {wanted!r}"
        until_still(self.pid)

    def _say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def go_on(self):
        """The second half of the story, to its end."""
        self._say("go on")
        self._until("done")

    def remedy(self):
        """What memwhy recommends is done."""
        self._say("remedy")
        self._until("done")

    def stats(self):
        self._say("stats")
        return json.loads(self.process.stdout.readline())


class Pages:
    """pages NAME; step() performs the next one and returns its ranges."""

    def __init__(self, process):
        self.process, self.pid = process, process.pid
        self._until("ready")

    def _until(self, last):
        lines = []
        for line in self.process.stdout:
            if line.startswith("skip "):
                raise Skip(line[5:].strip())
            if line.strip() == last:
                return lines
            lines.append(line.split())
        raise AssertionError("the workload ended")

    def step(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return [dict(name=w[1], start=int(w[2], 16), end=int(w[3], 16), pages=int(w[4]), how=w[5],
                     site=w[6].partition("=")[2], pid=int(w[7].partition("=")[2])) for w in self._until("done")]

    def finished(self):
        """There is no further step."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        assert self._until("end") == []
