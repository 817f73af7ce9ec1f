#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What reading a C heap costs, and what its process feels of it: pairs of windows of the same length, alone and recorded, on heaps of
few large blocks, many small ones, and small ones that move (cheap_target.c).

usage: cheap.py MEMWHY TARGET [--mib N] [--rounds N] [--seconds S] [--markdown]

CPU is memwhy's own for one recording, by wait4: of the heap, less that of the same program with 1 MiB; a recording reads the lists
with each of its scans (four in a window) and walks the sizes of all chunks twice.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

from report import table

PATTERNS = ("large", "small", "moving")
CALLS, QUANTILES = ("mmap", "malloc"), ("p50", "p99", "p99.9", "max")


class Target:
    def __init__(self, program, mib, pattern):
        self.process = subprocess.Popen([program, str(mib), pattern], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def begin(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()

    def felt(self):
        """{call: {quantile: us}}"""
        out = {}
        for call in CALLS:
            name, _, *numbers = self.process.stdout.readline().split()
            assert name == call
            out[call] = {quantile: int(number) / 1e3 for quantile, number in zip(QUANTILES, numbers)}
        return out

    def end(self):
        self.process.kill()
        self.process.wait()


def recorded(memwhy, target, seconds):
    """(what it felt, memwhy's CPU seconds)"""
    recorder = subprocess.Popen([memwhy, "explain", "-p", str(target.process.pid), "-d", str(seconds), "--json"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in recorder.stderr:
        if line.startswith("memwhy: recording "):
            break
    target.begin(seconds)
    felt = target.felt()
    _, status, usage = os.wait4(recorder.pid, 0)
    assert status == 0, status
    return felt, usage.ru_utime + usage.ru_stime


def alone(target, seconds):
    target.begin(seconds)
    return target.felt()


def measure(args, pattern):
    rows, small = [], Target(args.target, 1, pattern)
    large = Target(args.target, args.mib, pattern)
    try:
        for _ in range(args.rounds):
            quiet = alone(large, args.seconds)
            felt, cpu = recorded(args.memwhy, large, args.seconds)
            _, cpu_of_little = recorded(args.memwhy, small, args.seconds)
            rows.append({"pattern": pattern, "alone": quiet, "recorded": felt, "cpu_s": cpu, "cpu_of_1_mib_s": cpu_of_little,
                         "load": os.getloadavg()[0]})
    finally:
        small.end()
        large.end()
    return rows


def text(rows, mib, markdown):
    def of(pattern, how, call, quantile):
        return statistics.median(row[how][call][quantile] for row in rows if row["pattern"] == pattern)
    lines = []
    for pattern in PATTERNS:
        for call in CALLS:
            lines.append([pattern, call, *(f"{of(pattern, 'alone', call, q):,.1f} / {of(pattern, 'recorded', call, q):,.1f}"
                                           for q in QUANTILES)])
    costs = [[pattern, f"{statistics.median((row['cpu_s'] - row['cpu_of_1_mib_s']) * 1024 / mib for row in rows if row['pattern'] == pattern):.2f}"]
             for pattern in PATTERNS]
    loads = [row["load"] for row in rows]
    return "\n".join([f"{mib} MiB, {len(rows) // len(PATTERNS)} pairs of windows each, load {min(loads):.1f} to {max(loads):.1f}", "",
                      "Microseconds of a call, alone / recorded: medians of the windows", "",
                      table(["heap", "call", *QUANTILES], lines, markdown), "",
                      "memwhy's CPU seconds for each GiB, of a whole recording (four readings of what is free, two walks of all chunks)", "",
                      table(["heap", "s"], costs, markdown)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("memwhy")
    parser.add_argument("target")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rows", type=pathlib.Path)
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    rows = [row for pattern in PATTERNS for row in measure(args, pattern)]
    if args.rows:
        args.rows.write_text(json.dumps(rows, indent=1))
    print(text(rows, args.mib, args.markdown))


if __name__ == "__main__":
    sys.exit(main())
