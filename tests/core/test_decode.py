"""Decoding: what real Syncthings of several versions answered, and the odd things that they may answer."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from stbridge.core import decode
from stbridge.core import observations as seen
from stbridge.core.model import (
    Completion,
    Connection,
    DeviceConfig,
    FailedItem,
    FolderConfig,
    FolderCounts,
    FolderStatistics,
    PendingDevice,
    PendingFolder,
)
from stbridge.core.times import in_utc
from tests.core.recorded import VERSIONS, is_before, recorded, recorded_id

every_version = pytest.mark.parametrize("version", VERSIONS)

YEAR_1 = "0001-01-01T00:00:00Z"
A_TIME = "2024-05-01T12:00:00Z"
NO_COUNTS = {
    **dict.fromkeys(("globalBytes", "globalFiles", "localBytes", "localFiles", "errors"), 0),
    **dict.fromkeys(("needBytes", "needFiles", "needDirectories", "needSymlinks", "needDeletes"), 0),
}


def folder_document(**changes: Any) -> dict[str, Any]:
    """Return the status of an idle, empty folder, changed."""
    return {"state": "idle", "stateChanged": A_TIME, **NO_COUNTS, **changes}


# --- times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01T12:00:00Z", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("2024-05-01T14:00:00+02:00", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("2024-05-01T14:00:00.123456789+02:00", datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2024-05-01T12:00:00.5Z", datetime(2024, 5, 1, 12, 0, 0, 500000, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_any_zone_and_precision(text: str, expected: datetime) -> None:
    """Syncthing's own zone, and up to nine digits of a second, become UTC with microseconds."""
    stamp = decode.time(text)
    assert stamp == expected
    assert stamp.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        YEAR_1,
        "0001-01-01T00:53:28+00:53",
        "1970-01-01T00:00:00Z",
        "1970-01-01T01:00:00+01:00",
        "1969-12-31T19:00:00-05:00",
    ],
)
def test_never_is_no_time(text: str | None) -> None:
    """Syncthing says never with the year 1 or with 1970, in its own zone; conversion to UTC would overflow there."""
    assert decode.time(text) is None


# --- the process


@every_version
def test_the_version_is_read(version: str) -> None:
    """Distributions add something to the version, which is kept."""
    observation = decode.version(recorded(version, "system_version"))
    assert observation.version.split("-")[0] == f"v{version}"
    assert (observation.os, observation.arch) == ("linux", "amd64")


@every_version
def test_the_process_is_read(version: str) -> None:
    """Discovery was off when this was recorded, so nothing is known of it."""
    raw = recorded(version, "system_status")
    observation = decode.status(raw)
    assert in_utc(observation.started_at) == raw["startTime"]
    assert observation == seen.StatusRead(
        device_id=recorded_id(version, "alpha"),
        started_at=observation.started_at,
        uptime_s=raw["uptime"],
        memory_bytes=raw["alloc"],
        goroutines=raw["goroutines"],
        listeners_ok=True,
        discovery_ok=None,
    )


WELL = {"error": None}
ILL = {"error": "no route to host"}


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ({"tcp://0.0.0.0:22000": WELL}, True),
        ({"IPv4 local": WELL, "IPv6 local": ILL}, True),
        ({"IPv4 local": ILL, "IPv6 local": ILL}, False),
        ({"global": {}}, True),
        ({"global": {"error": ""}}, True),
    ],
)
def test_one_way_that_works_is_enough(services: dict[str, Any], expected: bool) -> None:
    """Listeners and discovery are well while one of them is, because IPv6 commonly fails on IPv4 networks."""
    raw = recorded(VERSIONS[0], "system_status")
    observation = decode.status({**raw, "connectionServiceStatus": services, "discoveryStatus": services})
    assert (observation.listeners_ok, observation.discovery_ok) == (expected, expected)


@pytest.mark.parametrize("discovery", [{}, {"discoveryStatus": None}, {"discoveryStatus": {}}])
def test_discovery_that_is_off_is_not_ill(discovery: dict[str, Any]) -> None:
    """Without any discovery nothing can be wrong with it."""
    raw = recorded(VERSIONS[0], "system_status")
    assert decode.status({**raw, **discovery}).discovery_ok is None


# --- the configuration


@every_version
def test_the_configuration_is_read(version: str) -> None:
    """This machine gives its name and is not among the remote devices, nor among those that share a folder."""
    beta = recorded_id(version, "beta")
    config = decode.config(recorded(version, "config"), recorded_id(version, "alpha")).config
    folders = {"docs": ("Documents", "sendreceive"), "inbox": ("Inbox", "receiveonly"), "lost": ("Lost", "sendreceive")}
    assert config.name == "alpha"
    assert config.devices == {beta: DeviceConfig(id=beta, name="beta", paused=False)}
    assert config.folders == {
        folder: FolderConfig(
            id=folder,
            label=label,
            path=f"/data/{folder}",
            type=kind,
            paused=False,
            devices=(beta,) if folder == "docs" else (),
        )
        for folder, (label, kind) in folders.items()
    }


