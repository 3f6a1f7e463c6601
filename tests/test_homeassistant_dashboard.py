"""The dashboard and the card for Home Assistant, tested without I/O: discovery messages in, YAML out."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from stbridge.core.exclusions import Exclusions
from stbridge.core.problems import ROWS
from stbridge.homeassistant.card import card, template
from stbridge.homeassistant.dashboard import MOST_TILES, dashboard
from stbridge.homeassistant.discovered import DiscoveredDevice, Request
from stbridge.homeassistant.discovery import Site, config, config_of_all
from stbridge.homeassistant.published import PublishedDevice, published_devices
from stbridge.homeassistant.yaml_text import as_yaml
from tests.documents import ROOT
from tests.test_homeassistant import DEVICE, FOLDER, INSTANCE, SITE, SUBJECTS, TOPICS

PHONE = Request(kind="device", key="0123", name="phone", arguments=(("device", "PHONE"),))


def messages(subjects: Iterable[DiscoveredDevice] = SUBJECTS, site: Site = SITE) -> dict[str, bytes]:
    """Return the discovery messages of subjects, by topic."""
    return {TOPICS.discovery(one.object_id): json.dumps(config(one, site)).encode() for one in subjects}


def devices(subjects: Iterable[DiscoveredDevice] = SUBJECTS, site: Site = SITE) -> list[PublishedDevice]:
    """Return the devices that are read back from the discovery messages of subjects."""
    return published_devices(messages(subjects, site), TOPICS)


def folders(number: int) -> list[DiscoveredDevice]:
    """Return an instance with a number of folders."""
    return [
        INSTANCE,
        *(
            replace(FOLDER, address=FOLDER.address._replace(folder=str(n)), id=str(n), name=f"F {n}")
            for n in range(number)
        ),
    ]


def entity_ids(config: Any) -> Iterator[str]:
    """Yield every entity ID in a part of a dashboard."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key in ("entity", "entity_id"):
                yield from [value] if isinstance(value, str) else value
            yield from entity_ids(value)
    elif isinstance(config, list):
        for one in config:
            yield from entity_ids(one)


def cards(view: Any) -> list[Any]:
    """Return the cards of a view."""
    return [one for section in view["sections"] for one in section["cards"]]


# --- reading discovery messages


def test_devices_are_read_from_discovery_messages() -> None:
    """Each has its kind, the name in Syncthing, and the entities that are enabled by default."""
    bridge, instance, folder, device = (
        next(one for one in devices() if one.kind == kind) for kind in ("bridge", "instance", "folder", "device")
    )
    assert (instance.name, folder.name, device.name) == ("nas", "Photos", "laptop")
    assert {one.instance for one in (instance, folder, device)} == {"nas"}
    assert bridge.entities["connected"].entity_id == "binary_sensor.syncthing_bridge_connectivity"
    assert folder.entities["status"].entity_id == "sensor.syncthing_nas_photos_status"
    assert "last_scan_at" not in folder.entities  # disabled by default
    assert "local_changes" not in folder.entities  # listed with only its platform, because it does not apply


def test_child_devices_are_read_like_devices() -> None:
    """One message describes the instance with its folders and devices."""
    message = config_of_all(INSTANCE, (FOLDER, DEVICE), SITE)
    one = {TOPICS.discovery(f"{INSTANCE.object_id}_with_children"): json.dumps(message).encode()}
    assert published_devices(one, TOPICS) == devices((INSTANCE, FOLDER, DEVICE))


def test_excluded_devices_and_entities_are_missing() -> None:
    """What `homeassistant.exclude` names is not in the messages."""
    site = replace(SITE, exclusions=Exclusions(("entity/sensor.syncthing_nas_photos_completion",)))
    folder = next(one for one in devices(site=site) if one.kind == "folder")
    assert "completion" not in folder.entities
    assert "sensor.syncthing_nas_photos_completion" not in set(entity_ids(dashboard(devices(site=site))))


def test_entities_with_the_same_name_are_numbered_as_in_home_assistant() -> None:
    """Two folders may have the same label."""
    twin = replace(FOLDER, address=FOLDER.address._replace(folder="twin"), id="twin")
    found = [one.entities["status"].entity_id for one in devices((INSTANCE, FOLDER, twin)) if one.kind == "folder"]
    assert sorted(found) == ["sensor.syncthing_nas_photos_status", "sensor.syncthing_nas_photos_status_2"]


