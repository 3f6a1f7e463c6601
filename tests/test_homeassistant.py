"""The discovery messages for Home Assistant, tested without I/O: observations in, messages out."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from jinja2 import Environment

from stbridge.core import observations as seen
from stbridge.core.commands import COMMANDS
from stbridge.core.exclusions import Exclusions
from stbridge.core.messages import Message
from stbridge.core.model import Config, Connection, DeviceConfig, FolderConfig, PendingDevice, PendingFolder, short_id
from stbridge.core.outcome import SYSTEM, device_address, folder_address
from stbridge.core.rules import apply
from stbridge.core.state import State
from stbridge.core.topics import BRIDGE, Address, Topics
from stbridge.homeassistant.discovered import TABLES, DiscoveredDevice, Request
from stbridge.homeassistant.discovery import CONTROLS, Site, config
from stbridge.homeassistant.discovery_publisher import DiscoveryPublisher
from stbridge.homeassistant.entity import Entity
from stbridge.homeassistant.ownership import owned
from stbridge.homeassistant.removal import MOST_REMOVED
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
SUBJECTS = (SITE.bridge, INSTANCE, FOLDER, DEVICE)
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

    def __init__(self, site: Site = SITE) -> None:
        self.state = State()
        self.discovery = DiscoveryPublisher(site)
        self.retained: dict[str, Any] = {}

    def see(self, *observations: seen.Observation) -> list[Message]:
        """Apply observations, and return the resulting messages."""
        for observation in observations:
            apply(self.state, observation, NOW)
        return self.follow()

    def follow(self) -> list[Message]:
        changed = self.state.take_outcome().changed
        messages = [message for address in changed for message in self.discovery.follow(self.state, address)]
        messages += self.discovery.describe_all()
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
    pressed = row.platform in CONTROLS
    assert bool(row.command) == (pressed or row.platform == "update")
    assert bool(row.types) == (row.platform == "event")
    assert bool(row.options or row.words) == (row.device_class == "enum")
    assert row.category in ((None, "config") if row.command else (None, "diagnostic"))
    assert row.name or row.device_class or row.key == "event"
    for topic in filter(None, (row.topic, row.lists_topic)):
        assert TOPICS.build("nas", Address(topic, folder="F", device="D"))
    assert kind == "folder" or not row.folder_types


def test_unknown_values_are_shown_as_unknown() -> None:
    """A template renders null as `None`, which Home Assistant shows as unknown, and never as 0 or as an error."""
    rate = Entity(key="r", platform="sensor", meaning="", value="a.b", unit="kB/s")
    assert str(value_template(rate)).endswith(" if value_json['a']['b'] is number else none }}")
    text = Entity(key="t", platform="sensor", meaning="", value="items", keep="end")
    assert value_template(text) == "{{ value_json['items'][-255:] if value_json['items'] is string else none }}"
    word = Entity(key="w", platform="sensor", meaning="", value="w", options=("a", "b"))
    error = Entity(key="e", platform="sensor", meaning="", value="e", keep="start", otherwise="none")
    assert value_template(error) == "{{ value_json['e'][:255] if value_json['e'] is string else 'none' }}"
    assert value_template(word) == "{{ value_json['w'] if value_json['w'] in ['a', 'b'] else none }}"
    assert "or []" in str(attributes_template(Entity(key="l", platform="sensor", meaning="", lists=("items",))))


def test_names_occur_only_in_name_keys() -> None:
    """A label that looks like a template, or an ID that looks like a topic, changes neither templates nor topics."""
    evil = replace(FOLDER, name="{{ 1/0 }}", id="{{ 2/0 }}/+#", address=folder_address("{{ 2/0 }}/+#"))
    message = config(evil, SITE)
    assert message["device"].pop("name") == "nas {{ 1/0 }}"
    assert "1/0" in message["components"]["completion"]["default_entity_id"]
    for component in message["components"].values():
        component.pop("default_entity_id", None)
    assert "1/0" not in json.dumps(message)
    for component in message["components"].values():
        for key, value in component.items():
            if "template" in key:
                assert "2/0" not in value
            if key.endswith("topic"):
                assert "%2B%23" in value or "folder" not in value


def test_ids_survive_renaming() -> None:
    """A new name changes only names; another ID, or another Syncthing instance, is another device."""
    before, after = config(FOLDER, SITE), config(replace(FOLDER, name="Pictures"), SITE)
    assert after["device"].pop("name") != before["device"].pop("name")
    for message in (before, after):
        for component in message["components"].values():
            component.pop("default_entity_id", None)
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
    assert not [one for one in found.values() if "command_topic" in one or one["platform"] in CONTROLS]
    assert ("is_paused" in found) == (subject in (FOLDER, DEVICE))
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


def test_the_update_entity_has_the_logo_of_syncthing() -> None:
    """Without it, Home Assistant shows the logo of MQTT."""
    assert components(INSTANCE)["update"]["entity_picture"].endswith("/syncthing/icon.png")


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.address.kind)
def test_home_assistant_links_to_the_project(subject: DiscoveredDevice) -> None:
    """Users ask for help there, and not at Home Assistant."""
    assert config(subject, SITE)["origin"]["support_url"].startswith("https://github.com/")


def test_rates_show_a_direction() -> None:
    """The default icon of the device class is a transmission tower; limits have a lock at their arrow."""
    icons = {row.icon for _, row in ROWS if row.device_class == "data_rate"}
    assert icons == {f"mdi:{way}{lock}" for way in ("download", "upload") for lock in ("", "-lock-outline")}


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        *((FOLDER, key) for key in ("sync_ends_at", "scan_ends_at", "sync_rate", "resume_at")),
        *((DEVICE, key) for key in ("connection_error", "resume_at")),
    ],
)
def test_entities_that_few_people_need_are_disabled(subject: DiscoveredDevice, key: str) -> None:
    """They can be enabled in the settings of each entity."""
    one = components(subject)[key]
    assert (one["enabled_by_default"], one["entity_category"]) == (False, "diagnostic")


@pytest.mark.parametrize(("error", "shown"), [("connection refused", "connection refused"), (None, "none")])
def test_a_device_without_a_connection_error_is_not_unknown(error: str | None, shown: str) -> None:
    """A healthy system has no entity that is permanently unknown."""
    template = components(DEVICE)["connection_error"]["value_template"]
    assert Environment(autoescape=True).from_string(template).render(value_json={"connection_error": error}) == shown


def test_only_the_connection_is_available_without_syncthing() -> None:
    """While Syncthing is unreachable, all entities are unavailable except the one that shows the connection."""
    topics = [entry["topic"] for entry in config(INSTANCE, SITE)["availability"]]
    assert topics == ["syncthing/bridge/state", "syncthing/nas/state"]
    own = {key: one["availability"] for key, one in components(INSTANCE).items() if "availability" in one}
    assert own == {key: [{"topic": "syncthing/bridge/state"}] for key in ("connected", "connection")}


def test_the_bridge_is_a_device_that_shows_whether_it_runs() -> None:
    """Its connectivity is never unavailable, all instances are connected via it, and two bridges are two devices."""
    message = config(SITE.bridge, SITE)
    assert message["availability"] == [{"topic": "syncthing/bridge/state"}]
    connected = message["components"]["connected"]
    assert (connected["state_topic"], connected["availability"]) == ("syncthing/bridge/state", [])
    assert message["components"]["republish"]["command_topic"] == "syncthing/bridge/command/republish"
    assert config(INSTANCE, SITE)["device"]["via_device"] == SITE.bridge.object_id
    other = replace(SITE, topics=Topics("other", "homeassistant"))
    assert other.bridge.object_id != SITE.bridge.object_id
    assert [config(one.bridge, one)["device"]["name"] for one in (SITE, other)] == [
        "Syncthing bridge",
        "Syncthing bridge other",
    ]


def test_the_discovery_message_of_the_bridge_belongs_to_no_instance() -> None:
    """`purge` clears it, and a bridge with other instances keeps it."""
    payload = json.dumps(config(SITE.bridge, SITE)).encode()
    topic = TOPICS.discovery(SITE.bridge.object_id)
    assert owned({topic: payload}, TOPICS) == {topic: BRIDGE}
    assert owned({topic: payload}, Topics("other", "homeassistant")) == {}


def test_entity_ids_begin_with_syncthing() -> None:
    """Home Assistant replaces spaces and other characters; the names of the devices stay as they are."""
    for subject in SUBJECTS:
        for one in components(subject).values():
            assert one["default_entity_id"].lower().startswith(f"{one['platform']}.syncthing ")
    assert components(FOLDER)["completion"]["default_entity_id"] == "sensor.syncthing nas Photos Completion"
    assert components(DEVICE)["problem"]["default_entity_id"] == "binary_sensor.syncthing nas laptop problem"


def test_a_number_sets_a_limit() -> None:
    """Syncthing's limits of rates are numbers, and each sends only its own argument."""
    assert config(INSTANCE, SITE)["state_topic"] == "syncthing/nas/slow/system"
    limit = components(INSTANCE)["max_send_kbps"]
    assert limit["command_topic"] == "syncthing/nas/command/set_limits"
    assert limit["command_template"] == "{{ {'send_kbps': value | int} | to_json }}"
    assert (limit["min"], limit["unit_of_measurement"]) == (0, "KiB/s")


