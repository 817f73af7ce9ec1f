# SPDX-License-Identifier: Apache-2.0
"""memwhy top and memwhy live in a terminal, which is a pty here whose bytes a terminal emulator (pyte) understands; and both where
there is none."""
import json
import os
import re
import subprocess
import sys
import time

from support import DEADLINE, MIB, absent
from support.answers import check, only_process

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's packages, whichever python runs this
try:
    import pexpect
    import pyte
except ImportError:
    pexpect = pyte = None

HOLD = """
import ctypes, sys
name, mib = sys.argv[1].encode().decode("unicode_escape").encode("latin-1"), int(sys.argv[2])
kept = bytearray(b"x") * (mib << 20)
ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
print("ready", flush=True)
for line in sys.stdin:
    kept += bytearray(b"x") * (int(line) << 20)
    print("has", line.strip(), flush=True)
"""


def holder(case, name, mib):
    """A process of this comm (with escapes) that holds so much, and more for each number on its stdin."""
    process = case.start(["python3", "-c", HOLD, name, mib], stdin=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    return process


def grow(process, mib):
    process.stdin.write(f"{mib}\n")
    process.stdin.flush()
    assert process.stdout.readline() == f"has {mib}\n"


class Terminal:
    """memwhy in a terminal of 80 x 24, what it wrote and how that looks."""

    def __init__(self, case, *arguments, columns=80, lines=24, **environment):
        if pexpect is None:
            absent("python3-pexpect and python3-pyte are not installed")
        environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"} | environment
        self.written = b""
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(case.program, [str(a) for a in arguments], dimensions=(lines, columns), env=environment,
                                   cwd=str(case.folder))

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def until(self, condition, what):
        deadline = time.monotonic() + DEADLINE
        while not condition(self):
            assert time.monotonic() < deadline, f"not seen: {what}\n{self.text()}\n{self.written[-500:]}"
            try:
                data = self.child.read_nonblocking(65536, timeout=1)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                raise AssertionError(f"it ended before {what}\n{self.text()}") from None
            self.written += data
            self.stream.feed(data)

    def resize(self, columns, lines):
        self.screen.resize(lines, columns)
        self.child.setwinsize(lines, columns)

    def ends(self):
        """It ends with status 0, and has given the terminal back."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            try:
                self.written += self.child.read_nonblocking(65536, timeout=1)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                break
        self.child.close()
        assert self.child.exitstatus == 0, (self.child.exitstatus, self.child.signalstatus)
        assert b"\x1b[?25h\x1b[?1049l" in self.written[-400:], self.written[-400:]


def row(terminal, pid):
    """The columns of a process, if it is shown."""
    for line in terminal.lines():
        words = line.split()
        if words and words[0] == str(pid):
            return words
    return None


def test_top_in_a_terminal(case):
    """Largest first, in the columns and lines that there are, also after a resize; keys do what the last line says."""
    large = holder(case, "large", 600)
    top = Terminal(case, "top")
    top.until(lambda t: row(t, large.pid) and "q quit" in t.lines()[-1], "a table with its keys")
    assert all(len(line) <= 80 for line in top.lines())
    assert re.match(r"[\d,]+ processes, .* resident, of that .* anonymous", top.lines()[0]), top.text()
    pid, anon, rss, growth, name = row(top, large.pid)
    assert 600 <= float(anon) <= 630 and float(anon) < float(rss) and name == "large", top.text()
    assert growth == "?" or abs(float(growth)) < 1000, top.text()  # known after some seconds
    for columns, lines in ((60, 10), (100, 30)):  # larger ones of others may fill a small table
        top.resize(columns, lines)
        top.until(lambda t: " processes, " in t.lines()[0] and "q quit" in t.lines()[lines - 1]
                  and (lines == 10 or row(t, large.pid)), f"a table of {lines} lines")
    assert "order: unseen" in top.lines()[-1]
    top.child.send("s")
    top.until(lambda t: "order: anon" in t.lines()[-1] and "*anon MiB" in t.lines()[1], "the order of anonymous memory")
    top.child.send("s")
    top.until(lambda t: "order: rss" in t.lines()[-1] and "*RSS MiB" in t.lines()[1], "the order of RSS")
    top.child.send("p")
    top.until(lambda t: "go on" in t.lines()[-1], "a pause")
    top.child.send("q")
    top.ends()


def test_top_ends_by_a_signal(case):
    top = Terminal(case, "top")
    top.until(lambda t: "q quit" in t.lines()[-1], "a table")
    top.child.sendintr()
    top.ends()


def test_hostile_names(case):
    """A name that clears the screen, rings, sets colours by 8-bit controls: it is shown, and nothing acts on it."""
    hostile = holder(case, r"\x1b[2J\x07\x9b31mX", 600)
    top = Terminal(case, "top", NO_COLOR="1")
    top.until(lambda t: row(t, hostile.pid), "the process")
    assert r"\x1b[2J\x07\x9b31mX" in " ".join(row(top, hostile.pid)), top.text()
    live = Terminal(case, "live", "-p", hostile.pid, "-d", "60s", NO_COLOR="1")
    live.until(lambda t: "MiB resident" in t.text() and r"\x1b[2J" in t.text(), "the answer")
    for terminal in (top, live):
        terminal.child.send("q")
        terminal.ends()
        own = re.sub(rb"\x1b\[(H|K|7m|0m|\?1049[hl]|\?25[hl]|\?7[hl]|2J)", b"", terminal.written, count=0)
        assert b"\x1b" not in own and b"\x9b" not in own and b"\x07" not in own, own[:2000]
        assert terminal.written.count(b"\x1b[2J") == 1, "our own, at the start"


def test_colours(case):
    """On a terminal, unless NO_COLOR or the terminal is dumb: that has plain text, and no cursor that moves."""
    target = holder(case, "colours", 64)
    live = Terminal(case, "live", "-p", target.pid)
    live.until(lambda t: "MiB resident" in t.text(), "the answer")
    live.child.send("q")
    live.ends()
    assert b"\x1b[33m" in live.written or b"\x1b[32m" in live.written, live.written[-2000:]
    top = Terminal(case, "top", "-n", "1", TERM="dumb")
    top.child.expect(pexpect.EOF, timeout=DEADLINE)
    assert b"\x1b" not in top.child.before and b"anonymous" in top.child.before, top.child.before


def test_top_without_a_terminal(case):
    """Plain lines, or a line of JSON for each pass; totals are of all processes, whatever is listed."""
    target = holder(case, "quiet", 600)
    out, _ = case.memwhy("top", "-n", 1)
    assert "\x1b" not in out and f"{target.pid}" in out, out
    out, _ = case.memwhy("top", "-n", 2, "-i", "100ms", "--json", "--by", "rss")
    passes = [json.loads(line) for line in out.splitlines()]
    assert len(passes) == 2 and all(each["format"] == "memwhy.top/1" for each in passes)
    assert passes[1]["time_ns"] > passes[0]["time_ns"]
    for each in passes:
        mine, = [line for line in each["rows"] if line["pid"] == target.pid]
        assert mine["comm"] == "quiet" and 600 * MIB <= mine["anon_bytes"] <= 640 * MIB and mine["anon_bytes"] < mine["rss_bytes"], mine
        assert [line["rss_bytes"] for line in each["rows"]] == sorted((line["rss_bytes"] for line in each["rows"]), reverse=True)
        assert sum(line["rss_bytes"] for line in each["rows"]) <= each["rss_bytes"]
    case.fails(2, "--by", arguments=["top", "--by", "size"])


def test_top_knows_the_heap_of_go(case):
    """Of a Go program that keeps 256 MiB alive a heap profile shows these: by the runtime's own counters, as explain has them. What is
    left is unseen; of a program that is no Go program all that is anonymous."""
    jobs = case.hourly_job("debian", "-period", "1ms", "-hold", 1, "-runs", 4)
    jobs.holds()
    jobs.go_on()
    jobs.done()
    plain = holder(case, "plain", 600)
    totals = only_process(case.explain("-p", jobs.pid, "-d", "1s"))["go"]["totals"]
    # By RSS both are among the first of a machine where other tests run.
    top = case.start([case.program, "top", "-n", DEADLINE, "--by", "rss", "--json"])
    for line in top.stdout:
        rows = {row["pid"]: row for row in json.loads(line)["rows"]}
        assert rows[plain.pid]["go"] is None and rows[plain.pid]["unseen_bytes"] == rows[plain.pid]["anon_bytes"], rows[plain.pid]
        if (mine := rows[jobs.pid])["go"]:
            break
    assert mine["go"]["live_bytes"] == totals["/gc/heap/live:bytes"] >= 256 * MIB, (mine, totals)
    assert mine["go"]["idle_bytes"] == totals["/memory/classes/heap/free:bytes"], (mine, totals)
    assert mine["go"]["goal_bytes"] == totals["/gc/heap/goal:bytes"], (mine, totals)
    assert mine["unseen_bytes"] == mine["rss_bytes"] - mine["go"]["live_bytes"] < 100 * MIB, mine
    screen = Terminal(case, "top", "--by", "rss")
    screen.until(lambda t: row(t, jobs.pid) and "unseen" in " ".join(row(t, jobs.pid)), "what Go says")
    words = row(screen, jobs.pid)
    assert abs(float(words[-4]) - mine["unseen_bytes"] / MIB) < 1 and words[-3] == "unseen," and words[-1] == "idle", words
    assert all(len(line) <= 80 for line in screen.lines()), screen.text()
    screen.child.send("q")
    screen.ends()


def test_top_as_nobody(case):
    """It needs no privilege."""
    target = holder(case, "seen", 300)
    out, _ = case.memwhy("top", "-n", 1, "--json", wrapper=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
                         cwd="/")
    assert target.pid in [line["pid"] for line in json.loads(out)["rows"]], out


def test_live_in_a_terminal(case):
    """The answer, again with what has grown meanwhile; -o keeps the recording that was looked at."""
    target = holder(case, "grows", 64)
    live = Terminal(case, "live", "-p", target.pid, "-o", "kept.memwhy")
    live.until(lambda t: "grows" in t.text() and "resident:" in t.text() and "q quit" in t.lines()[-1], "the answer")
    assert all(len(line) <= 80 for line in live.lines())
    grow(target, 200)
    live.until(lambda t: re.search(r"grows \(pid \d+\): 2[67]\d\.\d MiB resident", t.text()), "what it has grown by")
    live.resize(70, 16)
    live.until(lambda t: t.lines()[0].startswith("grows (pid") and "q quit" in t.lines()[15] and "owner" in t.text(),
               "the answer in fewer lines")
    live.child.send("q")
    live.ends()
    process = only_process(case.explain("kept.memwhy", cwd=case.folder))
    assert process["pid"] == target.pid and process["rss"]["bytes"] >= 264 * MIB, process["rss"]


def test_live_without_a_terminal(case):
    """A line for each scan, and the last one; no file is left."""
    target = holder(case, "lines", 64)
    out, err = case.memwhy("live", "-p", target.pid, "-d", "3s", cwd=case.folder)
    lines = out.splitlines()
    assert lines and all(re.match(rf"\+[\d.]+ s lines \(pid {target.pid}\): [\d.]+ MiB resident", line) for line in lines), out
    assert "\x1b" not in out and err == "" and not list(case.folder.iterdir()), (err, list(case.folder.iterdir()))
    out, _ = case.memwhy("live", "-p", target.pid, "-d", "3s", "--json", cwd=case.folder)
    answers = [only_process(check(json.loads(line))) for line in out.splitlines()]
    assert answers and all(each["pid"] == target.pid and each["rss"]["bytes"] >= 64 * MIB for each in answers), out
    scans = [each["coverage"]["scans"] for each in answers]
    assert scans == sorted(set(scans)), scans
    case.fails(4, arguments=["live", "-p", 4_000_000])
    case.fails(2, arguments=["live"])
