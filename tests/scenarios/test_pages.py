# SPDX-License-Identifier: Apache-2.0
"""Each way for pages to come, go or move, on the running kernel: which pages are there, how that is known, and whose they are.

One test for each row of the workload `pages`. After each step of it, in a process of its own, two recordings of the same
state: by a recorder that was attached before the first step, and by one that is attached now and has seen nothing. The
process is stopped while they scan it, so smaps_rollup is the referee of their sums, to the byte.
"""
import signal
import time

from support import MIB, check_pages, ledger, page_scans, quiet, rss_rollup

PAGE = 4096
SLACK = 96 << 10  # what stdio, the loader and the stack may take of their own in a step


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
    # The heap and .bss of the program itself are a few pages; only the files it maps are of the same order as the ranges.
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


def check_state(case, file, ranges, owner, seen, rollups):
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
    check_pages(scans)


def row(case, name, steps, owner="anon.other"):
    """The row `name`, which has so many steps; `owner` holds its ranges, or None: more than one does."""
    for last in range(1, steps + 1):
        workload = case.pages(name)
        recorder = case.start_memwhy("record", "-p", workload.pid, "--follow", "-o", f"before.{last}")
        for _ in range(last):
            ranges = workload.step()
        pids = list(ranges_by_pid(ranges))
        with quiet(pids):
            rollups = {pid: rss_rollup(pid) for pid in pids}
            case.finish(recorder)
            check_state(case, f"before.{last}", ranges, owner, True, rollups)
            recorder = case.start_memwhy("record", "-p", ",".join(map(str, pids)), "-o", f"after.{last}")
            case.finish(recorder)
            check_state(case, f"after.{last}", ranges, owner, False, rollups)
    workload.finished()


def test_anon_write(case):
    row(case, "anon_write", 1)


def test_dontneed(case):
    row(case, "dontneed", 3)


def test_zero_page(case):
    row(case, "zero_page", 2)


def test_madv_free(case):
    row(case, "madv_free", 3)


def test_mremap_move(case):
    row(case, "mremap_move", 2)


def test_mremap_grow(case):
    row(case, "mremap_grow", 3)


def test_file_read(case):
    row(case, "file_read", 1, "file.shared")


def test_file_private_write(case):
    row(case, "file_private_write", 1, "file.private")


def test_huge(case):
    row(case, "huge", 2)


def test_collapse(case):
    row(case, "collapse", 2)


def test_map_populate(case):
    row(case, "map_populate", 1)


def test_madv_populate(case):
    row(case, "madv_populate", 1)


def test_mlock(case):
    row(case, "mlock", 1)


def test_direct_read(case):
    row(case, "direct_read", 1)


def test_read_into(case):
    row(case, "read_into", 1)


def test_remote_write(case):
    row(case, "remote_write", 1)


def test_memfd(case):
    row(case, "memfd", 3, "shmem")


def test_fork(case):
    row(case, "fork", 3)


def test_pageout(case):
    row(case, "pageout", 3)


def test_uffd_copy(case):
    row(case, "uffd_copy", 1, None)  # the pages that are copied from are there as well


def test_brk(case):
    row(case, "brk", 2, "c.heap.unclassified")


def test_reuse(case):
    row(case, "reuse", 3)


def test_fixed_over(case):
    row(case, "fixed_over", 3)
