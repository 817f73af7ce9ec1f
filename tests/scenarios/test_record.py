# SPDX-License-Identifier: Apache-2.0
"""memwhy record: what is recorded, for how long, into which files; and memwhy info of them."""
import datetime
import os
import pathlib
import re
import signal
import subprocess

from support import DEADLINE, MIB, Skip
from support.answers import ledger, only_process

KEEP = "import sys; kept = bytearray({mib} << 20); print('ready', flush=True); sys.stdin.readline()"


def keeper(case, mib, **options):
    """A python that holds `mib` MiB, and ends on a line or when its stdin is closed."""
    process = case.start(["python3", "-c", KEEP.format(mib=mib)], stdin=subprocess.PIPE, **options)
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_command(case):
    """From its first instruction to its exit: its growth has stacks, and memwhy says how it ended."""
    out, err = case.memwhy("record", "-o", "run.memwhy", "--", "python3", "-c",
                           "a = [bytes([i % 256]) * 4096 for i in range(8192)]; raise SystemExit(3)", cwd=case.folder)
    assert out == "" and "exited with status 3" in err, err
    out, _ = case.memwhy("info", "run.memwhy", cwd=case.folder)
    assert "command python3" in out and "raise SystemExit" not in out, "arguments are not recorded"
    assert b"raise SystemExit" not in (case.folder / "run.memwhy").read_bytes()


def test_a_command_with_children(case):
    """A shell's child is recorded without --follow, and each process has its own ledger."""
    memwhy = case.start_memwhy("record", "-o", "tree.memwhy", "--", "sh", "-c", f"python3 -c \"{KEEP.format(mib=32)}\"; true",
                               stdin=subprocess.PIPE)
    assert memwhy.stdout.readline() == "ready\n"  # the child's own
    memwhy.send_signal(signal.SIGINT)
    assert memwhy.wait(timeout=60) == 0  # before the child is let go: its end must not race with the last scan
    memwhy.stdin.write("\n")
    memwhy.stdin.close()
    explanation = case.explain("tree.memwhy", cwd=case.folder)
    python = [p for p in explanation["processes"] if "python3" in p["exe"]]
    assert python and python[-1]["rss"]["bytes"] >= 32 * MIB, [(p["exe"], p["rss"]) for p in explanation["processes"]]


