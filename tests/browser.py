"""A headless Chromium that shows pages of servers on this machine; controlled by the DevTools protocol."""

import base64
import itertools
import json
import shutil
import subprocess
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests
from websockets.sync.client import connect

from tests.servers import PATIENCE_S, eventually

OPTIONS = (
    "--headless",
    "--no-sandbox",  # Chromium's sandbox does not work as root
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-address=127.0.0.1",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # a page cannot load anything from elsewhere
)
TEXT = """
(function text(node) {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (["SCRIPT", "STYLE"].includes(node.tagName)) return "";
    if (node instanceof Element && getComputedStyle(node).display === "none") return "";
    const children = node.tagName === "SLOT" ? node.assignedNodes() : (node.shadowRoot || node).childNodes;
    return Array.from(children, text).join(" ");
})(document.body)
"""
"""Returns the visible text of a page; `innerText` omits the shadow roots of web components."""


def chromium() -> str | None:
    """Return the path of Chromium, or None if it is not installed."""
    return shutil.which("chromium")


class Browser:
    """A Chromium process with an empty profile and one page.

    Args:
        directory: an empty directory for its profile.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)
        self._stack = ExitStack()
        self._pause = threading.Event()

    def start(self) -> "Browser":
        """Start it, and connect to its page."""
        program = chromium()
        assert program is not None, "call chromium() first"
        process = subprocess.Popen(
            [program, *OPTIONS, f"--user-data-dir={self._directory}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._stack.callback(process.wait, PATIENCE_S)
        self._stack.callback(process.terminate)
        file = self._directory / "DevToolsActivePort"
        port = eventually(lambda: file.exists() and file.read_text(encoding="utf-8").partition("\n")[0])
        pages = requests.get(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE_S).json()
        address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        self._socket = self._stack.enter_context(connect(address, max_size=None))
        return self

    def stop(self) -> None:
        """Stop it."""
        self._stack.close()

    def open(self, url: str, width: int, height: int) -> None:
        """Open a page in a window of this size."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._ask("Page.navigate", url=url)

    def remember(self, url: str, values: Mapping[str, Any]) -> None:
        """Set values in the local storage of a server; the URL is that of any of its files."""
        self._ask("Page.navigate", url=url)
        eventually(lambda: self._evaluate("location.href") == url)
        self._evaluate(f"Object.entries({json.dumps(values)}).forEach(([key, value]) => localStorage[key] = value)")

    def text(self) -> str:
        """Return the visible text of the page, with single spaces."""
        return " ".join(str(self._evaluate(TEXT)).split())

    def wait_for(self, *texts: str) -> None:
        """Wait until the page shows all of these texts."""
        try:
            eventually(lambda: all(one in self.text() for one in texts))
        except AssertionError:
            raise AssertionError(f"the page does not show all of {texts}, but: {self.text()}") from None

    def screenshot(self, target: Path) -> None:
        """Write a picture of the page, once it has loaded nothing and shown nothing new for two seconds."""
        seen: list[object] = [None]

        def still() -> bool:
            words = "".join(one for one in self.text() if not one.isdigit())  # "5 seconds ago" always changes
            seen.append((words, self._evaluate("performance.getEntriesByType('resource').length")))
            return seen[-1] == seen[-2] or self._pause.wait(2)

        eventually(still)
        target.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))

    def _evaluate(self, expression: str) -> Any:
        return self._ask("Runtime.evaluate", expression=expression)["result"].get("value")

    def _ask(self, method: str, **arguments: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": arguments}))
        while (answer := json.loads(self._socket.recv(PATIENCE_S))).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]
