# SPDX-License-Identifier: Apache-2.0
"""One recording of each story, exported in every format; each export is opened by the program that it is for, and all of them
have the bytes that explain has: to the byte, in total and by owner. tests/readers has the programs, and the table of the sums."""
import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys

from support import MIB, ROOT, absent
from support.answers import check, ledger, only_process
from support.cgroups import cgroup

sys.path.insert(0, str(ROOT / "tests"))
from readers import FORMATS, packages, synthetic  # noqa: E402
from readers.consumers import Consumers  # noqa: E402


def consumers(case):
    try:
        reader = Consumers(case.build / "readers", [ROOT / "tests/workloads/go_release", "debian"])
        for name in packages.NPM:
            packages.npm(case.build / "readers", name)
    except packages.Unreachable as missing:
        absent(str(missing))
    return reader


def recorded(case, pid, meanwhile):
    """Into r.memwhy, with what is done meanwhile."""
    memwhy = case.start_memwhy("record", "-p", pid, "-o", "r.memwhy")
    meanwhile()
    case.finish(memwhy)


def exported(case, name="r.memwhy"):
    """{format: file}"""
    out = {}
    for format in FORMATS:
        out[format] = case.folder / f"r.{format}"
        case.memwhy("export", "-f", format, name, "-o", out[format], cwd=case.folder)
    return out


def by_owner(process):
    """Of the cells of explain --json --cells. Where a page is parted among several lines of the ledger, it is one owner here."""
    out = {}
    for cell in process["cells"]:
        out[cell["owner"]] = out.get(cell["owner"], 0) + cell["bytes"]
    assert sum(out.values()) == process["rss"]["bytes"]
    return out


def check_readers(case, process):
    """Every format by its program; prints the row of the table."""
    reader, files = consumers(case), exported(case)
    rss = process["rss"]["bytes"]
    wanted = by_owner(process)
    sums = {}
    for format in FORMATS:
        owners = getattr(reader, format)(files[format])
        assert sum(owners.values()) == rss, f"{format}: {sum(owners.values())}, and RSS is {rss}: {owners}"
        assert owners == wanted, f"{format}: {owners}, and the cells are {wanted}"
        sums[format] = sum(owners.values())
    print(f"| {process['comm']} | {rss:,} | " + " | ".join(f"{sums[format]:,}" for format in FORMATS) + " |")
    check_pprof(case, reader, files["pprof"], process)
    check_perfetto(reader, files["perfetto"], process)
    check_queries(case, files["sqlite"], process)


def check_pprof(case, reader, file, process):
    """The difference of a profile and itself is nothing; its kind and period are there; and Go's own bytes are Go's own."""
    raw = reader.go_pprof("-raw", file)
    assert "PeriodType: resident bytes" in raw and "Period: 4096" in raw, raw[:300]
    assert not reader.pprof(file, f"-diff_base={file}")
    inuse = process["heap_profile"]["inuse_bytes"]
    top = reader.go_pprof("-top", "-unit=B", *(["-sample_index=inuse_space"] if inuse else []), file)
    total = int(re.search(r"of (\d+)B total", top)[1])
    assert total == (inuse if inuse else process["rss"]["bytes"]), (total, inuse, top)


def check_perfetto(reader, file, process):
    """Counters, mappings and slices are those of the answer."""
    counters, rss, smaps, slices, instants = reader.trace_processor(
        file,
        """select t.name as owner, c.value as bytes, max(c.ts) as last from counter c join process_counter_track t
           on c.track_id = t.id where t.name not like 'mem.%' group by t.id""",
        "select max(c.value) as bytes from counter c join process_counter_track t on c.track_id = t.id where t.name = 'mem.rss'",
        "select ts, sum(private_dirty_kb) as anonymous_kb, count(*) as mappings from profiler_smaps group by ts order by ts",
        "select count(*) as n from slice where name = 'GC' and dur >= 0",
        "select name, count(*) as n from slice where category = 'memory' group by name")
    last = {row["owner"]: int(row["bytes"]) for row in counters if row["owner"] in ledger(process)}
    assert last == ledger(process), (last, ledger(process))
    assert rss[0]["bytes"] == max(point["rss_bytes"] for point in process["timeline"]), rss
    assert len(smaps) == process["coverage"]["scans"], (len(smaps), process["coverage"]["scans"])
    packed = [smaps.rss_kb for smaps in reader.packed_smaps(file)]
    assert len(packed) == len(smaps) and sum(packed[-1]) * 1024 == process["rss"]["bytes"], packed[-1:]
    gc = [event for event in process["events"] if event["gc"]]
    assert slices[0]["n"] == len(gc), (slices, len(gc))
    others = {}
    for event in process["events"]:
        if not event["gc"]:
            others[event["what"]] = others.get(event["what"], 0) + 1
    assert {row["name"]: row["n"] for row in instants} == others, (instants, others)


