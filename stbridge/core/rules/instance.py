"""Rules for the instance as a whole: its availability, process, errors and pending requests."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice

from stbridge.core import observations as seen
from stbridge.core.availability import Availability, Signal
from stbridge.core.model import DialError
from stbridge.core.observations import Read
from stbridge.core.outcome import (
    CONNECTION,
    ERRORS,
    METRICS,
    PENDING,
    STATE,
    UPGRADE,
    folder_address,
    share_address,
)
from stbridge.core.rules.configuration import confirm_timed_pauses, restore_timed_pause, restored_out_of_sync_since
from stbridge.core.rules.conflicts import search_if_due
from stbridge.core.rules.restoring import (
    compare_with_restored,
    emit_pending_device,
    emit_pending_folder,
    note_identity,
)
from stbridge.core.state import Rules, State
from stbridge.core.timing import in_utc
from stbridge.core.uptime import uptime

ONLINE = "online"
"""The status of a usable instance in the `connection` topic."""

MOST_GUESSED = 10_000
"""Maximum number of completions of removed devices that are cleared without having been read."""

LARGEST_COUNT = 2**63
"""Limit of a restored count; Python refuses to format a forged number with thousands of digits."""


def _unavailable(state: State, observation: seen.Unavailable, now: datetime) -> None:
    _follow_availability(state, Signal.FAILED, now, observation.status, observation.message)
    state.pending_since.clear()  # a condition does not continue while nothing can be observed
    state.forget_progress()


def _suspected(state: State, _: seen.Suspected, now: datetime) -> None:
    _follow_availability(state, Signal.SUSPECTED, now)


def _resumed(state: State, _: seen.Resumed, now: datetime) -> None:
    _follow_availability(state, Signal.RESUMED, now)
    confirm_timed_pauses(state)


def _snapshot_started(state: State, _: seen.SnapshotStarted, now: datetime) -> None:
    _follow_availability(state, Signal.READ_STARTED, now)
    _forget_read_errors(state, now)


def _snapshot_complete(state: State, _: seen.SnapshotComplete, now: datetime) -> None:
    state.usable_until = None
    _clear_leftovers(state)
    state.everything_changed()
    state.outcome.reads.clear()  # the snapshot has read everything
    confirm_timed_pauses(state)
    started_at = state.process.started_at if state.process else None
    if state.synced_at is None or state.synced_process != started_at:
        state.outcome.read(Read("upgrade"))  # Syncthing asks a server on the Internet, so only if needed
    state.synced_at, state.synced_process, state.evaluates_late = now, started_at, True
    _follow_availability(state, Signal.READ_COMPLETED, now)
    for folder in state.folders.values():
        folder.inventory_due = True
        search_if_due(state, folder)
    compare_with_restored(state, now)


def _follow_availability(state: State, signal: Signal, now: datetime, status: str = ONLINE, message: str = "") -> None:
    """Advance the state machine, and schedule the topics that depend on it."""
    was_online, before = state.online, state.availability
    state.availability = before.after(signal)
    if state.availability is not before:
        state.read_order.begin_epoch()
    if not state.online and signal is not Signal.FAILED:
        return  # the last published status stays until the result of the attempt is known
    if was_online and not state.online:
        _stop_rates(state)
        state.usable_until = now
    if (status, message) == (state.status, state.message):
        return
    if status != state.status or state.since is None:
        state.since = now
    state.status, state.message = status, message
    state.outcome.change(CONNECTION, STATE)


def _read_finished(state: State, observation: seen.ReadFinished, now: datetime) -> None:
    # A failure is kept per call, not per file: a device may send any number of paths.
    read, error = observation.read._replace(path=""), observation.error
    folder = state.folders.get(read.folder)
    if not state.has(read) or (read.device and read.folder not in state.devices[read.device].folders):
        return  # the folder, the device or the share was removed meanwhile
    errors = state.read_errors if folder is None else folder.read_errors
    if error is None and read not in errors:
        return
    if error is None:
        del errors[read]
    else:
        errors[read] = error
        if state.availability is not Availability.LIVE:
            _forget_what_was_to_be_read(state, read)
    if folder is not None:
        state.folder_changed(read.folder, now)
    else:
        state.instance_changed()


def _forget_read_errors(state: State, now: datetime) -> None:
    """Clear all read errors at the start of a complete read; a read that fails again is noted again."""
    state.read_errors.clear()
    for folder in [one for one in state.folders.values() if one.read_errors]:
        folder.read_errors.clear()
        state.folder_changed(folder.config.id, now)


def _forget_what_was_to_be_read(state: State, read: Read) -> None:
    """Set the values of a failed read to unknown: events were missed, so the old values may be wrong."""
    match read.what:
        case "folder":
            if folder := state.folders.get(read.folder):
                folder.forget()
        case "completion":
            if state.completions.pop((read.device, read.folder), None):
                state.share_changed(read.device, read.folder)
        case "errors":
            state.errors = None
            state.outcome.change(ERRORS)
        case "pending_devices":
            state.pending_devices = None
            state.outcome.change(PENDING)
        case "pending_folders":
            state.pending_folders = None
            state.outcome.change(PENDING)


def _stop_rates(state: State) -> None:
    """Set all rates to 0, because the instance cannot be reached."""
    state.in_rate.stop()
    state.out_rate.stop()
    state.outcome.change(METRICS)
    for device, device_state in state.devices.items():
        if device_state.connection.connected:
            device_state.in_rate.stop()
            device_state.out_rate.stop()
            state.outcome.change(state.address_of(device))


def _restored(state: State, observation: seen.Restored, now: datetime) -> None:
    state.restored = observation.payloads
    for folder in state.folders.values():
        if not folder.in_sync and (since := restored_out_of_sync_since(state, folder.config, now)):
            folder.out_of_sync_since = since
            state.outcome.change(folder_address(folder.config.id))
        restore_timed_pause(state, folder.config)
    for device in state.devices.values():
        restore_timed_pause(state, device.config)
    _restore_lifetime(state)
    if state.may_publish:
        _clear_leftovers(state)
        state.everything_changed()
        compare_with_restored(state, now)


def _clear_leftovers(state: State) -> None:
    """Schedule every topic of the previous run for rendering; a topic that has no payload now is then cleared.

    The topic of a removed device is cleared after its completions, because the next run finds them by the device. They
    may not all have been read.
    """
    restored = state.restored or {}
    state.outcome.change(*restored)
    folders = dict.fromkeys([*state.folders, *(one.folder for one in restored if one.kind == "folder")])
    removed = [one for one in restored if one.kind == "device" and one.device not in state.device_ids]
    shares = (share_address(one.device, folder) for one in removed for folder in folders)
    state.outcome.change(*islice(shares, MOST_GUESSED))
    for one in removed:
        state.outcome.change_last(one)


def _restore_lifetime(state: State) -> None:
    """Continue the lifetime totals once the previous totals and the start time of Syncthing are known."""
    if state.restored is None or state.process is None or state.in_lifetime.restored:
        return
    metrics = state.restored.get(METRICS) or {}
    same_process = metrics.get("started_at") == in_utc(state.process.started_at)
    for lifetime, key in ((state.in_lifetime, "in_bytes"), (state.out_lifetime, "out_bytes")):
        total, current = metrics.get(f"{key}_lifetime"), metrics.get(key)
        lifetime.restore(_count(total), _count(current), same_process=same_process)
    state.outcome.change(METRICS)


def _count(value: object) -> int | None:
    """Return a restored value only if it is a valid count, because any client may publish."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT else None


