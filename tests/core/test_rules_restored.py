"""Rules on the payloads of the previous run of the bridge, which the broker retained."""

from dataclasses import replace
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.model import short_id
from stbridge.core.observations import Observation
from stbridge.core.outcome import METRICS, folder_address
from stbridge.core.rules.instance import MOST_GUESSED
from stbridge.core.topics import Address
from tests.core.world import (
    ART_FOLDER,
    ART_ON_BETA,
    BETA,
    DELTA,
    DOCS,
    DOCS_FOLDER,
    DOCS_ON_BETA,
    GAMMA,
    GAMMA_DEVICE,
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

# --- the out-of-sync time of a folder, and timed pauses

SINCE = "2024-04-01T08:00:00Z"
NOW_SINCE = "2024-05-01T12:00:00Z"


def restored(address: Address, **payload: Any) -> seen.Restored:
    """Return the restored payload of one address."""
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
def test_the_out_of_sync_time_of_a_folder_survives_a_restart_of_the_bridge(
    observations: list[Observation], since: str | None
) -> None:
    """The retained time is used whenever it arrives, but only for a folder that is still out of sync."""
    one = Watched()
    one.see(*observations)
    assert one.shown(DOCS)["out_of_sync_since"] == since


def test_restored_values_do_not_apply_to_a_folder_added_later() -> None:
    """A folder that was removed and added again is a new one."""
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
def test_a_timed_pause_survives_a_restart_of_the_bridge(
    config: seen.ConfigRead, address: Address, until: Any, *, shown: str | None, late: bool
) -> None:
    """The pause keeps its end, even if the retained payload arrives late. Invalid values from anybody are ignored."""
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
def test_lifetime_totals_survive_restarts_of_syncthing_and_of_the_bridge(
    observations: list[Observation], expected: tuple[int | None, int | None]
) -> None:
    """Bytes that the same process counted before are not counted twice, in whatever order the values arrive."""
    one = Watched()
    assert METRICS in one.see(*observations).changed
    metrics = one.shown(METRICS)
    assert (metrics["in_bytes_lifetime"], metrics["out_bytes_lifetime"]) == expected


@pytest.mark.parametrize("status_first", [True, False])
def test_lifetime_totals_detect_a_restart_when_the_new_counter_is_already_higher(*, status_first: bool) -> None:
    """The start time of the process shows the restart. The old counter is not used until the new one is read."""
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


# --- topics of the previous run

LEFT = {folder_address("gone"): {"id": "gone"}, device_address(DELTA): None, Address("failed", folder="gone"): {}}


@pytest.mark.parametrize("order", ["restored first", "read first"])
def test_topics_of_removed_folders_and_devices_are_cleared(order: str) -> None:
    """They were removed while the bridge was stopped, and are cleared when everything was read."""
    one = Watched()
    published = seen.Restored(payloads=LEFT)
    steps = [published, *snapshot()] if order == "restored first" else [*snapshot(), published]
    outcome = one.see(*steps)
    assert LEFT.keys() <= outcome.changed.keys()
    assert [one.shown(address) for address in LEFT] == [None] * 3


def test_nothing_is_cleared_before_everything_was_read() -> None:
    """Folders and devices that were not read yet may still exist."""
    one = Watched()
    published = seen.Restored(payloads=LEFT)
    assert not LEFT.keys() & one.see(published, *snapshot()[:-1]).changed.keys()
    one = watched()
    assert not LEFT.keys() & one.see(seen.SnapshotStarted(), published).changed.keys()


# --- topics of what was removed


def test_a_removed_device_is_cleared_after_its_completions() -> None:
    """If the bridge is killed in between, its next run finds the completions by the topic of the device."""
    device, completion = Address("device", device="REMOVED"), Address("completion", folder="docs", device="REMOVED")
    outcome = Watched().see(*snapshot(), seen.Restored(payloads={device: {}, completion: {}}), seen.SnapshotComplete())
    cleared = [address for address in outcome.changed if address.device == "REMOVED"]
    assert cleared[-1] == device
    assert completion in cleared


def test_a_device_that_is_removed_now_is_cleared_after_its_completions() -> None:
    """The same holds while the bridge runs."""
    one = watched()
    outcome = one.see(configured([replace(DOCS_FOLDER, devices=(GAMMA,)), ART_FOLDER], [GAMMA_DEVICE]))
    cleared = [address for address in outcome.changed if address.device == short_id(BETA)]
    assert cleared[-1] == ON_BETA
    assert {DOCS_ON_BETA, ART_ON_BETA} <= set(cleared)


def test_completions_of_a_removed_device_are_cleared_although_they_were_not_read() -> None:
    """The broker may have dropped them, or they may have arrived too late."""
    device = Address("device", device="REMOVED")
    outcome = Watched().see(*snapshot(), seen.Restored(payloads={device: {}, folder_address("old"): {}}))
    cleared = [address for address in outcome.changed if address.device == "REMOVED"]
    assert cleared[-1] == device
    assert {one.folder for one in cleared[:-1]} == {"docs", "art", "old"}


def test_forged_devices_do_not_fill_the_memory() -> None:
    """Any client may publish below the base topic."""
    left: dict[Address, Any] = {Address("device", device=f"D{number:06}"): {} for number in range(2000)}
    left |= {folder_address(f"folder-{number}"): {} for number in range(1000)}
    outcome = Watched().see(*snapshot(), seen.Restored(payloads=left))
    assert len(outcome.changed) <= len(left) + MOST_GUESSED + 100
