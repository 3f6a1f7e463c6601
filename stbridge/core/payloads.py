"""Renders the payloads of an instance's topics: one function for each kind of retained topic, events and raw events."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from stbridge.core.alerts import DEVICE, FOLDER, THE_INSTANCE, Problem, Subject
from stbridge.core.entities import ERROR, PAUSED, DeviceState
from stbridge.core.evaluation import identify
from stbridge.core.json_text import as_json
from stbridge.core.model import Completion, PendingDevice, PendingFolder, percentage
from stbridge.core.outcome import BridgeEvent
from stbridge.core.progress import Progress
from stbridge.core.secrets import without_secrets
from stbridge.core.state import State
from stbridge.core.timing import in_utc
from stbridge.core.topics import Address

LISTED_ITEMS = 50
"""Maximum number of items of a list in a payload; the count beside it is the full count."""

OFFLINE = "offline"
ONLINE = "online"

Payload = Mapping[str, Any]
Item = TypeVar("Item")


def render(state: State, address: Address) -> bytes | None:
    """Return the payload of a retained topic, or None if the topic is to have none: not yet, or its entity is gone."""
    if address.kind == "state":
        return (ONLINE if state.online else OFFLINE).encode()
    payload = _RENDERERS[address.kind](state, address)
    return None if payload is None else as_json(payload)


def render_event(event: BridgeEvent) -> bytes:
    """Return the payload of `event/NAME`."""
    return as_json({"event_type": event.event_type, "time": in_utc(event.at), **event.data})


def render_raw(event: Payload, gui_user: str = "") -> bytes:
    """Return the payload of `raw/TYPE`: the event without secrets; ConfigSaved, for example, contains the API key.

    Args:
        event: the event as received.
        gui_user: the user name of the GUI. LoginAttempt contains the text typed as user name, which may be a password,
            so any other name is removed.
    """
    public = without_secrets(event)
    data = public.get("data")
    if public.get("type") == "LoginAttempt" and isinstance(data, dict) and data.get("username") != gui_user:
        public["data"] = {key: value for key, value in data.items() if key != "username"}
    return as_json(public, whole=True)


def _connection(state: State, _: Address) -> Payload:
    return {"status": state.status, "message": state.message, "since": in_utc(state.since)}


def _system(state: State, _: Address) -> Payload | None:
    if state.process is None or state.config is None:
        return None
    folders, devices = state.folder_tally.total, state.device_tally.total
    all_paused = 0 < folders.total == folders.paused
    # not folders.out_of_sync, which also counts folders in error and folders that sync
    needs_items = folders.need_bytes or folders.need_items or folders.need_deletes
    return {
        "name": state.config.name,
        "device_id": state.process.device_id,
        "version": state.version and state.version.version,
        "os": state.version and state.version.os,
        "arch": state.version and state.version.arch,
        "started_at": in_utc(state.process.started_at),
        "state": _rolled_up_state(state),
        "in_sync": None if all_paused else _all_in_sync(folders.unknown, folders.out_of_sync),
        "all_in_sync": None
        if all_paused
        else _all_in_sync(folders.unknown + devices.unknown, folders.out_of_sync + devices.out_of_sync),
        "completion": None
        if folders.unknown or folders.paused == folders.total
        else percentage(need_bytes=folders.need_bytes, global_bytes=folders.global_bytes, complete=not needs_items),
        "need_bytes": folders.need_bytes,
        "need_items": folders.need_items,
        "need_deletes": folders.need_deletes,
        "need_total_items": folders.need_items + folders.need_deletes,
        "folders": {
            "total": folders.total,
            "paused": folders.paused,
            "syncing": folders.syncing,
            "out_of_sync": folders.out_of_sync,
            "error": folders.error,
        },
        "devices": {
            "total": devices.total,
            "connected": devices.connected,
            "paused": devices.paused,
            "out_of_sync": devices.out_of_sync,
        },
        "errors": None if state.errors is None else len(state.errors),
        "last_error": state.errors[-1].message if state.errors else None,
        "restart_required": state.restart_required,
        "max_send_kbps": state.config.max_send_kbps,
        "max_recv_kbps": state.config.max_recv_kbps,
        "conflicts": folders.conflicts,
        "pending_devices": _count(state.pending_devices),
        "pending_folders": _count(state.pending_folders),
        "listeners_ok": state.process.listeners_ok,
        "discovery_ok": state.process.discovery_ok,
        **_all_problems(state),
    }


def _problems(state: State, subject: Subject) -> Payload:
    """Return `problem` and `problems` of a folder or a device, both null before problems are evaluated."""
    if not state.compared:
        return {"problem": None, "problems": None}
    problems = state.problems.get(subject, {})
    return {"problem": bool(problems), "problems": [_render_problem(one) for one in problems.values()]}


def _all_problems(state: State) -> Payload:
    """Return `problem` and `problems` of the instance: its own problems, then those of its folders and devices.

    The list contains at most LISTED_ITEMS.
    """
    if not state.compared:
        return {"problem": None, "problems": None}
    others = (subject for subject in state.problems if subject != THE_INSTANCE)
    found = (
        {**identify(state, subject), **_render_problem(one)}
        for subject in chain([THE_INSTANCE], others)
        for one in state.problems.get(subject, {}).values()
    )
    return {"problem": bool(state.problems), "problems": list(islice(found, LISTED_ITEMS))}


def _render_problem(problem: Problem) -> Payload:
    return {"code": problem.code, "message": problem.message, "since": in_utc(problem.since)}


def _all_in_sync(unknown: int, out_of_sync: int) -> bool | None:
    """Three-valued AND: False if one is out of sync, else None if one is unknown, else True."""
    if out_of_sync:
        return False
    return None if unknown else True


def _count(items: tuple[Any, ...] | None) -> int | None:
    return None if items is None else len(items)


def _rolled_up_state(state: State) -> str:
    folders = state.folder_tally.total
    for name, count in ((ERROR, folders.error), ("syncing", folders.syncing), ("scanning", folders.scanning)):
        if count:
            return name
    return PAUSED if folders.total and folders.paused == folders.total else "idle"


def _upgrade(state: State, _: Address) -> Payload | None:
    """Return a payload with exactly the keys of Home Assistant's update schema, which allows no other keys."""
    if state.upgrade is None or state.upgrade.latest is None:
        return None
    latest = state.upgrade.latest
    return {
        "installed_version": state.version and state.version.version,
        "latest_version": latest,
        "title": "Syncthing",
        "release_url": f"https://github.com/syncthing/syncthing/releases/tag/{latest}",
        "in_progress": state.upgrading,
    }


