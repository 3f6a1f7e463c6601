"""The state of one folder, one remote device and one share, and the values derived from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from stbridge.core.model import (
    Completion,
    Connection,
    DeviceConfig,
    DialError,
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
IDLE = "idle"
PAUSED = "paused"
UNKNOWN = "unknown"

INACTIVE_AFTER = timedelta(days=7)
"""How long ago a device was last seen before Syncthing's page shows it as inactive."""

LOCAL_CHANGES = {"receiveonly": "local_additions", "receiveencrypted": "unexpected_items"}
"""The status of an idle folder with local changes, by the type of the folder."""

NOT_CONNECTED = Connection(connected=False)
_NOT_TAKING_PART = frozenset({"paused", "notSharing"})  # the remote device chose this, so it is not out of sync


@dataclass(slots=True)
class FolderState:
    """The state of a folder of the instance."""

    config: FolderConfig
    state: str | None = None
    state_changed_at: datetime | None = None
    error: str | None = None
    watch_error: str | None = None
    read_errors: dict[Read, str] = field(default_factory=dict)
    """Reads of this folder that fail although the instance is online, with the reason."""
    counts: FolderCounts | None = None
    sequence: int = 0
    """The sequence number in the last status; it grows with every change on any device."""
    failed: tuple[FailedItem, ...] = ()
    statistics: FolderStatistics = field(default_factory=FolderStatistics)
    scan_progress: Progress | None = None
    sync_progress: Progress | None = None
    sync: SyncProgress | None = None
    progress_at: datetime | None = None
    """When it last made progress."""
    out_of_sync_since: datetime | None = None
    was_out_of_sync: bool = False
    """Whether it was out of sync when that was last known; if so, an event is emitted once it is in sync."""
    changes: int = 0
    """How many changes were made on this device."""
    reported_failed: frozenset[str] = frozenset()
    """Failed items that an event has reported; Syncthing clears its list while it retries them."""
    conflicts: dict[str, None] = field(default_factory=dict)
    conflicts_complete: bool = False
    """Whether `conflicts` contains all conflict files."""
    inventory_due: bool = True
    """Whether a search for conflict files is still to be done."""
    last_peer_contact_at: datetime | None = None
    """A time at which a device that shares it was connected. It may be outdated: the bridge updates it only if it is
    longer ago than the threshold of `stale`."""
    settled: bool = True
    """Whether the counts were read after the last sync; until then the folder counts as out of sync.

    Otherwise a short sync would remain unnoticed, because no counts are read while it runs.
    """
    sync_state: str = "syncing"
    """The last state of a sync; it stays the status of the folder until the counts after the sync are read."""

    @property
    def shown_state(self) -> str:
        """Syncthing's state of the folder, or `paused`, which Syncthing reports only in its configuration."""
        return PAUSED if self.config.paused else self.state or UNKNOWN

    @property
    def status(self) -> str:
        """The status of the folder on Syncthing's page (`folderStatus` in its syncthingController.js).

        The page shows `out_of_sync` for up to two seconds after a sync, until it has read the counts; this does not.
        """
        state = self.shown_state
        if state == ERROR:
            return "stopped"
        if state != IDLE:
            return state
        if self.counts is None:
            return UNKNOWN
        if not self.settled:
            return self.sync_state
        found = (
            ("out_of_sync", self.counts.need_total_items),
            ("failed_items", self.counts.failed),
            (LOCAL_CHANGES.get(self.config.type, ""), self.counts.local_changes and self.config.type in LOCAL_CHANGES),
            ("unshared", not self.config.devices),
        )
        return next((word for word, holds in found if holds), "up_to_date")

    def forget_read_errors(self, device: str) -> bool:
        """Forget failed reads of a device that no longer shares the folder; return whether there were any."""
        failed = [read for read in self.read_errors if read.device == device]
        for read in failed:
            del self.read_errors[read]
        return bool(failed)

    def follow_state(self, state: str | None) -> None:
        """Set Syncthing's state of the folder."""
        self.state = state
        if state in SYNCING:
            self.settled, self.sync_state = False, state
        if state not in SCANNING:
            self.scan_progress = None

    @property
    def known(self) -> FolderCounts | None:
        """The counts; None while they are unknown and while the folder is paused."""
        return None if self.config.paused else self.counts

    @property
    def in_sync(self) -> bool | None:
        """Whether the folder is complete on this device; False while it syncs or is in error."""
        if self.known is None:
            return None
        return self.known.complete and self.settled and self.state != ERROR

    @property
    def completion(self) -> float | None:
        """The completion of the folder on this device in percent."""
        if (known := self.known) is None:
            return None
        return percentage(need_bytes=known.need_bytes, global_bytes=known.global_bytes, complete=known.complete)

    def forget(self) -> None:
        """Forget the values that are known only while the folder is running."""
        self.state = self.state_changed_at = self.error = self.watch_error = self.counts = None
        self.scan_progress = self.sync_progress = self.sync = None
        self.progress_at = self.out_of_sync_since = None
        self.failed = ()
        self.settled = True

    def part(self) -> FolderPart:
        """Return the numbers that it adds to the sums of the instance."""
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
    """A change of a connection without an event yet: when, whether only a read has shown it, and Syncthing's reason."""

    at: datetime
    late: bool = False
    error: str | None = None


