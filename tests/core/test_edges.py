"""Events: each change is reported once, late if only a read shows it, and never at the first start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.alerts import Alerts
from stbridge.core.model import PendingDevice, PendingFolder, short_id
from stbridge.core.observations import Observation
from stbridge.core.topics import Address
from tests.core.world import (
    BETA,
    COUNTS,
    GAMMA,
    LACKING,
    NOW,
    World,
    config,
    failed,
    folder,
    needing,
    not_running,
    process,
    read,
)

FLAPPING_S = 10


def _pending_device() -> seen.PendingDevicesRead:
    return seen.PendingDevicesRead(devices=(PendingDevice(id=GAMMA, name="phone", address="192.0.2.2:1", time=NOW),))


def _pending_folder() -> seen.PendingFoldersRead:
    return seen.PendingFoldersRead(folders=(PendingFolder(id="music", label="Music", device=BETA, time=NOW),))


NOBODY = (seen.PendingDevicesRead(devices=()), seen.PendingFoldersRead(folders=()))
PAUSED_FOLDER = config(folder("docs", BETA, paused=True))
PAUSED_DEVICE = seen.ConfigRead(
    config=replace(config().config, devices={BETA: replace(config().config.devices[BETA], paused=True)})
)


@dataclass(frozen=True, slots=True)
class Case:
    """A change that a read shows as well as an event."""

    name: str
    before: Callable[[World], Sequence[Observation]]
    after: Callable[[World], Sequence[Observation]]
    data: dict[str, Any]
    configured: tuple[seen.ConfigRead, seen.ConfigRead] = (config(), config())
    emitted_after_start: bool = True
    """Whether a bridge that was stopped meanwhile also reports the change."""


THE_FOLDER = {"folder": "docs", "label": "Docs"}
THE_DEVICE = {"device": short_id(BETA), "name": "beta"}
CASES = (
    Case("folder_synced", lambda _: [read(of=LACKING)], lambda _: [read()], THE_FOLDER, emitted_after_start=False),
    Case("device_synced", lambda _: [needing(3)], lambda _: [needing(0)], THE_DEVICE, emitted_after_start=False),
    Case(
        "folder_error",
        lambda _: [read()],
        lambda _: [read(state="error", error="no marker")],
        {**THE_FOLDER, "error": "no marker"},
    ),
    Case(
        "item_failed",
        lambda _: [read(of=replace(COUNTS, failed=1)), failed("old")],
        lambda _: [read(of=replace(COUNTS, failed=2)), failed("old", "new")],
        {**THE_FOLDER, "path": "new", "error": "no"},
    ),
    Case(
        "device_pending",
        lambda _: NOBODY,
        lambda _: [_pending_device(), NOBODY[1]],
        {"device": GAMMA, "name": "phone", "address": "192.0.2.2:1"},
    ),
    Case(
        "folder_pending",
        lambda _: NOBODY,
        lambda _: [NOBODY[0], _pending_folder()],
        {"folder": "music", "label": "Music", **THE_DEVICE},
    ),
    Case("folder_paused", lambda _: [], lambda _: [], THE_FOLDER, (config(), PAUSED_FOLDER)),
    Case("folder_resumed", lambda _: [], lambda _: [], THE_FOLDER, (PAUSED_FOLDER, config())),
    Case("device_paused", lambda _: [], lambda _: [], THE_DEVICE, (config(), PAUSED_DEVICE)),
    Case("device_resumed", lambda _: [], lambda _: [], THE_DEVICE, (PAUSED_DEVICE, config())),
    Case(
        "device_disconnected",
        lambda world: [world.connections()],
        lambda world: [world.nobody()],
        {**THE_DEVICE, "error": None},
    ),
    Case("device_connected", lambda world: [world.nobody()], lambda world: [world.connections()], THE_DEVICE),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_change_during_an_outage_is_published_late_and_once(case: Case) -> None:
    """A change that only the reads after an outage show is published once, marked as late."""
    world = World().start(*case.before(world_of_now()), configured=case.configured[0])
    assert case.name not in world.names()
    world.now += timedelta(minutes=1)
    for _ in range(2):
        world.snapshot(*case.after(world), configured=case.configured[1])
        world.later(FLAPPING_S)
    (emitted,) = world.emitted(case.name)
    assert {key: emitted[key] for key in emitted if key not in ("event_type", "time")} == {**case.data, "late": True}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_change_while_the_bridge_was_stopped_is_published_late_and_once(case: Case) -> None:
    """A difference from the retained payloads is a change that happened meanwhile. Only syncs are not reported then."""
    before = World().start(*case.before(world_of_now()), configured=case.configured[0])
    after = World(retained=before.published())
    after.start(*case.after(after), configured=case.configured[1]).later(FLAPPING_S)
    emitted = after.emitted(case.name)
    assert [{**one, "time": None} for one in emitted] == (
        [{"event_type": case.name, "time": None, **case.data, "late": True}] if case.emitted_after_start else []
    )
    again = World(retained=after.published())
    again.start(*case.after(again), configured=case.configured[1]).later(FLAPPING_S)
    assert again.emitted(case.name) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_first_start_emits_no_events(case: Case) -> None:
    """The state that is found at the first start is not a change."""
    world = World()
    world.start(*case.after(world), configured=case.configured[1]).later(FLAPPING_S)
    assert [one["event_type"] for one in world.events if one["event_type"] != "problem_raised"] == []


def world_of_now() -> World:
    """Return a world that is only used for its clock."""
    return World()


# --- connections that flap


def test_the_first_change_of_a_connection_is_reported_at_once() -> None:
    """The first change after a stable time is reported immediately, with Syncthing's reason."""
    world = World().start()
    world.see(world.disconnect())
    (emitted,) = world.emitted()
    assert (emitted["event_type"], emitted["error"], "late" in emitted) == ("device_disconnected", "EOF", False)
    world.later(FLAPPING_S)
    assert world.emitted() == []
    world.see(world.connect())
    assert world.names() == ["device_connected"]


