"""The automations in the documents, loaded into a real Home Assistant and triggered there."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import yaml

from tests.documents import ROOT, blocks
from tests.homeassistant.conftest import House
from tests.servers import Subscriber, eventually

PAGES = (ROOT / "docs/alerting.md", ROOT / "docs/bandwidth.md")
RECIPES = {yaml.safe_load(block)["alias"]: block for page in PAGES for block in blocks(page, "yaml")}

CONFLICT = {
    "event_type": "conflict",
    "folder": "photos",
    "label": "Photos",
    "path": "letter.sync-conflict-20261125-120000-ABCDEFG.txt",
    "original": "letter.txt",
}
UNSEEN = {
    "event_type": "problem_raised",
    "code": "unseen",
    "message": "the device is not connected",
    "since": "2026-11-20T12:00:00Z",
    "device": "VW2PZWG",
    "name": "laptop",
}
UNSEEN_BACKUP = {**UNSEEN, "name": "backup"}
STALE = {
    "event_type": "problem_raised",
    "code": "stale",
    "message": "no other device is connected",
    "since": "2026-11-20T12:00:00Z",
    "folder": "photos",
    "label": "Photos",
}
PENDING = {"event_type": "device_pending", "device": "VW2PZWG-4TMQH7K", "name": "phone", "address": "192.0.2.1:22000"}
NOTIFYING = (
    ("Syncthing: notify my phone", "event/conflict", CONFLICT, "Syncthing: nas", f"Photos {CONFLICT['path']}"),
    ("Syncthing: notify my phone", "event/problem_raised", UNSEEN, "Syncthing: nas", f"laptop {UNSEEN['message']}"),
    ("Syncthing: a conflict was found", "event/conflict", CONFLICT, "Conflict in Photos", "letter.txt"),
    (
        "Syncthing: a backup is stale",
        "event/problem_raised",
        UNSEEN_BACKUP,
        "Stale backup: backup",
        "the device is not connected",
    ),
    ("Syncthing: a backup is stale", "event/problem_raised", STALE, "Stale backup: Photos", STALE["message"]),
    (
        "Syncthing: a device is offline for days",
        "event/problem_raised",
        UNSEEN,
        "laptop is offline",
        "Not seen since 2026-11-20 12:00:00+00:00",
    ),
    (
        "Syncthing: a request is pending",
        "event/device_pending",
        PENDING,
        "Syncthing: device pending",
        "phone (VW2PZWG-4TMQH7K)",
    ),
)
REPEAT_S = 6.0
OFFLINE, LASTING = "Syncthing: offline", "Syncthing: a problem lasts"
NIGHTLY, AT_NIGHT, TWO_HOURS = (
    "Syncthing: scan every night",
    "Syncthing: only at night",
    "Syncthing: pause for two hours",
)


@pytest.fixture
def load(house: House) -> Iterator[Callable[[str], None]]:
    """Return a function that creates an automation from a recipe; remove the automations afterwards."""
    made: list[str] = []

    def make(alias: str) -> None:
        made.append(re.sub(r"\W+", "_", alias).lower())
        house.hass.request("POST", f"/api/config/automation/config/{made[-1]}", _config(house, alias))
        eventually(lambda: _states(house).get(made[-1]) == "on")

    yield make
    for name in made:
        house.hass.request("DELETE", f"/api/config/automation/config/{name}")
    for one in house.hass.ask("persistent_notification/get"):
        body = {"notification_id": one["notification_id"]}
        house.hass.request("POST", "/api/services/persistent_notification/dismiss", body)


@pytest.fixture
def subscriber(house: House) -> Iterator[Subscriber]:
    """A client that can publish."""
    one = Subscriber(house.broker.port, "syncthing/#")
    yield one
    one.close()


def _config(house: House, alias: str) -> Any:
    """Return a recipe for this test setup.

    There is no phone, no folder `photos` and not enough time to wait: a notification, the folder `docs` and 5 seconds
    replace them, and events of Home Assistant replace times of the day.
    """
    block = RECIPES[alias].replace("notify.mobile_app_phone", "persistent_notification.create")
    block = re.sub(r'"00:\d\d:00"', '"00:00:05"', block).replace('"folder": "photos"', '"folder": "docs"')
    block = re.sub(r'trigger: time\n    at: "(\d\d):00:00"', r"trigger: event\n    event_type: at_\1", block)
    folder = house.subject("folder", "docs").object_id
    return yaml.safe_load(block.replace("switch.syncthing_nas_photos_paused", house.entity_id(f"{folder}_paused")))


def _states(house: House) -> dict[str, str]:
    """Return the state of each automation by its ID; an automation that is not valid is unavailable."""
    found = [one for name, one in house.hass.states().items() if name.startswith("automation.")]
    return {one["attributes"].get("id", ""): one["state"] for one in found}


def _notifications(house: House) -> dict[str, str]:
    return {one["title"]: one["message"] for one in house.hass.ask("persistent_notification/get")}


def _repeat(act: Callable[[], object], condition: Callable[[], bool]) -> None:
    """Repeat an action until a condition holds: an automation that is on may not have subscribed yet."""

    def holds() -> bool:
        act()
        with suppress(AssertionError):
            eventually(condition, REPEAT_S)
        return condition()

    eventually(holds)


def test_every_recipe_has_a_test() -> None:
    """An automation that is added to the documents needs a line here."""
    tested = {alias for alias, *_ in NOTIFYING} | {OFFLINE, LASTING, NIGHTLY, AT_NIGHT, TWO_HOURS}
    assert set(RECIPES) == tested


@pytest.mark.parametrize(("alias", "topic", "event", "title", "message"), NOTIFYING)
def test_an_event_becomes_a_notification(  # noqa: PLR0917 - the columns of the table
    house: House,
    load: Callable[[str], None],
    subscriber: Subscriber,
    alias: str,
    topic: str,
    event: dict[str, str],
    title: str,
    message: str,
) -> None:
    """The notification names the folder or device, and what happened."""
    load(alias)
    _repeat(
        lambda: subscriber.publish(f"syncthing/nas/{topic}", json.dumps(event)),
        lambda: _notifications(house).get(title) == message,
    )


def test_an_instance_that_stays_offline_causes_a_notification(
    house: House, load: Callable[[str], None], subscriber: Subscriber
) -> None:
    """An instance that is online again in time causes none."""
    load(OFFLINE)
    _repeat(
        lambda: subscriber.publish("syncthing/first/state", "offline"),
        lambda: "Syncthing: first is offline" in _notifications(house),
    )
    try:
        for name, state in (("short", "offline"), ("short", "online"), ("long", "offline")):
            subscriber.publish(f"syncthing/{name}/state", state, retain=True)
        eventually(lambda: "Syncthing: long is offline" in _notifications(house))
        assert "Syncthing: short is offline" not in _notifications(house)
    finally:
        for name in ("short", "long"):
            subscriber.publish(f"syncthing/{name}/state", "", retain=True)


def test_a_problem_that_lasts_causes_a_notification(house: House, load: Callable[[str], None]) -> None:
    """The notification contains the messages of all problems of the instance."""
    load(LASTING)
    conflict = house.directory / "alpha/docs/recipe.sync-conflict-20261125-120000-ABCDEFG.txt"
    conflict.write_bytes(b"the other one")
    try:
        eventually(lambda: any(conflict.name in message for message in _notifications(house).values()))
    finally:
        conflict.unlink()


def test_a_scan_starts_at_a_time(house: House, load: Callable[[str], None], subscriber: Subscriber) -> None:
    """The bridge scans every folder."""
    load(NIGHTLY)
    since = subscriber.count
    house.hass.request("POST", "/api/events/at_03", {})
    reply = subscriber.wait_for_json("syncthing/nas/response/scan", since=since)
    assert reply["status"] in ("ok", "accepted")


def test_a_folder_is_paused_from_one_time_to_another(house: House, load: Callable[[str], None]) -> None:
    """Home Assistant switches the folder."""
    load(AT_NIGHT)
    for event, paused in (("at_06", True), ("at_23", False)):
        send = partial(house.hass.request, "POST", f"/api/events/{event}", {})
        _repeat(send, partial(_pause_is, house, paused=paused))  # an event is ignored while the automation still runs


def test_a_folder_is_paused_for_two_hours(house: House, load: Callable[[str], None], subscriber: Subscriber) -> None:
    """The bridge publishes when it resumes the folder."""
    load(TWO_HOURS)
    since = subscriber.count
    house.hass.act("input_boolean.turn_on", "input_boolean.gaming")
    try:
        subscriber.wait_for_json("syncthing/nas/folder/docs", lambda one: one["resume_at"], since=since)
        assert _is_paused(house)
    finally:
        house.hass.act("input_boolean.turn_off", "input_boolean.gaming")
        subscriber.publish("syncthing/nas/command/resume", '{"folder": "docs"}')
        eventually(lambda: not _is_paused(house))


def _pause_is(house: House, *, paused: bool) -> bool:
    return _is_paused(house) is paused


def _is_paused(house: House) -> bool:
    return bool(house.nodes[0].request("GET", "/rest/config/folders/docs")["paused"])
