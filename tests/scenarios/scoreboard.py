# SPDX-License-Identifier: Apache-2.0
"""The whole scoreboard: each row attached after and before, with each Go release. Prints the table; with --write it takes the place
of the one in README.md, with the day and the machine. Exits 1 if a row is not right.

usage: scoreboard.py MEMWHY BUILD_DIR [--batch NAME]... [--attached after|before] [--go RELEASE] [--write]
"""
import argparse
import datetime
import os
import pathlib
import sys
import tempfile
import traceback

from rows import BATCHES, EACH_GO
from support.driver import Case
from support.scoreboard import table, watch

README = pathlib.Path(__file__).parent / "README.md"
BEGIN, END = "<!-- scoreboard -->\n", "<!-- end of the scoreboard -->\n"


def machine():
    memory = next(line.split()[1] for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    return f"{os.cpu_count()} CPUs, {int(memory) / (1 << 20):.0f} GiB, Linux {os.uname().release}"


def run(memwhy, build, name, release, after):
    """The scores of a batch, with one release: rows that are not built with it are left out, and so are those without Go but once."""
    batch = BATCHES[name]
    rows = [row for row in batch.rows if (row.after if after else row.before)
            and (release in row.go or (not row.go and release == EACH_GO[0]))]
    if not rows:
        return []
    with tempfile.TemporaryDirectory(prefix="memwhy-scoreboard-") as folder:
        os.chmod(folder, 0o755)
        case = Case(memwhy, build, folder)
        try:
            return watch(case, batch, rows, [release if row.go else "" for row in rows], after)
        except Exception:
            traceback.print_exc()
            case.tell()
            raise
        finally:
            case.end()


def write(lines, summary):
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, behind = rest.partition(END)
    README.write_text(before + BEGIN + "\n" + summary + "\n\n" + "\n".join(lines) + "\n\n" + END + behind)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("memwhy")
    arguments.add_argument("build")
    arguments.add_argument("--batch", action="append", choices=BATCHES)
    arguments.add_argument("--attached", choices=("after", "before"))
    arguments.add_argument("--go", choices=EACH_GO)
    arguments.add_argument("--write", action="store_true")
    given = arguments.parse_args()
    scores = []
    for name in given.batch or BATCHES:
        for after in (True, False):
            if given.attached and (given.attached == "after") != after:
                continue
            for release in [given.go] if given.go else EACH_GO:
                some = run(given.memwhy, given.build, name, release, after)
                scores += some
                for each in some:
                    print("   ".join(each.cells()), "" if each.right else f"\n    {each.skipped or each.said}", flush=True)
    right, skipped = sum(each.right for each in scores), sum(bool(each.skipped) for each in scores)
    summary = (f"{right} of {len(scores)} right, {skipped} skipped; {datetime.date.today()}, {machine()}.")
    print("\n".join(table(scores)))
    print(summary)
    if given.write:
        write(table(scores), summary)
    return 0 if right + skipped == len(scores) else 1


if __name__ == "__main__":
    sys.exit(main())
