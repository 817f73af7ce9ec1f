# SPDX-License-Identifier: Apache-2.0
"""What is said of healthy interpreters that turn over what they hold, and of heaps of which too little was seen: "no problem" is
earned. Programs that grow, and healthy ones that look like it, are rows of the scoreboard (rows.py)."""
import json
import subprocess

from support.answers import check, problems
from test_others import program as named

WATCHED = 35  # seconds: growth shows from 20 s on

PYTHON = """
import sys, time
def batch(i): return (bytearray(b'x' * (2 << 20)), [(i, j) for j in range(5000)])
work = [batch(i) for i in range(20)]
print('ready', flush=True)
sys.stdin.readline()
print('grown', flush=True)
i = 0
while True:
    work[i % 20] = batch(i); i += 1; time.sleep(0.1)
"""
NODE = """
const make = (i) => ({ b: Buffer.alloc(2 << 20, i & 255), o: Array.from({ length: 2000 }, (_, j) => ({ i, j })) });
const work = Array.from({ length: 20 }, (_, i) => make(i));
console.log('ready');
process.stdin.once('data', () => { console.log('grown'); let i = 0; setInterval(() => { work[i % 20] = make(i); ++i; }, 100); });
"""


def begin(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def ready(case, command):
    process = case.start(command, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n", command
    return process


def watched(case, programs, after):
    """The explanation of each, by its name."""
    if after:
        for process in programs.values():
            begin(process)
        for name, process in programs.items():
            assert process.stdout.readline() == "grown\n", name
    pids = [word for process in programs.values() for word in ("-p", process.pid)]
    memwhy = case.start_memwhy("explain", *pids, "-d", f"{WATCHED}s", "--json", stdout=subprocess.PIPE)
    if not after:
        for process in programs.values():
            begin(process)
    out, _ = case.finish(memwhy, how=None)
    by_pid = {process["pid"]: process for process in check(json.loads(out))["processes"]}
    return {name: by_pid[process.pid] for name, process in programs.items()}


def interpreters(case, after):
    programs = {"python": ready(case, [named("python3"), "-c", PYTHON]), "node": ready(case, [named("node", "nodejs"), "-e", NODE])}
    for name, answer in watched(case, programs, after).items():
        print(name, answer["verdict"])
        assert problems(answer) == [], (name, problems(answer))


def test_interpreters_attached_before(case):
    interpreters(case, after=False)


def test_interpreters_attached_after(case):
    interpreters(case, after=True)


# ---- Go: between two collections every heap rises

def go_growth(case, what, base, rate, seconds):
    process = ready(case, [case.go_build("go_growth", "go1.26.8"), what, base, rate])
    begin(process)
    answer = check(json.loads(case.memwhy("explain", "-p", process.pid, "-d", seconds, "--json")[0]))["processes"][0]
    print(what, base, rate, seconds, answer["verdict"], [f["id"] for f in problems(answer)])
    return answer


def test_a_slow_go_leak_is_no_all_clear(case):
    """64 MiB in use, 1 MiB more a second: the next collection is due in a minute."""
    for what in ("leak", "churn"):
        verdict = go_growth(case, what, 64, 1, 22)["verdict"]
        assert verdict["is"] == "not_seen_long_enough" and "the next is due in about" in verdict["reason"], verdict
        assert 20 <= verdict["seconds_more"] <= 180, verdict
