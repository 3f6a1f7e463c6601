"""Unobserved time does not count for problems with a duration: while paused, in error, or unreachable."""

from dataclasses import replace

import pytest

from stbridge.core import observations as seen
from stbridge.core.alerts import Alerts
from tests.core.world import (
    BETA,
    BETA_DEVICE,
    DAY,
    HOUR,
    LACKING,
    NOW,
    World,
    config,
    folder,
    process,
    read,
)

STALE_S = 7 * DAY


def _codes(world: World) -> list[str]:
    return [one["code"] for one in world.emitted("problem_raised")]


def test_a_folder_after_a_long_pause_is_not_stale_while_a_device_is_connected() -> None:
    """The last contact before the pause means nothing for the time of the pause."""
    world = World().start()
    world.see(seen.FolderPaused(folder="docs", paused=True)).later(3 * STALE_S)
    world.see(seen.FolderPaused(folder="docs", paused=False), read()).later(1)
    assert _codes(world) == []
    assert world.system["problem"] is False


def test_a_folder_after_a_long_error_is_not_stale_while_a_device_is_connected() -> None:
    """The same applies after an error, during which it is unknown whether the folder is in sync."""
    world = World(Alerts(thresholds={"out_of_sync": 0, "folder_error": 0})).start()
    world.see(world.turns("error", error="no marker")).later(3 * STALE_S)
    world.see(world.turns("idle"), read()).later(1)
    assert _codes(world) == []


def test_a_resumed_folder_becomes_stale_if_its_device_was_disconnected_for_too_long() -> None:
    """The last contact is looked up when the folder is resumed; no device has connected since then."""
    world = World(Alerts(thresholds={"unseen": 0})).start()
    world.see(seen.FolderPaused(folder="docs", paused=True)).later(DAY)
    world.see(world.disconnect()).later(STALE_S - 1)
    world.see(seen.FolderPaused(folder="docs", paused=False), read())
    assert _codes(world) == []
    world.later(1)
    assert _codes(world) == ["stale"]


def test_a_device_after_a_long_pause_is_not_unseen_when_it_is_resumed() -> None:
    """A paused device cannot connect, so the time starts when it is resumed."""
    world = World(Alerts(thresholds={"stale": 0})).start()
    world.see(seen.DevicePaused(device=BETA, paused=True), world.disconnect()).later(30 * DAY)
    world.see(seen.DevicePaused(device=BETA, paused=False)).later(7 * DAY - 1)
    assert _codes(world) == []
    assert world.beta["unseen_since"] == "2024-05-31T12:00:00Z"
    assert world.beta["last_seen_at"] == "2024-05-01T12:00:00Z"
    world.later(1)
    assert _codes(world) == ["unseen"]


def test_a_device_that_was_resumed_is_not_unseen_after_a_restart_of_the_bridge() -> None:
    """Syncthing still reports the older time of the last connection; the published time is newer."""
    before = World(Alerts(thresholds={"stale": 0})).start()
    before.see(seen.DevicePaused(device=BETA, paused=True), before.disconnect()).later(30 * DAY)
    before.see(seen.DevicePaused(device=BETA, paused=False))
    after = World(Alerts(thresholds={"stale": 0}), retained=before.published(), now=before.now)
    after.start(after.nobody(), seen.DeviceStatisticsRead(last_seen_at={BETA: NOW}))
    assert _codes(after) == []
    assert after.beta["unseen_since"] == "2024-05-31T12:00:00Z"


def test_a_device_that_was_resumed_in_the_configuration_is_not_unseen() -> None:
    """The configuration may show the change before the event does."""
    world = World(Alerts(thresholds={"stale": 0})).start(
        configured=config(devices=(replace(BETA_DEVICE, paused=True),))
    )
    world.see(world.disconnect()).later(30 * DAY)
    world.see(config())
    assert _codes(world) == []


def test_time_in_error_is_not_time_out_of_sync_where_nothing_is_missing() -> None:
    """Only the sync that starts after the error shows that something is missing."""
    world = World(Alerts(thresholds={"folder_error": 0, "stuck": 0})).start()
    world.see(world.turns("error", error="no marker"), read(state="error", error="no marker")).later(2 * DAY)
    assert _codes(world) == []
    world.see(world.turns("sync-preparing"), read(state="sync-preparing", of=LACKING))
    assert _codes(world) == []
    assert world.folder["out_of_sync_since"] == "2024-05-03T12:00:00Z"
    world.later(DAY)
    assert _codes(world) == ["out_of_sync"]


def test_a_folder_in_error_that_needs_something_is_out_of_sync() -> None:
    """The needs were known before the error, and still count."""
    world = World(Alerts(thresholds={"folder_error": 0})).start(read(of=LACKING))
    world.later(HOUR).see(world.turns("error", error="no marker")).later(DAY - HOUR)
    assert _codes(world) == ["out_of_sync"]


def test_a_scan_is_not_stuck_because_its_progress_was_not_observed() -> None:
    """While Syncthing cannot be reached, no progress can be observed."""
    world = World().start()
    world.see(world.turns("scanning"), read(state="scanning"))
    world.see(seen.Unavailable(status="unreachable", message="gone")).later(3 * HOUR)
    world.snapshot(read(state="scanning"))
    assert _codes(world) == []
    world.later(2 * HOUR)
    assert _codes(world) == ["stuck"]


def test_progress_between_two_failures_does_not_count() -> None:
    """The events of an interruption may be received before the next request fails."""
    world = World().start()
    gone = seen.Unavailable(status="unreachable", message="gone")
    world.see(gone, world.turns("scanning"), gone).later(3 * HOUR)
    world.see(seen.Resumed())
    assert _codes(world) == []
    world.later(2 * HOUR)
    assert _codes(world) == ["stuck"]


@pytest.mark.parametrize("failing", [process(listeners_ok=False), process(discovery_ok=False)])
def test_listeners_and_discovery_count_from_the_end_of_an_outage(failing: seen.StatusRead) -> None:
    """An instance that was just restarted has not failed during the whole outage."""
    world = World().start(failing).later(60)
    world.see(seen.Unavailable(status="unreachable", message="gone")).later(HOUR)
    world.snapshot(failing)
    assert _codes(world) == []
    world.later(600)
    assert len(_codes(world)) == 1


def test_many_folders_with_a_connected_device_become_due_at_their_own_times() -> None:
    """A folder that is resumed late does not inherit a time from the other folders."""
    both = config(folder("docs", BETA), folder("art", BETA), devices=(BETA_DEVICE,))
    world = World().start(configured=both)
    world.see(seen.FolderPaused(folder="art", paused=True))
    for _ in range(30):
        world.later(DAY)
    world.see(seen.FolderPaused(folder="art", paused=False), read("art"))
    assert _codes(world) == []
