"""Rules on folders: state, counts, errors, scans."""

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
    folder,
    names,
    not_running,
    read,
    watched,
)

FAILED = failed_address("docs")
ITEM = FailedItem(path="a", error="permission denied")


def docs(one: Watched, *keys: str) -> Any:
    """Return values of the payload of the folder "docs"."""
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
    """It is not while it syncs, nor in error, whatever the counts say; of what does not run nothing is known."""
    assert docs(watched(observation), "in_sync", "completion") == (in_sync, completion)


def test_since_when_a_folder_is_out_of_sync_is_told_until_it_is_not() -> None:
    """The time is that of the bridge, and stays while anything is lacking."""
    one = watched()
    seen_since = []
    for at, observation in enumerate([read(), read(need_items=2), read(need_items=1), not_running(), read()]):
        one.see(observation, at=after(at))
        seen_since.append(docs(one, "out_of_sync_since"))
    since = "2024-05-01T12:00:01Z"
    assert seen_since == [None, since, since, since, None]


def test_a_folder_that_has_caught_up_is_told_once() -> None:
    """A folder that needed something and needs nothing any more has synced."""
    one = watched()
    assert names(one.see(read(need_items=2))) == []
    assert names(one.see(read(need_items=1))) == []
    (event,) = one.see(read(), at=after(9)).events
    assert (event.event_type, event.at) == ("folder_synced", after(9))
    assert event.data == {"folder": "docs", "label": "Docs"}
    assert names(one.see(read())) == []


@pytest.mark.parametrize("before", [[], [not_running()], [read(state="error"), changed("idle")]])
def test_a_folder_that_lacked_nothing_has_not_synced(before: list[Observation]) -> None:
    """Neither at the start, nor when it runs again, nor when an error is over."""
    one = Watched()
    one.see(configured(), *before)
    assert names(one.see(read())) == []


def test_a_sync_too_short_for_the_counts_is_told() -> None:
    """What came and was done between two counts has synced as well."""
    one = watched()
    one.see(changed("sync-preparing"), changed("syncing"))
    assert docs(one, "in_sync", "completion") == (False, 100)
    one.see(changed("idle"))
    assert docs(one, "in_sync") is False
    assert names(one.see(read())) == ["folder_synced"]
    assert docs(one, "in_sync") is True


def test_counts_taken_while_it_syncs_settle_nothing() -> None:
    """Counts can say that nothing is lacking before Syncthing is done."""
    one = watched()
    one.see(changed("syncing"))
    assert names(one.see(read(state="syncing"))) == []
    assert docs(one, "in_sync") is False


# --- states


def test_a_change_of_state_is_shown() -> None:
    """The state is in Syncthing's words, with the time of the event."""
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
def test_a_state_that_was_left_already_does_not_come_back(observation: seen.FolderRead, shown: tuple[str, str]) -> None:
    """A read that was overtaken by an event does not set the state back; both stamp the same change differently."""
    one = watched()
    one.see(changed("scanning", at=after(10.5)))
    one.see(observation)
    assert docs(one, "state", "state_changed_at") == shown


def test_counts_count_whenever_they_come() -> None:
    """The counts of a read whose state was left already are the newest that there are."""
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
def test_what_a_change_of_state_does_not_tell_is_read(before: seen.FolderRead, state: str, reads: list[Read]) -> None:
    """Counts that are not known, errors of a scan, and the last scan and file, come with no event."""
    assert list(watched(before).see(changed(state)).reads) == reads


# --- errors


def test_a_folder_in_error_is_told_once() -> None:
    """The event says which folder and why; the payload says so until the error is gone."""
    one = watched()
    (event,) = one.see(changed("error", at=after(3), error="gone")).events
    assert (event.event_type, event.at) == ("folder_error", after(3))
    assert event.data == {"folder": "docs", "label": "Docs", "error": "gone"}
    assert docs(one, "state", "error", "in_sync") == ("error", "gone", False)
    assert names(one.see(changed("error", error="gone"), read(state="error", error="gone"))) == []
    one.see(changed("idle"))
    assert docs(one, "state", "error", "in_sync") == ("idle", None, True)


