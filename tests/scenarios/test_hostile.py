# SPDX-License-Identifier: Apache-2.0
"""Targets that do something to whoever looks at them: memwhy ends in time, says what it could not see, and sees the rest."""
import collections
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from support import DEADLINE, absent
from support.answers import check, only_process


def children_of(pid):
    """memwhy's own that live, by name: those that open files of targets, and those that parse them."""
    found = collections.defaultdict(list)
    for entry in pathlib.Path("/proc").iterdir():
        try:
            status = (entry / "status").read_text() if entry.name.isdigit() else ""
            if f"\nPPid:\t{pid}\n" in status and "\nState:\tZ" not in status:
                found[(entry / "comm").read_text().strip()].append(int(entry.name))
        except OSError:
            pass  # it has just left
    return found


def server_of_files(case, name="mount"):
    """It answers; and the pid of its own target, which has mapped a file of it."""
    mount = case.folder / name
    mount.mkdir()
    server = case.start([case.build / "workloads/silent_files", mount], stdin=subprocess.PIPE)
    line = server.stdout.readline().split()
    if not line:
        absent("no FUSE here")
    return server, int(line[1])


def falls_silent(server):
    server.stdin.write("silent\n")
    server.stdin.flush()
    assert server.stdout.readline() == "is silent\n"


