"""Every event type that the bridge follows, as real Syncthing instances of several versions sent it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from stbridge.core import observations as seen
from stbridge.core.events import EVENT_TYPES, observe
from stbridge.core.model import Completion, Connection, FailedItem, FolderConfig, FolderCounts
from stbridge.core.observations import Observation, Read
from tests.core.recorded import VERSIONS, is_before, recorded, recorded_id

NO_MARKER = (
    "folder marker missing (this indicates potential data loss, "
    "search docs/forum to get information about how to proceed)"
)
NOT_DELETED = (
    "syncing: delete dir: directory has been deleted on a remote device but contains ignored files "
    "(see ignore documentation for (?d) prefix)"
)


@dataclass(frozen=True, slots=True)
class Example:
    """A recorded event with values that tests compare."""

    version: str
    event: Mapping[str, Any]

    @property
    def data(self) -> Any:
        """Return the data of the event."""
        return self.event["data"]

    @property
    def at(self) -> datetime:
        """Return the time of the event; the recording is in UTC, and Python keeps microseconds."""
        return datetime.fromisoformat(self.event["time"][:26]).replace(tzinfo=UTC)

    @property
    def beta(self) -> str:
        """Return the ID of the remote device."""
        return recorded_id(self.version, "beta")


@dataclass(frozen=True, slots=True)
class Row:
    """An event type, the data that selects its example, and the expected observation."""

    type: str
    expected: Callable[[Example], Observation | None]
    holding: Mapping[str, Any] = field(default_factory=dict)
    since: str = "1.19"

    def example(self, version: str) -> Example:
        """Find the recorded event."""
        (event,) = [
            event
            for event in recorded(version, "events")
            if event["type"] == self.type and self.holding.items() <= _plain(event["data"]).items()
        ]
        return Example(version, event)


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if not isinstance(value, (list, dict))}


def _docs_in(state: str) -> Callable[[Example], Observation]:
    return lambda example: seen.FolderStateChanged(folder="docs", state=state, at=example.at, error=None)


def _summary(example: Example) -> Observation:
    return seen.FolderRead(
        folder="docs",
        state="idle",
        state_changed_at=example.at.replace(microsecond=0),
        error=None,
        watch_error=None,
        counts=FolderCounts(
            global_bytes=0,
            global_files=0,
            local_bytes=128 if is_before(example.version, "2.0") else 0,
            local_files=0,
            need_bytes=0,
            need_items=0,
            need_deletes=1,
            failed=1,
            local_changes=0,
        ),
        sequence=example.data["summary"]["sequence"],
    )


def _errors(example: Example) -> Observation:
    newline = "\n" if is_before(example.version, "1.20") else ""
    return seen.FolderErrorsRead(folder="docs", items=(FailedItem(path="reports", error=NOT_DELETED + newline),))


def _completion(example: Example) -> Observation:
    return seen.CompletionRead(
        device=example.beta,
        folder="docs",
        completion=Completion(
            completion=100.0,
            need_bytes=0,
            need_items=0,
            need_deletes=0,
            global_bytes=0,
            remote_state=None if is_before(example.version, "1.20") else "valid",
        ),
        sequence=example.data["sequence"],
    )


def _connected(example: Example) -> Observation:
    return seen.DeviceConnected(
        device=example.beta,
        at=example.at,
        connection=Connection(
            connected=True,
            address=example.data["addr"],
            connection_type=example.data["type"],
            client_version=recorded(example.version, "system_version")["version"],
        ),
    )


def _login_failed(example: Example) -> Observation:
    address = example.data["remoteAddress"]
    assert address.startswith("127.0.0.1")
    return seen.LoginFailed(at=example.at, username="REDACTED", address=address)


ROWS = [
    *(
        Row("StateChanged", _docs_in(state), {"folder": "docs", "to": state})
        for state in ("scan-waiting", "scanning", "sync-waiting", "sync-preparing", "syncing", "idle")
    ),
    Row("StateChanged", _docs_in("starting"), {"to": "starting"}, since="2.0"),
    Row(
        "StateChanged",
        lambda e: seen.FolderStateChanged(folder="lost", state="error", at=e.at, error=NO_MARKER),
        {"to": "error"},
    ),
    Row("FolderSummary", _summary),
    Row("FolderErrors", _errors),
    Row("FolderCompletion", _completion),
    Row(
        "FolderScanProgress",
        lambda e: seen.ScanProgressed(folder=e.data["folder"], current=e.data["current"], total=e.data["total"]),
    ),
    Row("LocalIndexUpdated", lambda e: seen.LocalIndexChanged(folder=e.data["folder"], conflicts=())),
    Row(
        "RemoteIndexUpdated",
        lambda e: seen.RemoteIndexChanged(device=e.beta, folder="docs", sequence=e.data["sequence"]),
    ),
    Row(
        "FolderWatchStateChanged",
        lambda _: seen.WatchErrorChanged(folder="unwatched", error="watching is not supported"),
    ),
    Row("FolderPaused", lambda _: seen.FolderPaused(folder="docs", paused=True)),
    Row("FolderResumed", lambda _: seen.FolderPaused(folder="docs", paused=False)),
    Row("DeviceConnected", _connected),
    Row(
        "DeviceDisconnected",
        lambda e: seen.DeviceDisconnected(device=e.beta, at=e.at, error="device is paused"),
    ),
    Row("DevicePaused", lambda e: seen.DevicePaused(device=e.beta, paused=True)),
    Row("DeviceResumed", lambda e: seen.DevicePaused(device=e.beta, paused=False)),
    Row("ClusterConfigReceived", lambda _: seen.Stale(reads=(Read("connections"),)), since="1.20"),
    Row("LoginAttempt", _login_failed, {"success": False}),
    Row("LoginAttempt", lambda _: None, {"success": True}),
]

WHOLE_DOCUMENTS = {"ConfigSaved", "PendingDevicesChanged", "PendingFoldersChanged"}
"""Types that have their own tests."""


@pytest.mark.parametrize(
    ("version", "row"),
    [
        pytest.param(version, row, id=f"{version}-{row.type}-{'-'.join(map(str, row.holding.values()))}")
        for version in VERSIONS
        for row in ROWS
        if not is_before(version, row.since)
    ],
)
def test_an_event_becomes_one_observation(version: str, row: Row) -> None:
    """The observation contains everything relevant from the event; an irrelevant event gives None."""
    example = row.example(version)
    assert observe(example.event, recorded_id(version, "alpha")) == row.expected(example)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_saved_configuration_is_the_whole_configuration(version: str) -> None:
    """The event contains the same document as the configuration endpoint, so this device is left out."""
    alpha, beta = recorded_id(version, "alpha"), recorded_id(version, "beta")
    observation = observe(Row("ConfigSaved", lambda _: None).example(version).event, alpha)
    assert isinstance(observation, seen.ConfigSaved)
    assert observation.config.name == "alpha"
    (device,) = observation.config.devices.values()
    assert (device.id, device.name, device.paused, len(device.addresses)) == (beta, "beta", False, 1)
    assert observation.config.folders["docs"] == FolderConfig(
        id="docs", label="Documents", path="/data/docs", type="sendreceive", paused=False, devices=(beta,)
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("event_type", ["PendingDevicesChanged", "PendingFoldersChanged"])
def test_a_change_of_pending_devices_or_folders_causes_a_read(version: str, event_type: str) -> None:
    """Additions and removals have several shapes, so each of them only shows that both lists are stale."""
    examples = [event for event in recorded(version, "events") if event["type"] == event_type]
    assert {key for event in examples for key in event["data"]} == {"added", "removed"}
    for event in examples:
        assert observe(event, recorded_id(version, "alpha")) == seen.Stale(
            reads=(Read("pending_devices"), Read("pending_folders"))
        )


def test_every_type_of_the_mask_is_recorded_and_expected() -> None:
    """Each followed type has a real example and an expected result."""
    seen_types = {event["type"] for version in VERSIONS for event in recorded(version, "events")}
    assert set(EVENT_TYPES) <= seen_types
    assert set(EVENT_TYPES) == {row.type for row in ROWS} | WHOLE_DOCUMENTS


def test_no_type_is_in_the_mask_twice() -> None:
    """Syncthing keeps an event buffer for every mask it ever received, so the mask must never vary."""
    assert len(EVENT_TYPES) == len(set(EVENT_TYPES))


@pytest.mark.parametrize("event_type", ["Unknown", "DeviceDiscovered", "FolderCompletionOfTheFuture"])
def test_an_unknown_event_type_is_ignored(event_type: str) -> None:
    """Syncthing sometimes pads its answer with Unknown events, and later versions have new types."""
    assert observe({"id": 0, "type": event_type, "time": "0001-01-01T00:00:00Z", "data": None}, "OWN") is None


def test_an_event_without_a_time_is_refused() -> None:
    """Year 1 is not the time of a state change."""
    data = {"folder": "docs", "from": "idle", "to": "scanning"}
    with pytest.raises(ValueError, match="without a time"):
        observe({"id": 1, "type": "StateChanged", "time": "0001-01-01T00:00:00Z", "data": data}, "OWN")


@pytest.mark.parametrize("data", [{}, {"to": ""}, {"to": None}])
def test_a_filesystem_watcher_that_works_again_has_no_error(data: dict[str, Any]) -> None:
    """The key is missing or empty when the error is over."""
    event = {"id": 1, "type": "FolderWatchStateChanged", "time": "2024-05-01T12:00:00Z"}
    assert observe({**event, "data": {"folder": "docs", **data}}, "OWN") == seen.WatchErrorChanged(
        folder="docs", error=None
    )
