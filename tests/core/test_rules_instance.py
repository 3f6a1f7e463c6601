"""Rules on the instance: its aggregated state, its process and its lists."""

from dataclasses import replace
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.model import LoggedError, PendingDevice, PendingFolder
from stbridge.core.observations import Observation, Read
from stbridge.core.outcome import ERRORS, METRICS, PENDING, SYSTEM, UPGRADE
from tests.core.world import (
    BETA,
    BETA_DEVICE,
    DELTA,
    DOCS,
    GAMMA,
    GAMMA_DEVICE,
    NOW,
    ON_BETA,
    Watched,
    after,
    changed,
    completed,
    configured,
    connection,
    connections,
    device,
    folder,
    names,
    not_running,
    process,
    read,
    snapshot,
    watched,
)


def system(one: Watched, *keys: str) -> Any:
    """Return values from the payload of the instance."""
    payload = one.shown(SYSTEM)
    return tuple(payload[key] for key in keys) if len(keys) > 1 else payload[keys[0]]


# --- aggregated values

PAUSED = configured([folder("docs", BETA, paused=True), folder("art", BETA, paused=True)])
HALF_PAUSED = configured([folder("docs", BETA, GAMMA, paused=True), folder("art", BETA)])


@pytest.mark.parametrize(
    ("observations", "config", "state"),
    [
        ([], None, "idle"),
        ([], configured([]), "idle"),
        ([], PAUSED, "paused"),
        ([], HALF_PAUSED, "idle"),
        ([changed("cleaning")], None, "idle"),
        ([not_running()], None, "idle"),
        *(([changed(state)], None, "scanning") for state in ("scanning", "scan-waiting")),
        *(([changed(state)], None, "syncing") for state in ("syncing", "sync-preparing", "sync-waiting")),
        ([changed("scanning"), changed("syncing", "art")], None, "syncing"),
        ([changed("syncing"), changed("error", "art")], None, "error"),
        ([changed("scanning"), changed("error", "art")], None, "error"),
        ([changed("scanning", "art")], HALF_PAUSED, "scanning"),
    ],
)
def test_the_state_of_the_instance_is_the_most_important_folder_state(
    observations: list[Observation], config: seen.ConfigRead | None, state: str
) -> None:
    """The order is error, syncing, scanning, idle; the instance is paused only if every folder is paused."""
    assert system(watched(*observations, config=config), "state") == state


BEHIND = completed(GAMMA, "docs", need_bytes=500)
GAMMA_PAUSED = configured(devices=[device(BETA, "beta"), device(GAMMA, "gamma", paused=True)])


@pytest.mark.parametrize(
    ("observations", "config", "in_sync", "all_in_sync", "completion"),
    [
        ([], None, True, True, 100),
        ([read(need_bytes=500)], None, False, False, 75),
        ([read(need_bytes=500), read("art", need_bytes=1000)], None, False, False, 25),
        ([read(need_items=1)], None, False, False, 95),
        ([read(need_deletes=1)], None, False, False, 95),
        ([changed("syncing")], None, False, False, 100),
        ([changed("error", error="gone")], None, False, False, 100),
        ([BEHIND], None, True, False, 100),
        ([BEHIND, read(need_bytes=500)], None, False, False, 75),
        ([BEHIND], GAMMA_PAUSED, True, True, 100),
        ([BEHIND], HALF_PAUSED, True, True, 100),
        ([not_running()], None, None, None, None),
        ([not_running(), read("art", need_bytes=500)], None, False, False, None),
        ([not_running(), BEHIND], None, None, False, None),
        ([read(need_bytes=500)], PAUSED, None, None, None),
        ([], configured([]), True, True, None),
    ],
)
def test_the_instance_is_in_sync_when_every_active_folder_is(
    observations: list[Observation],
    config: seen.ConfigRead | None,
    in_sync: bool | None,
    *,
    all_in_sync: bool | None,
    completion: float | None,
) -> None:
    """The values are three-valued ANDs: False beats None beats True. Paused folders and devices are excluded."""
    one = watched(*observations, config=config)
    assert system(one, "in_sync", "all_in_sync", "completion") == (in_sync, all_in_sync, completion)


