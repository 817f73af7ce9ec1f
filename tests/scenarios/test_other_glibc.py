# SPDX-License-Identifier: Apache-2.0
"""The C heap of other releases of glibc than this machine's: real ones, out of other suites of the configured mirror, downloaded and
unpacked once and never installed. A workload is linked against each and runs with its loader; what malloc_trim(0) is said to
return is what it returns."""
import fcntl
import pathlib
import re
import shutil
import subprocess

from support import MIB, ROOT, Skip, absent
from support.answers import ledger

OLDEST, NEWEST = (2, 27), (2, 44)  # whose layouts are known
HEAPS = {"freed": 48, "every_second": 48, "arenas": 48, "pinned": 24, "full_arenas": 24, "mapped": 32}
LOADER = "ld-linux-x86-64.so.2"


def apt(folder, *words):
    """apt-get with lists, cache and sources of its own."""
    for each in ("lists/partial", "cache/archives/partial"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    options = {"Dir::Etc::SourceList": folder / "sources.list", "Dir::Etc::SourceParts": "/dev/null", "Dir::State::Lists": folder / "lists",
               "Dir::State::status": "/dev/null", "Dir::Cache": folder / "cache", "APT::Sandbox::User": "root", "Acquire::Languages": "none"}
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return subprocess.run(["apt-get", "-q", *flags, *words], cwd=folder, capture_output=True, text=True)


def libraries_of(case, suite):
    """The folder with that suite's libc.so.6 and its loader."""
    if not shutil.which("apt-get") or not shutil.which("gcc"):
        absent("no apt-get, or no gcc")
    folder = case.build / "glibc" / suite
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:  # scenarios run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            asked = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)"], capture_output=True, text=True).stdout
            mirror = next((line.split()[0] for line in asked.splitlines() if "security" not in line), None)
            keys = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
            if mirror is None or not keys.exists():
                absent("apt has no lists of a Debian mirror")
            (folder / "sources.list").write_text(f"deb [signed-by={keys}] {mirror} {suite} main\n")
            update = apt(folder, "update")
            if update.returncode != 0 and re.search(r"404|does not have a Release file", update.stderr):
                raise Skip(f"the mirror has no suite {suite} any more")
            got = apt(folder, "download", "libc6") if update.returncode == 0 else update
            if got.returncode != 0:
                absent(f"libc6 of {suite} can't be had: {got.stderr.strip()[-300:]}")
            subprocess.run(["dpkg-deb", "-x", next(folder.glob("libc6_*.deb")), folder / "tree"], check=True)
            (folder / "done").touch()
    return next((folder / "tree").rglob("libc.so.6")).parent


def release_of(libraries):
    text = subprocess.run([libraries / LOADER, libraries / "libc.so.6"], capture_output=True, text=True).stdout
    return tuple(map(int, re.search(r"release version (\d+)\.(\d+)", text).groups()))


def linked(case, libraries):
    """c_heap against that libc and no other."""
    program, built = case.folder / "c_heap", case.folder / "c_heap.o"
    subprocess.run(["gcc", "-O1", "-c", ROOT / "tests/workloads/c_heap.c", "-o", built], check=True)
    threads = [libraries / "libpthread.so.0"] if release_of(libraries) < (2, 34) else []
    subprocess.run(["gcc", built, "-o", program, "-nodefaultlibs", libraries / "libc.so.6", *threads, "-lgcc",
                    f"-Wl,--dynamic-linker={libraries / LOADER}", f"-Wl,-rpath={libraries}", "-Wl,--allow-shlib-undefined"], check=True)
    return program


def check_release(case, suite):
    libraries = libraries_of(case, suite)
    release = release_of(libraries)
    if not OLDEST <= release <= NEWEST:
        raise Skip(f"{suite} has glibc {release[0]}.{release[1]}, whose layout is not known yet")
    program = linked(case, libraries)
    servers = {}
    for heap, mib in HEAPS.items():
        servers[heap] = case.start([program, heap, mib], stdin=subprocess.PIPE)
        assert servers[heap].stdout.readline() == "ready\n", heap
    case.memwhy("record", "-p", ",".join(str(each.pid) for each in servers.values()), "-d", 3, "-o", "heaps.memwhy", cwd=case.folder)
    answers = {each["pid"]: each for each in case.explain("heaps.memwhy", cwd=case.folder)["processes"]}
    for heap, server in servers.items():
        process = answers[server.pid]
        trust = {each["runtime"]: each["trust"] for each in process["coverage"]["runtimes"]}
        assert trust.get("glibc") == "verified", (heap, process["coverage"]["runtimes"])
        found = next((each for each in process["findings"] if each["id"] == "c-heap-free"), None)
        promised = found["recoverable_bytes"] if found else 0
        server.stdin.write("trim\n")
        server.stdin.flush()
        _, before, after = server.stdout.readline().split()
        returned = int(before) - int(after)
        print(f"glibc {release[0]}.{release[1]}, {heap}: promised {promised / MIB:.2f} MiB, returned {returned / MIB:.2f}")
        assert abs(returned - promised) <= max(0.01 * promised, MIB // 2), (heap, promised, returned, ledger(process))
        assert ledger(process).get("anon.before_attach", 0) <= 0.05 * process["rss"]["bytes"], (heap, ledger(process))


def test_debian_11(case):
    check_release(case, "bullseye")


def test_debian_13(case):
    check_release(case, "trixie")


def test_debian_unstable(case):
    check_release(case, "sid")
