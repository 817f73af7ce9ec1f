# SPDX-License-Identifier: Apache-2.0
"""What a language model is answered, through the protocol's own client (PyPI mcp): the numbers of explain --json and of diff --json,
in 2 KB, of the recordings that the command line offers and of no other file."""
import json
import os
import sys

from support import MIB, ROOT, absent
from support.answers import ledger, only_process, problems
from test_compare import Steps, recorded

sys.path.insert(0, str(ROOT / "tests"))
from readers import packages  # noqa: E402

ANSWER = 2048  # bytes


class Client:
    """A session with memwhy mcp: {tool: answers}, each in 2 KB as it stands in its line."""

    def __init__(self, case, *paths):
        self.case, self.paths = case, [str(path) for path in paths]
        try:
            sys.path.insert(0, str(packages.wheels(case.build / "readers", "mcp-1.28.1")))
        except packages.Unreachable as missing:
            absent(str(missing))

    def run(self, talk):
        import anyio
        from mcp import ClientSession, StdioServerParameters
        from mcp.client.stdio import stdio_client

        async def session():
            server = StdioServerParameters(command=str(self.case.program), args=["mcp", *self.paths], cwd=str(self.case.folder))
            with open(self.case.folder / "mcp.stderr", "w+") as errors:
                async with stdio_client(server, errlog=errors) as (read, write), ClientSession(read, write) as client:
                    self.client, self.hello = client, await client.initialize()
                    await talk(self)
                errors.seek(0)
                assert not errors.read()
        anyio.run(session)

    async def call(self, tool, most=ANSWER, **arguments):
        result = await self.client.call_tool(tool, arguments)
        text = result.content[0].text
        assert not result.isError, text
        assert len(json.dumps(text)) <= most, f"{len(json.dumps(text))} bytes: {text}"
        return json.loads(text)

    async def refused(self, tool, **arguments):
        result = await self.client.call_tool(tool, arguments)
        assert result.isError, result
        return result.content[0].text


def check_explained(answer, process):
    """The same numbers, heaviest first, and they sum to RSS."""
    assert answer["pid"] == process["pid"] and answer["rss"]["bytes"] == process["rss"]["bytes"]
    assert answer["gap_bytes"] == process["gap_bytes"] and answer["verdict"]["is"] == process["verdict"]["is"]
    lines = {line["id"]: line["bytes"] for line in answer["ledger"]}
    assert len(lines) >= 4 and list(lines.items()) == list(ledger(process).items())[:len(lines)], (lines, ledger(process))
    assert sum(lines.values()) + answer["ledger_rest_bytes"] == process["rss"]["bytes"]
    for mine, theirs in zip(answer["findings"], process["findings"]):
        assert all(mine[key] == theirs[key] for key in ("id", "kind", "bytes", "claim")), (mine, theirs)


def test_the_answers_of_explain_and_diff(case):
    """A program that keeps 32 MiB, and then 96: two recordings, asked about by the client."""
    steps = Steps(case)
    recorded(case, steps, "a.memwhy", 32)
    recorded(case, steps, "b.memwhy", 64)
    before, after = (case.explain(name, "--cells", cwd=case.folder) for name in ("a.memwhy", "b.memwhy"))
    change = json.loads(case.memwhy("diff", "a.memwhy", "b.memwhy", "--json", cwd=case.folder)[0])

    async def talk(client):
        assert client.hello.serverInfo.name == "memwhy"
        tools = (await client.client.list_tools()).tools
        assert [tool.name for tool in tools] == ["list", "explain", "stacks", "diff"]
        files = await client.call("list")
        assert {entry["file"]: entry["bytes"] for entry in files["recordings"]} == \
            {f"./{name}": (case.folder / name).stat().st_size for name in ("a.memwhy", "b.memwhy")}
        there = await client.call("list", file="./a.memwhy")
        assert [(each["pid"], each["comm"]) for each in there["processes"]] == [(steps.pid, "python3")], there

        for name, explanation in (("./a.memwhy", before), ("./b.memwhy", after)):
            process = only_process(explanation)
            answer = await client.call("explain", file=name)
            check_explained(answer, process)
            whole = await client.call("explain", file=name, max_bytes=60000, most=60002)
            assert whole["ledger_rest_bytes"] == 0 and len(whole["findings"]) == len(process["findings"])
            assert [each.get("evidence", []) for each in whole["findings"]] == [each["evidence"] for each in process["findings"]]
            stacks = await client.call("stacks", file=name)
            assert sum(each["bytes"] for each in stacks["stacks"]) + stacks["rest_bytes"] == process["rss"]["bytes"] == stacks["bytes"]
            owner = stacks["stacks"][0]["owner"]
            of_one = await client.call("stacks", file=name, owner=owner, max_bytes=60000, most=60002)
            assert of_one["bytes"] == sum(cell["bytes"] for cell in process["cells"] if cell["owner"] == owner)

        answer = await client.call("diff", before="./a.memwhy", after="./b.memwhy")
        program, wanted = answer["programs"][0], change["programs"][0]
        assert program["rss_change"] == wanted["rss_change"] >= 60 * MIB, (program, wanted)
        for aspect, table in program["by"].items():
            assert table["lines"] == wanted["by"][aspect]["lines"][:len(table["lines"])], aspect
            assert sum(line["change"] for line in table["lines"]) + table["rest"] == program["rss_change"], aspect
        moments = await client.call("diff", before="./b.memwhy", **{"from": only_process(after)["timeline"][0]["t"].replace("Z", "999Z")})
        assert moments["programs"][0]["rss_change"] >= 60 * MIB, moments

    Client(case, ".").run(talk)


