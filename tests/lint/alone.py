# SPDX-License-Identifier: Apache-2.0
"""Every source of the program includes what it uses: alone.py BUILD. The release build compiles a room at once, in which a file
has what the files before it included; that hides an include that is missing, until the order changes."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

import sources

FLAGS = ["-std=c++20", "-fsyntax-only", "-w", "-Iuserspace", "-Iinclude", "-DMEMWHY_VERSION=\"\"", "-DFMT_SHARED",
         "-DSPDLOG_COMPILED_LIB", "-DSPDLOG_FMT_EXTERNAL", "-isystem", str(pathlib.Path(sys.argv[1]) / "bpf")]


def compiled(path):
    run = subprocess.run(["g++", *FLAGS, path], capture_output=True, text=True, cwd=sources.ROOT)
    lines = [line for line in run.stderr.splitlines() if "error:" in line]
    return lines[:5] or ([f"{path}: g++ failed"] if run.returncode else [])


paths = [path for path in sources.files(".cpp") if path.is_relative_to(sources.ROOT / "userspace")]
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    found = [line for lines in pool.map(compiled, paths) for line in lines]
sys.exit(sources.finish(found, len(paths), "each compiles alone"))
