"""A large setup with 50 folders and 10 devices, in which each part is restarted in turn."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest

from stbridge.demo.node import SyncthingNode
from tests.homeassistant.conftest import FIGURES, House, variables
from tests.homeassistant.dashboards import entity_ids, import_dashboard, shown
from tests.homeassistant.hass import HomeAssistant
from tests.servers import BridgeProcess, Mosquitto, eventually, manifest

FOLDERS = 50
DEVICES = 10
FIRST_S = 30.0
AGAIN_S = 30.0
MOST_CARDS = 60
MOST_LINES = 20


def device_id(seed: str) -> str:
    """Return a device ID that Syncthing accepts: base32 with a check digit after every 13 letters."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    text = base64.b32encode(hashlib.sha256(seed.encode()).digest()).decode().rstrip("=")
    parts = []
    for start in range(0, len(text), 13):
        part = text[start : start + 13]
        products = [letters.index(letter) * (1 + place % 2) for place, letter in enumerate(part)]
        check = -sum(product // 32 + product % 32 for product in products) % 32
        parts.append(part + letters[check])
    joined = "".join(parts)
    return "-".join(joined[start : start + 7] for start in range(0, len(joined), 7))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Return a setup with many folders and devices, in which bridge and Home Assistant have just started."""
    directory = tmp_path_factory.mktemp("large")
    (directory / "broker").mkdir()
    node = SyncthingNode("large", directory / "home", list(manifest()["syncthing"].values())[-1], monitor=True)
    broker, hass = Mosquitto(directory / "broker"), HomeAssistant(directory / "hass")
    bridge = BridgeProcess(directory, {})
    try:
        broker.start()
        node.start()
        _configure(node, directory)
        hass.set_up()
        hass.add_broker(broker.port)
        bridge = BridgeProcess(directory, variables(broker, node)).start()
        yield House(hass, broker, bridge, (node, node), directory)
    finally:
        bridge.stop()
        hass.stop()
        node.stop()
        broker.stop()


def _configure(node: SyncthingNode, directory: Path) -> None:
    devices = [{"deviceID": device_id(str(number)), "name": f"device {number}"} for number in range(DEVICES)]
    folders = [
        {
            "id": f"folder-{number}",
            "label": f"Folder {number}",
            "path": str(directory / f"files/{number}"),
            "devices": devices,
            "fsWatcherEnabled": False,
        }
        for number in range(FOLDERS)
    ]
    own = node.request("GET", "/rest/config/devices")
    node.request("PUT", "/rest/config/devices", body=[*own, *devices])
    node.request("PUT", "/rest/config/folders", body=folders)


def _all_available(house: House) -> bool:
    return len(house.hass.devices()) == 2 + FOLDERS + DEVICES and not house.hass.unavailable()


def _note(house: House, what: str, began: float) -> None:
    entries = house.hass.entities().values()
    enabled = sum(not entry["disabled_by"] for entry in entries)
    FIGURES.append(
        f"{what}: {FOLDERS} folders, {DEVICES} devices: all {enabled} entities available after "
        f"{monotonic() - began:.1f} s ({len(entries)} in the registry, the others are disabled by default)"
    )


def test_everything_is_available_soon_after_the_start(large: House) -> None:
    """Every entity of every folder and device is available within 30 s after both have started."""
    began = monotonic()
    eventually(lambda: _all_available(large), FIRST_S)
    _note(large, "start", began)


def test_the_dashboard_has_every_folder_and_a_short_overview(large: House) -> None:
    """The overview lists only the folders that need attention; another view has all of them."""
    eventually(lambda: _all_available(large), FIRST_S)
    saved = import_dashboard(large)
    assert set(entity_ids(saved)) <= set(large.hass.states())
    overview, folders, devices = saved["views"]
    assert (len(folders["sections"]), len(devices["sections"])) == (FOLDERS, DEVICES)
    cards = [card for section in overview["sections"] for card in section["cards"]]
    assert len(cards) < MOST_CARDS
    attention = next(card for card in cards if card["type"] == "entity-filter")
    assert len(attention["entities"]) == FOLDERS
    states = large.hass.states()
    quiet = attention["conditions"][0]["state_not"]
    assert all(states[row["entity"]]["state"] in quiet for row in attention["entities"])


def test_the_card_is_short_and_rendered_quickly(large: House) -> None:
    """Home Assistant renders it again whenever an entity changes that it reads."""
    eventually(lambda: "Everything is up to date." in shown(large), FIRST_S)
    assert len(shown(large).splitlines()) < MOST_LINES
    assert "- **Not connected**: device 0, device 1, " in shown(large)
    began = monotonic()
    shown(large)
    FIGURES.append(f"card: {FOLDERS} folders, {DEVICES} devices: rendered in {monotonic() - began:.3f} s")


def _broker(house: House) -> None:
    house.broker.kill()
    house.broker.start()


def _home_assistant(house: House) -> None:
    house.hass.stop()
    house.hass.start()


def _bridge(house: House) -> None:
    house.bridge.stop()
    house.bridge.start()


@pytest.mark.parametrize("restart", [_broker, _home_assistant, _bridge])
def test_everything_is_available_soon_after_a_restart(large: House, restart: Callable[[House], None]) -> None:
    """Every entity is available soon after a restart of Home Assistant, the bridge or the broker."""
    restart(large)
    began = monotonic()
    eventually(lambda: _all_available(large), AGAIN_S)
    _note(large, f"restart of the {restart.__name__.strip('_').replace('_', ' ')}", began)
