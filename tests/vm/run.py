#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the kernel tests on another kernel: the same binary, the same BPF objects, in a virtual machine.

What it is: Debian's kernel package unpacked (nothing is installed), an initramfs of busybox and the test program, qemu
without hardware help (TCG), and a judge that wants each listed test to have run and passed. What it is not: a
benchmark; times under TCG mean nothing.

    host                                guest
    kernel_tests --gtest_list_tests     init: mounts, la57 as asked for?
      = the tests that must pass        for each run (tests/vm/runs.json): environment, tracefs or not
    judge <── ttyS1 ──────────────────    vm-run NAME · gtest's lines · vm-exit NAME STATUS
    console.log <── ttyS0 ────────────  the kernel's messages

Exit: 0 every test of every run passed · 1 one failed, or did not run · 77 no kernel package to be had (CI=true: 1).
"""
import argparse
import fcntl
import json
import os
import pathlib
import re
import selectors
import shutil
import subprocess
import sys
import time

SKIPPED = 77
HERE = pathlib.Path(__file__).resolve().parent
META = {"6.1": "linux-image-cloud-amd64", "6.12": "linux-image-6.12-cloud-amd64"}


class Unavailable(Exception):
    """There is no kernel to boot, and why."""


class Failed(Exception):
    """A sentence for the person who reads the log."""


# --- the kernel ------------------------------------------------------------------------------------------------------


def package_of(version):
    """linux-image-6.12-cloud-amd64 -> linux-image-6.12.117+deb12-cloud-amd64, as this system's apt resolves it."""
    if not shutil.which("apt-cache"):
        raise Unavailable("no apt on this system")
    wanted = re.compile(rf"Depends: (linux-image-{re.escape(version)}\.[^ ]*-cloud-amd64)$", re.M)
    for attempt in ("known", "updated"):
        shown = subprocess.run(["apt-cache", "depends", META[version]], capture_output=True, text=True)
        found = wanted.search(shown.stdout)
        if found:
            return found.group(1)
        if attempt == "known":
            subprocess.run(["apt-get", "update", "-q"], capture_output=True)
    raise Unavailable(f"the package lists offer no {version} kernel by {META[version]}")


def kernel(version, cache):
    """Path of the kernel's image below `cache`; fetched once, under a lock, moved into place when complete."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = cache / version
        if not done.exists():
            package = package_of(version)
            part = cache / f"{version}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            for attempt in ("known", "updated"):  # lists that are too old name a file that is gone from the mirror
                got = subprocess.run(["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package], cwd=part,
                                     capture_output=True, text=True)
                if got.returncode == 0:
                    break
                if attempt == "known":
                    subprocess.run(["apt-get", "update", "-q"], capture_output=True)
                    package = package_of(version)
            else:
                raise Unavailable(f"{package} could not be downloaded: {got.stderr.strip().splitlines()[-1:]}")
            subprocess.run(["dpkg-deb", "-x", next(part.glob("*.deb")), part / "x"], check=True)
            shutil.move(next((part / "x/boot").glob("vmlinuz-*")), part / "vmlinuz")
            shutil.rmtree(part / "x")
            next(part.glob("*.deb")).unlink()
            (part / "package").write_text(package + "\n")
            part.rename(done)
    return done / "vmlinuz", (done / "package").read_text().strip()


# --- the initramfs ---------------------------------------------------------------------------------------------------


def libraries(program):
    """Files that the loader will want, as paths; empty for a static program."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True)
    if "not found" in listed.stdout:
        raise Failed(f"{program}: {listed.stdout.strip()}")
    return set(re.findall(r"(/[^ ]+) \(0x", listed.stdout))


def put(tree, source, place):
    """A file, at this place of the guest's root. Once."""
    target = tree / str(place).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy(source, target)


def initramfs(root, programs, init, more=None):
    """A tree with busybox, `programs` in /test and what they link to, packed; returns the archive. more(root) puts more into it."""
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "dev", "etc", "proc", "sys", "test", "tmp"):
        (root / folder).mkdir(parents=True)
    busybox = shutil.which("busybox")
    if not busybox or libraries(busybox):
        raise Failed("no static busybox: tools/dev/install test")
    shutil.copy(busybox, root / "bin/busybox")
    wanted = set()
    for program in programs:
        shutil.copy(program, root / "test")
        wanted |= libraries(program)
    for library in wanted:
        put(root, library, library)
    if more:
        more(root)
    (root / "init").write_text(init)
    (root / "init").chmod(0o755)
    archive = root.parent / f"{root.name}.cpio.gz"
    with open(archive, "wb") as out:
        names = subprocess.Popen(["find", "."], cwd=root, stdout=subprocess.PIPE)
        packed = subprocess.Popen(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, stdin=names.stdout,
                                  stdout=subprocess.PIPE)
        subprocess.run(["gzip", "-1"], stdin=packed.stdout, stdout=out, check=True)
        if names.wait() or packed.wait():
            raise Failed("the initramfs could not be packed")
    return archive


def init_script(runs, tests, la57):
    """The guest's first process. Everything that the judge reads goes to the second serial line."""
    lines = [(HERE / "init.sh").read_text(), f"expect_la57 {'yes' if la57 == 'on' else 'no'}"]
    for run in runs:
        lines.append("tracefs " + ("on" if run.get("tracefs", True) else "off"))
        environment = " ".join(f"{key}={value}" for key, value in run.get("environment", {}).items())
        lines.append(f"run {run['name']} env {environment} /test/{tests} --gtest_color=no "
                     f"'--gtest_filter={run['filter']}'")
    lines.append("end")
    return "\n".join(lines) + "\n"


# --- the machine -----------------------------------------------------------------------------------------------------


