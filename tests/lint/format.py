# SPDX-License-Identifier: Apache-2.0
"""clang-format has nothing to change."""
import subprocess
import sys

import sources

paths = sources.files(".h", ".c", ".cpp")
run = subprocess.run(["clang-format-16", "--dry-run", "-Werror", *map(str, paths)], capture_output=True, text=True)
offences = [line for line in run.stderr.splitlines() if "error:" in line]
if run.returncode and not offences:
    offences = [run.stderr.strip() or "clang-format-16 failed"]
sys.exit(sources.finish(offences, len(paths), "formatted"))
