# SPDX-License-Identifier: Apache-2.0
"""The project's own files, for the checks of this folder."""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOP = ("bpf", "include", "userspace", "tests", "tools", ".ci")
GENERATED = ("vmlinux",)  # third-party definitions in a form of their own


def files(*suffixes, tops=TOP):
    """Paths below the top folders with one of the suffixes ("" is a script without one), sorted."""
    found = []
    for top in tops:
        for folder, folders, names in os.walk(ROOT / top):
            folders[:] = [f for f in folders if not f.startswith("__") and f not in GENERATED]
            found += [pathlib.Path(folder) / n for n in names if not suffixes or pathlib.Path(n).suffix in suffixes]
    return sorted(found)


def text(path):
    return path.read_bytes().decode("utf-8", "replace")


def finish(offences, checked, what):
    """Prints the offences; the exit status. Nothing checked is an offence too."""
    if not checked:
        offences = [*offences, "no file was found: nothing was checked"]
    print("\n".join(offences) if offences else f"{checked} files: {what}")
    return 1 if offences else 0
