"""Rules on the instance as a whole: whether it can be reached, its process, its errors, what asks to be accepted."""

from datetime import datetime

from stbridge.core import observations as seen
from stbridge.core.observations import Read
from stbridge.core.outcome import (
    CONNECTION,
    ERRORS,
    METRICS,
    PENDING,
    STATE,
    SYSTEM,
    UPGRADE,
    device_address,
    folder_address,
)
from stbridge.core.rules.configuration import recall_out_of_sync, recall_timed_pause
from stbridge.core.rules.conflicts import search_if_due
from stbridge.core.rules.resumption import note_identity, resume, tell_pending_device, tell_pending_folder
from stbridge.core.state import ONLINE, Rules, State
from stbridge.core.timed_pauses import Paused
from stbridge.core.timing import in_utc

LARGEST_COUNT = 2**63
"""Bytes that anybody can have sent; a number of thousands of digits could not even be written down again."""


def _unavailable(state: State, observation: seen.Unavailable, now: datetime) -> None:
    state.faults[observation.way] = (observation.status, observation.message)
    _reach(state, now)


def _available(state: State, observation: seen.Available, now: datetime) -> None:
    if state.faults.pop(observation.way, None):
        _reach(state, now)


def _snapshot_started(state: State, _: seen.SnapshotStarted, _now: datetime) -> None:
    state.reading = True


def _snapshot_complete(state: State, _: seen.SnapshotComplete, now: datetime) -> None:
    _clear_leftovers(state)
    state.outcome.change(*state.everything())
    state.outcome.reads.clear()  # the snapshot has read everything
    state.reading, state.complete, state.catching_up = False, True, True
    started_at = state.process.started_at if state.process else None
    if state.read_from != started_at:
        state.outcome.read(Read("upgrade"))  # asks a server on the Internet: not more often than needed
    state.read_from = started_at
    for folder in state.folders.values():
        folder.inventory_due = True
        search_if_due(state, folder)
    state.faults.pop(seen.EVENTS, None)
    _reach(state, now)
    resume(state, now)


def _reach(state: State, now: datetime) -> None:
    """Tell whether Syncthing can be reached: no way to it is blocked, and everything has been read once."""
    if state.faults:
        status, message = next(iter(state.faults.values()))
    elif state.complete:
        status, message = ONLINE, ""
    else:
        return
    if status != state.status or state.since is None:
        state.since = now
    if state.online and status != ONLINE:
        _stop_rates(state)
    state.status, state.message = status, message
    state.outcome.change(CONNECTION, STATE)


def _stop_rates(state: State) -> None:
    """Nothing is known to flow to or from a Syncthing that cannot be reached."""
    state.in_rate.stop()
    state.out_rate.stop()
    state.outcome.change(METRICS)
    for device, device_state in state.devices.items():
        if device_state.connection.connected:
            device_state.in_rate.stop()
            device_state.out_rate.stop()
            state.outcome.change(device_address(device))


def _remembered(state: State, observation: seen.Remembered, now: datetime) -> None:
    state.remembered = observation.payloads
    for folder in state.folders.values():
        if not folder.in_sync and (since := recall_out_of_sync(state, folder.config, now)):
            folder.out_of_sync_since = since
            state.outcome.change(folder_address(folder.config.id))
        subject = Paused("folder", folder.config.id)
        recall_timed_pause(state, subject, folder_address(subject.id), paused=folder.config.paused)
    for device in state.devices.values():
        subject = Paused("device", device.config.id)
        recall_timed_pause(state, subject, device_address(subject.id), paused=device.config.paused)
    _recall_lifetime(state)
    if state.complete and not state.reading:
        _clear_leftovers(state)
        state.outcome.change(*state.everything())
        resume(state, now)


def _clear_leftovers(state: State) -> None:
    """Look again at all that was ever published: what has no payload any more is cleared by that."""
    state.outcome.change(*(state.remembered or ()))


def _recall_lifetime(state: State) -> None:
    """Continue the lifetime totals, as soon as it is known what they were and whether Syncthing restarted since."""
    if state.remembered is None or state.process is None or state.in_lifetime.recalled:
        return
    metrics = state.remembered.get(METRICS) or {}
    same_process = metrics.get("started_at") == in_utc(state.process.started_at)
    for lifetime, key in ((state.in_lifetime, "in_bytes"), (state.out_lifetime, "out_bytes")):
        total, current = metrics.get(f"{key}_lifetime"), metrics.get(key)
        lifetime.recall(_count(total), _count(current), same_process=same_process)
    state.outcome.change(METRICS)


def _count(value: object) -> int | None:
    """Take what the broker kept for a count only if it is one: anybody may publish."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT else None


def _version(state: State, observation: seen.VersionRead, _: datetime) -> None:
    state.version = observation
    state.outcome.change(SYSTEM)
    if state.upgrade is not None:
        state.outcome.change(UPGRADE)


def _process(state: State, observation: seen.StatusRead, now: datetime) -> None:
    before, state.process = state.process, observation
    state.outcome.change(SYSTEM, METRICS)
    if before is not None and before.device_id != observation.device_id:
        note_identity(state, before.device_id, now)
    _recall_lifetime(state)
    if before is not None and before.started_at != observation.started_at:
        for lifetime in (state.in_lifetime, state.out_lifetime):
            lifetime.restart(now, observation.uptime_s)
        state.in_bytes, state.out_bytes = state.in_lifetime.current, state.out_lifetime.current
        _upgrading(state, seen.Upgrading(in_progress=False), now)
        # no mark of being late: a start never shows but by a reading
        state.outcome.happened("syncthing_started", now, version=state.version and state.version.version)


def _restart_required(state: State, observation: seen.RestartRequiredRead, _: datetime) -> None:
    state.restart_required = observation.restart_required
    state.outcome.change(SYSTEM)


def _errors(state: State, observation: seen.ErrorsRead, _: datetime) -> None:
    state.errors = observation.items
    state.outcome.change(ERRORS, SYSTEM)


def _pending_devices(state: State, observation: seen.PendingDevicesRead, now: datetime) -> None:
    known, state.pending_devices = state.pending_devices, observation.devices
    state.outcome.change(PENDING, SYSTEM)
    before = {device.id for device in (observation.devices if known is None else known)}
    for device in observation.devices:
        if device.id not in before:
            tell_pending_device(state, device, now)


def _pending_folders(state: State, observation: seen.PendingFoldersRead, now: datetime) -> None:
    known, state.pending_folders = state.pending_folders, observation.folders
    state.outcome.change(PENDING, SYSTEM)
    before = {(folder.id, folder.device) for folder in (observation.folders if known is None else known)}
    for folder in observation.folders:
        if (folder.id, folder.device) not in before:
            tell_pending_folder(state, folder, now)


def _login_failed(state: State, observation: seen.LoginFailed, _: datetime) -> None:
    state.happened("login_failed", observation.at, username=observation.username, address=observation.address)


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
    seen.Available: _available,
    seen.SnapshotStarted: _snapshot_started,
    seen.SnapshotComplete: _snapshot_complete,
    seen.Remembered: _remembered,
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
