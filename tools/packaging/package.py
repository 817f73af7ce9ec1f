# SPDX-License-Identifier: Apache-2.0
"""The packages of memwhy, of a program that is built: a .deb, an archive for any distribution, an image, what is linked (SBOM).

    build/release ─► contents.py: which file goes where ─┬─► deb.py       memwhy_0.1.0-1_amd64.deb
      bin/memwhy_static, manual/                         ├─► archive.py   memwhy-0.1.0-linux-amd64.tar.gz, …-debug.tar.gz
    tools/packaging: unit, rules, dashboard              ├─► oci.py       memwhy-0.1.0-oci.tar
    the linker's map ─► sbom.py  memwhy-0.1.0.spdx.json ─┘   and SHA256SUMS of all of them

One build gives the same bytes, at whatever time and in whatever folder they are made of it: all times are EPOCH's, files are sorted,
nobody owns them. What it is not: a build; tools/package builds first.

usage: package.py BUILD OUT EPOCH [deb|archive|debug|image]...     EPOCH: seconds, the time of all files; all four unless some are named"""
import hashlib
import pathlib
import shutil
import subprocess
import sys

import archive
import contents
import deb
import oci
import sbom

HERE = pathlib.Path(__file__).resolve().parent


KINDS = ("deb", "archive", "debug", "image")


def main(build, out, epoch, *kinds):
    build, out, epoch = pathlib.Path(build).resolve(), pathlib.Path(out).resolve(), int(epoch)
    program = build / "bin/memwhy_static"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)

    linked = sbom.linked(build)
    bill = out / f"memwhy-{version}.spdx.json"
    bill.write_text(sbom.document(linked, program, version, epoch))

    files = contents.files(build, linked, bill)
    name = f"memwhy-{version}-linux-amd64"
    write = {
        "deb": lambda: deb.write(out, out / f"memwhy_{version}-1_amd64.deb", contents.debian(files), linked, version, epoch),
        "archive": lambda: archive.write_gzip(out / f"{name}.tar.gz", contents.below(name, contents.local(files)), epoch),
        "debug": lambda: archive.write_gzip(out / f"{name}-debug.tar.gz", contents.below(name, contents.debug(build)), epoch),
        "image": lambda: oci.write(out / f"memwhy-{version}-oci.tar", contents.image(files), version, epoch),
    }
    for kind in kinds or KINDS:
        write[kind]()

    made = sorted(path for path in out.iterdir() if path.is_file())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in made]
    (out / "SHA256SUMS").write_text("".join(sums))
    for path in made:
        print(f"{path.stat().st_size:>12,}  {path}")


if __name__ == "__main__":
    if len(sys.argv) < 4 or set(sys.argv[4:]) - set(KINDS):
        sys.exit(__doc__.splitlines()[-1])
    main(*sys.argv[1:])
