# SPDX-License-Identifier: Apache-2.0
"""What memwhy agent costs on a node of PROCESSES, of which RECORDED work and are recorded and the others sleep: CPU time of the agent,
of its children and of its BPF programs, and memory, by its own metrics and by /proc; with the budget of a node that has its defaults,
and with all that it would take (--budget 100%).

usage: agent.py MEMWHY [PROCESSES [RECORDED [SECONDS]]]      SECONDS are measured, after as many of warming up

A worker writes 4 MiB anew four times a second: 4,096 page faults a second each.
"""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

NODE = """
import mmap, os, select, sys, time
workers, sleepers = map(int, sys.argv[1:])
alive, parent = os.pipe()
def named(name, run):
    if os.fork() == 0:
        os.close(parent)
        open("/proc/self/comm", "w").write(name)
        while run and not select.select([alive], [], [], 0.25)[0]:
            run()
        os.read(alive, 1)
        os._exit(0)
def work():
    block = mmap.mmap(-1, 4 << 20)
    block.madvise(mmap.MADV_NOHUGEPAGE)
    for at in range(0, len(block), 4096):
        block[at] = 1
    block.close()
for number in range(sleepers):
    named(f"sleeps-{number}", None)
held = bytearray(b"w" * (24 << 20))
for number in range(workers):
    named(f"works-{number}", work)
print("ready", flush=True)
os.read(alive, 1)
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def metrics(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return {name: float(value) for name, value in re.findall(r"^(memwhy_\S+) (\S+)$", answer.read().decode(), re.M)}


def memory_of(pid):
    """(RSS of the agent, PSS of it and of all its children), MiB"""
    pids = [pid, *(int(each) for each in os.popen(f"pgrep -P {pid}").read().split())]
    rss = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])
    pss = 0
    for each in pids:
        try:
            pss += int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{each}/smaps_rollup").read(), re.M)[1])
        except (OSError, TypeError):
            pass  # ended meanwhile
    return rss / 1024, pss / 1024


def run(memwhy, folder, budget, recorded, seconds):
    port = free_port()
    agent = subprocess.Popen([memwhy, "agent", "--config", "/dev/null", "--dir", f"{folder}/{budget}", "--socket", f"{folder}/socket",
                              "--listen", f"127.0.0.1:{port}", "--top", str(recorded), "--budget", budget,
                              "--comm", ",".join(f"works-{number}" for number in range(recorded))],
                             stderr=subprocess.PIPE, text=True)
    try:
        while "watching" not in (line := agent.stderr.readline()):
            assert line, "the agent ended"
        time.sleep(seconds)
        before, began = metrics(port), time.monotonic()
        time.sleep(seconds)
        after, took = metrics(port), time.monotonic() - began
        cpu = {part: (after[key] - before[key]) / took for part in ("agent", "children", "bpf")
               for key in [f'memwhy_agent_cpu_seconds_total{{part="{part}"}}']}
        rss, pss = memory_of(agent.pid)
        passes = (after["memwhy_agent_passes_total"] - before["memwhy_agent_passes_total"]) / took
        return {"budget": budget, "processes": after["memwhy_agent_processes"], "recorded": after["memwhy_agent_recorded_processes"],
                "cpu": cpu, "of_node": sum(cpu.values()) / os.cpu_count(), "rss": rss, "pss": pss, "passes": passes,
                "faults": (after["memwhy_faults_total"] - before["memwhy_faults_total"]) / took, "level": after["memwhy_agent_degraded"]}
    finally:
        agent.terminate()
        agent.communicate(timeout=60)


def main():
    memwhy = sys.argv[1]
    processes, recorded, seconds = map(int, [*sys.argv[2:], *("500", "20", "60")[len(sys.argv) - 2:]])
    node = subprocess.Popen([sys.executable, "-c", NODE, str(recorded), str(processes - recorded)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                            text=True)
    try:
        assert node.stdout.readline() == "ready\n"
        with tempfile.TemporaryDirectory(prefix="memwhy-bench-agent-") as folder:
            rows = [run(memwhy, folder, budget, recorded, seconds) for budget in ("100%", "0.5%")]
    finally:
        node.kill()
        node.wait()
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {seconds} s each after {seconds} s\n")
    print("| budget | seen | recorded | faults/s | agent | children | BPF | of all CPUs | given up | RSS, MiB | with children, MiB |\n"
          "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        cpu = " | ".join(f"{row['cpu'][part]:.2%}" for part in ("agent", "children", "bpf"))
        print(f"| {row['budget']} | {row['processes']:.0f} | {row['recorded']:.0f} | {row['faults']:,.0f} | {cpu} | {row['of_node']:.2%} | "
              f"{row['level']:.0f} | {row['rss']:.0f} | {row['pss']:.0f} |")


if __name__ == "__main__":
    main()
