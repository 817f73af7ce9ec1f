# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus, with the rules that memwhy gives away (tools/packaging/fleet), over agents of a scenario."""
import contextlib
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request

from support import DEADLINE, ROOT, absent

FLEET = ROOT / "tools/packaging/fleet"


def free_ports(count):
    """Ports that nobody has. They are taken by other programs a moment later, which say so if somebody was faster."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def fetched(url):
    with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
        return answer.read().decode()


def until(condition, what, *processes):
    """Polls: others' programs have no other way to say that they are so far."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        for process in processes:
            assert process.poll() is None, f"{process.args[0]} ended with status {process.returncode}, waiting for {what}"
        with contextlib.suppress(OSError):
            if (found := condition()):
                return found
        time.sleep(0.2)
    raise AssertionError(f"not within {DEADLINE} s: {what}")


class Prometheus:
    def __init__(self, case, targets):
        if shutil.which("prometheus") is None:
            absent("prometheus is not installed")
        [self.port] = free_ports(1)
        folder = case.folder / "prometheus"
        folder.mkdir()
        # The same rules, but that an alert waits for nothing: how long each waits is what promtool's tests are about.
        rules = re.sub(r"^( +for: ).*$", r"\g<1>0s", (FLEET / "memwhy.rules.yml").read_text(), flags=re.M)
        (folder / "memwhy.rules.yml").write_text(rules)
        configuration = (FLEET / "prometheus.yml").read_text().replace("15s", "1s")
        configuration = re.sub(r"targets: .*", "targets: " + json.dumps([f"127.0.0.1:{port}" for port in targets]), configuration)
        (folder / "prometheus.yml").write_text(configuration)
        self.process = case.start(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/db",
                                   f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"], stderr=subprocess.DEVNULL)

    def query(self, text):
        """[(labels, value)]; an error is one."""
        answer = json.loads(fetched(f"http://127.0.0.1:{self.port}/api/v1/query?query={urllib.parse.quote(text)}"))
        assert answer["status"] == "success", answer
        return [(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]]

    def firing(self):
        """{(alert, unit)}"""
        return {(labels["alertname"], labels["unit"]) for labels, _ in self.query('ALERTS{alertstate="firing", unit!=""}')}
