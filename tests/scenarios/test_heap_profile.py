# SPDX-License-Identifier: Apache-2.0
"""--heap-profile: the user's own heap.pb.gz stands beside RSS instead of what the process holds, and a file that is no
heap profile is refused with one sentence. The referee of a profile is `go tool pprof`."""
import gzip

from support import MIB
from support.answers import only_process
from support.referees import pprof_inuse

BAD_INPUT = 6


def profiled(case, size, name):
    """(jobs, file): three jobs have ended, and the process wrote its heap profile."""
    file = case.folder / name
    jobs = case.hourly_job("go1.26.8", "-period", "1ms", "-runs", 3, "-size", size, "-profile", file, pprof=True)
    jobs.done()
    return jobs, file


def recorded(case, jobs):
    case.memwhy("record", "-p", jobs.pid, "-d", 1, "-o", "kept.memwhy", cwd=case.folder)
    return case.folder / "kept.memwhy"


def test_the_figures_come_from_the_file(case):
    jobs, own = profiled(case, 64, "own.pb.gz")
    _, others = profiled(case, 16, "others.pb.gz")
    own_bytes, others_bytes = pprof_inuse(own), pprof_inuse(others)
    assert abs(own_bytes - 3 * 64 * MIB) <= 4 * MIB and abs(others_bytes - 3 * 16 * MIB) <= 4 * MIB, (own_bytes, others_bytes)
    recording = recorded(case, jobs)
    read = only_process(case.explain(recording))
    assert read["heap_profile"]["source"] == "buckets"
    assert abs(read["heap_profile"]["inuse_bytes"] - own_bytes) <= 4096, (read["heap_profile"], own_bytes)
    for file, inuse in ((own, own_bytes), (others, others_bytes)):
        process = only_process(case.explain(recording, "--heap-profile", file))
        assert process["heap_profile"]["source"] == "file"
        assert abs(process["heap_profile"]["inuse_bytes"] - inuse) <= 4096, (process["heap_profile"], inuse)
        assert process["gap_bytes"] == process["rss"]["bytes"] - process["heap_profile"]["inuse_bytes"]
        assert process["ledger"] == read["ledger"], "the ledger is of the process"
        text, _ = case.memwhy("explain", recording, "--heap-profile", file)
        assert f"{inuse / MIB:.1f} MiB" in text.split("\n\n")[0], text[:1000]


def test_of_a_process_without_profiling(case):
    _, file = profiled(case, 16, "heap.pb.gz")
    jobs = case.hourly_job("go1.26.8", "-period", "1ms", "-runs", 1)
    jobs.done()
    process = only_process(case.explain("-p", jobs.pid, "-d", 1, "--heap-profile", file))
    assert process["heap_profile"]["source"] == "file"
    assert abs(process["heap_profile"]["inuse_bytes"] - pprof_inuse(file)) <= 4096, process["heap_profile"]


def test_not_a_heap_profile(case):
    jobs, file = profiled(case, 1, "heap.pb.gz")
    recording = recorded(case, jobs)
    whole = file.read_bytes()
    plain = gzip.decompress(whole)
    assert only_process(case.explain(recording, "--heap-profile", file))["heap_profile"]["source"] == "file"
    garbled = bytearray(whole)
    garbled[len(whole) // 2] ^= 0xff
    for name, content in [
        ("empty", b""),
        ("text", b"heap profile: 1: 2 [3: 4] @ heap/1048576\n"),
        ("truncated", whole[: len(whole) // 2]),
        ("head", whole[:10]),
        ("garbled", bytes(garbled)),
        ("another-gzip", gzip.compress(b"\xff" * 4096)),
        ("cut-inside", gzip.compress(plain[: len(plain) // 2 + 1])),
        ("of-something-else", gzip.compress(plain.replace(b"inuse_space", b"inuse_specs"))),
        ("recording", recording.read_bytes()),
    ]:
        (case.folder / name).write_bytes(content)
        case.fails(BAD_INPUT, name, arguments=["explain", recording, "--heap-profile", case.folder / name])
    case.fails(BAD_INPUT, "nothere", "can't be read", arguments=["explain", recording, "--heap-profile", case.folder / "nothere"])
    case.fails(BAD_INPUT, str(case.folder), arguments=["explain", recording, "--heap-profile", case.folder])
