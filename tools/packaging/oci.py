# SPDX-License-Identifier: Apache-2.0
"""The image: an OCI layout in a tar file, which `skopeo copy oci-archive:…`, `podman load` and `ctr image import` read. One layer,
made without a daemon and without a base: the program needs no other file.

    oci-layout, index.json ─► manifest ─► config (entry point, labels)
                                      └─► layer.tar.gz (contents.py: image)        each named by its SHA-256"""
import datetime
import hashlib
import io
import json

import archive
from contents import File

FOLDERS = {"tmp": 0o1777, "var/lib/memwhy": 0o700, "run/memwhy": 0o755, "proc": 0o555, "sys": 0o555, "dev": 0o755}
KIND = "application/vnd.oci.image"


def _json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def write(path, files, version, epoch):
    blobs = {}

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = File(content=data)
        return {"mediaType": f"{KIND}.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    layer = io.BytesIO()
    archive.write(layer, files, epoch, FOLDERS)
    created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    labels = {"org.opencontainers.image.title": "memwhy", "org.opencontainers.image.version": version,
              "org.opencontainers.image.licenses": "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)",
              "org.opencontainers.image.description": "explains the resident memory of live processes, from outside"}
    config = blob(_json({
        "created": created, "architecture": "amd64", "os": "linux",
        "config": {"User": "0:0", "Env": ["PATH=/usr/bin"], "Entrypoint": ["/usr/bin/memwhy"], "Cmd": ["agent"], "Labels": labels,
                   "WorkingDir": "/", "ExposedPorts": {"9435/tcp": {}}, "StopSignal": "SIGTERM"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"]},
        "history": [{"created": created, "created_by": "tools/package"}]}), "config.v1+json")
    layers = [blob(archive.compressed(layer.getvalue()), "layer.v1.tar+gzip")]
    manifest = blob(_json({"schemaVersion": 2, "mediaType": f"{KIND}.manifest.v1+json", "config": config, "layers": layers,
                           "annotations": labels}), "manifest.v1+json")
    manifest |= {"platform": {"architecture": "amd64", "os": "linux"}, "annotations": {"org.opencontainers.image.ref.name": version}}
    blobs["index.json"] = File(content=_json({"schemaVersion": 2, "mediaType": f"{KIND}.index.v1+json", "manifests": [manifest]}))
    blobs["oci-layout"] = File(content=_json({"imageLayoutVersion": "1.0.0"}))
    with open(path, "wb") as out:
        archive.write(out, blobs, epoch)
