"""Rules on the state, counts, errors and scans of folders."""

from collections.abc import Sequence
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.model import FailedItem, FolderStatistics
from stbridge.core.observations import Observation, Read
from stbridge.core.outcome import SYSTEM, failed_address
from tests.core.world import (
    ART,
    BETA,
    DOCS,
    NOW,
    Watched,
    after,
    changed,
    configured,
    failed,
    folder,
    names,
    not_running,
    process,
    read,
    snapshot,
    watched,
)

FAILED = failed_address("docs")
ITEM = FailedItem(path="a", error="permission denied")


def docs(one: Watched, *keys: str) -> Any:
    """Return values from the payload of the folder "docs"."""
    payload = one.shown(DOCS)
    return tuple(payload[key] for key in keys) if len(keys) > 1 else payload[keys[0]]


# --- in sync or not


@pytest.mark.parametrize(
    ("observation", "in_sync", "completion"),
    [
        (read(), True, 100),
        (read(need_bytes=250, need_items=1), False, 75),
        (read(need_bytes=1000, need_items=1), False, 0),
        (read(need_items=1), False, 95),
        (read(need_deletes=1), False, 95),
        (read(failed=1), True, 100),
        (read(global_bytes=0), True, 100),
        (read(state="scanning"), True, 100),
        (read(state="syncing"), False, 100),
        (read(state="sync-preparing"), False, 100),
        (read(state="error", error="gone"), False, 100),
        (not_running(), None, None),
    ],
)
def test_a_folder_is_in_sync_when_it_needs_nothing(
    observation: seen.FolderRead, in_sync: bool | None, completion: float | None
) -> None:
    """A folder that syncs or has an error is not in sync, whatever its counts. One that does not run is unknown."""
    assert docs(watched(observation), "in_sync", "completion") == (in_sync, completion)


def test_the_out_of_sync_time_is_published_until_the_folder_is_in_sync() -> None:
    """The time comes from the bridge, and stays as long as anything is needed."""
    one = watched()
    seen_since = []
    for at, observation in enumerate([read(), read(need_items=2), read(need_items=1), not_running(), read()]):
        one.see(observation, at=after(at))
        seen_since.append(docs(one, "out_of_sync_since"))
    since = "2024-05-01T12:00:01Z"
    assert seen_since == [None, since, since, since, None]


def test_a_folder_that_has_synced_is_reported_once() -> None:
    """A folder has synced when it needed something before and needs nothing now."""
    one = watched()
    assert names(one.see(read(need_items=2))) == []
    assert names(one.see(read(need_items=1))) == []
    (event,) = one.see(read(), at=after(9)).events
    assert (event.event_type, event.at) == ("folder_synced", after(9))
    assert event.data == {"folder": "docs", "label": "Docs"}
    assert names(one.see(read())) == []


@pytest.mark.parametrize("before", [[], [not_running()], [read(state="error"), changed("idle")]])
def test_a_folder_without_earlier_needs_has_not_synced(before: list[Observation]) -> None:
    """There is no sync at the start, when the folder runs again, or when an error is over."""
    one = Watched()
    one.see(configured(), *before)
    assert names(one.see(read())) == []


def test_a_sync_between_two_reads_of_the_counts_is_reported() -> None:
    """The changes of state show the sync, even if no read of the counts shows a need."""
    one = watched()
    one.see(changed("sync-preparing"), changed("syncing"))
    assert docs(one, "in_sync", "completion") == (False, 100)
    one.see(changed("idle"))
    assert docs(one, "in_sync") is False
    assert names(one.see(read())) == ["folder_synced"]
    assert docs(one, "in_sync") is True


def test_counts_read_during_a_sync_do_not_end_it() -> None:
    """The counts can be complete before Syncthing has finished."""
    one = watched()
    one.see(changed("syncing"))
    assert names(one.see(read(state="syncing"))) == []
    assert docs(one, "in_sync") is False


# --- states


def test_a_change_of_state_is_shown() -> None:
    """The state is Syncthing's own word, with the time of the event."""
    one = watched()
    outcome = one.see(changed("cleaning", at=after(5)))
    assert docs(one, "state", "state_changed_at") == ("cleaning", "2024-05-01T12:00:05Z")
    assert list(outcome.changed) == [DOCS]


@pytest.mark.parametrize(
    ("observation", "shown"),
    [
        (read(state="idle", changed_at=after(9)), ("scanning", "2024-05-01T12:00:10.500Z")),
        (read(state="scanning", changed_at=after(10)), ("scanning", "2024-05-01T12:00:10.500Z")),
        (read(state="idle", changed_at=after(10)), ("idle", "2024-05-01T12:00:10Z")),
        (read(state="idle", changed_at=after(12)), ("idle", "2024-05-01T12:00:12Z")),
        (read(state="scanning", changed_at=after(12)), ("scanning", "2024-05-01T12:00:12Z")),
    ],
    ids=["left already", "the same, less precisely", "the next one", "a later one", "the same again"],
)
def test_an_outdated_read_does_not_restore_an_old_state(observation: seen.FolderRead, shown: tuple[str, str]) -> None:
    """A read that an event overtook is older than the event. Both have different timestamps for the same change."""
    one = watched()
    one.see(changed("scanning", at=after(10.5)))
    one.see(observation)
    assert docs(one, "state", "state_changed_at") == shown


