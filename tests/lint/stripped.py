# SPDX-License-Identifier: Apache-2.0
"""The program has no symbols and no debug information, and the file that has them is found: beside it by addr2line, by its
build id once both are installed. usage: stripped.py BUILD, a build of the preset release, as it stands"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def sections(path):
    return set(re.findall(r"^ +\[ *\d+\] (\.\S+)", output("readelf", "-SW", path), re.M))


def build_id(path):
    return re.search(r"Build ID: ([0-9a-f]{40})", output("readelf", "-n", path))[1]


def stripped(program):
    assert program.stat().st_mode & 0o111, f"{program} is no program"
    left = {name for name in sections(program) if name.startswith(".debug") or name == ".symtab"}
    assert not left, f"{program} is not stripped: {sorted(left)}"
    assert ".gnu_debuglink" in sections(program), f"{program} does not name its debug information"


ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    build = pathlib.Path(sys.argv[1])
    program, debug = build / "bin/memwhy", build / "bin/memwhy.debug"
    stripped(program)
    assert {".debug_info", ".debug_line", ".symtab"} <= sections(debug), f"{debug} has no debug information"
    assert build_id(program) == build_id(debug), "the debug information is that of another build"
    address = re.search(r"^([0-9a-f]+) . main$", output("nm", debug), re.M)[1]
    line = output("addr2line", "-e", program, address)
    assert "/main.cpp:" in line, f"main is at {line.strip()}"

    with tempfile.TemporaryDirectory() as prefix:
        output("cmake", "--install", build, "--prefix", prefix)
        names = {str(path.relative_to(prefix)) for path in pathlib.Path(prefix).rglob("*") if path.is_file()}
        at = build_id(program)
        wanted = {"bin/memwhy", f"lib/debug/.build-id/{at[:2]}/{at[2:]}.debug"}
        wanted |= {f"share/doc/memwhy/{name}" for name in ("README.md", "LICENSE", "CHANGELOG.md")}
        commands = {path.stem.removeprefix("cmd_") for path in ROOT.glob("userspace/app/cmd_*.cpp")}
        wanted |= {f"share/man/man1/memwhy{page}.1" for page in ("", *(f"-{command}" for command in commands))}
        wanted |= {"share/bash-completion/completions/memwhy", "share/fish/vendor_completions.d/memwhy.fish",
                   "share/zsh/site-functions/_memwhy"}
        assert names == wanted, f"installed: {sorted(names)}, expected: {sorted(wanted)}"
        installed = pathlib.Path(prefix) / "bin/memwhy"
        stripped(installed)
        said = subprocess.run([installed, "--version"], capture_output=True, text=True, env={**os.environ, "PATH": ""})
        assert said.returncode == 0 and said.stdout.startswith("memwhy "), said
    print(f"{program.stat().st_size:,} bytes, {debug.stat().st_size:,} of debug information apart")


if __name__ == "__main__":
    main()
