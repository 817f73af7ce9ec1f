# SPDX-License-Identifier: Apache-2.0
"""Everything that can be wrong on the way has its exit status and one sentence that says what, on what, why, what next."""
import os
import pathlib
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys

from support import absent
from support.answers import ledger, only_process
from xxh3 import xxh3_64_32

USAGE, UNMET, GONE, ENVIRONMENT, BAD_INPUT, OUTPUT = 2, 3, 4, 5, 6, 7


def sleeper(case):
    return case.start(["sleep", "1000"])


def recording(case, name="good.memwhy"):
    """A small, whole one."""
    target = sleeper(case)
    case.memwhy("record", "-p", target.pid, "-d", 1, "-o", name, cwd=case.folder)
    return case.folder / name


def unused_pid():
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


# ---- the command line

def test_no_command(case):
    _, err = case.memwhy(status=USAGE)
    assert "explain" in err and "record" in err and "doctor" in err


def test_help_has_examples_for_each_command(case):
    out, _ = case.memwhy("--help")
    assert "memwhy explain -p" in out
    told = re.findall(r"(\d) \w", out[out.index("Exit status: "):])  # those that a user can get, and no others
    assert told == [str(status) for status in (0, 1, USAGE, UNMET, GONE, ENVIRONMENT, BAD_INPUT, OUTPUT)], told
    commands = re.findall(r"^  ([a-z]+) ", out[out.index("Subcommands:"):out.index("Examples:")], re.M)
    assert len(commands) >= 12, out
    for command in commands:
        out, _ = case.memwhy(command, "--help")
        assert "Usage: memwhy " + command in out.replace("memwhy memwhy", "memwhy"), out


def test_usage(case):
    for arguments, words in [
        (["frobnicate"], "frobnicate"),
        (["explain"], "-p"),
        (["explain", "-p", "1", "x.memwhy"], "one of them"),
        (["explain", "-p", "x"], "-p"),
        (["explain", "-p", "1", "-d", "yesterday"], "not a duration"),
        (["explain", "x.memwhy", "-o", "y.memwhy"], "-o"),
        (["record"], "--comm"),
        (["record", "-p", "1", "--comm", "x"], "one of"),
        (["record", "-p", "1", "--max-size", "many"], "not a size"),
        (["record", "-p", "1", "--max-size", "4K"], "--max-size"),
        (["record", "--"], "no command"),
        (["info", "x.memwhy", "--", "ls"], "--"),
        (["agent", "trigger", "x"], "x not in range 1 to"),
    ]:
        case.fails(USAGE, words, arguments=arguments)


# ---- the target

def test_no_such_pid(case):
    pid = unused_pid()
    case.fails(GONE, "no such process", f"pid {pid}", arguments=["explain", "-p", pid])
    case.fails(GONE, "no such process", f"pid {pid}", arguments=["record", "-p", pid, "-o", case.folder / "x"])
    assert not (case.folder / "x").exists(), "a file was left behind"


# Pid 1 of its own pid namespace: has the next fork be number NESTED, says so, and waits. All of it dies with unshare.
INSIDE = """
import os, sys
with open("/proc/sys/kernel/ns_last_pid", "w") as last:
    last.write(str(int(sys.argv[1]) - 1))
child = os.fork()
if child == 0:
    print(os.getpid(), flush=True)
sys.stdin.read()
"""


