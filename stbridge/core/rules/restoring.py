"""Compares the topics of the previous run of the bridge with the current state; differences become late events.

Any client may publish below the base topic, so the form of every payload is checked.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from stbridge.core.alerts import DEVICE, FOLDER, THE_INSTANCE, Problem, Subject
from stbridge.core.conflicts import is_conflict
from stbridge.core.entities import ERROR, ConnectionChange, DeviceState, FolderState
from stbridge.core.model import FolderStatistics, PendingDevice, PendingFolder
from stbridge.core.observations import UpgradeRead
from stbridge.core.outcome import (
    METRICS,
    PENDING,
    SYSTEM,
    UPGRADE,
    conflicts_address,
    failed_address,
    folder_address,
)
from stbridge.core.problems import ROWS_BY_SUBJECT
from stbridge.core.rules.configuration import note_vanished, published_before
from stbridge.core.rules.conflicts import search_if_due
from stbridge.core.state import State
from stbridge.core.timing import in_utc, past_from_utc
from stbridge.core.topics import Address

NOTICES = ("identity_changed", "folders_vanished")

_CODES = {kind: frozenset(row.code for row in rows) for kind, rows in ROWS_BY_SUBJECT.items()}

MOST_RECALLED = 50
"""Maximum number of restored list items; the bridge never publishes more."""


def compare_with_restored(state: State, now: datetime) -> None:
    """Emit the changes since the previous run, once everything is read and the topics of that run are known."""
    if state.compared or not state.may_publish:
        return
    state.compared = state.evaluates_late = True
    _compare_instance(state, now)
    for folder in state.folders.values():
        _compare_folder(state, folder, now)
        search_if_due(state, folder)
    for device in state.devices.values():
        _compare_device(state, device, now)
    state.restored = {}  # no longer needed, and it may be large


def note_identity(state: State, before: str, now: datetime) -> None:
    """Raise a notice because the device ID of the instance has changed."""
    state.notice("identity_changed", f"the device ID was {before}", now)


def emit_pending_device(state: State, device: PendingDevice, now: datetime, *, late: bool = False) -> None:
    """Emit an event for a new pending device."""
    state.emit("device_pending", now, late=late, device=device.id, name=device.name, address=device.address)


def emit_pending_folder(state: State, folder: PendingFolder, now: datetime, *, late: bool = False) -> None:
    """Emit an event for a new pending folder."""
    device = state.short_name(folder.device)
    state.emit(
        "folder_pending",
        now,
        late=late,
        folder=folder.id,
        label=folder.label,
        device=device,
        name=state.name_of(device),
    )


def _published(state: State, address: Address) -> Mapping[str, Any]:
    return (state.restored or {}).get(address) or {}


def _items(payload: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    items = payload.get(key)
    if isinstance(items, list):
        yield from (item for item in items[:MOST_RECALLED] if isinstance(item, Mapping))


def _texts(payload: Mapping[str, Any], key: str, *names: str) -> set[tuple[str, ...]]:
    """Return the values of some keys of each item of a published list; items without texts there are skipped."""
    found = ([item.get(name) for name in names] for item in _items(payload, key))
    return {tuple(map(str, one)) for one in found if all(isinstance(text, str) for text in one)}


def _is_whole(payload: Mapping[str, Any], items: set[Any]) -> bool:
    """Return whether a published list was not truncated."""
    return payload.get("count") == len(items)


# --- the instance


def _compare_instance(state: State, now: datetime) -> None:
    system, process = _published(state, SYSTEM), state.process
    _restore_problems(state, THE_INSTANCE, filter(_is_of_the_instance, _items(system, "problems")), now)
    for code in NOTICES:
        if problem := state.problems.get(THE_INSTANCE, {}).get(code):
            state.notices.setdefault(code, problem)
    if process is not None:
        before = system.get("device_id")
        if isinstance(before, str) and before != process.device_id:
            note_identity(state, before, now)
        started_at = _published(state, METRICS).get("started_at")
        if started_at is not None and started_at != in_utc(process.started_at):
            version = state.version and state.version.version
            state.emit("syncthing_started", now, late=True, version=version)
    note_vanished(state, _published_folders(state), now)
    _compare_pending(state, now)
    latest = _published(state, UPGRADE).get("latest_version")
    if state.upgrade is None and isinstance(latest, str):
        state.upgrade = UpgradeRead(latest=latest)  # valid until the next read, which may take hours or fail offline
        state.outcome.change(UPGRADE)


def _published_folders(state: State) -> list[str]:
    """Return the folders of the previous run, from payloads that have the form of the bridge's own."""
    published = (state.restored or {}).items()
    return [one.folder for one, payload in published if one.kind == FOLDER and (payload or {}).get("id") == one.folder]


def _differs(published: object, *, from_now: bool) -> bool:
    return isinstance(published, bool) and published != from_now


def _is_of_the_instance(problem: Mapping[str, Any]) -> bool:
    return not {"folder", "device"} & set(problem)


