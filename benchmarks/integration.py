"""Home Assistant's own Syncthing integration, if the Home Assistant of the tests is installed."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from benchmarks.receipts import Receipts
from stbridge.demo.node import SyncthingNode
from tests.homeassistant.hass import HASS, HomeAssistant
from tests.servers import eventually

TOPIC = "Home Assistant"
PAUSED = "paused"

STAND_IN = """
import sys, types
sys.modules["deprecated"] = types.ModuleType("deprecated")
sys.modules["deprecated"].deprecated = lambda reason: lambda function: function
"""
"""Replacement for `deprecated`, which aiosyncthing imports without declaring it; Home Assistant's images contain it."""


def missing() -> str | None:
    """Return why the integration cannot be measured; None if it can."""
    return None if HASS.exists() else "Home Assistant is not installed, `scripts/homeassistant` installs it"


def version() -> str:
    """Return the version of Home Assistant."""
    return _version_of("homeassistant")


def library() -> str:
    """Return the version of the Syncthing library that the integration installs."""
    return _version_of("aiosyncthing")


def _version_of(package: str) -> str:
    found = HASS.parent.parent.glob(f"lib/python*/site-packages/{package}-*.dist-info")
    return next((path.name.removesuffix(".dist-info").partition("-")[2] for path in found), "unknown")


@contextmanager
def watching(directory: Path, node: SyncthingNode, receipts: Receipts) -> Iterator[None]:
    """Let a Home Assistant follow a Syncthing instance, and record all states of its folder sensors."""
    hass = HomeAssistant(directory)
    package = directory / "custom_components/__init__.py"  # Home Assistant imports it first
    package.parent.mkdir(parents=True)
    package.write_text(STAND_IN, encoding="utf-8")
    try:
        hass.set_up()
        sensors = _add(hass, node)
        with connect(f"ws://127.0.0.1:{hass.port}/api/websocket", max_size=None) as socket:
            _subscribe(socket, hass.token, list(sensors))
            thread = threading.Thread(target=_follow, args=(socket, sensors, receipts), daemon=True)
            thread.start()
            yield
        thread.join(30)
    finally:
        hass.stop()


def _add(hass: HomeAssistant, node: SyncthingNode) -> Mapping[str, str]:
    """Add the integration as the web page does, and return the folder of each sensor."""
    flow = hass.request("POST", "/api/config/config_entries/flow", {"handler": "syncthing"})
    given = {"url": node.url, "token": node.api_key, "verify_ssl": False}
    result = hass.request("POST", f"/api/config/config_entries/flow/{flow['flow_id']}", given)
    assert result["type"] == "create_entry", result
    folders = {folder["id"] for folder in node.request("GET", "/rest/config/folders")}

    def sensors() -> Mapping[str, str] | None:
        found = {name: one["attributes"]["id"] for name, one in hass.states().items() if "id" in one["attributes"]}
        mine = {name: folder for name, folder in found.items() if folder in folders}
        return mine if set(mine.values()) == folders else None

    there: Mapping[str, str] = eventually(sensors)
    return there


def _subscribe(socket: Connection, token: str, entities: Sequence[str]) -> None:
    trigger = {"platform": "state", "entity_id": entities}
    socket.recv()
    socket.send(json.dumps({"type": "auth", "access_token": token}))
    socket.recv()
    socket.send(json.dumps({"id": 1, "type": "subscribe_trigger", "trigger": trigger}))
    assert json.loads(socket.recv())["success"]


def _follow(socket: Connection, sensors: Mapping[str, str], receipts: Receipts) -> None:
    with suppress(ConnectionClosed):
        while True:
            trigger = json.loads(socket.recv())["event"]["variables"]["trigger"]
            receipts.put(f"{TOPIC}/{sensors[trigger['entity_id']]}", json.dumps(trigger["to_state"]["state"]).encode())
