# SPDX-License-Identifier: Apache-2.0
"""The packages, made of the program that is built: two times the same bytes, in them what should be, the program in them at work, and
what is beside it (the unit, the manifest, the list of what is linked) judged by those who read it. Installing them on other
systems takes longer: tools/soak package."""
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile

from support import MIB, ROOT, absent

sys.path.insert(0, str(ROOT / "tests"))
from readers import packages  # noqa: E402

# Denied by the unit's filter, and done without: a tracefs of memwhy's own, and becoming nobody, which only root can.
DENIED = {"fsopen", "fsconfig", "fsmount", "setgroups", "setresuid"}
EPOCH = 1767225600  # 2026-01-01
PACKAGING = ROOT / "tools/packaging"


def judges(case):
    try:
        sys.path.insert(0, str(packages.wheels(case.build / "readers", "judges")))
    except packages.Unreachable as missing:
        absent(str(missing))


def made(case, folder, *kinds, **environment):
    """The folder with packages of these kinds. What the person who makes them has set must not matter."""
    command = [sys.executable, PACKAGING / "package.py", case.build, case.folder / folder, EPOCH, *kinds]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env={**os.environ, **environment},
                          umask=0o077 if environment else 0o022)
    assert done.returncode == 0, done.stderr
    return case.folder / folder


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def output(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, check=True).stdout


def only(folder, pattern):
    [path] = folder.glob(pattern)
    return path


def deb_files(package):
    with tarfile.open(fileobj=io.BytesIO(output("dpkg-deb", "--fsys-tarfile", package))) as packed:
        return {entry.name.removeprefix("./"): (entry, packed.extractfile(entry).read()) for entry in packed if entry.isfile()}


def image_files(packed):
    """The files of the only layer; every blob is what its name says."""
    with tarfile.open(packed) as layout:
        blobs = {entry.name: layout.extractfile(entry).read() for entry in layout if entry.isfile()}
    for name, data in blobs.items():
        assert not name.startswith("blobs/") or name == f"blobs/sha256/{sha256(data)}", name
    at = lambda digest: blobs["blobs/" + digest.replace(":", "/")]
    [manifest] = json.loads(blobs["index.json"])["manifests"]
    manifest = json.loads(at(manifest["digest"]))
    config = json.loads(at(manifest["config"]["digest"]))
    [layer] = manifest["layers"]
    unpacked = gzip.decompress(at(layer["digest"]))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{sha256(unpacked)}"], "the configuration names another layer"
    assert config["config"]["Entrypoint"] == ["/usr/bin/memwhy"] and config["config"]["Cmd"] == ["agent"]
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as packed:
        return {entry.name: (entry, packed.extractfile(entry).read() if entry.isfile() else b"") for entry in packed}


def test_two_times_the_same_bytes(case):
    kinds = ("deb", "archive", "image")  # debug information is an archive as the other one, and large
    first = made(case, "first", *kinds)
    second = made(case, "second", *kinds, TZ="Asia/Kathmandu", LC_ALL="C", HOME="/nonexistent")
    sums = (first / "SHA256SUMS").read_text()
    assert sums == (second / "SHA256SUMS").read_text()
    names = {line.split()[1] for line in sums.splitlines()}
    assert names == {path.name for path in first.iterdir()} - {"SHA256SUMS"} and len(names) == 4, names
    for line in sums.splitlines():
        digest, name = line.split()
        assert digest == sha256((first / name).read_bytes()), name

    # One program, in all of them.
    program = (case.build / "bin/memwhy_static").read_bytes()
    debian, image = deb_files(only(first, "*.deb")), image_files(only(first, "*-oci.tar"))
    with tarfile.open(only(first, "*-amd64.tar.gz")) as archive:
        local = {entry.name.split("/", 1)[1]: archive.extractfile(entry).read() for entry in archive if entry.isfile()}
    assert debian["usr/bin/memwhy"][1] == image["usr/bin/memwhy"][1] == local["bin/memwhy"] == program
    assert str(ROOT).encode() not in program, "the folder of the build is in it: another folder would give other bytes"
    assert debian["usr/bin/memwhy"][0].mode == 0o755 and debian["etc/memwhy/agent.toml"][0].mode == 0o644
    assert {(entry.uid, entry.gid) for entry, _ in debian.values()} == {(0, 0)}
    assert {entry.mtime for entry, _ in [*debian.values(), *image.values()]} == {EPOCH}

    # A page for each command; the service, and nothing that enables it; the copyrights of what is linked.
    commands = {path.stem.removeprefix("cmd_") for path in ROOT.glob("userspace/app/cmd_*.cpp")}
    pages = {f"usr/share/man/man1/memwhy{page}.1.gz" for page in ("", *(f"-{command}" for command in commands))}
    assert pages == {name for name in debian if "/man/" in name}
    assert {"lib/systemd/system/memwhy-agent.service", "usr/lib/sysusers.d/memwhy.conf", "usr/lib/tmpfiles.d/memwhy.conf",
            "usr/share/bash-completion/completions/memwhy", "usr/share/zsh/vendor-completions/_memwhy",
            "usr/share/doc/memwhy/copyright"} <= set(debian), sorted(debian)
    assert not [name for name in debian if ".wants/" in name]
    control = output("dpkg-deb", "-f", only(first, "*.deb")).decode()
    assert re.search(r"^Built-Using: .*glibc \(= \S+\).*libbpf \(= \S+\)", control, re.M), control
    assert output("dpkg-deb", "-I", only(first, "*.deb"), "conffiles").decode().split() == ["/etc/memwhy/agent.toml"]
    assert b"=/usr/local/bin/memwhy agent" in local["lib/systemd/system/memwhy-agent.service"]


