# SPDX-License-Identifier: Apache-2.0
"""What must never be in the sources: ways to change or stop a target, pinned BPF, paths of one machine, package
mirrors; and what every source must have: its licence in the first lines."""
import re
import sys

import sources

CODE = [  # looked for outside comments in bpf/, include/ and userspace/
    (re.compile(r"\buretprobe|\bretprobe\b"), "a uretprobe kills a Go process"),
    (re.compile(r"\bbpf_probe_write_user\b"), "memwhy never writes into a target"),
    (re.compile(r"\bbpf_override_return\b"), "memwhy never changes what a call returns"),
    (re.compile(r"\bptrace\s*\(|\bPTRACE_(ATTACH|SEIZE|INTERRUPT|TRACEME)\b"), "memwhy never stops a target"),
    (re.compile(r"\bprocess_vm_writev\b"), "memwhy never writes into a target"),
]
PINS = [(re.compile(r"\bbpf_(obj|map|program|link)__?pin\b|LIBBPF_PIN_BY_NAME|bpf_object__pin"), "nothing outlives memwhy")]
MAY_PIN = "userspace/probe/uprobes.cpp"  # probes that cannot be taken away without waiting for ever, which the report says
# Of one machine: only in bpf/lib/arch_*.bpf.h (and bpf/vmlinux, which declares the kernel's types of every machine).
MACHINE = [
    (re.compile(r"->(r8|r9|r1[0-5]|[abcd]x|[sd]i|orig_ax|cs|fsbase)\b|\bregs\[\d"), "a register of one machine"),
    (re.compile(r"\bNR_\w+\s*=|\bPTE_\w+\s+0|\bX86_|\bERROR_CODE_"), "a constant of one machine"),
]
ANYWHERE = [
    (re.compile(r"(?<![\w.])/(home|Users)/\w"), "a path of one machine"),
    (re.compile(re.escape(str(sources.ROOT)) + r"\b"), "the path of this checkout"),
    (re.compile(r"deb\.debian\.org|proxy\.golang\.org|registry\.npmjs|pypi\.org|\bartifactory\b|\bmirror\.\w"),
     "the host of a package registry"),
]
LICENCES = {"bpf": "GPL-2.0-only OR BSD-2-Clause", "include": "GPL-2.0-only OR BSD-2-Clause"}
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)


def without_comments(source):
    return COMMENT.sub(lambda match: "\n" * match[0].count("\n"), source)


def search(patterns, source, path, offences):
    for number, line in enumerate(source.splitlines(), 1):
        offences += [f"{path}:{number}: {why}: {line.strip()}" for pattern, why in patterns if pattern.search(line)]


def main():
    offences = []
    paths = [path for path in sources.files() if path.suffix != ".pyc"]
    for path in paths:
        source, name, top = sources.text(path), path.relative_to(sources.ROOT), path.relative_to(sources.ROOT).parts[0]
        if top in ("bpf", "include", "userspace") and path.suffix in (".h", ".c", ".cpp"):
            search(CODE + (PINS if str(name) != MAY_PIN else []), without_comments(source), name, offences)
        if top == "bpf" and "vmlinux" not in name.parts and not path.name.startswith("arch_"):
            search(MACHINE, without_comments(source), name, offences)
        if name.parts[:2] != ("tests", "lint"):
            made_up = name.parts[:2] == ("tests", "unit")  # their paths are made up
            search(ANYWHERE[1:] if made_up else ANYWHERE, source, name, offences)
        if path.suffix in (".h", ".c", ".cpp", ".go", ".py"):
            licence = LICENCES.get(top, "Apache-2.0")
            head = source[:400]
            if "SPDX-License-Identifier: " not in head:
                offences.append(f"{name}:1: no SPDX-License-Identifier in the first lines")
            elif "SPDX-License-Identifier: " + licence not in head and "tests" != top:
                offences.append(f"{name}:1: the licence here is {licence}")
    return sources.finish(offences, len(paths), "nothing forbidden")


if __name__ == "__main__":
    sys.exit(main())
