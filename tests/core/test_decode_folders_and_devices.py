"""Decoding of folders and remote devices, as several versions of Syncthing report them."""

from typing import Any

import pytest

from stbridge.core import decode
from stbridge.core import observations as seen
from stbridge.core.model import ONLY_DELETES_LEFT, Completion, Connection, FailedItem, FolderCounts, FolderStatistics
from stbridge.core.timing import in_utc
from tests.core.recorded import VERSIONS, is_before, recorded, recorded_id

every_version = pytest.mark.parametrize("version", VERSIONS)

YEAR_1 = "0001-01-01T00:00:00Z"
A_TIME = "2024-05-01T12:00:00Z"
NO_COUNTS = {
    **dict.fromkeys(("globalBytes", "globalFiles", "localBytes", "localFiles", "errors"), 0),
    **dict.fromkeys(("needBytes", "needFiles", "needDirectories", "needSymlinks", "needDeletes"), 0),
}


def folder_document(**changes: Any) -> dict[str, Any]:
    """Return the status of an idle, empty folder with some values changed."""
    return {"state": "idle", "stateChanged": A_TIME, **NO_COUNTS, **changes}


# --- folders


@every_version
def test_an_idle_folder_is_read(version: str) -> None:
    """The folder holds one file in one directory; up to 1.x, the directory counts as 128 bytes."""
    raw = recorded(version, "db_status_idle")
    size = 5 + (128 if is_before(version, "2.0") else 0)
    observation = decode.folder_status("docs", raw)
    assert in_utc(observation.state_changed_at) == raw["stateChanged"]
    assert observation == seen.FolderRead(
        folder="docs",
        state="idle",
        state_changed_at=observation.state_changed_at,
        error=None,
        watch_error=None,
        counts=FolderCounts(
            global_bytes=size,
            global_files=1,
            local_bytes=size,
            local_files=1,
            need_bytes=0,
            need_items=0,
            need_deletes=0,
            failed=0,
            local_changes=0,
        ),
        sequence=raw["sequence"],
    )


@every_version
def test_a_paused_folder_has_no_state_and_no_counts(version: str) -> None:
    """Syncthing reports zeros and no state for a paused folder; these zeros are not counts."""
    assert decode.folder_status("docs", recorded(version, "db_status_paused")) == seen.FolderRead(
        folder="docs", state=None, state_changed_at=None, error=None, watch_error=None, counts=None
    )


@every_version
def test_additions_to_a_receive_only_folder_are_local_changes(version: str) -> None:
    """The folder holds one file that no other device has."""
    counts = decode.folder_status("inbox", recorded(version, "db_status_receiveonly")).counts
    assert counts is not None
    assert (counts.local_changes, counts.local_files, counts.global_files, counts.need_items) == (1, 1, 0, 0)


def test_needed_items_are_added_up_without_deletions() -> None:
    """Syncthing's own total includes items to be deleted."""
    raw = folder_document(
        needFiles=3, needDirectories=2, needSymlinks=1, needDeletes=7, needTotalItems=13, needBytes=99, errors=4
    )
    counts = decode.folder_status("docs", raw).counts
    assert counts is not None
    assert (counts.need_items, counts.need_deletes, counts.need_bytes, counts.failed) == (6, 7, 99, 4)
    assert counts.need_total_items == 13


def test_local_changes_include_files_directories_symlinks_and_deletions() -> None:
    """All four kinds are added up."""
    raw = folder_document(
        receiveOnlyChangedFiles=1,
        receiveOnlyChangedDirectories=2,
        receiveOnlyChangedSymlinks=3,
        receiveOnlyChangedDeletes=4,
        receiveOnlyChangedBytes=1000,
    )
    counts = decode.folder_status("docs", raw).counts
    assert counts is not None
    assert counts.local_changes == 10


@pytest.mark.parametrize("none", [{}, {"error": "", "watchError": ""}, {"error": None, "watchError": None}])
def test_a_folder_without_an_error_has_none(none: dict[str, Any]) -> None:
    """The keys are missing up to 1.19 and empty in later versions."""
    observation = decode.folder_status("docs", folder_document(**none))
    assert (observation.error, observation.watch_error) == (None, None)


def test_the_errors_of_a_folder_are_kept() -> None:
    """The error of the folder and the error of the filesystem watcher are separate values."""
    observation = decode.folder_status("docs", folder_document(state="error", error="gone", watchError="too many"))
    assert (observation.state, observation.error, observation.watch_error) == ("error", "gone", "too many")


@every_version
def test_failed_items_are_read(version: str) -> None:
    """The recorded folder has one directory that could not be deleted."""
    observation = decode.folder_errors(recorded(version, "folder_errors"))
    (item,) = observation.items
    assert (observation.folder, item.path) == ("docs", "reports")
    assert "delete dir: directory has been deleted on a remote device" in item.error


@pytest.mark.parametrize(
    ("errors", "expected"),
    [(None, ()), ([], ()), ([{"path": "a", "error": "b"}], (FailedItem(path="a", error="b"),))],
)
def test_a_list_without_failed_items_may_be_null(errors: Any, expected: tuple[FailedItem, ...]) -> None:
    """Syncthing returns null instead of an empty list."""
    assert decode.folder_errors({"folder": "docs", "errors": errors}).items == expected


