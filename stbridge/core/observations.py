"""The observations of a Syncthing instance: every kind of fact that changes its State, from an event or a read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from stbridge.core.model import (
    Completion,
    Config,
    Connection,
    DialError,
    FailedItem,
    FolderCounts,
    FolderStatistics,
    LoggedError,
    PendingDevice,
    PendingFolder,
)
from stbridge.core.timed_pauses import Paused
from stbridge.core.topics import Address


class Read(NamedTuple):
    """Something to read over REST, for example because an event reported that it has changed.

    `what` is a row of the table of reads; `folder` and `device` are IDs and `path` is a path in the folder, if the row
    needs them.
    """

    what: str
    folder: str = ""
    device: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A fact about one Syncthing instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable(Observation):
    """The instance cannot be used; `status` is the reason in the `connection` topic."""

    status: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspected(Observation):
    """Another thread could not reach the instance, so the follower checks whether it is still reachable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Observation):
    """The instance can be used, and no event was missed since it was last used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSet(Observation):
    """The wall clock of the bridge was set by this much, by NTP or by a user; negative is back."""

    by: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotStarted(Observation):
    """A read of everything has started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotComplete(Observation):
    """A read of everything has finished, so the State is complete and current again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFinished(Observation):
    """A read has finished; `error` is why it failed although the instance can be used, None if it succeeded."""

    read: Read
    error: str | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored(Observation):
    """The payloads that the previous run of the bridge published, by address; None if it is not a JSON object."""

    payloads: Mapping[Address, Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRead(Observation):
    """The version of Syncthing."""

    version: str
    os: str
    arch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRead(Observation):
    """The status of the process of Syncthing."""

    device_id: str
    started_at: datetime | None
    uptime_s: int
    memory_bytes: int
    goroutines: int
    listeners_ok: bool | None
    discovery_ok: bool | None
    dial_errors: Mapping[str, DialError] = field(default_factory=dict)
    """The addresses to which the last attempt to connect failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRead(Observation):
    """The configuration of the instance, as the response to a request."""

    config: Config


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSaved(Observation):
    """The configuration in an event, which may be older than the last command."""

    config: Config


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequiredRead(Observation):
    """Whether a configuration change requires a restart."""

    restart_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRead(Observation):
    """A folder's state and counts; `counts` is None while the folder is not running.

    `sequence` grows with every change of the folder, here or on another device.
    """

    folder: str
    state: str | None
    state_changed_at: datetime | None
    error: str | None
    watch_error: str | None
    counts: FolderCounts | None
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStateChanged(Observation):
    """The state of a folder changed."""

    folder: str
    state: str
    at: datetime
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchErrorChanged(Observation):
    """The error of a folder's filesystem watcher appeared, changed or disappeared."""

    folder: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderErrorsRead(Observation):
    """The items of a folder that failed."""

    folder: str
    items: tuple[FailedItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanProgressed(Observation):
    """A scan has hashed `current` of `total` bytes, at `rate` bytes per second if Syncthing knows that yet."""

    folder: str
    current: int
    total: int
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalIndexChanged(Observation):
    """Items of a folder changed on this device; a read shows whether each of the conflict files among them exists."""

    folder: str
    conflicts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictRead(Observation):
    """Whether a conflict file exists."""

    folder: str
    path: str
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictsRead(Observation):
    """All conflict files of a folder; None if they could not be read."""

    folder: str
    paths: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteIndexChanged(Observation):
    """A device sent changes of its index of a folder; `sequence` is the number of the last one."""

    device: str
    folder: str
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRead(Observation):
    """How complete a folder is on a device; `sequence` is that of the device's index from which it was computed."""

    device: str
    folder: str
    completion: Completion
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCompletionRead(Observation):
    """Whether every folder that is not paused is complete on a device; None if Syncthing did not answer in time."""

    device: str
    complete: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsRead(Observation):
    """All connections, and the bytes transferred since Syncthing started."""

    at: datetime
    in_bytes: int
    out_bytes: int
    connections: Mapping[str, Connection]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConnected(Observation):
    """A device connected."""

    device: str
    at: datetime
    connection: Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDisconnected(Observation):
    """The last connection of a device was closed."""

    device: str
    at: datetime
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPaused(Observation):
    """A folder was paused or resumed."""

    folder: str
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePaused(Observation):
    """A device was paused or resumed."""

    device: str
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseTimed(Observation):
    """A command paused or resumed a folder or a device; the bridge resumes it at `until`, or not if that is None."""

    paused: Paused
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatisticsRead(Observation):
    """When each device was last seen; None means never."""

    last_seen_at: Mapping[str, datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStatisticsRead(Observation):
    """When each folder was last scanned, and the last change in it."""

    statistics: Mapping[str, FolderStatistics]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsRead(Observation):
    """Syncthing's own error list."""

    items: tuple[LoggedError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeRead(Observation):
    """The latest version; None if the instance cannot upgrade itself."""

    latest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrading(Observation):
    """A request to Syncthing to upgrade itself and restart is in progress, or has failed."""

    in_progress: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingDevicesRead(Observation):
    """The pending devices."""

    devices: tuple[PendingDevice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingFoldersRead(Observation):
    """The pending folders."""

    folders: tuple[PendingFolder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale(Observation):
    """An event reported a change without the new values, so they must be read."""

    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFailed(Observation):
    """A login to Syncthing's GUI failed."""

    at: datetime
    username: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent(Observation):
    """An event of Syncthing as received, if `events.raw` contains its type."""

    type: str
    event: Mapping[str, Any]
