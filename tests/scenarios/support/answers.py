# SPDX-License-Identifier: Apache-2.0
"""What holds for every answer: of a process, that its ledger sums to its RSS, and of each page, by the model after each scan of
a recording (page_evidence.cpp), that it has one evidence.

Which answer is right for a workload is for the scenarios to say.
"""
import json
import subprocess
import time

from support import DEADLINE, MIB


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


# ---- single pages

def page_scans(case, file, ranges=()):
    """What page_evidence says of the file: a list of scans, each with the pages of `ranges` (of Pages.step)."""
    wanted = [f"{r['pid']}:{r['start']:x}-{r['end']:x}" for r in ranges]
    done = subprocess.run([case.build / "bin/page_evidence", case.folder / file, *wanted], capture_output=True, text=True,
                          timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def finding(process, cause):
    """None: it has no such one."""
    return next((each for each in process["findings"] if each["id"] == cause), None)


def figure(found, name):
    return next(each["value"] for each in found["figures"] if each["id"] == name)


def is_kept(promise, before, after):
    """What a remedy returned of RSS is what was promised: recoverable_bytes."""
    returned = before - after
    print(f"promised {promise / MIB:.2f} MiB, returned {returned / MIB:.2f} MiB")
    assert promise >= 16 * MIB and abs(returned - promise) <= max(0.1 * promise, 4 * MIB), (promise, returned)


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


def check_pages(scans, seen_leaving=True):
    """In each scan every page has one evidence, next to none has no evidence, and nothing is believed that is not there, unless pages
    left in a way that only a scan sees."""
    for scan in scans:
        assert scan["complete"] and scan["sum"] == scan["resident"] == sum(scan["how"].values()), scan
        assert scan["how"].get("unknown", 0) <= 0.001 * born(scan), scan
        assert scan["stale"] <= 0.005 * scan["resident"] or not seen_leaving, scan
        assert scan["doubtful"] == 0 and scan["stack_lost"] == 0, scan
