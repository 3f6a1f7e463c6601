"""Rules that apply observations of remote devices to the state: connections, traffic, completion."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from stbridge.core import observations as seen
from stbridge.core.alerts import STALE
from stbridge.core.availability import Availability
from stbridge.core.entities import NOT_CONNECTED, SCANNING, UNKNOWN, ConnectionChange, DeviceState, FolderState
from stbridge.core.model import Completion, Connection
from stbridge.core.observations import Read
from stbridge.core.outcome import METRICS
from stbridge.core.state import Rules, State
from stbridge.core.versions import reports_remote_states

TRANSFER_LINGERS = timedelta(seconds=15)
"""How long the byte counters are still read at the short interval after the last sign of a transfer."""

MIN_TRANSFER_RATE = 10_000
"""Bytes per second that count as a transfer; a lower rate is protocol overhead."""


def publish_stable_connections(state: State, now: datetime) -> None:
    """Emit the delayed events `device_connected` and `device_disconnected` of connections that are stable now.

    `_change_connection` delayed them. A connection that is back in the state of its last event gets no event.
    """
    if not state.may_publish:
        return
    for device in state.connection_timers.due(now):
        state.devices[device].connection_quiet_at = None
        _emit_connection(state, device)


def read_late_completion(state: State, now: datetime) -> None:
    """Request a completion that Syncthing has not reported soon enough after a change of a device's index."""
    if state.may_publish and (share := state.expected_completions.take_late(now)):
        device, folder = share
        state.outcome.read(Read("late_completion", folder, device))


def _connected(state: State, observation: seen.DeviceConnected, now: datetime) -> None:
    if device := state.devices.get(observation.device):
        if not device.connection.connected:  # since Syncthing 1.25, a device may have several; the first is shown
            _connect(state, observation.device, observation.connection, ConnectionChange(observation.at), now)
        state.outcome.read(Read("connections"))  # the event contains neither the encryption nor the counters


def _disconnected(state: State, observation: seen.DeviceDisconnected, now: datetime) -> None:
    if observation.device in state.devices:
        change = ConnectionChange(observation.at, error=observation.error)
        _connect(state, observation.device, NOT_CONNECTED, change, now)


def _connections(state: State, observation: seen.ConnectionsRead, now: datetime) -> None:
    state.in_bytes, state.out_bytes = observation.in_bytes, observation.out_bytes
    state.in_rate.read(observation.in_bytes, observation.at)
    state.out_rate.read(observation.out_bytes, observation.at)
    state.in_lifetime.read(observation.in_bytes, now)
    state.out_lifetime.read(observation.out_bytes, now)
    if max(state.in_rate.value, state.out_rate.value) > MIN_TRANSFER_RATE:
        state.transfer_until = now + TRANSFER_LINGERS
    state.outcome.change(METRICS)
    for device, connection in observation.connections.items():
        if device in state.devices:
            _connect(
                state,
                device,
                connection,
                ConnectionChange(observation.at, late=state.availability is not Availability.LIVE),
                now,
            )
            _measure(state, device, connection, observation.at)


def _connect(state: State, device: str, connection: Connection, change: ConnectionChange, now: datetime) -> None:
    device_state = state.devices[device]
    was_seen = device_state.seen
    previous = device_state.connection
    device_state.note_connection(connection)
    if previous == connection:
        return
    if previous.connected != connection.connected:
        device_state.in_rate.stop()
        device_state.out_rate.stop()
        seen_at = change.at
        if not connection.connected and state.usable_until:
            # It may have disconnected at any time of the outage; the statistics that are read next may know better.
            seen_at = min(seen_at, state.usable_until)
        device_state.last_seen_at = seen_at
        device_state.away_since = None if connection.connected else seen_at
        if not connection.connected:
            _forget_remote_states(state, device)
        if connection.connected:
            _end_staleness(state, device, now)
        _change_connection(state, device, change, now)
    if device_state.seen != was_seen:
        state.shares_changed(device)
    state.device_changed(device)


def _end_staleness(state: State, device: str, now: datetime) -> None:
    """Schedule the folders of a newly connected device that have the problem `stale` for evaluation.

    Problems of other folders do not depend on the connection.
    """
    for subject, problems in state.problems.items():
        if STALE in problems and subject.id in state.devices[device].folders:
            state.folders[subject.id].last_peer_contact_at = now
            state.touched[subject] = None


def _change_connection(state: State, device: str, change: ConnectionChange, now: datetime) -> None:
    """Emit a change of a connection at once; if the connection flaps, emit the change when the connection is stable.

    A connection flaps if one side has removed the other: the devices then connect and disconnect every few seconds.
    Changes found by a read after an interruption also wait, because all devices are disconnected for a moment after a
    restart of Syncthing.
    """
    device_state = state.devices[device]
    if not state.complete:
        device_state.published_connected = device_state.connection.connected
        return
    flaps = device_state.connection_quiet_at is not None and now < device_state.connection_quiet_at
    device_state.connection_change = change
    device_state.connection_quiet_at = now + state.alerts.flapping
    if flaps or state.availability is not Availability.LIVE:
        state.connection_timers.set(device, device_state.connection_quiet_at)
    else:
        _emit_connection(state, device)