def boot(image, archive, la57, timeout, console, say, memory=1024):
    """Lines of the guest's second serial line until it powers off. Killed at the deadline."""
    cpu = "max" if la57 == "on" else "max,la57=off"
    # thread=single: with a thread for each CPU, now and then one runs an int3 that another has patched away long ago
    # (a tracepoint's jump label, a uprobe), which the kernel takes for a bug. no_timer_check: on a busy host the guest's first
    # timer interrupts come too late for its check, and it panics.
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", cpu, "-smp", "2", "-m", str(memory),
               "-kernel", image, "-initrd", archive, "-nodefaults", "-no-reboot", "-display", "none",
               "-append", "console=ttyS0 panic=-1 nokaslr mitigations=off no_timer_check",
               "-serial", f"file:{console}", "-serial", "stdio"]
    deadline = time.monotonic() + timeout
    lines = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as machine:
        selector = selectors.DefaultSelector()
        selector.register(machine.stdout, selectors.EVENT_READ)
        pending = b""
        try:
            while True:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise Failed(f"the machine was not done after {timeout} s")
                chunk = os.read(machine.stdout.fileno(), 65536)
                if not chunk:
                    break
                *complete, pending = (pending + chunk).split(b"\n")
                for raw in complete:
                    lines.append(raw.decode(errors="replace").rstrip("\r"))
                    say(lines[-1])
        except Failed as failure:
            machine.kill()
            lines.append(f"vm-broken {failure}")
    return lines


# --- the judge -------------------------------------------------------------------------------------------------------


def listed(tests, test_filter):
    """Names that gtest would run with this filter, as Suite.Name."""
    shown = subprocess.run([tests, "--gtest_list_tests", f"--gtest_filter={test_filter}"], capture_output=True,
                           text=True, check=True)
    names, suite = [], ""
    for line in shown.stdout.splitlines():
        bare = line.split("#")[0].rstrip()
        if bare.endswith(".") and not bare.startswith(" "):
            suite = bare
        elif bare.startswith("  "):
            names.append(suite + bare.strip())
    return names


def judge(lines, runs):
    """(passed, sentences about what is wrong). A test without an OK of its own, in its own run, is wrong."""
    wrong = [line.split(" ", 1)[1] for line in lines if line.startswith(("vm-broken ", "vm-wrong "))]
    verdicts, status, current = {}, {}, None
    for line in lines:
        if line.startswith("vm-run "):
            current = line.split()[1]
        elif line.startswith("vm-exit "):
            _, name, code = line.split()
            status[name], current = int(code), None
        found = re.match(r"\[ +(OK|FAILED|SKIPPED) +\] ([^ (,]+\.[^ (,]+)", line)
        if found and current and verdicts.get((current, found.group(2))) in (None, "OK"):
            verdicts[current, found.group(2)] = found.group(1)
    passed = 0
    for run in runs:
        for test in run["tests"]:
            verdict = verdicts.get((run["name"], test), "did not run")
            if verdict == "OK":
                passed += 1
            else:
                wrong.append(f"{run['name']}: {test}: {verdict}")
        if not run["tests"]:
            wrong.append(f"{run['name']}: its filter names no test")
        if status.get(run["name"]) != 0:
            wrong.append(f"{run['name']}: exit status {status.get(run['name'], 'unknown')}")
    if "vm-end" not in lines:
        wrong.append("the guest did not reach its end")
    return passed, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kernel", choices=META, required=True)
    parser.add_argument("--la57", choices=("on", "off"), required=True, help="five-level paging or four")
    parser.add_argument("--tests", type=pathlib.Path, required=True, help="the gtest program")
    parser.add_argument("--target", type=pathlib.Path, action="append", default=[], help="a program that it starts")
    parser.add_argument("--runs", type=pathlib.Path, default=HERE / "runs.json")
    parser.add_argument("--only", help="one run of --runs")
    parser.add_argument("--filter", help="gtest filter instead of the one in --runs")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for kernels, initramfs and logs")
    parser.add_argument("--timeout", type=int, default=600, help="seconds")
    args = parser.parse_args()

    tag = f"{args.kernel} la57={args.la57}"
    args.work.mkdir(parents=True, exist_ok=True)
    try:
        image, package = kernel(args.kernel, args.work / "kernels")
    except Unavailable as reason:
        required = os.environ.get("CI") == "true"
        print(f"[{tag}] {'FAILED' if required else 'SKIPPED'}: {reason}")
        return 1 if required else SKIPPED
    runs = [run for run in json.loads(args.runs.read_text())
            if args.only in (None, run["name"]) and args.la57 == run.get("la57", args.la57)
            and args.kernel == run.get("kernel", args.kernel)]
    for run in runs:
        run["filter"] = args.filter or run["filter"]
        run["tests"] = listed(args.tests, run["filter"])
    if not runs:
        parser.error("no run of that name for this kernel and paging depth")
    name = f"{args.kernel}-la57-{args.la57}"
    console = args.work / f"{name}.console.log"
    started = time.monotonic()
    try:
        archive = initramfs(args.work / name, [args.tests, *args.target], init_script(runs, args.tests.name, args.la57))
        lines = boot(image, archive, args.la57, args.timeout, console, lambda line: print(f"[{tag}] {line}", flush=True))
    except Failed as failure:
        print(f"[{tag}] FAILED: {failure}")
        return 1
    passed, wrong = judge(lines, runs)
    for sentence in wrong:
        print(f"[{tag}] FAILED: {sentence}")
    if "vm-end" not in lines and console.exists():
        print(f"[{tag}] last words of the kernel:\n" + "\n".join(
            console.read_text(errors="replace").splitlines()[-25:]))
    print(f"[{tag}] {package}: {passed} tests passed in {len(runs)} runs, {len(wrong)} complaints, "
          f"{time.monotonic() - started:.1f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