def test_an_error_that_no_event_told_is_shown() -> None:
    """A read tells it as well, and when it is gone; that is no sync, because nothing was lacking."""
    one = Watched()
    assert names(one.see(configured(), read(state="error", error="gone"))) == []
    assert docs(one, "state", "error", "in_sync") == ("error", "gone", False)
    assert names(one.see(read())) == []
    assert docs(one, "state", "error", "in_sync") == ("idle", None, True)


def test_an_error_of_watching_is_shown() -> None:
    """It comes and goes with events, and with reads."""
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


def test_failed_items_are_read_when_their_count_tells_that_they_are_others() -> None:
    """No event tells when they clear, and not every one when they come."""
    one = watched()
    assert list(one.see(read(failed=2)).reads) == [Read("folder_errors", "docs")]
    outcome = one.see(seen.FolderErrorsRead(folder="docs", items=(ITEM, ITEM)))
    assert set(outcome.changed) == {FAILED, DOCS}
    assert one.shown(FAILED) == {"count": 2, "items": [{"path": "a", "error": "permission denied"}] * 2}
    assert not one.see(read(failed=2)).reads
    outcome = one.see(read())
    assert not outcome.reads
    assert FAILED in outcome.changed
    assert one.shown(FAILED) == {"count": 0, "items": []}


def test_failed_items_are_not_known_while_a_folder_does_not_run() -> None:
    """Syncthing would refuse to tell them."""
    one = watched(read(failed=1), seen.FolderErrorsRead(folder="docs", items=(ITEM,)))
    assert not one.see(not_running()).reads
    assert one.shown(FAILED) == {"count": 0, "items": []}


def test_a_list_of_failed_items_counts_them() -> None:
    """The event with the list comes before the counts."""
    one = watched()
    one.see(seen.FolderErrorsRead(folder="docs", items=(ITEM,)))
    assert docs(one, "failed") == 1


# --- scans


@pytest.mark.parametrize(
    ("progress", "shown"),
    [([(1, 3)], 33.3), ([(1, 3), (2, 3)], 66.6), ([(5, 1)], 100), ([(0, 0)], None), ([(1, 2), (0, 0)], 50)],
)
def test_the_progress_of_a_scan_is_shown(progress: list[tuple[int, int]], shown: float | None) -> None:
    """It is in percent; files that grow meanwhile give no more than 100, and nothing to be hashed gives none."""
    one = watched()
    one.see(changed("scanning"))
    one.see(*(seen.ScanProgressed(folder="docs", current=current, total=total) for current, total in progress))
    assert docs(one, "scan_progress") == shown


@pytest.mark.parametrize("order", ["progress first", "end first"])
def test_the_progress_of_a_scan_ends_with_it(order: str) -> None:
    """The last progress may come after the end, and is none then."""
    one = watched()
    one.see(changed("scanning"))
    steps: Sequence[Observation] = (seen.ScanProgressed(folder="docs", current=1, total=2), changed("idle"))
    one.see(*(steps if order == "progress first" else reversed(steps)))
    assert docs(one, "scan_progress") is None


def test_statistics_touch_the_folders_that_they_change() -> None:
    """What is read of all folders is published of those where something is new."""
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
def test_what_was_on_its_way_when_a_folder_was_paused_does_not_count(observation: Observation) -> None:
    """A read that was overtaken by the pause says nothing of a paused folder."""
    one = watched()
    one.see(seen.FolderPaused(folder="docs", paused=True))
    before = one.shown(DOCS), one.shown(FAILED)
    outcome = one.see(observation)
    assert (one.shown(DOCS), one.shown(FAILED)) == before
    assert not outcome.events
    assert not outcome.reads


@every_observation
def test_a_folder_that_is_not_configured_does_not_count(observation: Observation) -> None:
    """What is told of a folder that has just been removed does not bring it back."""
    one = watched(config=configured(folders=[folder("art", BETA)]))
    outcome = one.see(observation)
    assert (outcome.changed, outcome.reads, outcome.events) == ({}, {}, [])
    assert one.shown(DOCS) is None


def test_a_folder_that_does_not_run_is_not_known() -> None:
    """It is neither in sync nor not, and neither is the whole."""
    one = watched(not_running())
    assert docs(one, "state", "in_sync", "need_bytes", "global_files") == ("unknown", None, None, None)
    assert one.shown(SYSTEM)["in_sync"] is None
    assert one.shown(ART)["in_sync"] is True