def test_short_children_are_one_line_of_info(case):
    case.memwhy("record", "-o", "many.memwhy", "--", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true; done", cwd=case.folder)
    lines = case.memwhy("info", "many.memwhy", cwd=case.folder)[0].splitlines()
    told = [line for line in lines if line.startswith("process ")]
    left = [int(line.split()[1]) for line in lines if line.endswith(" that ended before they were scanned")]
    shell = told[0].split()[2]
    assert not any(line.endswith(" 0 scans") and line.split()[2] != shell for line in told), told
    assert len(told) + sum(left) >= 12, lines  # memwhy's child, the shell that it became, and ten of its own


def test_duration_and_signals(case):
    target = keeper(case, 8)
    case.memwhy("record", "-p", target.pid, "-d", "1s", "-o", "a.memwhy", cwd=case.folder)
    assert case.explain("a.memwhy", cwd=case.folder)["coverage"]["recording"]["ended"] == "duration"
    for name, how in [("int", signal.SIGINT), ("term", signal.SIGTERM)]:
        memwhy = case.start_memwhy("record", "-p", target.pid, "-o", name)
        case.finish(memwhy, how)
        recording = case.explain(name, cwd=case.folder)["coverage"]["recording"]
        assert recording == {"complete": True, "ended": "stopped", "damage": []}, recording
    assert target.poll() is None


def test_a_signal_in_the_moment_of_an_exec(case):
    """The command is there, and memwhy has not met it yet: it is scanned once more when the recording ends."""
    memwhy = case.start_memwhy("record", "-o", "exec", "--", "sleep", "300")

    def command():
        for child in open(f"/proc/{memwhy.pid}/task/{memwhy.pid}/children").read().split():
            with open(f"/proc/{child}/comm") as name:
                if name.read() == "sleep\n":
                    return int(child)
        return None

    while not (child := command()):
        pass
    memwhy.send_signal(signal.SIGINT)
    assert memwhy.wait(timeout=DEADLINE) == 0
    os.kill(child, signal.SIGKILL)  # it has our standard error, and goes on
    processes = case.explain("exec", cwd=case.folder)["processes"]
    scanned = [p["comm"] for p in processes if p["pid"] == child and p["ledger"]]
    assert "sleep" in scanned, [(p["pid"], p["comm"], p["note"]) for p in processes]


def test_a_signal_while_it_attaches(case):
    """Ctrl-C before the first target is attached: one is, no other, and what there is is a recording."""
    targets = [keeper(case, 1) for _ in range(3)]

    def interrupt():  # pending when the program starts; taken at its first look
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        os.kill(os.getpid(), signal.SIGINT)

    case.memwhy("record", "-p", ",".join(str(t.pid) for t in targets), "-o", "i.memwhy", cwd=case.folder, preexec_fn=interrupt)
    explanation = case.explain("i.memwhy", cwd=case.folder)
    assert explanation["coverage"]["recording"] == {"complete": True, "ended": "stopped", "damage": []}, explanation
    process = only_process(explanation)
    assert process["pid"] == targets[0].pid and ledger(process)


def test_default_name(case):
    target = keeper(case, 1)
    _, err = case.memwhy("record", "-p", target.pid, "-d", 1, cwd=case.folder)
    names = [path.name for path in case.folder.glob("*.memwhy")]
    assert len(names) == 1 and str(target.pid) in names[0] and names[0] in err, (names, err)


def test_several_pids(case):
    targets = [keeper(case, mib) for mib in (8, 24)]
    case.memwhy("record", "-p", ",".join(str(t.pid) for t in targets), "-d", 2, "-o", "two.memwhy", cwd=case.folder)
    found = {p["pid"]: p["rss"]["bytes"] for p in case.explain("two.memwhy", cwd=case.folder)["processes"]}
    assert sorted(found) == sorted(t.pid for t in targets)
    assert found[targets[1].pid] - found[targets[0].pid] in range(15 * MIB, 17 * MIB), found


def named(case, mib):
    """A program whose comm is its own: a copy of python under another name."""
    name = "mwscenario"
    copy = case.folder / name
    if not copy.exists():
        copy.symlink_to(pathlib.Path("/proc/self/exe").resolve())
    process = case.start([copy, "-c", KEEP.format(mib=mib)], stdin=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    assert pathlib.Path(f"/proc/{process.pid}/comm").read_text() == name + "\n"
    return process


def test_comm(case):
    """Those that are there, and one that comes later."""
    first = named(case, 4)
    memwhy = case.start_memwhy("record", "--comm", "mwscenario", "-d", "100s", "-o", "comm.memwhy")
    *_, said = case.log[-1]
    assert "until it exits" not in said and said.endswith(", or until Ctrl-C\n"), said  # it waits for others
    second = named(case, 12)
    for line in memwhy.stderr:
        if f"pid {second.pid}" in line:
            break
    case.finish(memwhy)
    found = {p["pid"] for p in case.explain("comm.memwhy", cwd=case.folder)["processes"]}
    assert found == {first.pid, second.pid}, found


def cgroup_directory():
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/memory"):
        path = pathlib.Path(root) / f"memwhy-scenario-{os.getpid()}"
        if (pathlib.Path(root) / "cgroup.procs").exists():
            try:
                path.mkdir()
                return path
            except OSError:
                continue
    raise Skip("no cgroup can be made here")


def test_cgroup(case):
    group = cgroup_directory()
    try:
        target = keeper(case, 8)
        outside = keeper(case, 8)
        (group / "cgroup.procs").write_text(str(target.pid))
        case.memwhy("record", "--cgroup", group, "-d", 2, "-o", "group.memwhy", cwd=case.folder)
        process = only_process(case.explain("group.memwhy", cwd=case.folder))
        assert process["pid"] == target.pid and process["pid"] != outside.pid
        assert process["cgroup"].endswith(group.name)
    finally:
        case.end()
        group.rmdir()


def test_rotation(case):
    """Parts of 64 KiB; each can be explained alone, and --max-size bounds each."""
    target = case.race_service("debian", race=False)
    case.start([case.go_build("race_load", "debian"), "-url", target.url, "-rate", "0", "-path", "/import?mib=16"])
    memwhy = case.start_memwhy("record", "-p", target.pid, "-o", "r.memwhy", "--max-size", "64K")
    while not (case.folder / "r.12.memwhy").exists():
        assert memwhy.poll() is None
        os.sched_yield()
    case.finish(memwhy)
    parts = sorted(case.folder.glob("r*.memwhy"))
    assert len(parts) >= 3
    moved = 0
    for part in parts:
        explanation = case.explain(part)
        process = only_process(explanation)
        assert process["pid"] == target.pid
        assert sum(line["bytes"] for line in process["ledger"]) == process["rss"]["bytes"]
        # What was read of the Go runtime is in each part, also where it was not read again while the part was written. A heap
        # that moved too fast to be read says so, in each part until the next reading.
        if process["go"]["layout"] == "unverified":
            assert "do not sum" in process["go"]["layout_problem"], process["go"]
            moved += 1
            continue
        assert process["go"]["layout"] == "table", (part, process["go"])
        # While a collection marks, what it has not come to yet is unmarked, and that may be all.
        assert {"go.heap.live", "go.heap.unmarked"} & set(ledger(process)), (part, ledger(process))
        groups = process["goroutines"]["groups"]
        assert groups and any("main." in frame for group in groups for frame in group["frames"]), (part, groups)
        assert explanation["coverage"]["recording"]["damage"] == []
    assert moved * 2 < len(parts), f"{moved} of {len(parts)} parts without a heap"


def test_quiet_says_nothing(case):
    target = keeper(case, 1)
    out, err = case.memwhy("record", "-q", "-p", target.pid, "-d", 1, "-o", "q.memwhy", cwd=case.folder)
    assert (out, err) == ("", "")


def test_info(case):
    target = keeper(case, 8)
    case.memwhy("record", "-p", target.pid, "-d", 1, "-o", "i.memwhy", cwd=case.folder)
    out, _ = case.memwhy("info", "i.memwhy", cwd=case.folder)
    for words in (f"pid {target.pid}", "python3", "duration", "page_fault", "scans"):
        assert words in out, words
    begun, ended = (re.search(rf"^{word} +(\S+)", out, re.M).group(1) for word in ("from", "to"))
    case.memwhy("explain", "i.memwhy", "--from", begun, cwd=case.folder)  # what is printed can be asked for
    assert datetime.datetime.fromisoformat(begun.replace("Z", "+00:00")) <= datetime.datetime.fromisoformat(ended.replace("Z", "+00:00"))


def test_info_of_a_hostile_name(case):
    """A name with a C1 control and a bidirectional override, from the process to stderr and stdout: made visible."""
    program = case.folder / "a\u009b1mX\u202eY"
    program.symlink_to("/bin/sleep")
    target = case.start([program, "1000"])
    _, err = case.memwhy("record", "-p", target.pid, "-d", 1, "-o", "i.memwhy", cwd=case.folder)
    out, _ = case.memwhy("info", "i.memwhy", cwd=case.folder)
    assert r"(a\u{9b}1mX\u{202e}Y)" in err and r" a\u{9b}1mX\u{202e}Y (" in out, (out, err)
    assert not set("\u009b\u202e") & set(out + err)


def test_a_target_is_not_slowed_by_being_left(case):
    """After memwhy is gone nothing of it is: no BPF program, no trace of it in the target."""
    target = keeper(case, 8)
    before = ledger(only_process(case.explain("-p", target.pid, "-d", 1)))
    programs = subprocess.run(["bpftool", "prog", "list"], capture_output=True, text=True).stdout
    assert "memwhy" not in programs and "mw_" not in programs, programs
    assert before
