"""When the wall clock is set, durations continue unchanged and stored times keep their meaning."""

from datetime import UTC, datetime, timedelta

import pytest

from stbridge.core import observations as seen
from stbridge.core.alerts import Alerts
from stbridge.core.observations import Observation
from stbridge.core.outcome import METRICS
from stbridge.core.timed_pauses import Paused
from tests.core.world import BETA, DAY, HOUR, LACKING, NOW, World, needing, process, read

EPOCH = datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)
HOUR_BACK = timedelta(hours=-1)
BAD: list[Observation] = [read(of=LACKING, state="syncing"), needing(3), process(listeners_ok=False)]
DURATIONS = Alerts(thresholds={"stale": DAY, "unseen": DAY, "out_of_sync": DAY, "behind": DAY, "stuck": DAY})


def _set(world: World, by: timedelta) -> None:
    world.now += by
    world.see(seen.ClockSet(by=by))


def _raised(world: World) -> set[str]:
    return {one["code"] for one in world.emitted("problem_raised")}


@pytest.mark.parametrize("by", [NOW - EPOCH, timedelta(days=30), HOUR_BACK])
def test_a_clock_step_raises_no_problem_and_delays_none(by: timedelta) -> None:
    """The clock is set forward from 1970, forward by a month, or back by an hour; thresholds keep their length."""
    world = World(DURATIONS, now=NOW - by if by > timedelta(days=365) else NOW).start()
    world.see(*BAD, world.disconnect()).later(60)
    _set(world, by)
    assert _raised(world) == set()
    world.later(540)
    assert _raised(world) == {"no_listener"}
    world.later(DAY - 601)
    assert _raised(world) == set()
    world.later(1)
    assert _raised(world) == {"unseen", "out_of_sync", "behind", "stuck"}


@pytest.mark.parametrize("by", [NOW - EPOCH, timedelta(days=30), HOUR_BACK])
def test_a_clock_step_clears_no_problem(by: timedelta) -> None:
    """A raised problem stays raised, and its start time is corrected to the new clock."""
    world = World(DURATIONS, now=NOW - by if by > timedelta(days=365) else NOW).start()
    world.see(world.disconnect()).later(2 * DAY)
    assert _raised(world) == {"stale", "unseen"}
    world.emitted()
    _set(world, by)
    assert world.names() == []
    assert {one["code"] for one in world.system["problems"]} == {"stale", "unseen"}
    began = (world.now - timedelta(days=2)).isoformat().replace("+00:00", "Z")
    assert {one["since"] for one in world.system["problems"]} == {began}
    assert world.beta["unseen_since"] == began


@pytest.mark.parametrize("by", [timedelta(days=20_000), timedelta(hours=1), HOUR_BACK])
def test_a_timed_pause_keeps_its_length_when_the_clock_is_set(by: timedelta) -> None:
    """The end of the pause moves with the clock, and the new end is published."""
    world = World().start()
    paused = Paused("folder", "docs")
    world.see(seen.FolderPaused(folder="docs", paused=True))
    world.see(seen.PauseTimed(paused=paused, until=world.now + timedelta(seconds=10)))
    _set(world, by)
    assert world.folder["resume_at"] == (world.now + timedelta(seconds=10)).isoformat().replace("+00:00", "Z")
    assert world.state.timed_pauses.take_due(world.now + timedelta(seconds=9)) == []
    assert world.state.timed_pauses.take_due(world.now + timedelta(seconds=10)) == [paused]


def test_restored_times_hold_when_the_bridge_starts_in_1970() -> None:
    """The restored times seem to be in the future because this clock is not set yet. No problem is raised again."""
    lacking = (read(of=LACKING), needing(3))
    before = World(DURATIONS).start()
    before.see(*lacking, before.disconnect()).later(2 * DAY)
    published, since = before.published(), before.beta["unseen_since"]
    after = World(DURATIONS, retained=published, now=EPOCH)
    after.start(*lacking, after.nobody(), seen.DeviceStatisticsRead(last_seen_at={BETA: NOW}))
    assert after.emitted("problem_raised", "problem_cleared") == []
    _set(after, before.now - EPOCH)
    assert after.emitted("problem_raised", "problem_cleared") == []
    assert after.beta["unseen_since"] == since
    assert {one["code"] for one in after.system["problems"]} >= {"unseen", "out_of_sync", "behind"}


@pytest.mark.parametrize("forged", ["9999-12-31T23:59:59Z", "2099-01-01T00:00:00Z"])
def test_a_forged_time_raises_no_problem_while_the_clock_is_not_set(forged: str) -> None:
    """A forged time cannot be distinguished from a true one before the clock is set."""
    published = World().start().published()
    address = next(one for one in published if one.kind == "device")
    problem = {"code": "unseen", "message": "forged", "since": forged}
    world = World(retained={address: {"unseen_since": forged, "problems": [problem]}}, now=EPOCH)
    world.start()
    _set(world, NOW - EPOCH)
    assert world.system["problem"] is False
    assert world.beta["unseen_since"] is None


def test_a_restored_pause_ends_at_its_published_time() -> None:
    """The end was computed with a correct clock, so it must not move when the clock of this run is set."""
    before = World().start()
    before.see(seen.FolderPaused(folder="docs", paused=True))
    before.see(seen.PauseTimed(paused=Paused("folder", "docs"), until=NOW + timedelta(hours=1)))
    after = World(retained=before.published(), now=EPOCH)
    after.start(configured=seen.ConfigRead(config=before.state.config) if before.state.config else None)
    _set(after, NOW - EPOCH)
    assert after.folder["resume_at"] == "2024-05-01T13:00:00Z"


def test_times_from_syncthing_do_not_move_with_the_clock_of_the_bridge() -> None:
    """Syncthing's clock was right, so a step of this machine's clock must not move its times to the future."""
    world = World(now=EPOCH).start()
    world.see(seen.DeviceDisconnected(device=BETA, at=NOW, error=None))
    _set(world, NOW + timedelta(hours=2) - EPOCH)
    assert world.beta["last_seen_at"] == world.beta["unseen_since"] == "2024-05-01T12:00:00Z"


def test_a_folder_is_read_after_the_clock_was_set_back() -> None:
    """The noted state must not count as newer than later reads."""
    world = World(now=NOW + timedelta(hours=1)).start()
    world.see(world.turns("scanning"))
    _set(world, HOUR_BACK)
    world.later(60)
    world.see(read(state="idle", changed_at=world.now))
    assert world.folder["state"] == "idle"


@pytest.mark.parametrize("jump_s", [1_700_000_000, -HOUR])
def test_the_uptime_ignores_steps_of_the_clock_of_syncthing(jump_s: int) -> None:
    """Syncthing computes its uptime with the wall clock; the bridge continues from the last plausible value."""
    world = World().start(process(uptime_s=60))
    world.later(300).see(process(uptime_s=360 + jump_s))
    assert world.payload(METRICS)["uptime_s"] == 360
    world.later(300).see(process(uptime_s=660 + jump_s))
    assert world.payload(METRICS)["uptime_s"] == 660
    world.later(60).see(process(NOW + timedelta(seconds=650), uptime_s=5))
    assert world.payload(METRICS)["uptime_s"] == 5


@pytest.mark.parametrize("uptime_s", [1_700_000_000, -HOUR])
def test_an_impossible_uptime_is_null(uptime_s: int) -> None:
    """The clock was set before the bridge read the uptime for the first time."""
    world = World().start(process(datetime(1970, 1, 1, tzinfo=UTC), uptime_s=uptime_s))
    assert world.payload(METRICS)["uptime_s"] is None