def _version(state: State, observation: seen.VersionRead, _: datetime) -> None:
    state.version = observation
    state.instance_changed()
    if state.upgrade is not None:
        state.outcome.change(UPGRADE)


def _process(state: State, observation: seen.StatusRead, now: datetime) -> None:
    before, state.process = state.process, observation
    state.uptime = uptime(state.uptime, observation.started_at, observation.uptime_s, now)
    state.instance_changed(METRICS)
    _compare_dial_errors(state, before.dial_errors if before else {}, observation.dial_errors)
    if before is not None and before.device_id != observation.device_id:
        note_identity(state, before.device_id, now)
    _restore_lifetime(state)
    if before is not None and before.started_at != observation.started_at:
        for lifetime in (state.in_lifetime, state.out_lifetime):
            lifetime.restart(now, observation.uptime_s)
        state.in_bytes, state.out_bytes = state.in_lifetime.current, state.out_lifetime.current
        _upgrading(state, seen.Upgrading(in_progress=False), now)
        for identifier, folder in state.folders.items():
            folder.state_changed_at = None  # the clock of a machine may be older after a reboot
            state.outcome.change(folder_address(identifier))
        # not marked as late: a start is always found by a read
        state.outcome.emit("syncthing_started", now, version=state.version and state.version.version)