@pytest.mark.parametrize(
    ("subject", "value", "shown"),
    [
        (FOLDER, "up_to_date", "Up to date"),
        (FOLDER, "local_additions", "Local additions"),
        (FOLDER, "a new one", None),
        (DEVICE, "disconnected_inactive", "Disconnected (inactive)"),
    ],
)
def test_the_status_is_shown_as_words(subject: DiscoveredDevice, value: str, shown: str | None) -> None:
    """The words are those of Syncthing's page; Home Assistant would log a warning about any other word."""
    status = components(subject)["status"]
    text = Environment(autoescape=True).from_string(status["value_template"]).render(value_json={"status": value})
    assert text == str(shown)
    assert shown is None or shown in status["options"]


def test_voice_assistants_do_not_pause_anything() -> None:
    """Home Assistant does not expose entities of the category `config`, so "turn on the switches" pauses nothing."""
    for subject in (FOLDER, DEVICE):
        assert components(subject)["paused"]["entity_category"] == "config"


@pytest.mark.parametrize(
    ("subject", "key", "value", "shown"),
    [
        (FOLDER, "completion", 99.96, 99.9),
        (FOLDER, "completion", 100, 100.0),
        (FOLDER, "completion", 0, 0.0),
        (FOLDER, "need_items", 999, 999),
        (FOLDER, "need_items", 123_456, 123_000),
        (FOLDER, "need_bytes", 1_234_567, 1.23),
        (FOLDER, "need_bytes", 5, 0.000005),
        (FOLDER, "need_bytes", 98_765_432_109, 98_800.0),
        (INSTANCE, "in_rate", 12.5, 0.0),
        (INSTANCE, "in_rate", 1_234_567.8, 1230.0),
        (INSTANCE, "in_bytes_lifetime", 1_234_567_890_123, 1234.56),
        (FOLDER, "completion", None, None),
        (FOLDER, "need_bytes", None, None),
    ],
)
def test_numbers_are_rounded(subject: DiscoveredDevice, key: str, value: float | None, shown: float | None) -> None:
    """Home Assistant records each different value, so they have no more digits than people read; 100 is complete."""
    template = components(subject)[key]["value_template"]
    payload = {key: value, "need_total_items": value}
    assert Environment(autoescape=True).from_string(template).render(value_json=payload) == str(shown)