def test_the_program_alone_in_a_root(case):
    """The image's root, with /proc, /sys and /dev: another process is recorded and explained by a program that has no library."""
    root = case.folder / "root"
    for name, (entry, data) in image_files(only(made(case, "out", "image"), "*-oci.tar")).items():
        target = root / name
        if entry.isdir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.write_bytes(data)
        target.chmod(entry.mode)
    held = case.start([sys.executable, "-c", f"import sys; b = bytearray({64 * MIB}); b[::4096] = b'x' * len(b[::4096])\n"
                                             "print(flush=True); sys.stdin.read()"], stdin=subprocess.PIPE)
    held.stdout.readline()
    script = 'mount -t proc proc "$1/proc" && mount --rbind /sys "$1/sys" && mount --bind /dev "$1/dev" && shift && exec chroot "$@"'
    out, _ = case.memwhy("explain", "-p", held.pid, "-d", "1s", "--json", own=["/usr/bin/memwhy"],
                         wrapper=["unshare", "--mount", "bash", "-c", script, "sh", root, root])
    [process] = json.loads(out)["processes"]
    lines = {line["id"]: line["bytes"] for line in process["ledger"]}
    assert sum(lines.values()) == process["rss"]["bytes"]
    assert 64 * MIB <= lines.get("c.heap.used", 0) < 80 * MIB, lines


def test_the_list_of_what_is_linked(case):
    judges(case)
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
    bill = only(made(case, "out", "image"), "*.spdx.json")
    offences = validate_full_spdx_document(parse_file(str(bill)))
    assert not offences, [offence.validation_message for offence in offences]
    listed = {package["name"]: package for package in json.loads(bill.read_text())["packages"]}
    program = (case.build / "bin/memwhy_static").read_bytes()
    assert listed["memwhy"]["checksums"] == [{"algorithm": "SHA256", "checksumValue": sha256(program)}]
    # By what is in the program itself: each of these libraries has its version in it, or a text of its own.
    for name, pattern in (("libsqlite3-dev", rb"\0(3\.\d+\.\d+)\0"), ("zlib1g-dev", rb"inflate (1\.\d+\.\d+) Copyright")):
        [version] = set(re.findall(pattern, program))
        assert version.decode() in listed[name]["versionInfo"], (name, version)
        assert listed[name]["comment"] == "linked"
    for name in ("libc6-dev", "libbpf-dev", "libdw-dev", "libelf-dev", "libzstd-dev", "liblzma-dev", "libxxhash-dev", "uplot", "libfmt-dev"):
        assert name in listed, sorted(listed)
    assert b"BZ2_bzDecompress" not in program and "libbz2-dev" not in listed
    for name, package in listed.items():
        if name.startswith("lib"):
            installed = output("dpkg-query", "-W", "-f=${Version}\n", name).decode().split()
            assert package["versionInfo"] in installed, (name, package["versionInfo"], installed)


def test_the_unit(case):
    """systemd knows every line of it, and it is about as closed as it can be."""
    unit = (PACKAGING / "systemd/memwhy-agent.service").read_text()
    file = case.folder / "memwhy-agent.service"
    file.write_text(unit.replace("ExecStart=/usr/bin/memwhy", f"ExecStart={case.build / 'bin/memwhy_static'}"))
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True)
    about_it = [line for line in said.stderr.splitlines() if "memwhy" in line]  # other units of this machine have faults of their own
    assert said.returncode == 0 and not about_it, said.stderr
    scored = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=30", str(file)], capture_output=True, text=True)
    assert scored.returncode == 0, scored.stdout[-400:]
    # What it keeps is what memwhy asks for, and no more.
    wanted = set(re.findall(r"^  (CAP_\w+) +yes", case.memwhy("doctor")[0], re.M))
    for key in ("AmbientCapabilities", "CapabilityBoundingSet"):
        assert set(re.search(rf"^{key}=(.*)$", unit, re.M)[1].split()) == wanted, key
    # Its user and its folder, in a root that has neither.
    root = case.folder / "root"
    (root / "etc").mkdir(parents=True)
    for kind, options in (("sysusers", []), ("tmpfiles", ["--create"])):
        (root / f"usr/lib/{kind}.d").mkdir(parents=True)
        shutil.copy(PACKAGING / f"systemd/{kind}.conf", root / f"usr/lib/{kind}.d/memwhy.conf")
        output(f"systemd-{kind}", f"--root={root}", *options, "memwhy.conf")
    [user] = [line.split(":") for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("memwhy:")]
    folder = (root / "var/lib/memwhy").stat()
    assert folder.st_mode & 0o7777 == 0o700 and folder.st_uid == int(user[2]) != 0, folder


