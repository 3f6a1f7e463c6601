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
    if (node === null) return "";  // the page is being loaded
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (["SCRIPT", "STYLE"].includes(node.tagName)) return "";
    if (node instanceof Element && getComputedStyle(node).display === "none") return "";
    const children = node.tagName === "SLOT" ? node.assignedNodes() : (node.shadowRoot || node).childNodes;
    return Array.from(children, text).join(" ");
})(document.body)
"""
"""Returns the visible text of a page; `innerText` omits the shadow roots of web components."""

NAME = "(one.getAttribute('aria-label') || one.textContent).trim()"
"""The accessible name of a button."""


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

    def open(self, url: str, width: int, height: int, *, mobile: bool = False) -> None:
        """Open a page in a window of this size, or on a phone."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self._ask("Page.navigate", url=url)

    def prepare(self, script: str) -> None:
        """Run a script in each page that is opened from now on, before its own scripts."""
        self._ask("Page.enable")
        self._ask("Page.addScriptToEvaluateOnNewDocument", source=script)

    def prefer(self, **features: str) -> None:
        """Set preferences of the user, such as `prefers_color_scheme="dark"`."""
        values = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self._ask("Emulation.setEmulatedMedia", features=values)

    def slow_down(self, factor: float) -> None:
        """Make the processor of the page this many times slower."""
        self._ask("Emulation.setCPUThrottlingRate", rate=factor)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page, which may be a promise."""
        answer = self._ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key with a name, such as `Tab` or `Enter`."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowRight": 39, "ArrowLeft": 37}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for type_ in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=type_, key=key, code=key, windowsVirtualKeyCode=code, **text)
            text = {}

    def type(self, text: str) -> None:
        """Enter a text into the focused field."""
        self._ask("Input.insertText", text=text)

    def remember(self, url: str, values: Mapping[str, Any]) -> None:
        """Set values in the local storage of a server; the URL is that of any of its files."""
        self._ask("Page.navigate", url=url)
        eventually(lambda: self.evaluate("location.href") == url)
        self.evaluate(f"Object.entries({json.dumps(values)}).forEach(([key, value]) => localStorage[key] = value)")

    def text(self) -> str:
        """Return the visible text of the page, with single spaces."""
        return " ".join(str(self.evaluate(TEXT)).split())

    def wait_for(self, *texts: str) -> None:
        """Wait until the page shows all of these texts."""
        try:
            eventually(lambda: all(one in self.text() for one in texts))
        except AssertionError:
            raise AssertionError(f"the page does not show all of {texts}, but: {self.text()}") from None

    def click(self, name: str) -> None:
        """Click a button by its accessible name with the mouse; it must be visible, enabled and not covered."""
        find = f"Array.from(document.querySelectorAll('button')).find((one) => {NAME} === {json.dumps(name)})"
        middle = f"""(() => {{
            const button = {find};
            if (!button || button.disabled) return null;
            button.scrollIntoView({{ block: "center" }});
            const {{ left, top, width, height }} = button.getBoundingClientRect();
            const [x, y] = [left + width / 2, top + height / 2];
            return button.contains(document.elementFromPoint(x, y)) ? JSON.stringify({{ x, y }}) : null;
        }})()"""
        point = json.loads(eventually(lambda: self.evaluate(middle)))
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **point)

    def write(self, name: str, text: str) -> None:
        """Replace the text of an input field, which is found by its accessible name."""
        field = f"document.querySelector({json.dumps(f'[aria-label={json.dumps(name)}]')})"
        eventually(lambda: self.evaluate(f"Boolean({field})"))
        self.evaluate(f"{field}.focus(); {field}.select()")
        self._ask("Input.insertText", text=text)
        if not text:
            self.evaluate(f"{field}.value = ''; {field}.dispatchEvent(new Event('input'))")

    def screenshot(self, target: Path) -> None:
        """Write a picture of the page, once it has loaded nothing and shown nothing new for two seconds."""
        seen: list[object] = [None]

        def still() -> bool:
            words = "".join(one for one in self.text() if not one.isdigit())  # "5 seconds ago" always changes
            seen.append((words, self.evaluate("performance.getEntriesByType('resource').length")))
            return seen[-1] == seen[-2] or self._pause.wait(2)

        eventually(still)
        self.capture(target)

    def capture(self, target: Path) -> None:
        """Write a picture of the page as it is now."""
        target.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))

    def _ask(self, method: str, **arguments: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": arguments}))
        while (answer := json.loads(self._socket.recv(PATIENCE_S))).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]