def _compare_pending(state: State, now: datetime) -> None:
    published = _published(state, PENDING)
    if not published:
        return
    devices = _texts(published, "devices", "device")
    folders = _texts(published, "folders", "folder", "device")
    # the items that were cut off a truncated list are unknown
    for device in (state.pending_devices or ()) if len(devices) < MOST_RECALLED else ():
        if (device.id,) not in devices:
            emit_pending_device(state, device, now, late=True)
    for folder in (state.pending_folders or ()) if len(folders) < MOST_RECALLED else ():
        if (folder.id, state.short_name(folder.device)) not in folders:
            emit_pending_folder(state, folder, now, late=True)


# --- folders


def _compare_folder(state: State, folder: FolderState, now: datetime) -> None:
    subject, any_published = Subject(FOLDER, folder.config.id), _published(state, folder_address(folder.config.id))
    if not any_published:
        return
    identity: dict[str, Any] = {"folder": folder.config.id, "label": folder.config.label}
    published = published_before(state, folder.config)
    _restore_problems(state, subject, _items(any_published, "problems"), now)
    if folder.state == ERROR != published.get("state"):
        state.emit("folder_error", now, late=True, **identity, error=folder.error)
    if not published:
        state.removed[subject] = None  # the problems of the other folder with this ID are cleared
        return
    if _differs(published.get("paused"), from_now=folder.config.paused):
        state.emit("folder_paused" if folder.config.paused else "folder_resumed", now, late=True, **identity)
    _restore_statistics(folder, published, now)
    _compare_failed(state, folder, now, identity)
    _restore_conflicts(state, folder, now)


def _restore_statistics(folder: FolderState, published: Mapping[str, Any], now: datetime) -> None:
    """Restore statistics that Syncthing does not report any more."""
    name, deleted = published.get("last_file"), published.get("last_file_deleted")
    file_at = past_from_utc(published.get("last_file_at"), now)
    known = FolderStatistics(last_scan_at=past_from_utc(published.get("last_scan_at"), now))
    if file_at and isinstance(name, str) and isinstance(deleted, bool):
        known = replace(known, last_file=name, last_file_at=file_at, last_file_deleted=deleted)
    folder.statistics = folder.statistics.completed_by(known)


def _compare_failed(state: State, folder: FolderState, now: datetime, identity: dict[str, Any]) -> None:
    published = _published(state, failed_address(folder.config.id))
    published_texts = _texts(published, "items", "path")
    if _is_whole(published, published_texts):
        for item in folder.failed:
            if (item.path,) not in published_texts:
                state.emit("item_failed", now, late=True, **identity, path=item.path, error=item.error)
    folder.reported_failed |= {path for (path,) in published_texts}


def _restore_conflicts(state: State, folder: FolderState, now: datetime) -> None:
    """Restore the known conflict files; they are valid until the folder has been searched again."""
    published = _published(state, conflicts_address(folder.config.id))
    items = published.get("items")
    listed = items[:MOST_RECALLED] if isinstance(items, list) else []
    paths = {path for path in listed if isinstance(path, str) and is_conflict(path)}
    folder.conflicts.update(dict.fromkeys(sorted(paths)))
    folder.conflicts_complete = published.get("complete") is True and _is_whole(published, paths)
    state.outcome.change(conflicts_address(folder.config.id))
    state.folder_changed(folder.config.id, now)


# --- devices


def _compare_device(state: State, device: DeviceState, now: datetime) -> None:
    any_published = _published(state, state.address_of(device.config.id))
    if not any_published:
        return
    _restore_problems(state, Subject(DEVICE, device.config.id), _items(any_published, "problems"), now)
    published = published_before(state, device.config)
    if not published:
        return
    was_seen = device.seen
    _restore_times(device, published, now)
    if device.seen != was_seen:
        state.shares_changed(device.config.id)
    state.outcome.change(state.address_of(device.config.id))
    if device.in_sync is False:
        device.out_of_sync_since = past_from_utc(published.get("out_of_sync_since"), now)
    if _differs(published.get("paused"), from_now=device.config.paused):
        name = "device_paused" if device.config.paused else "device_resumed"
        state.emit(name, now, late=True, **state.identify(device.config.id))
    if _differs(published.get("connected"), from_now=device.connection.connected):
        device.published_connected = not device.connection.connected
        device.connection_change = ConnectionChange(device.away_since or now, late=True)
        state.connection_timers.set(device.config.id, now + state.alerts.flapping)


def _restore_times(device: DeviceState, published: Mapping[str, Any], now: datetime) -> None:
    """Restore the newest known times: Syncthing 2.x does not migrate the time when a device was last seen.

    `unseen_since` is later than `last_seen_at` if the device was paused in between.
    """
    seen_at = past_from_utc(published.get("last_seen_at"), now)
    if seen_at and (device.last_seen_at is None or seen_at > device.last_seen_at):
        device.last_seen_at = seen_at
    if device.away_since is not None:
        known = [at for at in (past_from_utc(published.get("unseen_since"), now), device.last_seen_at) if at]
        device.away_since = max(known, default=device.away_since)


def _restore_problems(state: State, subject: Subject, published: Iterable[Mapping[str, Any]], now: datetime) -> None:
    """Restore the raised problems; the next evaluation clears those that no longer exist."""
    for one in published:
        code, since = one.get("code"), past_from_utc(one.get("since"), now)
        if isinstance(code, str) and code in _CODES[subject.kind] and since is not None:
            problem = Problem(code, str(one.get("message")), since)
            state.problems.setdefault(subject, {})[code] = problem
    state.touched[subject] = None
