# SPDX-License-Identifier: Apache-2.0
"""Each promise is kept: the remedy of a finding is applied to the live program, or to its twin where it needs another build or
another start, and what comes back is the finding's recoverable_bytes, within a tenth or 4 MiB. What calls of C allocators return is in
test_c_heap.py and test_allocators.py, of a heap that grows in test_findings.py."""
import os
import subprocess

from support import MIB, Skip
from support.answers import is_kept, ledger, only_process
from support.referees import rss_of, until_still
from support.workloads import Jobs, Told
from test_causes import Story, c_story

NEW, OLD = "go1.27.3", "debian"


def promised(process, cause):
    found = [each for each in process["findings"] if each["id"] == cause]
    assert len(found) == 1, [(each["id"], each["claim"]) for each in process["findings"]]
    return found[0]["recoverable_bytes"]


def told(case, story, *, toolchain=NEW, fix=False, **environment):
    program = case.go_build("go_findings", toolchain)
    return Told(case.start([program, *(["-fix"] if fix else []), story], stdin=subprocess.PIPE, env=dict(os.environ) | environment))


def looked_at(case, pid, seconds=3):
    return only_process(case.explain("-p", pid, "-d", seconds))


def the_live_program(story, cause, process):
    promise, before = promised(process, cause), rss_of(story.pid)
    story.remedy()
    is_kept(promise, before, rss_of(story.pid))


def its_twin(promise, program, twin):
    is_kept(promise, rss_of(program.pid), rss_of(twin.pid))


def test_free_os_memory(case):
    story = told(case, "idle")
    the_live_program(story, "idle-heap", looked_at(case, story.pid))


def test_goroutines_that_end(case):
    story = told(case, "stacks")
    the_live_program(story, "goroutine-stacks", looked_at(case, story.pid))


def test_a_collector_with_less_patience(case):
    story = told(case, "patient")
    with case.watching(story.pid) as watch:
        story.go_on()
    the_live_program(story, "gc-headroom", only_process(watch.explanation))


def test_a_finalizer_that_returns(case):
    program = case.go_build("go_causes", NEW, stripped=True)
    story = Story(case, [program, "finalizer"])
    story.happen()
    promise, before = promised(looked_at(case, story.pid, 8), "finalizer-queue"), rss_of(story.pid)
    story.happen("remedy")
    is_kept(promise, before, rss_of(story.pid))


def test_a_channel_with_room(case):
    def jobs(*arguments):
        program = case.go_build("hourly_job", NEW, stripped=True)
        started = Jobs(case.start([program, "-period", "100ms", "-hold", 4, *arguments], stdin=subprocess.PIPE))
        started.holds()
        return started

    leaking, fixed = jobs(), jobs("-fix")
    its_twin(promised(looked_at(case, leaking.pid, 5), "goroutine-leak"), leaking, fixed)


def test_profiling_as_usual(case):
    program = told(case, "profiler")
    its_twin(promised(looked_at(case, program.pid), "profiler-buckets"), program, told(case, "profiler", fix=True))


def test_a_peak_in_parts(case):
    program = told(case, "metadata", toolchain=OLD)
    its_twin(promised(looked_at(case, program.pid), "metadata-after-peak"), program, told(case, "metadata", toolchain=OLD, fix=True))


def test_memory_given_back_at_once(case):
    program, twin = told(case, "given_back", GODEBUG="madvdontneed=0"), told(case, "given_back", GODEBUG="madvdontneed=1")
    with case.watching(program.pid) as watch:
        program.go_on()
    twin.go_on()
    its_twin(promised(only_process(watch.explanation), "lazy-free"), program, twin)


def test_holes_that_no_huge_page_fills(case):
    program, twin = told(case, "collapsed"), told(case, "collapsed", fix=True)
    process = looked_at(case, program.pid)
    if ledger(process).get("go.heap.released_resident", 0) < 64 * MIB:
        raise Skip("the kernel does not collapse on demand")
    its_twin(promised(process, "huge-heap"), program, twin)


def test_no_race_detector(case):
    """At least its memory goes: what else -race makes larger is not promised."""
    services = [case.race_service(NEW, race=race) for race in (True, False)]
    for service in services:
        service.load(200)
        until_still(service.pid)
    process = looked_at(case, services[0].pid)
    promise, returned = promised(process, "race-detector"), rss_of(services[0].pid) - rss_of(services[1].pid)
    print(f"promised {promise / MIB:.2f} MiB, returned {returned / MIB:.2f} MiB")
    assert promise >= 16 * MIB and returned >= promise - max(0.1 * promise, 4 * MIB), (promise, returned)


def test_threads_that_are_joined(case):
    program, twin = c_story(case, "unjoined"), c_story(case, "joined")
    program.happen()
    twin.happen()
    its_twin(promised(looked_at(case, program.pid), "thread-leak"), program, twin)


def test_stacks_without_huge_pages(case):
    program, twin = c_story(case, "stacks"), c_story(case, "small_stacks")
    program.happen()
    twin.happen()
    process = looked_at(case, program.pid)
    if ledger(process)["thread.stacks"] < 300 * MIB:
        raise Skip("the kernel gave no huge pages")
    its_twin(promised(process, "huge-pages"), program, twin)
