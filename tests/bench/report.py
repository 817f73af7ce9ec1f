#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rows of bench_faults and bench_workloads -> the table, as text, Markdown or JSON.

A value is the median of a variant's passes in one slot, without the first pass after the switch. A pair is two values
of the same slot; a peer's block is paired with the slots on both of its sides. Shown are the median over the pairs and
[p25–p75]. Nothing is asserted here: a goal that is missed is printed as missed.
"""
import argparse
import collections
import csv
import json
import pathlib
import statistics
import sys

SCENARIOS = [("c", "seq", "sequential"), ("c", "random", "random"),
             ("c", "sites", "64 call sites"),
             ("c", "foreign", "code without a table"), ("c", "tree", "a new stack for each page"), ("go", "seq", "Go, 20 frames deep")]
VARIANTS = [("empty", "empty program"), ("memwhy", "memwhy"), ("memwhy_pointers", "memwhy, frame pointers alone"),
            ("memwhy_bulk", "memwhy, bulk read forced"),
            ("memwhy_untraced", "memwhy, process not traced"),
            ("memwhy_untraced_ports", "third process, two recordings"),
            ("memwhy_untraced_objects", "third process, two objects"), ("bpftrace", "bpftrace"), ("perf", "perf record")]
PEERS = ("bpftrace", "perf")
# (name, of which figure, at most, unit): for read faults; write faults stand in the tables beside them
GOALS = [("memwhy / bpftrace", "memwhy/bpftrace", 1 / 10, "ratio"),
         ("memwhy / perf", "memwhy/perf", 1 / 15, "ratio"),
         ("memwhy above the empty program", "memwhy-empty", 100, "ns"),
         ("memwhy with the bulk read / bpftrace", "memwhy_bulk/bpftrace", 1 / 4, "ratio"),
         ("process not traced, above the empty program", "memwhy_untraced-empty", 25, "ns")]
MIN_PAIRS = 20


def quartiles(values):
    """(p25, median, p75), or None when there are too few values to speak of quartiles."""
    if len(values) < 2:
        return None
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def read_rows(path):
    """{(target, scenario, access): {slot: {variant: ns}}}, the median over the passes of a slot but the first."""
    passes = collections.defaultdict(list)
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["ns"] and int(row["pass"]) > 0:
                key = (row["target"], row["scenario"], row["access"])
                passes[key, int(row["slot"]), row["variant"]].append(float(row["ns"]))
    slots = collections.defaultdict(lambda: collections.defaultdict(dict))
    for (key, slot, variant), values in passes.items():
        slots[key][slot][variant] = statistics.median(values)
    return slots


def around(slots, slot, variant):
    """A cheap variant's value beside a peer's block: the mean of the slots before and after it."""
    sides = [slots[s][variant] for s in (slot - 1, slot + 1) if variant in slots.get(s, {})]
    return sum(sides) / len(sides) if sides else None


def figures(slots):
    """Every figure of one scenario: name -> list of one value per pair."""
    found = collections.defaultdict(list)
    for slot, values in sorted(slots.items()):
        if "none" in values:
            found["none"].append(values["none"])
            for variant, value in values.items():
                if variant not in ("none", *PEERS):
                    found[variant].append(value - values["none"])
                    if "empty" in values:
                        found[variant + "-empty"].append(value - values["empty"])
        for peer in PEERS:
            none = around(slots, slot, "none")
            if peer not in values or none is None:
                continue
            added = values[peer] - none
            found[peer].append(added)
            for variant in ("empty", "memwhy", "memwhy_bulk"):
                ours = around(slots, slot, variant)
                if ours is not None and added > 0:
                    found[f"{variant}/{peer}"].append((ours - none) / added)
    return found


def summarize(path):
    """The whole run as one value that JSON can hold."""
    facts = json.loads(pathlib.Path(str(path) + ".json").read_text())
    rows = read_rows(path)
    result = {"format": "memwhy.bench.faults/1", "run": facts, "scenarios": [], "goals": []}
    for target, scenario, label in SCENARIOS:
        for access in ("read", "write"):
            found = figures(rows.get((target, scenario, access), {}))
            if not found:
                continue
            shown = {}
            for name, values in found.items():
                spread = quartiles(values)
                if spread:
                    shown[name] = dict(zip(("p25", "median", "p75"), spread), pairs=len(values))
            result["scenarios"].append({"scenario": label, "access": access, "figures": shown})
            for goal, figure, limit, unit in GOALS if access == "read" else ():
                value = shown.get(figure)
                verdict = ("not measured" if value is None else "too few pairs" if value["pairs"] < MIN_PAIRS
                           else "met" if value["median"] <= limit else "missed")
                result["goals"].append({"goal": goal, "scenario": label, "at_most": limit, "unit": unit,
                                        "measured": value, "verdict": verdict})
    return result


# --- text ------------------------------------------------------------------------------------------------------------


def ns(value, sign="+"):
    return "–" if value is None else f"{value['median']:{sign},.0f} [{value['p25']:,.0f}–{value['p75']:,.0f}]"


def ratio(value):
    """0.066 -> 1/15.2 [1/17–1/14]; what is not a positive fraction is shown as a number."""
    if value is None:
        return "–"
    def one(x, digits):
        return f"1/{1 / x:.{digits}f}" if 0 < x < 1 else f"{x:.2f}"
    return f"{one(value['median'], 1)} [{one(value['p25'], 0)}–{one(value['p75'], 0)}]"


def verdict(goal):
    if goal is None or goal["measured"] is None:
        return "not measured"
    show = ratio if goal["unit"] == "ratio" else ns
    return f"{goal['verdict']}: {show(goal['measured'])}"


def table(header, rows, markdown):
    """Rows of strings, aligned; Markdown is the same with bars."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    def line(cells):
        parts = [cells[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(cells[1:], widths[1:])]
        return "| " + " | ".join(parts) + " |" if markdown else "  ".join(parts).rstrip()
    rule = ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(header), line(rule) if markdown else line(["-" * w for w in widths]), *map(line, rows)])