def test_a_flapping_connection_is_reported_when_it_is_stable() -> None:
    """If a connection changes every few seconds, the first change and the final stable state are reported."""
    world = World().start()
    for _ in range(20):
        world.see(world.disconnect()).later(3)
        world.see(world.connect()).later(3)
    assert world.names() == ["device_disconnected"]
    world.later(FLAPPING_S - 3)
    (emitted,) = world.emitted()
    assert emitted["event_type"] == "device_connected"
    assert world.state.next_due is None or world.state.next_due > world.now


def test_a_short_disconnection_during_an_outage_is_not_reported() -> None:
    """A device that is disconnected for a moment while Syncthing restarts causes no event."""
    world = World().start()
    world.see(seen.Unavailable(status="unreachable", message="gone"))
    world.snapshot(world.nobody())
    world.later(3)
    world.see(world.connect()).later(FLAPPING_S)
    assert world.names() == []


def test_without_flap_detection_each_change_is_reported() -> None:
    """With `flapping = 0`, no event is delayed."""
    world = World(Alerts(flapping=timedelta(0))).start()
    for _ in range(2):
        world.see(world.disconnect()).see(world.connect())
    assert world.names() == ["device_disconnected", "device_connected"] * 2


# --- syncs


def test_a_sync_is_reported_when_the_needs_reach_zero() -> None:
    """It is reported once, even if the folder or the device was unknown in between."""
    world = World().start(needing(0))
    world.see(read(of=LACKING), needing(5)).see(not_running()).see(read(), needing(0))
    world.see(read(), needing(0))
    assert world.names() == ["folder_synced", "device_synced"]


def test_a_sync_of_a_device_between_two_reads_is_reported() -> None:
    """A device that has a local change by the next read has synced; a running scan must finish first."""
    world = World().start(needing(0))
    changed = seen.LocalIndexChanged(folder="docs", conflicts=())
    world.see(world.turns("scanning"), changed, needing(0))
    assert world.names() == []
    world.see(changed, world.turns("idle")).see(needing(0), needing(0))
    assert world.names() == ["device_synced"]
    world.see(changed, needing(5)).see(needing(0), needing(0))
    assert world.names() == ["device_synced"]


@pytest.mark.parametrize(
    ("state", "kind"), [("syncing", "sendreceive"), ("idle", "receiveonly"), ("idle", "receiveencrypted")]
)
def test_received_and_unsent_changes_are_no_sync_of_a_device(state: str, kind: str) -> None:
    """The device did not get changes that this device received from elsewhere or does not send."""
    world = World().start(needing(0), configured=config(folder("docs", BETA, type=kind)))
    world.see(world.turns(state), seen.LocalIndexChanged(folder="docs", conflicts=()), needing(0))
    assert "device_synced" not in world.names()