def test_a_configuration_may_lack_names_and_lists() -> None:
    """Null lists are empty; without a name or a label these are empty, not null."""
    empty = decode.config({"devices": None, "folders": None}, "OWN").config
    assert (empty.name, empty.folders, empty.devices) == ("", {}, {})
    bare = {"id": "docs", "path": "/docs", "type": "sendonly", "paused": True, "devices": None}
    raw = {"devices": [{"deviceID": "BETA", "paused": True}], "folders": [bare]}
    config = decode.config(raw, "OWN").config
    assert config.devices == {"BETA": DeviceConfig(id="BETA", name="", paused=True)}
    assert config.folders["docs"] == FolderConfig(
        id="docs", label="", path="/docs", type="sendonly", paused=True, devices=()
    )


@every_version
def test_a_restart_that_is_not_required_is_read(version: str) -> None:
    """Nothing that was recorded needs a restart."""
    raw = recorded(version, "restart_required")
    assert decode.restart_required(raw) == seen.RestartRequiredRead(restart_required=False)
    assert decode.restart_required({"requiresRestart": True}).restart_required


# --- folders


@every_version
def test_an_idle_folder_is_read(version: str) -> None:
    """One file in one directory, which itself counts 128 bytes up to 1.x."""
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
    )


@every_version
def test_nothing_is_known_of_a_paused_folder(version: str) -> None:
    """A paused folder reports zeros and no state; these zeros are no counts."""
    assert decode.folder_status("docs", recorded(version, "db_status_paused")) == seen.FolderRead(
        folder="docs", state=None, state_changed_at=None, error=None, watch_error=None, counts=None
    )


@every_version
def test_additions_to_a_receive_only_folder_are_local_changes(version: str) -> None:
    """One file was added to it that is not from elsewhere."""
    counts = decode.folder_status("inbox", recorded(version, "db_status_receiveonly")).counts
    assert counts is not None
    assert (counts.local_changes, counts.local_files, counts.global_files, counts.need_items) == (1, 1, 0, 0)


def test_needed_items_are_added_up_without_deletions() -> None:
    """The total that Syncthing gives counts what is to be deleted too."""
    raw = folder_document(
        needFiles=3, needDirectories=2, needSymlinks=1, needDeletes=7, needTotalItems=13, needBytes=99, errors=4
    )
    counts = decode.folder_status("docs", raw).counts
    assert counts is not None
    assert (counts.need_items, counts.need_deletes, counts.need_bytes, counts.failed) == (6, 7, 99, 4)


def test_every_kind_of_local_change_counts() -> None:
    """Files, directories, symlinks and deletions are all changes."""
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
    """The keys are absent up to 1.19 and empty later."""
    observation = decode.folder_status("docs", folder_document(**none))
    assert (observation.error, observation.watch_error) == (None, None)


def test_the_errors_of_a_folder_are_kept() -> None:
    """What is wrong with a folder, and with watching it, is told apart."""
    observation = decode.folder_status("docs", folder_document(state="error", error="gone", watchError="too many"))
    assert (observation.state, observation.error, observation.watch_error) == ("error", "gone", "too many")


@every_version
def test_failed_items_are_read(version: str) -> None:
    """One directory could not be deleted."""
    observation = decode.folder_errors(recorded(version, "folder_errors"))
    (item,) = observation.items
    assert (observation.folder, item.path) == ("docs", "reports")
    assert "delete dir: directory has been deleted on a remote device" in item.error


@pytest.mark.parametrize(
    ("errors", "expected"),
    [(None, ()), ([], ()), ([{"path": "a", "error": "b"}], (FailedItem(path="a", error="b"),))],
)
def test_no_failed_items_may_be_null(errors: Any, expected: tuple[FailedItem, ...]) -> None:
    """The list is null when it is empty."""
    assert decode.folder_errors({"folder": "docs", "errors": errors}).items == expected


@every_version
def test_folder_statistics_are_read(version: str) -> None:
    """The last file of docs was a deletion; nothing was ever changed in inbox."""
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
    """Never is the year 1 here."""
    never = {"lastScan": YEAR_1, "lastFile": {"at": YEAR_1, "filename": "", "deleted": False}}
    assert decode.folder_statistics({"docs": never}).statistics == {"docs": FolderStatistics()}


# --- remote devices


@every_version
def test_a_completion_is_read(version: str) -> None:
    """What the other side does with the folder is told since 1.20."""
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
    )


@pytest.mark.parametrize(
    ("completion", "expected"),
    [(0, 0.0), (95, 95.0), (99.99999999, 99.99), (12.3456, 12.34), (100, 100.0)],
)
def test_a_completion_is_never_rounded_up(completion: float, expected: float) -> None:
    """What is nearly complete is not shown as complete."""
    raw = {"completion": completion, "needBytes": 1, "needItems": 2, "needDeletes": 3, "globalBytes": 4}
    observation = decode.completion("BETA", "docs", raw)
    assert observation.completion == Completion(
        completion=expected, need_bytes=1, need_items=2, need_deletes=3, global_bytes=4, remote_state=None
    )


