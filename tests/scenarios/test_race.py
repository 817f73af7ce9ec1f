# SPDX-License-Identifier: Apache-2.0
"""The story of the README: RSS is a multiple of what the heap profile says, because the service was built with -race."""
import math
import re
from datetime import datetime

from support import MIB
from support.answers import ledger, only_process, problems, share
from support.referees import pprof_inuse

PROFILE_RATE = 512 << 10  # mean bytes between two samples
KEPT_PER_GOROUTINE = 490  # by the race runtime, of one that ended: 85 to 99 MiB for 1,000 requests of 200 each, the more the faster


def check_story(process, version):
    assert process["go"]["version"].startswith(version), process["go"]
    assert process["go"]["race"] is True
    assert share(process, "race.") >= 0.8, ledger(process)
    finding = problems(process)[0]
    assert finding["id"] == "race-detector"
    assert finding["share"] >= 0.8 and finding["confidence"] == "high"
    assert finding["recoverable_bytes"] >= 0.8 * finding["bytes"]
    assert "-race" in finding["remedy"]


def after_growth(case, toolchain, version):
    """Attached when everything has happened: no fault of it was seen."""
    service = case.race_service(toolchain, "-import", 256)
    service.load(200)
    process = only_process(case.explain("-p", service.pid, "-d", 3))
    check_story(process, version)
    # 2 bytes of shadow for each byte that the heap ever touched; the runtime touches a little more than was imported.
    assert 512 * MIB <= ledger(process)["race.shadow"] <= 600 * MIB, ledger(process)
    assert service.stats()["heap_alloc"] < 24 * MIB


def before_growth(case, toolchain, version):
    """Attached when the service is small; then it grows by a known cause. The heap profile is small all the time."""
    service = case.race_service(toolchain)
    with case.watching(service.pid) as watch:
        service.get("/import?mib=256")
        service.load(300)
        own = service.stats()["heap_alloc"]
    (case.folder / "heap.pb.gz").write_bytes(service.get_bytes("/debug/pprof/heap"))
    explanation = watch.explanation
    process = only_process(explanation)
    check_story(process, version)
    assert 512 * MIB <= ledger(process)["race.shadow"] <= 620 * MIB, ledger(process)
    born = process["rss"]["bytes"] - process["coverage"]["before_attach_bytes"]
    assert process["coverage"]["unattributed_bytes"] <= 0.001 * born, process["coverage"]
    assert process["rss"]["start_bytes"] < 64 * MIB < 512 * MIB < process["rss"]["bytes"]
    assert explanation["coverage"]["events_lost"] == 0
    # Beside it, what the heap profile says: the figure of the service's own endpoint, and as near to its own
    # counters as samples can be (4 standard deviations).
    profile, theirs = process["heap_profile"], pprof_inuse(case.folder / "heap.pb.gz")
    assert profile["source"] == "buckets", profile
    assert abs(profile["inuse_bytes"] - theirs) <= 0.001 * theirs, (profile, theirs)
    assert abs(profile["inuse_bytes"] - own) <= 4 * math.sqrt(own * PROFILE_RATE), (profile, own)
    assert process["gap_bytes"] == process["rss"]["bytes"] - profile["inuse_bytes"] >= 512 * MIB
    beside = [line for line in problems(process)[0]["evidence"] if line.startswith("the heap profile shows ")]
    assert len(beside) == 1 and f"{profile['inuse_bytes'] / MIB:.1f} MiB in use" in beside[0], problems(process)[0]["evidence"]


def growing(case, toolchain, version):
    """Under load from attach to the end: the growth is that of the goroutines that ended meanwhile."""
    service = case.race_service(toolchain, "-import", 64)
    service.load(20)
    before = service.stats()["goroutines_started"]
    with case.watching(service.pid) as watch:
        service.load(800, rate=32)
    process = only_process(watch.explanation)
    kept = KEPT_PER_GOROUTINE * (service.stats()["goroutines_started"] - before)
    check_story(process, version)
    finding = problems(process)[0]
    scans = [(datetime.fromisoformat(point["t"]), sum(bytes for owner, bytes in point["ledger"].items() if owner.startswith("race.")))
             for point in process["timeline"] if point["ledger"]]
    (begun, first), (ended, last) = scans[0], scans[-1]
    seconds = (ended - begun).total_seconds()
    print(f"{version}: {kept} bytes kept of ended goroutines, {last - first} more in {seconds:.1f} s, "
          f"{finding['growth_bytes_per_s']:.0f} bytes/s said")
    assert 0.7 * kept <= last - first <= 1.2 * kept, (kept, first, last)
    # What is said is the slope through all scans: of one step in the middle it would be 1.5 times that from first to last.
    assert 0.5 * (last - first) <= finding["growth_bytes_per_s"] * seconds <= 1.6 * (last - first), finding["claim"]
    assert re.search(r", \+[\d.]+ [MG]iB/min: the program was built with -race", finding["claim"]), finding["claim"]
    assert [line for line in finding["evidence"] if line.startswith("rose by ")], finding


def test_go_1_19_attached_after(case):
    after_growth(case, "debian", "go1.19")


def test_go_1_19_attached_before(case):
    before_growth(case, "debian", "go1.19")


def test_go_1_19_growing(case):
    growing(case, "debian", "go1.19")


def test_go_1_26_attached_after(case):
    after_growth(case, "go1.26.8", "go1.26.8")


def test_go_1_26_attached_before(case):
    before_growth(case, "go1.26.8", "go1.26.8")


def test_go_1_26_growing(case):
    growing(case, "go1.26.8", "go1.26.8")


def test_go_1_27_attached_after(case):
    after_growth(case, "go1.27.3", "go1.27.3")


def test_go_1_27_attached_before(case):
    before_growth(case, "go1.27.3", "go1.27.3")


def test_go_1_27_growing(case):
    growing(case, "go1.27.3", "go1.27.3")


def test_the_file_says_what_was_said_live(case):
    service = case.race_service("debian", "-import", 64)
    live, _ = case.memwhy("explain", "-p", service.pid, "-d", 3, "-o", "kept.memwhy", "--json", cwd=case.folder)
    again, _ = case.memwhy("explain", "kept.memwhy", "--json", cwd=case.folder)
    assert live == again
    assert (case.folder / "kept.memwhy").stat().st_mode & 0o777 == 0o600
