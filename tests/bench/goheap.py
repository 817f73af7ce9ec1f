#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rows of bench_goheap, one JSON file for each heap -> the tables, as text, Markdown or JSON.

Shown are medians and [p25–p75]; of latency, also of the differences within pairs. Nothing is asserted here: a goal that
is missed is printed as missed.
"""
import argparse
import json
import pathlib
import sys

from report import MIN_PAIRS, quartiles, table

STEPS = [("tables", "tables only"), ("spans", "tables and spans"), ("join", "all, joined with residency"),
         ("scan", "PAGEMAP_SCAN alone"), ("paced scan", "the same, paced"), ("smaps", "smaps")]
LATENCIES = [("p50_us", "p50"), ("p99_us", "p99"), ("max_us", "max")]
TABLES_GOAL_MS = 15  # for each GiB of heap


def spread(values):
    return dict(zip(("p25", "median", "p75"), quartiles(values) or (values[0],) * 3), pairs=len(values)) if values else None


def summarize(path):
    rows = json.loads(path.read_text())
    rounds = {}
    for row in rows["rounds"]:
        rounds.setdefault(row["what"], []).append(row)
    steps = {what: {key: spread([r[key] for r in of]) for key in ("wall_ms", "cpu_ms", "calls", "bytes")}
             for what, of in rounds.items()}
    pairs = {}
    for row in rows["pairs"]:
        pairs.setdefault(row["pair"], {})[row["reading"]] = row
    whole = [p for p in pairs.values() if len(p) == 2]
    latency = {key: {"alone": spread([p[False][key] for p in whole]), "reading": spread([p[True][key] for p in whole]),
                     "added": spread([p[True][key] - p[False][key] for p in whole])} for key, _ in LATENCIES}
    gib = rows["heap_bytes"] / (1 << 30)
    measured = steps["tables"]["cpu_ms"]["median"] / gib
    return {"case": rows["case"], "gib": rows["gib"], "version": rows["version"], "load": rows.get("load"),
            "heap_bytes": rows["heap_bytes"],
            "search_cpu_ms": rows["search_cpu_ms"], "runs": rows["runs"], "steps": steps, "pairs": len(whole),
            "passes": spread([p[True]["passes"] for p in whole]), "latency": latency,
            "goal": {"goal": "tables only, CPU ms for each GiB", "at_most": TABLES_GOAL_MS, "measured": measured,
                     "verdict": "met" if measured <= TABLES_GOAL_MS else "missed"}}


def show(value, digits=1, sign=""):
    if value is None:
        return "–"
    return f"{value['median']:{sign},.{digits}f} [{value['p25']:,.{digits}f}–{value['p75']:,.{digits}f}]"


def text(heaps, markdown):
    def name(heap):
        return f"{heap['gib']:g} GiB, {heap['case']} objects"
    versions = ", ".join(sorted({h["version"] for h in heaps}))
    loads = [h["load"] for h in heaps if h["load"] is not None]
    out = [f"{versions}; load average while the heaps were filled: {max(loads):.1f} at most" if loads else versions, "",
           "Wall ms to read the heap once: median [p25–p75]", "",
           table(["heap", *(label for _, label in STEPS)],
                 [[name(h), *(show(h["steps"].get(step, {}).get("wall_ms")) for step, _ in STEPS)] for h in heaps], markdown),
           "", "The same as CPU ms; what is read of the target for one join, and the search for the tables (once)", "",
           table(["heap", *(label for _, label in STEPS), "MiB read", "system calls", "search, ms"],
                 [[name(h), *(show(h["steps"].get(step, {}).get("cpu_ms")) for step, _ in STEPS),
                   f"{h['steps']['join']['bytes']['median'] / (1 << 20):,.1f}", f"{h['steps']['join']['calls']['median']:,.0f}",
                   f"{h['search_cpu_ms']:.1f}"] for h in heaps], markdown),
           "", f"Goal: tables only ≤ {TABLES_GOAL_MS} ms of CPU for each GiB", "",
           table(["heap", "ms for each GiB", "verdict"],
                 [[name(h), f"{h['goal']['measured']:.2f}", h["goal"]["verdict"]] for h in heaps], markdown),
           "", "A small piece of work of the target each millisecond, µs from when it was due: alone, while it is read back to back",
           "(all, joined), and the difference within a pair", ""]
    rows = []
    for h in heaps:
        for key, label in LATENCIES:
            of = h["latency"][key]
            rows.append([f"{name(h)}, {label}", show(of["alone"]), show(of["reading"]), show(of["added"], sign="+"),
                         f"{h['pairs']}" + ("" if h["pairs"] >= MIN_PAIRS else " (too few)"), show(h["passes"], 0)])
    out.append(table(["heap", "alone", "while read", "difference", "pairs", "readings in a block"], rows, markdown))
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("rows", nargs="+", type=pathlib.Path)
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    args = parser.parse_args()
    heaps = sorted((summarize(path) for path in args.rows), key=lambda h: (h["case"], h["gib"]))
    if args.format == "json":
        print(json.dumps({"format": "memwhy.bench.goheap/1", "heaps": heaps}, indent=2))
    else:
        print(text(heaps, args.format == "markdown"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
