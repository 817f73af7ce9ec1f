# SPDX-License-Identifier: Apache-2.0
"""The story of the README: RSS is a multiple of what the heap profile says, because the service was built with -race."""
import math
import re
import signal
import time

from support import MIB, ledger, only_process, pprof_inuse, problems, share

PROFILE_RATE = 512 << 10  # mean bytes between two samples
KEPT_PER_GOROUTINE = 490  # by the race runtime, of one that ended: 92 to 99 MiB for 1,000 requests of 200 each


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
    memwhy = case.start_memwhy("explain", "-p", service.pid, "-d", "100s", "-o", "kept.memwhy", "--json")
    service.get("/import?mib=256")
    service.load(300)
    own = service.stats()["heap_alloc"]
    case.finish(memwhy)
    (case.folder / "heap.pb.gz").write_bytes(service.get_bytes("/debug/pprof/heap"))
    explanation = case.explain("kept.memwhy", cwd=case.folder)
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
    """Under load from before attach to after the end: the growth is that of the goroutines that ended meanwhile."""
    service = case.race_service(toolchain, "-import", 64)
    service.load(20)
    load = service.start_load()
    begun, before = time.monotonic(), service.stats()["goroutines_started"]
    process = only_process(case.explain("-p", service.pid, "-d", 8))
    ended = (service.stats()["goroutines_started"] - before) / (time.monotonic() - begun)
    load.send_signal(signal.SIGTERM)
    check_story(process, version)
    finding = problems(process)[0]
    print(f"{version}: {ended:.0f} goroutines ended each second, {finding['growth_bytes_per_s']:.0f} bytes/s")
    assert 0.7 * KEPT_PER_GOROUTINE * ended <= finding["growth_bytes_per_s"] <= 1.3 * KEPT_PER_GOROUTINE * ended, finding["claim"]
    assert re.search(r", \+[\d.]+ [MG]iB/min: the program was built with -race", finding["claim"]), finding["claim"]
    assert [line for line in finding["evidence"] if line.startswith("rising at each quarter of the recording")], finding


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


def test_the_healthy_twin_has_no_problem(case):
    service = case.race_service("debian", "-import", 64, race=False)
    service.load(200)
    process = only_process(case.explain("-p", service.pid, "-d", 3))
    assert process["go"]["race"] is False
    assert problems(process) == []
    assert not [owner for owner in ledger(process) if owner.startswith("race.")]
