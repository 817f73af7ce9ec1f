# SPDX-License-Identifier: Apache-2.0
"""The container around a process: its memory cgroup as a sum, what is found about it, and a container as a whole. The cgroups are
made here; what they hold is known from the workload, and the kernel's own files are the referee.
"""
import hashlib
import json
import os
import re
import tempfile

from support import DEADLINE, MIB, Skip
from support.answers import figure, finding, ledger, only_process, problems
from support.cgroups import cgroup

WATCHED = 35  # seconds: growth shows from 20 s on


def workload(case, group, *words):
    process = group.start(case, case.build / "workloads/container", *words)
    assert process.stdout.readline() == "ready\n"
    return process


def grow(process, mib):
    process.stdin.write(f"{mib}\n")
    process.stdin.flush()


def adds_up(memory):
    told = [memory[part] or 0 for part in ("anon_bytes", "file_bytes", "kernel_bytes", "sock_bytes")]
    assert sum(told) + memory["untold_bytes"] == memory["usage_bytes"], memory
    assert abs(memory["untold_bytes"]) <= max(4, os.cpu_count() / 4) * MIB, memory  # what CPUs hold in advance


def column(text, heading):
    """(printed numbers, printed sum) of the sum under this heading."""
    lines = text[text.index(heading):].splitlines()
    numbers = [re.match(r"\s+(-?[\d.]+)  \S", line) for line in lines]
    first = next(i for i, found in enumerate(numbers) if found)
    last = next(i for i, line in enumerate(lines) if re.search(r"  usage: [\d,]+ bytes$", line))
    return [float(found[1]) for found in numbers[first:last] if found], float(numbers[last][1])


def drop(file):
    """Out of the page cache, once it is on disk."""
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_the_limit_of_the_one_above(case):
    """A pod's limit, a container in it: limit, usage and parts are the pod's, and add up in text and JSON."""
    with cgroup(case, "web", limit=200 * MIB) as (pod, web):
        process = workload(case, web, "anon", 48)
        answer = only_process(case.explain("-p", process.pid, "-d", 2))
        memory = answer["cgroup_memory"]
        assert answer["cgroup"] == web.path and memory["path"] == pod.path, memory
        assert memory["version"] == pod.version and memory["limit_bytes"] == 200 * MIB, memory
        assert memory["room_bytes"] == 200 * MIB - memory["usage_bytes"], memory
        assert 48 * MIB <= memory["anon_bytes"] <= 52 * MIB, memory
        assert abs(memory["usage_bytes"] - pod.usage()) <= MIB, (memory, pod.usage())
        adds_up(memory)
        for cause in ("near-limit", "cgroup-page-cache", "cgroup-kernel-memory", "oom-kill"):
            assert finding(answer, cause) is None, finding(answer, cause)
        text, _ = case.memwhy("explain", "-p", process.pid, "-d", 1)
        heading = f"Container {pod.path} (cgroup version {pod.version}): limit 200.0 MiB - usage "
        numbers, total = column(text, heading)
        assert round(sum(numbers), 1) == total, text


def test_page_cache_is_no_leak(case):
    """A program that reads a file of 80 MiB in a container of 100: the usage is at the limit, and nothing is wrong."""
    # Not in a folder for temporary files: that may be a tmpfs, whose pages are no page cache.
    with tempfile.NamedTemporaryFile(dir=case.build, prefix="memwhy-large-") as large, cgroup(case, limit=100 * MIB) as group:
        large.write(bytes(80 * MIB))  # by us: the pages are charged where they are first read into the cache
        large.flush()
        drop(large.name)
        process = workload(case, group, "cache", large.name)
        answer = only_process(case.explain("-p", process.pid, "-d", 2))
        found = finding(answer, "cgroup-page-cache")
        assert found, (answer["cgroup_memory"], answer["findings"])
        assert figure(found, "page_cache_bytes") >= 79 * MIB, found
        assert figure(found, "held_bytes") <= 16 * MIB, found
        assert problems(answer) == [] and finding(answer, "near-limit") is None, answer["findings"]
        adds_up(answer["cgroup_memory"])
        assert answer["rss"]["bytes"] <= 8 * MIB, answer["rss"]  # RSS knows nothing of it


def test_memory_of_the_kernel(case):
    """512 full pipes are 32 MiB that no process has."""
    with cgroup(case) as group:
        process = workload(case, group, "pipes", 512)
        found = finding(only_process(case.explain("-p", process.pid, "-d", 2)), "cgroup-kernel-memory")
        assert found and 32 * MIB <= figure(found, "kernel_bytes") <= 40 * MIB, found
    with cgroup(case) as group:
        process = workload(case, group, "anon", 64)  # and what any process needs of the kernel
        assert finding(only_process(case.explain("-p", process.pid, "-d", 2)), "cgroup-kernel-memory") is None


def test_when_the_limit_is_reached(case):
    """A leak of 2.5 MiB/s at most: the forecast is the room by the rate that was seen, whatever this machine made of it. Beside it
    one that stands still in a container of the same size."""
    with cgroup(case, limit=512 * MIB) as group, cgroup(case, limit=512 * MIB, name="-twin") as beside:
        still = workload(case, beside, "anon", 64)
        twin = case.start_memwhy("explain", "-p", still.pid, "-d", WATCHED, "--json")
        process = workload(case, group, "leak", 256)
        grow(process, 1)
        answer = only_process(case.explain("-p", process.pid, "-d", WATCHED))
        found = finding(answer, "near-limit")
        assert found and found["kind"] == "problem", (answer["verdict"], answer["cgroup_memory"])
        rate, left = found["growth_bytes_per_s"], figure(found, "left_bytes")
        assert abs(figure(found, "reached_in_seconds") - left / rate) <= 0.02 * left / rate, found
        assert figure(found, "earliest_seconds") <= figure(found, "reached_in_seconds") * 1.001, found
        assert left == 512 * MIB - answer["cgroup_memory"]["held_bytes"], found
        out, _ = case.finish(twin, how=None)
        assert finding(only_process(json.loads(out)), "near-limit") is None, out


