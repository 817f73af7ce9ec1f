# SPDX-License-Identifier: Apache-2.0
"""memwhy agent in a folder of its own, with its minutes made seconds by configuration."""
import contextlib
import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from support import DEADLINE

# Times and sizes of a node, smaller; one budget that a loaded machine cannot exceed.
QUICK = {"window": "20s", "growth": "24M", "keep": "2m", "min-rss": "8M", "cool-down": "10s", "max-per-hour": 1000, "budget": "100%",
         "memory": "4G"}


TOKEN = "a-token-of-this-test-alone"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Agent:
    """Started, and watching: it has said so."""

    def __init__(self, case, **settings):
        self.case, self.port = case, free_port()
        self.folder, self.socket = case.folder / "agent", case.folder / "agent.sock"
        self.file = case.folder / "agent.toml"
        self.token_file = case.folder / "token"
        self.token_file.write_text(TOKEN + "\n")
        self.token_file.chmod(0o600)
        self.with_token = {"Authorization": f"Bearer {TOKEN}"}
        self.write(**settings)
        self.lines = []
        self.start()

    def write(self, **settings):
        """The configuration, which a running agent reads again on SIGHUP."""
        all_ = QUICK | {"dir": str(self.folder), "socket": str(self.socket), "listen": f"127.0.0.1:{self.port}",
                        "token-file": str(self.token_file)}
        all_ |= {name.replace("_", "-"): value for name, value in settings.items()}
        self.file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in all_.items()))

    def start(self):
        # Into a file: nobody reads a pipe while the scenario waits for something else.
        self.log = open(self.case.folder / "agent.log", "a+")
        before = self.log.tell()
        self.process = self.case.start([self.case.program, "agent", "--config", self.file], stderr=self.log)
        self.until("agent: watching", after=before)

    def said(self, after=0):
        with open(self.log.name) as log:
            log.seek(after)
            return log.read()

    def until(self, words, after=0):
        """It has said this."""
        self.wait(lambda: words in self.said(after) or self.process.poll() is not None, f"the agent says {words!r}")
        assert words in self.said(after), f"the agent ended: {self.said(after)}"

    def wait(self, condition, what):
        """Polls; gives what the condition was at last."""
        end = time.monotonic() + DEADLINE
        while not (found := condition()):
            assert time.monotonic() < end, f"not within {DEADLINE} s: {what}; it said: {self.said()}"
            time.sleep(0.2)
        return found

    def ask(self, *words, status=0):
        out, err = self.case.memwhy("agent", *words, "--socket", self.socket, status=status)
        return out if status == 0 else err

    def get(self, path, status=200, **headers):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                assert answer.status == status, (path, answer.status)
                return answer.read().decode("latin-1")
        except urllib.error.HTTPError as error:
            assert error.code == status, (path, error.code)
            return error.read().decode()

    def status(self, path, **headers):
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers), timeout=DEADLINE) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def metric(self, name, **labels):
        """Its samples with these labels, by all of their labels."""
        found = {}
        for line in self.get("/metrics").splitlines():
            key, _, value = line.rpartition(" ")
            if key.partition("{")[0] == name and all(f'{label}="{text}"' in key for label, text in labels.items()):
                found[key] = float(value)
        return found

    def recordings(self, unit="", cause=""):
        """Closed ones, oldest first."""
        return sorted(self.folder.glob(f"*_{unit or '*'}_*_{cause or '*'}.memwhy"), key=lambda file: file.stat().st_mtime_ns)

    def is_recorded(self, pid):
        return f"recording pid {pid} " in self.said()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=DEADLINE) == 0, self.said()


@contextlib.contextmanager
def agent(case, **settings):
    running = Agent(case, **settings)
    try:
        yield running
    finally:
        case.log.append((["memwhy", "agent"], running.process.poll(), "", running.said()[-6000:]))
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(timeout=10)
