"""The newest known time is kept, because Syncthing 2.x does not migrate the statistics of 1.x."""

from datetime import timedelta

import pytest

from stbridge.core import observations as seen
from stbridge.core.model import FolderStatistics
from tests.core.world import BETA, HOUR, NOW, World, config, folder

NEVER = seen.DeviceStatisticsRead(last_seen_at={BETA: None})
LAST_FILE = {"last_file": "a.txt", "last_file_at": "2024-05-01T12:00:00Z", "last_file_deleted": False}
CHANGED = FolderStatistics(last_scan_at=NOW, last_file="a.txt", last_file_at=NOW, last_file_deleted=False)


def _statistics(statistics: FolderStatistics) -> seen.FolderStatisticsRead:
    return seen.FolderStatisticsRead(statistics={"docs": statistics})


def _restarted(before: World, *observations: seen.Observation, **options: seen.ConfigRead) -> World:
    world = World(retained=before.published(), now=NOW + timedelta(seconds=HOUR))
    return world.start(world.nobody(), *observations, **options)


def test_the_last_seen_time_is_kept_across_a_restart_of_the_bridge() -> None:
    """Syncthing has lost the time, but the broker retains it."""
    before = World().start()
    before.see(before.disconnect())
    after = _restarted(before, NEVER)
    assert after.beta["last_seen_at"] == after.beta["unseen_since"] == "2024-05-01T12:00:00Z"
    after.later(7 * 24 * HOUR)
    assert "the device is not connected" in [one["message"] for one in after.emitted("problem_raised")]


@pytest.mark.parametrize(
    ("minutes", "expected"), [(-30, "2024-05-01T12:00:00Z"), (30, "2024-05-01T12:30:00Z"), (0, "2024-05-01T12:00:00Z")]
)
def test_the_newest_of_both_times_wins(minutes: int, expected: str) -> None:
    """Syncthing may have seen the device while the bridge was stopped."""
    before = World().start()
    before.see(before.disconnect())
    at = NOW + timedelta(minutes=minutes)
    after = _restarted(before, seen.DeviceStatisticsRead(last_seen_at={BETA: at}))
    assert after.beta["last_seen_at"] == after.beta["unseen_since"] == expected


@pytest.mark.parametrize("value", ["2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "soon", 5, None])
def test_an_impossible_time_is_not_restored(value: object) -> None:
    """Anybody may publish on the broker."""
    address = next(one for one in World().start().published() if one.kind == "device")
    world = World(retained={address: {"last_seen_at": value}})
    world.start(world.nobody(), NEVER)
    assert world.beta["last_seen_at"] is None


def test_a_time_in_the_future_is_replaced_by_the_current_time() -> None:
    """The clock of the machine was set back while the bridge was stopped."""
    before = World(now=NOW + timedelta(hours=1)).start()
    before.see(before.disconnect())
    after = World(retained=before.published()).start(before.nobody(), NEVER)
    assert after.beta["last_seen_at"] == "2024-05-01T12:00:00Z"


def test_the_last_file_and_the_last_scan_are_kept() -> None:
    """They are kept within a run of the bridge, and across its restart."""
    world = World().start(_statistics(CHANGED))
    world.see(_statistics(FolderStatistics()))
    assert world.folder.items() >= LAST_FILE.items()
    after = _restarted(world, _statistics(FolderStatistics()))
    assert after.folder.items() >= {**LAST_FILE, "last_scan_at": "2024-05-01T12:00:00Z"}.items()


def test_the_last_file_of_another_folder_with_the_same_id_is_not_kept() -> None:
    """A folder that was removed and added with another path is a new one."""
    before = World().start(_statistics(CHANGED))
    after = _restarted(
        before, _statistics(FolderStatistics()), configured=config(folder("docs", BETA, path="/elsewhere"))
    )
    assert after.folder["last_file"] is None
