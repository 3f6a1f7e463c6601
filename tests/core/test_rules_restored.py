"""Rules on what the previous run of the bridge published, which the broker retains."""

from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.observations import Observation
from stbridge.core.outcome import METRICS, folder_address
from stbridge.core.topics import Address
from tests.core.world import (
    ART_FOLDER,
    DELTA,
    DOCS,
    NOW,
    ON_BETA,
    Watched,
    after,
    beta_configured,
    configured,
    connections,
    device_address,
    docs_configured,
    process,
    read,
    snapshot,
    watched,
)

# --- since when a folder is out of sync, and for how long it is paused

SINCE = "2024-04-01T08:00:00Z"
NOW_SINCE = "2024-05-01T12:00:00Z"


def restored(address: Address, **payload: Any) -> seen.Restored:
    """Return what was published at an address, and nothing else."""
    return seen.Restored(payloads={address: payload})


RESTORED = restored(DOCS, out_of_sync_since=SINCE)
NOTHING_RESTORED = seen.Restored(payloads={})
LACKING = read("docs", need_bytes=500)


@pytest.mark.parametrize(
    ("observations", "since"),
    [
        ([RESTORED, configured(), LACKING], SINCE),
        ([configured(), RESTORED, LACKING], SINCE),
        ([configured(), LACKING, RESTORED], SINCE),
        ([configured(), LACKING, restored(DOCS, out_of_sync_since=None)], NOW_SINCE),
        ([configured(), LACKING, NOTHING_RESTORED], NOW_SINCE),
        ([configured(), LACKING, seen.Restored(payloads={DOCS: None})], NOW_SINCE),
        ([RESTORED, configured(), read("docs")], None),
        ([configured(), read("docs"), RESTORED], None),
        ([RESTORED, configured(), read("docs"), LACKING], NOW_SINCE),
        ([RESTORED, docs_configured(paused=True)], None),
        ([docs_configured(paused=True), RESTORED], None),
    ],
)
def test_since_when_a_folder_is_out_of_sync_outlives_the_bridge(
    observations: list[Observation], since: str | None
) -> None:
    """Whenever the broker tells what it has kept, it holds for a folder that still is out of sync, and no other."""
    one = Watched()
    one.see(*observations)
    assert one.shown(DOCS)["out_of_sync_since"] == since


def test_a_folder_that_comes_later_has_no_earlier_life() -> None:
    """A folder that was removed and is added again is a new one."""
    one = watched(RESTORED)
    one.see(configured([ART_FOLDER]))
    one.see(configured(), LACKING)
    assert one.shown(DOCS)["out_of_sync_since"] == NOW_SINCE


@pytest.mark.parametrize(
    ("config", "address"), [(docs_configured(paused=True), DOCS), (beta_configured(paused=True), ON_BETA)]
)
@pytest.mark.parametrize(
    ("until", "shown"), [(SINCE, SINCE), (None, None), ("soon", None), (5, None), ("2024-05-01", None)]
)
@pytest.mark.parametrize("late", [False, True])
def test_a_pause_for_a_time_outlives_the_bridge(
    config: seen.ConfigRead, address: Address, until: Any, *, shown: str | None, late: bool
) -> None:
    """It ends when it was to end, whenever the broker tells of it; rubbish that anybody published does not count."""
    one = Watched()
    published = restored(address, resume_at=until)
    one.see(*([config, published] if late else [published, config]))
    assert one.shown(address)["resume_at"] == shown


# --- lifetime totals


TOTALS = {"in_bytes": 40, "in_bytes_lifetime": 5000, "out_bytes": 4, "out_bytes_lifetime": 500}
SAME = restored(METRICS, **TOTALS, started_at="2024-05-01T12:00:00Z")
OTHER = restored(METRICS, **TOTALS, started_at="2024-04-01T08:00:00Z")
COUNTED = connections(NOW, 100, 10)


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        ([process(), COUNTED], (None, None)),
        ([process(), COUNTED, SAME], (5060, 506)),
        ([SAME, process(), COUNTED], (5060, 506)),
        ([process(), SAME, COUNTED], (5060, 506)),
        ([process(), COUNTED, OTHER], (5100, 510)),
        ([OTHER, process(), COUNTED], (5100, 510)),
        ([process(), COUNTED, restored(METRICS)], (100, 10)),
        ([process(), COUNTED, NOTHING_RESTORED], (100, 10)),
        ([process(), COUNTED, SAME, SAME], (5060, 506)),
        ([process(), COUNTED, SAME, process(after(60)), connections(after(61), 30, 3)], (5090, 509)),
        ([process(), SAME, COUNTED, connections(after(61), 30, 3), process(after(60))], (5090, 509)),
    ],
)
def test_lifetime_totals_outlive_syncthing_and_the_bridge(
    observations: list[Observation], expected: tuple[int | None, int | None]
) -> None:
    """What the same process had counted before is not counted twice, whatever is known first."""
    one = Watched()
    assert METRICS in one.see(*observations).changed
    metrics = one.shown(METRICS)
    assert (metrics["in_bytes_lifetime"], metrics["out_bytes_lifetime"]) == expected


@pytest.mark.parametrize("status_first", [True, False])
def test_lifetime_totals_count_a_restart_that_passes_the_old_value_unseen(*, status_first: bool) -> None:
    """The start time of the process shows it; until the new counter is read, the old one is not taken for it."""
    one = Watched()
    one.see(process(after(-60)), COUNTED, NOTHING_RESTORED)
    status, counted = process(after(100), uptime_s=20), connections(after(110), 150, 15)
    if not status_first:
        one.see(counted, at=after(110))
    one.see(status, at=after(120))
    metrics = one.shown(METRICS)
    assert (metrics["in_bytes"], metrics["in_bytes_lifetime"]) == ((None, 100) if status_first else (150, 250))
    one.see(connections(after(130), 170, 17), at=after(130))
    metrics = one.shown(METRICS)
    assert (metrics["in_bytes_lifetime"], metrics["out_bytes_lifetime"]) == (270, 27)


# --- what an earlier life of the bridge has left

LEFT = {folder_address("gone"): {"id": "gone"}, device_address(DELTA): None, Address("failed", folder="gone"): {}}


@pytest.mark.parametrize("order", ["restored first", "read first"])
def test_what_was_published_and_is_no_more_is_cleared(order: str) -> None:
    """A folder or a device that went while the bridge was away is looked at again, once all that there is is known."""
    one = Watched()
    published = seen.Restored(payloads=LEFT)
    steps = [published, *snapshot()] if order == "restored first" else [*snapshot(), published]
    outcome = one.see(*steps)
    assert LEFT.keys() <= outcome.changed.keys()
    assert [one.shown(address) for address in LEFT] == [None] * 3


def test_nothing_is_cleared_before_everything_was_read() -> None:
    """What is not known yet may still be there."""
    one = Watched()
    published = seen.Restored(payloads=LEFT)
    assert not LEFT.keys() & one.see(published, *snapshot()[:-1]).changed.keys()
    one = watched()
    assert not LEFT.keys() & one.see(seen.SnapshotStarted(), published).changed.keys()
