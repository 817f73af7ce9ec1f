# SPDX-License-Identifier: Apache-2.0
"""Each way for pages to come, go or move, on the running kernel: which pages are there, how that is known, and whose they are.

One test for each row of the workload `pages`. After each step of it, in a process of its own, two recordings of the same
state: by a recorder that was attached before the first step, and by one that is attached now and has seen nothing. The
process is stopped while they scan it, so smaps_rollup is the referee of their sums, to the byte.
"""
import subprocess
import time

from support.answers import check_pages, ledger, page_scans, until_scanned
from support.referees import quiet, rss_rollup

PAGE = 4096
SLACK = 96 << 10  # what stdio, the loader and the stack may take of their own in a step
STEPS = {"anon_write": 1, "dontneed": 3, "zero_page": 2, "madv_free": 3, "mremap_move": 2, "mremap_grow": 3,
         "file_read": 1, "file_private_write": 1, "huge": 2, "collapse": 2, "map_populate": 1, "madv_populate": 1,
         "mlock": 1, "direct_read": 1, "read_into": 1, "remote_write": 1, "memfd": 3, "fork": 3, "pageout": 3,
         "uffd_copy": 1, "brk": 2, "reuse": 3, "fixed_over": 3}


def ranges_by_pid(ranges):
    return {pid: [r for r in ranges if r["pid"] == pid] for pid in sorted({r["pid"] for r in ranges})}


def count_ways(groups):
    counts = {}
    for group in groups:
        counts[group["how"]] = counts.get(group["how"], 0) + group["pages"]
    return counts


def check_range(wanted, groups, seen):
    """The pages of one range: how many, how known, and that the site is in their stack."""
    where = f"range {wanted['name']}: {groups}"
    ways = count_ways(groups)
    assert sum(ways.values()) == wanted["pages"], f"not {wanted['pages']} pages resident in {where}"
    allowed = set(wanted["how"].split("|")) if seen else {"before-attach"}
    assert wanted["pages"] == 0 or set(ways) <= allowed, f"not known by {sorted(allowed)}: {where}"
    for group in groups:
        if seen:
            assert wanted["site"] in group["stack"], f"{wanted['site']} is not in the stack of {where}"
        else:
            assert group["stack"] == [], where


def check_owners(process, ranges, owner, seen):
    """By owner: the ranges are there, and at most a little besides."""
    size = PAGE * sum(r["pages"] for r in ranges)
    owner = owner if seen or not owner.startswith("anon.") else "anon.before_attach"
    held = ledger(process).get(owner, 0)
    assert size <= held <= size + SLACK, f"{owner} holds {held}, the ranges {size}: {ledger(process)}"
    if not seen:
        return
    # No finer: what one function brought has one line, in bytes, with that function in its stack.
    sites = {}
    for r in ranges:
        sites[r["site"]] = sites.get(r["site"], 0) + PAGE * r["pages"]
    entries = [entry for line in process["ledger"] if line["id"] == owner for entry in line["top"] if entry["what"] == "stack"]
    for site, wanted in sites.items():
        found = sum(entry["bytes"] for entry in entries if any(frame.startswith(site + " ") for frame in entry["frames"]))
        assert not entries or found == wanted, f"{site} brought {wanted}, not {found}: {entries}"


def check_state(case, file, ranges, owner, seen, rollups, seen_leaving=True):
    explanation = case.explain(file, cwd=case.folder)
    assert explanation["coverage"]["events_lost"] == 0 and explanation["coverage"]["recording"]["damage"] == []
    scans = page_scans(case, file, ranges)
    for pid, of_pid in ranges_by_pid(ranges).items():
        last = [scan for scan in scans if scan["pid"] == pid][-1]
        process = [p for p in explanation["processes"] if p["pid"] == pid][-1]
        for wanted, groups in zip(ranges, last["ranges"]):
            if wanted["pid"] == pid:
                check_range(wanted, groups, seen)
        assert process["rss"]["bytes"] == last["resident"] * PAGE == rollups[pid], (process["rss"], last["resident"], rollups)
        if owner is not None:
            check_owners(process, of_pid, owner, seen)
    check_pages(scans, seen_leaving)


