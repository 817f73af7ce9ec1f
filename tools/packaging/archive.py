# SPDX-License-Identifier: Apache-2.0
"""A tar archive of which nothing depends on when, where or by whom it was made: names are sorted, folders are there before what is
in them, times are EPOCH's, all belongs to root (0:0), and the compressor's header has no time and no name."""
import gzip
import io
import tarfile


def folders(files):
    """The folders that `files` ({path: File}) need, outermost first."""
    found = set()
    for path in files:
        parts = path.split("/")[:-1]
        found |= {"/".join(parts[:i + 1]) for i in range(len(parts))}
    return found


def _entry(name, epoch, mode):
    entry = tarfile.TarInfo(name)
    entry.mtime, entry.mode = epoch, mode
    return entry


def write(stream, files, epoch, modes=None):
    """files: {path: File}; modes: {folder: mode}, of folders that are there although they are empty, or are not 0755."""
    modes = modes or {}
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as packed:
        for name in sorted({*files, *folders(files), *folders({f"{name}/": None for name in modes}), *modes}):
            if name in files:
                data = files[name].data()
                entry = _entry(name, epoch, files[name].mode)
                entry.size = len(data)
                packed.addfile(entry, io.BytesIO(data))
            else:
                entry = _entry(name, epoch, modes.get(name, 0o755))
                entry.type = tarfile.DIRTYPE
                packed.addfile(entry)


def compressed(data):
    return gzip.compress(data, compresslevel=6, mtime=0)


def write_gzip(path, files, epoch):
    stream = io.BytesIO()
    write(stream, files, epoch)
    path.write_bytes(compressed(stream.getvalue()))
