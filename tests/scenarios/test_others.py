# SPDX-License-Identifier: Apache-2.0
"""Processes that are not Go's: the ledger sums to RSS, RSS is the kernel's, and a healthy process has no problem."""
import json
import shutil
import socket
import subprocess

from support import MIB, Skip
from support.answers import check, ledger, only_process, problems
from support.referees import rss_of


def program(*names):
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    raise Skip(f"{names[0]} is not installed")


def explain_quiet(case, pid):
    """Of a process that does nothing meanwhile: the scan, VmRSS and the stopped process's smaps_rollup agree."""
    process = only_process(case.explain("-p", pid, "-d", 3))
    total, referee = process["rss"]["bytes"], rss_of(pid)
    assert abs(total - referee) <= 0.01 * referee, f"rss.bytes {total}, smaps_rollup {referee}"
    counter, error = process["rss"]["counter_bytes"], process["rss"]["counter_error_bytes"]
    assert abs(total - counter) <= 0.01 * counter + error, f"rss.bytes {total}, VmRSS {counter} ± {error}"
    assert process["go"] is None
    assert process["heap_profile"]["inuse_bytes"] is None
    assert problems(process) == [], problems(process)
    kinds = process["rss"]["anon"] + process["rss"]["file"] + process["rss"]["shmem"]
    assert kinds == total, process["rss"]
    return process


def until_line(process, words):
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"{process.args} ended before {words!r}")


def test_redis_server(case):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    redis = case.start([program("redis-server"), "--port", port, "--save", "", "--daemonize", "no"])
    until_line(redis, "Ready to accept connections")
    before = explain_quiet(case, redis.pid)
    # 32 MiB of values while memwhy looks: the ledger says where they went.
    memwhy = case.start_memwhy("explain", "-p", redis.pid, "-d", "100s", "--json", stdout=subprocess.PIPE)
    with socket.create_connection(("127.0.0.1", port)) as client:
        for key in range(32):
            value = bytes(MIB)
            client.sendall(b"*3\r\n$3\r\nSET\r\n$2\r\n%02d\r\n$%d\r\n%s\r\n" % (key, len(value), value))
            answer = client.recv(5)
            assert answer == b"+OK\r\n", answer
    out, _ = case.finish(memwhy)
    after = only_process(check(json.loads(out)))
    grown = after["rss"]["bytes"] - before["rss"]["bytes"]
    assert 31 * MIB <= grown <= 48 * MIB, grown
    assert after["coverage"]["unattributed_bytes"] <= 0.001 * grown + 4096, after["coverage"]
    owners = sum(n for owner, n in ledger(after).items() if owner.startswith(("c.heap.", "anon.")))
    assert owners >= 31 * MIB, ledger(after)


def test_python(case):
    python = case.start([program("python3"), "-c", "kept = bytearray(64 << 20); print('ready', flush=True); import time; time.sleep(1000)"])
    until_line(python, "ready")
    process = explain_quiet(case, python.pid)
    assert process["rss"]["bytes"] >= 64 * MIB
    assert ledger(process)["c.heap.used"] >= 64 * MIB, ledger(process)
    assert process["coverage"]["before_attach_bytes"] <= 0.05 * process["rss"]["bytes"], ledger(process)


def test_node(case):
    node = case.start([program("node", "nodejs"), "-e", "console.log('ready'); setInterval(() => {}, 1e8)"])
    until_line(node, "ready")
    explain_quiet(case, node.pid)


def test_java(case):
    java = program("java")
    jshell = program("javac")
    (case.folder / "Wait.java").write_text(
        "class Wait { public static void main(String[] a) throws Exception {"
        " System.out.println(\"ready\"); System.out.flush(); Thread.sleep(1000000); } }\n")
    subprocess.run([jshell, "Wait.java"], cwd=case.folder, check=True, timeout=120)
    process = case.start([java, "-cp", case.folder, "Wait"])
    until_line(process, "ready")
    explain_quiet(case, process.pid)


def test_shared_memory_and_files(case):
    """8 MiB of a memfd and 8 MiB of a file, mapped and touched: each has its owner, to the byte."""
    script = (
        "import mmap, os\n"
        "a = os.memfd_create('shared'); os.truncate(a, 8 << 20); a = mmap.mmap(a, 8 << 20); a[:] = b'x' * (8 << 20)\n"
        "f = open('file.bin', 'wb+'); f.write(b'y' * (8 << 20)); f.flush()\n"
        "m = mmap.mmap(f.fileno(), 8 << 20, prot=mmap.PROT_READ); n = sum(m[i] for i in range(0, 8 << 20, 4096))\n"
        "print('ready', flush=True)\n"
        "import time; time.sleep(1000)\n")
    python = case.start([program("python3"), "-c", script])
    until_line(python, "ready")
    process = only_process(case.explain("-p", python.pid, "-d", 2))
    assert ledger(process)["shmem"] == 8 * MIB
    shared = next(line for line in process["ledger"] if line["id"] == "file.shared")
    assert shared["bytes"] >= 8 * MIB
    assert any(entry["bytes"] == 8 * MIB and entry["name"].endswith("file.bin") for entry in shared["top"]), shared["top"]
