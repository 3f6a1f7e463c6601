"""What Home Assistant is told, as plain values: tables in, messages out."""

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
    """Return the entities of a subject that apply."""
    found: dict[str, Any] = config(subject, site)["components"]
    return {key: component for key, component in found.items() if len(component) > 1}


def configured(*, folders: Iterable[FolderConfig] = (PHOTOS,), devices: Iterable[DeviceConfig] = (LAPTOP,)) -> Config:
    """Return a configuration of Syncthing."""
    return Config(name="nas", folders={one.id: one for one in folders}, devices={one.id: one for one in devices})


def process(own_id: str = OWN) -> seen.StatusRead:
    """Return the status of a Syncthing."""
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
    """A State, and what Home Assistant has been told of it."""

    def __init__(self) -> None:
        self.state = State()
        self.discovery = DiscoveryPublisher(SITE)
        self.retained: dict[str, Any] = {}

    def see(self, *observations: seen.Observation) -> list[Message]:
        """Take observations in, and return the messages that follow."""
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
        """The names of what is announced, by object ID."""
        kept = {topic.split("/")[2]: value for topic, value in self.retained.items() if value}
        return {name: value["device"]["name"] for name, value in kept.items()}


@pytest.fixture
def instance() -> Instance:
    """An instance whose Syncthing has been read once."""
    one = Instance()
    one.see(process(), seen.ConfigRead(config=configured()), seen.SnapshotComplete())
    return one


def test_every_key_is_there_once() -> None:
    """No two entities of a device have the same unique ID."""
    for rows in TABLES.values():
        assert len({row.key for row in rows}) == len(rows)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.address.kind)
def test_the_root_of_a_message_has_no_key_too_many(subject: DiscoveredDevice) -> None:
    """Home Assistant drops a whole message for one key at its root that it does not know."""
    assert set(config(subject, SITE)) == ROOT_KEYS


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=lambda value: value if isinstance(value, str) else value.key)
def test_a_row_says_what_its_platform_needs(kind: str, row: Entity) -> None:
    """What has a state has a topic of the table for it, what is pressed a command, and diagnostics no controls."""
    pressed = row.platform in ("button", "switch")
    assert bool(row.command) == (pressed or row.platform == "update")
    assert bool(row.types) == (row.platform == "event")
    assert bool(row.options) == (row.device_class == "enum")
    assert row.category in ((None, "config") if row.command else (None, "diagnostic"))
    assert row.name or row.device_class
    for topic in filter(None, (row.topic, row.lists_topic)):
        assert TOPICS.build("nas", Address(topic, folder="F", device="D"))
    assert kind == "folder" or not row.folder_types


def test_what_is_not_known_is_told_as_such() -> None:
    """A template makes `None` of null, which Home Assistant shows as unknown, and never 0 or an error."""
    rate = Entity(key="r", platform="sensor", meaning="", value="a.b", unit="kB/s")
    assert value_template(rate) == ("{{ value_json['a']['b'] / 1000 if value_json['a']['b'] is number else none }}")
    text = Entity(key="t", platform="sensor", meaning="", value="items", keep="end")
    assert value_template(text) == "{{ value_json['items'][-255:] if value_json['items'] is string else none }}"
    word = Entity(key="w", platform="sensor", meaning="", value="w", options=("a", "b"))
    assert value_template(word) == "{{ value_json['w'] if value_json['w'] in ['a', 'b'] else none }}"
    assert "or []" in str(attributes_template(Entity(key="l", platform="sensor", meaning="", lists=("items",))))


def test_names_are_nowhere_but_in_names() -> None:
    """A label that looks like a template, or an ID like a topic, changes neither templates nor topics."""
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


def test_ids_outlive_renaming() -> None:
    """A new name changes the name and nothing else; another ID, or another Syncthing, is another device."""
    before, after = config(FOLDER, SITE), config(replace(FOLDER, name="Pictures"), SITE)
    assert after["device"].pop("name") != before["device"].pop("name")
    assert after == before
    ids = {replace(FOLDER, id="photos2").object_id, replace(FOLDER, own_id=OTHER).object_id, FOLDER.object_id}
    assert len(ids) == 3


