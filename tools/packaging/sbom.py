# SPDX-License-Identifier: Apache-2.0
"""What is in the program, as an SPDX 2.3 document: read from what the linker linked and the compiler included, not from a list.

    memwhy_static.map: archives of which a member was taken ─┐
    ninja's dependencies: headers outside of the project ────┼─► dpkg: which package, which version ─► document()
    package-lock.json of the page: libraries in its bundle ──┘

What it is not: a judgement of licences; each package's own copyright file lies in the packages, third-party/."""
import dataclasses
import datetime
import hashlib
import json
import pathlib
import re
import subprocess
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPILER = "esbuild"  # of the page's packages the one that makes the bundle, and is not in it


@dataclasses.dataclass
class Package:
    name: str
    version: str
    purl: str
    supplier: str
    archive: bool  # linked; else compiled in from its headers or bundled
    source: str = ""  # Debian's source package
    source_version: str = ""
    copyright: pathlib.Path = None


def _output(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=True, **more).stdout


def _archives(build):
    """The files that the linker took something of: members of archives, and the start files of the C library and compiler."""
    text = (build / "bin/memwhy_static.map").read_text()
    members = text[:text.index("\nDiscarded input sections")]
    found = set(re.findall(r"^(/\S+\.a)\(", members, re.M)) | set(re.findall(r"^LOAD (/\S+\.o)$", text, re.M))
    return {path for path in map(pathlib.Path, found) if build not in path.parents}


def _headers(build):
    """The headers outside of the project that an object of the program includes."""
    ours = re.compile(r"(^|/)CMakeFiles/memwhy(_\w+)?\.dir/")
    wanted, found = False, set()
    for line in _output("ninja", "-C", str(build), "-t", "deps").splitlines():
        if not line.startswith(" "):
            wanted = bool(ours.search(line)) and "memwhy_manual" not in line
        elif wanted and line.strip().startswith("/"):
            found.add(pathlib.Path(line.strip()))
    return {path for path in found if ROOT not in path.parents and build not in path.parents}


def _owners(paths):
    """{package: files} by dpkg, which knows a file by the name that it was installed as: with or without /usr, and resolved."""
    names = set()
    for path in paths:
        real = str(path.resolve())
        names |= {real, real.removeprefix("/usr")}
    done = subprocess.run(["dpkg", "-S", *sorted(names)], capture_output=True, text=True)
    owners = {}
    for line in done.stdout.splitlines():
        packages, name = line.rsplit(": ", 1)
        for package in packages.split(", "):
            owners.setdefault(package.split(":")[0], set()).add(name)
    known = set().union(*owners.values()) if owners else set()
    unknown = sorted(str(path) for path in paths if not known & {str(path.resolve()), str(path.resolve()).removeprefix("/usr")})
    if unknown:
        raise SystemExit(f"sbom.py: of no package: {', '.join(unknown[:5])}")
    return owners


def _debian(build):
    release = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    distribution = f"{release['ID']}-{release['VERSION_ID']}".replace('"', "")
    archives, headers = _owners(_archives(build)), _owners(_headers(build))
    for name in sorted({*archives, *headers}):
        fields = _output("dpkg-query", "-W", "-f=${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n", name)
        version, architecture, source, source_version = fields.splitlines()[0].split("\t")
        purl = f"pkg:deb/debian/{name}@{version.replace(':', '%3A').replace('+', '%2B')}?arch={architecture}&distro={distribution}"
        notice = pathlib.Path(f"/usr/share/doc/{name}/copyright")
        yield Package(name, version, purl, "Organization: Debian", name in archives, source, source_version,
                      notice.resolve() if notice.exists() else None)


def _page(build):
    folder = build / "memwhy_html"
    for path, package in json.loads((folder / "package-lock.json").read_text())["packages"].items():
        name = path.removeprefix("node_modules/")
        if name and not package.get("dev") and COMPILER not in name:
            notice = folder / path / "LICENSE"
            yield Package(name, package["version"], f"pkg:npm/{name.replace('@', '%40')}@{package['version']}", "NOASSERTION", False,
                          copyright=notice if notice.exists() else None)


def linked(build):
    return [*_debian(build), *_page(build)]


def document(packages, program, version, epoch):
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    identifier = uuid.uuid5(uuid.NAMESPACE_OID, digest)

    def entry(name, version, purl, supplier, **more):
        return {"SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name, "versionInfo": version, "supplier": supplier,
                "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
                "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}], **more}

    ours = entry("memwhy", version, f"pkg:generic/memwhy@{version}", "NOASSERTION",
                 primaryPackagePurpose="APPLICATION", checksums=[{"algorithm": "SHA256", "checksumValue": digest}])
    ours["licenseDeclared"] = "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)"
    entries = [entry(each.name, each.version, each.purl, each.supplier, primaryPackagePurpose="LIBRARY",
                     comment="linked" if each.archive else "compiled in, from its headers or sources") for each in packages]
    relations = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": ours["SPDXID"]}]
    relations += [{"spdxElementId": ours["SPDXID"], "relationshipType": "STATIC_LINK" if each.archive else "CONTAINS",
                   "relatedSpdxElement": other["SPDXID"]} for each, other in zip(packages, entries)]
    created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"memwhy-{version}",
                       "documentNamespace": f"urn:uuid:{identifier}",
                       "creationInfo": {"created": created, "creators": ["Tool: tools/package"]},
                       "packages": [ours, *entries], "relationships": relations}, indent=1) + "\n"