def test_a_missing_deletion_is_an_item_that_is_out_of_sync() -> None:
    """Syncthing's page counts it; `need_items` does not."""
    one = watched(read(need_deletes=1))
    for address in (DOCS, SYSTEM):
        payload = one.shown(address)
        keys = ("in_sync", "need_items", "need_deletes", "need_total_items")
        assert [payload[key] for key in keys] == [False, 0, 1, 1]
    assert system(one, "folders")["out_of_sync"] == 1


def test_an_unknown_device_makes_all_in_sync_null() -> None:
    """Its completion must be read first."""
    one = watched()
    one.see(
        configured(
            [folder("docs", BETA, GAMMA, DELTA), folder("art", BETA)],
            [BETA_DEVICE, GAMMA_DEVICE, device(DELTA, "delta")],
        )
    )
    assert system(one, "in_sync", "all_in_sync") == (True, None)
    one.see(not_running())
    assert system(one, "in_sync", "all_in_sync") == (None, None)


def test_folders_and_devices_are_counted() -> None:
    """Each folder and device is counted in every matching category; a paused one only as paused."""
    config = configured(
        [folder(name, BETA, GAMMA) for name in "abcd"] + [folder("e", DELTA, paused=True)],
        [BETA_DEVICE, GAMMA_DEVICE, device(DELTA, "delta", paused=True)],
    )
    one = watched(config=config)
    one.see(
        read("a", need_bytes=100, need_items=3),
        read("b", need_bytes=20, need_items=1, need_deletes=7),
        changed("syncing", "b"),
        changed("error", "c"),
        changed("syncing", "e"),
        completed(BETA, "a", need_items=1),
        connections(of={BETA: connection(), DELTA: connection()}),
    )
    assert system(one, "need_bytes", "need_items") == (120, 4)
    assert system(one, "folders") == {"total": 5, "paused": 1, "syncing": 1, "out_of_sync": 3, "error": 1}
    assert system(one, "devices") == {"total": 3, "connected": 1, "paused": 1, "out_of_sync": 1}


# --- the process


def test_another_process_is_a_restart() -> None:
    """The restart is reported, and the State counts as restarted until the next snapshot starts."""
    one = watched()
    assert not one.state.restarted
    (event,) = one.see(process(after(60)), at=after(70)).events
    assert (event.event_type, event.at, event.data) == (
        "syncthing_started",
        after(70),
        {"version": "v1.29.5"},
    )
    assert one.state.restarted
    one.see(seen.SnapshotStarted())
    assert not one.state.restarted
    assert names(one.see(process(after(60)), seen.SnapshotComplete())) == []
    assert not one.state.restarted


def test_the_process_is_published() -> None:
    """Fast-changing counters have their own topic."""
    one = watched()
    later = process(uptime_s=90, memory_bytes=7, goroutines=8, listeners_ok=False, discovery_ok=None)
    assert one.see(later).changed.keys() == {SYSTEM, METRICS}
    assert system(one, "version", "os", "arch", "started_at") == ("v1.29.5", "linux", "amd64", "2024-05-01T12:00:00Z")
    assert system(one, "listeners_ok", "discovery_ok") == (False, None)
    metrics = one.shown(METRICS)
    assert [metrics[key] for key in ("uptime_s", "memory_bytes", "goroutines")] == [90, 7, 8]


def test_a_required_restart_is_published() -> None:
    """The flag is true until Syncthing no longer requires a restart."""
    one = watched()
    assert system(one, "restart_required") is False
    assert SYSTEM in one.see(seen.RestartRequiredRead(restart_required=True)).changed
    assert system(one, "restart_required") is True


# --- lists


def test_the_error_list_is_published() -> None:
    """The payload of the instance also contains the latest error."""
    one = watched()
    assert system(one, "errors", "last_error") == (0, None)
    items = (LoggedError(when=NOW, message="first"), LoggedError(when=None, message="second"))
    assert one.see(seen.ErrorsRead(items=items)).changed.keys() == {ERRORS, SYSTEM}
    assert one.shown(ERRORS) == {
        "count": 2,
        "items": [{"when": "2024-05-01T12:00:00Z", "message": "first"}, {"when": None, "message": "second"}],
    }
    assert system(one, "errors", "last_error") == (2, "second")


NEW_DEVICE = PendingDevice(id=DELTA, name="delta", address="192.0.2.4:22000", time=NOW)
NEW_FOLDER = PendingFolder(id="new", label="New", device=BETA, time=NOW)


