# SPDX-License-Identifier: Apache-2.0
"""The packages on other systems: the .deb installed, upgraded, removed and purged in fresh roots of Debian, the archive and the image
run in each userland that can be had here. All on this machine's kernel; a process of this machine, whose memory is known, is
explained from within each root. The long half of the packages' tests: tools/soak package; the short one is test_package.py.

usage: try_packages.py PACKAGES WORK, as root; the mirror is the one that this machine's apt has"""
import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

SUITES = ("bullseye", "bookworm", "trixie")  # Debian 11, 12, 13
HELD = 64 << 20
TARGET = f"import sys\nb = bytearray({HELD})\nb[::4096] = b'x' * len(b[::4096])\nprint(flush=True)\nsys.stdin.read()"
# /proc, /sys and /dev of this machine, in a mount namespace that ends with the command.
INSIDE = 'mount -t proc proc "$1/proc" && mount --rbind /sys "$1/sys" && mount --bind /dev "$1/dev" && shift && exec chroot "$@"'


def run(*command, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def inside(root, *command):
    return run("unshare", "--mount", "bash", "-c", INSIDE, "sh", root, root, *command)


@contextlib.contextmanager
def target():
    """A process that holds 64 MiB more than its libraries. Gives its pid."""
    with subprocess.Popen(["python3", "-c", TARGET], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def explains(root, program):
    """memwhy of a root records a process of this machine into a file there, and explains it: what it holds is found."""
    with target() as pid:
        inside(root, program, "record", "-p", pid, "-d", "1s", "-o", "/tmp/x.memwhy")
    [process] = json.loads(inside(root, program, "explain", "/tmp/x.memwhy", "--json"))["processes"]
    (root / "tmp/x.memwhy").unlink()
    lines = {line["id"]: line["bytes"] for line in process["ledger"]}
    assert sum(lines.values()) == process["rss"]["bytes"], lines
    assert HELD <= lines.get("c.heap.used", 0) < HELD + (16 << 20), lines


def debian(work, suite):
    """A fresh root, unpacked from what was fetched once."""
    packed = work / f"{suite}.tar"
    if not packed.exists():
        sites = run("apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(LABEL)", "Created-By: Packages").splitlines()
        [mirror, *_] = sorted({line.split()[0] for line in sites if line.split()[1:] == ["Debian", "Debian"]})
        run("mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd", suite, f"{packed}.part", mirror, "--format=tar")
        pathlib.Path(f"{packed}.part").rename(packed)
    root = pathlib.Path(tempfile.mkdtemp(prefix=f"{suite}-", dir=work))
    run("tar", "-xf", packed, "-C", root)
    return root


def state(root):
    """All that is there, without what dpkg and the system note for themselves."""
    own = ("proc/", "sys/", "dev/", "run/", "tmp/", "var/lib/dpkg/", "var/log/", "var/cache/", "etc/passwd", "etc/shadow", "etc/group", "etc/gshadow")
    names = (str(path.relative_to(root)) for path in root.rglob("*"))
    return {name for name in names if not f"{name}/".startswith(own)}


def newer(package, work):
    """The same package as a later version: what an upgrade meets. Its example configuration has a line more."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        run("dpkg-deb", "-R", package, folder)
        control = pathlib.Path(folder) / "DEBIAN/control"
        control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 9:"))
        run("dpkg-deb", "-b", folder, work / "newer.deb")
    return work / "newer.deb"


def installed(packages, work, suite):
    """Install, use, upgrade with a changed configuration, remove, purge."""
    [package] = packages.glob("*.deb")
    root = debian(work, suite)
    try:
        before = state(root)
        for name, source in (("one.deb", package), ("two.deb", newer(package, work))):
            shutil.copy(source, root / "tmp" / name)
        inside(root, "dpkg", "-i", "/tmp/one.deb")
        assert "memwhy:" in (root / "etc/passwd").read_text(), "the user of the service was not made"
        folder = root / "var/lib/memwhy"
        assert folder.stat().st_mode & 0o7777 == 0o700 and folder.stat().st_uid != 0, "the folder of recordings is not the user's own"
        assert not list((root / "etc/systemd").rglob("*.wants/memwhy*")), "the service was enabled without being asked for"
        explains(root, "/usr/bin/memwhy")
        configuration = root / "etc/memwhy/agent.toml"
        configuration.write_text(configuration.read_text() + "top = 7\n")
        (folder / "kept.memwhy").write_text("a recording")
        inside(root, "systemctl", "enable", "memwhy-agent")
        inside(root, "dpkg", "-i", "/tmp/two.deb")
        assert configuration.read_text().endswith("top = 7\n"), "an upgrade lost the configuration"
        assert list((root / "etc/systemd").rglob("*.wants/memwhy*")), "an upgrade disabled the service"
        assert "9:" in inside(root, "dpkg-query", "-W", "memwhy")
        inside(root, "dpkg", "-r", "memwhy")
        assert configuration.exists() and (folder / "kept.memwhy").exists(), "removal is not purging"
        assert not (root / "usr/bin/memwhy").exists()
        inside(root, "dpkg", "-P", "memwhy")
        left = state(root) - before
        assert not left, f"left after a purge: {sorted(left)}"
        assert not before - state(root), f"gone with the package: {sorted(before - state(root))}"
    finally:
        shutil.rmtree(root)


def unpacked(packages, work, suite):
    """The archive below /usr/local of a root of which it knows nothing."""
    root = debian(work, suite)
    try:
        [archive] = packages.glob("*-amd64.tar.gz")
        run("tar", "-xf", archive, "-C", root / "usr/local", "--strip-components=1", "--no-same-owner")
        explains(root, "/usr/local/bin/memwhy")
        assert run("man", "-l", "--warnings", root / "usr/local/share/man/man1/memwhy.1").startswith("MEMWHY(1)")
    finally:
        shutil.rmtree(root)


def musl(packages, work):
    """busybox and nothing of glibc: what Alpine's userland is made of, from Debian's packages."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="musl-", dir=work))
    try:
        for folder in ("bin", "dev", "proc", "sys", "tmp", "usr"):
            (root / folder).mkdir()
        shutil.copy("/bin/busybox", root / "bin/busybox")
        run("chroot", root, "/bin/busybox", "--install", "-s", "/bin")
        [archive] = packages.glob("*-amd64.tar.gz")
        shutil.copy(archive, root / "tmp/x.tar.gz")
        run("chroot", root, "/bin/sh", "-c", "cd /usr && tar -xzf /tmp/x.tar.gz && mv memwhy-*/* .")
        explains(root, "/usr/bin/memwhy")
    finally:
        shutil.rmtree(root)


def image(packages, work):
    """Other programs read the image, and what it starts runs in it, with nothing else in its root."""
    [packed] = packages.glob("*-oci.tar")
    said = json.loads(run("skopeo", "inspect", f"oci-archive:{packed}"))
    assert said["Architecture"] == "amd64" and len(said["Layers"]) == 1, said
    folder = pathlib.Path(tempfile.mkdtemp(prefix="image-", dir=work))
    try:
        run("skopeo", "copy", f"oci-archive:{packed}", f"oci:{folder}/layout:it")
        run("skopeo", "copy", f"oci-archive:{packed}", f"docker-archive:{folder}/docker.tar:memwhy:it")
        run("umoci", "unpack", "--image", f"{folder}/layout:it", folder / "bundle")
        [program, command] = json.loads((folder / "bundle/config.json").read_text())["process"]["args"]
        assert command == "agent"
        explains(folder / "bundle/rootfs", program)
    finally:
        shutil.rmtree(folder)


def lint(packages):
    [package] = packages.glob("*.deb")
    said = run("lintian", "--allow-root", "--fail-on", "error,warning", package)
    assert not said.strip(), said


def main(packages, work):
    packages, work = pathlib.Path(packages).resolve(), pathlib.Path(work).resolve()
    work.mkdir(parents=True, exist_ok=True)
    tried = [("lintian", lint, packages), ("image: skopeo, umoci", image, packages, work), ("archive: busybox", musl, packages, work)]
    tried += [(f"archive: {suite}", unpacked, packages, work, suite) for suite in SUITES]
    tried += [(f".deb: {suite}", installed, packages, work, suite) for suite in SUITES]
    right = 0
    for name, function, *arguments in tried:
        try:
            function(*arguments)
        except Exception as error:
            print(f"{name}: FAILED: {error}", flush=True)
        else:
            right += 1
            print(f"{name}: right", flush=True)
    print(f"{right} of {len(tried)} right")
    return right != len(tried)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.splitlines()[-1])
    sys.exit(main(*sys.argv[1:]))
