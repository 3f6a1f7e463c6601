"""Buttons and switches of a real Home Assistant control a real Syncthing instance, and its events arrive."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest

from stbridge.core.commands import allowed
from stbridge.core.topics import Address, Topics
from stbridge.homeassistant.discovered import TABLES, DiscoveredDevice
from stbridge.homeassistant.discovery import COMMAND_EXPIRY_S, Site, config
from tests.homeassistant.conftest import ALLOWED, House
from tests.servers import Subscriber, eventually

ENDS_IT = ("restart", "shutdown")


@pytest.fixture
def subscriber(house: House) -> Iterator[Subscriber]:
    """Return an MQTT client that receives all messages of the broker."""
    one = Subscriber(house.broker.port)
    yield one
    one.close()


def test_every_button_is_executed(house: House, subscriber: Subscriber) -> None:
    """For every button of every device, a press sends a command that Syncthing executes."""
    pressed = 0
    for subject in house.subjects():
        for row in TABLES[subject.address.kind]:
            fits = not row.folder_types or subject.type in row.folder_types
            if row.platform != "button" or row.key in ENDS_IT or not fits or row.command not in allowed(ALLOWED):
                continue
            since = subscriber.count
            house.hass.act("button.press", house.entity_id(f"{subject.object_id}_{row.key}"))
            of = "nas" if subject.own_id else "bridge"
            reply = subscriber.wait_for_json(f"syncthing/{of}/response/{row.command}", since=since)
            assert reply["status"] in ("ok", "accepted"), (row.key, reply)
            pressed += 1
    assert pressed >= 5


@pytest.mark.parametrize(("kind", "identifier"), [("folder", "docs"), ("folder", "{{ 1 }}"), ("device", "-")])
def test_a_switch_pauses_and_resumes(house: House, kind: str, identifier: str) -> None:
    """The switch changes Syncthing's configuration, and shows the state of Syncthing."""
    subject = house.subject(kind, identifier)
    switch = f"{subject.object_id}_paused"
    for action, paused in (("on", True), ("off", False)):
        house.hass.act(f"switch.turn_{action}", house.entity_id(switch))
        eventually(partial(_is, house, subject, paused=paused))
        eventually(partial(_shows, house, switch, action))


def _is(house: House, subject: DiscoveredDevice, *, paused: bool) -> bool:
    config = house.nodes[0].request("GET", f"/rest/config/{subject.address.kind}s")
    return any(subject.id in one.values() and one["paused"] is paused for one in config)


def _shows(house: House, unique_id: str, state: str) -> bool:
    return house.state(unique_id) == state


def test_a_press_expires(house: House, subscriber: Subscriber) -> None:
    """Commands of Home Assistant have QoS 1 and an expiry, so that no command is executed late."""
    house.hass.act("button.press", house.entity_id(f"{house.subject('system').object_id}_scan_all"))
    message = subscriber.wait_for(lambda one: one.topic == "syncthing/nas/command/scan")
    assert json.loads(message.payload) == {"all": True}
    assert 0 < getattr(message.properties, "MessageExpiryInterval", 0) <= COMMAND_EXPIRY_S
    assert message.qos == 1


def test_errors_show_and_are_cleared(house: House) -> None:
    """The entities show Syncthing's error list with its texts, and the button clears the list."""
    instance = house.subject("system").object_id
    subscriber = Subscriber(house.broker.port)
    subscriber.publish("syncthing/nas/command/new_error", "the disk is full")
    subscriber.close()

    def shown() -> bool:
        attributes = (house.hass.state_of(f"{instance}_errors") or {})["attributes"]
        return any("the disk is full" in one["message"] for one in attributes.get("items", ()))

    eventually(shown)
    house.hass.act("button.press", house.entity_id(f"{instance}_clear_errors"))
    eventually(lambda: house.state(f"{instance}_errors") == "0")


@pytest.mark.parametrize(("action", "event_type"), [("turn_on", "paused"), ("turn_off", "resumed")])
def test_pausing_and_resuming_a_folder_fires_an_event(house: House, action: str, event_type: str) -> None:
    """The event entity of the folder contains the type of the event and the folder."""
    folder = house.subject("folder", "docs")
    house.hass.act(f"switch.{action}", house.entity_id(f"{folder.object_id}_paused"))

    def reported() -> bool:
        attributes = (house.hass.state_of(f"{folder.object_id}_event") or {})["attributes"]
        return bool(attributes["event_type"] == event_type and attributes["folder"] == "docs")

    eventually(reported)


def test_an_update_is_shown_and_installed(house: House, subscriber: Subscriber) -> None:
    """The update entity works with artificial messages, because no Syncthing of the tests can upgrade itself."""
    topics = Topics("made/up", "homeassistant")
    site = Site(instance="up", topics=topics, allowed=frozenset({"upgrade"}), link="http://127.0.0.1:1", version="1")
    subject = DiscoveredDevice(own_id="MADEUP1", address=Address("system"), published=frozenset({"upgrade"}))
    upgrade = {
        "installed_version": "v2.1.3",
        "latest_version": "v2.2.0",
        "title": "Syncthing",
        "release_url": "https://github.com/syncthing/syncthing/releases/tag/v2.2.0",
        "in_progress": False,
    }
    retained = {
        topics.discovery(site.bridge.object_id): json.dumps(config(site.bridge, site)),
        topics.discovery(subject.object_id): json.dumps(config(subject, site)),
        "made/up/bridge/state": "online",
        "made/up/up/state": "online",
        "made/up/up/upgrade": json.dumps(upgrade),
    }
    for topic, payload in retained.items():
        subscriber.publish(topic, payload, retain=True)
    update = f"{subject.object_id}_update"
    eventually(partial(_shows, house, update, "on"))
    attributes = (house.hass.state_of(update) or {})["attributes"]
    assert {key: attributes[key] for key in upgrade} == upgrade
    house.hass.act("update.install", house.entity_id(update))
    assert subscriber.wait_for(lambda one: one.topic == "made/up/up/command/upgrade").payload == b"PRESS"
    for topic in retained:
        subscriber.publish(topic, "", retain=True)
    eventually(lambda: not {subject.object_id, site.bridge.object_id} & set(house.hass.devices()))


def _states_since(house: House, entity_id: str, since: str) -> set[str]:
    """Return the states of an entity since a time, including states that were too short for polling."""
    found = house.hass.request("GET", f"/api/history/period/{since}?filter_entity_id={entity_id}")
    return {one["state"] for states in found for one in states}


def test_restart_restarts_syncthing(house: House) -> None:
    """The button restarts Syncthing; meanwhile all its entities except the connection status are unavailable."""
    instance = house.subject("system").object_id
    before = house.nodes[0].request("GET", "/rest/system/status")["startTime"]
    button, problem, connection = (house.entity_id(f"{instance}_{key}") for key in ("restart", "problem", "connection"))
    since = datetime.now(UTC).isoformat()
    house.hass.act("button.press", button)
    eventually(lambda: "unavailable" in _states_since(house, problem, since))
    assert "unavailable" not in _states_since(house, connection, since)
    eventually(lambda: house.state(f"{instance}_connected") == "on")
    eventually(lambda: house.state(f"{instance}_problem") != "unavailable")
    assert house.nodes[0].request("GET", "/rest/system/status")["startTime"] > before
