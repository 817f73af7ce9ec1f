#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What each export of an hour with 20 owners and 10,000 stacks costs. usage: measure.py BUILD_DIR [ROUNDS]; prints the table."""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from readers import FORMATS  # noqa: E402
from readers.synthetic import script  # noqa: E402


def run(command, folder):
    """CPU seconds, and the most memory in MiB."""
    process = subprocess.Popen(list(map(str, command)), cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "script").write_text(script(3600, 10_000))
        run([build / "bin/record_script", "script", "r.memwhy"], folder)
        print(f"| of a recording of {(folder / 'r.memwhy').stat().st_size / 1e6:.1f} MB | CPU | memory | size |\n|---|---|---|---|")
        for format in FORMATS:
            costs = []
            for _ in range(rounds):
                (folder / "out").unlink(missing_ok=True)
                costs.append(run([build / "bin/memwhy", "export", "-f", format, "r.memwhy", "-o", "out"], folder))
            size = (folder / "out").stat().st_size
            print(f"| `{format}` | {statistics.median(c for c, _ in costs):.1f} s | {max(m for _, m in costs):.0f} MiB | {size / 1e6:.1f} MB |")


if __name__ == "__main__":
    main()