@pytest.mark.parametrize("pattern", ["folder/photos", "folder/Ph?t*", "folder/*"])
def test_an_excluded_folder_is_removed(pattern: str) -> None:
    """IDs and labels are compared; the device of a folder that was not excluded before is cleared."""
    one = Instance(replace(SITE, exclusions=Exclusions((pattern,))))
    leftover = TOPICS.discovery(FOLDER.object_id)
    one.discovery.remember({leftover: b""})
    messages = one.see(process(), seen.ConfigRead(config=configured()), seen.SnapshotComplete())
    assert sorted(one.names.values()) == ["Syncthing nas", "nas laptop"]
    assert [message.topic for message in messages if not message.payload] == [leftover]


@pytest.mark.parametrize("pattern", ["device/laptop", f"device/{OTHER}", f"device/{short_id(OTHER)}"])
def test_an_excluded_device_is_not_shown(pattern: str) -> None:
    """IDs, short IDs and names are compared."""
    assert replace(SITE, exclusions=Exclusions((pattern,))).excludes(DEVICE)
    assert not replace(SITE, exclusions=Exclusions((pattern,))).excludes(FOLDER)


def test_an_excluded_entity_is_removed() -> None:
    """Entity IDs are compared as Home Assistant first creates them, with unfit characters replaced."""
    site = replace(SITE, exclusions=Exclusions(("entity/sensor.syncthing_nas_fotos_u_2_last_*", "folder/none")))
    message = config(replace(FOLDER, name="Fotos (Ü) 2"), site)["components"]
    assert message["last_scan_at"] == {"platform": "sensor"}
    assert len(message["completion"]) > 1