def faults_text(result, markdown):
    facts = result["run"]
    names = [(f"{s['scenario']}, {s['access']}", s["figures"]) for s in result["scenarios"]]
    pairs = [f["pairs"] for _, figures_ in names for n, f in figures_.items() if n in PEERS]
    cheap = [f["pairs"] for _, figures_ in names for n, f in figures_.items() if n == "memwhy"]
    out = [f"Kernel {facts['kernel']}, {facts['cpus']} CPUs ({facts['cpu']}); load {facts['load_before']} before, "
           f"{facts['load_after']} after.", *facts["notes"]]
    if not facts["complete"]:
        out.append("THE RUN DID NOT COMPLETE: what follows is what there was.")
    out += ["", "How each pair was taken: one target process for the whole run, on a CPU of its own, SCHED_FIFO where allowed,",
            "timed by CLOCK_THREAD_CPUTIME_ID. memwhy's variants and the empty program are attached and detached in random",
            f"order within one slot and paired with `none` of that slot ({min(cheap, default=0)} pairs). bpftrace and perf are real",
            "processes, started for a block of passes and paired with the mean of the slots right before and after the block",
            f"({min(pairs, default=0)} pairs at least). The first pass after each switch is kept in the rows and not used.",
            *(f"  {peer}: {command}" for peer, command in facts["commands"].items()), "",
            "Added ns per fault over no tracer: median [p25–p75]", ""]
    others = sorted({n for _, f in names for n in f if n + "-empty" in f} - {v for v, _ in VARIANTS})  # of --other
    header = ["scenario", "fault alone", *(label for _, label in VARIANTS), *others]
    out.append(table(header, [[name, ns(f.get("none"), ""), *(ns(f.get(v)) for v, _ in VARIANTS),
                               *(ns(f.get(v)) for v in others)] for name, f in names], markdown))
    out += ["", "Ratios of what is added, in the same pair", ""]
    out.append(table(["scenario", "memwhy / bpftrace", "memwhy / perf", "bulk / bpftrace", "memwhy − empty, ns",
                      "untraced − empty, ns", *(f"{v} − empty, ns" for v in others)],
                     [[name, ratio(f.get("memwhy/bpftrace")), ratio(f.get("memwhy/perf")),
                       ratio(f.get("memwhy_bulk/bpftrace")), ns(f.get("memwhy-empty")),
                       ns(f.get("memwhy_untraced-empty")), *(ns(f.get(v + "-empty")) for v in others)]
                      for name, f in names], markdown))
    out += ["", "Goals, read faults: the median against the limit", ""]
    columns = [label for _, _, label in SCENARIOS]
    rows = []
    for goal, _, limit, unit in GOALS:
        cells = {g["scenario"]: g for g in result["goals"] if g["goal"] == goal}
        rows.append([f"{goal} ≤ " + (f"1/{1 / limit:.0f}" if unit == "ratio" else f"{limit} ns"),
                     *(verdict(cells.get(column)) for column in columns)])
    out.append(table(["goal", *columns], rows, markdown))
    return "\n".join(out)