def test_a_name_in_another_script_is_not_certain() -> None:
    """Home Assistant replaces its letters in a way that is not known here."""
    found = devices((INSTANCE, replace(FOLDER, name="写真")))
    assert {one.name: one.certain for one in found} == {"nas": True, "写真": False}


def test_the_name_of_a_request_does_not_hide_the_instance() -> None:
    """Another device has chosen it. Only the buttons of this request are left out."""
    pending = (replace(PHONE, key="4567", name="電話"), PHONE)
    (instance,) = devices((replace(INSTANCE, pending=pending),))
    assert instance.certain
    assert [one.name for one in instance.requests] == ["Accept device phone", "Dismiss device phone"]


@pytest.mark.parametrize(
    "change",
    [
        {"components": None},
        {"components": {"status": None}},
        {"components": {"status": {"default_entity_id": 1, "platform": "sensor"}}},
        {"device": {"identifiers": [], "name": "x"}},
        {"device": {"identifiers": ["x"], "name": None}},
        {"device": None, "child_devices": 1},
        {"device": None, "child_devices": [1, {"identifiers": 1}]},
    ],
)
def test_damaged_messages_are_ignored(change: dict[str, Any]) -> None:
    """Any client may publish there."""
    damaged = {**config(FOLDER, SITE), **change}
    found = messages() | {TOPICS.discovery(FOLDER.object_id): json.dumps(damaged).encode()}
    assert {one.kind for one in published_devices(found, TOPICS)} == {"bridge", "instance", "device"}


def test_an_entity_of_an_unknown_platform_is_ignored() -> None:
    """The platform becomes a part of the entity ID."""
    damaged = config(FOLDER, SITE)
    damaged["components"]["status"]["platform"] = "sensor: x\n"
    found = messages() | {TOPICS.discovery(FOLDER.object_id): json.dumps(damaged).encode()}
    folder = next(one for one in published_devices(found, TOPICS) if one.kind == "folder")
    assert "status" not in folder.entities
    assert "completion" in folder.entities


def test_other_bridges_and_programs_are_ignored() -> None:
    """A bridge with another base topic has a dashboard of its own."""
    other = messages(site=replace(SITE, topics=type(TOPICS)("other", "homeassistant")))
    assert published_devices(other | {"homeassistant/device/zigbee/config": b"{}"}, TOPICS) == []


# --- the dashboard


def test_every_entity_of_the_dashboard_is_enabled() -> None:
    """The dashboard contains only entities that discovery messages describe and that are enabled by default."""
    enabled = {entity.entity_id for one in devices() for entity in (*one.entities.values(), *one.requests)}
    named = set(entity_ids(dashboard(devices())))
    assert named <= enabled
    assert {
        "sensor.syncthing_nas_photos_status",
        "sensor.syncthing_nas_photos_completion",
        "sensor.syncthing_nas_laptop_status",
        "sensor.syncthing_nas_download_rate",
        "sensor.syncthing_nas_conflicts",
        "sensor.syncthing_nas_pending_devices",
        "event.syncthing_nas_photos",
        "event.syncthing_nas_laptop",
        "switch.syncthing_nas_photos_paused",
        "button.syncthing_nas_photos_scan",
    } <= named


def test_problems_are_on_top() -> None:
    """The first card is the one that lists problems with their fixes, over the whole width."""
    first = dashboard(devices())["views"][0]["sections"][0]
    assert first == {"type": "grid", "column_span": 4, "cards": [{**card(), "grid_options": {"columns": "full"}}]}


def test_a_request_has_buttons_that_ask_first() -> None:
    """They are shown as long as the request is pending."""
    asked = dashboard(devices((replace(INSTANCE, pending=(PHONE,)),)))
    accept, dismiss = (one for one in cards(asked["views"][0]) if one.get("name", "").endswith("device phone"))
    assert accept["entity"] == "button.syncthing_nas_accept_device_phone"
    assert accept["tap_action"]["confirmation"] == {"text": "Accept device phone?"}
    assert accept["visibility"] == [{"condition": "state", "entity": accept["entity"], "state_not": "unavailable"}]
    assert dismiss["entity"] == "button.syncthing_nas_dismiss_device_phone"


