"""Events: each exactly once per event, late if only a reading shows it, never at the first start."""

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
    """How something happens that a reading shows as well as an event."""

    name: str
    before: Callable[[World], Sequence[Observation]]
    after: Callable[[World], Sequence[Observation]]
    data: dict[str, Any]
    configured: tuple[seen.ConfigRead, seen.ConfigRead] = (config(), config())
    starts_anew: bool = True
    """Whether it also shows to a bridge that was away."""


THE_FOLDER = {"folder": "docs", "label": "Docs"}
THE_DEVICE = {"device": short_id(BETA), "name": "beta"}
CASES = (
    Case("folder_synced", lambda _: [read(of=LACKING)], lambda _: [read()], THE_FOLDER, starts_anew=False),
    Case("device_synced", lambda _: [needing(3)], lambda _: [needing(0)], THE_DEVICE, starts_anew=False),
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
        {"folder": "music", "label": "Music", "device": short_id(BETA)},
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
def test_what_happened_in_an_outage_is_told_late_and_once(case: Case) -> None:
    """What shows only because everything was read again is told once, marked as late."""
    world = World().start(*case.before(world_of_now()), configured=case.configured[0])
    assert case.name not in world.names()
    world.now += timedelta(minutes=1)
    for _ in range(2):
        world.snapshot(*case.after(world), configured=case.configured[1])
        world.later(FLAPPING_S)
    (told,) = world.told(case.name)
    assert {key: told[key] for key in told if key not in ("event_type", "time")} == {**case.data, "late": True}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_happened_while_the_bridge_was_away_is_told_late_and_once(case: Case) -> None:
    """What differs from what had been published happened in between; only a sync is never told at a start."""
    before = World().start(*case.before(world_of_now()), configured=case.configured[0])
    after = World(retained=before.published())
    after.start(*case.after(after), configured=case.configured[1]).later(FLAPPING_S)
    told = after.told(case.name)
    assert [{**one, "time": None} for one in told] == (
        [{"event_type": case.name, "time": None, **case.data, "late": True}] if case.starts_anew else []
    )
    again = World(retained=after.published())
    again.start(*case.after(again), configured=case.configured[1]).later(FLAPPING_S)
    assert again.told(case.name) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_is_told_at_the_first_start(case: Case) -> None:
    """What is found at the first start is how things are, not what happened."""
    world = World()
    world.start(*case.after(world), configured=case.configured[1]).later(FLAPPING_S)
    assert [one["event_type"] for one in world.events if one["event_type"] != "problem_raised"] == []


def world_of_now() -> World:
    """Return a world that only tells the time."""
    return World()


# --- connections that flap


def test_a_change_of_a_connection_is_told_at_once() -> None:
    """The first change after a while of rest is told when it is seen, with Syncthing's reason."""
    world = World().start()
    world.see(world.disconnect())
    (told,) = world.told()
    assert (told["event_type"], told["error"], "late" in told) == ("device_disconnected", "EOF", False)
    world.later(FLAPPING_S)
    assert world.told() == []
    world.see(world.connect())
    assert world.names() == ["device_connected"]


def test_a_connection_that_flaps_is_told_when_it_rests() -> None:
    """Of a connection that changes every few seconds the first change is told, and then the state it rests in."""
    world = World().start()
    for _ in range(20):
        world.see(world.disconnect()).later(3)
        world.see(world.connect()).later(3)
    assert world.names() == ["device_disconnected"]
    world.later(FLAPPING_S - 3)
    (told,) = world.told()
    assert told["event_type"] == "device_connected"
    assert world.state.next_due is None or world.state.next_due > world.now


def test_a_connection_that_came_back_is_not_told() -> None:
    """A device that is away for a moment while Syncthing restarts is not told at all."""
    world = World().start()
    world.see(seen.Unavailable(status="unreachable", message="gone"))
    world.snapshot(world.nobody())
    world.later(3)
    world.see(world.connect()).later(FLAPPING_S)
    assert world.names() == []


def test_without_a_time_of_rest_each_change_is_told() -> None:
    """With `flapping = 0` nothing is held back."""
    world = World(Alerts(flapping=timedelta(0))).start()
    for _ in range(2):
        world.see(world.disconnect()).see(world.connect())
    assert world.names() == ["device_disconnected", "device_connected"] * 2


# --- syncs


def test_a_sync_is_told_when_the_needs_reach_zero() -> None:
    """Once, also when nothing was known of the folder or the device in between."""
    world = World().start(needing(0))
    world.see(read(of=LACKING), needing(5)).see(not_running()).see(read(), needing(0))
    world.see(read(), needing(0))
    assert world.names() == ["folder_synced", "device_synced"]


def test_a_sync_of_a_device_too_short_to_be_seen_is_told() -> None:
    """A device that has what was changed here by the time it is looked at has synced; a scan is waited for."""
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
def test_what_came_from_elsewhere_makes_no_device_sync(state: str, kind: str) -> None:
    """What this machine receives, or keeps to itself, is nothing that another device got from it."""
    world = World().start(needing(0), configured=config(folder("docs", BETA, type=kind)))
    world.see(world.turns(state), seen.LocalIndexChanged(folder="docs", conflicts=()), needing(0))
    assert "device_synced" not in world.names()


def test_what_is_paused_has_not_synced() -> None:
    """A device whose only lacking folder is paused has everything that counts, but nothing was synced."""
    two = config(folder("docs", BETA), folder("music", BETA))
    world = World().start(needing(0), needing(5, BETA, "music"), configured=two)
    world.see(seen.FolderPaused(folder="music", paused=True))
    assert world.beta["in_sync"] is True
    world.see(needing(0)).see(replace(needing(0), completion=replace(needing(0).completion, global_bytes=9)))
    assert "device_synced" not in world.names()


# --- failed items


def test_an_item_that_is_tried_again_is_told_once() -> None:
    """Syncthing empties its list while it tries again; an item that failed, was mended and fails again is told."""
    world = World().start()
    lacking = replace(LACKING, failed=1)
    world.see(read(of=lacking), failed("a"))
    for _ in range(3):
        world.see(world.turns("syncing"), read(state="syncing", of=replace(lacking, failed=0)))
        world.see(failed("a"), world.turns("idle"), read(of=lacking))
    assert [one["path"] for one in world.told("item_failed")] == ["a"]
    world.see(read()).see(read(of=lacking), failed("a"))
    assert [one["path"] for one in world.told("item_failed")] == ["a"]


def test_a_flood_of_failed_items_is_cut() -> None:
    """Of thousands of items that fail at once, the first are told; the count is in the list."""
    world = World().start()
    world.see(failed(*(f"{number}" for number in range(1000))))
    assert len(world.told("item_failed")) == 50
    assert world.folder["failed"] == 1000


# --- the instance


def test_a_start_of_syncthing_is_told_once() -> None:
    """Whoever notices the new process first, and also if the bridge was away."""
    world = World().start()
    later = process(started_at=NOW)
    world.see(later).snapshot(later)
    assert world.names() == ["syncthing_started"]
    away = World(retained=world.published()).start(process(started_at=NOW + timedelta(hours=1)))
    assert [(one["event_type"], one["late"]) for one in away.told()] == [("syncthing_started", True)]
    same = World(retained=world.published()).start(later)
    assert same.names() == []


@pytest.mark.parametrize(
    "rubbish",
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
def test_rubbish_that_is_kept_below_the_topics_is_passed_over(rubbish: dict[str, Any] | None) -> None:
    """Anybody may publish: what is no payload of the bridge raises nothing and stops nothing."""
    before = World().start()
    world = World(retained=dict.fromkeys(before.published(), rubbish)).start(failed("a"))
    world.later(FLAPPING_S)
    assert set(world.names()) == {"problem_raised"}
    assert world.folder["problem"] is True


def test_when_a_device_was_seen_last_survives_a_restart_of_the_bridge() -> None:
    """Syncthing 2 does not take it over from the database of version 1."""
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
