# SPDX-License-Identifier: Apache-2.0
"""Each cause of a Go program's memory on a process that has it and is known to have it (workloads/go_findings): the problem is
there, with its bytes, and the same program without the cause has none. The referee is what the program's own runtime says."""
import os
import re
import signal
import subprocess
import time

from support import MIB
from support.answers import is_kept, ledger, only_process, problems, until_scanned
from support.referees import rss_of
from support.workloads import Told

NEW, OLD = "go1.27.3", "debian"
KEPT_PER_PANIC = 88  # by the race runtime: 8 bytes for each of 11 frames that are unwound


def started(case, story, *, toolchain=NEW, fix=False, **environment):
    program = case.go_build("go_findings", toolchain)
    return Told(case.start([program, *(["-fix"] if fix else []), story], stdin=subprocess.PIPE, env=dict(os.environ) | environment))


def looked_at(case, story, *, seconds=3, **options):
    """(process, told): memwhy looked at the story when all had happened."""
    told = started(case, story, **options)
    return only_process(case.explain("-p", told.pid, "-d", seconds)), told


def watched(case, story, *, times=1, every=0, **options):
    """(process, told): the story goes on while memwhy looks: `times` times, by the clock when it is to go on every so many seconds,
    else each time until memwhy has scanned."""
    told = started(case, story, **options)
    with case.watching(told.pid) as watch:
        begun = time.monotonic()
        for n in range(times):
            told.go_on()
            if every and n + 1 < times:
                time.sleep(max(0.0, begun + every * (n + 1) - time.monotonic()))
            else:
                until_scanned(case, watch.memwhy, "kept.memwhy", time.monotonic_ns(), [told.pid])
    return only_process(watch.explanation), told


def near(value, wanted, part=0.03):
    return abs(value - wanted) <= part * wanted


def the_problem(process, cause, owner):
    """The only problem; all its bytes are those of this owner."""
    assert [finding["id"] for finding in problems(process)] == [cause], [p["claim"] for p in problems(process)]
    finding = process["findings"][0]
    assert finding["id"] == cause, finding
    assert finding["bytes"] == ledger(process)[owner], (finding, ledger(process))
    return finding


def no_problem(process):
    assert problems(process) == [], [finding["claim"] for finding in problems(process)]


def test_idle_heap(case):
    process, told = looked_at(case, "idle")
    finding = the_problem(process, "idle-heap", "go.heap.idle")
    own = told.stats()
    assert near(finding["bytes"], own["free"]) and near(own["free"], own["known"], 0.1), (finding["bytes"], own)
    assert finding["recoverable_bytes"] == finding["bytes"] and "debug.FreeOSMemory()" in finding["remedy"]
    no_problem(looked_at(case, "idle", fix=True)[0])


def test_gc_headroom(case):
    process, told = looked_at(case, "headroom")
    finding = the_problem(process, "gc-headroom", "go.heap.unmarked")
    assert near(finding["bytes"], told.stats()["known"]), finding
    # No collection has told what of it is still in use.
    assert finding["recoverable_bytes"] is None and finding["confidence"] == "low", finding
    assert "the collector is off (GOGC=off)" in finding["claim"] and "GOMEMLIMIT" in finding["remedy"], finding
    no_problem(looked_at(case, "headroom", fix=True)[0])


def test_fragmentation(case):
    process, told = looked_at(case, "fragments")
    finding = the_problem(process, "fragmentation", "go.heap.fragmentation")
    own = told.stats()
    assert near(finding["bytes"], own["unused"]) and near(finding["bytes"], own["known"]), (finding["bytes"], own)
    assert "Go never moves objects" in finding["remedy"], finding
    no_problem(looked_at(case, "fragments", fix=True)[0])


def test_goroutine_stacks(case):
    process, told = looked_at(case, "stacks")
    finding = the_problem(process, "goroutine-stacks", "go.stacks")
    # Of 128 KiB each at least the 110 KiB that they use are resident.
    own = told.stats()
    assert own["known"] <= own["stacks"] <= 1.01 * own["known"], own
    assert 110 / 128 * own["known"] <= finding["bytes"] <= own["stacks"], (finding["bytes"], own)
    assert re.search(r": 20\d\d goroutines, 1[12]\d\.\d KiB each on average", finding["claim"]), finding["claim"]
    assert re.match(r"250\.0 MiB in 2000 goroutines in chan receive at main\.descend .*, created at main\.stacks ",
                    finding["evidence"][0]), finding["evidence"]
    no_problem(looked_at(case, "stacks", fix=True)[0])


def test_live_heap_growth(case):
    process, told = watched(case, "growth", times=16, every=2)  # growth shows from 20 s on
    finding = the_problem(process, "live-heap-growth", "go.heap.live")
    own = told.stats()
    assert own["known"] >= 160 * MIB and near(finding["bytes"], own["objects"]), (finding["bytes"], own)
    assert near(finding["recoverable_bytes"], own["known"], 0.1) and finding["growth_bytes_per_s"] > 0, (finding, own)
    assert [line for line in finding["evidence"] if " by main.growth (main.go:" in line], finding["evidence"]
    before = rss_of(told.pid)
    told.remedy()
    is_kept(finding["recoverable_bytes"], before, rss_of(told.pid))
    no_problem(watched(case, "growth", times=16, every=2, fix=True)[0])


