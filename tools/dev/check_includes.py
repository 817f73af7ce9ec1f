#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks who includes whom in userspace/ against the table of rooms, and file sizes against the limits.

usage: check_includes.py [ROOT]; prints each offence as file:line: sentence, and exits 1 if there was one.
"""
import pathlib
import re
import sys

# room -> rooms it may include. "abi" is include/memwhy/abi, "libbpf" the library and the skeleton.
TABLE = {
    "base": set(),
    "events": {"base", "abi"},
    "procfs": {"base", "events"},
    "remote": {"base", "events"},
    "symbols": {"base", "events"},
    "goruntime": {"base", "events", "remote", "symbols"},
    "files": {"base", "events", "symbols", "goruntime"},
    "probe": {"base", "events", "abi", "libbpf"},
    "record": {"base", "events"},
    "trace": {"base", "events"},
    "timeline": {"base", "events"},
    "explain": {"base", "events", "timeline"},
    "report": {"base", "explain", "timeline", "events"},
    "agent": {"base", "events", "record", "timeline", "explain", "trace", "report"},
    "app": {"base", "events", "procfs", "remote", "symbols", "goruntime", "files", "probe", "record", "trace",
            "timeline", "explain", "report", "agent"},
}
SPDLOG = {"app"}  # everybody else returns errors
LIMITS = {".h": 250, ".cpp": 400, ".c": 250}
LONGER = re.compile(r"Longer than", re.I)  # the sentence that says why

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def room_of(target):
    if target.startswith("memwhy/abi/"):
        return "abi"
    if target.startswith("bpf/") or target.endswith(".skel.h"):
        return "libbpf"
    head = target.split("/")[0]
    return head if head in TABLE else None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    offences = []
    checked = 0
    for path in sorted((root / "userspace").rglob("*")):
        if path.suffix not in (".h", ".cpp"):
            continue
        room = path.relative_to(root / "userspace").parts[0]
        if room not in TABLE:
            offences.append(f"{path}:1: '{room}' is not a room of the table")
            continue
        checked += 1
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match[2]
            if target.startswith("."):
                offences.append(f"{path}:{number}: relative include {target}")
            if target.startswith("spdlog/") and room not in SPDLOG:
                offences.append(f"{path}:{number}: {room} may not log, it returns errors")
            other = room_of(target)
            if other and other != room and other not in TABLE[room]:
                offences.append(f"{path}:{number}: {room} may not include {other} ({target})")
    for folder in ("userspace", "include", "bpf"):
        for path in sorted((root / folder).rglob("*")):
            limit = LIMITS.get(path.suffix)
            if limit is None or "vmlinux" in path.parts or not path.is_file():
                continue
            text = path.read_text()
            lines = text.count("\n")
            if lines > limit and not LONGER.search(text[:3000]):
                offences.append(f"{path}:1: {lines} lines, more than {limit}, and no sentence saying why ('Longer than …')")
    if checked == 0:
        offences.append(f"{root}: no source of userspace/ found: nothing was checked")
    print("\n".join(offences) if offences else f"{checked} files keep to the table")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
