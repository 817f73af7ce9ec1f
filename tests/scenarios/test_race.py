# SPDX-License-Identifier: Apache-2.0
"""The story of the README: RSS is a multiple of what the heap profile says, because the service was built with -race."""
from support import MIB, ledger, only_process, problems, share


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
    """Attached when the service is small; then it grows by a known cause."""
    service = case.race_service(toolchain)
    memwhy = case.start_memwhy("explain", "-p", service.pid, "-d", "100s", "-o", "kept.memwhy", "--json")
    service.get("/import?mib=256")
    service.load(300)
    case.finish(memwhy)
    explanation = case.explain("kept.memwhy", cwd=case.folder)
    process = only_process(explanation)
    check_story(process, version)
    assert 512 * MIB <= ledger(process)["race.shadow"] <= 620 * MIB, ledger(process)
    born = process["rss"]["bytes"] - process["coverage"]["before_attach_bytes"]
    assert process["coverage"]["unattributed_bytes"] <= 0.001 * born, process["coverage"]
    assert process["rss"]["start_bytes"] < 64 * MIB < 512 * MIB < process["rss"]["bytes"]
    assert explanation["coverage"]["events_lost"] == 0


def test_go_1_19_attached_after(case):
    after_growth(case, "debian", "go1.19")


def test_go_1_19_attached_before(case):
    before_growth(case, "debian", "go1.19")


def on_path(case, run):
    run(case, "path", "go1.")


def test_go_on_path_attached_after(case):
    on_path(case, after_growth)


def test_go_on_path_attached_before(case):
    on_path(case, before_growth)


def test_go_1_27_attached_after(case):
    after_growth(case, "go1.27.3", "go1.27.3")


def test_go_1_27_attached_before(case):
    before_growth(case, "go1.27.3", "go1.27.3")


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
