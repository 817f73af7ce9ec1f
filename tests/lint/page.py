# SPDX-License-Identifier: Apache-2.0
"""The sources of the page: TypeScript's own checks, all of them strict, one format, and no way to make markup or code of text.
usage: page.py BUILD_DIR"""
import pathlib
import re
import shutil
import subprocess
import sys

import sources

WEB = sources.ROOT / "userspace/html/web"
LIMIT = 400  # lines of a file
FORBIDDEN = [
    (re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser"), "names of a target are only ever text"),
    (re.compile(r"\beval\(|new Function|setTimeout\(\s*[\"'`]|\bimport\("), "no code is made at run time"),
    (re.compile(r"\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon|localStorage|https?://"), "the page asks nobody and keeps nothing"),
    (re.compile(r"@ts-ignore|@ts-nocheck|\bas any\b|: any\b"), "types are checked"),
]


def tool_offences(build):
    """tsc and prettier in a copy beside its libraries, which npm brings by the lock file; nothing is written into the sources."""
    folder = pathlib.Path(build) / "lint-page"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(WEB, folder, ignore=shutil.ignore_patterns("node_modules"))
    for command in (["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], ["node_modules/.bin/tsc", "-p", "."],
                    ["node_modules/.bin/prettier", "--log-level=warn", "--check", "src", "build.mjs", "style.css"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=240)
        if done.returncode:
            return (done.stdout + done.stderr).strip().splitlines()
    return []


def main():
    paths = sorted(WEB.glob("src/*.ts"))
    offences = []
    for path in paths:
        lines, name = sources.text(path).splitlines(), path.relative_to(sources.ROOT)
        if len(lines) > LIMIT:
            offences.append(f"{name}:{LIMIT}: longer than {LIMIT} lines")
        if not lines[0].endswith("SPDX-License-Identifier: Apache-2.0"):
            offences.append(f"{name}:1: no SPDX-License-Identifier")
        for number, line in enumerate(lines, 1):
            offences += [f"{name}:{number}: {why}: {line.strip()}" for pattern, why in FORBIDDEN if pattern.search(line)]
    return sources.finish(offences + tool_offences(sys.argv[1]), len(paths), "checked by tsc, formatted, and only text becomes text")


if __name__ == "__main__":
    sys.exit(main())