def test_the_version_of_a_device_is_kept_while_it_is_disconnected(instance: Instance) -> None:
    """A device that connects and disconnects does not cause a discovery message each time."""
    connected = Connection(connected=True, client_version="v2.1.3")
    (shown,) = instance.see(_connections(connected))
    assert json.loads(shown.payload)["device"]["sw_version"] == "v2.1.3"
    assert not instance.see(_connections(Connection(connected=False)))


def _connections(laptop: Connection) -> seen.ConnectionsRead:
    return seen.ConnectionsRead(at=NOW, connections={OTHER: laptop}, in_bytes=0, out_bytes=0)


WITH_CHILDREN = replace(SITE, child_devices=True)


def test_child_devices_are_in_the_message_of_their_instance() -> None:
    """One message describes everything, and a message of the other shape is cleared before it."""
    one = Instance(WITH_CHILDREN)
    flat = [TOPICS.discovery(subject.object_id) for subject in (INSTANCE, FOLDER)]
    one.discovery.remember(dict.fromkeys(flat, b""))
    messages = one.see(process(), seen.ConfigRead(config=configured()), seen.SnapshotComplete())
    assert [message.topic for message in messages if not message.payload] == sorted(flat)
    assert not messages[0].payload
    described = json.loads(messages[-1].payload)
    assert {child["name"] for child in described["child_devices"]} == {"nas Photos", "nas laptop"}
    parts = {key: part for child in described["child_devices"] for key, part in child["components"].items()}
    unique = [part["unique_id"] for part in parts.values() if len(part) > 1]
    assert len(unique) == len(set(unique))
    assert {one["unique_id"] for one in components(FOLDER).values()} <= set(unique)
    assert parts[f"{FOLDER.object_id}_completion"]["state_topic"] == "syncthing/nas/slow/folder/photos"


def test_a_removed_child_device_is_removed_from_home_assistant() -> None:
    """Home Assistant keeps entities that are missing from a message; it removes those with only a platform."""
    one = Instance(WITH_CHILDREN)
    one.see(process(), seen.ConfigRead(config=configured()), seen.SnapshotComplete())
    (message,) = one.see(seen.ConfigRead(config=configured(folders=[])))
    gone = next(one for one in json.loads(message.payload)["child_devices"] if one["identifiers"] == [FOLDER.object_id])
    assert {tuple(component) for component in gone["components"].values()} == {("platform",)}
    (message,) = one.see(seen.ConfigRead(config=configured()))
    (back,) = (one for one in json.loads(message.payload)["child_devices"] if one["identifiers"] == [FOLDER.object_id])
    assert len(back["components"][f"{FOLDER.object_id}_completion"]) > 1


def test_all_child_devices_that_are_removed_together_are_removed_from_home_assistant() -> None:
    """Only entities that an earlier message has removed are limited."""
    one = Instance(WITH_CHILDREN)
    many = [replace(PHOTOS, id=f"folder-{number}") for number in range(50)]
    one.see(process(), seen.ConfigRead(config=configured(folders=many)), seen.SnapshotComplete())
    (message,) = one.see(seen.ConfigRead(config=configured(folders=[])))
    children = json.loads(message.payload)["child_devices"]
    assert len([child for child in children if "_folder_" in child["identifiers"][0]]) == 50
    (message,) = one.see(seen.ConfigRead(config=configured()))
    removed = [part for child in json.loads(message.payload)["child_devices"] for part in child["components"].values()]
    assert len([part for part in removed if tuple(part) == ("platform",)]) <= 2 * MOST_REMOVED


