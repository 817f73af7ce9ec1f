# SPDX-License-Identifier: Apache-2.0
"""Names of functions: those that were inlined, those of a program whose symbols lie elsewhere, and recursion, which is written once."""
import contextlib
import http.server
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

from support import DEADLINE, MIB, ROOT, absent

SOURCE = ROOT / "tests/workloads/inlined.cpp"
FUNCTIONS = ["store::Slot::fill(long)", "store::Cache<long>::insert(long)", "keep(char*)"]


def chain():
    """[(function, file, line)] of the code that touches most, innermost first, as the source says."""
    lines = SOURCE.read_text().splitlines()
    at = [next(i for i, line in enumerate(lines, 1) if line.endswith(f"// {number}")) for number in range(3)]
    return [(function, "inlined.cpp", line) for function, line in zip(FUNCTIONS, at)]


def record(case, program, file, *options):
    """From its start, and long enough that all of it is scanned: a signal right after "ready" may come before the first scan."""
    memwhy = case.start_memwhy("record", "-d", 3, "-o", file, *options, "--", program, stdin=subprocess.PIPE)
    assert memwhy.stdout.readline() == "ready\n"
    assert memwhy.wait(timeout=DEADLINE) == 0
    memwhy.stdin.close()


def bytes_of(explanation, expected):
    """What was touched by stacks whose innermost frames are these."""
    process = max(explanation["processes"], key=lambda each: each["rss"]["bytes"] or 0)
    frames = [(each["function"], each["file"] and os.path.basename(each["file"]), each["line"]) for each in process["frames"]]
    total = 0
    for cell in process["cells"]:
        if cell["stack"] is None:
            continue
        stack = [frames[frame] for frame in process["stacks"][cell["stack"]]["frames"]]
        if stack[:len(expected)] == expected:
            total += cell["bytes"]
    return total


def explained(case, file, *options, **more):
    return case.explain(file, "--cells", *options, cwd=case.folder, **more)


def named(explanation):
    return bytes_of(explanation, chain()) >= 31 * MIB


def test_inlined_functions(case):
    record(case, case.build / "workloads/inlined", "inlined.memwhy")
    got = bytes_of(explained(case, "inlined.memwhy"), chain())
    assert 31 * MIB <= got <= 33 * MIB, got
    out, _ = case.memwhy("explain", "inlined.memwhy", "--full", cwd=case.folder)
    text = " ".join(out.split())
    (_, _, fill), (_, _, insert), (_, _, keep) = chain()
    assert (f"store::Slot::fill (inlined.cpp:{fill}) store::Cache<...>::insert (inlined.cpp:{insert}) "
            f"keep (inlined.cpp:{keep})") in text, text


def test_recursion_is_written_once(case):
    """63 calls of 256 KiB each, by 32 ways down a tree."""
    record(case, case.build / "workloads/inlined", "inlined.memwhy")
    out, _ = case.memwhy("explain", "inlined.memwhy", "--full", cwd=case.folder)
    text = " ".join(out.split())
    assert "grow (inlined) (recursive, 6 deep at most)" in text, text
    each = [entry for entry in text.split(" stack (") if "(recursive, " in entry]
    assert all(entry.count("grow (") == 1 for entry in each), each
    # Beside the whole one there may be one of the time before its code was known, and it says so.
    assert sum("from here on by frame pointers" not in entry for entry in each) == 1, each


def stripped(case):
    """A copy without symbols, its debug file, and its build id."""
    program, debug = case.folder / "stripped", case.folder / "stripped.debug"
    whole = case.build / "workloads/inlined"
    subprocess.run(["objcopy", "--only-keep-debug", whole, debug], check=True)
    subprocess.run(["objcopy", "--strip-all", whole, program], check=True)
    notes = subprocess.run(["readelf", "-n", whole], check=True, capture_output=True, text=True).stdout
    build_id = next(line.split()[-1] for line in notes.splitlines() if "Build ID" in line)
    return program, debug, build_id


def keep_in(folder, debug, build_id):
    place = folder / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    place.parent.mkdir(parents=True)
    shutil.copy(debug, place)
    return folder


def test_debug_files_of_the_users(case):
    program, debug, build_id = stripped(case)
    kept = keep_in(case.folder / "kept", debug, build_id)
    record(case, program, "bare.memwhy")
    record(case, program, "named.memwhy", "--debug-dir", kept)
    program.unlink()
    bare = explained(case, "bare.memwhy")
    assert not named(bare), "without its symbols nobody knows"
    assert named(explained(case, "named.memwhy")), "while it was recorded"
    assert named(explained(case, "bare.memwhy", "--debug-dir", kept)), "afterwards"
    wrong = keep_in(case.folder / "wrong", "/bin/true", build_id)
    assert explained(case, "bare.memwhy", "--debug-dir", wrong)["processes"] == bare["processes"], "another build's"
    unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with open_folder() as folder:
        shutil.copy(case.folder / "bare.memwhy", folder)
        shutil.copytree(kept, folder / "kept")
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        program = folder / "memwhy"
        shutil.copy(case.program, program)
        assert named(case.explain(folder / "bare.memwhy", "--cells", "--debug-dir", folder / "kept", wrapper=unprivileged)
                     if os.access(case.program, os.X_OK) else None)
    case.fails(2, "--debug-dir", "is not a directory", arguments=["explain", "bare.memwhy", "--debug-dir", "nowhere"],
               cwd=case.folder)


@contextlib.contextmanager
def open_folder():
    """That everybody may look into."""
    with tempfile.TemporaryDirectory(prefix="names-") as name:
        os.chmod(name, 0o711)
        yield pathlib.Path(name)


class Server(http.server.ThreadingHTTPServer):
    """Serves files by build id as debuginfod does; and looks at the process that asks."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.clients = {}, [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        server.clients += clients()
        file = server.files.get(self.path)
        self.send_response(200 if file else 404)
        body = file.read_bytes() if file else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def clients():
    """(uid, effective capabilities, no new privileges, names of open files) of each debuginfod-find."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text() != "debuginfod-find\n":
                continue
            status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
            files = [os.readlink(each) for each in (process / "fd").iterdir()]
            found.append((status["Uid"].split()[0], int(status["CapEff"], 16), status["NoNewPrivs"], files))
    return found


def test_debuginfod(case):
    if shutil.which("debuginfod-find") is None:
        absent("no debuginfod-find")
    program, debug, build_id = stripped(case)
    record(case, program, "bare.memwhy")
    server = Server()
    path = f"/buildid/{build_id}/debuginfo"
    with open_folder() as folder:
        environment = dict(os.environ) | {"TMPDIR": str(folder)}
        os.chmod(folder, 0o1777)  # as /tmp is
        environment.pop("DEBUGINFOD_URLS", None)
        bare = explained(case, "bare.memwhy", env=environment)
        assert not named(bare) and server.asked == [], "nobody was asked to ask"
        environment["DEBUGINFOD_URLS"] = server.url()
        assert explained(case, "bare.memwhy", env=environment)["processes"] == bare["processes"], "the server has none"
        assert path in server.asked, server.asked
        server.files[path] = pathlib.Path("/bin/true")
        assert explained(case, "bare.memwhy", env=environment)["processes"] == bare["processes"], "another build's"
        server.files[path] = debug
        assert named(explained(case, "bare.memwhy", env=environment))
        assert list(folder.iterdir()) == [], "what was fetched is gone"
    assert server.clients
    for uid, capabilities, no_new, files in server.clients:
        assert (uid, capabilities, no_new) == ("65534", 0, "1")
        assert not any("bpf" in each or each.endswith(".memwhy") for each in files), files
    server.shutdown()
