# SPDX-License-Identifier: Apache-2.0
"""What every scenario shares: constants, and a way to say that this machine cannot run it.

driver.py     memwhy as a user runs it; the case that a scenario is given
workloads.py  programs with a known answer, and what can be told to them
referees.py   what is known of a process without memwhy
answers.py    what holds for every answer: of a process, and of each page
"""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
MIB = 1 << 20
# Seconds; every wait is for a condition, this only ends a broken one. An emulated machine has more.
DEADLINE = int(os.environ.get("MEMWHY_DEADLINE", "120"))


class Skip(Exception):
    """This machine cannot run the scenario; the text says why."""


def absent(reason):
    """What this machine lacks is a failure where everything must be there, a counted skip elsewhere."""
    if os.environ.get("CI") == "true":
        raise AssertionError(reason)
    raise Skip(reason)
