# SPDX-License-Identifier: Apache-2.0
"""The scoreboard, each row once: whether memwhy is attached before or after, and with which Go, goes round by day;
MEMWHY_SCOREBOARD_DAY=2026-11-29 is that day again. All of it is tools/soak scoreboard, whose result is in README.md."""
import datetime
import os

from rows import BATCHES
from support.scoreboard import judge, watch


def today():
    given = os.environ.get("MEMWHY_SCOREBOARD_DAY")
    return datetime.date.fromisoformat(given) if given else datetime.date.today()


def of_the_day(batch):
    """(rows, toolchains, after): a batch is watched by one memwhy, so that all of its rows are attached alike."""
    day, number = today().toordinal(), list(BATCHES).index(batch)
    rows = BATCHES[batch].rows
    after = (day + number) % 2 == 0 and all(row.after for row in rows)
    return rows, [row.go[(day + i) % len(row.go)] if row.go else "" for i, row in enumerate(rows)], after


def board(case, batch):
    rows, toolchains, after = of_the_day(batch)
    print(f"MEMWHY_SCOREBOARD_DAY={today()} runs the same rows again")
    judge(watch(case, BATCHES[batch], rows, toolchains, after))


def test_growth(case):
    board(case, "growth")


def test_go_growth(case):
    board(case, "go_growth")


def test_leaks(case):
    board(case, "leaks")


def test_idle_leaks(case):
    board(case, "idle_leaks")


def test_go_causes(case):
    board(case, "go_causes")


def test_go_held(case):
    board(case, "go_held")


def test_go_held_texts(case):
    board(case, "go_held_texts")


def test_go_held_pool(case):
    board(case, "go_held_pool")


def test_go_heap(case):
    board(case, "go_heap")


def test_go_rest(case):
    board(case, "go_rest")


def test_c_heap(case):
    board(case, "c_heap")


def test_other_heaps(case):
    board(case, "other_heaps")


def test_c_causes(case):
    board(case, "c_causes")


def test_machine(case):
    board(case, "machine")


def test_builds(case):
    board(case, "builds")
