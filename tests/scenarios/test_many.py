# SPDX-License-Identifier: Apache-2.0
"""Many processes in one recording: each is known as well as if it were alone."""
import subprocess

from support import MIB


def serving(process):
    """Bytes that the process is known to have touched in serve()."""
    return sum(entry["bytes"] for line in process["ledger"] for entry in line["top"]
               if any(frame.startswith("serve") for frame in entry.get("frames") or []))


def test_prefork_servers(case):
    """Two instances of one program, 40 children each, the same code in all: every process has its names."""
    servers = [case.start([case.build / "workloads/prefork", 40], stdin=subprocess.PIPE) for _ in range(2)]
    for server in servers:
        assert server.stdout.readline() == "ready\n"
    memwhy = case.start_memwhy("record", "--comm", "prefork", "-o", "many.memwhy")
    for server in servers:
        server.stdin.write("serve\n")
        server.stdin.flush()
        assert server.stdout.readline() == "served\n"
    case.finish(memwhy)
    explanation = case.explain("many.memwhy", cwd=case.folder)
    processes = explanation["processes"]
    assert len(processes) == 82, len(processes)
    nameless = [process["pid"] for process in processes
                if serving(process) < MIB // 2 and process["pid"] not in [server.pid for server in servers]]
    assert not nameless, f"{len(nameless)} of 80 children touched memory in a function without a name"