def summarize_workloads(path):
    """Rows of bench_workloads: one for each repetition; medians over the repetitions."""
    runs = collections.defaultdict(list)
    problems = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["problem"]:
                problems[row["workload"]] = row["problem"]
            else:
                runs[row["workload"]].append({k: float(v) for k, v in row.items() if k not in ("workload", "problem")})
    result = []
    for name, rows in runs.items():
        derived = {
            "faults_per_s": [r["faults"] / r["wall_s"] for r in rows],
            "ns_per_fault_program": [r["fault_ns"] / r["fault_runs"] for r in rows if r["fault_runs"]],
            "own_runs": [r["faults"] / r["fault_runs"] for r in rows if r["fault_runs"]],
            "fault_cpu_share": [r["fault_ns"] / 1e9 / r["cpu_s"] for r in rows],
            "all_cpu_share": [r["all_ns"] / 1e9 / r["cpu_s"] for r in rows],
            "learn_ms": [(r["learn_ns"] + r["files_ns"]) / 1e6 for r in rows],
            "snapshots": [r["snapshots"] for r in rows],
            "limited": [r["limited"] for r in rows],
            "learn_share": [(r["learn_ns"] + r["files_ns"]) / 1e9 / r["wall_s"] for r in rows],
        }
        result.append({"workload": name, "repetitions": len(rows),
                       **{k: dict(zip(("p25", "median", "p75"), quartiles(v) or (v[0],) * 3))
                          for k, v in derived.items() if v}})
    result += [{"workload": name, "problem": problem} for name, problem in problems.items() if name not in runs]
    return result


def workloads_text(result, markdown):
    def of(entry, key, factor=1, digits=0):
        v = entry.get(key)
        return "–" if v is None else (f"{v['median'] * factor:,.{digits}f} "
                                      f"[{v['p25'] * factor:,.{digits}f}–{v['p75'] * factor:,.{digits}f}]")
    rows = [[e["workload"], of(e, "faults_per_s"), of(e, "ns_per_fault_program"),
             of(e, "own_runs", 100), of(e, "fault_cpu_share", 100, 2),
             of(e, "all_cpu_share", 100, 2)] if "problem" not in e else [f"{e['workload']}: {e['problem']}", *["–"] * 5]
            for e in result]
    learning = [[e["workload"], of(e, "snapshots"), of(e, "limited"), of(e, "learn_ms"), of(e, "learn_share", 100, 1)]
                for e in result if "problem" not in e]
    return "\n".join(["In situ: the kernel's own run time of memwhy's programs (kernel.bpf_stats; two clock reads a run are in it),",
                      "workload traced from its first instruction, children followed. Faults of other processes run the programs too: where",
                      "few of the runs are the workload's own, the machine was busy, ns a run is mostly theirs, and the shares are too high.", "",
                      table(["workload", "faults/s", "ns a run", "runs that are its own, %",
                             "fault programs, % of its CPU",
                             "all programs, % of its CPU"], rows, markdown),
                      "", "Learning unwind rules in that time: the thread that learns, and its children", "",
                      table(["workload", "snapshots", "not allowed, or no room", "CPU, ms", "% of a CPU"], learning, markdown)])


def summarize_model(path):
    values = collections.defaultdict(list)
    with open(path, newline="") as file:
        for row in csv.reader(file):
            if len(row) >= 3 and row[-1] != "value":
                values[",".join(row[:-2]), row[-2]].append(float(row[-1]))
    return [{"what": name, "unit": unit, "repetitions": len(v), **dict(zip(("p25", "median", "p75"), quartiles(v) or v * 3))}
            for (name, unit), v in values.items()]


def model_text(result, markdown):
    return table(["what", "unit", "median", "p25–p75"],
                 [[e["what"], e["unit"], f"{e['median']:,.2f}", f"{e['p25']:,.2f}–{e['p75']:,.2f}"] for e in result], markdown)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--faults", type=pathlib.Path, help="rows of bench_faults")
    parser.add_argument("--workloads", type=pathlib.Path, help="rows of bench_workloads")
    parser.add_argument("--model", type=pathlib.Path, help="rows of bench_model")
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    args = parser.parse_args()
    faults = summarize(args.faults) if args.faults else None
    workloads = summarize_workloads(args.workloads) if args.workloads and args.workloads.exists() else None
    model = summarize_model(args.model) if args.model else None
    if args.format == "json":
        print(json.dumps({"format": "memwhy.bench.model/1", "rows": model} if model is not None
                         else {**(faults or {}), "workloads": workloads}, indent=2))
        return 0
    parts = [faults_text(faults, args.format == "markdown")] if faults else []
    parts += [workloads_text(workloads, args.format == "markdown")] if workloads else []
    parts += [model_text(model, args.format == "markdown")] if model else []
    print("\n\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