def system_calls(group):
    """The calls of a group, by systemd."""
    found = set()
    for line in output("systemd-analyze", "syscall-filter", group).decode().splitlines()[1:]:
        name = line.strip()
        if name and not name.startswith("#"):
            found |= system_calls(name) if name.startswith("@") else {name}
    return found


def allowed_calls(unit):
    """What is left of the unit's filter, line by line."""
    allowed = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
        names = line.removeprefix("~").split()
        calls = set().union(*(system_calls(name) if name.startswith("@") else {name} for name in names))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def test_the_agent_as_its_unit_has_it(case):
    """Another user than root, the unit's capabilities and no others, what its filter denies denied: a problem is found and recorded. (A
    real systemd around it: tools/soak package.)"""
    unit = (PACKAGING / "systemd/memwhy-agent.service").read_text()
    allowed = allowed_calls(unit)
    assert not DENIED & allowed and {"bpf", "perf_event_open", "read"} <= allowed
    heap = case.start([case.build / "workloads/c_heap", "freed", 60], stdin=subprocess.PIPE)
    assert heap.stdout.readline() == "ready\n"
    folder = case.folder / "own"
    folder.mkdir(mode=0o700)
    user = 64999  # nobody's, and not the uid that root's children become
    os.chown(folder, user, user)
    program = case.folder / "memwhy"  # readable by everybody
    shutil.copy(case.build / "bin/memwhy_static", program)
    kept = re.search(r"^AmbientCapabilities=(.*)$", unit, re.M)[1].lower().replace("cap_", "+").replace(" ", ",")
    options = [f"--{kind}=-all,{kept}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    agent = case.start(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *options, "--no-new-privs", "strace", "-f", "-c",
                        "-o", folder / "calls", "-e", f"inject={','.join(sorted(DENIED))}:error=EPERM", program, "agent", "--dir",
                        folder / "recordings", "--socket", folder / "socket", "--listen", "none", "--comm", "c-heap", "--budget", "100%"],
                       stderr=subprocess.PIPE)
    said = []
    for line in agent.stderr:
        said.append(line)
        if "agent: recording" in line:
            case.memwhy("agent", "trigger", heap.pid, "--socket", folder / "socket")
        if "_request.memwhy: " in line:
            break
    assert said and "malloc_trim(0) would return" in said[-1], said
    case.memwhy("agent", "stop", "--socket", folder / "socket")
    agent.communicate()
    assert agent.returncode == 0
    [recording] = (folder / "recordings").glob("*_request.memwhy")
    assert recording.stat().st_mode & 0o777 == 0o600 and recording.stat().st_uid == user
    used = {line.split()[-1] for line in (folder / "calls").read_text().splitlines() if re.match(r" +\d", line)} - {"total"}
    assert {"bpf", "landlock_restrict_self"} <= used, used
    assert used - allowed <= DENIED, f"the unit's filter would deny {used - allowed - DENIED}"


def test_the_manifest_of_a_cluster(case):
    judges(case)
    import kubernetes_validate
    import yaml
    documents = list(yaml.safe_load_all((PACKAGING / "kubernetes/daemonset.yaml").read_text()))
    assert [document["kind"] for document in documents] == ["Namespace", "DaemonSet"], "a role would ask the cluster for something"
    for release in ("1.30", "1.34"):  # appArmorProfile came with 1.30
        for document in documents:
            kubernetes_validate.validate(document, release, strict=True)
    pod = documents[1]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    version = case.memwhy("--version")[0].split()[1]
    assert container["image"] == f"memwhy:{version}"
    assert pod["automountServiceAccountToken"] is False and container["securityContext"]["privileged"] is False
    wanted = set(re.findall(r"^  CAP_(\w+) +yes", case.memwhy("doctor")[0], re.M))
    assert wanted < set(container["securityContext"]["capabilities"]["add"])
    wrong = json.loads(json.dumps(documents[1]))
    wrong["spec"]["template"]["spec"]["hostPIDs"] = True
    try:
        kubernetes_validate.validate(wrong, "1.34", strict=True)
    except kubernetes_validate.ValidationError:
        return
    raise AssertionError("the schema accepts what is wrong")