@every_version
def test_folder_statistics_are_read(version: str) -> None:
    """The latest change in "docs" was a deletion; "inbox" never changed."""
    raw = recorded(version, "stats_folder")
    statistics = decode.folder_statistics(raw).statistics
    docs, inbox = statistics["docs"], statistics["inbox"]
    assert statistics.keys() == {"docs", "inbox", "lost"}
    assert (docs.last_file, docs.last_file_deleted) == ("reports/first.txt", True)
    assert in_utc(docs.last_file_at) == raw["docs"]["lastFile"]["at"]
    assert in_utc(docs.last_scan_at) == raw["docs"]["lastScan"]
    assert inbox == FolderStatistics(last_scan_at=inbox.last_scan_at)
    assert in_utc(inbox.last_scan_at) == raw["inbox"]["lastScan"]


def test_a_folder_that_was_never_scanned_has_no_last_scan() -> None:
    """Syncthing writes "never" as the year 1 here."""
    never = {"lastScan": YEAR_1, "lastFile": {"at": YEAR_1, "filename": "", "deleted": False}}
    assert decode.folder_statistics({"docs": never}).statistics == {"docs": FolderStatistics()}


# --- remote devices


@every_version
def test_a_completion_is_read(version: str) -> None:
    """The state of the folder on the remote device is reported since 1.20."""
    assert decode.completion("BETA", "docs", recorded(version, "db_completion")) == seen.CompletionRead(
        device="BETA",
        folder="docs",
        completion=Completion(
            completion=100.0,
            need_bytes=0,
            need_items=0,
            need_deletes=0,
            global_bytes=5 + (128 if is_before(version, "2.0") else 0),
            remote_state=None if is_before(version, "1.20") else "valid",
        ),
        sequence=2,
    )


@pytest.mark.parametrize(
    ("completion", "expected"),
    [(0, 0.0), (95, 95.0), (99.99999999, 99.99), (12.3456, 12.34)],
)
def test_a_completion_is_never_rounded_up(completion: float, expected: float) -> None:
    """A nearly complete folder must not be shown as complete."""
    raw = {"completion": completion, "needBytes": 1, "needItems": 2, "needDeletes": 3, "globalBytes": 4}
    observation = decode.completion("BETA", "docs", raw)
    assert observation.completion == Completion(
        completion=expected, need_bytes=1, need_items=2, need_deletes=3, global_bytes=4, remote_state=None
    )


@pytest.mark.parametrize(
    ("need_bytes", "need_items", "need_deletes", "expected"),
    [(0, 0, 0, 100.0), (1, 1, 0, 99.99), (0, 1, 0, ONLY_DELETES_LEFT), (0, 0, 1, ONLY_DELETES_LEFT)],
)
def test_only_a_complete_folder_has_a_hundred_percent(
    need_bytes: int, need_items: int, need_deletes: int, expected: float
) -> None:
    """Syncthing reports 100 while empty files are missing, or when a float rounds the last byte up."""
    need = {"needBytes": need_bytes, "needItems": need_items, "needDeletes": need_deletes}
    raw = {"completion": 100, "globalBytes": 10**18, **need}
    assert decode.completion("BETA", "docs", raw).completion.completion == expected


@every_version
def test_connections_are_read(version: str) -> None:
    """This device, which is in the list up to 1.24, is left out. Of several connections the first one is used."""
    raw = recorded(version, "system_connections")
    alpha, beta = recorded_id(version, "alpha"), recorded_id(version, "beta")
    observation = decode.connections(raw, alpha)
    assert (alpha in raw["connections"]) is is_before(version, "1.25")
    assert in_utc(observation.at) == raw["total"]["at"]
    assert (observation.in_bytes, observation.out_bytes) == (
        raw["total"]["inBytesTotal"],
        raw["total"]["outBytesTotal"],
    )
    assert observation.connections == {
        beta: Connection(
            connected=True,
            address=raw["connections"][beta]["address"],
            connection_type="tcp-server",
            is_local=None if is_before(version, "1.23") else True,
            crypto="TLS1.3-TLS_AES_128_GCM_SHA256",
            client_version=recorded(version, "system_version")["version"],
            in_bytes=raw["connections"][beta]["inBytesTotal"],
            out_bytes=raw["connections"][beta]["outBytesTotal"],
        )
    }


def test_a_device_that_is_not_connected_has_no_other_values() -> None:
    """The empty strings and zeros of a missing connection are discarded."""
    no_words = dict.fromkeys(("address", "type", "crypto", "clientVersion"), "")
    away = {"connected": False, "at": YEAR_1, "inBytesTotal": 0, "outBytesTotal": 0, "isLocal": False, **no_words}
    raw = {"total": {"at": A_TIME, "inBytesTotal": 1, "outBytesTotal": 2}, "connections": {"BETA": away, "OWN": away}}
    assert decode.connections(raw, "OWN").connections == {"BETA": Connection(connected=False)}


def test_connections_without_a_time_are_refused() -> None:
    """No rate can be computed from counters without a time."""
    raw = {"total": {"at": YEAR_1, "inBytesTotal": 1, "outBytesTotal": 2}, "connections": {}}
    with pytest.raises(ValueError, match="without a time"):
        decode.connections(raw, "OWN")


@every_version
def test_device_statistics_are_read(version: str) -> None:
    """Syncthing writes 1970 for this device itself, because it was never seen."""
    raw = recorded(version, "stats_device")
    alpha, beta = recorded_id(version, "alpha"), recorded_id(version, "beta")
    last_seen_at = decode.device_statistics(raw).last_seen_at
    assert raw[alpha]["lastSeen"] == "1970-01-01T00:00:00Z"
    assert last_seen_at[alpha] is None
    assert in_utc(last_seen_at[beta]) == raw[beta]["lastSeen"]
