#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fetches esbuild, a Go program that others built and stripped, from npm by its own client.

usage: esbuild.py VERSION FOLDER     prints the path of the program; fetched once, also by several at a time
"""
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile


def main():
    version, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    program = folder / f"esbuild-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(f"{program}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            if shutil.which("npm") is None:
                sys.exit("esbuild.py: npm is not installed")
            done = subprocess.run(["npm", "pack", "--loglevel=error", f"@esbuild/linux-x64@{version}"], cwd=folder, capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, timeout=120)
            if done.returncode:
                sys.exit(f"esbuild.py: npm cannot fetch esbuild {version}: {(done.stderr or done.stdout).strip()}")
            archive = folder / done.stdout.split()[-1]
            part = pathlib.Path(f"{program}.part")
            with tarfile.open(archive) as packed, open(part, "wb") as out:
                shutil.copyfileobj(packed.extractfile("package/bin/esbuild"), out)
            part.chmod(0o755)
            os.rename(part, program)
            archive.unlink()
    print(program)


if __name__ == "__main__":
    main()
