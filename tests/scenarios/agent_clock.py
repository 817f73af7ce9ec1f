# SPDX-License-Identifier: Apache-2.0
"""The agent while the clock is set, and while the machine stands. It sets the machine's clock: only in a virtual machine.

    python3 tests/vm/scenarios.py --kernel 6.12 --memwhy build/release/bin/memwhy --module agent_clock --work build/release/vm

The agent's own times are CLOCK_MONOTONIC; the names of recordings and what people read of them are by the clock of the wall.
"""
import calendar
import os
import pathlib
import sys
import time

from support import Skip
from support.agent import agent

HOUR = 3600
# Grows by a page's worth of blocks for as long as it lives: no step, no end.
GROWS = """
import time
open("/proc/self/comm", "w").write("grows")
held = [bytearray(b"g" * (16 << 20))]
print("ready", flush=True)
while True:
    held.append(b"g" * (400 << 10))
    time.sleep(0.5)
"""


def named_at(file):
    """The time in its name."""
    return calendar.timegm(time.strptime(file.name.split("_")[2], "%Y%m%dT%H%M%SZ"))


def wall_seconds(text):
    """"2026-11-30T10:15:03.250Z", in seconds since 1970."""
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def step(seconds):
    time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)
    return time.time()


def sleep_until_alarm(seconds):
    """The whole machine. What passed by the clock of the wall, and by the one that stood still."""
    wall, ticking = time.time(), time.monotonic()
    pathlib.Path("/sys/class/rtc/rtc0/wakealarm").write_text(f"+{seconds}\n")
    pathlib.Path("/sys/power/state").write_text("mem\n")
    return time.time() - wall, time.monotonic() - ticking


def asked_for(case, node, process):
    """A recording that an operator asks for, and its interval as it is explained."""
    known = set(node.recordings("grows", "request"))
    node.ask("trigger", process.pid)
    node.wait(lambda: set(node.recordings("grows", "request")) - known, "it is on the disk")
    [file] = set(node.recordings("grows", "request")) - known
    answer = case.explain(file)
    recording = answer["coverage"]["recording"]
    assert recording["complete"] and recording["damage"] == [], recording
    return file, answer["interval"]


def test_the_clock_is_set(case):
    """Forward by an hour, back by two. Recordings are named by the clock of their moment and kept; the cool-down and what grows are
    judged by time that passed; a recording that reaches over a step begins and ends by the clock of its time."""
    if not pathlib.Path("/test/memwhy").exists():
        raise Skip("it sets the clock of the machine: only in a virtual one")
    # As Debian has it: perf events are for CAP_SYS_ADMIN alone.
    assert pathlib.Path("/proc/sys/kernel/perf_event_paranoid").read_text() == "3\n"
    with agent(case, comm=["grows"], window="60s", growth="8M", cool_down="10m", keep="20m") as node:
        process = case.start([sys.executable, "-c", GROWS])
        assert process.stdout.readline() == "ready\n"
        node.wait(lambda: node.is_recorded(process.pid), "it is recorded")
        began, kept = time.time(), []
        for seconds in (0, HOUR, -2 * HOUR):
            now = step(seconds) if seconds else time.time()
            file, interval = asked_for(case, node, process)
            print(f"{seconds:+} s: {file.name}: {interval}", flush=True)
            assert now - 2 <= named_at(file) <= time.time() + 2, (file, now)
            assert abs(wall_seconds(interval["end"]) - now) < 900, (interval, now)
            kept.append(file)
        # The first look of all is by the clock of then.
        assert abs(wall_seconds(interval["start"]) - began) < 900, (interval, began)
        node.wait(lambda: node.recordings("grows", "growth"), "what grows is found")
        time.sleep(30)  # two rounds of tidying and a whole window: nothing is removed, and it is not closed again
        assert all(file.exists() for file in kept), os.listdir(node.folder)
        assert len(node.recordings("grows", "growth")) == 1, os.listdir(node.folder)
        assert "made room" not in node.said()
        print(node.said(), flush=True)


def test_the_machine_sleeps(case):
    """Suspended to RAM for a minute and a half, until the machine's clock wakes it up. No time passed by which growth is judged; what
    had grown before goes on to be seen; a recording that reaches over the gap has both sides of it by the clock of the wall."""
    if not pathlib.Path("/test/memwhy").exists():
        raise Skip("it suspends the machine: only a virtual one")
    with agent(case, comm=["grows"], window="60s", growth="8M", step="16M", cool_down="10m", keep="20m") as node:
        process = case.start([sys.executable, "-c", GROWS])
        assert process.stdout.readline() == "ready\n"
        node.wait(lambda: node.is_recorded(process.pid), "it is recorded")
        passes, began = sum(node.metric("memwhy_agent_passes_total").values()), time.time()
        wall, ticking = sleep_until_alarm(90)
        print(f"asleep for {wall:.0f} s of which {ticking:.0f} s passed", flush=True)
        assert wall >= 85 and ticking < wall / 2, (wall, ticking)
        node.wait(lambda: sum(node.metric("memwhy_agent_passes_total").values()) > passes + 5, "it looks at the processes again")
        assert node.is_recorded(process.pid) and not node.recordings("grows"), node.said()
        file, interval = asked_for(case, node, process)
        print(f"{file.name}: {interval}", flush=True)
        assert abs(named_at(file) - time.time()) < 60, file
        assert abs(wall_seconds(interval["start"]) - began) < 300 and wall_seconds(interval["end"]) - began >= 85, (interval, began)
        node.wait(lambda: node.recordings("grows", "growth"), "what grows is found")
        print(node.said(), flush=True)