def _emit_connection(state: State, device: str) -> None:
    device_state = state.devices[device]
    change, connected = device_state.connection_change, device_state.connection.connected
    if change is None or connected == device_state.published_connected:
        return
    device_state.published_connected, device_state.connection_change = connected, None
    name = "device_connected" if connected else "device_disconnected"
    why: dict[str, Any] = {} if connected else {"error": change.error}
    state.emit(name, change.at, late=change.late, **state.identify(device), **why)


def _measure(state: State, device: str, connection: Connection, at: datetime) -> None:
    if connection.connected:
        device_state = state.devices[device]
        device_state.in_rate.read(connection.in_bytes, at)
        device_state.out_rate.read(connection.out_bytes, at)
        state.outcome.change(state.address_of(device))


def _forget_remote_states(state: State, device: str) -> None:
    """Set the remote state of a disconnected device to unknown; Syncthing sends no event for it."""
    for folder in state.devices[device].folders:
        completion = state.completions.get((device, folder))
        if completion is not None and completion.remote_state not in (None, "unknown"):
            state.completions[device, folder] = replace(completion, remote_state="unknown")
            state.share_changed(device, folder)


def _index_changed(state: State, observation: seen.RemoteIndexChanged, now: datetime) -> None:
    device = state.devices.get(observation.device)
    if device is not None and observation.folder in device.folders:
        share = (observation.device, observation.folder)
        state.expected_completions.index_changed(share, observation.sequence, now)


def _completion(state: State, observation: seen.CompletionRead, now: datetime) -> None:
    device = state.devices.get(observation.device)
    if device is None or observation.folder not in device.folders:
        return
    key = (observation.device, observation.folder)
    state.expected_completions.computed(key, observation.sequence)
    before, state.completions[key] = state.completions.get(key), observation.completion
    caught_up = _has_caught_up(device, state.folders[observation.folder], observation.completion)
    if before == observation.completion and not caught_up:
        return
    if not observation.completion.complete and device.connection.connected:
        state.transfer_until = now + TRANSFER_LINGERS
    synced_before = device.in_sync
    state.share_changed(*key)
    if device.in_sync is False:
        device.was_out_of_sync = True
    elif device.in_sync:
        # A device also becomes in sync without a sync: if the folder whose items it needs is paused.
        if caught_up or (device.was_out_of_sync and not synced_before):
            state.emit("device_synced", now, **state.identify(observation.device))
        device.was_out_of_sync = False


def _device_completion(state: State, observation: seen.DeviceCompletionRead, now: datetime) -> None:
    """Set the completion of all folders of a device to 100 % if the read over all folders shows that it needs nothing.

    This read does not return the remote states. They need one read for each folder, which is rate limited.
    """
    device = state.devices.get(observation.device)
    if device is None or not observation.complete:
        return
    folders = [folder for folder in device.folders if not state.folders[folder].config.paused]
    version = None if state.version is None else state.version.version
    for folder in folders:
        counts = state.folders[folder].counts
        if counts is None:
            state.outcome.read(Read("completion", folder, observation.device))
            continue
        before = state.completions.get((observation.device, folder))
        remote_state = before.remote_state if before else None
        if reports_remote_states(version):
            if device.connection.connected:
                state.outcome.read(Read("remote_state", folder, observation.device))
            else:
                remote_state = UNKNOWN
        completion = Completion(
            completion=100.0,
            need_bytes=0,
            need_items=0,
            need_deletes=0,
            global_bytes=counts.global_bytes,
            remote_state=remote_state,
        )
        _completion(state, seen.CompletionRead(device=observation.device, folder=folder, completion=completion), now)


def _has_caught_up(device: DeviceState, folder: FolderState, completion: Completion) -> bool:
    """Return whether a remote device received changes that were made on this device since the last read.

    The sync may have started and finished between two reads, so that no read has shown the device as out of sync.
    """
    if folder.state in SCANNING or device.taken.get(folder.config.id, 0) == folder.changes:
        return False
    device.taken[folder.config.id] = folder.changes
    return completion.complete and device.connection.connected


def _statistics(state: State, observation: seen.DeviceStatisticsRead, _: datetime) -> None:
    for device, last_seen_at in observation.last_seen_at.items():
        device_state = state.devices.get(device)
        if device_state is None or last_seen_at is None:
            continue
        if device_state.last_seen_at is None or last_seen_at > device_state.last_seen_at:
            was_seen, device_state.last_seen_at = device_state.seen, last_seen_at
            if not was_seen:
                state.shares_changed(device)
            if not device_state.connection.connected:
                device_state.away_since = last_seen_at
            state.outcome.change(state.address_of(device))


RULES: Rules = {
    seen.DeviceConnected: _connected,
    seen.DeviceDisconnected: _disconnected,
    seen.ConnectionsRead: _connections,
    seen.RemoteIndexChanged: _index_changed,
    seen.CompletionRead: _completion,
    seen.DeviceCompletionRead: _device_completion,
    seen.DeviceStatisticsRead: _statistics,
}
