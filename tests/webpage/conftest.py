"""The web page in a real browser: of made-up bridges, and of a real bridge with two real Syncthing instances."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stbridge.demo.node import SyncthingNode
from tests.browser import Browser
from tests.servers import ROOT, BridgeProcess, Mosquitto, eventually, instance, manifest
from tests.web.serving import web_page

TOOLS = Path(os.environ.get("WEB_TOOLS", ROOT / ".cache/web-tools"))
AXE = TOOLS / "node_modules/axe-core/axe.min.js"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

WATCH = """
window.faults = [];
addEventListener("securitypolicyviolation", (event) => faults.push(`${event.violatedDirective}: ${event.blockedURI}`));
addEventListener("error", (event) => faults.push(String(event.message)));
addEventListener("unhandledrejection", (event) => faults.push(String(event.reason)));
"""


class PageBrowser(Browser):
    """A browser that records faults of the page: violations of its policy, and errors of its scripts."""

    def show(self, url: str, width: int = 1280, height: int = 900) -> None:
        """Open the page; a narrow window is a phone."""
        self.open(url, width, height, mobile=width < 600)

    def button(self, name: str) -> str:
        """Return an expression for the button with an accessible name."""
        buttons = "[...document.querySelectorAll('button, summary')]"
        return f"{buttons}.find((one) => (one.ariaLabel ?? one.textContent.trim()) === {json.dumps(name)})"

    def click(self, name: str) -> None:
        """Click the button with an accessible name, when it exists."""
        eventually(lambda: self.evaluate(f"{self.button(name)} !== undefined"), found=f"the button {name}")
        self.evaluate(f"{self.button(name)}.click()")

    def has(self, name: str) -> bool:
        """Return whether there is a button with this name."""
        return bool(self.evaluate(f"{self.button(name)} !== undefined"))

    def fill(self, selector: str, text: str) -> None:
        """Enter a text into a field."""
        eventually(lambda: self.evaluate(f"document.querySelector({json.dumps(selector)}) !== null"))
        self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        self.type(text)

    def faults(self) -> list[str]:
        """Return the faults of the page."""
        found: list[str] = self.evaluate("window.faults")
        return found

    def violations(self) -> list[str]:
        """Return what axe finds on the page."""
        self.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
        options = json.dumps({"runOnly": {"type": "tag", "values": RULES}})
        found = self.evaluate(f"axe.run(document, {options}).then((one) => JSON.stringify(one.violations))")
        return [f"{one['id']}: {node['html'][:200]}" for one in json.loads(found) for node in one["nodes"]]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        return int(self.evaluate("document.scrollingElement.scrollWidth - innerWidth"))


@pytest.fixture(scope="session")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageBrowser]:
    """A browser for all tests."""
    browser = PageBrowser(tmp_path_factory.mktemp("browser"))
    browser.start()
    browser.prepare(WATCH)
    yield browser
    browser.stop()


@pytest.fixture
def browser(one_browser: PageBrowser) -> Iterator[PageBrowser]:
    """A browser that has no faults at the end of the test."""
    one_browser.prefer(prefers_color_scheme="light")
    yield one_browser
    assert one_browser.faults() == []
    one_browser.open("about:blank", 800, 600)


@dataclass(frozen=True, slots=True)
class World:
    """Two real Syncthing instances that share the folder `photos`, their bridge, and the page of both."""

    broker: Mosquitto
    bridge: BridgeProcess
    nodes: tuple[SyncthingNode, SyncthingNode]
    photos: Path
    url: str


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start everything once for all tests."""
    directory = tmp_path_factory.mktemp("world")
    for name in ("broker", "bridge"):
        (directory / name).mkdir()
    with ExitStack() as stack:
        broker = Mosquitto(directory / "broker").start()
        stack.callback(broker.stop)
        program = list(manifest()["syncthing"].values())[-1]
        nodes = tuple(SyncthingNode(name, directory / name / "home", program) for name in ("laptop", "nas"))
        for node in nodes:
            stack.callback(node.stop)
            node.start()
        laptop, nas = nodes
        laptop.link(nas)
        for here, there in ((laptop, nas), (nas, laptop)):
            here.share("photos", directory / here.name / "photos", label="Photos", devices=[there])
        variables: dict[str, Any] = {
            "STBRIDGE_MQTT__PORT": str(broker.port),
            "STBRIDGE_COMMANDS__ALLOW": '["read", "operate"]',
        }
        for node in nodes:
            variables |= instance(node.name, node)
        bridge = BridgeProcess(directory / "bridge", variables).start()
        stack.callback(bridge.stop)
        allow = ("scan", "pause", "resume", "clear_errors", "accept_device", "dismiss_device")
        page = stack.enter_context(web_page(broker.port, allow=allow))
        yield World(broker, bridge, (laptop, nas), directory / "laptop/photos", page.url)
