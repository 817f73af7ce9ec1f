# SPDX-License-Identifier: Apache-2.0
"""What rows of the scoreboard (rows.py) can't say of Go programs: of a step, and of what the race detector leaks."""
import signal
import subprocess
import time

from support import MIB
from support.answers import is_kept, ledger, only_process, problems, until_scanned
from support.referees import rss_of
from support.workloads import Told

NEW, OLD = "go1.27.3", "debian"
KEPT_PER_PANIC = 88  # by the race runtime: 8 bytes for each of 11 frames that are unwound


def watched(case, story, *, times, every=0):
    """(process, told): the story goes on so many times, by the clock where it is to go on every so many seconds, else each time until
    memwhy has scanned it."""
    told = Told(case.start([case.go_build("go_findings", NEW), story], stdin=subprocess.PIPE))
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


def no_problem(process):
    assert problems(process) == [], [finding["claim"] for finding in problems(process)]


def test_what_a_growing_heap_would_give_back(case):
    """The row says that it grows. What is promised comes back when the program lets go of what it added."""
    process, told = watched(case, "growth", times=16, every=2)  # growth shows from 20 s on
    finding = next(f for f in problems(process) if f["id"] == "live-heap-growth")
    before = rss_of(told.pid)
    told.remedy()
    is_kept(finding["recoverable_bytes"], before, rss_of(told.pid))


def test_one_step_is_no_growth(case):
    process, told = watched(case, "step", times=4)
    assert told.stats()["known"] == 24 * MIB + 3 * 8192
    no_problem(process)


def race_detector_leak(case, toolchain):
    service = case.race_service(toolchain)
    service.get("/parse?bad=1000")
    before = service.stats()["panics"]
    with case.watching(service.pid) as watch:
        service.load(340, "/parse?bad=2000", rate=20)  # its call stack is copied at 190 and would be again at 380
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
