#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks who includes whom in userspace/ against the table of rooms in its README, that this map shows what there is, and
file sizes against the limits.

usage: check_includes.py [ROOT]; prints each offence as file:line: sentence, and exits 1 if there was one.
"""
import pathlib
import re
import sys

MAP = "userspace/README.md"
ROW = re.compile(r"^\| `(\w+)` \| .* \| ([^|]+) \|$", re.M)
OUTSIDE = {"abi", "libbpf"}  # include/memwhy/abi; the library and the skeleton
SPDLOG = {"app"}  # everybody else returns errors
LIMITS = {".h": 250, ".cpp": 400, ".c": 250}
LONGER = re.compile(r"Longer than", re.I)  # the sentence that says why

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def rooms_of(text):
    """The table of the map: {room: the rooms it may include}. "–" is none of them, "all" every one."""
    listed = {room: may.strip() for room, may in ROW.findall(text)}
    table = {}
    for room, may in listed.items():
        table[room] = set(listed) if may == "all" else set() if may == "–" else set(may.split(", "))
        unknown = table[room] - set(listed) - OUTSIDE
        if unknown:
            raise SystemExit(f"{MAP}: {room} may include {', '.join(sorted(unknown))}, which is no room")
    return table


def map_offences(root, text, table):
    """The map shows what there is: each folder is a row and stands in the drawing, each BPF program in the drawing."""
    drawing = text.split("```")[1]
    folders = {path.name for path in (root / "userspace").iterdir() if path.is_dir()}
    offences = [f"{MAP}:1: {room} is in the table, and is no folder" for room in sorted(set(table) - folders)]
    offences += [f"{MAP}:1: {room} is in the table, and not in the drawing" for room in sorted(table)
                 if not re.search(rf"\b{room}/", drawing) and room not in ("base", "events")]
    offences += [f"{MAP}:1: {path.name} is not in the drawing" for path in sorted((root / "bpf").glob("*.bpf.c"))
                 if path.name not in drawing]
    return offences


def room_of(target, table):
    if target.startswith("memwhy/abi/"):
        return "abi"
    if target.startswith("bpf/") or target.endswith(".skel.h"):
        return "libbpf"
    head = target.split("/")[0]
    return head if head in table else None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    text = (root / MAP).read_text()
    table = rooms_of(text)
    offences = map_offences(root, text, table)
    checked = 0
    for path in sorted((root / "userspace").rglob("*")):
        if path.suffix not in (".h", ".cpp"):
            continue
        room = path.relative_to(root / "userspace").parts[0]
        if room not in table:
            offences.append(f"{path}:1: '{room}' is not a room of the table in {MAP}")
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
            other = room_of(target, table)
            if other and other != room and other not in table[room]:
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
