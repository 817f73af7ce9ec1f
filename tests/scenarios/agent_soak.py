# SPDX-License-Identifier: Apache-2.0
"""A day of memwhy agent, compressed: agent_soak.py MEMWHY BUILD_DIR [SECONDS]

    starts      processes that end at once, as fast as two threads start them
    services    24 that live for some seconds, grow, and end: some by themselves, some by SIGSEGV
    triggers    an operator's request of a recorded process, five a second, beside those that fire by themselves
    kills       SIGKILL of the agent every minute in the first two thirds; the last third is one life, by which memory is judged;
                and descriptors, when nothing is recorded any more, by those of an agent that has just been started
    recordings  each is explained, whole or not; the folder is within its quota, looked at each second

Amounts of the whole: 100,000 starts and 2,000 triggers, less where SECONDS or the machine are; what there were is said.
"""
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from support.agent import Agent
from support.driver import Case

STARTS, TRIGGERS, SERVICES, MINUTE = 100_000, 2_000, 24, 60
QUOTA = 48 << 20
SERVICE = """
import os, signal, sys, time
name, lives, grows = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
open("/proc/self/comm", "w").write(name)
held = [bytearray(b"s" * (16 << 20))]
end = time.monotonic() + lives
while time.monotonic() < end:
    held.append(b"g" * grows)
    time.sleep(0.1)
if sys.argv[4] == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
"""


class Threads:
    """They run until the end, which `stop` tells them."""

    def begin(self, *runs):
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=run, daemon=True) for run in runs]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


class Load(Threads):
    """Everything that happens on the node, each in a thread of its own."""

    def __init__(self, case, node):
        self.case, self.node, self.counts, self.live = case, node, collections.Counter(), {}
        self.begin(self.starts, self.starts, self.services, self.triggers)

    def end(self):
        super().end()
        for process in self.live.values():
            process.kill()
            process.wait()
        self.live.clear()

    def starts(self):
        while not self.stop.is_set() and self.counts["starts"] < STARTS:
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
            self.counts["starts"] += 1

    def services(self):
        number = 0
        while not self.stop.wait(0.1):
            for pid, process in list(self.live.items()):
                if process.poll() is not None:
                    del self.live[pid]
            while len(self.live) < SERVICES:
                number += 1
                how = random.choice(["ends", "ends", "crash"])
                words = [f"soak-{number % 40}", random.uniform(4, 40), random.choice([1 << 10, 100 << 10, 800 << 10]), how]
                process = subprocess.Popen([sys.executable, "-c", SERVICE, *map(str, words)], stdout=subprocess.DEVNULL)
                self.live[process.pid] = process
                self.counts["starts"] += 1

    def triggers(self):
        while not self.stop.wait(0.2):
            pids = list(self.live)[:SERVICES // 2]  # the oldest, which are recorded by now
            if not pids or self.counts["requests"] >= TRIGGERS:
                continue
            done = subprocess.run([self.case.program, "agent", "trigger", str(random.choice(pids)), "--socket", self.node.socket],
                                  capture_output=True, text=True)
            self.counts["requests" if done.returncode == 0 else "refused"] += 1


class Looks(Threads):
    """At the folder and the agent, each second; at each recording, as it comes."""

    def __init__(self, case, node):
        self.case, self.node = case, node
        self.kept = case.folder / "looked-at"
        self.kept.mkdir()
        self.seen, self.damaged, self.largest, self.queue = set(), [], 0, collections.deque()
        self.begin(self.watch, self.explain)

    def watch(self):
        beat = 0
        while not self.stop.wait(0.1):
            for file in self.node.folder.glob("*.memwhy"):
                if file.name in self.seen:
                    continue
                with contextlib.suppress(FileNotFoundError):  # it made room for others
                    os.link(file, self.kept / file.name)
                    self.seen.add(file.name)
                    self.queue.append(self.kept / file.name)
            beat += 1
            if beat % 10 == 0:
                self.largest = max(self.largest, self.size())

    def size(self):
        total = 0
        for folder, _, names in os.walk(self.node.folder):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += os.stat(os.path.join(folder, name)).st_size
        return total

    def explain(self):
        while self.queue or not self.stop.wait(0.1):
            if not self.queue:
                continue
            file = self.queue.popleft()
            done = subprocess.run([self.case.program, "explain", "--json", str(file)], capture_output=True, text=True)
            recording = json.loads(done.stdout)["coverage"]["recording"] if done.returncode == 0 else done.stderr
            if done.returncode != 0 or not recording["complete"] or recording["damage"]:
                self.damaged.append((file.name, recording))
                print(f"DAMAGED {file.name}: {recording}", flush=True)
            file.unlink()


def live_and_die(node, until):
    """SIGKILL each minute, and the next one. How many."""
    kills = 0
    while time.monotonic() + MINUTE < until:
        time.sleep(MINUTE)
        node.process.kill()
        node.process.wait()
        kills += 1
        node.start()
    return kills


def one_life(node, until):
    """Medians of RSS in the second and in the last quarter of it, in KiB."""
    begun, samples = time.monotonic(), []
    while time.monotonic() < until:
        time.sleep(1)
        assert node.process.poll() is None, node.said()[-3000:]
        samples.append(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{node.process.pid}/status").read_text())[1]))
    quarter = len(samples) // 4
    median = lambda part: sorted(part)[len(part) // 2]
    return median(samples[quarter:2 * quarter]), median(samples[-quarter:]), time.monotonic() - begun


def descriptors_at_rest(node):
    """Of the agent, when it records nothing, has no ring and has looked at all processes."""
    passes = sum(node.metric("memwhy_agent_passes_total").values())
    node.wait(lambda: sum(node.metric("memwhy_agent_recorded_processes").values()) == 0
              and sum(node.metric("memwhy_ring_bytes").values()) == 0
              and sum(node.metric("memwhy_agent_passes_total").values()) > passes + 3, "nothing is recorded")
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


def main():
    memwhy, build, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 3600
    with tempfile.TemporaryDirectory(prefix="memwhy-soak-") as folder:
        os.chmod(folder, 0o755)
        case = Case(memwhy, build, folder)
        node = Agent(case, comm=[f"soak-{number}" for number in range(40)], disk=str(QUOTA), ring_size="2M", keep="30s", memory="256M")
        begun = time.monotonic()
        looks, load = Looks(case, node), Load(case, node)
        try:
            kills = live_and_die(node, begun + seconds * 2 / 3)
            before, after, life = one_life(node, begun + seconds)
            closed = sum(node.metric("memwhy_recordings_closed_total").values())
            failed = sum(node.metric("memwhy_recordings_failed_total").values())
            load.end()
            files = descriptors_at_rest(node)
            node.stop()
            node.start()
            fresh = descriptors_at_rest(node)
        finally:
            load.end()
            node.process.send_signal(signal.SIGTERM)
            node.process.wait(timeout=120)
            looks.end()
            case.end()
    growth = after / before - 1
    print(f"agent: {load.counts['starts']:,} starts, {load.counts['requests']:,} triggers asked for, {kills} kills; {len(looks.seen):,} recordings, "
          f"{len(looks.damaged)} damaged, {failed:.0f} not kept; folder at most {looks.largest / (1 << 20):.1f} of {QUOTA >> 20} MiB; in a life of "
          f"{life / 60:.0f} min ({closed:.0f} recordings) RSS {before / 1024:.1f} -> {after / 1024:.1f} MiB ({growth:+.1%}); {files} descriptors "
          f"after it, {fresh} of a fresh one")
    good = not looks.damaged and looks.largest <= QUOTA and growth <= 0.05 and files <= fresh + 50 and failed == 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