@dataclass(slots=True)
class DeviceState:
    """The state of a remote device, and the sums over the folders that it shares."""

    config: DeviceConfig
    connection: Connection = NOT_CONNECTED
    last_seen_at: datetime | None = None
    away_since: datetime | None = None
    """When it was last seen, became known to the bridge, or was resumed; None while it is connected."""
    out_of_sync_since: datetime | None = None
    was_out_of_sync: bool = False
    """Whether it was out of sync when that was last known; if so, an event is emitted once it is in sync."""
    inactive: bool = False
    """Whether it is disconnected and was not seen for `INACTIVE_AFTER`, or never, when that was last evaluated."""
    published_connected: bool = False
    """Whether it was connected according to the last event."""
    connection_quiet_at: datetime | None = None
    """When its connection counts as stable."""
    connection_change: ConnectionChange | None = None
    in_rate: Rate = field(default_factory=Rate)
    out_rate: Rate = field(default_factory=Rate)
    reached_at: str = ""
    """The address of the last connection that this instance opened, in the form in which Syncthing lists it."""
    folders: set[str] = field(default_factory=set)
    taken: dict[str, int] = field(default_factory=dict)
    """By folder, how many of this device's changes the remote device is known to have received."""
    shares: Tally[SharePart] = field(default_factory=lambda: Tally(SharePart()))

    @property
    def seen(self) -> bool:
        """Whether it has ever been connected. Until then, Syncthing's numbers about it mean nothing."""
        return self.connection.connected or self.last_seen_at is not None

    @property
    def status(self) -> str:
        """The status of the device on Syncthing's page (`deviceStatus` in its syncthingController.js)."""
        if self.config.paused:
            return PAUSED
        if not self.folders:
            return "unused"
        if not self.connection.connected:
            return "disconnected_inactive" if self.inactive else "disconnected"
        if self.shares.total.unknown:
            return UNKNOWN
        return "syncing" if self.shares.total.incomplete else "up_to_date"

    @property
    def inactive_at(self) -> datetime | None:
        """When it becomes inactive; None if it is connected or was never seen."""
        if self.connection.connected or self.last_seen_at is None:
            return None
        return self.last_seen_at + INACTIVE_AFTER

    def note_inactive(self, now: datetime) -> bool:
        """Update whether it is inactive, and return whether that changed."""
        before, at = self.inactive, self.inactive_at
        self.inactive = not self.seen or (at is not None and at <= now)
        return self.inactive != before

    def note_connection(self, connection: Connection) -> None:
        """Set its connection, and remember the address if this instance opened it."""
        self.connection = connection
        protocol, _, side = (connection.connection_type or "").rpartition("-")
        if side == "client" and connection.address:
            self.reached_at = f"{protocol}://{connection.address}"

    def connection_error(self, dial_errors: Mapping[str, DialError]) -> str | None:
        """Return why the last attempt to connect failed; None if there is no error, or if it is not known.

        Syncthing lists attempts by address, not by device. Which addresses discovery has found is not known here,
        except the last one that could be reached.

        Args:
            dial_errors: the failed attempts of the instance, by address.
        """
        if self.connection.connected or self.config.paused:
            return None
        found = (dial_errors[one] for one in (*self.config.addresses, self.reached_at) if one in dial_errors)
        since = self.last_seen_at and self.last_seen_at.replace(microsecond=0)  # as precise as Syncthing's list
        recent = (one for one in found if since is None or one.at >= since)
        latest = max(recent, key=lambda one: one.at, default=None)
        return None if latest is None else latest.error

    @property
    def in_sync(self) -> bool | None:
        """Whether all its shared folders are in sync; None if that is unknown, or if it shares no folder."""
        total = self.shares.total
        if total.out_of_sync:
            return False
        return True if total.counted and not total.unknown else None

    @property
    def completion(self) -> float | None:
        """The completion of all its shared folders in percent."""
        total = self.shares.total
        if total.unknown or not total.counted:
            return None
        return percentage(need_bytes=total.need_bytes, global_bytes=total.global_bytes, complete=not total.out_of_sync)

    def note_sync(self, now: datetime) -> None:
        """Update the time since when it has been out of sync."""
        if self.in_sync is True or not self.shares.total.counted:
            self.out_of_sync_since = None
        elif self.in_sync is False and self.out_of_sync_since is None:
            self.out_of_sync_since = now

    def part(self) -> DevicePart:
        """Return the numbers that it adds to the sums of the instance; a paused device is never out of sync."""
        if self.config.paused:
            return DevicePart(total=1, paused=1)
        return DevicePart(
            total=1,
            connected=int(self.connection.connected),
            unknown=int(self.shares.total.unknown > 0),
            out_of_sync=int(self.shares.total.out_of_sync > 0),
        )


def share_part(folder: FolderState, device: DeviceState, completion: Completion | None) -> SharePart:
    """Return the numbers that a folder adds to the sums of a device; a folder that is paused here adds nothing."""
    if folder.config.paused or device.config.paused:
        return SharePart()
    if completion is None or not device.seen:
        return SharePart(counted=1, unknown=1)
    listed = SharePart(known=1, incomplete=int(not completion.complete), need_total_items=completion.need_total_items)
    if completion.remote_state in _NOT_TAKING_PART:
        return listed
    return listed._replace(
        counted=1,
        out_of_sync=int(not completion.complete),
        need_bytes=completion.need_bytes,
        need_items=completion.need_items,
        need_deletes=completion.need_deletes,
        global_bytes=completion.global_bytes,
    )
