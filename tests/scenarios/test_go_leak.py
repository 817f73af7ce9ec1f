# SPDX-License-Identifier: Apache-2.0
"""The story of the hourly job: each run leaves a goroutine that waits for ever and keeps 64 MiB. The heap profile says
where they were allocated, a list of goroutines who waits; memwhy says both in one sentence, of stripped binaries, with
and without a heap profile in them. The referee is what the job says of its own heap after each run."""
import re

from support import MIB, ROOT
from support.answers import ledger, only_process, problems

SOURCE = (ROOT / "tests/workloads/hourly_job/main.go").read_text().splitlines()
BUFFER = 64 * MIB
BEFORE, AFTER = 2, 9  # jobs that end before memwhy attaches, and while it looks: for 23 s, growth shows from 20 s on
STEPS_SHOWN = 6  # of those in which the heap rose


def site(function, mark):
    """As memwhy writes it: the one line of the source that ends with this mark."""
    lines = [number for number, text in enumerate(SOURCE, 1) if text.endswith(f"// {mark}")]
    assert len(lines) == 1, f"{mark} is there {len(lines)} times"
    return f"{function} (main.go:{lines[0]})"


def near(value, wanted):
    return abs(value - wanted) <= 0.05 * wanted


def mib(text):
    number, unit = re.fullmatch(r"([\d.]+) ([MG])iB", text).groups()
    return float(number) * (MIB if unit == "M" else 1024 * MIB)


def the_problem(process):
    """The top problem, and the only one."""
    assert [finding["id"] for finding in problems(process)] == ["goroutine-leak"], [p["claim"] for p in problems(process)]
    assert process["findings"][0]["kind"] == "problem"
    return process["findings"][0]


def check_sentence(finding, jobs, reason, where):
    """Who waits where, how many, how much each, from where they were started; returns what it says of the origin."""
    claim = finding["claim"]
    start = f"{jobs.ended} goroutines {reason} at {where} keep "
    assert claim.startswith(start), f"{claim!r} does not start with {start!r}"
    total, each, origin = re.match(r"([\d.]+ [MG]iB): ([\d.]+ MiB) each(?: on average)?(.*)", claim[len(start):]).groups()
    assert near(mib(total), jobs.ended * BUFFER) and near(mib(each), BUFFER), claim
    assert near(finding["bytes"], jobs.ended * BUFFER) and near(finding["bytes"], jobs.heap), (finding["bytes"], jobs.heap)
    assert near(finding["recoverable_bytes"], jobs.heap)
    assert f", created at {site('main.run', 'CREATED')}" in origin, claim
    assert "waiting at least since" in origin, claim
    return origin


def check_steps(finding):
    """One step for each job that memwhy saw. Two jobs between two readings are one step of twice the size."""
    text = [line for line in finding["evidence"] if line.startswith("the heap rose in ")]
    assert len(text) == 1, finding["evidence"]
    steps = [mib(step) for step in re.findall(r"\+([\d.]+ [MG]iB) by \d\d:\d\d:\d\d", text[0])]
    rose = int(re.match(r"the heap rose in (\d+) steps", text[0])[1])
    assert len(steps) == min(rose, STEPS_SHOWN), text[0]
    jobs = [round(step / BUFFER) for step in steps]
    assert all(n > 0 and near(step, n * BUFFER) for step, n in zip(steps, jobs)), text[0]
    assert sum(jobs) == AFTER if rose == len(steps) else len(steps) <= sum(jobs) <= AFTER - (rose - len(steps)), text[0]


def check_profile(process, jobs, pprof):
    profile = process["heap_profile"]
    if not pprof:
        assert profile["inuse_bytes"] is None and profile["source"] == "off_in_binary", profile
        return
    assert profile["source"] == "buckets" and near(profile["inuse_bytes"], jobs.heap), (profile, jobs.heap)


def watched(case, toolchain, *arguments, pprof=False):
    """(process, jobs): memwhy was attached after two jobs, and left after seven."""
    jobs = case.hourly_job(toolchain, "-period", "2500ms", "-hold", BEFORE, *arguments, pprof=pprof)
    jobs.holds()
    memwhy = case.start_memwhy("explain", "-p", jobs.pid, "-d", "100s", "-o", "kept.memwhy", "--json")
    jobs.go_on()
    jobs.until_job(BEFORE + AFTER)
    case.finish(memwhy)
    process = only_process(case.explain("kept.memwhy", cwd=case.folder))
    assert process["go"]["layout"] == "table" and process["go"]["stripped"] is True, process["go"]
    assert process["go"]["version"] == toolchain or toolchain == "debian" and process["go"]["version"].startswith("go1.19")
    return process, jobs


def leaks(case, toolchain, pprof):
    process, jobs = watched(case, toolchain, pprof=pprof)
    finding = the_problem(process)
    origin = check_sentence(finding, jobs, "blocked in chan send", site("main.run.func1.1", "SEND"))
    # A sample of the heap profile says where it was allocated, or the probe of the runtime's large allocations.
    assert f", allocated at {site('main.(*job).load', 'ALLOCATED')}," in origin, origin
    if not pprof:
        assert f"{BEFORE} of them existed before memwhy attached and are assumed to come from the same place" in finding["evidence"]
    # The runtime makes the heap grow on the system stack of a thread: the stack goes on to the job that wanted it.
    whole = process["rss"]["bytes"] - process["coverage"]["truncated_stack_bytes"]
    assert whole > 0.9998 * process["rss"]["bytes"], process["coverage"]
    assert finding["confidence"] == "high" and finding["growth_bytes_per_s"] > 0
    assert "make(chan T, 1)" in finding["remedy"], finding["remedy"]
    assert ("goroutineleak" in finding["remedy"]) == (toolchain != "debian"), finding["remedy"]
    check_steps(finding)
    check_profile(process, jobs, pprof)
    assert near(ledger(process)["go.heap.live"], jobs.heap), (ledger(process), jobs.heap)


def test_go_1_19(case):
    leaks(case, "debian", pprof=False)


def test_go_1_19_with_a_heap_profile(case):
    leaks(case, "debian", pprof=True)


def test_go_1_26(case):
    leaks(case, "go1.26.8", pprof=False)


def test_go_1_26_with_a_heap_profile(case):
    leaks(case, "go1.26.8", pprof=True)


def test_go_1_27(case):
    leaks(case, "go1.27.3", pprof=False)


def test_go_1_27_with_a_heap_profile(case):
    leaks(case, "go1.27.3", pprof=True)


# ---- attached when everything has happened

def held(case, pprof):
    jobs = case.hourly_job("go1.27.3", "-period", "1ms", "-runs", 4, pprof=pprof)
    jobs.done()
    process = only_process(case.explain("-p", jobs.pid, "-d", 11))  # 10 s is what makes waiting long
    finding = the_problem(process)
    assert finding["confidence"] == "medium" and finding["growth_bytes_per_s"] == 0
    return finding, check_sentence(finding, jobs, "blocked in chan send", site("main.run.func1.1", "SEND"))


def test_after_growth(case):
    finding, origin = held(case, pprof=False)
    assert "allocated" not in origin and "touched" not in origin, origin
    assert [line for line in finding["evidence"] if line.startswith("where they were allocated is unknown")], finding["evidence"]


def test_after_growth_with_a_heap_profile(case):
    _, origin = held(case, pprof=True)
    assert f", allocated at {site('main.(*job).load', 'ALLOCATED')}," in origin, origin
