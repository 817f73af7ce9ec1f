# SPDX-License-Identifier: Apache-2.0
"""Which file of the project is where in a package.

files() names each by what it is (below usr/, etc/, as Debian has them); debian(), local() and image() put them where the .deb, the
archive and the image have them:

    usr/share/man/man1/memwhy.1 ─┬─ debian ─► usr/share/man/man1/memwhy.1      (compressed by debhelper)
                                 ├─ local ──► share/man/man1/memwhy.1          (unpacked below /usr/local or anywhere)
                                 └─ image ──► not there: nobody reads it"""
import dataclasses
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DOC = "usr/share/doc/memwhy"


@dataclasses.dataclass
class File:
    source: pathlib.Path = None  # either this
    content: bytes = b""  # or this
    mode: int = 0o644

    def data(self):
        return self.source.read_bytes() if self.source else self.content


def files(build, linked, bill):
    """{path: File} of all that is given away but the debug information. linked: the packages that are in the program."""
    manual = build / "manual"
    found = {"usr/bin/memwhy": File(build / "bin/memwhy_static", mode=0o755)}
    found |= {f"usr/share/man/man1/{page.name}": File(page) for page in manual.glob("*.1")}
    found["usr/share/bash-completion/completions/memwhy"] = File(manual / "memwhy.bash")
    found["usr/share/zsh/site-functions/_memwhy"] = File(manual / "_memwhy")
    found["usr/share/fish/vendor_completions.d/memwhy.fish"] = File(manual / "memwhy.fish")
    for name in ("README.md", "LICENSE", "CHANGELOG.md"):
        found[f"{DOC}/{name}"] = File(ROOT / name)
    found[f"{DOC}/SECURITY.md"] = File(HERE / "SECURITY.md")
    found[f"{DOC}/copyright"] = File(HERE / "debian/copyright")
    found[f"{DOC}/memwhy.spdx.json"] = File(bill)
    found |= {f"{DOC}/third-party/{package.name}": File(package.copyright) for package in linked if package.copyright}
    found["usr/lib/systemd/system/memwhy-agent.service"] = File(HERE / "systemd/memwhy-agent.service")
    found["usr/lib/sysusers.d/memwhy.conf"] = File(HERE / "systemd/sysusers.conf")
    found["usr/lib/tmpfiles.d/memwhy.conf"] = File(HERE / "systemd/tmpfiles.conf")
    found["etc/memwhy/agent.toml"] = File(HERE / "systemd/agent.toml")
    for folder in ("fleet", "kubernetes"):
        found |= {f"usr/share/memwhy/{folder}/{path.name}": File(path) for path in (HERE / folder).iterdir() if path.is_file()}
    return found


def debian(found):
    """Debian has a folder of its own for completions of zsh, and debhelper wants the licence once."""
    moved = {path.replace("zsh/site-functions", "zsh/vendor-completions"): file for path, file in found.items()}
    return moved


def local(found):
    """Below a prefix: /usr/local, where systemd, man and the shells look too. The unit starts the program that lies there."""
    placed = {}
    for path, file in found.items():
        path = re.sub(r"^usr/", "", path)
        if path.endswith(".service"):
            file = File(content=file.data().replace(b"=/usr/bin/memwhy ", b"=/usr/local/bin/memwhy "))
        placed[path] = file
    return placed


def image(found):
    """The program, its configuration, and what its licences ask for; who is root and who nobody."""
    kept = {path: file for path, file in found.items() if path.startswith(("usr/bin/", "etc/", f"{DOC}/"))}
    kept["etc/passwd"] = File(content=b"root:x:0:0:root:/:/usr/bin/memwhy\nnobody:x:65534:65534:nobody:/:/usr/bin/memwhy\n")
    kept["etc/group"] = File(content=b"root:x:0:\nnogroup:x:65534:\n")
    return kept


def debug(build):
    """Debug information, where debuggers look for it by the build id."""
    program = (build / "bin/memwhy_static").read_bytes()
    note = program.index(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0") + 16  # name and hash of an ELF note of the type NT_GNU_BUILD_ID
    build_id = program[note:note + 20].hex()
    return {f"lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug": File(build / "bin/memwhy_static.debug")}


def below(folder, found):
    return {f"{folder}/{path}": file for path, file in found.items()}
