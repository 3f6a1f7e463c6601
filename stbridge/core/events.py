"""Converts Syncthing's events to observations.

A table has one row for each type of event. Its types are also the event mask: those that the bridge requests with GET
/rest/events.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from stbridge.core import decode
from stbridge.core import observations as seen
from stbridge.core.conflicts import is_conflict
from stbridge.core.decode import Json
from stbridge.core.model import Connection
from stbridge.core.observations import Observation, Read
from stbridge.core.secrets import without_tokens
from stbridge.core.typed import flag, listed, number, text, text_or_none, whole


def _time_of(event: Json) -> datetime:
    stamp = decode.time(event["time"])
    if stamp is None:
        raise ValueError("an event without a time")
    return stamp


def _state_changed(event: Json, _own_id: str) -> Observation:
    data = event["data"]
    return seen.FolderStateChanged(
        folder=text(data["folder"]), state=text(data["to"]), at=_time_of(event), error=text_or_none(data.get("error"))
    )


def _folder_summary(event: Json, _own_id: str) -> Observation:
    return decode.folder_status(text(event["data"]["folder"]), event["data"]["summary"])


def _folder_completion(event: Json, _own_id: str) -> Observation:
    return decode.completion(text(event["data"]["device"]), text(event["data"]["folder"]), event["data"])


def _folder_errors(event: Json, _own_id: str) -> Observation:
    return decode.folder_errors(event["data"])


def _scan_progress(event: Json, _own_id: str) -> Observation:
    data = event["data"]
    return seen.ScanProgressed(
        folder=text(data["folder"]),
        current=whole(data["current"]),
        total=whole(data["total"]),
        rate=number(data.get("rate") or 0) or None,
    )


def _local_index(event: Json, _own_id: str) -> Observation:
    """Return the conflict files of one batch of scanned, received or deleted items.

    Syncthing sends this event once for each batch, so it costs less than the events for single items.
    """
    conflicts = tuple(path for path in map(text, listed(event["data"].get("filenames"))) if is_conflict(path))
    return seen.LocalIndexChanged(folder=text(event["data"]["folder"]), conflicts=conflicts)


def _remote_index(event: Json, _own_id: str) -> Observation:
    data = event["data"]
    return seen.RemoteIndexChanged(
        device=text(data["device"]), folder=text(data["folder"]), sequence=whole(data["sequence"])
    )


def _watch_state(event: Json, _own_id: str) -> Observation:
    return seen.WatchErrorChanged(folder=text(event["data"]["folder"]), error=text_or_none(event["data"].get("to")))


def _folder_paused(event: Json, _own_id: str) -> Observation:
    return seen.FolderPaused(folder=text(event["data"]["id"]), paused=event["type"] == "FolderPaused")


def _device_paused(event: Json, _own_id: str) -> Observation:
    return seen.DevicePaused(device=text(event["data"]["device"]), paused=event["type"] == "DevicePaused")


def _device_connected(event: Json, _own_id: str) -> Observation:
    data = event["data"]
    return seen.DeviceConnected(
        device=text(data["id"]),
        at=_time_of(event),
        connection=Connection(
            connected=True,
            address=decode.address(data.get("addr")),
            connection_type=text_or_none(data.get("type")),
            client_version=text_or_none(data.get("clientVersion")),
        ),
    )


def _device_disconnected(event: Json, _own_id: str) -> Observation:
    data = event["data"]
    error = text_or_none(data.get("error"))
    return seen.DeviceDisconnected(device=text(data["id"]), at=_time_of(event), error=error and without_tokens(error))


def _config_saved(event: Json, own_id: str) -> Observation:
    return seen.ConfigSaved(config=decode.config(event["data"], own_id).config)


def _cluster_config(_event: Json, _own_id: str) -> Observation:
    """Request the connections, because a device has (re)connected and sent its list of folders (since 1.20).

    The list may change which folders the device pauses or does not share. FolderCompletion events report that. But no
    event reports address, type and encryption of the connection.
    """
    return seen.Stale(reads=(Read("connections"),))


def _pending(_event: Json, _own_id: str) -> Observation:
    """Request the whole list: additions and removals have several forms, with missing or null keys."""
    return seen.Stale(reads=(Read("pending_devices"), Read("pending_folders")))


def _login(event: Json, _own_id: str) -> Observation | None:
    data = event["data"]
    if flag(data["success"]):
        return None
    return seen.LoginFailed(
        at=_time_of(event),
        username=text_or_none(data.get("username")) or "",
        address=decode.address(data.get("remoteAddress")) or "",
    )


_ROWS: Mapping[str, Callable[[Json, str], Observation | None]] = {
    "StateChanged": _state_changed,
    "FolderSummary": _folder_summary,
    "FolderCompletion": _folder_completion,
    "FolderErrors": _folder_errors,
    "FolderScanProgress": _scan_progress,
    "LocalIndexUpdated": _local_index,
    "RemoteIndexUpdated": _remote_index,
    "FolderWatchStateChanged": _watch_state,
    "FolderPaused": _folder_paused,
    "FolderResumed": _folder_paused,
    "DeviceConnected": _device_connected,
    "DeviceDisconnected": _device_disconnected,
    "DevicePaused": _device_paused,
    "DeviceResumed": _device_paused,
    "ClusterConfigReceived": _cluster_config,
    "ConfigSaved": _config_saved,
    "PendingDevicesChanged": _pending,
    "PendingFoldersChanged": _pending,
    "LoginAttempt": _login,
}

OTHER_TYPES = (
    *("Starting", "StartupComplete", "DeviceDiscovered", "DeviceRejected", "LocalChangeDetected"),
    *("RemoteChangeDetected", "ItemStarted", "ItemFinished", "FolderRejected", "DownloadProgress"),
    *("RemoteDownloadProgress", "ListenAddressesChanged", "Failure", "UpgradeRestartScheduled"),
)
"""Types that the bridge does not need; it publishes them if `events.raw` names them (Syncthing 1.19 to 2.1)."""

EVENT_TYPES = tuple(_ROWS)
"""The event mask; it is constant, because Syncthing keeps an event buffer and an ID counter for each mask requested."""


def observe(raw: Json, own_id: str) -> Observation | None:
    """Return the observation in one event; None if the event has no new information.

    Args:
        raw: the event as received from GET /rest/events.
        own_id: the device ID of the instance that sent it.
    """
    read = _ROWS.get(raw["type"])
    return read(raw, own_id) if read else None
