"""Comparison of every entity in a real Home Assistant with the tables of entities."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from stbridge.core.commands import allowed
from stbridge.core.slow_topics import SLOW
from stbridge.core.topics import Address
from stbridge.homeassistant.discovered import TABLES, DiscoveredDevice
from stbridge.homeassistant.discovery import CONTROLS
from stbridge.homeassistant.entity import Entity
from tests.homeassistant.conftest import ALLOWED, House
from tests.servers import eventually

MAY = allowed(ALLOWED)
SCALES = {"kB/s": 1e3, "MB": 1e6, "GB": 1e9}
MODELS = {"bridge_info": "Bridge", "system": "Syncthing", "folder": "Folder", "device": "Remote device"}


def expected(house: House) -> Iterator[tuple[DiscoveredDevice, Entity]]:
    """Yield every expected entity with its device."""
    for subject in house.subjects():
        for row in TABLES[subject.address.kind]:
            pressed = row.platform in CONTROLS
            if (
                (not pressed or row.command in MAY)
                and row.instead_of not in MAY
                and (not row.folder_types or subject.type in row.folder_types)
                and (not row.optional or f"syncthing/nas/{row.topic}" in house.retained())
            ):
                yield subject, row


def test_exactly_the_entities_of_the_tables_exist(house: House) -> None:
    """The registry contains exactly the rows that apply, each with its device, platform, category and name."""
    rows = {f"{subject.object_id}_{row.key}": (subject, row) for subject, row in expected(house)}
    eventually(lambda: set(house.hass.entities()) == set(rows))
    devices = {entry["id"]: name for name, entry in house.hass.devices().items()}
    for unique_id, entry in house.hass.entities().items():
        subject, row = rows[unique_id]
        assert devices[entry["device_id"]] == subject.object_id
        assert entry["entity_id"].startswith(f"{row.platform}.syncthing_"), unique_id
        assert entry["entity_category"] == row.category, unique_id
        assert entry["disabled_by"] == (None if row.enabled else "integration"), unique_id
        assert entry["original_name"] == (row.name or None) or row.name is None, unique_id
    assert len(rows) > 100


def test_folders_and_devices_are_linked_to_their_syncthing_instance(house: House) -> None:
    """Each device of Home Assistant has a readable name and a model, and is linked to its Syncthing instance."""
    devices = house.hass.devices()
    assert set(devices) == {subject.object_id for subject in house.subjects()}
    instance = devices[house.subject("system").object_id]
    assert instance["name"] == "Syncthing nas"
    assert instance["sw_version"].startswith("v")
    bridge = devices[house.subject("bridge_info").object_id]
    assert (bridge["name"], bridge["model"], instance["via_device_id"]) == ("Syncthing bridge", "Bridge", bridge["id"])
    for subject in house.subjects():
        entry = devices[subject.object_id]
        assert entry["model"] == MODELS[subject.address.kind]
        if not subject.own_id:
            continue
        assert entry["configuration_url"] == house.nodes[0].url
        assert entry["serial_number"] == (subject.id or subject.own_id)
        if subject.address.kind != "system":
            assert entry["via_device_id"] == instance["id"]
            assert entry["name"] == f"nas {subject.name}"


@pytest.fixture(scope="module")
def everything(house: House) -> House:
    """Return the test setup with all entities enabled, including those that are disabled by default."""
    house.hass.enable(entry["entity_id"] for entry in house.hass.entities().values() if entry["disabled_by"])
    return house


def test_every_entity_has_the_value_that_is_on_the_broker(everything: House) -> None:
    """State, unit and device class are correct for known and unknown values, and no entity is unavailable."""
    house = everything
    for subject, row in expected(house):
        unique_id = f"{subject.object_id}_{row.key}"
        eventually(partial(_is_complete, house, subject, row))
        state = house.hass.state_of(unique_id)
        assert state is not None
        attributes = state["attributes"]
        assert attributes.get("unit_of_measurement") == row.unit, unique_id
        assert attributes.get("device_class") == row.device_class, unique_id
        assert attributes.get("state_class") == row.state_class, unique_id


def _payload(house: House, subject: DiscoveredDevice, kind: str) -> Any:
    kind = kind or subject.address.kind
    address = subject.address._replace(kind=SLOW.get(kind, kind))
    topic = house.topics.build("nas", Address(address.kind, folder=address.folder, device=address.device))
    return house.retained().get(topic)


def _is_complete(house: House, subject: DiscoveredDevice, row: Entity) -> bool:
    """Return whether value and attributes are right; a reload of MQTT removes both for a moment."""
    lists = {key for key in row.lists if _payload(house, subject, row.lists_topic or row.topic)}
    state = house.hass.state_of(f"{subject.object_id}_{row.key}")
    return {*row.attributes, *lists} <= set((state or {}).get("attributes", {})) and _is_right(house, subject, row)


def _is_right(house: House, subject: DiscoveredDevice, row: Entity) -> bool:
    state = house.state(f"{subject.object_id}_{row.key}")
    if row.platform in ("button", "event", "update"):
        return state is not None and state != "unavailable"
    value = _payload(house, subject, row.topic)
    for key in row.value.split(".") if row.value else ():
        value = None if value is None else value[key]
    return state == _as_state(row, len(value) if row.length else value, state)


def _as_state(row: Entity, value: Any, state: str | None) -> str | None:
    if row.words:
        return row.words.get(value, "unknown")
    if value is None or (row.options and value not in row.options):
        return row.otherwise or "unknown"
    if row.platform in ("binary_sensor", "switch"):
        return "on" if str(value) == row.on else "off"
    if row.unit in (*SCALES, "%"):
        scaled = value / SCALES.get(row.unit or "", 1)
        close = state is not None and float(state) == pytest.approx(scaled, rel=0.005, abs=0.1)
        return state if close else f"about {scaled}"
    if row.device_class == "timestamp":
        moment = datetime.fromisoformat(value).replace(microsecond=0)
        return moment.isoformat()
    return str(value)
