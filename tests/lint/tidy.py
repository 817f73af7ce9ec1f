# SPDX-License-Identifier: Apache-2.0
"""clang-tidy has nothing to say of the program's sources: tidy.py BUILD_DIR."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import sources

build = pathlib.Path(sys.argv[1])
if "-fsanitize" in (build / "CMakeCache.txt").read_text() or "MEMWHY_SANITIZE:STRING=\n" not in (
        build / "CMakeCache.txt").read_text():
    print("a sanitizer build: the release build checks the same sources")
    sys.exit(77)
wanted = [e for e in json.loads((build / "compile_commands.json").read_text())
          if pathlib.Path(e["file"]).is_relative_to(sources.ROOT / "userspace")]
with tempfile.TemporaryDirectory() as folder:
    (pathlib.Path(folder) / "compile_commands.json").write_text(json.dumps(wanted))
    run = subprocess.run(["run-clang-tidy-16", "-quiet", "-p", folder, "-j", str(os.cpu_count())],
                         capture_output=True, text=True, cwd=sources.ROOT)
lines = run.stdout.splitlines()
offences = [line for line in lines if " error: " in line or " warning: " in line]
if run.returncode and not offences:
    offences = lines[-20:] + run.stderr.splitlines()[-20:]
sys.exit(sources.finish(sorted(set(offences)), len(wanted), "clang-tidy is content"))
