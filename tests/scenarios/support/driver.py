# SPDX-License-Identifier: Apache-2.0
"""memwhy as a user runs it: the case that a scenario is given starts it, waits for it, asserts how it exits and reads what it says;
it also starts the workloads, and ends all that it started.

No checks of what an answer says (answers.py), but that each adds up.
"""
import contextlib
import json
import pathlib
import signal
import subprocess
import types

from support import DEADLINE
from support.answers import check
from support.workloads import Jobs, Pages, Service, go_build


class Case:
    def __init__(self, memwhy, build, folder):
        self.program, self.build, self.folder = memwhy, pathlib.Path(build), pathlib.Path(folder)
        self.processes, self.log = [], []

    # ---- memwhy

    def memwhy(self, *arguments, status=0, wrapper=(), own=None, **options):
        """Runs it to its end; the exit status is asserted. Returns (stdout, stderr)."""
        command = [*map(str, wrapper), *(own or [self.program]), *map(str, arguments)]
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

    def go_build(self, name, toolchain, **options):
        """A Go workload; workloads.go_build() says which. Once for each build directory."""
        folder = self.build / "workloads"
        folder.mkdir(exist_ok=True)
        return go_build(folder, name, toolchain, **options)

    def hourly_job(self, toolchain, *arguments, pprof=False):
        """Stripped, as it is shipped."""
        program = self.go_build("hourly_job", toolchain, stripped=True, tags="pprof" if pprof else "")
        return Jobs(self.start([program, *arguments], stdin=subprocess.PIPE))

    def race_service(self, toolchain, *arguments, race=True):
        return Service(self, self.start([self.go_build("race_service", toolchain, race=race), *arguments]))

    def pages(self, name):
        """The workload of this name, before its first step."""
        return Pages(self.start([self.build / "workloads/pages", name], stdin=subprocess.PIPE))