def test_pausing_a_folder_is_no_sync() -> None:
    """A device whose only incomplete folder is paused counts as in sync, but nothing was transferred."""
    two = config(folder("docs", BETA), folder("music", BETA))
    world = World().start(needing(0), needing(5, BETA, "music"), configured=two)
    world.see(seen.FolderPaused(folder="music", paused=True))
    assert world.beta["in_sync"] is True
    world.see(needing(0)).see(replace(needing(0), completion=replace(needing(0).completion, global_bytes=9)))
    assert "device_synced" not in world.names()


# --- failed items


def test_an_item_that_fails_again_in_a_retry_is_reported_once() -> None:
    """Syncthing empties its list while it retries. An item that failed, was fixed and fails again is reported again."""
    world = World().start()
    lacking = replace(LACKING, failed=1)
    world.see(read(of=lacking), failed("a"))
    for _ in range(3):
        world.see(world.turns("syncing"), read(state="syncing", of=replace(lacking, failed=0)))
        world.see(failed("a"), world.turns("idle"), read(of=lacking))
    assert [one["path"] for one in world.emitted("item_failed")] == ["a"]
    world.see(read()).see(read(of=lacking), failed("a"))
    assert [one["path"] for one in world.emitted("item_failed")] == ["a"]


def test_events_of_failed_items_are_limited() -> None:
    """If thousands of items fail at once, the first ones are reported; the count is in the list."""
    world = World().start()
    world.see(failed(*(f"{number}" for number in range(1000))))
    assert len(world.emitted("item_failed")) == 50
    assert world.folder["failed"] == 1000


# --- the instance


def test_a_start_of_syncthing_is_reported_once() -> None:
    """It is reported once, whichever read shows the new process first, and also if the bridge was stopped meanwhile."""
    world = World().start()
    later = process(started_at=NOW)
    world.see(later).snapshot(later)
    assert world.names() == ["syncthing_started"]
    away = World(retained=world.published()).start(process(started_at=NOW + timedelta(hours=1)))
    assert [(one["event_type"], one["late"]) for one in away.emitted()] == [("syncthing_started", True)]
    same = World(retained=world.published()).start(later)
    assert same.names() == []


@pytest.mark.parametrize(
    "malformed",
    [
        {},
        {"problems": 3, "connected": "yes", "paused": None, "items": {}, "count": "x", "devices": 1, "folders": None},
        {
            "problems": [3, {"code": 1}, {"code": "x", "since": "never"}],
            "items": [1, {}, None, {"path": []}],
            "complete": True,
        },
        {"devices": [{"device": {}}], "folders": [{"folder": [], "device": "x"}], "unseen_since": 5, "connected": 1},
        None,
    ],
)
def test_retained_rubbish_is_ignored(malformed: dict[str, Any] | None) -> None:
    """Anybody may publish: payloads that the bridge did not write raise no problem and stop nothing."""
    before = World().start()
    world = World(retained=dict.fromkeys(before.published(), malformed)).start(failed("a"))
    world.later(FLAPPING_S)
    assert set(world.names()) == {"problem_raised"}
    assert world.folder["problem"] is True


def test_the_last_seen_time_of_a_device_survives_a_restart_of_the_bridge() -> None:
    """Syncthing 2 does not migrate this time from the database of version 1."""
    before = World().start()
    before.see(before.disconnect())
    after = World(retained=before.published(), now=NOW + timedelta(days=1))
    after.start(after.nobody(), seen.DeviceStatisticsRead(last_seen_at={BETA: None}))
    assert (after.beta["last_seen_at"], after.beta["unseen_since"]) == ("2024-05-01T12:00:00Z",) * 2
    after.see(seen.DeviceStatisticsRead(last_seen_at={BETA: NOW + timedelta(hours=3)}))
    assert after.beta["last_seen_at"] == "2024-05-01T15:00:00Z"


def test_a_forged_time_of_a_device_in_the_future_is_ignored() -> None:
    """Anybody may publish to the topic of a device."""
    before = World().start()
    published = before.published()
    address = Address("device", device=short_id(BETA))
    forged = {**published, address: {**(published[address] or {}), "last_seen_at": "2999-01-01T00:00:00Z"}}
    after = World(retained=forged).start(before.nobody())
    assert after.beta["last_seen_at"] != "2999-01-01T00:00:00Z"
