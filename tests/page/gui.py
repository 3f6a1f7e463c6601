"""Syncthing's own page in a browser, and the words that it shows for each `status`."""

import json
import re
from collections.abc import Mapping
from typing import Any

import requests

from stbridge.core.model import short_id
from stbridge.demo.node import SyncthingNode
from stbridge.homeassistant.devices import STATUS as DEVICE_WORDS
from stbridge.homeassistant.folders import STATUS as FOLDER_WORDS
from tests.browser import Browser
from tests.scene import Scene
from tests.servers import PATIENCE_S, eventually

WIDTH, HEIGHT = 1280, 1600

SCOPE = "angular.element(document.documentElement).scope()"
"""The variables and functions of the page."""

TITLES = """
Array.from(document.querySelectorAll(".panel-title"))
    .map((title) => [title.querySelector(".panel-title-text"), title.querySelector(".pull-right")])
    .filter(([name, status]) => name && status)
    .map(([name, status]) => [name.innerText.trim(), status.innerText.trim()])
"""
"""The name and the status at the right edge of each folder and each remote device."""

_AMOUNT = re.compile(r"\s*\(\d.*", re.DOTALL)
"""What follows the word of a running scan or sync: `Syncing (45%, 3 MiB)`."""

_IN_HTML = re.compile(
    r"""ng-switch-when="(?P<code>[a-z-]+)">\s*<span class="hidden-xs"[^>]*>(?:\{\{')?(?P<word>[^<'{]+)"""
)

CODES: Mapping[str, Mapping[str, str]] = {
    "folder": {
        "up_to_date": "idle",
        "out_of_sync": "outofsync",
        "failed_items": "faileditems",
        "local_additions": "localadditions",
        "unexpected_items": "localunencrypted",
    },
    "device": {"up_to_date": "insync", "disconnected_inactive": "disconnected-inactive"},
}
"""What `folderStatus` and `deviceStatus` of the page return for a `status`, if that is another word."""

UNUSED = {"unused-insync": "unused", "unused-disconnected": "unused", "unused-paused": "paused"}
STATUSES = {code: status for codes in CODES.values() for status, code in codes.items()} | UNUSED
"""The `status` for what these functions return."""

UNUSED_WORDS: Mapping[bool, str] = {True: "Connected (Unused)", False: "Disconnected (Unused)"}
"""The words of an unused device, by the key `connected`, which the bridge publishes beside `status`."""

INACTIVE_SINCE, INACTIVE_IF_NEVER_SEEN_SINCE, STARTING_SINCE = (1, 22, 2), (1, 29, 6), (2, 1, 0)
"""The versions of Syncthing whose pages were the first to have a word: all differences between the pages."""


def release(version: str) -> tuple[int, ...]:
    """Return the parts of a version."""
    return tuple(int(part) for part in version.split("."))


def shown_status(version: str, status: str, *, seen: bool) -> str:
    """Return the status whose word the page of a version of Syncthing shows for a `status`.

    Args:
        version: the version of Syncthing.
        status: the published status.
        seen: whether the device was ever connected.
    """
    since = INACTIVE_SINCE if seen else INACTIVE_IF_NEVER_SEEN_SINCE
    return "disconnected" if status == "disconnected_inactive" and release(version) < since else status


class Page:
    """The page of a Syncthing instance, compared with what the bridge publishes about it.

    Args:
        browser: shows the page.
        scene: the instances and their topics.
    """

    def __init__(self, browser: Browser, scene: Scene) -> None:
        self._browser = browser
        self._scene = scene
        self._of = scene.pair.a

    def open(self, node: SyncthingNode) -> "Page":
        """Open the page of an instance, and wait until it shows all folders."""
        self._of = node
        self._browser.open(f"{node.url}/", WIDTH, HEIGHT)
        labels = {folder["label"] for folder in node.request("GET", "/rest/config")["folders"]}
        eventually(lambda: labels <= self.words().keys())
        return self

    def words(self) -> dict[str, str]:
        """Return the word that it shows for each folder and remote device, by label and name."""
        if not self._browser.evaluate(f"location.href.startsWith('{self._of.url}') && !!window.angular"):
            return {}
        return {name: _AMOUNT.sub("", status) for name, status in self._browser.evaluate(TITLES)}

    def words_in_html(self, codes: Mapping[str, str]) -> dict[str, str | None]:
        """Return the words in the HTML of an older page, which has no function for them.

        Args:
            codes: what the page calls each status.
        """
        html = requests.get(f"{self._of.url}/", timeout=PATIENCE_S).text
        words = {found["code"]: found["word"] for found in _IN_HTML.finditer(html)}
        return {status: words.get(code) for status, code in codes.items()}

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page, in which `scope` are the variables of the page."""
        return self._browser.evaluate(f"((scope) => {{ {expression} }})({SCOPE})")

    def call(self, function: str, *arguments: Any) -> Any:
        """Call one of the functions of the page."""
        return self.value(f"return scope.{function}(...{json.dumps(arguments)})")

    def shows_folder(self, folder: str, label: str, status: str) -> None:
        """Wait until the bridge publishes a status of a folder, and the page shows the word of this status."""
        self._agrees(f"{self._of.name}/folder/{folder}", label, status, FOLDER_WORDS[status])

    def shows_device(self, node: SyncthingNode, status: str, timeout_s: float = PATIENCE_S) -> None:
        """Do the same for a remote device."""
        self.shows_absent_device(node.device_id, node.name, status, timeout_s)

    def shows_absent_device(self, device: str, name: str, status: str, timeout_s: float = PATIENCE_S) -> None:
        """Do the same for a remote device that may not exist, given its ID and name."""
        topic = f"{self._of.name}/device/{short_id(device)}"
        payload = self._scene.until(topic, timeout_s, status=status)
        seen = payload["last_seen_at"] is not None
        shown = shown_status(self._scene.pair.version, status, seen=seen)
        word = UNUSED_WORDS[payload["connected"]] if status == "unused" else DEVICE_WORDS[shown]
        self._agrees(topic, name, status, word)

    def _agrees(self, topic: str, name: str, status: str, word: str) -> None:
        seen: dict[str, Any] = {}

        def agrees() -> bool:
            seen["published"], seen["shown"] = self._scene.latest(topic).get("status"), self.words().get(name)
            return bool(seen["published"] == status and (seen["shown"] or "").casefold() == word.casefold())

        eventually(agrees, found=seen)