@every_version
def test_connections_are_read(version: str) -> None:
    """This machine, which is in the list up to 1.24, is left out; of several connections the first one is described."""
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


def test_a_device_that_is_not_connected_has_nothing_else() -> None:
    """The empty strings and zeros of a missing connection are not passed on."""
    no_words = dict.fromkeys(("address", "type", "crypto", "clientVersion"), "")
    away = {"connected": False, "at": YEAR_1, "inBytesTotal": 0, "outBytesTotal": 0, "isLocal": False, **no_words}
    raw = {"total": {"at": A_TIME, "inBytesTotal": 1, "outBytesTotal": 2}, "connections": {"BETA": away, "OWN": away}}
    assert decode.connections(raw, "OWN").connections == {"BETA": Connection(connected=False)}


def test_connections_without_a_time_are_refused() -> None:
    """No rate can be told from counters of no time."""
    raw = {"total": {"at": YEAR_1, "inBytesTotal": 1, "outBytesTotal": 2}, "connections": {}}
    with pytest.raises(ValueError, match="without a time"):
        decode.connections(raw, "OWN")


@every_version
def test_device_statistics_are_read(version: str) -> None:
    """This machine itself was never seen, which is 1970."""
    raw = recorded(version, "stats_device")
    alpha, beta = recorded_id(version, "alpha"), recorded_id(version, "beta")
    last_seen_at = decode.device_statistics(raw).last_seen_at
    assert raw[alpha]["lastSeen"] == "1970-01-01T00:00:00Z"
    assert last_seen_at[alpha] is None
    assert in_utc(last_seen_at[beta]) == raw[beta]["lastSeen"]


# --- lists of the instance


@every_version
def test_the_error_list_is_read(version: str) -> None:
    """The latest entry is last, whatever type its level has; 2.x wraps the text of those that came over REST."""
    raw = recorded(version, "system_error")
    items = decode.errors(raw).items
    assert [item.message for item in items] == [entry["message"] for entry in raw["errors"]]
    assert "made up by the recording" in items[-1].message
    when = items[-1].when
    assert when is not None
    assert when.isoformat() == raw["errors"][-1]["when"][:26] + "+00:00"


@every_version
def test_the_error_list_of_a_young_process_is_read(version: str) -> None:
    """1.x complains of the user that it runs as; 2.x has no errors then, which is null."""
    items = decode.errors(recorded(version, "system_error_empty")).items
    assert len(items) == (1 if is_before(version, "2.0") else 0)
    assert all("privileged" in item.message for item in items)


@every_version
def test_pending_devices_are_read(version: str) -> None:
    """A device waits to be accepted, with its own name and address."""
    raw, beta = recorded(version, "pending_devices"), recorded_id(version, "beta")
    (device,) = decode.pending_devices(raw).devices
    assert in_utc(device.time) == raw[beta]["time"]
    assert device == PendingDevice(id=beta, name="beta", address=raw[beta]["address"], time=device.time)


@every_version
def test_pending_folders_are_read(version: str) -> None:
    """A device offers a folder that has no label there."""
    raw, beta = recorded(version, "pending_folders"), recorded_id(version, "beta")
    (folder,) = decode.pending_folders(raw).folders
    assert in_utc(folder.time) == raw["docs"]["offeredBy"][beta]["time"]
    assert folder == PendingFolder(id="docs", label="", device=beta, time=folder.time)


def test_a_folder_may_be_offered_by_several_or_none() -> None:
    """Each offer is one entry, in a fixed order; without offers there is none, which may be null."""
    offer = {"label": "Documents", "time": A_TIME}
    raw = {"docs": {"offeredBy": {"GAMMA": offer, "BETA": offer}}, "art": {"offeredBy": None}}
    folders = decode.pending_folders(raw).folders
    assert [(folder.id, folder.device) for folder in folders] == [("docs", "BETA"), ("docs", "GAMMA")]


# --- what is no answer of Syncthing


@pytest.mark.parametrize(
    "read",
    [
        decode.version,
        decode.status,
        lambda raw: decode.config(raw, "OWN"),
        decode.restart_required,
        lambda raw: decode.folder_status("docs", raw),
        decode.folder_errors,
        lambda raw: decode.completion("BETA", "docs", raw),
        lambda raw: decode.connections(raw, "OWN"),
        decode.device_statistics,
        decode.folder_statistics,
        decode.errors,
        decode.pending_devices,
        decode.pending_folders,
    ],
)
@pytest.mark.parametrize("rubbish", [None, [1], "<html>", {"message": "not found"}])
def test_rubbish_is_told_by_one_of_the_errors_that_are_promised(read: Callable[[Any], Any], rubbish: Any) -> None:
    """Whatever else answers at the address of Syncthing ends in an error that the reader of it knows."""
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        read(rubbish)
