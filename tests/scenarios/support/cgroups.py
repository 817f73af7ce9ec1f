# SPDX-License-Identifier: Apache-2.0
"""Memory cgroups, made for a scenario: of version 1 or 2, whichever limits memory on this machine."""
import contextlib
import os
import pathlib
import subprocess

from support import absent

V1, V2 = pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")


def hierarchy():
    """(where it is mounted, its version)"""
    if (V1 / "memory.usage_in_bytes").exists():
        return V1, 1
    if "memory" in (V2 / "cgroup.controllers").read_text().split() if (V2 / "cgroup.controllers").exists() else False:
        (V2 / "cgroup.subtree_control").write_text("+memory")
        return V2, 2
    absent("no memory cgroup can be made here")


class Cgroup:
    def __init__(self, directory, version):
        self.directory, self.version = directory, version
        self.path = "/" + str(directory.relative_to(V1 if version == 1 else V2))

    def _file(self, v1, v2):
        return self.directory / (v1 if self.version == 1 else v2)

    def limit(self, size):
        self._file("memory.limit_in_bytes", "memory.max").write_text(str(size))

    def usage(self):
        return int(self._file("memory.usage_in_bytes", "memory.current").read_text())

    def stat(self, v1, v2):
        lines = dict(line.split() for line in (self.directory / "memory.stat").read_text().splitlines())
        return int(lines["total_" + v1 if self.version == 1 else v2])

    def start(self, case, *command):
        """In it from its first instruction, so that all of its memory is counted here."""
        into = f'echo $$ > "{self.directory}/cgroup.procs"; exec "$0" "$@"'
        return case.start(["sh", "-c", into, *command], stdin=subprocess.PIPE)


@contextlib.contextmanager
def cgroup(case, *below, limit=None):
    """/memwhy-PID, and those below it; gives them, outermost first. `limit` is the outermost's."""
    root, version = hierarchy()
    made = [root / f"memwhy-{os.getpid()}"]
    for name in below:
        made.append(made[-1] / name)
    try:
        for directory in made:
            directory.mkdir()
            if version == 2 and directory != made[-1]:
                (directory / "cgroup.subtree_control").write_text("+memory")
        groups = [Cgroup(directory, version) for directory in made]
        if limit:
            groups[0].limit(limit)
        yield groups if below else groups[0]
    finally:
        case.end()
        for directory in reversed(made):
            if directory.exists():
                directory.rmdir()