def nested_process(case):
    """(its pid inside a pid namespace, its pid on the host): the number inside is of no process outside."""
    last, limit = (int(open(f"/proc/sys/kernel/{name}").read()) for name in ("ns_last_pid", "pid_max"))
    wanted = 1000 + (last + limit // 2) % (limit - 2000)  # as far as can be from what is forked here next
    outer = case.start(["unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", sys.executable, "-c", INSIDE, wanted],
                       stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    line = outer.stdout.readline()
    assert line == f"{wanted}\n", (line, outer.stderr.read() if outer.poll() is not None else "")
    assert not os.path.exists(f"/proc/{wanted}"), "the number is taken outside as well"
    # unshare ── pid 1 inside ── the nested one
    host = outer.pid
    for _ in range(2):
        host, = map(int, open(f"/proc/{host}/task/{host}/children").read().split())
    return wanted, host


def test_a_pid_of_a_container_is_suggested(case):
    nested, host = nested_process(case)
    for arguments in (["explain"], ["record", "-o", case.folder / "x"]):
        case.fails(GONE, f"no such process on this host: pid {nested};", f"try -p {host}", arguments=[*arguments, "-p", nested])
    process = only_process(case.explain("-p", host, "-d", 1))  # as it was told
    assert process["pid"] == host


def test_kernel_thread(case):
    case.fails(USAGE, "pid 2", "kernel thread", arguments=["explain", "-p", 2])


def test_zombie(case):
    process = case.start(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has exited, and is not waited for
    case.fails(GONE, f"pid {process.pid}", "has exited", arguments=["explain", "-p", process.pid])


def test_32_bit_target(case):
    foreign = case.folder / "foreign386"  # a name that no other test's process has
    shutil.copy(case.go_build("race_service", "debian", arch="386"), foreign)
    target = case.start([foreign])
    while target.stdout.readline().strip() != "ready":
        assert target.poll() is None
    case.fails(ENVIRONMENT, f"pid {target.pid}", "i386", arguments=["explain", "-p", target.pid])
    name = pathlib.Path(f"/proc/{target.pid}/comm").read_text().strip()
    case.fails(ENVIRONMENT, f"pid {target.pid}", "i386", arguments=["record", "--comm", name, "-o", case.folder / "x"])
    program = pathlib.Path(f"/proc/{target.pid}/exe").readlink()
    case.fails(ENVIRONMENT, "i386", arguments=["record", "-o", case.folder / "x", "--", program])
    case.fails(ENVIRONMENT, "i386", arguments=["record", "-o", case.folder / "x", "--", program.name],
               env={**os.environ, "PATH": f"{program.parent}:/usr/bin"})
    assert not (case.folder / "x").exists()


def test_kernel_thread_by_name(case):
    case.fails(USAGE, "kernel thread", arguments=["record", "--comm", "kthreadd", "-o", case.folder / "x"])


def test_no_such_comm_and_cgroup(case):
    case.fails(GONE, "nosuchname", arguments=["record", "--comm", "nosuchname", "-o", case.folder / "x"])
    case.fails(GONE, "/no/such/group", arguments=["record", "--cgroup", "/no/such/group", "-o", case.folder / "x"])


def test_no_such_program(case):
    case.fails(GONE, "/no/such/program", arguments=["record", "-o", case.folder / "x", "--", "/no/such/program"])


def test_target_exits_while_recorded(case):
    target = sleeper(case)
    memwhy = case.start_memwhy("explain", "-p", target.pid, "-d", "100s", "-o", "exit.memwhy", "--json")
    target.kill()
    case.finish(memwhy, how=None)  # ends by itself, long before 100 s
    explanation = case.explain("exit.memwhy", cwd=case.folder)
    assert explanation["coverage"]["recording"]["ended"] == "target_exited"
    assert ledger(only_process(explanation)), "the scan at attach is there"


def test_target_execs_while_recorded(case):
    target = case.start(["sh", "-c", "read line; exec sleep 1000"], stdin=subprocess.PIPE)
    memwhy = case.start_memwhy("record", "-p", target.pid, "-d", "4s", "-o", "exec.memwhy")
    target.stdin.write("go\n")
    target.stdin.flush()
    case.finish(memwhy, how=None)  # long after the exec
    assert open(f"/proc/{target.pid}/comm").read() == "sleep\n"
    explanation = case.explain("exec.memwhy", cwd=case.folder)
    names = [(p["exe"] or "").rpartition("/")[2] for p in explanation["processes"] if p["pid"] == target.pid]
    assert "sleep" in names, names
    last = [p for p in explanation["processes"] if (p["exe"] or "").endswith("/sleep")][-1]
    assert ledger(last), "the program after exec was scanned"


# ---- the environment

def as_nobody(case):
    """A copy that nobody may run, and the words before it."""
    program = case.folder / "memwhy"
    shutil.copy(case.program, program)
    program.chmod(0o755)
    case.program = str(program)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]


def test_not_root(case):
    target = sleeper(case)
    wrapper = as_nobody(case)
    sentence = case.fails(ENVIRONMENT, "CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "run it as root",
                          arguments=["explain", "-p", target.pid], wrapper=wrapper)
    assert "page faults" in sentence
    out, _ = case.memwhy("doctor", status=ENVIRONMENT, wrapper=wrapper)
    assert "MISSING" in out


def test_a_file_needs_no_privilege(case):
    path = recording(case)
    os.chmod(path, 0o644)
    case.explain(path, wrapper=as_nobody(case))


def test_kernel_without_btf(case):
    target = sleeper(case)
    (case.folder / "empty").touch()
    hide = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /sys/kernel/btf/vmlinux && exec "$@"', case.folder / "empty"]
    case.fails(ENVIRONMENT, "BTF", "CONFIG_DEBUG_INFO_BTF", arguments=["explain", "-p", target.pid], wrapper=hide)


def test_doctor(case):
    out, _ = case.memwhy("doctor")
    assert "CAP_BPF" in out and "kernel BTF" in out and "page_fault" in out and "MISSING" not in out
    assert "Recording works here." in out


def test_without_cap_sys_admin(case):
    """Recording works, memwhy's own cost is not known, and doctor says so: it asked the kernel."""
    feature = "^  {} +{}( |$)"
    out, _ = case.memwhy("doctor")
    assert re.search(feature.format("BPF run-time statistics", "yes"), out, re.M), out
    if not re.search(feature.format("PAGEMAP_SCAN", "yes"), out, re.M):
        absent("this kernel has no PAGEMAP_SCAN: nothing can be recorded on it without CAP_SYS_ADMIN")
    without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    out, _ = case.memwhy("doctor", wrapper=without)
    assert re.search(feature.format("BPF run-time statistics", "no") + ".*own cost is not measured", out, re.M), out
    assert re.search(feature.format("CAP_SYS_ADMIN", "MISSING") + ".*cost is not measured", out, re.M), out
    assert out.endswith("\nRecording works here.\n"), out
    target = sleeper(case)
    explanation = case.explain("-p", target.pid, "-d", 1, wrapper=without)
    assert explanation["coverage"]["bpf_cpu_share"] is None and ledger(only_process(explanation))


def test_doctor_in_a_user_namespace(case):
    """All capabilities are there, and they do not count: what was tried decides, for doctor as for explain."""
    inside = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*inside, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        absent("no user namespace can be made here")
    refused = case.fails(ENVIRONMENT, "user namespace", arguments=["doctor"], wrapper=inside)
    out, _ = case.memwhy("doctor", status=ENVIRONMENT, wrapper=inside)
    assert "Hooks" in out and "  none: " + refused.removeprefix("memwhy: ") in out, out
    assert "Recording works here." not in out, out
    target = sleeper(case)
    assert case.fails(ENVIRONMENT, arguments=["explain", "-p", target.pid, "-d", 1], wrapper=inside) == refused


# ---- the output

def test_output_exists(case):
    target = sleeper(case)
    kept = case.folder / "there.memwhy"
    kept.write_text("mine")
    for command in ("record", "explain"):
        case.fails(OUTPUT, "there.memwhy", "exists", arguments=[command, "-p", target.pid, "-d", 1, "-o", kept])
    assert kept.read_text() == "mine"


def test_output_is_a_link(case):
    target = sleeper(case)
    os.symlink(case.folder / "elsewhere", case.folder / "link.memwhy")
    case.fails(OUTPUT, "link.memwhy", arguments=["record", "-p", target.pid, "-d", 1, "-o", case.folder / "link.memwhy"])
    assert not (case.folder / "elsewhere").exists()


def test_disk_full(case):
    """The file system has 64 KiB: memwhy ends by itself, says so, and what was written is a recording."""
    target = case.race_service("debian", race=False)
    small = case.folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
    try:
        filler = small / "filler"
        with open(filler, "wb") as file:
            file.write(bytes(56 << 10))
        memwhy = case.start_memwhy("record", "-p", target.pid, "-d", "100s", "-o", small / "full.memwhy")
        case.start([case.go_build("race_load", "debian"), "-url", target.url, "-rate", "0"])
        _, err = case.finish(memwhy, how=None, status=OUTPUT)
        assert "no space on" in err and "full.memwhy" in err, err
        explanation = case.explain(small / "full.memwhy")
        assert explanation["coverage"]["recording"]["complete"] is False
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_stdout_is_full(case):
    path = recording(case)
    with open("/dev/full", "w") as full:
        done = subprocess.run([case.program, "explain", path], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == OUTPUT and "No space left" in done.stderr, done


def test_the_reader_of_stdout_is_gone(case):
    path = recording(case)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([case.program, "explain", path], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert done.returncode == 0 and done.stderr == "", done


# ---- the input

def test_not_a_recording(case):
    for name, content in [("empty", b""), ("text", b"hello\n" * 100), ("elf", open("/bin/true", "rb").read())]:
        (case.folder / name).write_bytes(content)
        for command in ("explain", "info"):
            case.fails(BAD_INPUT, name, arguments=[command, case.folder / name])
    case.fails(BAD_INPUT, "nothere", arguments=["explain", case.folder / "nothere"])
    case.fails(BAD_INPUT, arguments=["explain", case.folder])


def test_damaged_recording(case):
    path = recording(case)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    out, err = case.memwhy("explain", path, "--json")
    assert "warning" in err and "damage" in err.lower(), err
    explanation = case.explain(path)
    assert explanation["coverage"]["recording"]["complete"] is False
    assert explanation["coverage"]["recording"]["damage"]
    out, _ = case.memwhy("info", path)
    assert "damage" in out


def test_newer_recording(case):
    path = recording(case)
    header = bytearray(path.read_bytes())
    assert struct.unpack_from("<Q", header, 32)[0] == xxh3_64_32(bytes(header[:32])), "the hash is not as documented"
    struct.pack_into("<H", header, 8, 99)
    struct.pack_into("<Q", header, 32, xxh3_64_32(bytes(header[:32])))
    path.write_bytes(header)
    for command in ("explain", "info"):
        case.fails(BAD_INPUT, "newer", "format 99", arguments=[command, path])


MANY_MAPPINGS = """
import mmap, sys
kept = [mmap.mmap(-1, 4096, prot=mmap.PROT_READ | (i % 2) * mmap.PROT_WRITE) for i in range(4000)]
print("ready", flush=True)
sys.stdin.read()
"""


def test_limits_of_reading_a_file(case):
    target = case.start(["python3", "-c", MANY_MAPPINGS], stdin=subprocess.PIPE)
    assert target.stdout.readline() == "ready\n"
    case.memwhy("record", "-p", target.pid, "-d", 1, "-o", "good.memwhy", cwd=case.folder)
    path = case.folder / "good.memwhy"
    for command in ("explain", "info"):
        for size in ("4K", "128K"):  # what the heap has free anyway would be enough for a small file
            case.fails(BAD_INPUT, "more than", "--max-memory", arguments=[command, path, "--max-memory", size])
        case.fails(BAD_INPUT, "CPU time", "--max-time", arguments=[command, path, "--max-time", "0.001ms"])
        case.memwhy(command, path, "--max-memory", "256M", "--max-time", "30s")


# ---- memwhy itself is killed

def killed_while_recording(case, how):
    """The file, and what memwhy printed."""
    target = sleeper(case)
    path = case.folder / "killed.memwhy"
    memwhy = case.start_memwhy("record", "-p", target.pid, "-o", path)
    while path.stat().st_size < 512:  # the first chunk, within a second or so
        assert memwhy.poll() is None
    _, printed = case.finish(memwhy, how=how, status=-how)
    explanation = case.explain(path)
    assert explanation["coverage"]["recording"]["complete"] is False
    assert explanation["coverage"]["recording"]["ended"] == "killed"
    out, _ = case.memwhy("info", path)
    assert "killed" in out
    assert target.poll() is None, "the target lives on"
    return printed


def test_kill_9_leaves_a_recording(case):
    killed_while_recording(case, signal.SIGKILL)


def test_a_crash_says_where_and_leaves_a_recording(case):
    printed = killed_while_recording(case, signal.SIGSEGV)
    assert re.search(r"a bug in memwhy \S+ ended it \(SIGSEGV\)", printed), printed
    assert re.search(r"build [0-9a-f]{40}, at.* \+0x[0-9a-f]+", printed), printed


def is_killed_by_two_signals(memwhy):
    memwhy.send_signal(signal.SIGSTOP)  # so that both are there before it can act
    memwhy.send_signal(signal.SIGTERM)
    memwhy.send_signal(signal.SIGINT)
    memwhy.send_signal(signal.SIGCONT)
    memwhy.wait(timeout=60)
    assert memwhy.returncode in (-signal.SIGINT, -signal.SIGTERM), memwhy.returncode


def test_second_signal_kills(case):
    target = sleeper(case)
    memwhy = case.start_memwhy("record", "-p", target.pid, "-o", case.folder / "x.memwhy")
    is_killed_by_two_signals(memwhy)


# ---- what a supervisor, a shell or a machine may leave memwhy without

def test_closed_standard_descriptors(case):
    """None of them becomes the number of the recording, and what was to go to a closed stdout is not called done."""
    target = sleeper(case)
    close = ["sh", "-c", 'exec 0<&- 1>&- 2>&-; exec "$@"', "sh"]
    case.memwhy("record", "-p", target.pid, "-d", 1, "-o", "x.memwhy", cwd=case.folder, wrapper=close)
    assert only_process(case.explain("x.memwhy", cwd=case.folder))["pid"] == target.pid
    case.fails(OUTPUT, "stdout", arguments=["explain", "x.memwhy"], cwd=case.folder,
               wrapper=["sh", "-c", 'exec 1>&-; exec "$@"', "sh"])


def test_the_main_thread_has_left(case):
    """The process lives on, and is recorded: 8 MiB that another thread touched before its eyes."""
    target = case.start([sys.executable, "-c", MAIN_LEAVES], stdin=subprocess.PIPE)
    assert target.stdout.readline() == "ready\n"
    while pathlib.Path(f"/proc/{target.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert target.poll() is None
    memwhy = case.start_memwhy("record", "-p", target.pid, "-d", "100s", "-o", "left.memwhy")
    target.stdin.write("grow\n")
    target.stdin.flush()
    assert target.stdout.readline() == "grown\n"
    case.finish(memwhy)
    process = only_process(case.explain("left.memwhy", cwd=case.folder))
    assert process["pid"] == target.pid and process["exe"]
    grown = process["rss"]["bytes"] - process["rss"]["start_bytes"]
    assert 8 << 20 <= grown < 10 << 20, grown


MAIN_LEAVES = """
import ctypes, mmap, sys, threading
def live():
    print("ready", flush=True)
    sys.stdin.readline()
    memory = mmap.mmap(-1, 8 << 20)
    for at in range(0, 8 << 20, 4096):
        memory[at] = 1
    print("grown", flush=True)
    sys.stdin.read()
threading.Thread(target=live).start()
leave = ctypes.CDLL(None).syscall
leave(60, 0)  # exit of this thread only: ctypes has given up the interpreter's lock around the call
"""


def test_inside_a_pid_namespace(case):
    """Its own procfs counts otherwise than the kernel: a refusal, for doctor too, never two processes joined."""
    inside = ["unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
    case.fails(ENVIRONMENT, "pid namespace", "on the host", arguments=["explain", "-p", 1, "-d", 1], wrapper=inside)
    case.fails(ENVIRONMENT, "pid namespace", arguments=["record", "--comm", "memwhy", "-o", case.folder / "x"], wrapper=inside)
    case.fails(ENVIRONMENT, "pid namespace", arguments=["doctor"], wrapper=inside)
    assert not (case.folder / "x").exists()


def test_nowhere_to_put_a_temporary_file(case):
    target = sleeper(case)
    hide = 'for d in /var/tmp /tmp; do mount -t tmpfs -o ro none $d; done; exec "$@"'
    explanation = case.explain("-p", target.pid, "-d", 1, wrapper=["unshare", "--mount", "sh", "-c", hide, "sh"],
                               env={key: value for key, value in os.environ.items() if key != "TMPDIR"})
    assert ledger(only_process(explanation))
    out, _ = case.memwhy("explain", "--help")
    assert "ends when that has 1G" in out and "$TMPDIR" in out, out


def test_output_deleted_while_recorded(case):
    target = sleeper(case)
    folder = case.folder / "away"
    folder.mkdir()
    memwhy = case.start_memwhy("record", "-p", target.pid, "-o", folder / "x.memwhy")
    shutil.rmtree(folder)
    _, err = case.finish(memwhy, how=None, status=OUTPUT)  # ends by itself: there is nothing to record into
    assert "x.memwhy was deleted while it was written" in err and "see memwhy explain" not in err, err


def test_no_memory(case):
    """A limit of the address space that is reached while it loads: the environment, not a bug, and no file is left."""
    target = sleeper(case)
    for mib in (64, 128, 192, 256, 320):
        command = ["prlimit", f"--as={mib << 20}", case.program, "record", "-p", str(target.pid), "-d", "1", "-o", f"{mib}.memwhy"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=case.folder)
        case.log.append((command, done.returncode, done.stdout, done.stderr))
        assert done.returncode in (0, ENVIRONMENT), done
        assert "bug" not in done.stderr, done.stderr
        if done.returncode == 0:
            case.explain(f"{mib}.memwhy", cwd=case.folder)
    assert not (case.folder / "64.memwhy").exists()


# ---- files that may be opened

def many(case, name, count):
    """So many processes of one name, which no other test has."""
    shutil.copy(shutil.which("sleep"), case.folder / name)
    return [case.start([case.folder / name, "1000"]) for _ in range(count)]


def test_soft_limit_of_files_is_raised(case):
    targets = many(case, "softfiles", 60)
    case.memwhy("record", "--comm", "softfiles", "-d", 2, "-o", "m.memwhy", cwd=case.folder, wrapper=["prlimit", "--nofile=128:4096"])
    pids = {p["pid"] for p in case.explain("m.memwhy", cwd=case.folder)["processes"]}
    assert pids == {target.pid for target in targets}


def test_hard_limit_of_files(case):
    """Who is not recorded is named, counted and in the recording; when others leave it is recorded after all."""
    targets = many(case, "hardfiles", 60)
    memwhy = case.start([case.program, "record", "--comm", "hardfiles", "-o", "m.memwhy"], stderr=subprocess.PIPE,
                        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (180, 180)))
    warned, recorded = "", 0
    for line in memwhy.stderr:
        case.log.append((memwhy.args, None, "", line))
        if "not recorded:" in line:
            warned = line
        if line.startswith("memwhy: recording "):
            recorded = 1 + int(re.search(r" and (\d+) more until", line).group(1))
            break
    missed = len(targets) - recorded
    assert 0 < missed < len(targets), (missed, warned)
    assert f"and {missed - 3} more" in warned and "limit is 180 (ulimit -n)" in warned and "tried again" in warned, warned
    for target in targets[:recorded]:  # these are the recorded ones: pids ascend
        target.kill()
        target.wait()
    welcome = 0
    for line in memwhy.stderr:
        welcome += line.startswith("memwhy: recording pid ")
        if welcome == min(missed, recorded):  # as many as have left
            break
    assert welcome == min(missed, recorded)
    case.finish(memwhy)
    pids = {p["pid"] for p in case.explain("m.memwhy", cwd=case.folder)["processes"]}
    assert {target.pid for target in targets[:recorded]} <= pids
    assert len(pids & {target.pid for target in targets[recorded:]}) >= welcome, (recorded, welcome, pids)
    out, _ = case.memwhy("info", "m.memwhy", cwd=case.folder)
    assert re.search(r"^note .*Not recorded: pid \d+ \(hardfiles\), .* and \d+ more: .*ulimit -n", out, re.M), out


# ---- signals while a target holds memwhy up

def test_second_signal_while_attaching(case):
    target = sleeper(case)
    memwhy = case.start([case.program, "record", "-p", target.pid, "-o", "x.memwhy"], stderr=subprocess.PIPE)
    is_killed_by_two_signals(memwhy)


# ---- privileges

def capabilities_of(task):
    status = pathlib.Path(task / "status").read_text()
    return {key: int(re.search(rf"^{key}:\s*([0-9a-f]+)", status, re.M).group(1), 16) for key in ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs")}


def test_privileges_are_given_up(case):
    """Once attached, no thread has more than doctor says, and the command keeps what it had."""
    memwhy = case.start_memwhy("record", "-o", "x.memwhy", "--", "sleep", "1000")
    may = sum(1 << number for number in (2, 5, 19, 21, 38, 39, 40))  # DAC_READ_SEARCH KILL SYS_PTRACE SYS_ADMIN PERFMON BPF CHECKPOINT_RESTORE
    tasks = list(pathlib.Path(f"/proc/{memwhy.pid}/task").iterdir())
    assert len(tasks) == 6, tasks  # main, signals, sink, sampler, intake, teaching
    for task in tasks:
        while capabilities_of(task)["CapEff"] & ~may:  # the sampler's are given up right after it was told
            assert memwhy.poll() is None
        has = capabilities_of(task)
        assert has["CapPrm"] & ~may == 0 and has["CapBnd"] & ~may == 0 and has["NoNewPrivs"] == 1, (task, has)
    admin = [task for task in tasks if capabilities_of(task)["CapEff"] >> 21 & 1]
    assert len(admin) <= 1, "only who measures the cost"
    started = map(int, pathlib.Path(f"/proc/{memwhy.pid}/task/{memwhy.pid}/children").read_text().split())
    child, = [pid for pid in started if not pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("memwhy:")]
    own = capabilities_of(pathlib.Path("/proc/self"))
    assert capabilities_of(pathlib.Path(f"/proc/{child}"))["CapEff"] == own["CapEff"]
    assert re.search(r"^Max core file size +0 ", pathlib.Path(f"/proc/{memwhy.pid}/limits").read_text(), re.M)
    os.kill(child, signal.SIGKILL)
    case.finish(memwhy, how=None)
    told = r"CAP_SYS_PTRACE: kept by sampler, teaching, main: to read the page map"
    assert re.search("^privilege .*" + told, case.memwhy("info", "x.memwhy", cwd=case.folder)[0], re.M)
    doctor = case.memwhy("doctor")[0]
    assert re.search(r"^  CAP_SYS_PTRACE +kept +kept by sampler, teaching, main", doctor, re.M), doctor