def test_pending_requests_have_buttons() -> None:
    """Each pending device and folder has a button that accepts it and one that dismisses it, until it is gone."""
    one = Instance()
    asks = PendingDevice(id=OTHER, name="{{ phone }}", address="", time=None)
    offers = PendingFolder(id="music", label="", device=OTHER, time=None)
    one.see(process(), seen.ConfigRead(config=configured()), seen.SnapshotComplete())
    one.see(seen.PendingDevicesRead(devices=(asks,)), seen.PendingFoldersRead(folders=(offers,)))
    buttons = [part for part in _described(one).values() if "accept" in part.get("unique_id", "")]
    assert {part["name"]: json.loads(part["payload_press"]) for part in buttons} == {
        "Accept device {{ phone }}": {"device": OTHER},
        "Accept folder music": {"folder": "music", "device": OTHER},
    }
    one.see(seen.PendingDevicesRead(devices=()), seen.PendingFoldersRead(folders=()))
    removed = [part for key, part in _described(one).items() if key.startswith(("accept_", "dismiss_"))]
    assert removed == [{"platform": "button"}] * 4


def test_a_message_lists_a_limited_number_of_removed_entities() -> None:
    """Other devices can offer any number of folders, one after the other; the last ones are removed in any case."""
    one = Instance()
    one.see(process(), seen.ConfigRead(config=configured()), seen.SnapshotComplete())
    for number in range(MOST_REMOVED):
        offer = PendingFolder(id=f"folder {number}", label=f"Folder {number}", device=OTHER, time=None)
        one.see(seen.PendingFoldersRead(folders=(offer,)))
        last = [key for key, part in _described(one).items() if part.get("name") == f"Accept folder Folder {number}"]
    one.see(seen.PendingFoldersRead(folders=()))
    removed = [key for key, part in _described(one).items() if part == {"platform": "button"}]
    assert len(last) == 1
    assert last[0] in removed
    assert len(removed) == MOST_REMOVED
    again = Instance()  # the next run of the bridge
    topic = TOPICS.discovery(INSTANCE.object_id)
    again.discovery.remember({topic: json.dumps(one.retained[topic]).encode()})
    again.see(process(), seen.ConfigRead(config=configured()), seen.SnapshotComplete())
    assert _described(again) == _described(one)


def test_a_bridge_that_may_not_accept_requests_has_no_buttons_for_them() -> None:
    """The commands belong to the group `admin`."""
    request = Request(kind="device", key="k", name="phone", arguments=(("device", OTHER),))
    asked = replace(INSTANCE, pending=(request,))
    assert "accept_device_k" in components(asked)
    assert "accept_device_k" not in components(asked, replace(SITE, allowed=frozenset()))


def test_entities_of_the_previous_run_that_no_longer_exist_are_removed() -> None:
    """Another version of the bridge may have had other entities; a forged message adds nothing but removals."""
    topic = TOPICS.discovery(INSTANCE.object_id)
    for before, removed in (
        ({"old": {"platform": "sensor", "unique_id": "x"}}, {"old": {"platform": "sensor"}}),
        ({"old": {"platform": "no platform"}}, {}),
        ({"old": {"platform": []}}, {}),
        ([], {}),
    ):
        one = Instance()
        one.discovery.remember({topic: json.dumps({"components": before}).encode()})
        one.see(process(), seen.ConfigRead(config=configured()), seen.SnapshotComplete())
        found = _described(one)
        assert {key: part for key, part in found.items() if key == "old"} == removed


def _described(one: Instance) -> dict[str, Any]:
    found: dict[str, Any] = one.retained[TOPICS.discovery(INSTANCE.object_id)]["components"]
    return found


def test_without_child_devices_their_message_is_cleared_first(instance: Instance) -> None:
    """Otherwise, Home Assistant would refuse the entities of folders and devices."""
    topic = TOPICS.discovery(f"{INSTANCE.object_id}_with_children")
    one = Instance()
    one.discovery.remember(dict.fromkeys([topic, TOPICS.discovery(INSTANCE.object_id)], b""))
    messages = one.see(process(), seen.ConfigRead(config=configured()), seen.SnapshotComplete())
    assert [message.topic for message in messages if not message.payload] == [topic]
    assert messages[0].topic == topic
    assert one.names == instance.names


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
    one.discovery.remember(dict.fromkeys([leftover, TOPICS.discovery("stbridge_AAAAAAA")], b""))
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
