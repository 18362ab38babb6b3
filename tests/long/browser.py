"""Checks pages in headless Chromium: `python -m tests.long.browser FILE...` exits with 1 after a fault.

Faults are: an error on the console, an image that did not load, a request to anything but the file, or, on a phone,
a page wider than the screen. Commands are sent over a pipe, in the protocol of the developer tools.
"""

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
SECONDS = 60
BROKEN = "[...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.alt || i.src.slice(0, 60))"


class Browser:
    """A Chromium with one empty tab, and its events so far."""

    def __init__(self, to: int, back: int) -> None:
        self.to, self.back, self.rest, self.number = to, back, b"", 0
        self.session, self.events = None, []
        tab = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params):
        """Send a command and return its result; events in between are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda message: message.get("id") == self.number)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, page: Path) -> None:
        """Open a file and wait until it is loaded; earlier events are dropped."""
        self.events = []
        self.ask("Page.navigate", url=page.resolve().as_uri())
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def value(self, expression: str):
        """Return the value of a JavaScript expression in the page, after its promises are resolved."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def _until(self, wanted):
        """Read until a message is the wanted one, and return it; all others are kept as events."""
        deadline = time.monotonic() + SECONDS
        while True:
            head, zero, tail = self.rest.partition(b"\0")
            if not zero:
                ready, _, _ = select.select([self.back], [], [], max(0.0, deadline - time.monotonic()))
                chunk = os.read(self.back, 1 << 20) if ready else b""
                assert chunk, "Chromium does not answer"
                self.rest += chunk
                continue
            self.rest = tail
            message = json.loads(head)
            if "method" in message:
                self.events.append(message)
            if wanted(message):
                return message


@contextmanager
def browser():
    """Yield a `Browser` with its own profile; it ends with the block."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert binary, "there is no Chromium: apt-get install chromium"
    # Chromium reads commands from its file 3 and answers on 4
    (theirs_in, ours_out), (ours_in, theirs_out) = (
        [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in os.pipe()] for _ in range(2)
    )
    # helper processes may still write into the profile after Chromium has ended
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "--no-first-run",
        ]
        process = subprocess.Popen(
            [binary, *options, "about:blank"],
            pass_fds=(3, 4),
            preexec_fn=lambda: (os.dup2(theirs_in, 3), os.dup2(theirs_out, 4)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in), os.close(theirs_out)
        try:
            yield Browser(ours_out, ours_in)
        finally:
            process.terminate()
            process.wait(SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def faults(chromium: Browser, page: Path) -> list[str]:
    """Return the faults of a page, opened from disk, on a desktop and on a phone."""
    chromium.ask("Emulation.clearDeviceMetricsOverride")
    chromium.open(page)
    found = [f"image not loaded: {image}" for image in chromium.value(BROKEN)]
    chromium.ask("Emulation.setDeviceMetricsOverride", **PHONE)
    chromium.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    wide = chromium.value("document.documentElement.scrollWidth")
    if wide > PHONE["width"]:
        found.append(f"{wide} pixels wide on a phone of {PHONE['width']}")
    return found + [text for event in chromium.events if (text := fault(event["method"], event["params"]))]


def fault(method: str, what: dict) -> str:
    """Return the fault that an event reports, or an empty string."""
    if method == "Runtime.exceptionThrown":
        return f"exception: {what['exceptionDetails'].get('exception', {}).get('description', what)}"
    if method == "Runtime.consoleAPICalled" and what["type"] in ("error", "assert"):
        return f"console: {[part.get('value') for part in what['args']]}"
    if method == "Log.entryAdded" and what["entry"]["level"] == "error":
        return f"log: {what['entry']['text']} {what['entry'].get('url', '')}"
    if method == "Network.requestWillBeSent" and what["request"]["url"].startswith(("http", "ws", "ftp")):
        return f"asks for {what['request']['url']}"
    return ""


if __name__ == "__main__":
    with browser() as opened:
        wrong = {page: faults(opened, Path(page)) for page in sys.argv[1:]}
    for page, found in wrong.items():
        print(f"{page}: {'; '.join(found) or 'no faults'}")
    sys.exit(any(wrong.values()))