def test_tasks_that_wait_at_memory_high(case):
    """Anonymous memory cannot be reclaimed without swap: who goes on above memory.high is slowed down, and the kernel says how long."""
    with cgroup(case) as group:
        if group.version == 1:
            raise Skip("version 1 of cgroups has no memory.high")
        (group.directory / "memory.high").write_text(str(32 * MIB))
        if (group.directory / "memory.swap.max").exists():
            (group.directory / "memory.swap.max").write_text("0")
        process = workload(case, group, "leak", 1024)
        grow(process, 1)
        answer = only_process(case.explain("-p", process.pid, "-d", WATCHED))
        memory, found = answer["cgroup_memory"], finding(answer, "near-limit")
        assert memory["high_bytes"] == 32 * MIB and memory["high_events"] > 0, memory
        events = dict(line.split() for line in (group.directory / "memory.events").read_text().splitlines())
        assert 0 < memory["high_events"] <= int(events["high"]), (memory, events)
        assert found and found["kind"] == "problem", (memory, answer["findings"])
        assert figure(found, "high_bytes") == 32 * MIB and figure(found, "hits") == memory["high_events"], found
        assert abs(figure(found, "waited_seconds") - memory["waited_some_seen_us"] / 1e6) < 0.001, (found, memory)
        assert "is at its memory.high of 32.0 MiB" in found["claim"], found


def test_the_victim_of_the_limit(case):
    """Killed by the limit of its container: its last picture says so, and how old it is."""
    with cgroup(case, limit=128 * MIB) as group:
        process = workload(case, group, "anon", 123)  # nearly full when it is read: version 1 does not count whose limit kills
        memwhy = case.start_memwhy("record", "-p", process.pid, "-o", "oom.memwhy")
        grow(process, 200)
        process.wait(timeout=DEADLINE)
        case.finish(memwhy, how=None)
        assert process.returncode == -9
        answer = only_process(case.explain("oom.memwhy", cwd=case.folder))
        found = answer["findings"][0]
        assert found["id"] == "oom-kill" and found["kind"] == "problem", answer["findings"]
        assert "its container reached the limit of 128.0 MiB" in found["claim"], found
        assert any("counted 1 killed" in each for each in found["evidence"]), found
        assert figure(found, "rss_bytes") >= 120 * MIB, found
        assert any("the ledger is of the scan" in each for each in found["evidence"]), found
        assert any(event["what"] == "oom" for event in answer["events"]), answer["events"]


def test_a_container_as_a_whole(case):
    """Two processes in one container, and one that joins: by its path, its unit's name and a container's id."""
    unit = f"memwhy-{os.getpid()}x.service"
    identity = hashlib.sha256(unit.encode()).hexdigest()  # no other run's
    with cgroup(case, unit, f"docker-{identity}.scope") as (_, service, inner):
        first, second = workload(case, inner, "anon", 40), workload(case, inner, "anon", 20)
        for name in (service.directory, service.path, unit, unit.removesuffix(".service"), identity[:12]):
            answer = case.explain("--cgroup", name, "-d", 1)
            assert {each["pid"] for each in answer["processes"]} == {first.pid, second.pid}, name
        container = answer["container"]
        assert container["cgroup"]["path"] == inner.path, container
        assert [each["pid"] for each in container["processes"]] == [first.pid, second.pid], container
        anon = sum(each["anon_bytes"] for each in container["processes"])
        assert anon + container["other_anon_bytes"] == container["cgroup"]["anon_bytes"], container
        assert abs(container["other_anon_bytes"]) <= 2 * MIB and anon >= 60 * MIB, container
        adds_up(container["cgroup"])
        text, _ = case.memwhy("explain", "--cgroup", unit, "-d", 1)
        assert text.startswith(f"Container {service.path} (cgroup version"), text
        numbers, total = column(text, "Container ")
        assert round(sum(numbers), 1) == total, text
        assert text.count("anonymous memory of container (pid") == 2, text
        recorder = case.start_memwhy("record", "--cgroup", unit, "-o", "joined.memwhy")
        third = workload(case, inner, "anon", 30)
        for line in recorder.stderr:
            if f"recording pid {third.pid} " in line:
                break
        case.finish(recorder)
        joined = case.explain("joined.memwhy", cwd=case.folder)
        assert [each["pid"] for each in joined["container"]["processes"]] == [first.pid, third.pid, second.pid], joined["container"]
        assert sum(ledger(joined["processes"][-1]).values()) >= 20 * MIB


def test_a_container_that_is_not_there(case):
    case.fails(4, "no cgroup of the name nothing-has-this-name", arguments=("explain", "--cgroup", "nothing-has-this-name"))
    case.fails(4, "there is no process to record", arguments=("explain", "--cgroup", "/nothing/has/this/path"))
    case.fails(2, "one of them", arguments=("explain", "--cgroup", "/", "file.memwhy"))
