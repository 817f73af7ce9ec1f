# SPDX-License-Identifier: Apache-2.0
"""A page in headless Chromium, by its own protocol over a pair of pipes: no port, no driver, no network.

What it is: one page, evaluated and photographed, with everything that went wrong in it. What it is not: what a page should say.
"""
import base64
import json
import os
import pathlib
import select
import signal
import shutil
import subprocess
import time

from support import DEADLINE, absent

# Nothing can be reached: every name resolves to nothing, and so does every address.
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
           "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:1", "--remote-debugging-pipe"]


class Page:
    """with Page(folder, file, width=1280, height=800, dark=False) as page: page.value("document.title")"""

    def __init__(self, folder, file, *, width=1280, height=800, dark=False):
        program = shutil.which("chromium")
        if program is None:
            absent("chromium is not installed")
        self.folder, self.file, self.size, self.dark = pathlib.Path(folder), pathlib.Path(file).resolve(), (width, height), dark
        self.problems, self.requests, self._buffer, self._number = [], [], b"", 0
        out, self._to = os.pipe()
        self._from, into = os.pipe()

        def as_three_and_four():  # what --remote-debugging-pipe reads and writes
            kept = os.dup(out), os.dup(into)
            os.dup2(kept[0], 3)
            os.dup2(kept[1], 4)
            os.closerange(5, 64)

        self._log = open(self.folder / "chromium.log", "ab")
        self._process = subprocess.Popen([program, *OPTIONS, f"--user-data-dir={self.folder / 'chromium'}"], preexec_fn=as_three_and_four, close_fds=False,
                                         stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True)
        os.close(out)
        os.close(into)

    def __enter__(self):
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self._call("Emulation.setDeviceMetricsOverride", width=self.size[0], height=self.size[1], deviceScaleFactor=1, mobile=self.size[0] < 500)
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"}])
        self._call("Page.navigate", url=self.file.as_uri())
        self.until("document.getElementById('page')?.getAttribute('aria-busy') === 'false'")
        return self

    def __exit__(self, *_):
        # Its children write into its folder, which the caller removes: all of them end first.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for end in (self._to, self._from):
            os.close(end)
        self._log.close()

    _session = None

    def _call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | ({"sessionId": self._session} if self._session else {})
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _next(self):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], DEADLINE)
            assert ready, "chromium does not answer"
            read = os.read(self._from, 1 << 20)
            assert read, "chromium ended"
            self._buffer += read
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event):
        """Whatever is an error to somebody who has the console open."""
        method, what = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(what["exceptionDetails"].get("exception", {}).get("description") or what["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
            self.problems.append(str(what["args"]))
        elif method == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.problems.append(what["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])

    def value(self, expression):
        """Of an expression of JavaScript, awaited."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, expression):
        """Waits for it to be true, frame by frame."""
        deadline = time.monotonic() + DEADLINE
        while not self.value(f"new Promise(done => requestAnimationFrame(() => done(!!({expression}))))"):
            assert time.monotonic() < deadline, f"never true: {expression}; problems {self.problems}; {self.value('document.querySelector(`.summary`)?.textContent')}"

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, **({"text": key} if len(key) == 1 and kind == "keyDown" else {}))

    def click(self, x, y, to=None):
        """A click, or a drag from (x, y) to `to`; both within the window."""
        button = {"button": "left", "clickCount": 1}
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self._call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **button)
        if to:
            self._call("Input.dispatchMouseEvent", type="mouseMoved", x=(x + to[0]) / 2, y=y, button="left", buttons=1)
            self._call("Input.dispatchMouseEvent", type="mouseMoved", x=to[0], y=to[1], button="left", buttons=1)
        self._call("Input.dispatchMouseEvent", type="mouseReleased", x=(to or (x, y))[0], y=(to or (x, y))[1], **button)

    def media(self, name):
        self._call("Emulation.setEmulatedMedia", media=name, features=[])

    def picture(self, path, whole=False):
        data = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole,
                          **({"clip": {"x": 0, "y": 0, "width": self.size[0], "height": self.value("document.documentElement.scrollHeight"), "scale": 1}} if whole else {}))
        pathlib.Path(path).write_bytes(base64.b64decode(data["data"]))