def _metrics(state: State, _: Address) -> Payload | None:
    if state.process is None:
        return None
    return {
        "in_bytes": state.in_bytes,
        "out_bytes": state.out_bytes,
        "in_rate": state.in_rate.value,
        "out_rate": state.out_rate.value,
        "in_bytes_lifetime": state.in_lifetime.value,
        "out_bytes_lifetime": state.out_lifetime.value,
        "memory_bytes": state.process.memory_bytes,
        "goroutines": state.process.goroutines,
        "uptime_s": state.uptime and state.uptime.seconds,
        "started_at": in_utc(state.process.started_at),
    }


def _errors(state: State, _: Address) -> Payload | None:
    if state.errors is None:
        return {"count": None, "items": None} if state.complete else None
    latest = state.errors[-LISTED_ITEMS:]
    items = [{"when": in_utc(error.when), "message": error.message} for error in latest]
    return {"count": len(state.errors), "items": items}


def _pending(state: State, _: Address) -> Payload | None:
    if not state.complete and (state.pending_devices is None or state.pending_folders is None):
        return None
    return {
        "devices": _listed(state.pending_devices, _pending_device),
        "folders": _listed(state.pending_folders, partial(_pending_folder, state)),
    }


def _listed(items: tuple[Item, ...] | None, render_item: Callable[[Item], Payload]) -> list[Payload] | None:
    return None if items is None else [render_item(item) for item in items[:LISTED_ITEMS]]


def _pending_device(device: PendingDevice) -> Payload:
    return {"device": device.id, "name": device.name, "address": device.address, "time": in_utc(device.time)}


def _pending_folder(state: State, folder: PendingFolder) -> Payload:
    return {
        "folder": folder.id,
        "label": folder.label,
        "device": state.short_name(folder.device),
        "time": in_utc(folder.time),
    }


