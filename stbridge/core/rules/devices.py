"""Rules on remote devices: connections, traffic, how far they are."""

from dataclasses import replace
from datetime import datetime, timedelta

from stbridge.core import observations as seen
from stbridge.core.entities import NOT_CONNECTED
from stbridge.core.model import Connection
from stbridge.core.observations import Read
from stbridge.core.outcome import METRICS, device_address
from stbridge.core.state import Rules, State

TRANSFER_LINGERS = timedelta(seconds=15)
"""How long after the last sign of a transfer the counters are worth reading often."""

A_TRANSFER = 10_000
"""Bytes per second; less is chatter."""


def _connected(state: State, observation: seen.DeviceConnected, _: datetime) -> None:
    if device := state.devices.get(observation.device):
        if not device.connection.connected:  # since 1.25 there may be several, and the first one is shown
            _connect(state, observation.device, observation.connection, observation.at)
        state.outcome.read(Read("connections"))  # the event does not tell the encryption and the counters


def _disconnected(state: State, observation: seen.DeviceDisconnected, _: datetime) -> None:
    if observation.device in state.devices:
        _connect(state, observation.device, NOT_CONNECTED, observation.at, error=observation.error)


def _connections(state: State, observation: seen.ConnectionsRead, now: datetime) -> None:
    state.in_bytes, state.out_bytes = observation.in_bytes, observation.out_bytes
    state.in_rate.read(observation.in_bytes, observation.at)
    state.out_rate.read(observation.out_bytes, observation.at)
    state.in_lifetime.read(observation.in_bytes)
    state.out_lifetime.read(observation.out_bytes)
    if max(state.in_rate.value, state.out_rate.value) > A_TRANSFER:
        state.transfer_until = now + TRANSFER_LINGERS
    state.outcome.change(METRICS)
    for device, connection in observation.connections.items():
        if device in state.devices:
            _connect(state, device, connection, observation.at)
            _measure(state, device, connection, observation.at)


def _connect(state: State, device: str, connection: Connection, at: datetime, **why: str | None) -> None:
    device_state = state.devices[device]
    was, device_state.connection = device_state.connection, connection
    if was == connection:
        return
    if was.connected != connection.connected:
        device_state.in_rate.stop()
        device_state.out_rate.stop()
        if was.connected or connection.connected:
            device_state.last_seen_at = at
        if not connection.connected:
            _forget_remote_states(state, device)
        if state.online:
            name = "device_connected" if connection.connected else "device_disconnected"
            state.outcome.happened(name, at, **state.naming(device), **why)
    state.device_changed(device)


def _measure(state: State, device: str, connection: Connection, at: datetime) -> None:
    if connection.connected:
        device_state = state.devices[device]
        device_state.in_rate.read(connection.in_bytes, at)
        device_state.out_rate.read(connection.out_bytes, at)
        state.outcome.change(device_address(device))


def _forget_remote_states(state: State, device: str) -> None:
    """Syncthing sends no event for it: what a device that is gone does with a folder is not known any more."""
    for folder in state.devices[device].folders:
        completion = state.completions.get((device, folder))
        if completion is not None and completion.remote_state not in (None, "unknown"):
            state.completions[device, folder] = replace(completion, remote_state="unknown")
            state.share_changed(device, folder)


def _completion(state: State, observation: seen.CompletionRead, now: datetime) -> None:
    device = state.devices.get(observation.device)
    if device is None or observation.folder not in device.folders:
        return
    key = (observation.device, observation.folder)
    before, state.completions[key] = state.completions.get(key), observation.completion
    if before == observation.completion:
        return
    if not observation.completion.complete and device.connection.connected:
        state.transfer_until = now + TRANSFER_LINGERS
    synced_before = device.in_sync
    state.share_changed(*key)
    if synced_before is False and device.in_sync:
        state.outcome.happened("device_synced", now, **state.naming(observation.device))


def _statistics(state: State, observation: seen.DeviceStatisticsRead, _: datetime) -> None:
    for device, last_seen_at in observation.last_seen_at.items():
        device_state = state.devices.get(device)
        if device_state is None or last_seen_at is None:
            continue
        if device_state.last_seen_at is None or last_seen_at > device_state.last_seen_at:
            device_state.last_seen_at = last_seen_at
            state.outcome.change(device_address(device))


RULES: Rules = {
    seen.DeviceConnected: _connected,
    seen.DeviceDisconnected: _disconnected,
    seen.ConnectionsRead: _connections,
    seen.CompletionRead: _completion,
    seen.DeviceStatisticsRead: _statistics,
}
