# SPDX-License-Identifier: Apache-2.0
"""memwhy anonymize: a recording without the names, which explains the same."""
import re

from support import MIB
from support.answers import only_process
from test_compare import Steps, recorded


def digest(process):
    """Everything of an explanation that is no name."""
    return {
        "rss": process["rss"],
        "ledger": [(line["id"], line["bytes"], line["growth_bytes_per_s"], line["huge_bytes"],
                    sorted((top["bytes"], top["what"], top["how"], len(top["frames"])) for top in line["top"]))
                   for line in process["ledger"]],
        "findings": [(found["id"], found["kind"], found["bytes"], found["share"], found["recoverable_bytes"], found["confidence"],
                      found["figures"], len(found["evidence"]), len(found["against"])) for found in process["findings"]],
        "cells": sorted((cell["owner"], cell["bytes"], cell["how"] or "") for cell in process["cells"]),
        "kinds": [frame["kind"] for frame in process["frames"]],
        "verdict": process["verdict"]["is"],
        "goroutines": process["goroutines"] and [(group["count"], group["kept_bytes"]) for group in process["goroutines"]["groups"]],
        "timeline": [(point["t"], point["rss_bytes"], point["ledger"]) for point in process["timeline"]],
    }


def anonymized(case, name):
    case.memwhy("anonymize", name, "-o", "public.memwhy", cwd=case.folder)
    before = only_process(case.explain(name, "--cells", cwd=case.folder))
    after = only_process(case.explain("public.memwhy", "--cells", cwd=case.folder))
    a, b = digest(before), digest(after)
    for key, value in a.items():
        assert b[key] == value, f"{key}\n{value}\n{b[key]}"
    out, _ = case.memwhy("explain", "public.memwhy", "--full", cwd=case.folder)
    json_out, _ = case.memwhy("explain", "public.memwhy", "--json", "--cells", cwd=case.folder)
    info, _ = case.memwhy("info", "public.memwhy", cwd=case.folder)
    return before, after, out + json_out + info


def test_a_go_program(case):
    """A leak of goroutines: the same problem with the same bytes; the program's names are gone, the runtime's are not."""
    jobs = case.hourly_job("debian", "-period", "4s", "-hold", 3, "-runs", 7)  # who waits for 10 s is blocked
    jobs.holds()
    memwhy = case.start_memwhy("record", "-p", jobs.pid, "-o", "leak.memwhy")
    jobs.go_on()
    jobs.done()
    case.finish(memwhy)
    before, after, said = anonymized(case, "leak.memwhy")
    assert [found["id"] for found in after["findings"] if found["kind"] == "problem"] == ["goroutine-leak"], after["findings"]
    names = {frame["function"] for frame in before["frames"] if frame["kind"] == "program" and frame["function"]} - {"main.main"}
    assert any(name.startswith("main.run") for name in names), names
    for name in [*names, "hourly_job", "run.func1"]:
        assert not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said), name
    assert "runtime.gopark" in said or "runtime.mallocgc" in said


def test_a_c_heap(case):
    """Python: libc, its allocator and the interpreter are anybody's; and a second recording has the same words by the same key."""
    steps = Steps(case)
    recorded(case, steps, "py.memwhy", 64)
    before, after, said = anonymized(case, "py.memwhy")
    assert next(line for line in after["ledger"] if line["id"] == "c.heap.used")["bytes"] >= 64 * MIB
    assert "libc.so.6" in said and "python3" in said
    (case.folder / "key").write_text("sixteen bytes or more")
    for name in ("a.memwhy", "b.memwhy"):
        case.memwhy("anonymize", "py.memwhy", "-o", name, "--key", "key", cwd=case.folder)
    a, b = (only_process(case.explain(name, "--cells", cwd=case.folder)) for name in ("a.memwhy", "b.memwhy"))
    assert a["frames"] == b["frames"] and a["exe"] == b["exe"]


def test_errors(case):
    steps = Steps(case)
    recorded(case, steps, "r.memwhy", 1)
    case.fails(7, "r.memwhy", arguments=["anonymize", "r.memwhy", "-o", "r.memwhy"], cwd=case.folder)
    (case.folder / "short").write_text("short")
    case.fails(6, "needs 16", arguments=["anonymize", "r.memwhy", "-o", "x.memwhy", "--key", "short"], cwd=case.folder)
    case.fails(6, arguments=["anonymize", "/dev/null", "-o", "x.memwhy"], cwd=case.folder)
    assert not (case.folder / "x.memwhy").exists(), "nothing is left of what failed"
