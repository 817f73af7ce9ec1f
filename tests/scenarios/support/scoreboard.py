# SPDX-License-Identifier: Apache-2.0
"""The scoreboard: programs of which the cause is known (rows.py), each beside a healthy twin, and what memwhy says of them, column by
column. Rows of a batch are watched by one memwhy, so that forty of them cost what a few do.

    row                      first  bytes  sums  unattributed  before_attach  false_problems  promise
    table · before           yes    yes    yes   yes           yes            yes             -

A column is yes, no, or "-" where the answer is not known or the row makes no such claim. Not here: what else must hold for one
kind of program alone (the other scenarios).
"""
import dataclasses
import json
import os
import subprocess
import time
import typing

from support import DEADLINE, MIB, Skip
from support.answers import check, finding, ledger, problems, until_scanned
from support.referees import until_still

COLUMNS = ("first", "bytes", "sums", "unattributed", "before_attach", "false_problems", "promise")
NEAR = 0.05


@dataclasses.dataclass(frozen=True)
class Program:
    """How it is started, what it prints before anything happened, and when all has happened. What happens, happens at a line."""
    command: typing.Callable  # (case, toolchain) → a list of words
    ready: str = "ready"
    done: str = "done"  # "": it goes on for ever, and is seen from the line on
    environment: typing.Callable = dict


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    id: str  # of the finding that must be first
    program: Program
    twin: Program  # the same without the cause
    problem: bool = True  # else it explains
    first: bool = True  # else it is said, and not first
    bytes: int | str | None = None  # that the finding has; a text: the value of that name of the program's "stats"
    figure: str = ""  # that has these bytes, where it is not the finding's own number
    near: float = NEAR
    rate: float | None = None  # bytes a second
    says: tuple = ()  # in the claim or in the evidence
    figures: tuple = ()  # (name, value)
    beside: tuple = ()  # ids of other problems that are right
    go: tuple = ()  # releases that it is built with; empty: not Go's
    after: bool = True  # it can be told by who attaches when it is over; alike in all rows of a batch
    known_before: bool = True  # whose pages they are can be known by who attaches after
    promise: str = ""  # what the program does to get the memory back: it answers with RSS before and after


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows that one memwhy watches: few enough for its last look at all of them to be in time."""
    after: int  # seconds that it watches, attached when all has happened
    before: int  # that it watches on when all has happened; 0: no longer, since what stands still grows no more
    rows: tuple


@dataclasses.dataclass
class Score:
    row: Row
    toolchain: str
    after: bool
    columns: dict
    said: str
    skipped: str = ""

    @property
    def right(self):
        return not self.skipped and False not in self.columns.values()

    def cells(self):
        attached = "after" if self.after else "before"
        marks = {True: "yes", False: "**no**", None: "-"}
        values = [marks[self.columns[name]] for name in COLUMNS] if not self.skipped else ["skipped"] + [""] * (len(COLUMNS) - 1)
        return [self.row.name, self.row.id, self.toolchain or "-", attached, *values]


class Running:
    """A program of the board: the same process before and after."""

    def __init__(self, case, program, toolchain):
        self.program, self.skipped = program, ""
        self.process = case.start(program.command(case, toolchain), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  env=dict(os.environ) | program.environment())
        self.pid = self.process.pid
        self._until(program.ready)

    def _until(self, wanted):
        for line in self.process.stdout:
            if line.startswith("skip "):
                self.skipped = line[5:].strip()
                return
            if line.strip() == wanted:
                return
        raise AssertionError(f"{self.process.args} ended before {wanted!r}")

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def begin(self):
        self.tell("go on")

    def until_done(self):
        if self.program.done:
            self._until(self.program.done)

    def ask(self, word):
        self.tell(word)
        return self.process.stdout.readline()


def figure(found, name):
    return next((each["value"] for each in found["figures"] if each["id"] == name), None)


def near(value, wanted, part):
    return value is not None and abs(value - wanted) <= part * wanted


def _bytes_right(row, running, found):
    wanted = row.bytes
    if isinstance(wanted, str):
        wanted = json.loads(running.ask("stats"))[wanted]
    if wanted is None and row.rate is None:
        return None
    right = True
    if wanted is not None:
        right = near(figure(found, row.figure) if row.figure else found["bytes"], wanted, row.near)
    if row.rate is not None:
        growth = found["growth_bytes_per_s"]
        right = right and growth is not None and 0.6 * row.rate <= growth <= 1.3 * row.rate  # a turn takes more than its pause
    return right


def _promise_kept(row, running, found):
    if not row.promise:
        return None
    promised = (found or {}).get("recoverable_bytes") or 0
    words = running.ask(row.promise).split()
    before, after = int(words[-2]), int(words[-1])
    # 512 KiB: the code of the call itself, which it brings in.
    return abs((before - after) - promised) <= max(NEAR * promised, MIB // 2)


def score(row, toolchain, after, running, process, twin):
    """What was said of the program, and of its twin."""
    found = finding(process, row.id)
    first = process["findings"][0] if row.first or found is None else found
    text = " ".join([first["claim"], *first["evidence"]])
    first_right = (first["id"] == row.id and (first["kind"] == "problem") == row.problem and all(words in text for words in row.says)
                   and all(figure(first, name) == value for name, value in row.figures))
    wrong = [each["id"] for each in problems(process) if each["id"] not in (row.id, *row.beside)]
    # Where the cause is no problem, the twin may have a little of it.
    of_twin = finding(twin, row.id)
    too_much = not row.problem and of_twin is not None and (found is None or of_twin["bytes"] * 2 > found["bytes"] > 0)
    wrong_of_twin = [each["id"] for each in problems(twin)] + ([row.id] if too_much else [])
    rss = process["rss"]["bytes"]
    columns = {
        "first": first_right,
        "bytes": found is not None and _bytes_right(row, running, found),
        "sums": sum(ledger(process).values()) == rss and sum(ledger(twin).values()) == twin["rss"]["bytes"],
        "unattributed": process["coverage"]["unattributed_bytes"] <= 0.01 * rss,
        "before_attach": process["coverage"]["before_attach_bytes"] <= 0.05 * rss if row.known_before or not after else None,
        "false_problems": not wrong and not wrong_of_twin,
        "promise": _promise_kept(row, running, found),
    }
    said = f"{first['kind']} {first['id']} {first['bytes'] / MIB:.1f} MiB: {first['claim']}"
    if wrong or wrong_of_twin:
        said += f" | false: {wrong}, of the twin: {wrong_of_twin}"
    return Score(row, toolchain, after, columns, said)


def watch(case, batch, rows, toolchains, after):
    """The scores of these rows of the batch, all watched at once; toolchains: of each row."""
    seconds = batch.after if after else batch.before
    pairs = [(Running(case, row.program, go), Running(case, row.twin, go)) for row, go in zip(rows, toolchains)]
    every = [each for pair in pairs for each in pair]

    def happen():
        for each in every:
            each.begin()
        for each in every:
            each.until_done()

    if after:
        happen()
        for each in every:
            if each.program.done and not each.skipped and each.program.done != "grown":
                until_still(each.pid)
    live = [each for each in every if each.process.poll() is None and not each.skipped]
    pids = [word for each in live for word in ("-p", each.pid)]
    kept = case.folder / "board.memwhy"
    memwhy = case.start_memwhy("record", *pids, "-d", f"{DEADLINE + seconds}s", "-o", kept)
    if not after:
        happen()
        live = [each for each in live if not each.skipped]
    try:
        memwhy.wait(timeout=seconds)  # so long it is watched
    except subprocess.TimeoutExpired:
        pass
    # Where the machine is busy the last look at the end may be too late for some.
    if seconds:
        until_scanned(case, memwhy, kept, time.monotonic_ns(), [each.pid for each in live])
    case.finish(memwhy)
    answers = {process["pid"]: process for process in check(json.loads(case.memwhy("explain", kept, "--json")[0]))["processes"]}
    kept.unlink()
    scores = []
    for row, go, (running, twin) in zip(rows, toolchains, pairs):
        if running.skipped or twin.skipped:
            scores.append(Score(row, go, after, {}, "", skipped=running.skipped or twin.skipped))
            continue
        scores.append(score(row, go, after, running, answers[running.pid], answers[twin.pid]))
    return scores


def table(scores):
    """As lines of Markdown."""
    head = ["row", "first finding", "Go", "attached", *[name.replace("_", " ") for name in COLUMNS]]
    lines = [head, ["---"] * len(head), *[each.cells() for each in scores]]
    return ["| " + " | ".join(line) + " |" for line in lines]


def judge(scores):
    """Prints the board; fails where a row is not right, and says what was said. A row that was skipped is no pass."""
    print("\n".join(table(scores)))
    wrong = [f"{each.row.name} ({each.toolchain or 'no Go'}, {'after' if each.after else 'before'}): {each.columns} {each.said}"
             for each in scores if not each.right and not each.skipped]
    assert not wrong, "\n".join(wrong)
    skipped = [f"{each.row.name}: {each.skipped}" for each in scores if each.skipped]
    if skipped:
        raise Skip(f"{len(scores) - len(skipped)} rows are right; " + "; ".join(skipped))