def test_ids_fit_in_a_discovery_topic() -> None:
    """Home Assistant takes only letters, digits, _ and - there, whatever the ID of the folder is."""
    for identifier in ("ü/+#", "", "\ud800"):
        object_id = replace(FOLDER, id=identifier).object_id
        assert object_id.isascii()
        assert object_id.replace("_", "").isalnum()
        assert TOPICS.is_discovery(TOPICS.discovery(object_id))


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.address.kind)
def test_a_bridge_that_takes_no_commands_has_no_controls(subject: DiscoveredDevice) -> None:
    """Only what is allowed becomes a control; that a folder is paused is shown all the same."""
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
def test_override_and_revert_are_there_for_the_folders_that_know_them(folder_type: str, buttons: set[str]) -> None:
    """Syncthing takes them for other folders, too, and does nothing."""
    found = components(replace(FOLDER, type=folder_type))
    assert {key for key, one in found.items() if one["platform"] == "button"} == buttons


def test_what_does_not_apply_is_named_so_that_it_goes() -> None:
    """An entity of another type of folder is in the message with its platform alone, which removes it."""
    assert config(FOLDER, SITE)["components"]["revert"] == {"platform": "button"}


def test_a_press_is_a_command_of_the_bridge_that_expires() -> None:
    """Payloads name folder and device by their full IDs, at QoS 1, and no press is carried out late."""
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


def test_the_update_is_there_where_it_can_be_installed_and_told() -> None:
    """Without the upgrade topic there is no entity; without leave to upgrade it has nothing to press."""
    assert "update" not in components(replace(INSTANCE, published=frozenset()))
    assert "command_topic" not in components(INSTANCE, replace(SITE, allowed=frozenset()))["update"]


def test_all_but_the_connection_depends_on_the_syncthing() -> None:
    """While Syncthing is away everything is unavailable except what says that it is."""
    topics = [entry["topic"] for entry in config(INSTANCE, SITE)["availability"]]
    assert topics == ["syncthing/bridge/state", "syncthing/nas/state"]
    own = {key: one["availability"] for key, one in components(INSTANCE).items() if "availability" in one}
    assert own == {key: [{"topic": "syncthing/bridge/state"}] for key in ("connected", "connection")}


def test_a_gui_that_no_browser_reaches_is_not_linked() -> None:
    """Home Assistant drops a whole message whose configuration_url is no web address, or null."""
    assert config(INSTANCE, SITE)["device"]["configuration_url"] == "https://nas:8384"
    assert "configuration_url" not in config(INSTANCE, replace(SITE, link=None))["device"]


def test_everything_is_announced_once(instance: Instance) -> None:
    """The Syncthing, its folders and its devices, and nothing again while no name or type changes."""
    assert sorted(instance.names.values()) == ["Syncthing nas", "nas Photos", "nas laptop"]
    paused = replace(PHOTOS, paused=True)
    assert not instance.see(seen.ConfigRead(config=configured(folders=[paused])), process())


def test_what_is_added_renamed_and_removed_is_followed(instance: Instance) -> None:
    """Each change sends the one message that it is about."""
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
    """Where the device ID has changed, the devices of the old one go, and its own come."""
    before = set(instance.names)
    instance.see(process("BBBBBBB"), seen.SnapshotComplete())
    assert len(instance.names) == len(before)
    assert not before & set(instance.names)


def test_leftovers_go_when_everything_is_known() -> None:
    """What an earlier life of the bridge announced is cleared unless it is announced again, and not before."""
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
def test_only_our_own_messages_are_ours(payload: bytes, instance: str | None) -> None:
    """Ours has our origin and hangs on our `bridge/state`; anything else on the broker is left alone."""
    topic = TOPICS.discovery("stbridge_AAAAAAA_folder_0")
    assert owned({topic: payload}, TOPICS) == ({} if instance is None else {topic: instance})
    elsewhere = ("syncthing/nas/system", "homeassistant/device/a/b/config", "homeassistant/device/zigbee_lamp/config")
    assert owned(dict.fromkeys(elsewhere, payload), TOPICS) == {}


@pytest.mark.parametrize("prefix", ["homeassistant", "home/assistant"])
def test_no_reply_goes_to_home_assistant(prefix: str) -> None:
    """A command cannot make the bridge write below the discovery prefix."""
    topics = Topics("syncthing", prefix)
    for topic in (prefix, f"{prefix}/status", f"{prefix}/device/x/config"):
        assert not topics.may_answer_on(topic)
    assert topics.may_answer_on(f"{prefix}2/x")