def _folder(state: State, address: Address) -> Payload | None:
    folder = state.folders.get(address.folder)
    if folder is None:
        return None
    config, counts, statistics = folder.config, folder.known, folder.statistics
    return {
        "id": config.id,
        "label": config.label,
        "path": config.path,
        "type": config.type,
        "paused": config.paused,
        "resume_at": in_utc(state.timed_pauses.until("folder", config.id)),
        "state": folder.shown_state,
        "status": folder.status,
        "state_changed_at": in_utc(folder.state_changed_at),
        "completion": folder.completion,
        "in_sync": folder.in_sync,
        "global_bytes": counts and counts.global_bytes,
        "global_files": counts and counts.global_files,
        "local_bytes": counts and counts.local_bytes,
        "local_files": counts and counts.local_files,
        "need_bytes": counts and counts.need_bytes,
        "need_items": counts and counts.need_items,
        "need_deletes": counts and counts.need_deletes,
        "need_total_items": counts and counts.need_total_items,
        "failed": counts and counts.failed,
        "error": folder.error,
        "watch_error": folder.watch_error,
        "local_changes": counts and counts.local_changes,
        "conflicts": len(folder.conflicts),
        "last_scan_at": in_utc(statistics.last_scan_at),
        "last_file": statistics.last_file,
        "last_file_at": in_utc(statistics.last_file_at),
        "last_file_deleted": statistics.last_file_deleted,
        **_progress("scan", folder.scan_progress),
        **_progress("sync", folder.sync_progress),
        "out_of_sync_since": in_utc(folder.out_of_sync_since),
        "devices": [state.short_name(device) for device in config.devices],
        **_problems(state, Subject(FOLDER, config.id)),
    }


def _progress(work: str, progress: Progress | None) -> Payload:
    return {
        f"{work}_progress": progress and progress.percent,
        f"{work}_rate": progress and progress.rate,
        f"{work}_ends_at": in_utc(progress.ends_at) if progress else None,
    }


def _conflicts(state: State, address: Address) -> Payload | None:
    folder = state.folders.get(address.folder)
    if folder is None:
        return None
    items = list(islice(folder.conflicts, LISTED_ITEMS))
    return {"count": len(folder.conflicts), "items": items, "complete": folder.conflicts_complete}


def _failed(state: State, address: Address) -> Payload | None:
    folder = state.folders.get(address.folder)
    if folder is None:
        return None
    items = [{"path": item.path, "error": item.error} for item in folder.failed[:LISTED_ITEMS]]
    return {"count": len(folder.failed), "items": items}


def _device(state: State, address: Address) -> Payload | None:
    device = _by_short_id(state, address.device)
    if device is None:
        return None
    config, connection, shares = device.config, device.connection, device.shares.total
    known = bool(shares.counted) and not shares.unknown
    return {
        "id": config.id,
        "name": config.name,
        "paused": config.paused,
        "resume_at": in_utc(state.timed_pauses.until("device", config.id)),
        "status": device.status,
        "connected": connection.connected,
        "address": connection.address,
        "connection_type": connection.connection_type,
        "is_local": connection.is_local,
        "crypto": connection.crypto,
        "client_version": connection.client_version,
        "connection_error": device.connection_error(state.process.dial_errors if state.process else {}),
        "last_seen_at": in_utc(device.last_seen_at),
        "completion": device.completion,
        "in_sync": device.in_sync,
        "need_bytes": shares.need_bytes if known else None,
        "need_items": shares.need_items if known else None,
        "need_deletes": shares.need_deletes if known else None,
        "need_total_items": shares.need_total_items if shares.known and not shares.unknown else None,
        "in_bytes": connection.in_bytes,
        "out_bytes": connection.out_bytes,
        "in_rate": device.in_rate.value,
        "out_rate": device.out_rate.value,
        "unseen_since": in_utc(device.away_since),
        "out_of_sync_since": in_utc(device.out_of_sync_since),
        **_problems(state, Subject(DEVICE, config.id)),
    }


def _by_short_id(state: State, device: str) -> DeviceState | None:
    return state.devices.get(state.device_ids.get(device, ""))


def _completion(state: State, address: Address) -> Payload | None:
    device = _by_short_id(state, address.device)
    folder = state.folders.get(address.folder)
    if device is None or folder is None or address.folder not in device.folders:
        return None
    known: Completion | None = state.completions.get((device.config.id, address.folder))
    if folder.config.paused or not device.seen:
        known = None
    return {
        "completion": known and known.completion,
        "need_bytes": known and known.need_bytes,
        "need_items": known and known.need_items,
        "need_deletes": known and known.need_deletes,
        "need_total_items": known and known.need_total_items,
        "global_bytes": known and known.global_bytes,
        "remote_state": known and known.remote_state,
    }


_RENDERERS: Mapping[str, Callable[[State, Address], Payload | None]] = {
    "connection": _connection,
    "system": _system,
    "metrics": _metrics,
    "errors": _errors,
    "upgrade": _upgrade,
    "pending": _pending,
    "folder": _folder,
    "failed": _failed,
    "conflicts": _conflicts,
    "device": _device,
    "completion": _completion,
}

RENDERED = frozenset({"state", *_RENDERERS})
"""The kinds of retained topics that this module renders."""
