# SPDX-License-Identifier: Apache-2.0
"""What every scenario uses: memwhy as a user runs it, processes to run it on, and checks that hold for every answer."""
import contextlib
import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import types
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
MIB = 1 << 20
DEADLINE = 120  # seconds; every wait is for a condition, this only ends a broken one


class Skip(Exception):
    """This machine cannot run the scenario; the text says why."""


class Case:
    def __init__(self, memwhy, build, folder):
        self.program, self.build, self.folder = memwhy, pathlib.Path(build), pathlib.Path(folder)
        self.processes, self.log = [], []

    # ---- memwhy

    def memwhy(self, *arguments, status=0, wrapper=(), **options):
        """Runs it to its end; the exit status is asserted. Returns (stdout, stderr)."""
        command = [*wrapper, self.program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, **options)
        self.log.append((command, done.returncode, done.stdout[-6000:], done.stderr[-6000:]))
        assert done.returncode == status, f"exit status {done.returncode}, not {status}"
        return done.stdout, done.stderr

    def explain(self, *arguments, **options):
        """memwhy explain … --json as a value, checked by check()."""
        out, _ = self.memwhy("explain", *arguments, "--json", **options)
        return check(json.loads(out))

    def fails(self, status, *sentence, arguments, **options):
        """It fails with this status and one sentence that has these words in it. Returns the sentence."""
        out, err = self.memwhy(*arguments, status=status, **options)
        lines = [line for line in err.splitlines() if line.startswith("memwhy: ") and "recording" not in line[:20]]
        assert len(lines) == 1 or status == 0, f"not one sentence: {err!r}"
        for words in sentence:
            assert words in lines[-1], f"{words!r} is not in {lines[-1]!r}"
        return lines[-1]

    def start_memwhy(self, *arguments, **options):
        """Starts it and returns when it records: the hooks are attached and the target is traced."""
        process = self.start([self.program, *map(str, arguments)], stderr=subprocess.PIPE, **options)
        for line in process.stderr:
            self.log.append((process.args, None, "", line))
            if line.startswith("memwhy: recording "):
                return process
        raise AssertionError("memwhy ended before it recorded")

    def finish(self, process, how=signal.SIGINT, status=0):
        """The signal, then (stdout, stderr) of what it still had to say."""
        if how is not None:
            process.send_signal(how)
        out, err = process.communicate(timeout=DEADLINE)
        self.log.append((process.args, process.returncode, (out or "")[-6000:], (err or "")[-6000:]))
        assert process.returncode == status, f"exit status {process.returncode}, not {status}"
        return out, err

    @contextlib.contextmanager
    def watching(self, pid):
        """What is done meanwhile happens before memwhy's eyes, from its first scan to its last. Gives its process and, at the end,
        the explanation of what it recorded."""
        memwhy = self.start_memwhy("explain", "-p", pid, "-d", f"{DEADLINE}s", "-o", "kept.memwhy", "--json")
        watch = types.SimpleNamespace(memwhy=memwhy, explanation=None)
        yield watch
        self.finish(memwhy)
        watch.explanation = self.explain("kept.memwhy", cwd=self.folder)
        (self.folder / "kept.memwhy").unlink()

    # ---- other processes

    def start(self, command, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(list(map(str, command)), text=True, cwd=options.pop("cwd", self.folder), **options)
        self.processes.append(process)
        return process

    def end(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
            process.wait()

    def tell(self):
        for command, status, out, err in self.log:
            print(f"--- {' '.join(map(str, command))}\n    exit status {status}\n{err}{out}")

    def go_build(self, name, toolchain, *, race=False, stripped=False, tags="", arch="amd64", ldflags=""):
        """A Go workload, built by "debian" (1.19) or a release as "go1.27.3"; once for each build directory."""
        folder = self.build / "workloads"
        folder.mkdir(exist_ok=True)
        words = [name, toolchain, arch, *(["race"] if race else []), *(["stripped"] if stripped else []), *([tags] if tags else [])]
        out = folder / "-".join(words)
        options = [*(["-race"] if race else []), *(["-ldflags", "-s -w"] if stripped else []),
                   *(["-ldflags", ldflags] if ldflags else []), *(["-tags", tags] if tags else [])]
        environment = dict(os.environ) | {"GOARCH": arch, "CGO_ENABLED": "1" if race else "0"}
        with open(f"{out}.lock", "w") as lock:  # the Go command knows whether anything changed
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.go(toolchain, "build", *options, "-o", out, ".", cwd=ROOT / "tests/workloads" / name, env=environment)
        return out

    def go(self, toolchain, *arguments, **options):
        """The go command of that release."""
        done = subprocess.run([ROOT / "tests/workloads/go_release", toolchain, *arguments], capture_output=True, text=True, **options)
        if done.returncode and re.search(r"go_release:|download|toolchain not available|dial tcp|no such host", done.stderr):
            absent(f"{toolchain} cannot be had here: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr

    def hourly_job(self, toolchain, *arguments, pprof=False):
        """Stripped, as it is shipped."""
        program = self.go_build("hourly_job", toolchain, stripped=True, tags="pprof" if pprof else "")
        return Jobs(self.start([program, *arguments], stdin=subprocess.PIPE))

    def race_service(self, toolchain, *arguments, race=True):
        return Service(self, self.start([self.go_build("race_service", toolchain, race=race), *arguments]))

    def pages(self, name):
        """The workload of this name, before its first step."""
        return Pages(self.start([self.build / "workloads/pages", name], stdin=subprocess.PIPE))


def absent(reason):
    """What this machine lacks is a failure where everything must be there, a counted skip elsewhere."""
    if os.environ.get("CI") == "true":
        raise AssertionError(reason)
    raise Skip(reason)


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


# ---- what is known of processes otherwise: the referees

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


# ---- what holds for every explanation

def ledger(process):
    return {line["id"]: line["bytes"] for line in process["ledger"]}


def share(process, prefix):
    """Of rss.bytes, what the owners that start so hold."""
    return sum(n for owner, n in ledger(process).items() if owner.startswith(prefix)) / process["rss"]["bytes"]


def problems(process):
    return [finding for finding in process["findings"] if finding["kind"] == "problem"]


def check(explanation):
    """The leaves sum to RSS, in every process and at every point of time; returns the explanation."""
    assert explanation["format"] == "memwhy.explain/1"
    for process in explanation["processes"]:
        if not process["ledger"]:
            continue  # it ended before a scan; coverage says so
        total = process["rss"]["bytes"]
        assert sum(ledger(process).values()) == total, f"the ledger of pid {process['pid']} does not sum to {total}"
        assert len(ledger(process)) == len(process["ledger"]), "an owner is there twice"
        for point in process["timeline"]:
            if point["ledger"]:
                assert sum(point["ledger"].values()) == point["rss_bytes"], f"at {point['t']}"
        for line in process["ledger"]:
            assert sum(entry["bytes"] for entry in line["top"]) <= line["bytes"], line["id"]
        for finding in process["findings"]:
            assert 0 <= finding["share"] <= 1 and finding["claim"] and finding["evidence"], finding["id"]
        assert process["coverage"]["unattributed_bytes"] == ledger(process).get("unattributed", 0)
    return explanation


def only_process(explanation):
    assert len(explanation["processes"]) == 1, [p["pid"] for p in explanation["processes"]]
    return explanation["processes"][0]


# ---- single pages, by the model, after each scan of a recording

def page_scans(case, file, ranges=()):
    """What page_evidence says of the file: a list of scans, each with the pages of `ranges` (of Pages.step)."""
    wanted = [f"{r['pid']}:{r['start']:x}-{r['end']:x}" for r in ranges]
    done = subprocess.run([case.build / "bin/page_evidence", case.folder / file, *wanted], capture_output=True, text=True,
                          timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def until_scanned(case, recorder, file, after, pids):
    """Returns when the file has a scan of each of them that began after that moment of time.monotonic_ns()."""
    deadline = time.monotonic() + DEADLINE
    while not set(pids) <= {scan["pid"] for scan in page_scans(case, file) if scan["start"] > after}:
        assert time.monotonic() < deadline, f"no scan of {pids}"
        try:
            recorder.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError("the recorder ended")


def born(scan):
    """Pages of the scan that came after attach."""
    return scan["resident"] - scan["how"].get("before-attach", 0)


def check_pages(scans):
    """In each scan every page has one evidence, next to none has no evidence, and nothing is believed that is not there."""
    for scan in scans:
        assert scan["complete"] and scan["sum"] == scan["resident"] == sum(scan["how"].values()), scan
        assert scan["how"].get("unknown", 0) <= 0.001 * born(scan), scan
        assert scan["stale"] <= 0.005 * scan["resident"], scan
        assert scan["doubtful"] == 0 and scan["stack_lost"] == 0, scan
