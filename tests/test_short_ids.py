"""Two devices whose IDs have the same first 7 characters, in every version of Syncthing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stbridge.core.model import short_id
from stbridge.demo.node import SyncthingNode
from tests.servers import BridgeProcess, Mosquitto, Subscriber, ask, eventually, instance

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
DATA, GROUP = 13, 7


def _check_digit(data: str) -> str:
    """Return Syncthing's check digit for 13 characters (lib/protocol/luhn.go, which doubles the other digits)."""
    products = [ALPHABET.index(one) * (1 + number % 2) for number, one in enumerate(data)]
    return ALPHABET[-sum(one // 32 + one % 32 for one in products) % 32]


def _device_id(data: str) -> str:
    """Return the device ID for 52 characters, with check digits and dashes."""
    parts = [data[start : start + DATA] for start in range(0, 4 * DATA, DATA)]
    whole = "".join(part + _check_digit(part) for part in parts)
    return "-".join(whole[start : start + GROUP] for start in range(0, len(whole), GROUP))


FIRST, TWIN = (_device_id(f"TWINAAA{letter * 45}") for letter in "BC")


@pytest.fixture
def twins(binary: str, tmp_path: Path) -> Iterator[SyncthingNode]:
    """A node that shares "docs" with the first of two devices whose IDs start alike."""
    node = SyncthingNode("alpha", tmp_path / "home", binary)
    try:
        node.start()
        _add(node, FIRST, "first")
        node.share("docs", tmp_path / "docs", devices=())
        folder = node.request("GET", "/rest/config/folders/docs")
        folder["devices"].append({"deviceID": FIRST})
        node.request("PUT", "/rest/config/folders/docs", body=folder)
        yield node
    finally:
        node.stop()


def _add(node: SyncthingNode, device: str, name: str) -> None:
    node.request("POST", "/rest/config/devices", body={"deviceID": device, "name": name, "addresses": ["dynamic"]})


def _published(subscriber: Subscriber) -> dict[str, Any]:
    """Return the names of the devices that have a topic, by the last level of that topic."""
    prefix = "syncthing/alpha/device/"
    found = {topic[len(prefix) :]: payload for topic, payload in subscriber.latest().items() if prefix in topic}
    return {short: json.loads(payload)["name"] for short, payload in found.items()}


def _discovered(subscriber: Subscriber) -> set[str]:
    """Return the short IDs in the discovery messages of devices."""
    topics = [topic for topic in subscriber.latest() if "_device_" in topic]
    return {topic.removesuffix("/config").rpartition("_device_")[2] for topic in topics}


def test_devices_with_the_same_short_id_have_different_topics(
    twins: SyncthingNode, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """Both have longer topics while both exist, also after a restart of the bridge, and otherwise the usual ones."""
    process = BridgeProcess(tmp_path, {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", twins)})
    short, both = {short_id(FIRST): "first"}, {FIRST[:15]: "first", TWIN[:15]: "twin"}
    try:
        process.start()
        eventually(lambda: _published(subscriber) == short)
        _add(twins, TWIN, "twin")
        eventually(lambda: _published(subscriber) == both and _discovered(subscriber) == set(both))
        completions = "syncthing/alpha/completion/"
        eventually(lambda: f"{completions}{FIRST[:15]}/docs" in subscriber.latest())
        assert ask(subscriber, "pause", json.dumps({"device": TWIN[:15]}))["status"] == "ok"
        reply = ask(subscriber, "pause", json.dumps({"device": short_id(FIRST)}))
        assert "not unique" in reply["error"]["message"]
        process.stop()
        since = subscriber.count
        process.start()
        subscriber.wait_for_payload("syncthing/bridge/state", b"online", since=since)
        assert _published(subscriber) == both
        twins.request("DELETE", f"/rest/config/devices/{TWIN}")
        eventually(lambda: _published(subscriber) == short)
        eventually(lambda: _discovered(subscriber) == set(short))
    finally:
        process.stop()
