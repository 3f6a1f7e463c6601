"""Test setup: two real Syncthing instances, a broker, the bridge, and a real Home Assistant connected to the broker."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stbridge.core.commands import COMMANDS
from stbridge.core.model import short_id
from stbridge.core.topics import Address, Topics
from stbridge.demo.node import SyncthingNode
from stbridge.homeassistant.discovered import DiscoveredDevice
from tests.homeassistant.blueprints import Automation, Notices
from tests.homeassistant.hass import HomeAssistant
from tests.servers import ROOT, BridgeProcess, Mosquitto, Subscriber, eventually, manifest

TEMPLATE = "{{ 1 / 0 }} Papers"
"""A label that would fail if any code rendered it as a template."""

ODD_FOLDER = "a/b +#%ü {{ 1 }}"
ALLOWED = [
    "read",
    "operate",
    *(command.name for command in COMMANDS if command.name in ("restart", "override", "revert")),
]


FIGURES: list[str] = []
"""Lines for the summary at the end of the run."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the measured times."""
    for line in FIGURES:
        terminalreporter.write_line(line)


def python_path() -> dict[str, str]:
    """Return the environment variables with which a bridge process runs this source tree."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


@dataclass
class House:
    """All parts of the test setup."""

    hass: HomeAssistant
    broker: Mosquitto
    bridge: BridgeProcess
    nodes: tuple[SyncthingNode, SyncthingNode]
    directory: Path
    topics: Topics = field(default_factory=lambda: Topics("syncthing", "homeassistant"))

    def subjects(self) -> list[DiscoveredDevice]:
        """Return the expected devices of Home Assistant, read from Syncthing itself."""
        node = self.nodes[0]
        own, config = node.device_id, node.request("GET", "/rest/config")
        found = [
            DiscoveredDevice(address=Address("bridge_info"), id=self.topics.base),
            DiscoveredDevice(own_id=own, address=Address("system"), version="v2"),
        ]
        for folder in config["folders"]:
            address = Address("folder", folder=folder["id"])
            found.append(
                DiscoveredDevice(
                    own_id=own, address=address, name=folder["label"], id=folder["id"], type=folder["type"]
                )
            )
        for device in config["devices"]:
            if device["deviceID"] != own:
                address = Address("device", device=short_id(device["deviceID"]))
                found.append(DiscoveredDevice(own_id=own, address=address, name=device["name"], id=device["deviceID"]))
        return found

    def subject(self, kind: str, identifier: str = "") -> DiscoveredDevice:
        """Return one of the expected devices."""
        return next(one for one in self.subjects() if one.address.kind == kind and identifier in one.id)

    def entity_id(self, unique_id: str) -> str:
        """Return the entity ID of an entity once it is available; earlier actions on it would have no effect."""
        state = eventually(lambda: self._available(unique_id))
        name: str = state["entity_id"]
        return name

    def _available(self, unique_id: str) -> dict[str, Any] | None:
        state = self.hass.state_of(unique_id)
        return state if state is not None and state["state"] != "unavailable" else None

    def state(self, unique_id: str) -> str | None:
        """Return the state of an entity."""
        state = self.hass.state_of(unique_id)
        return None if state is None else state["state"]

    def retained(self) -> dict[str, Any]:
        """Return the retained payloads of the broker by topic."""
        late = Subscriber(self.broker.port)
        late.publish("end", "end")
        late.wait_for_payload("end", b"end")
        found = late.latest()
        late.close()
        return {topic: _value(payload) for topic, payload in found.items()}


def _value(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode()


def variables(broker: Mosquitto, node: SyncthingNode, **more: str) -> Mapping[str, str]:
    """Return the settings of the bridge as environment variables."""
    return {
        **python_path(),
        "STBRIDGE_MQTT__HOST": "127.0.0.1",
        "STBRIDGE_MQTT__PORT": str(broker.port),
        "STBRIDGE_SYNCTHING__NAS__URL": node.url,
        "STBRIDGE_SYNCTHING__NAS__GUI_URL": node.url,
        "STBRIDGE_SYNCTHING__NAS__API_KEY": node.api_key,
        "STBRIDGE_COMMANDS__ALLOW": json.dumps(ALLOWED),
        **more,
    }


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Start the test setup that most tests share."""
    with built(tmp_path_factory.mktemp("house")) as one:
        # Some time after its start, Home Assistant makes the bridge publish everything again. That starts automations
        # whose triggers are topics.
        eventually(lambda: "republishing all topics" in one.bridge.log.read_text(encoding="utf-8"), 60)
        yield one


@contextmanager
def built(directory: Path, **more: str) -> Iterator[House]:
    """Start the test setup with some more settings, and wait until all entities are available."""
    (directory / "broker").mkdir()
    binary = list(manifest()["syncthing"].values())[-1]
    a = SyncthingNode("alpha", directory / "a/home", binary, monitor=True)
    b = SyncthingNode("beta", directory / "b/home", binary)
    broker = Mosquitto(directory / "broker")
    hass = HomeAssistant(directory / "hass")
    bridge: BridgeProcess | None = None
    try:
        broker.start()
        a.start()
        b.start()
        _furnish(a, b, directory)
        bridge = BridgeProcess(directory, variables(broker, a, **more)).start()
        hass.set_up()
        hass.add_broker(broker.port)
        one = House(hass, broker, bridge, (a, b), directory)
        eventually(lambda: set(hass.devices()) >= {subject.object_id for subject in one.subjects()})
        eventually(lambda: not hass.unavailable())
        yield one
    finally:
        if bridge is not None:
            bridge.stop()
        hass.stop()
        a.stop()
        b.stop()
        broker.stop()


def _furnish(a: SyncthingNode, b: SyncthingNode, directory: Path) -> None:
    a.link(b)
    absent = "AIR6LPZ-7K4PTTV-UXQSMUU-CPQ5YWH-OEDFIIQ-JUG777G-2YQXXR5-YD6AWQR"
    a.request("POST", "/rest/config/devices", body={"deviceID": absent, "name": "{{ absent }}"})
    for here, there in ((a, b), (b, a)):
        here.share("docs", directory / here.name / "docs", label=TEMPLATE, devices=[there])
    a.share(ODD_FOLDER, directory / "alpha/odd", label="Sent", type="sendonly")
    a.share("inbox", directory / "alpha/inbox", label="Inbox", type="receiveonly")
    a.wait_for(lambda: a.is_connected(b) and all(a.is_idle(folder) for folder in ("docs", "inbox", ODD_FOLDER)))


@pytest.fixture
def automate(house: House) -> Iterator[Callable[..., Automation]]:
    """Return a function that creates or changes an automation from a blueprint; remove the automations afterwards."""
    made: dict[str, Automation] = {}

    def make(name: str, **inputs: Any) -> Automation:
        made[name] = Automation(house.hass, name, inputs)
        made[name].create()
        return made[name]

    yield make
    for automation in made.values():
        automation.remove()


@pytest.fixture
def notices(house: House) -> Iterator[Notices]:
    """Return the notifications of automations."""
    one = Notices(house.broker)
    yield one
    one.close()


@pytest.fixture
def conflict(house: House) -> Iterator[str]:
    """Create a conflict file in a folder; remove it afterwards."""
    file = house.directory / "alpha/docs/report.sync-conflict-20261125-120000-ABCDEFG.txt"
    file.write_bytes(b"the other one")
    yield file.name
    file.unlink()


@pytest.fixture(scope="session")
def todo(house: House) -> str:
    """Return the entity ID of a new to-do list."""
    return house.hass.add_list("Syncthing problems")