def test_counts_are_taken_from_every_read() -> None:
    """The counts of a read with an outdated state are still the newest counts."""
    one = watched()
    one.see(changed("scanning", at=after(10)))
    one.see(read(state="idle", changed_at=NOW, local_files=11))
    assert docs(one, "state", "local_files") == ("scanning", 11)


@pytest.mark.parametrize(
    ("before", "state", "reads"),
    [
        (read(), "scanning", []),
        (not_running(), "scanning", [Read("folder", "docs")]),
        (read(state="scanning"), "cleaning", [Read("scan_errors", "docs")]),
        (read(state="scanning"), "idle", [Read("scan_errors", "docs"), Read("folder_statistics")]),
        (read(state="scan-waiting"), "scanning", []),
        (read(state="syncing"), "idle", [Read("last_file")]),
        (read(state="syncing"), "scanning", [Read("last_file")]),
        (read(state="sync-preparing"), "syncing", []),
    ],
)
def test_a_change_of_state_causes_the_reads_that_no_event_covers(
    before: seen.FolderRead, state: str, reads: list[Read]
) -> None:
    """No event contains unknown counts, errors of a scan, the last scan, or the last file."""
    assert list(watched(before).see(changed(state)).reads) == reads


def test_failed_items_that_are_no_longer_needed_are_read_again_later() -> None:
    """Syncthing clears them without an event. Those of a scan stay, so that read does not repeat itself."""
    again = Read("outdated_errors", "docs")
    one = watched(read(need_items=1, failed=1), failed("a"))
    assert again in one.see(read(failed=1)).reads
    assert again in one.see(changed("scanning"), changed("idle")).reads
    assert again not in one.see(failed("a")).reads
    one.see(failed())
    assert docs(one, "failed", "status") == (0, "up_to_date")


def test_failed_items_that_a_scan_reports_are_read_again_once() -> None:
    """The scan has just ended the need for them, and Syncthing has not cleared them yet."""
    again = Read("outdated_errors", "docs")
    one = watched(read())
    assert again in one.see(failed("a")).reads
    assert again not in one.see(failed("a")).reads


@pytest.mark.parametrize("counts", [read(need_items=1, failed=1), read()])
def test_failed_items_that_are_needed_are_not_read_again_later(counts: seen.FolderRead) -> None:
    """An event reports the next attempt to sync them."""
    assert Read("outdated_errors", "docs") not in watched().see(counts).reads


# --- errors


def test_a_folder_in_an_error_state_is_reported_once() -> None:
    """The event contains the folder and the error; the payload shows the error until it is over."""
    one = watched()
    (event,) = one.see(changed("error", at=after(3), error="gone")).events
    assert (event.event_type, event.at) == ("folder_error", after(3))
    assert event.data == {"folder": "docs", "label": "Docs", "error": "gone"}
    assert docs(one, "state", "error", "in_sync") == ("error", "gone", False)
    assert names(one.see(changed("error", error="gone"), read(state="error", error="gone"))) == []
    one.see(changed("idle"))
    assert docs(one, "state", "error", "in_sync") == ("idle", None, True)


def test_an_error_without_an_event_is_shown() -> None:
    """A read also shows an error and its end. The end is no sync, because nothing was needed."""
    one = Watched()
    assert names(one.see(configured(), read(state="error", error="gone"))) == []
    assert docs(one, "state", "error", "in_sync") == ("error", "gone", False)
    assert names(one.see(read())) == []
    assert docs(one, "state", "error", "in_sync") == ("idle", None, True)


def test_a_filesystem_watcher_error_is_shown() -> None:
    """Events and reads set and clear it."""
    one = watched()
    shown = []
    for observation in (
        seen.WatchErrorChanged(folder="docs", error="too many"),
        seen.WatchErrorChanged(folder="docs", error=None),
        read(watch_error="no space"),
        read(),
    ):
        one.see(observation)
        shown.append(docs(one, "watch_error"))
    assert shown == ["too many", None, "no space", None]


def test_failed_items_are_read_when_their_count_differs() -> None:
    """No event reports that failed items are cleared, and not every new one has an event."""
    one = watched()
    assert list(one.see(read(need_items=2, failed=2)).reads) == [Read("folder_errors", "docs")]
    outcome = one.see(seen.FolderErrorsRead(folder="docs", items=(ITEM, ITEM)))
    assert set(outcome.changed) == {FAILED, DOCS}
    assert one.shown(FAILED) == {"count": 2, "items": [{"path": "a", "error": "permission denied"}] * 2}
    assert not one.see(read(need_items=2, failed=2)).reads
    outcome = one.see(read())
    assert not outcome.reads
    assert FAILED in outcome.changed
    assert one.shown(FAILED) == {"count": 0, "items": []}


