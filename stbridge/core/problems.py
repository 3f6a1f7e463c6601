"""The table of problems: the subject, threshold, meaning and fix of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from stbridge.core.alerts import DEVICE, FOLDER, INSTANCE, STALE
from stbridge.core.entities import ERROR, DeviceState, FolderState
from stbridge.core.observations import Read
from stbridge.core.state import State
from stbridge.core.wording import counted

HOUR = 3600
DAY = 24 * HOUR

WORKING = frozenset({"scanning", "syncing", "sync-preparing"})
"""States in which a folder should make progress; a queued folder (`scan-waiting`) is not stuck."""


class Measure(Enum):
    """What the threshold of a problem measures; the value is the text of the documentation."""

    SWITCH = "on or off"
    COUNT = "minimum count"
    SECONDS = "minimum duration in seconds"
    NOTICE = "display time in seconds"


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition found on a subject; `since` is None if its start is unknown."""

    message: str
    since: datetime | None = None
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table of problems.

    Attributes:
        code: its name, and the name of its threshold in `[alerts]`.
        subject: FOLDER, DEVICE or INSTANCE.
        measure: what its threshold measures.
        threshold: its default threshold; 0 is off.
        meaning: the text of the documentation.
        `fix`: how to fix it.
        details: the topic that contains the details, with F and D for the folder and the device.
        look: finds the condition, given the state of the instance and of the subject; the condition becomes a problem
            when it exceeds the threshold.
    """

    code: str
    subject: str
    measure: Measure
    threshold: float = 1
    meaning: str
    fix: str
    details: str = ""
    look: Callable[[State, Any], Finding | None]

    @property
    def fix_and_details(self) -> str:
        """How to fix it, and the topic that contains the details, for readers of topics."""
        return f"{self.fix} See `{self.details}`." if self.details else self.fix


# --- folders; a paused folder is not checked


def _folder_error(_: State, folder: FolderState) -> Finding | None:
    if folder.config.paused or folder.state != ERROR:
        return None
    return Finding(folder.error or "the folder is in error", folder.state_changed_at)


def _folder_unreadable(_: State, folder: FolderState) -> Finding | None:
    return None if folder.config.paused else _failing(folder.read_errors)


def _instance_unreadable(state: State, _: None) -> Finding | None:
    return _failing(state.read_errors)


def _failing(errors: Mapping[Read, str]) -> Finding | None:
    return Finding(next(iter(errors.values())), count=len(errors)) if errors else None


def _failed_items(_: State, folder: FolderState) -> Finding | None:
    if folder.known is None or not folder.known.failed:
        return None
    first = f", such as {folder.failed[0].path}: {folder.failed[0].error.strip()}" if folder.failed else ""
    return Finding(f"{counted(folder.known.failed, 'item')} failed{first}", count=folder.known.failed)


def _watch_error(_: State, folder: FolderState) -> Finding | None:
    return Finding(folder.watch_error) if folder.watch_error and not folder.config.paused else None


def _out_of_sync(_: State, folder: FolderState) -> Finding | None:
    if folder.in_sync is not False or folder.known is None:
        return None
    lacking = folder.known.need_items + folder.known.need_deletes
    if folder.state == ERROR and folder.known.complete:
        return None  # nothing is known to be missing: the problem is folder_error
    return Finding(f"{counted(lacking, 'item')} to be synced", folder.out_of_sync_since)


def _stuck(_: State, folder: FolderState) -> Finding | None:
    if folder.config.paused or folder.state not in WORKING:
        return None
    return Finding(f"{folder.state} without progress", folder.progress_at)


def _stale(_: State, folder: FolderState) -> Finding | None:
    if not folder.in_sync or not folder.config.devices:
        return None
    return Finding(
        "no device that shares the folder is online: newer changes may exist elsewhere", folder.last_peer_contact_at
    )


def note_last_peer_contact(state: State, folder: FolderState, now: datetime) -> None:
    """Note when a device that shares a folder was last connected.

    The cost grows with the number of devices, so call this only if the previously noted time exceeds the threshold.
    """
    devices = [state.devices[device] for device in folder.config.devices if device in state.devices]
    seen = [now if device.connection.connected else device.last_seen_at for device in devices]
    known = [at for at in seen if at is not None]
    folder.last_peer_contact_at = max(known) if known else min((one.away_since or now for one in devices), default=now)


def _local_changes(_: State, folder: FolderState) -> Finding | None:
    if folder.known is None or not folder.known.local_changes:
        return None
    count = folder.known.local_changes
    return Finding(f"{counted(count, 'local change')} in a receive-only folder", count=count)


def _conflicts(_: State, folder: FolderState) -> Finding | None:
    if not folder.conflicts:
        return None
    count = len(folder.conflicts)
    return Finding(f"{counted(count, 'conflict file')}, such as {next(iter(folder.conflicts))}", count=count)


# --- devices


def _unseen(_: State, device: DeviceState) -> Finding | None:
    if device.config.paused or device.connection.connected:
        return None
    message = "the device is not connected" if device.last_seen_at else "the device has never been connected"
    return Finding(message, device.away_since)


def _behind(_: State, device: DeviceState) -> Finding | None:
    if device.config.paused or device.in_sync is not False:
        return None
    lacking = device.shares.total.need_items + device.shares.total.need_deletes
    return Finding(f"the device needs {counted(lacking, 'item')}", device.out_of_sync_since)


# --- the instance


def _system_errors(state: State, _: None) -> Finding | None:
    errors = [error for error in state.errors or () if not state.alerts.ignores(error.message)]
    return Finding(errors[-1].message, errors[-1].when, len(errors)) if errors else None


def _restart_required(state: State, _: None) -> Finding | None:
    return Finding("a configuration change requires a restart of Syncthing") if state.restart_required else None


def _no_listener(state: State, _: None) -> Finding | None:
    failing = state.process is not None and state.process.listeners_ok is False
    return Finding("no listen address works: other devices cannot connect") if failing else None


def _discovery(state: State, _: None) -> Finding | None:
    failing = state.process is not None and state.process.discovery_ok is False
    return Finding("no discovery method works: Syncthing may not find other devices") if failing else None


def _notice(code: str) -> Callable[[State, None], Finding | None]:
    def look(state: State, _: None) -> Finding | None:
        problem = state.notices.get(code)
        return None if problem is None else Finding(problem.message, problem.since)

    return look


ROWS: Sequence[Row] = (
    Row(
        code="folder_error",
        subject=FOLDER,
        measure=Measure.SWITCH,
        meaning="The folder has stopped, for example because its marker or directory is missing or the disk is full.",
        fix="The message comes from Syncthing. Mount or fix the disk, then scan the folder.",
        look=_folder_error,
    ),
    Row(
        code="folder_unreadable",
        subject=FOLDER,
        measure=Measure.SWITCH,
        meaning="Syncthing is online, but a request for data of this folder fails; unknown values are `null`.",
        fix="The message names the request. The bridge repeats it until it succeeds. See Syncthing's log.",
        look=_folder_unreadable,
    ),
    Row(
        code="failed_items",
        subject=FOLDER,
        measure=Measure.COUNT,
        meaning="Items could not be scanned or synced.",
        fix="Each failed item has its own reason, such as permissions, or a name that this system does not support.",
        details="folder/F/failed",
        look=_failed_items,
    ),
    Row(
        code="watch_error",
        subject=FOLDER,
        measure=Measure.SWITCH,
        meaning="Syncthing cannot watch the folder for changes, so it finds them only by the periodic scan.",
        fix="Usually a limit of the system: raise `fs.inotify.max_user_watches`.",
        look=_watch_error,
    ),
    Row(
        code="out_of_sync",
        subject=FOLDER,
        measure=Measure.SECONDS,
        threshold=DAY,
        meaning="The folder has been out of sync on this device for longer than the threshold.",
        fix="Check whether a device that has the missing items is connected, and whether items have failed.",
        details="folder/F/failed",
        look=_out_of_sync,
    ),
    Row(
        code="stuck",
        subject=FOLDER,
        measure=Measure.SECONDS,
        threshold=2 * HOUR,
        meaning="The folder is scanning or syncing, but has made no progress for longer than the threshold.",
        fix="See Syncthing's log; restart Syncthing. A very large folder on a slow disk may need a higher threshold.",
        look=_stuck,
    ),
    Row(
        code=STALE,
        subject=FOLDER,
        measure=Measure.SECONDS,
        threshold=7 * DAY,
        meaning="The folder is in sync, but no device that shares it has been online for longer than the threshold. "
        "Newer changes may exist elsewhere.",
        fix="Connect one of the devices that share it.",
        look=_stale,
    ),
    Row(
        code="local_changes",
        subject=FOLDER,
        measure=Measure.COUNT,
        meaning="A receive-only folder contains local additions or changes.",
        fix="Move the items that you need to another place, then revert the folder.",
        look=_local_changes,
    ),
    Row(
        code="conflicts",
        subject=FOLDER,
        measure=Measure.COUNT,
        meaning="A file was changed on two devices at the same time; the losing version was kept as a conflict file.",
        fix="Compare each conflict file with its original, then delete it.",
        details="folder/F/conflicts",
        look=_conflicts,
    ),
    Row(
        code="unseen",
        subject=DEVICE,
        measure=Measure.SECONDS,
        threshold=7 * DAY,
        meaning="The device has not been connected for longer than the threshold.",
        fix="Switch it on and check whether Syncthing runs there. Pause or remove a device that is no longer used.",
        look=_unseen,
    ),
    Row(
        code="behind",
        subject=DEVICE,
        measure=Measure.SECONDS,
        threshold=3 * DAY,
        meaning="The device has been out of sync in a shared folder for longer than the threshold.",
        fix="Check which of its folders is out of sync, and whether items have failed on that device.",
        details="completion/D/F",
        look=_behind,
    ),
    Row(
        code="system_errors",
        subject=INSTANCE,
        measure=Measure.COUNT,
        meaning="Syncthing's own error list contains an entry that is not ignored and is not the error of a folder.",
        fix="The command `clear_errors` clears Syncthing's list; `alerts.ignore_errors` ignores entries.",
        details="errors",
        look=_system_errors,
    ),
    Row(
        code="instance_unreadable",
        subject=INSTANCE,
        measure=Measure.SWITCH,
        meaning="Syncthing is online, but a request for one of its lists fails; unknown values are `null`.",
        fix="The message names the request. The bridge repeats it until it succeeds. See Syncthing's log.",
        look=_instance_unreadable,
    ),
    Row(
        code="restart_required",
        subject=INSTANCE,
        measure=Measure.SWITCH,
        meaning="A configuration change requires a restart of Syncthing.",
        fix="Restart Syncthing, for example with the command `restart`.",
        look=_restart_required,
    ),
    Row(
        code="no_listener",
        subject=INSTANCE,
        measure=Measure.SECONDS,
        threshold=600,
        meaning="None of the listen addresses works.",
        fix="Check whether another program uses the port. Check Syncthing's setting Sync Protocol Listen Addresses.",
        look=_no_listener,
    ),
    Row(
        code="discovery",
        subject=INSTANCE,
        measure=Measure.SECONDS,
        threshold=600,
        meaning="Discovery is enabled, but no discovery method works.",
        fix="Check whether this device can reach the Internet, or its local network for local discovery.",
        look=_discovery,
    ),
    Row(
        code="identity_changed",
        subject=INSTANCE,
        measure=Measure.NOTICE,
        threshold=7 * DAY,
        meaning="The Syncthing instance at this address has another device ID than before.",
        fix="If you did not move Syncthing, its configuration directory was lost: restore `cert.pem` and `key.pem`.",
        look=_notice("identity_changed"),
    ),
    Row(
        code="folders_vanished",
        subject=INSTANCE,
        measure=Measure.NOTICE,
        threshold=DAY,
        meaning="All folders, or at least two and at least half of them, disappeared from the configuration at once.",
        fix="If you did not remove them, the configuration was lost: restore `config.xml`.",
        look=_notice("folders_vanished"),
    ),
)

ROWS_BY_SUBJECT: Mapping[str, Sequence[Row]] = {
    kind: tuple(row for row in ROWS if row.subject == kind) for kind in (FOLDER, DEVICE, INSTANCE)
}