def test_no_other_file(case):
    """A link in a folder, a path out of it, a folder below it and a file that was not offered are refused, with a sentence; what is
    damaged is one, and the server goes on."""
    steps = Steps(case)
    recorded(case, steps, "r.memwhy", 8)
    offered, other = case.folder / "offered", case.folder / "other"
    (offered / "below").mkdir(parents=True)
    other.mkdir()
    os.rename(case.folder / "r.memwhy", other / "secret.memwhy")
    (offered / "link.memwhy").symlink_to(other / "secret.memwhy")
    (offered / "below" / "b.memwhy").write_bytes((other / "secret.memwhy").read_bytes())
    (offered / "bad.memwhy").write_bytes(b"no recording")
    os.mkfifo(offered / "pipe.memwhy")
    huge = (other / "secret.memwhy").read_bytes()
    (offered / "cut.memwhy").write_bytes(huge[:len(huge) // 2])
    (offered / "ign\x1b[31more.memwhy").write_bytes(huge)

    async def talk(client):
        names = [entry["file"] for entry in (await client.call("list"))["recordings"]]
        assert sorted(names) == ["offered/bad.memwhy", "offered/cut.memwhy", "offered/ign\\x1b[31more.memwhy"], names
        for name in ("offered/link.memwhy", "offered/../other/secret.memwhy", "offered/below/b.memwhy", "offered/pipe.memwhy",
                     str(other / "secret.memwhy"), "/etc/passwd", "", "offered"):
            sentence = await client.refused("explain", file=name)
            assert "is not offered" in sentence or "not a regular file" in sentence or "symbolic links" in sentence, sentence
        assert "is not a memwhy recording" in await client.refused("explain", file="offered/bad.memwhy")
        assert "not a moment" in await client.refused("explain", file="offered/cut.memwhy", **{"from": "noon"})
        assert "no pid" in await client.refused("explain", file="offered/ign\\x1b[31more.memwhy", pid=1)
        assert "unknown argument" in await client.refused("explain", file="offered/bad.memwhy", path="/etc/passwd")
        answer = await client.call("explain", file="offered/ign\\x1b[31more.memwhy")
        assert answer["pid"] == steps.pid, answer

    Client(case, "offered").run(talk)


def test_a_limit_of_one_answer_is_not_the_servers_end(case):
    """Each answer has the limits of a file; one that would take more is an error, and the next one is answered."""
    steps = Steps(case)
    recorded(case, steps, "r.memwhy", 8)

    async def talk(client):
        for _ in range(2):
            assert "it takes more than 64.0 KiB of memory to read" in await client.refused("explain", file="r.memwhy")
            assert (await client.call("list"))["recordings"][0]["file"] == "r.memwhy"

    Client(case, "r.memwhy", "--max-memory", "64K").run(talk)
    case.fails(6, "No such file", arguments=["mcp", "missing.memwhy"], cwd=case.folder)


def test_a_problem_is_first(case):
    """The goroutine leak: the claim and the remedy are in the first 2 KB, whole."""
    jobs = case.hourly_job("debian", "-period", "1ms", "-runs", 4)
    jobs.done()
    case.memwhy("record", "-p", jobs.pid, "-d", 11, "-o", "r.memwhy", cwd=case.folder)  # 10 s is what makes waiting long
    process = only_process(case.explain("r.memwhy", cwd=case.folder))
    wanted = problems(process)[0]

    async def talk(client):
        answer = await client.call("explain", file="r.memwhy")
        check_explained(answer, process)
        first = answer["findings"][0]
        assert first["id"] == wanted["id"] == "goroutine-leak" and first["remedy"] == wanted["remedy"], (first, wanted)

    Client(case, "r.memwhy").run(talk)
