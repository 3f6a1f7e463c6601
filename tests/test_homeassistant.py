"""The discovery messages for Home Assistant, tested without I/O: observations in, messages out."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.commands import COMMANDS
from stbridge.core.messages import Message
from stbridge.core.model import Config, DeviceConfig, FolderConfig, short_id
from stbridge.core.outcome import SYSTEM, device_address, folder_address
from stbridge.core.rules import apply
from stbridge.core.state import State
from stbridge.core.topics import Address, Topics
from stbridge.homeassistant.discovered import TABLES, DiscoveredDevice
from stbridge.homeassistant.discovery import Site, config
from stbridge.homeassistant.discovery_publisher import DiscoveryPublisher
from stbridge.homeassistant.entity import Entity
from stbridge.homeassistant.ownership import owned
from stbridge.homeassistant.templates import attributes_template, value_template

NOW = datetime(2026, 11, 25, tzinfo=UTC)
OWN = "AAAAAAA-BBBBBBB-CCCCCCC-DDDDDDD-EEEEEEE-FFFFFFF-GGGGGGG-HHHHHHH"
OTHER = "ZZZZZZZ-BBBBBBB-CCCCCCC-DDDDDDD-EEEEEEE-FFFFFFF-GGGGGGG-HHHHHHH"
LAPTOP = DeviceConfig(id=OTHER, name="laptop", paused=False)
PHOTOS = FolderConfig(id="photos", label="Photos", path="/p", type="sendreceive", paused=False, devices=(OTHER,))
TOPICS = Topics("syncthing", "homeassistant")
EVERYTHING = frozenset(
    {*(command.name for command in COMMANDS), *(row.command for rows in TABLES.values() for row in rows if row.command)}
)
SITE = Site(instance="nas", topics=TOPICS, allowed=EVERYTHING, link="https://nas:8384", version="1")
INSTANCE = DiscoveredDevice(own_id=OWN, address=SYSTEM, published=frozenset({"upgrade"}))
FOLDER = DiscoveredDevice(own_id=OWN, address=folder_address("photos"), name="Photos", id="photos", type="sendreceive")
DEVICE = DiscoveredDevice(own_id=OWN, address=device_address(short_id(OTHER)), name="laptop", id=OTHER)
SUBJECTS = (INSTANCE, FOLDER, DEVICE)
ROWS = [(kind, row) for kind, rows in TABLES.items() for row in rows]
ROOT_KEYS = {"device", "origin", "availability", "availability_mode", "state_topic", "qos", "components"}


def components(subject: DiscoveredDevice, site: Site = SITE) -> dict[str, Any]:
    """Return the entities that apply to a subject."""
    found: dict[str, Any] = config(subject, site)["components"]
    return {key: component for key, component in found.items() if len(component) > 1}


def configured(*, folders: Iterable[FolderConfig] = (PHOTOS,), devices: Iterable[DeviceConfig] = (LAPTOP,)) -> Config:
    """Return a configuration of Syncthing."""
    return Config(name="nas", folders={one.id: one for one in folders}, devices={one.id: one for one in devices})


def process(own_id: str = OWN) -> seen.StatusRead:
    """Return the status of a Syncthing instance."""
    return seen.StatusRead(
        device_id=own_id,
        started_at=NOW,
        uptime_s=1,
        memory_bytes=1,
        goroutines=1,
        listeners_ok=True,
        discovery_ok=True,
    )


class Instance:
    """A State, and the discovery messages that have been published for it."""

    def __init__(self) -> None:
        self.state = State()
        self.discovery = DiscoveryPublisher(SITE)
        self.retained: dict[str, Any] = {}

    def see(self, *observations: seen.Observation) -> list[Message]:
        """Apply observations, and return the resulting messages."""
        for observation in observations:
            apply(self.state, observation, NOW)
        return self.follow()

    def follow(self) -> list[Message]:
        changed = self.state.take_outcome().changed
        messages = [message for address in changed for message in self.discovery.follow(self.state, address)]
        messages += self.discovery.clear_leftovers()
        for message in messages:
            assert message.retain
            self.retained[message.topic] = json.loads(message.payload) if message.payload else None
        return messages

    @property
    def names(self) -> dict[str, str]:
        """The names of the published devices, by object ID."""
        kept = {topic.split("/")[2]: value for topic, value in self.retained.items() if value}
        return {name: value["device"]["name"] for name, value in kept.items()}


@pytest.fixture
def instance() -> Instance:
    """An instance that has been read once."""
    one = Instance()
    one.see(process(), seen.ConfigRead(config=configured()), seen.SnapshotComplete())
    return one


def test_every_unique_id_occurs_once() -> None:
    """No two entities of a device have the same unique ID."""
    for rows in TABLES.values():
        assert len({row.key for row in rows}) == len(rows)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.address.kind)
def test_the_root_of_a_message_has_only_known_keys(subject: DiscoveredDevice) -> None:
    """Home Assistant drops the whole message if its root contains a key that it does not know."""
    assert set(config(subject, SITE)) == ROOT_KEYS


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=lambda value: value if isinstance(value, str) else value.key)
def test_a_row_has_the_keys_that_its_platform_needs(kind: str, row: Entity) -> None:
    """A state comes from a topic of the table, a button has a command, and no control is in the category diagnostic."""
    pressed = row.platform in ("button", "switch")
    assert bool(row.command) == (pressed or row.platform == "update")
    assert bool(row.types) == (row.platform == "event")
    assert bool(row.options) == (row.device_class == "enum")
    assert row.category in ((None, "config") if row.command else (None, "diagnostic"))
    assert row.name or row.device_class
    for topic in filter(None, (row.topic, row.lists_topic)):
        assert TOPICS.build("nas", Address(topic, folder="F", device="D"))
    assert kind == "folder" or not row.folder_types


def test_unknown_values_are_shown_as_unknown() -> None:
    """A template renders null as `None`, which Home Assistant shows as unknown, and never as 0 or as an error."""
    rate = Entity(key="r", platform="sensor", meaning="", value="a.b", unit="kB/s")
    assert value_template(rate) == ("{{ value_json['a']['b'] / 1000 if value_json['a']['b'] is number else none }}")
    text = Entity(key="t", platform="sensor", meaning="", value="items", keep="end")
    assert value_template(text) == "{{ value_json['items'][-255:] if value_json['items'] is string else none }}"
    word = Entity(key="w", platform="sensor", meaning="", value="w", options=("a", "b"))
    assert value_template(word) == "{{ value_json['w'] if value_json['w'] in ['a', 'b'] else none }}"
    assert "or []" in str(attributes_template(Entity(key="l", platform="sensor", meaning="", lists=("items",))))


def test_names_occur_only_in_name_keys() -> None:
    """A label that looks like a template, or an ID that looks like a topic, changes neither templates nor topics."""
    evil = replace(FOLDER, name="{{ 1/0 }}", id="{{ 2/0 }}/+#", address=folder_address("{{ 2/0 }}/+#"))
    message = config(evil, SITE)
    assert message["device"].pop("name") == "nas {{ 1/0 }}"
    assert "1/0" not in json.dumps(message)
    for component in message["components"].values():
        for key, value in component.items():
            if "template" in key:
                assert "2/0" not in value
            if key.endswith("topic"):
                assert "%2B%23" in value or "folder" not in value


def test_ids_survive_renaming() -> None:
    """A new name changes only the name; another ID, or another Syncthing instance, is another device."""
    before, after = config(FOLDER, SITE), config(replace(FOLDER, name="Pictures"), SITE)
    assert after["device"].pop("name") != before["device"].pop("name")
    assert after == before
    ids = {replace(FOLDER, id="photos2").object_id, replace(FOLDER, own_id=OTHER).object_id, FOLDER.object_id}
    assert len(ids) == 3


def test_ids_are_valid_in_a_discovery_topic() -> None:
    """Home Assistant accepts only letters, digits, _ and - in them, whatever the folder ID contains."""
    for identifier in ("ü/+#", "", "\ud800"):
        object_id = replace(FOLDER, id=identifier).object_id
        assert object_id.isascii()
        assert object_id.replace("_", "").isalnum()
        assert TOPICS.is_discovery(TOPICS.discovery(object_id))


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.address.kind)
def test_a_bridge_that_accepts_no_commands_has_no_controls(subject: DiscoveredDevice) -> None:
    """Only allowed commands become controls; the paused state of a folder is shown in any case."""
    found = components(subject, replace(SITE, allowed=frozenset()))
    assert not [one for one in found.values() if "command_topic" in one or one["platform"] in ("button", "switch")]
    assert ("is_paused" in found) == (subject is not INSTANCE)
    assert "is_paused" not in components(subject)


@pytest.mark.parametrize(
    ("folder_type", "buttons"),
    [
        ("sendreceive", {"scan"}),
        ("sendonly", {"scan", "override"}),
        ("receiveonly", {"scan", "revert"}),
        ("receiveencrypted", {"scan", "revert"}),
    ],
)
def test_override_and_revert_exist_only_for_matching_folder_types(folder_type: str, buttons: set[str]) -> None:
    """Syncthing accepts them for other folders, too, without any effect."""
    found = components(replace(FOLDER, type=folder_type))
    assert {key for key, one in found.items() if one["platform"] == "button"} == buttons


def test_an_entity_that_does_not_apply_is_removed() -> None:
    """An entity of another folder type is in the message with only its platform, which removes it in Home Assistant."""
    assert config(FOLDER, SITE)["components"]["revert"] == {"platform": "button"}


def test_a_button_press_is_a_command_with_an_expiry() -> None:
    """Payloads contain full folder and device IDs and are sent with QoS 1, and a late press is not executed."""
    assert config(FOLDER, SITE)["qos"] == 1
    paused, scan = components(FOLDER)["paused"], components(FOLDER)["scan"]
    assert paused["command_topic"] == "syncthing/nas/command/set_paused"
    assert json.loads(paused["payload_on"]) == {"folder": "photos", "paused": True}
    assert json.loads(paused["payload_off"]) == {"folder": "photos", "paused": False}
    assert json.loads(components(DEVICE)["paused"]["payload_on"]) == {"device": OTHER, "paused": True}
    assert json.loads(scan["payload_press"]) == {"folder": "photos"}
    assert json.loads(components(INSTANCE)["scan_all"]["payload_press"]) == {"all": True}
    assert components(INSTANCE)["restart"]["payload_press"] == "PRESS"
    assert components(INSTANCE)["update"]["payload_install"] == "PRESS"
    for subject in SUBJECTS:
        for one in components(subject).values():
            assert ("command_topic" in one) == ("message_expiry_interval" in one)


def test_the_update_entity_exists_where_upgrades_are_known() -> None:
    """Without the upgrade topic there is no entity; without permission to upgrade it cannot be installed."""
    assert "update" not in components(replace(INSTANCE, published=frozenset()))
    assert "command_topic" not in components(INSTANCE, replace(SITE, allowed=frozenset()))["update"]


def test_only_the_connection_is_available_without_syncthing() -> None:
    """While Syncthing is unreachable, all entities are unavailable except the one that shows the connection."""
    topics = [entry["topic"] for entry in config(INSTANCE, SITE)["availability"]]
    assert topics == ["syncthing/bridge/state", "syncthing/nas/state"]
    own = {key: one["availability"] for key, one in components(INSTANCE).items() if "availability" in one}
    assert own == {key: [{"topic": "syncthing/bridge/state"}] for key in ("connected", "connection")}


def test_a_gui_that_browsers_cannot_reach_is_not_linked() -> None:
    """Home Assistant drops the whole message if configuration_url is null or not a web address."""
    assert config(INSTANCE, SITE)["device"]["configuration_url"] == "https://nas:8384"
    assert "configuration_url" not in config(INSTANCE, replace(SITE, link=None))["device"]


def test_everything_is_announced_once(instance: Instance) -> None:
    """The instance, its folders and its devices are announced again only when a name or type changes."""
    assert sorted(instance.names.values()) == ["Syncthing nas", "nas Photos", "nas laptop"]
    paused = replace(PHOTOS, paused=True)
    assert not instance.see(seen.ConfigRead(config=configured(folders=[paused])), process())


def test_added_renamed_and_removed_devices_are_updated(instance: Instance) -> None:
    """Each change publishes one message, for the changed device."""
    music = replace(PHOTOS, id="music", label="Music")
    (added,) = instance.see(seen.ConfigRead(config=configured(folders=[PHOTOS, music])))
    renamed = instance.see(
        seen.ConfigRead(
            config=configured(folders=[PHOTOS, replace(music, label="Songs")], devices=[replace(LAPTOP, name="book")])
        )
    )
    assert added.topic in {message.topic for message in renamed}
    assert len(renamed) == 2
    assert {"nas Songs", "nas book"} <= set(instance.names.values())
    gone = instance.see(seen.ConfigRead(config=configured(folders=[PHOTOS], devices=[])))
    assert {message.payload for message in gone} == {b""}
    assert added.topic in {message.topic for message in gone}
    assert sorted(instance.names.values()) == ["Syncthing nas", "nas Photos"]


def test_another_syncthing_at_the_same_address_replaces_everything(instance: Instance) -> None:
    """If the own device ID changes, the devices of the old instance are removed and those of the new one are added."""
    before = set(instance.names)
    instance.see(process("BBBBBBB"), seen.SnapshotComplete())
    assert len(instance.names) == len(before)
    assert not before & set(instance.names)


def test_leftovers_are_cleared_when_everything_is_known() -> None:
    """Discovery of the previous run is cleared unless it is published again, and not before everything is known."""
    one = Instance()
    leftover = TOPICS.discovery("stbridge_AAAAAAA_folder_gone")
    one.discovery.remember([leftover, TOPICS.discovery("stbridge_AAAAAAA")])
    assert not one.follow()
    messages = one.see(process(), seen.ConfigRead(config=configured()), seen.SnapshotComplete())
    assert [message.topic for message in messages if not message.payload] == [leftover]
    assert not one.see(seen.SnapshotComplete())


def _message(**changes: Any) -> bytes:
    return json.dumps({**config(FOLDER, SITE), **changes}).encode()


OF_ANOTHER_BRIDGE = config(FOLDER, replace(SITE, topics=Topics("other", "homeassistant")))


@pytest.mark.parametrize(
    ("payload", "instance"),
    [
        (_message(), "nas"),
        (_message(origin={"name": "zigbee2mqtt"}), None),
        (_message(origin={}), None),
        (_message(availability=[{"topic": "syncthing/bridge/state"}]), None),
        (_message(availability="syncthing/bridge/state"), None),
        (json.dumps(OF_ANOTHER_BRIDGE).encode(), None),
        (b"no JSON", None),
        (b"[]", None),
        (b'{"a":' * 5000, None),
        (b"\xff", None),
    ],
)
def test_only_discovery_of_this_bridge_counts_as_ours(payload: bytes, instance: str | None) -> None:
    """Own messages contain the bridge's origin and refer to its `bridge/state`; all others are left unchanged."""
    topic = TOPICS.discovery("stbridge_AAAAAAA_folder_0")
    assert owned({topic: payload}, TOPICS) == ({} if instance is None else {topic: instance})
    elsewhere = ("syncthing/nas/system", "homeassistant/device/a/b/config", "homeassistant/device/zigbee_lamp/config")
    assert owned(dict.fromkeys(elsewhere, payload), TOPICS) == {}


@pytest.mark.parametrize("prefix", ["homeassistant", "home/assistant"])
def test_no_reply_is_published_to_home_assistant(prefix: str) -> None:
    """A command cannot make the bridge publish below the discovery prefix."""
    topics = Topics("syncthing", prefix)
    for topic in (prefix, f"{prefix}/status", f"{prefix}/device/x/config"):
        assert not topics.may_answer_on(topic)
    assert topics.may_answer_on(f"{prefix}2/x")