def row(case, name, owner="anon.other", seen_leaving=True):
    """The row `name`; `owner` holds its ranges, or None: others besides are held by it."""
    for last in range(1, STEPS[name] + 1):
        workload = case.pages(name)
        recorder = case.start_memwhy("record", "-p", workload.pid, "--follow", "-o", f"before.{last}")
        for _ in range(last):
            ranges = workload.step()
        pids = list(ranges_by_pid(ranges))
        if pids != [workload.pid]:  # a child is looked at when it has not exec'd for a while
            until_scanned(case, recorder, f"before.{last}", 0, pids)
        with quiet(pids):
            rollups = {pid: rss_rollup(pid) for pid in pids}
            case.finish(recorder)
            check_state(case, f"before.{last}", ranges, owner, True, rollups, seen_leaving)
            recorder = case.start_memwhy("record", "-p", ",".join(map(str, pids)), "-o", f"after.{last}")
            case.finish(recorder)
            check_state(case, f"after.{last}", ranges, owner, False, rollups, seen_leaving)
    workload.finished()


def test_every_row_has_its_test(case):
    listed = subprocess.run([case.build / "workloads/pages", "--list"], capture_output=True, text=True, check=True).stdout
    assert listed.split() == list(STEPS) and all(f"test_{name}" in globals() for name in STEPS), listed


def test_scanned_between_steps(case):
    """The rows of several steps at once, by one recorder that scans each process after each step: what a scan settled is
    carried by the next step, and comes out right in the next scan."""
    names = [name for name, steps in STEPS.items() if steps > 1 and name != "pageout"]  # which needs swap
    workloads = [case.pages(name) for name in names]
    ranges = {}
    pids = ",".join(str(workload.pid) for workload in workloads)
    recorder = case.start_memwhy("record", "--follow", "-p", pids, "-d", "24s", "-o", "between")  # a scan each 6 s, or sooner
    for step in range(3):
        for name, workload in zip(names, workloads):
            if step < STEPS[name]:
                ranges[name] = workload.step()
        here = [r for name in names for r in ranges[name]]
        until_scanned(case, recorder, "between", time.monotonic_ns(), {r["pid"] for r in here})
        scans = page_scans(case, "between", here)
        for pid in {r["pid"] for r in here}:
            last = [scan for scan in scans if scan["pid"] == pid][-1]
            for wanted, groups in zip(here, last["ranges"]):
                if wanted["pid"] == pid:
                    check_range(wanted, groups, True)
    case.finish(recorder)
    punched = workloads[names.index("memfd")].pid  # nobody tells of a hole in a file: entries of its pages are stale until a scan
    check_pages([scan for scan in scans if scan["pid"] != punched])


def test_anon_write(case):
    row(case, "anon_write")


def test_dontneed(case):
    row(case, "dontneed")


def test_zero_page(case):
    row(case, "zero_page")


def test_madv_free(case):
    row(case, "madv_free")


def test_mremap_move(case):
    row(case, "mremap_move")


def test_mremap_grow(case):
    row(case, "mremap_grow")


def test_file_read(case):
    row(case, "file_read", "file.shared")


def test_file_private_write(case):
    row(case, "file_private_write", "file.private")


def test_huge(case):
    row(case, "huge")


def test_collapse(case):
    row(case, "collapse")


def test_map_populate(case):
    row(case, "map_populate")


def test_madv_populate(case):
    row(case, "madv_populate")


def test_mlock(case):
    row(case, "mlock")


def test_direct_read(case):
    row(case, "direct_read")


def test_read_into(case):
    row(case, "read_into")


def test_remote_write(case):
    row(case, "remote_write")


def test_memfd(case):
    row(case, "memfd", "shmem", seen_leaving=False)  # a hole in the file: no hook sees what it takes


def test_fork(case):
    row(case, "fork")


def test_pageout(case):
    row(case, "pageout")


def test_uffd_copy(case):
    row(case, "uffd_copy", None)  # the pages that are copied from are there as well


def test_brk(case):
    row(case, "brk", "c.heap.unclassified")


def test_reuse(case):
    row(case, "reuse")


def test_fixed_over(case):
    row(case, "fixed_over")
