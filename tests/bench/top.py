# SPDX-License-Identifier: Apache-2.0
"""What a pass of memwhy top costs beside N sleeping processes: user and system CPU time of its own, by wait4, of a short run and a long
one, so that its start is in neither.

usage: top.py MEMWHY [PROCESSES [PASSES]]      a pass each second, as by default
"""
import os
import signal
import subprocess
import sys


def cpu_seconds(memwhy, passes):
    process = subprocess.Popen([memwhy, "top", "-n", str(passes)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    return usage.ru_utime + usage.ru_stime


def main():
    memwhy = sys.argv[1]
    processes, passes = map(int, [*sys.argv[2:], *("1000", "50")[len(sys.argv) - 2:]])
    sleepers = []
    try:
        for _ in range(processes):
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            sleepers.append(pid)
        short, long = cpu_seconds(memwhy, 5), cpu_seconds(memwhy, 5 + passes)
    finally:
        for pid in sleepers:
            os.kill(pid, signal.SIGKILL)
        for pid in sleepers:
            os.waitpid(pid, 0)
    each = (long - short) / passes
    print(f"{processes} sleeping processes, {passes} passes, one a second: {each * 1e3:.2f} ms of CPU a pass, {each:.2%} of a CPU "
          f"(load {os.getloadavg()[0]:.1f})")


if __name__ == "__main__":
    main()
