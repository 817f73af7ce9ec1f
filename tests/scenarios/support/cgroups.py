# SPDX-License-Identifier: Apache-2.0
"""Memory cgroups, made for a scenario: of version 1 or 2, whichever limits memory on this machine."""
import contextlib
import errno
import fcntl
import os
import pathlib
import subprocess

from support import Skip, absent

# Of one that is read-only, or whose root has processes, as in a container.
REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.EBUSY, errno.EOPNOTSUPP}
V1, V2 = pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")


@contextlib.contextmanager
def or_skip():
    """A container that may not make cgroups is no defect of it; any other error is one."""
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        raise Skip(f"no memory cgroup can be made here: {error}") from error


@contextlib.contextmanager
def counted_below_the_root():
    """Version 2: switched on where it is not, and off again by the last scenario that uses it; several run at once."""
    control = V2 / "cgroup.subtree_control"
    root = os.open(V2, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(root, fcntl.LOCK_SH)
        switched = "memory" not in control.read_text().split()
        if switched:
            with or_skip():
                control.write_text("+memory")
        try:
            yield
        finally:
            if switched:
                with contextlib.suppress(OSError):  # another one uses it
                    fcntl.flock(root, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    control.write_text("-memory")
    finally:
        os.close(root)


@contextlib.contextmanager
def hierarchy():
    """(where it is mounted, its version)"""
    controllers = V2 / "cgroup.controllers"
    if (V1 / "memory.usage_in_bytes").exists():
        yield V1, 1
    elif controllers.exists() and "memory" in controllers.read_text().split():
        with counted_below_the_root():
            yield V2, 2
    else:
        absent("no memory cgroup can be made here")


class Cgroup:
    def __init__(self, directory, version):
        self.directory, self.version = directory, version
        self.path = "/" + str(directory.relative_to(V1 if version == 1 else V2))

    def _file(self, v1, v2):
        return self.directory / (v1 if self.version == 1 else v2)

    def limit(self, size):
        """Of memory and swap together: what does not fit is killed, and not swapped out."""
        self._file("memory.limit_in_bytes", "memory.max").write_text(str(size))
        beside = {"memory.swappiness": 0, "memory.memsw.limit_in_bytes": size} if self.version == 1 else {"memory.swap.max": 0}
        for name, value in beside.items():
            if (self.directory / name).exists():  # not without swap, or its accounting
                (self.directory / name).write_text(str(value))

    def usage(self):
        return int(self._file("memory.usage_in_bytes", "memory.current").read_text())

    def stat(self, v1, v2):
        lines = dict(line.split() for line in (self.directory / "memory.stat").read_text().splitlines())
        return int(lines["total_" + v1 if self.version == 1 else v2])

    def start(self, case, *command):
        """In it from its first instruction, so that all of its memory is counted here."""
        into = f'echo $$ > "{self.directory}/cgroup.procs"; exec "$0" "$@"'
        return case.start(["sh", "-c", into, *command], stdin=subprocess.PIPE)


def make(directories, version, limit):
    """Those below take over what the outermost is set to."""
    with or_skip():
        for directory in directories:
            directory.mkdir()
            if version == 2 and directory != directories[-1]:
                (directory / "cgroup.subtree_control").write_text("+memory")
            if limit and directory == directories[0]:
                Cgroup(directory, version).limit(limit)
    return [Cgroup(directory, version) for directory in directories]


@contextlib.contextmanager
def cgroup(case, *below, limit=None, name=""):
    """/memwhy-PID and the name, and those below it; gives them, outermost first. `limit` is the outermost's."""
    with hierarchy() as (root, version):
        directories = [root / f"memwhy-{os.getpid()}{name}"]
        for each in below:
            directories.append(directories[-1] / each)
        try:
            groups = make(directories, version, limit)
            yield groups if below else groups[0]
        finally:
            case.end()
            for directory in reversed(directories):
                if directory.exists():
                    directory.rmdir()
