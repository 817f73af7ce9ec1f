#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs scenarios on another kernel: the functions of one tests/scenarios/test_*.py, by the same driver, in a virtual machine.

What it is: run.py's kernel, initramfs and machine, with python3 (its standard library, no packages), the scenarios and the
program itself in it. What it is for: what a kernel's boot decides and this machine's has decided otherwise, as the version of
its cgroups. What it is not: a benchmark; times under TCG mean nothing.

    guest: for each function   vm-run NAME · what the scenario prints · vm-exit NAME STATUS      0 passed, 77 skipped

Exit: 0 each function passed · 1 one did not, or was skipped · 77 no kernel package to be had (CI=true: 1).
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import run

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
LEFT_OUT = ("test", "idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip", "pydoc_data", "dist-packages", "__pycache__", "config-*")


def functions(module):
    return re.findall(r"^def (test_\w+)\(case\)", (ROOT / f"tests/scenarios/{module}.py").read_text(), re.M)


def put_python(tree):
    """The system's python3 with its standard library, at their own paths."""
    asked = "import sysconfig; print(sysconfig.get_paths()['stdlib'])"
    library = pathlib.Path(subprocess.run([PYTHON, "-c", asked], capture_output=True, text=True, check=True).stdout.strip())
    shutil.copytree(library, tree / str(library).lstrip("/"), ignore=shutil.ignore_patterns(*LEFT_OUT))
    run.put(tree, os.path.realpath(PYTHON), PYTHON)
    run.put(tree, os.path.realpath(PYTHON), "/bin/python3")
    listed = subprocess.run(["ldd", PYTHON, *library.glob("lib-dynload/*.so")], capture_output=True, text=True).stdout
    for each in set(re.findall(r"(/\S+) \(0x", listed)):
        run.put(tree, each, each)


def initramfs(work, args, names):
    """As run.initramfs(), and with what a scenario needs."""
    tree = work / "scenarios"
    init = (run.HERE / "init.sh").read_text() + "export PYTHONDONTWRITEBYTECODE=1 CI=true MEMWHY_DEADLINE=900\ncd /source/tests/scenarios\n"
    for name in names:
        init += f"run {name} python3 run.py /test/memwhy /build {args.module} {name}\n"
    init += "end\n"

    def more(root):
        put_python(root)
        shutil.copytree(ROOT / "tests/scenarios", root / "source/tests/scenarios", ignore=shutil.ignore_patterns("__pycache__"))
        for workload in args.workload:
            run.put(root, workload, f"/build/workloads/{workload.name}")

    return run.initramfs(tree, [args.memwhy], init, more)


def judge(lines, names):
    """Sentences about what is wrong: each function must have ended with 0."""
    wrong = [line.split(" ", 1)[1] for line in lines if line.startswith("vm-broken ")]
    status = {}
    for line in lines:
        found = re.match(r"vm-exit (\w+) (\d+)$", line)
        if found:
            status[found[1]] = int(found[2])
    for name in names:
        if status.get(name) != 0:
            wrong.append(f"{name}: " + {None: "did not end", 77: "skipped"}.get(status.get(name), f"exit status {status.get(name)}"))
    if "vm-end" not in lines:
        wrong.append("the guest did not reach its end")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kernel", choices=run.META, required=True)
    parser.add_argument("--memwhy", type=pathlib.Path, required=True)
    parser.add_argument("--workload", type=pathlib.Path, action="append", default=[], help="a program that the scenarios start")
    parser.add_argument("--module", required=True, help="test_container")
    parser.add_argument("--function", action="append", help="one of it; all without")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for kernels, initramfs and logs")
    parser.add_argument("--timeout", type=int, default=1500, help="seconds")
    args = parser.parse_args()

    tag = f"{args.kernel} {args.module}"
    names = args.function or functions(args.module)
    args.work.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    try:
        image, package = run.kernel(args.kernel, args.work / "kernels")
        archive = initramfs(args.work, args, names)
        console = args.work / f"{args.kernel}-{args.module}.console.log"
        lines = run.boot(image, archive, "off", args.timeout, console, lambda line: print(f"[{tag}] {line}", flush=True), memory=2048)
    except run.Unavailable as reason:
        required = os.environ.get("CI") == "true"
        print(f"[{tag}] {'FAILED' if required else 'SKIPPED'}: {reason}")
        return 1 if required else run.SKIPPED
    except (run.Failed, subprocess.CalledProcessError) as failure:
        print(f"[{tag}] FAILED: {failure}")
        return 1
    wrong = judge(lines, names)
    for sentence in wrong:
        print(f"[{tag}] FAILED: {sentence}")
    print(f"[{tag}] {package}: {len(names) - len(wrong)} of {len(names)} scenarios passed, {time.monotonic() - started:.1f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