def test_buttons_exist_only_for_allowed_commands() -> None:
    """A bridge that executes no command has no buttons in Home Assistant."""
    shown = str(dashboard(devices(site=replace(SITE, allowed=frozenset()))))
    assert "button." not in shown
    assert "switch." not in shown


def test_a_few_folders_are_all_in_the_overview() -> None:
    """Each has its status and its completion, and they are in the natural order of their names."""
    overview = dashboard(devices(folders(MOST_TILES)))["views"][0]
    names = [one["name"] for one in cards(overview) if one.get("entity", "").endswith("_status")]
    assert names == [f"F {number}" for number in range(MOST_TILES)]


def test_of_many_folders_the_overview_has_those_that_need_attention() -> None:
    """All others are in a view of their own."""
    overview, view = dashboard(devices(folders(50)))["views"]
    attention = next(one for one in cards(overview) if one["type"] == "entity-filter")
    assert len(attention["entities"]) == len(view["sections"]) == 50
    assert attention["conditions"] == [{"condition": "state", "state_not": ["Up to date", "Unshared"]}]
    assert len(cards(overview)) < 30


def test_views_of_several_instances_name_the_instance() -> None:
    """Both may have a folder with the same label."""
    desk = replace(SITE, instance="desk")
    others = [replace(one, own_id="DESK") for one in (INSTANCE, FOLDER)]
    both = published_devices(messages() | messages(others, desk), TOPICS)
    view = dashboard(both)["views"][1]
    assert [section["cards"][0]["heading"] for section in view["sections"]] == ["desk Photos", "nas Photos"]
    headings = [one["heading"] for one in cards(dashboard(both)["views"][0]) if one["type"] == "heading"]
    assert headings == ["desk", "desk: folders", "nas", "nas: folders", "nas: devices", "Activity"]


def test_the_dashboard_is_read_back_from_its_yaml() -> None:
    """The names of folders may contain any character."""
    odd = replace(FOLDER, name='on: "{{ 1 }}" # \\ \u2028\x07 😀\n- x')
    made = dashboard(devices((INSTANCE, odd)))
    assert yaml.safe_load(as_yaml(made)) == made


# --- the card


def test_the_card_has_the_fix_of_every_problem() -> None:
    """It shows the texts of the page of problems."""
    assert all(row.fix.replace('"', '\\"') in template() for row in ROWS)


def test_the_card_of_the_examples_is_up_to_date() -> None:
    """`scripts/tables` writes it."""
    assert (ROOT / "examples/home-assistant/card.yaml").read_text(encoding="utf-8") == as_yaml(card())


# --- YAML


TEXTS = (
    *("", "on", "No", "y", "null", "~", "12", "1e3", ".5", "0x1f", "1:30", "2026-11-28", "a: b", "a #b", "- a", "a "),
    *(" a", "a\nb", " a\nb", "a\n b\n\nc", "a\n", "\n", "\t", "tab\ta", "é ü", "😀", "\x7f\u2028\ufeff", "%a", "@a"),
    *("`a`", "'a'", '"a"', "a\\b", "{a}", "[a]", "a, b", "!a", "&a", "*a", "|", ">", "=", "<<", "mdi:sync", "a:"),
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_back_unchanged(text: str) -> None:
    """As a value, as a key and in a list."""
    value = {"a": text, text or "empty": {"b": [text, [text], {text or "empty": text}]}}
    assert yaml.safe_load(as_yaml(value)) == value


def test_texts_are_plain_where_that_is_possible() -> None:
    """People read and edit the dashboard."""
    value = {"entity": "sensor.syncthing_nas_status", "icon": "mdi:sync", "text": "a\n  b", "count": 1, "all": True}
    assert as_yaml(value).splitlines() == [
        "entity: sensor.syncthing_nas_status",
        "icon: mdi:sync",
        "text: |-",
        "  a",
        "    b",
        "count: 1",
        "all: true",
    ]


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    """JSON may contain one, and UTF-8 may not."""
    assert yaml.safe_load(as_yaml({"a": "x\ud800"})) == {"a": "x\ufffd"}