def ends(process, seconds):
    """Whether it does: a process that waits in the kernel for the server takes no signal."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_files_whose_server_is_silent(case):
    """The open of a file blocks for ever, in the kernel, where no signal arrives."""
    server, target = server_of_files(case)
    falls_silent(server)
    explanation = case.explain("-p", target, "-d", 3)
    server.stdin.close()
    unanswered = server.stdout.read().split()
    assert unanswered, "nobody asked for the file: the scenario shows nothing"
    told = [line for line in explanation["coverage"]["not_seen"] if "did not answer" in line]
    assert told, explanation["coverage"]["not_seen"]
    process = only_process(explanation)
    assert process["rss"]["bytes"] > 0
    assert explanation["coverage"]["recording"]["complete"]


def hostile_program(case, name, folder="."):
    """A file of its own: the kernel takes the map of each process of a file whose code is probed, those of other tests too."""
    (case.folder / folder).mkdir(exist_ok=True)
    return shutil.copy(case.go_build("go_hostile", "go1.26.8", ldflags="-checklinkname=0"), case.folder / folder / f"{name}-program")


@contextlib.contextmanager
def program_with_silent_file(case, name, *command):
    """A program, go_hostile in this mode or another, with a page of a file whose server falls silent, below an overlay, so that
    statfs(2) does not say what it is. Gives the server, the program and, at the end, the requests without an answer; whatever
    waits for one then gets an error, so that nothing hangs on."""
    server, _ = server_of_files(case, name)
    unanswered = []
    upper, overlay = case.folder / f"{name}-upper", case.folder / f"{name}-overlay"
    upper.mkdir()
    overlay.mkdir()
    mounted = subprocess.run(["mount", "-t", "overlay", "memwhy-test", "-o", f"lowerdir={upper}:{case.folder / name}", overlay],
                             capture_output=True, timeout=DEADLINE)
    try:
        if mounted.returncode != 0:
            absent("no overlay of a FUSE mount here")
        command = command if len(command) > 1 else [hostile_program(case, name), *command]
        process = case.start([*command, overlay / "x"], stdin=subprocess.PIPE)
        assert process.stdout.readline() == "ready\n"
        falls_silent(server)
        yield server, process, unanswered
    finally:
        server.stdin.close()
        unanswered += server.stdout.read().splitlines()
        server.wait()
        subprocess.run(["umount", "-l", overlay], timeout=DEADLINE)


@contextlib.contextmanager
def program_with_silent_code(case, name):
    """The page is the code of a function that is to be probed."""
    with program_with_silent_file(case, name, "code") as (server, process, unanswered):
        yield server, process.pid, unanswered


def until_a_read_waits(server):
    for line in server.stdout:
        if line.startswith("READ "):
            return
    raise AssertionError("no page of the file was read: the scenario shows nothing")


def test_memory_whose_file_server_is_silent(case):
    """A read of it never returns, and no signal ends it: the recording ends in time, and says what was lost. Nothing is attached
    to the code, which would wait as well, and every fork of the machine with it."""
    with program_with_silent_code(case, "mount") as (_, target, unanswered):
        memwhy = case.start_memwhy("explain", "-p", target, "-d", 3, "--json")
        in_time = ends(memwhy, 40)  # 3 s, 2 s and attaching, on a machine that has other work
    out, err = memwhy.communicate(timeout=DEADLINE)
    case.log.append((memwhy.args, memwhy.returncode, out[-6000:], err[-6000:]))
    assert [line for line in unanswered if line.startswith("READ ")], "no page of the file was read: the scenario shows nothing"
    assert in_time
    assert memwhy.returncode == 0, memwhy.returncode
    explanation = check(json.loads(out))
    told = " ".join(explanation["coverage"]["not_seen"])
    assert f"The memory of pid {target} did not answer" in told, told
    assert f"The Go runtime of pid {target} is not probed: its memory did not answer." in told, told
    assert only_process(explanation)["rss"]["bytes"] > 0
    assert explanation["coverage"]["recording"]["complete"]


def test_signals_while_memory_does_not_answer(case):
    """The first ends the recording, the second memwhy at once, although a read will never return."""
    for signals in (1, 2):
        with program_with_silent_code(case, f"mount{signals}") as (server, target, _):
            memwhy = case.start_memwhy("record", "-p", target, "-o", f"silent-{signals}.memwhy")
            until_a_read_waits(server)
            for _ in range(signals):
                memwhy.send_signal(signal.SIGINT)
            in_time = ends(memwhy, 30)
        _, err = memwhy.communicate(timeout=DEADLINE)
        case.log.append((memwhy.args, memwhy.returncode, "", err))
        assert in_time, signals
        assert memwhy.returncode in ((0,) if signals == 1 else (0, -signal.SIGINT)), memwhy.returncode


def hold_map(server, process):
    """From here on a thread of the program has the lock of its map, and waits."""
    process.stdin.write("hold\n")
    process.stdin.flush()
    until_a_read_waits(server)


def not_probed(case, pid, why):
    """Recorded in time, and without its probes; afterwards, as meanwhile the map may be locked still."""
    memwhy = case.start([case.program, "explain", "-p", pid, "-d", 1, "--json"], stderr=subprocess.PIPE)
    in_time = ends(memwhy, 40)

    def check_it():
        out, err = memwhy.communicate(timeout=DEADLINE)
        case.log.append((memwhy.args, memwhy.returncode, out[-6000:], err[-6000:]))
        assert in_time
        assert memwhy.returncode == 0, memwhy.returncode
        explanation = check(json.loads(out))
        told = " ".join(explanation["coverage"]["not_seen"])
        assert f"The Go runtime of pid {pid} is not probed: {why}" in told, told
        assert not [hook for hook in explanation["coverage"]["hooks"] if hook["name"].startswith("go_")]
        assert only_process(explanation)["rss"]["bytes"] > 0
    return check_it


def test_a_map_that_is_locked_is_not_attached_to(case):
    """The kernel would wait for the lock where no signal ends the wait, and every fork of the machine with it."""
    with program_with_silent_file(case, "mount", "held") as (server, process, _):
        hold_map(server, process)
        check_it = not_probed(case, process.pid, "its memory map is locked")
    check_it()


def parked(case, program):
    process = case.start([program, "parked", 10], stdin=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    return process


# As go_hostile's `held`; but it is another program, which maps a file's code as dlopen() does.
MAPS_CODE_OF = """
import contextlib, ctypes, mmap, os, sys
code = mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
page = mmap.mmap(os.open(sys.argv[2], os.O_RDONLY), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
print("ready", flush=True)
sys.stdin.readline()
with contextlib.suppress(OSError):  # when the server ends
    os.pread(os.open("/proc/self/mem", os.O_RDONLY), 8, address)
"""


def test_a_map_of_another_process_with_the_code_is_locked(case):
    """The kernel takes the lock of each process that maps the file, whichever of them is to be probed and whatever the others run."""
    program = hostile_program(case, "own")
    with program_with_silent_file(case, "mount", "python3", "-c", MAPS_CODE_OF, program) as (server, process, _):
        target = parked(case, program)
        hold_map(server, process)
        check_it = not_probed(case, target.pid, f"the memory map of pid {process.pid} is locked, which maps the same file")
    check_it()


def test_a_map_of_a_process_with_another_file_is_locked(case):
    """Its program has the same name, which means nothing."""
    with program_with_silent_file(case, "mount", "held") as (server, process, _):
        target = parked(case, hostile_program(case, "mount", "other"))
        hold_map(server, process)
        memwhy = case.start_memwhy("explain", "-p", target.pid, "-d", 1, "--json")
        in_time = ends(memwhy, 40)
    out, err = memwhy.communicate(timeout=DEADLINE)
    case.log.append((memwhy.args, memwhy.returncode, out[-6000:], err[-6000:]))
    assert in_time
    coverage = check(json.loads(out))["coverage"]
    assert [hook for hook in coverage["hooks"] if hook["name"].startswith("go_")], coverage["not_seen"]
    assert not [line for line in coverage["not_seen"] if "is not probed" in line]


BPFFS = pathlib.Path("/sys/fs/bpf")


@contextlib.contextmanager
def mounted_bpffs():
    fresh = not os.path.ismount(BPFFS)
    if fresh:
        subprocess.run(["mount", "-t", "bpf", "bpf", BPFFS], check=True, timeout=DEADLINE)
    try:
        yield
    finally:
        if fresh:
            subprocess.run(["umount", "-l", BPFFS], timeout=DEADLINE)


def test_a_map_that_is_locked_keeps_its_probes(case):
    """To take the breakpoints away would wait as well. So they stay, and memwhy ends, and says how they go."""
    with program_with_silent_file(case, "mount", "held") as (server, process, _), mounted_bpffs():
        memwhy = case.start_memwhy("record", "-p", process.pid, "-o", "held.memwhy")
        hold_map(server, process)
        memwhy.send_signal(signal.SIGINT)
        in_time = ends(memwhy, 40)
        server.stdin.close()  # the map is free again
        left = list(BPFFS.glob(f"memwhy-{memwhy.pid}-{process.pid}*"))
        for each in left:
            each.unlink()
    _, err = memwhy.communicate(timeout=DEADLINE)
    case.log.append((memwhy.args, memwhy.returncode, "", err))
    assert in_time
    assert memwhy.returncode == 0, memwhy.returncode
    assert left, "nothing keeps the probes: the last close of theirs would wait"
    told = " ".join(case.explain("held.memwhy", cwd=case.folder)["coverage"]["not_seen"])
    assert f"The probes of the Go runtime of pid {process.pid} stay, because its memory map is locked" in told, told


def stop_one_that_opens(pid):
    """Its pid. The one that was killed last is replaced when a file is to be opened again: that is waited for."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        for opener in children_of(pid)["memwhy:opener"]:
            with contextlib.suppress(ProcessLookupError):  # it has just been replaced
                os.kill(opener, signal.SIGSTOP)
                return opener
        time.sleep(0.01)
    raise AssertionError("no other child opens files")


def test_the_children_are_killed(case):
    """kill -9 of those who open and parse files, again and again: names may be lost, nothing else, and it is told."""
    target = case.start(["python3", "-c", CHURN], stdin=subprocess.PIPE)
    assert target.stdout.readline() == "ready\n"
    memwhy = case.start_memwhy("record", "-p", target.pid, "-o", "killed.memwhy")
    killed, stopped = 0, None
    for step in range(12):
        if step == 5:  # one that hangs: memwhy, with what is left of its privileges, ends it
            stopped = stop_one_that_opens(memwhy.pid)
        children = children_of(memwhy.pid)
        for name in ("memwhy:opener", "memwhy:parser")[step % 2:][:1]:
            for child in children[name]:
                with contextlib.suppress(ProcessLookupError):  # it has just been replaced
                    os.kill(child, signal.SIGKILL)
                    killed += 1
        target.stdin.write("\n")  # a library that was not mapped yet, and memory touched from it
        target.stdin.flush()
        assert target.stdout.readline() == f"step {step}\n"
    case.finish(memwhy)
    explanation = case.explain("killed.memwhy", cwd=case.folder)
    assert killed >= 2, killed
    assert explanation["coverage"]["recording"]["complete"]
    told = [line for line in explanation["coverage"]["not_seen"] if "died; it was replaced" in line]
    assert told, explanation["coverage"]["not_seen"]
    assert stopped is not None and not pathlib.Path(f"/proc/{stopped}").exists(), "the one that hung is still there"
    assert only_process(explanation)["coverage"]["unattributed_bytes"] == 0


CHURN = """
import importlib, sys
print("ready", flush=True)
kept = []
modules = ["sqlite3", "decimal", "ssl", "curses", "xml.parsers.expat", "bz2", "lzma", "ctypes", "readline", "zlib", "_json", "array"]
for step, module in enumerate(modules):
    sys.stdin.readline()
    try:
        importlib.import_module(module)
    except ImportError:
        pass
    kept.append(bytearray(1 << 20))
    print("step", step, flush=True)
sys.stdin.readline()
"""