def _compare_dial_errors(state: State, before: Mapping[str, DialError], after: Mapping[str, DialError]) -> None:
    """Schedule the devices whose connection error has changed."""
    for device, one in state.devices.items() if before != after else ():
        if one.connection_error(before) != one.connection_error(after):
            state.outcome.change(state.address_of(device))


def _restart_required(state: State, observation: seen.RestartRequiredRead, _: datetime) -> None:
    state.restart_required = observation.restart_required
    state.instance_changed()


def _errors(state: State, observation: seen.ErrorsRead, _: datetime) -> None:
    state.errors = observation.items
    state.instance_changed(ERRORS)


def _pending_devices(state: State, observation: seen.PendingDevicesRead, now: datetime) -> None:
    known, state.pending_devices = state.pending_devices, observation.devices
    state.instance_changed(PENDING)
    before = {device.id for device in (observation.devices if known is None else known)}
    for device in observation.devices:
        if device.id not in before:
            emit_pending_device(state, device, now)


def _pending_folders(state: State, observation: seen.PendingFoldersRead, now: datetime) -> None:
    known, state.pending_folders = state.pending_folders, observation.folders
    state.instance_changed(PENDING)
    before = {(folder.id, folder.device) for folder in (observation.folders if known is None else known)}
    for folder in observation.folders:
        if (folder.id, folder.device) not in before:
            emit_pending_folder(state, folder, now)


def _login_failed(state: State, observation: seen.LoginFailed, _: datetime) -> None:
    """Emit a failed login, with the user name only if it is the configured one: users may type their password there."""
    known = state.config is not None and observation.username == state.config.gui_user
    username = observation.username if known else None
    state.emit("login_failed", observation.at, username=username or None, address=observation.address)


def _upgrade(state: State, observation: seen.UpgradeRead, _: datetime) -> None:
    upgrade = None if observation.latest is None else observation
    if upgrade != state.upgrade:
        state.upgrade = upgrade
        state.outcome.change(UPGRADE)


def _upgrading(state: State, observation: seen.Upgrading, _: datetime) -> None:
    if observation.in_progress != state.upgrading:
        state.upgrading = observation.in_progress
        state.outcome.change(UPGRADE)


def _stale(state: State, observation: seen.Stale, _: datetime) -> None:
    state.outcome.read(*observation.reads)


RULES: Rules = {
    seen.Unavailable: _unavailable,
    seen.Suspected: _suspected,
    seen.Resumed: _resumed,
    seen.SnapshotStarted: _snapshot_started,
    seen.SnapshotComplete: _snapshot_complete,
    seen.ReadFinished: _read_finished,
    seen.Restored: _restored,
    seen.VersionRead: _version,
    seen.StatusRead: _process,
    seen.RestartRequiredRead: _restart_required,
    seen.ErrorsRead: _errors,
    seen.PendingDevicesRead: _pending_devices,
    seen.PendingFoldersRead: _pending_folders,
    seen.LoginFailed: _login_failed,
    seen.UpgradeRead: _upgrade,
    seen.Upgrading: _upgrading,
    seen.Stale: _stale,
}
