"""What can be seen of a Syncthing: every kind of fact that reaches its State, from an event or a read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from stbridge.core.model import (
    Completion,
    Config,
    Connection,
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
    """Something to be read over REST soon, because an event told that it has changed.

    `what` is a row of the table of reads; `folder` and `device` are IDs, `path` one in the folder, where the row
    needs them.
    """

    what: str
    folder: str = ""
    device: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A fact about one Syncthing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable(Observation):
    """The instance cannot be used; `status` is the word for it in the `connection` topic."""

    status: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspected(Observation):
    """Another thread could not reach the instance, so the follower checks whether it is still there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Observation):
    """The instance can be used, and no event was missed since that was last known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSet(Observation):
    """The wall clock of the bridge was set by this much, by NTP or a person; negative is back."""

    by: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotStarted(Observation):
    """Everything is being read from here on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotComplete(Observation):
    """Everything has been read since the last time that an event may have been missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFinished(Observation):
    """A read has ended; `error` is why it failed although the instance can be used, None if it succeeded."""

    read: Read
    error: str | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored(Observation):
    """What the previous run of the bridge published: payloads by address, None for what is not a JSON object."""

    payloads: Mapping[Address, Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRead(Observation):
    """Which Syncthing this is."""

    version: str
    os: str
    arch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRead(Observation):
    """How the process is doing."""

    device_id: str
    started_at: datetime | None
    uptime_s: int
    memory_bytes: int
    goroutines: int
    listeners_ok: bool | None
    discovery_ok: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRead(Observation):
    """What is configured."""

    config: Config


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequiredRead(Observation):
    """Whether a change of the configuration waits for a restart."""

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
    """A folder went from one state to another."""

    folder: str
    state: str
    at: datetime
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchErrorChanged(Observation):
    """Watching a folder for changes began or ceased to fail."""

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
    """Items of a folder came, changed or went here; of conflict files among them, a reading tells which of that."""

    folder: str
    conflicts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictRead(Observation):
    """Whether a conflict file is there."""

    folder: str
    path: str
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictsRead(Observation):
    """All conflict files of a folder; None if they could not be read."""

    folder: str
    paths: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRead(Observation):
    """How far a device has a folder."""

    device: str
    folder: str
    completion: Completion


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsRead(Observation):
    """All connections, and the bytes that went through since Syncthing started."""

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
    """A device's last connection ended."""

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
    """Somebody paused a folder or a device; the bridge is to resume it at a time, or not (None)."""

    paused: Paused
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatisticsRead(Observation):
    """When each device was seen last; None is never."""

    last_seen_at: Mapping[str, datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStatisticsRead(Observation):
    """When each folder was scanned last, and what changed in it last."""

    statistics: Mapping[str, FolderStatistics]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsRead(Observation):
    """Syncthing's own error list."""

    items: tuple[LoggedError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeRead(Observation):
    """The latest version; None where this Syncthing cannot upgrade itself."""

    latest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrading(Observation):
    """Syncthing was asked to upgrade itself and restart, or has refused to."""

    in_progress: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingDevicesRead(Observation):
    """The devices that wait to be accepted."""

    devices: tuple[PendingDevice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingFoldersRead(Observation):
    """The folders that wait to be accepted."""

    folders: tuple[PendingFolder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale(Observation):
    """An event told that something changed, without telling what it is now: it has to be read."""

    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFailed(Observation):
    """Somebody tried to log in to Syncthing's GUI and failed."""

    at: datetime
    username: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent(Observation):
    """An event of Syncthing as it came, for those who asked for its type."""

    type: str
    event: Mapping[str, Any]