def check_queries(case, file, process):
    """Those of the manual page, as it shows them: each is SQL, and those whose answer is known have it."""
    page = (case.build / "manual/memwhy-export.1").read_text().replace("\\-", "-")
    block = page.split("A dozen queries")[1].split(".nf\n")[1].split(".fi\n")[0]
    queries = re.split(r"^-- \d+ .*$", block, flags=re.M)[1:]
    assert len(queries) == 12
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
        answers = [db.execute(query).fetchall() for query in queries]
    assert {owner: bytes for _, owner, bytes in answers[0]} == ledger(process)
    assert answers[1] == [], answers[1]
    scans = [point["ledger"] for point in process["timeline"] if point["ledger"]]
    owners = {owner for scan in scans for owner in scan}
    assert all(grew is not None for _, grew in answers[6]), answers[6]
    assert {(owner, scans[-1].get(owner, 0) - scans[0].get(owner, 0)) for owner in owners} <= set(answers[6]), (scans, answers[6])
    assert sum(bytes for _, bytes in answers[11]) == process["rss"]["bytes"]
    assert {id for _, id, _, _ in answers[10]} == {f["id"] for f in process["findings"] if f["kind"] == "problem"}


def explained(case):
    """Its one process, as it is now: it may have been another before an exec."""
    explanation = case.explain("r.memwhy", "--cells", cwd=case.folder)
    explanation["processes"] = [each for each in explanation["processes"] if not each["replaced_by_exec"]]
    return only_process(explanation)


def test_goroutine_leak(case):
    jobs = case.hourly_job("go1.26.8", "-period", "1ms", "-hold", 1, "-runs", 4, pprof=True)
    jobs.holds()

    def work():
        jobs.go_on()
        jobs.done()
    recorded(case, jobs.pid, work)
    process = explained(case)
    assert ledger(process)["go.heap.live"] + ledger(process).get("go.heap.unmarked", 0) >= 200 * MIB, ledger(process)
    check_readers(case, process)


def test_race_detector(case):
    service = case.race_service("go1.26.8")

    def work():
        service.get("/import?mib=64")
        service.load(50)
    recorded(case, service.pid, work)
    process = explained(case)
    assert ledger(process)["race.shadow"] >= 128 * MIB
    check_readers(case, process)


def test_c_heap(case):
    """From its start: every page that it touches has a stack."""
    memwhy = case.start_memwhy("record", "-o", "r.memwhy", "--", case.build / "workloads/c_heap", "every_second", 100,
                               stdin=subprocess.PIPE)
    assert memwhy.stdout.readline() == "ready\n"  # the program's own
    memwhy.send_signal(signal.SIGINT)
    assert memwhy.wait(timeout=60) == 0
    memwhy.stdin.close()
    process = explained(case)
    assert ledger(process)["c.heap.used"] >= 45 * MIB and ledger(process)["c.heap.free"] >= 30 * MIB, ledger(process)
    check_readers(case, process)


def test_container_near_its_limit(case):
    """5 MiB are left of 128: each reader has the bytes, and the name of the container."""
    identity = hashlib.sha256(f"{os.getpid()}".encode()).hexdigest()
    with cgroup(case, f"docker-{identity}.scope", limit=128 * MIB) as (pod, inner):
        target = inner.start(case, case.build / "workloads/container", "anon", 100)
        assert target.stdout.readline() == "ready\n"

        def work():
            target.stdin.write("22\n")
            target.stdin.flush()
            assert target.stdout.readline() == "grown\n"
        recorded(case, target.pid, work)
        process = explained(case)
    memory = process["cgroup_memory"]
    assert memory["path"] == pod.path and memory["limit_bytes"] == 128 * MIB and memory["room_bytes"] <= 6 * MIB, memory
    assert process["container"] == identity and process["rss"]["bytes"] >= 122 * MIB, process["container"]
    check_readers(case, process)
    assert f"container:[{identity}]" in consumers(case).go_pprof("-raw", case.folder / "r.pprof")
    with sqlite3.connect(f"file:{case.folder / 'r.sqlite'}?mode=ro", uri=True) as db:
        assert db.execute("select container, cgroup from process").fetchall() == [(identity, process["cgroup"])]


def test_an_hour_of_ten_thousand_stacks(case):
    """20 owners, 10,000 stacks, 360 scans: each export within its memory. (Its time is measured: tests/readers/README.md.)"""
    case.folder.joinpath("script").write_text(synthetic.script(seconds=3600, stacks=10_000))
    made = case.start([case.build / "bin/record_script", "script", "r.memwhy"])
    assert made.wait(timeout=200) == 0
    process = explained(case)
    assert len(process["ledger"]) >= 20, ledger(process)
    for format in FORMATS:
        case.memwhy("export", "-f", format, "r.memwhy", "-o", f"r.{format}", "--max-memory", "512M", cwd=case.folder)


def test_what_cannot_be_exported(case):
    """Each has its sentence and status, and nothing is left behind or destroyed."""
    case.folder.joinpath("script").write_text("@10 info tool=1 host=h\nanchor\nattach 1 pid=5 comm=c\nrecording-end stopped\n")
    made = case.start([case.build / "bin/record_script", "script", "r.memwhy"])
    assert made.wait(timeout=60) == 0
    case.folder.joinpath("there").write_text("mine")
    case.folder.joinpath("junk").write_text("no recording")
    here = {"cwd": case.folder}
    case.fails(2, "there is no format \"svg\"", "pprof", arguments=["export", "-f", "svg", "r.memwhy"], **here)
    case.fails(7, "there exists", arguments=["export", "-f", "pprof", "r.memwhy", "-o", "there"], **here)
    case.fails(6, "junk", arguments=["export", "-f", "pprof", "junk", "-o", "new"], **here)
    assert case.folder.joinpath("there").read_text() == "mine" and not case.folder.joinpath("new").exists()
    out, _ = case.memwhy("export", "-f", "json", "r.memwhy", **here)
    assert check(json.loads(out)) == case.explain("r.memwhy", "--cells", **here)
