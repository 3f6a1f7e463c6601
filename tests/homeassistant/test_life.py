"""A real Home Assistant follows added, changed and removed objects, and restarts of each part."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from tests.homeassistant.conftest import ODD_FOLDER, House, python_path, variables
from tests.servers import ROOT, BridgeProcess, Subscriber, eventually


def _restart_home_assistant(house: House) -> None:
    house.hass.stop()
    house.hass.start()


def _restart_broker(house: House) -> None:
    house.broker.kill()
    house.broker.start()


def _restart_bridge(house: House) -> None:
    house.bridge.stop()
    instance = f"{house.subject('system').object_id}_problem"
    eventually(lambda: house.state(instance) == "unavailable")
    house.bridge.start()


def test_the_device_of_the_bridge_shows_that_it_is_stopped(house: House) -> None:
    """Its connectivity is off, not unavailable; everything else is unavailable."""
    bridge, instance = house.subject("bridge_info").object_id, house.subject("system").object_id
    house.bridge.stop()
    eventually(lambda: house.state(f"{bridge}_connected") == "off")
    eventually(lambda: house.state(f"{instance}_problem") == "unavailable")
    assert house.state(f"{bridge}_version") == "unavailable"
    house.bridge.start()
    eventually(lambda: house.state(f"{bridge}_connected") == "on")
    eventually(lambda: not house.hass.unavailable())


def _kill_bridge(house: House) -> None:
    house.bridge.kill()
    house.bridge.start()


@pytest.mark.parametrize("restart", [_restart_home_assistant, _restart_broker, _restart_bridge, _kill_bridge])
def test_nothing_stays_unavailable(house: House, restart: Callable[[House], None]) -> None:
    """After a restart of any part, all entities are available again with the same IDs, which keep their history."""
    before = {name: entry["entity_id"] for name, entry in house.hass.entities().items()}
    restart(house)
    eventually(lambda: not house.hass.unavailable(), 60)
    assert {name: entry["entity_id"] for name, entry in house.hass.entities().items()} == before


def test_a_folder_that_is_added_renamed_and_removed_is_followed(house: House) -> None:
    """A folder appears, is renamed with the same entities, and disappears, without any restart."""
    node = house.nodes[0]
    node.share("music", house.directory / "alpha/music", label="Music")
    subject = house.subject("folder", "music")
    eventually(lambda: house.state(f"{subject.object_id}_status") == "Unshared")
    before = house.hass.devices()[subject.object_id]
    entity_id = house.entity_id(f"{subject.object_id}_status")
    node.request("PATCH", "/rest/config/folders/music", body={"label": "{{ states }}"})
    eventually(lambda: house.hass.devices()[subject.object_id]["name"] == "nas {{ states }}")
    assert house.hass.devices()[subject.object_id]["id"] == before["id"]
    assert house.entity_id(f"{subject.object_id}_status") == entity_id
    node.request("DELETE", "/rest/config/folders/music")
    eventually(lambda: subject.object_id not in house.hass.devices())
    assert not [name for name in house.hass.entities() if name.startswith(subject.object_id)]
    assert house.topics.discovery(subject.object_id) not in house.retained()


def test_a_device_that_is_added_renamed_and_removed_is_followed(house: House) -> None:
    """A remote device appears, is renamed and disappears, without any restart."""
    node = house.nodes[0]
    identifier = "MFZWI3D-BONSGYC-YLTMRWG-C43ENR5-QXGZDMM-FZWI3DP-BONSGYY-LTMRWAD"
    node.request("POST", "/rest/config/devices", body={"deviceID": identifier, "name": "tablet"})
    subject = house.subject("device", identifier)
    eventually(lambda: house.state(f"{subject.object_id}_connected") == "off")
    node.request("PATCH", f"/rest/config/devices/{identifier}", body={"name": "old tablet"})
    eventually(lambda: house.hass.devices()[subject.object_id]["name"] == "nas old tablet")
    node.request("DELETE", f"/rest/config/devices/{identifier}")
    eventually(lambda: subject.object_id not in house.hass.devices())


def test_the_entities_follow_the_type_of_the_folder(house: House) -> None:
    """If the type of a folder changes, entities that no longer apply are removed, and those that apply are added."""
    node, inbox = house.nodes[0], house.subject("folder", "inbox")
    assert f"{inbox.object_id}_local_changes" in house.hass.entities()
    node.request("PATCH", "/rest/config/folders/inbox", body={"type": "sendreceive"})
    eventually(lambda: f"{inbox.object_id}_local_changes" not in house.hass.entities())
    node.request("PATCH", "/rest/config/folders/inbox", body={"type": "receiveonly"})
    eventually(lambda: f"{inbox.object_id}_local_changes" in house.hass.entities())


def test_only_the_bridges_own_leftovers_of_the_previous_run_are_removed(house: House) -> None:
    """Folders that were removed while the bridge was stopped disappear after its start; devices of others stay."""
    node = house.nodes[0]
    node.share("gone", house.directory / "alpha/gone", label="Gone")
    subject = house.subject("folder", "gone")
    eventually(lambda: subject.object_id in house.hass.devices())
    house.bridge.stop()
    node.request("DELETE", "/rest/config/folders/gone")
    ours = house.retained()[house.topics.discovery(house.subject("system").object_id)]
    subscriber = Subscriber(house.broker.port)
    elsewhere = [{"topic": "other/bridge/state"}, {"topic": "other/nas/state"}]
    others: dict[str, dict[str, Any]] = {
        "someone": {"origin": {"name": "someone"}},
        "stbridge_OTHERRR": {"availability": elsewhere},
    }
    for name, payload in others.items():
        component = {"platform": "sensor", "unique_id": name, "state_topic": "other/topic"}
        message = {**ours, "device": {"identifiers": name, "name": name}, "components": {"one": component}, **payload}
        subscriber.publish(house.topics.discovery(name), json.dumps(message), retain=True)
    house.bridge.start()
    eventually(lambda: subject.object_id not in house.hass.devices())
    assert house.topics.discovery(subject.object_id) not in house.retained()
    for name in others:
        assert house.topics.discovery(name) in house.retained()
        eventually(partial(_is_at_home_assistant, house, name))
        subscriber.publish(house.topics.discovery(name), b"", retain=True)
    subscriber.close()
    eventually(lambda: not set(others) & set(house.hass.devices()))


def _is_at_home_assistant(house: House, name: str) -> bool:
    return name in house.hass.devices()


def test_disabling_home_assistant_removes_all_devices(house: House) -> None:
    """`homeassistant.enabled = false` removes every device, and `true` adds them again."""
    house.bridge.stop()
    without = BridgeProcess(
        house.directory, variables(house.broker, house.nodes[0], STBRIDGE_HOMEASSISTANT__ENABLED="false")
    )
    without.start()
    try:
        eventually(lambda: not house.hass.devices())
        assert not house.hass.entities()
    finally:
        without.stop()
    house.bridge.start()
    eventually(lambda: len(house.hass.devices()) == len(house.subjects()))
    eventually(lambda: not house.hass.unavailable())


@contextmanager
def _restarted_with(house: House, **more: str) -> Iterator[None]:
    """Restart the bridge with other settings; afterwards, restart it with the usual settings."""
    house.bridge.stop()
    other = BridgeProcess(house.directory, variables(house.broker, house.nodes[0], **more)).start()
    try:
        yield
    finally:
        other.stop()
        house.bridge.start()
    eventually(lambda: set(house.hass.devices()) == {subject.object_id for subject in house.subjects()})
    eventually(lambda: not house.hass.unavailable())


def test_excluded_folders_and_entities_are_removed(house: House) -> None:
    """A folder, a device and single entities that are excluded disappear, and return without the setting."""
    folder, device = house.subject("folder", "inbox"), house.subject("device", house.nodes[1].device_id)
    docs = house.subject("folder", "docs").object_id
    patterns = ["folder/Inb*", f"device/{house.nodes[1].device_id}", "entity/*.syncthing_nas_*_completion"]
    with _restarted_with(house, STBRIDGE_HOMEASSISTANT__EXCLUDE=json.dumps(patterns)):
        eventually(lambda: not {folder.object_id, device.object_id} & set(house.hass.devices()))
        eventually(lambda: f"{docs}_completion" not in house.hass.entities())
        assert f"{docs}_failed" in house.hass.entities()


def test_folders_and_devices_can_be_child_devices(house: House) -> None:
    """With `homeassistant.child_devices`, they belong to their instance, with the same entities; and back again."""
    before = set(house.hass.entities())
    with _restarted_with(house, STBRIDGE_HOMEASSISTANT__CHILD_DEVICES="true"):
        instance = house.subject("system").object_id
        children = {one.object_id for one in house.subjects() if one.address.kind in ("folder", "device")}
        eventually(lambda: children <= set(_children(house, instance)), 60)
        eventually(lambda: set(house.hass.entities()) == before)
        eventually(lambda: not house.hass.unavailable())
        node = house.nodes[0]
        node.share("child", house.directory / "alpha/child", label="Child")
        child = house.subject("folder", "child")
        eventually(lambda: house.state(f"{child.object_id}_paused") == "off")
        node.request("DELETE", "/rest/config/folders/child")
        eventually(lambda: child.object_id not in _children(house, instance))
    eventually(lambda: set(house.hass.entities()) == before)
    eventually(lambda: not _children(house, instance))


def _children(house: House, instance: str) -> list[str]:
    """Return the child devices of an instance."""
    devices = house.hass.devices()
    parent = devices[instance]["id"] if instance in devices else ""
    return [name for name, entry in devices.items() if parent and entry.get("parent_device_id") == parent]


def test_purge_leaves_nothing_behind(house: House) -> None:
    """`stbridge purge` clears all retained topics of the bridge, and Home Assistant removes every device."""
    house.bridge.stop()
    done = subprocess.run(
        [sys.executable, "-m", "stbridge", "purge"],
        env={**python_path(), **variables(house.broker, house.nodes[0])},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert "cleared syncthing/bridge/state" in done.stdout
    assert not [topic for topic in house.retained() if topic.startswith(("syncthing/", "homeassistant/device"))]
    eventually(lambda: not house.hass.devices())
    house.bridge.start()
    eventually(lambda: len(house.hass.devices()) == len(house.subjects()))
    eventually(lambda: not house.hass.unavailable())
    assert ODD_FOLDER in {subject.id for subject in house.subjects()}


def test_home_assistant_logs_no_warning_about_the_bridge(house: House) -> None:
    """After all other tests, Home Assistant has logged no warning and no error about the bridge."""
    ours = re.compile(r"20\d\d-.*(stbridge|syncthing|nas_|nas:|discovery|template|mqtt)", re.IGNORECASE)
    # the broker was restarted
    expected = re.compile(r"\[homeassistant\.components\.mqtt\.client\]|The client is not currently connected")
    complaints = [line for line in house.hass.log if ours.match(line) and not expected.search(line)]
    assert not complaints, "\n".join(complaints)
