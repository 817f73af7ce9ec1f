# SPDX-License-Identifier: Apache-2.0
"""The .deb, by debhelper: what it is given are the files where they will lie (stage/), and the folder debian/ of this one. Scripts for
the service and its user, checksums and compression are debhelper's."""
import email.utils
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def write(work, out, files, linked, version, epoch):
    build = work / "deb"
    stage = build / "stage"
    for path, file in files.items():
        target = stage / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.data())
        target.chmod(file.mode)
    shutil.copytree(HERE / "debian", build / "debian")
    # debhelper installs these itself, and so writes the scripts that go with them.
    for kind, name in (("sysusers.d", "memwhy.sysusers"), ("tmpfiles.d", "memwhy.tmpfiles")):
        (stage / f"usr/lib/{kind}/memwhy.conf").rename(build / "debian" / name)
    (stage / "usr/lib/systemd/system/memwhy-agent.service").rename(build / "debian/memwhy.memwhy-agent.service")
    for folder in ("lib/systemd/system", "lib/systemd", "lib/sysusers.d", "lib/tmpfiles.d", "lib"):
        (stage / "usr" / folder).rmdir()
    date = email.utils.formatdate(epoch)
    (build / "debian/changelog").write_text(f"memwhy ({version}-1) unstable; urgency=medium\n\n  * CHANGELOG.md says what is new.\n\n"
                                            f" -- memwhy developers <developers@memwhy.invalid>  {date}\n")
    sources = sorted({f"{package.source} (= {package.source_version})" for package in linked if package.archive})
    (build / "substvars").write_text(f"memwhy:Built-Using={', '.join(sources)}\n")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "DH_VERBOSE": "", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["debian/rules", "binary"], cwd=build, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"package.py: debhelper failed:\n{done.stdout}{done.stderr}")
    (work / out.name).rename(out)
    shutil.rmtree(build)
