"""What State keeps of one folder, one device and one share, and what follows from it."""

from dataclasses import dataclass, field
from datetime import datetime

from stbridge.core.model import (
    Completion,
    Connection,
    DeviceConfig,
    FailedItem,
    FolderConfig,
    FolderCounts,
    FolderStatistics,
    percentage,
)
from stbridge.core.observations import Read
from stbridge.core.progress import Progress, SyncProgress
from stbridge.core.tally import DevicePart, FolderPart, SharePart, Tally
from stbridge.core.traffic import Rate

SYNCING = frozenset({"syncing", "sync-preparing", "sync-waiting"})
SCANNING = frozenset({"scanning", "scan-waiting"})
OFFERING = frozenset({"sendreceive", "sendonly"})
"""Types of folders whose local changes are meant for other devices."""
ERROR = "error"
PAUSED = "paused"
UNKNOWN = "unknown"

NOT_CONNECTED = Connection(connected=False)
_NOT_TAKING_PART = frozenset({"paused", "notSharing"})  # the other side's own choice: it is not behind


@dataclass(slots=True)
class FolderState:
    """A folder of this Syncthing."""

    config: FolderConfig
    state: str | None = None
    state_changed_at: datetime | None = None
    error: str | None = None
    watch_error: str | None = None
    read_errors: dict[Read, str] = field(default_factory=dict)
    """Reads about this folder that fail although the instance can be used, and why."""
    counts: FolderCounts | None = None
    sequence: int = 0
    """The sequence number of the last status that was read; it grows with every change, here or elsewhere."""
    failed: tuple[FailedItem, ...] = ()
    statistics: FolderStatistics = field(default_factory=FolderStatistics)
    scan_progress: Progress | None = None
    sync_progress: Progress | None = None
    sync: SyncProgress | None = None
    progress_at: datetime | None = None
    """When something moved last."""
    out_of_sync_since: datetime | None = None
    was_out_of_sync: bool = False
    """Whether something was lacking when that was known last: then the end of it is told."""
    changes: int = 0
    """How often something was changed on this machine."""
    reported_failed: frozenset[str] = frozenset()
    """Failed items that were told; Syncthing empties its list while it tries them again."""
    conflicts: dict[str, None] = field(default_factory=dict)
    conflicts_complete: bool = False
    """Whether `conflicts` are all that there are."""
    inventory_due: bool = True
    """Whether it has yet to be searched for conflict files."""
    last_peer_contact_at: datetime | None = None
    """A time at which a device that shares it was connected; not always the last one, because it is looked up only when
    it is longer ago than the threshold of `stale`."""
    settled: bool = True
    """False from the beginning of a sync until the counts after it: a short one is never seen in the counts."""

    @property
    def shown_state(self) -> str:
        """The state in Syncthing's words, and `paused`, which Syncthing tells elsewhere."""
        return PAUSED if self.config.paused else self.state or UNKNOWN

    @property
    def known(self) -> FolderCounts | None:
        """What it holds and lacks; nothing is known of it while it is paused."""
        return None if self.config.paused else self.counts

    @property
    def in_sync(self) -> bool | None:
        """Whether this machine has everything; not while it syncs, and a folder in error cannot be trusted to."""
        if self.known is None:
            return None
        return self.known.complete and self.settled and self.state != ERROR

    @property
    def completion(self) -> float | None:
        """How much of it this machine has."""
        if (known := self.known) is None:
            return None
        return percentage(need_bytes=known.need_bytes, global_bytes=known.global_bytes, complete=known.complete)

    def forget(self) -> None:
        """Forget what is only known while it runs."""
        self.state = self.state_changed_at = self.error = self.watch_error = self.counts = None
        self.scan_progress = self.sync_progress = self.sync = None
        self.progress_at = self.out_of_sync_since = None
        self.failed = ()
        self.settled = True

    def part(self) -> FolderPart:
        """Return what it adds to the instance."""
        conflicts = len(self.conflicts)
        if self.config.paused:
            return FolderPart(total=1, paused=1, conflicts=conflicts)
        kind = FolderPart(
            total=1,
            conflicts=conflicts,
            error=int(self.state == ERROR),
            syncing=int(self.state in SYNCING),
            scanning=int(self.state in SCANNING),
            unknown=int(self.counts is None),
        )
        if self.counts is None:
            return kind
        return kind._replace(
            out_of_sync=int(not self.in_sync),
            need_bytes=self.counts.need_bytes,
            need_items=self.counts.need_items,
            need_deletes=self.counts.need_deletes,
            global_bytes=self.counts.global_bytes,
        )


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """A change of a connection that is not told yet: when, whether only a reading showed it, and Syncthing's reason."""

    at: datetime
    late: bool = False
    error: str | None = None


@dataclass(slots=True)
class DeviceState:
    """A remote device, and the sum of what it shares."""

    config: DeviceConfig
    connection: Connection = NOT_CONNECTED
    last_seen_at: datetime | None = None
    away_since: datetime | None = None
    """When it was seen last, or became known to the bridge, or was resumed; None while it is connected."""
    out_of_sync_since: datetime | None = None
    was_out_of_sync: bool = False
    """Whether it lacked something when that was known last: then the end of it is told."""
    published_connected: bool = False
    """Whether it was connected, as told last by an event."""
    connection_quiet_at: datetime | None = None
    """When its connection will have come to rest."""
    connection_change: ConnectionChange | None = None
    in_rate: Rate = field(default_factory=Rate)
    out_rate: Rate = field(default_factory=Rate)
    folders: set[str] = field(default_factory=set)
    taken: dict[str, int] = field(default_factory=dict)
    """By folder, how many of the changes of this machine it is known to have got."""
    shares: Tally[SharePart] = field(default_factory=lambda: Tally(SharePart()))

    @property
    def in_sync(self) -> bool | None:
        """Whether it has everything that it shares; None if that is not known, or it shares nothing."""
        total = self.shares.total
        if total.out_of_sync:
            return False
        return True if total.counted and not total.unknown else None

    @property
    def completion(self) -> float | None:
        """How much it has of everything that it shares."""
        total = self.shares.total
        if total.unknown or not total.counted:
            return None
        return percentage(need_bytes=total.need_bytes, global_bytes=total.global_bytes, complete=not total.out_of_sync)

    def note_sync(self, now: datetime) -> None:
        """Keep the time since which it lacks something in step."""
        if self.in_sync is True or not self.shares.total.counted:
            self.out_of_sync_since = None
        elif self.in_sync is False and self.out_of_sync_since is None:
            self.out_of_sync_since = now

    def part(self) -> DevicePart:
        """Return what it adds to the instance; whether it is behind does not count while it is paused."""
        if self.config.paused:
            return DevicePart(total=1, paused=1)
        return DevicePart(
            total=1,
            connected=int(self.connection.connected),
            unknown=int(self.shares.total.unknown > 0),
            out_of_sync=int(self.shares.total.out_of_sync > 0),
        )


def share_part(folder: FolderState, device: DeviceState, completion: Completion | None) -> SharePart:
    """Return what a folder adds to a device that shares it; paused on either side, it is left out."""
    if folder.config.paused or device.config.paused:
        return SharePart()
    if completion is None:
        return SharePart(counted=1, unknown=1)
    if completion.remote_state in _NOT_TAKING_PART:
        return SharePart()
    return SharePart(
        counted=1,
        out_of_sync=int(not completion.complete),
        need_bytes=completion.need_bytes,
        need_items=completion.need_items,
        need_deletes=completion.need_deletes,
        global_bytes=completion.global_bytes,
    )
