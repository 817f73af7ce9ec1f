#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one fuzz target: the inputs that are kept, one by one, or new ones: for a while, or the same ones each time.

usage: run.py NAME --program FILE [--seconds N | --turn | --input FILE]
Says how many executions there were, what they covered, and where an input was kept that broke something.
Exits 77 when the program is not built: tools/fuzz and tools/test build it.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77
MOST_BYTES = {"trace": 64 << 10, "elf": 96 << 10, "go_memory": 1 + 64 * 18, "pprof": 32 << 10, "proc_text": 4 << 10,
              "wire": 8 << 10, "unwind": 96 << 10, "dwarf": 32 << 10, "heap_memory": 2 + 64 * 18}
# A turn, that the same commit passes or fails everywhere: so many executions from the kept inputs on, by the same random
# numbers, which is some 10 s of a CPU each. No words of comparisons are tried in it: some are addresses, others each time.
TURN = {"trace": 2_500, "elf": 3_000, "go_memory": 1_200, "pprof": 4_000, "proc_text": 1_000_000, "wire": 500_000,
        "unwind": 6_000, "dwarf": 30_000, "heap_memory": 1_500}
# What an input may take. More is a defect, as a crash is.
BUDGET = ["-rss_limit_mb=2048", "-malloc_limit_mb=256"]
MOST_S = 10
MOST_S_IN_A_TURN = 120  # however little of a CPU it gets: only what does not end is late
# Without the schedule by rare features: keeping its books takes longer than the executions do.
QUIET = ["-print_funcs=0", "-print_final_stats=1", "-reload=0", "-entropic=0"]
ASAN = "quarantine_size_mb=16:malloc_context_size=8:detect_stack_use_after_return=0:handle_abort=1"
LAST_LINES = 60
GRACE_S = 200  # to load the corpus, and to end


def environment():
    return {**os.environ, "ASAN_OPTIONS": ASAN, "UBSAN_OPTIONS": "print_stacktrace=1",
            "ASAN_SYMBOLIZER_PATH": "/usr/bin/llvm-symbolizer-16"}


def run(command, seconds):
    """The exit status and what was printed, its beginning left out when it is long."""
    try:
        done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds + GRACE_S)
    except subprocess.TimeoutExpired as late:
        return 1, (late.stdout or b"").decode("utf-8", "replace") + f"\nnot ended after {seconds + GRACE_S} s"
    return done.returncode, done.stdout.decode("utf-8", "replace")


def inputs(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def run_inputs(name, program, files):
    status, text = run([program, *BUDGET, f"-timeout={MOST_S}", *map(str, files)], 60)
    done = len(re.findall(r"^Executed ", text, re.M))
    if status or done != len(files):
        print("\n".join(text.splitlines()[-LAST_LINES:]))
        print(f"{name}: input {done + 1} of {len(files)} fails: {files[min(done, len(files) - 1)]}")
        return 1
    print(f"{name}: {done} inputs, all well")
    return 0


def number(text, pattern):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def run_new(name, program, options, seconds, finds):
    """Whether the program ran to its end, and what it did. One that made no executions is broken, too."""
    finds.mkdir(parents=True, exist_ok=True)
    status, text = run([program, *BUDGET, *QUIET, f"-max_len={MOST_BYTES[name]}", f"-artifact_prefix={finds}/{name}-", *options],
                       seconds)
    executions = number(text, r"stat::number_of_executed_units: (\d+)") or number(text, r"(?m)^#(\d+)\t")
    edges, features, kept = (number(text, f" {what}: " + r"(\d+)") for what in ("cov", "ft", "corp"))
    print(f"{name}: {executions:,} executions, {edges:,} edges, {features:,} features, {kept:,} inputs in the corpus")
    if status == 0 and executions > 0:
        return 0
    kept = re.findall(r"Test unit written to (\S+)", text)
    print("\n".join(text.splitlines()[-LAST_LINES:]))
    print(f"{name}: BROKEN by an input" + (f" that is kept: {kept[-1]}; tools/fuzz {name} {kept[-1]} runs it again, and "
          f"once it is mended it belongs into tests/fuzz/regressions/{name}" if kept else ", which was not kept"))
    return 1


def run_for(name, program, seconds, folders, work):
    corpus = work / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    return run_new(name, program, [f"-timeout={MOST_S}", f"-max_total_time={seconds}", str(corpus), *map(str, folders)], seconds,
                   work / "finds")


def run_turn(name, program, files, work):
    # One list, in order: the order of a folder is that of its file system, and decides which inputs are made.
    with tempfile.TemporaryDirectory() as corpus:
        return run_new(name, program, [f"-timeout={MOST_S_IN_A_TURN}", "-seed=1", "-use_cmp=0", f"-runs={TURN[name]}",
                                       "-seed_inputs=" + ",".join(map(str, files)), corpus], 0, work / "finds")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("name", choices=sorted(MOST_BYTES))
    arguments.add_argument("--program", required=True)
    arguments.add_argument("--seconds", type=int, default=0)
    arguments.add_argument("--turn", action="store_true", help="a fixed number of new inputs, the same ones each time")
    arguments.add_argument("--input", type=pathlib.Path, help="run this one only")
    asked = arguments.parse_args()
    program = pathlib.Path(asked.program)
    if not program.is_file():
        print(f"{program.name} is not built: tools/fuzz {asked.name} builds it")
        return SKIPPED
    if asked.input:
        return run_inputs(asked.name, str(program), [asked.input])
    folders = [folder for kind in ("seeds", "regressions") if inputs(folder := HERE / kind / asked.name)]
    if not folders:
        print(f"{asked.name} has no seeds")
        return 1
    files = [path for folder in folders for path in inputs(folder)]
    work = program.resolve().parents[1]
    if asked.turn:
        return run_turn(asked.name, str(program), files, work)
    if asked.seconds == 0:
        return run_inputs(asked.name, str(program), files)
    return run_for(asked.name, str(program), asked.seconds, folders, work)


if __name__ == "__main__":
    sys.exit(main())
