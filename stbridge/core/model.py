"""Immutable values that describe one Syncthing instance: its configuration, counts, connections and pending requests.

Units: bytes, seconds, percent from 0 to 100; times have a time zone, UTC. None means unknown.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

SHORT_ID_LENGTH = 7


def short_id(device: str) -> str:
    """Return the first group of a device's ID, as Syncthing shows it; two devices may have the same."""
    return device[:SHORT_ID_LENGTH]


def first_groups(device: str) -> tuple[str, ...]:
    """Return all prefixes of a device ID that end with a complete group: the first group, the first two, and so on."""
    return tuple(device[:length] for length in range(SHORT_ID_LENGTH, len(device), SHORT_ID_LENGTH + 1))


def short_ids(devices: Iterable[str]) -> dict[str, str]:
    """Return the short ID of each device: the fewest groups of its ID that make it unique.

    Short IDs depend only on the devices, so they stay the same after a restart of the bridge.

    Args:
        devices: the full IDs of all configured devices.
    """
    found: dict[str, str] = {}
    remaining, length = dict.fromkeys(devices), SHORT_ID_LENGTH
    while remaining:
        sharing = Counter(device[:length] for device in remaining)
        for device in list(remaining):
            if sharing[device[:length]] == 1 or len(device) <= length:
                found[device] = device[:length]
                del remaining[device]
        length += SHORT_ID_LENGTH + 1  # 1 for the dash between groups
    return found


_ID_LENGTH = 56
_ID_SPELLING = str.maketrans("018", "OIB", "- =")


def normalized_device_id(text: str) -> str:
    """Normalize the spelling of a device ID or short ID, as Syncthing does (lib/protocol/deviceid.go).

    Case, dashes and spaces are ignored, and so are check digits (the last of each 14 characters). The digits 0, 1 and
    8, which no ID contains, stand for the letters that look like them.
    """
    plain = text.upper().translate(_ID_SPELLING)
    if len(plain) != _ID_LENGTH:
        return plain
    return "".join(plain[at : at + 13] for at in range(0, _ID_LENGTH, 14))


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderConfig:
    """The configuration of a folder.

    `devices` are the IDs of the remote devices that it is shared with. `versioning` is empty if it keeps no old
    versions of files.
    """

    id: str
    label: str
    path: str
    type: str
    paused: bool
    devices: tuple[str, ...]
    versioning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """The configuration of a remote device.

    `addresses` are those that the user has entered; `dynamic`, the default, stands for discovery and is not among them.
    """

    id: str
    name: str
    paused: bool
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of an instance; `devices` are the remote devices, without the instance's own device.

    The limits are KiB per second; 0 means unlimited.
    """

    name: str
    folders: Mapping[str, FolderConfig]
    devices: Mapping[str, DeviceConfig]
    gui_user: str = ""
    max_send_kbps: int | None = None
    max_recv_kbps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderCounts:
    """The counts of a folder on this device; items are files, directories and symlinks."""

    global_bytes: int
    global_files: int
    local_bytes: int
    local_files: int
    need_bytes: int
    need_items: int
    need_deletes: int
    failed: int
    local_changes: int

    @property
    def need_total_items(self) -> int:
        """The needed items including deletions, as Syncthing's page counts them."""
        return self.need_items + self.need_deletes

    @property
    def complete(self) -> bool:
        """Whether nothing is needed."""
        return not (self.need_bytes or self.need_items or self.need_deletes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """How complete a folder is on a remote device, as far as this device knows."""

    completion: float
    need_bytes: int
    need_items: int
    need_deletes: int
    global_bytes: int
    remote_state: str | None

    @property
    def need_total_items(self) -> int:
        """The needed items including deletions, as Syncthing's page counts them."""
        return self.need_items + self.need_deletes

    @property
    def complete(self) -> bool:
        """Whether nothing is needed; Syncthing may report 100 percent while empty files are still needed."""
        return not (self.need_bytes or self.need_items or self.need_deletes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The connection to a remote device; the byte counters start from zero with each connection."""

    connected: bool
    address: str | None = None
    connection_type: str | None = None
    is_local: bool | None = None
    crypto: str | None = None
    client_version: str | None = None
    in_bytes: int = 0
    out_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DialError:
    """Why the last attempt to connect to an address failed, and when."""

    at: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStatistics:
    """When a folder was last scanned, and the last change in it."""

    last_scan_at: datetime | None = None
    last_file: str | None = None
    last_file_at: datetime | None = None
    last_file_deleted: bool | None = None

    def completed_by(self, known: "FolderStatistics") -> "FolderStatistics":
        """Return these statistics, with missing values replaced by those known before.

        Syncthing 2.x does not migrate statistics from the database of 1.x.
        """
        file = self if self.last_file_at else known
        return replace(file, last_scan_at=self.last_scan_at or known.last_scan_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedItem:
    """An item that could not be synced or scanned."""

    path: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedError:
    """An entry of Syncthing's own error list."""

    when: datetime | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingDevice:
    """A device that asks to connect."""

    id: str
    name: str
    address: str
    time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingFolder:
    """A folder that a device offers."""

    id: str
    label: str
    device: str
    time: datetime | None


ONLY_DELETES_LEFT = 95.0  # as in Syncthing, so that 100 is shown only if no deletions are left (lib/model/model.go)


def percentage(*, need_bytes: int, global_bytes: int, complete: bool) -> float:
    """Return the completion in percent, as Syncthing computes it; 100 means that nothing is needed.

    Args:
        need_bytes: the needed bytes.
        global_bytes: the total bytes.
        complete: whether nothing is needed, empty files and deletions included.
    """
    if complete:
        return 100.0
    if need_bytes <= 0 or global_bytes <= 0:
        return ONLY_DELETES_LEFT
    # integer division: with floats, a very large total that needs one more byte would be rounded up to 100
    return 10_000 * max(global_bytes - need_bytes, 0) // global_bytes / 100


def floored(value: float) -> float:
    """Truncate a percentage to two decimals, so that 99.9998 is not shown as complete."""
    return min(int(value * 100), 9_999) / 100 if value < 100 else 100.0  # noqa: PLR2004 - percent