def test_pending_devices_and_folders_are_published() -> None:
    """Both lists are published once both are known."""
    one = Watched()
    one.see(seen.PendingDevicesRead(devices=(NEW_DEVICE,)))
    assert one.shown(PENDING) is None
    assert one.see(seen.PendingFoldersRead(folders=(NEW_FOLDER,))).changed.keys() == {PENDING, SYSTEM}
    assert one.shown(PENDING) == {
        "devices": [
            {"device": DELTA, "name": "delta", "address": "192.0.2.4:22000", "time": "2024-05-01T12:00:00Z"},
        ],
        "folders": [
            {"folder": "new", "label": "New", "device": ON_BETA.device, "time": "2024-05-01T12:00:00Z"},
        ],
    }
    one.see(*snapshot(seen.PendingDevicesRead(devices=(NEW_DEVICE,))))
    assert system(one, "pending_devices", "pending_folders") == (1, 0)


def _snapshot_with(observation: Observation) -> list[Observation]:
    """Return a snapshot in which this observation replaces the one of the same kind."""
    return [observation if type(one) is type(observation) else one for one in snapshot()]


def test_a_pending_device_is_reported_once() -> None:
    """Devices that were already pending at the first read are not reported."""
    waiting = PendingDevice(id=GAMMA, name="gamma", address="", time=NOW)
    one = Watched()
    assert names(one.see(*_snapshot_with(seen.PendingDevicesRead(devices=(waiting,))))) == []
    (event,) = one.see(seen.PendingDevicesRead(devices=(waiting, NEW_DEVICE)), at=after(3)).events
    assert (event.event_type, event.at) == ("device_pending", after(3))
    assert event.data == {"device": DELTA, "name": "delta", "address": "192.0.2.4:22000"}
    assert names(one.see(seen.PendingDevicesRead(devices=(NEW_DEVICE,)))) == []
    assert names(one.see(seen.PendingDevicesRead(devices=(waiting,)))) == ["device_pending"]


def test_a_pending_folder_is_reported_once_for_each_device() -> None:
    """Folders that were already pending at the first read are not reported."""
    again = PendingFolder(id="new", label="New", device=GAMMA, time=NOW)
    one = Watched()
    assert names(one.see(*_snapshot_with(seen.PendingFoldersRead(folders=(again,))))) == []
    (event,) = one.see(seen.PendingFoldersRead(folders=(NEW_FOLDER, again)), at=after(3)).events
    assert (event.event_type, event.at) == ("folder_pending", after(3))
    assert event.data == {"folder": "new", "label": "New", "device": ON_BETA.device, "name": "beta"}
    assert names(one.see(seen.PendingFoldersRead(folders=(NEW_FOLDER,)))) == []


def test_a_failed_login_is_reported() -> None:
    """The event contains only a configured user name, because people type passwords there. No payload changes."""
    read = configured([], [])
    known = seen.ConfigRead(config=replace(read.config, gui_user="admin"))
    for config, username, shown in (
        (known, "admin", "admin"),
        (known, "a password", None),
        (known, "", None),
        (read, "admin", None),
        (read, "", None),
    ):
        one = watched()
        one.see(config)
        outcome = one.see(seen.LoginFailed(at=after(3), username=username, address="192.0.2.9"))
        (event,) = outcome.events
        assert (event.event_type, event.at) == ("login_failed", after(3))
        assert event.data == {"username": shown, "address": "192.0.2.9"}
        assert not outcome.changed


def test_stale_data_is_read_again() -> None:
    """Each read is requested once, however often it is stale. Nothing is published before the read."""
    outcome = watched().see(*[seen.Stale(reads=(Read("pending_devices"), Read("connections")))] * 2)
    assert list(outcome.reads) == [Read("pending_devices"), Read("connections")]
    assert not outcome.changed


# --- an upgrade


def test_an_upgrade_is_in_progress_until_another_process_answers() -> None:
    """The upgrade ends with a restart, or at once if Syncthing refuses it."""
    one = watched(seen.UpgradeRead(latest="v2.1.4"))
    assert one.shown(UPGRADE)["in_progress"] is False
    for end in (process(after(9)), seen.Upgrading(in_progress=False)):
        assert UPGRADE in one.see(seen.Upgrading(in_progress=True)).changed
        one.see(process())
        assert one.shown(UPGRADE)["in_progress"] is True
        assert UPGRADE in one.see(end).changed
        assert one.shown(UPGRADE)["in_progress"] is False
        one.see(process())