def test_one_step_is_no_growth(case):
    process, told = watched(case, "step", times=4)
    assert told.stats()["known"] == 24 * MIB + 3 * 8192
    no_problem(process)


def test_untouched_large_allocation(case):
    process, told = looked_at(case, "untouched")
    no_problem(process)  # nothing is to be done
    finding, = [f for f in process["findings"] if f["id"] == "untouched-large-allocation"]
    own, heap = told.stats(), ledger(process)
    in_use = own["objects"] + own["unused"]
    resident = sum(heap.get("go.heap." + part, 0) for part in ("live", "unmarked", "fragmentation"))
    assert finding["kind"] == "explains" and finding["bytes"] == resident, (finding, heap)
    assert near(in_use - resident, own["known"], 0.01), (in_use, resident)
    assert re.match(r"25[67]\.\d MiB of go_findings-go1's Go heap are in use and not resident: ", finding["claim"]), finding["claim"]
    healthy, _ = looked_at(case, "untouched", fix=True)
    no_problem(healthy)
    assert "untouched-large-allocation" not in [f["id"] for f in healthy["findings"]]


def test_profiler_buckets(case):
    process, told = looked_at(case, "profiler")
    finding = the_problem(process, "profiler-buckets", "go.runtime.profiler")
    assert near(finding["bytes"], told.stats()["buckets"], 0.05), (finding["bytes"], told.stats())
    assert finding["bytes"] >= 131072 * (48 + 16 * 8 + 128), finding["bytes"]  # a bucket for each stack
    assert finding["confidence"] == "high" and "runtime.MemProfileRate" in finding["remedy"], finding
    no_problem(looked_at(case, "profiler", fix=True)[0])


def test_metadata_after_peak(case):
    # Of Go 1.19, whose heap bitmap takes a 32nd of the peak; newer ones keep it in the spans, where little stays.
    process, told = looked_at(case, "metadata", toolchain=OLD)
    finding = the_problem(process, "metadata-after-peak", "go.runtime.metadata")
    own = told.stats()
    assert own["released"] > 450 * MIB and 512 * MIB / 32 < finding["bytes"] <= own["metadata"], (finding["bytes"], own)
    assert near(finding["bytes"], finding["recoverable_bytes"], 0.1) and finding["confidence"] == "high", finding
    no_problem(looked_at(case, "metadata", toolchain=OLD, fix=True)[0])


def test_lazy_free(case):
    process, told = watched(case, "given_back", GODEBUG="madvdontneed=0")
    finding = the_problem(process, "lazy-free", "go.heap.released_resident")
    assert near(finding["bytes"], told.stats()["known"]) and finding["recoverable_bytes"] == finding["bytes"], finding
    assert "(MADV_FREE)" in finding["claim"] and finding["confidence"] == "high", finding  # memwhy saw the madvise
    assert "GODEBUG=madvdontneed=1" in finding["remedy"], finding
    no_problem(watched(case, "given_back")[0])  # as Go does it unless told otherwise


def race_detector_leak(case, toolchain):
    service = case.race_service(toolchain)
    service.get("/parse?bad=1000")
    before = service.stats()["panics"]
    with case.watching(service.pid) as watch:
        service.load(400, "/parse?bad=2000", rate=20)
    process = only_process(watch.explanation)
    leaked = KEPT_PER_PANIC * (service.stats()["panics"] - before)
    finding, = [f for f in problems(process) if f["id"] == "race-detector-leak"]
    scans = [point["ledger"]["race.internal"] for point in process["timeline"] if point["ledger"]]
    grown = scans[-1] - scans[0]
    print(f"{toolchain}: {leaked} bytes leaked, {grown} of them from the first scan to the last")
    assert {f["id"] for f in problems(process)} == {"race-detector", "race-detector-leak"}
    assert finding["bytes"] == ledger(process)["race.internal"] == scans[-1], finding
    assert near(grown, leaked, 0.1) and finding["growth_bytes_per_s"] > 0, (grown, leaked, finding)
    assert finding["claim"].endswith("a long-lived goroutine recovers panics, and every frame they unwind stays recorded.")
    assert "Else recover in a goroutine that ends" in finding["remedy"], finding


def test_race_detector_leak_go_1_19(case):
    race_detector_leak(case, OLD)


def test_race_detector_leak_go_1_27(case):
    race_detector_leak(case, NEW)


def test_no_race_detector_leak_without_the_race_detector(case):
    service = case.race_service(NEW, race=False)
    load = service.start_load(50, "/parse?bad=2000")
    no_problem(only_process(case.explain("-p", service.pid, "-d", 4)))
    assert service.stats()["panics"] > 0
    load.send_signal(signal.SIGTERM)
