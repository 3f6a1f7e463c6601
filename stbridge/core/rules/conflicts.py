"""Rules for conflict files: the index event reports changed names, a read shows whether the file exists."""

from datetime import datetime
from itertools import islice

from stbridge.core import observations as seen
from stbridge.core.conflicts import original, winner
from stbridge.core.entities import OFFERING, SYNCING, FolderState
from stbridge.core.observations import Read
from stbridge.core.outcome import conflicts_address
from stbridge.core.state import Rules, State

MOST_LOOKUPS = 100
"""Maximum number of conflict files that are looked up one by one; for more it is cheaper to search the whole folder."""

MOST_KEPT = 10_000
"""Maximum number of conflict files of a folder that are kept by name, because a device may send any number."""

MAX_CONFLICT_EVENTS = 50
"""Maximum number of events for conflict files that a search finds."""


def search(state: State, folder: FolderState) -> None:
    """Request a search of a folder for conflict files; if it is too large, request a look-up of the known ones."""
    folder.inventory_due = False
    if _may_search(state, folder):
        state.outcome.read(Read("conflicts", folder.config.id))
        return
    folder.conflicts_complete = False
    state.outcome.change(conflicts_address(folder.config.id))
    _look_up(state, folder.config.id, folder.conflicts)


def search_if_due(state: State, folder: FolderState) -> None:
    """Request a due search once the folder's size and the conflict files of the previous run are known."""
    if folder.inventory_due and folder.counts is not None and state.compared:
        search(state, folder)


def _may_search(state: State, folder: FolderState) -> bool:
    limit = state.alerts.conflict_inventory
    return bool(limit) and folder.counts is not None and folder.counts.global_files <= limit


def _look_up(state: State, folder: str, paths: tuple[str, ...] | dict[str, None]) -> None:
    state.outcome.read(*(Read("conflict", folder, path=path) for path in islice(paths, MOST_LOOKUPS)))


def _changed_here(state: State, observation: seen.LocalIndexChanged, _: datetime) -> None:
    folder = state.folders.get(observation.folder)
    if folder is None:
        return
    if folder.state not in SYNCING and folder.config.type in OFFERING:
        folder.changes += 1  # the devices that share it need this change, even if only for a moment
    if len(observation.conflicts) > MOST_LOOKUPS and _may_search(state, folder):
        state.outcome.read(Read("conflicts", observation.folder))
    else:
        _look_up(state, observation.folder, observation.conflicts)


def _looked_up(state: State, observation: seen.ConflictRead, now: datetime) -> None:
    folder = state.folders.get(observation.folder)
    if folder is None or observation.present == (observation.path in folder.conflicts):
        return
    if folder.config.paused and not observation.present:
        return  # Syncthing knows no file of a paused folder
    if observation.present and len(folder.conflicts) >= MOST_KEPT:
        folder.conflicts_complete = False
    elif observation.present:
        folder.conflicts[observation.path] = None
        _emit(state, folder, observation.path, now, late=False)
    else:
        del folder.conflicts[observation.path]
    state.read_order.note(Read("conflicts", observation.folder))  # a search in progress may have missed it
    _changed(state, folder, now)


def _searched(state: State, observation: seen.ConflictsRead, now: datetime) -> None:
    folder = state.folders.get(observation.folder)
    if folder is None:
        return
    if observation.paths is None:
        folder.conflicts_complete = False
    else:
        new = (path for path in observation.paths if path not in folder.conflicts)
        for path in islice(new, MAX_CONFLICT_EVENTS) if folder.conflicts_complete else ():
            _emit(state, folder, path, now, late=True)
        folder.conflicts = dict.fromkeys(observation.paths[:MOST_KEPT])
        folder.conflicts_complete = len(observation.paths) <= MOST_KEPT
    _changed(state, folder, now)


def _emit(state: State, folder: FolderState, path: str, now: datetime, *, late: bool) -> None:
    state.emit(
        "conflict",
        now,
        late=late,
        folder=folder.config.id,
        label=folder.config.label,
        path=path,
        original=original(path),
        device=winner(path),
        name=state.name_of(winner(path)),
    )


def _changed(state: State, folder: FolderState, now: datetime) -> None:
    state.outcome.change(conflicts_address(folder.config.id))
    state.folder_changed(folder.config.id, now)


RULES: Rules = {
    seen.LocalIndexChanged: _changed_here,
    seen.ConflictRead: _looked_up,
    seen.ConflictsRead: _searched,
}