def test_failed_items_are_empty_while_a_folder_does_not_run() -> None:
    """Syncthing would refuse to report them."""
    one = watched(read(failed=1), seen.FolderErrorsRead(folder="docs", items=(ITEM,)))
    assert not one.see(not_running()).reads
    assert one.shown(FAILED) == {"count": 0, "items": []}


def test_the_list_of_failed_items_sets_their_count() -> None:
    """The event with the list arrives before the counts."""
    one = watched()
    one.see(seen.FolderErrorsRead(folder="docs", items=(ITEM,)))
    assert docs(one, "failed") == 1


# --- scans


@pytest.mark.parametrize(
    ("progress", "shown"),
    [([(1, 3)], 33.3), ([(1, 3), (2, 3)], 66.6), ([(5, 1)], 100), ([(0, 0)], None), ([(1, 2), (0, 0)], 50)],
)
def test_the_progress_of_a_scan_is_shown(progress: list[tuple[int, int]], shown: float | None) -> None:
    """The percentage is at most 100 even if files grow during the scan, and null if nothing needs hashing."""
    one = watched()
    one.see(changed("scanning"))
    one.see(*(seen.ScanProgressed(folder="docs", current=current, total=total) for current, total in progress))
    assert docs(one, "scan_progress") == shown


@pytest.mark.parametrize("order", ["progress first", "end first"])
def test_the_progress_of_a_scan_ends_with_it(order: str) -> None:
    """The last progress event may arrive after the end of the scan, and is ignored then."""
    one = watched()
    one.see(changed("scanning"))
    steps: Sequence[Observation] = (seen.ScanProgressed(folder="docs", current=1, total=2), changed("idle"))
    one.see(*(steps if order == "progress first" else reversed(steps)))
    assert docs(one, "scan_progress") is None


def test_the_progress_of_a_scan_ends_although_its_end_was_missed() -> None:
    """The connection was lost, or Syncthing dropped the event: the next read shows that the folder is idle."""
    one = watched()
    one.see(changed("scanning"), seen.ScanProgressed(folder="docs", current=1, total=2))
    one.see(read("docs", changed_at=after(5)))
    assert [docs(one, key) for key in ("state", "scan_progress", "scan_rate", "scan_ends_at")] == ["idle", *[None] * 3]


def test_a_folder_is_read_again_after_a_reboot_with_an_older_clock() -> None:
    """A machine without a battery for its clock starts with an old time; the state of the folder is newer anyway."""
    one = watched()
    one.see(changed("syncing", at=after(3600)))
    one.see(seen.Unavailable(status="unreachable", message="no route"))
    one.see(*snapshot(process(after(1000)), read("docs", changed_at=after(1010))))
    assert [docs(one, key) for key in ("state", "in_sync")] == ["idle", True]


def test_statistics_change_only_the_folders_that_differ() -> None:
    """The statistics cover all folders, but only folders with new values are published."""
    one = watched()
    unchanged = FolderStatistics()
    news = FolderStatistics(last_scan_at=NOW, last_file="a", last_file_at=NOW, last_file_deleted=True)
    outcome = one.see(seen.FolderStatisticsRead(statistics={"docs": news, "art": unchanged, "unheard-of": news}))
    assert list(outcome.changed) == [DOCS]
    assert docs(one, "last_scan_at", "last_file", "last_file_at", "last_file_deleted") == (
        "2024-05-01T12:00:00Z",
        "a",
        "2024-05-01T12:00:00Z",
        True,
    )


# --- folders that do not count


OF_A_FOLDER = [
    read(need_items=1, failed=1, watch_error="late"),
    changed("error", error="late"),
    seen.WatchErrorChanged(folder="docs", error="late"),
    seen.FolderErrorsRead(folder="docs", items=(ITEM,)),
    seen.ScanProgressed(folder="docs", current=1, total=2),
]
every_observation = pytest.mark.parametrize("observation", OF_A_FOLDER, ids=[type(one).__name__ for one in OF_A_FOLDER])


@every_observation
def test_observations_that_a_pause_overtook_are_ignored(observation: Observation) -> None:
    """They show the folder before the pause."""
    one = watched()
    one.see(seen.FolderPaused(folder="docs", paused=True))
    before = one.shown(DOCS), one.shown(FAILED)
    outcome = one.see(observation)
    assert (one.shown(DOCS), one.shown(FAILED)) == before
    assert not outcome.events
    assert not outcome.reads


@every_observation
def test_observations_of_an_unconfigured_folder_are_ignored(observation: Observation) -> None:
    """Late observations of a folder that was just removed must not bring it back."""
    one = watched(config=configured(folders=[folder("art", BETA)]))
    outcome = one.see(observation)
    assert (outcome.changed, outcome.reads, outcome.events) == ({}, {}, [])
    assert one.shown(DOCS) is None


def test_a_folder_that_does_not_run_has_an_unknown_state() -> None:
    """Whether the folder and the instance are in sync is null."""
    one = watched(not_running())
    assert docs(one, "state", "in_sync", "need_bytes", "global_files") == ("unknown", None, None, None)
    assert one.shown(SYSTEM)["in_sync"] is None
    assert one.shown(ART)["in_sync"] is True
