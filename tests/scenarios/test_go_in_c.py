# SPDX-License-Identifier: Apache-2.0
"""Go inside of C programs: a library with a Go runtime is found and read, whenever it is loaded, and malloc beside it. The program
knows its bytes: blocks of 1 MiB in a variable, 1,000 goroutines with 64 KiB each, 24 MiB of malloc."""
import subprocess

from support import MIB
from support.answers import ledger, only_process, problems
from support.referees import until_still

KEPT, WAITING, MALLOC = 96, 1000 * (64 << 10), 24 * 1024 * 1000


class Host:
    def __init__(self, case, *libraries, kept=KEPT):
        self.process = case.start([case.build / "workloads/go_host", kept, *libraries], stdin=subprocess.PIPE)
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "ready\n"

    def load(self):
        """What the runtime of each library then finds in use."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        word, *in_use = self.process.stdout.readline().split()
        assert word == "done"
        until_still(self.pid)
        return list(map(int, in_use))


def near(value, wanted, part=0.02):
    return abs(value - wanted) <= part * wanted


def judge(process, library, version, in_use):
    go, held = process["go"], ledger(process)
    print(process["pid"], go["version"], go["library"], {owner: held[owner] for owner in ("go.heap.live", "c.heap.used")})
    assert go["library"] == str(library) and go["version"] == version and go["layout"] == "table", go
    assert near(held["go.heap.live"], in_use) and near(in_use, KEPT * MIB + WAITING), (held, in_use)
    assert near(held["c.heap.used"], MALLOC, 0.05), held
    assert process["coverage"]["unattributed_bytes"] <= 0.01 * process["rss"]["bytes"], process["coverage"]
    first = process["findings"][0]
    assert first["id"] == "held-heap" and "hang from the variable main.kept alone" in first["claim"], first
    assert near(first["bytes"], KEPT * MIB), first
    waiting = next(each for each in process["findings"] if each["id"] == "goroutines")
    assert "1000 in chan receive at main.work (main.go:" in waiting["evidence"][0], waiting
    assert near(next(f["value"] for f in waiting["figures"] if f["id"] == "kept_bytes"), WAITING, 0.05), waiting
    assert problems(process) == [], problems(process)


def attached_after(case, toolchain, version):
    library = case.go_build("go_in_c", toolchain, library=True)
    host = Host(case, library)
    (in_use,) = host.load()
    judge(only_process(case.explain("-p", host.pid, "-d", 2)), library, version, in_use)


def test_attached_after_go_1_19(case):
    attached_after(case, "debian", "go1.19.8")


def test_attached_after_go_1_24(case):
    attached_after(case, "go1.24.9", "go1.24.9")


def test_attached_after_go_1_27(case):
    attached_after(case, "go1.27.3", "go1.27.3")


def test_loaded_during_the_recording(case):
    """A plugin of a C program: when memwhy attaches there is no Go in it."""
    library = case.go_build("go_in_c", "go1.27.3", library=True)
    host = Host(case, library)
    with case.watching(host.pid) as watch:
        (in_use,) = host.load()
    process = only_process(watch.explanation)
    judge(process, library, "go1.27.3", in_use)
    assert process["coverage"]["before_attach_bytes"] <= 0.05 * process["rss"]["bytes"], process["coverage"]


def test_two_runtimes_in_one_process(case):
    """One is read; of the other it is said that it is not, and no byte of it passes for the first one's."""
    first, second = (case.go_build("go_in_c", toolchain, library=True) for toolchain in ("go1.24.9", "go1.27.3"))
    host = Host(case, first, second, kept=32)
    in_use = host.load()
    explanation = case.explain("-p", host.pid, "-d", 2)
    process = only_process(explanation)
    read = process["go"]["library"]
    assert read in (str(first), str(second)), process["go"]
    other = str(second if read == str(first) else first)
    sentence = f"pid {host.pid}: Its Go runtime in {other} is not read: that in {read} is."
    assert sentence in explanation["coverage"]["notices"], explanation["coverage"]
    bytes_in_use = in_use[0 if read == str(first) else 1]
    assert near(ledger(process)["go.heap.live"], bytes_in_use, 0.05), (ledger(process), in_use)


def test_a_library_of_others(case):
    """Libraries without Go are looked at, and nothing is said of Go."""
    host = Host(case, "/nowhere")
    process = only_process(case.explain("-p", host.pid, "-d", 1))
    assert process["go"] is None and process["heap_profile"]["source"] == "not_go", process["go"]
