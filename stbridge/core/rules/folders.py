"""Rules on folders: state, counts, errors, scans."""

from dataclasses import replace
from datetime import datetime, timedelta

from stbridge.core import observations as seen
from stbridge.core.entities import ERROR, SCANNING, SYNCING, FolderState
from stbridge.core.observations import Read
from stbridge.core.outcome import failed_address, folder_address
from stbridge.core.state import Rules, State


def _taking_part(state: State, folder: str) -> FolderState | None:
    """Return a folder, unless it is gone or paused: what was under way when it was paused does not hold."""
    folder_state = state.folders.get(folder)
    return None if folder_state is None or folder_state.config.paused else folder_state


def _read(state: State, observation: seen.FolderRead, now: datetime) -> None:
    folder = _taking_part(state, observation.folder)
    if folder is None:
        return
    was_behind = folder.counts is not None and not (folder.counts.complete and folder.settled)
    if not _is_older(observation.state_changed_at, folder.state_changed_at):
        if not _is_same(folder, observation):
            folder.state, folder.state_changed_at = observation.state, observation.state_changed_at
        folder.error = observation.error
    folder.watch_error = observation.watch_error
    folder.counts = observation.counts
    folder.settled = folder.state not in SYNCING
    _compare_failed(state, folder)
    if was_behind and folder.in_sync:
        state.outcome.happened("folder_synced", now, folder=observation.folder, label=folder.config.label)
    state.folder_changed(observation.folder, now)


def _is_older(stamp: datetime | None, known: datetime | None) -> bool:
    """Tell whether a state that was read had been left already when an event told a newer one.

    Syncthing stamps a state a little before the event that tells it; both are the same change then.
    """
    return stamp is not None and known is not None and stamp < known - timedelta(seconds=1)


def _is_same(folder: FolderState, observation: seen.FolderRead) -> bool:
    """Tell whether it is the change of state that an event has told already, more precisely (1.19: whole seconds)."""
    return (
        folder.state == observation.state
        and folder.state_changed_at is not None
        and observation.state_changed_at is not None
        and abs(observation.state_changed_at - folder.state_changed_at) <= timedelta(seconds=1)
    )


def _compare_failed(state: State, folder: FolderState) -> None:
    """Ask for the list of failed items when its length is not the count; no event tells when they clear."""
    failed = folder.counts.failed if folder.counts else 0
    if failed and failed != len(folder.failed):
        state.outcome.read(Read("folder_errors", folder.config.id))
    elif not failed and folder.failed:
        folder.failed = ()
        state.outcome.change(failed_address(folder.config.id))


def _state_changed(state: State, observation: seen.FolderStateChanged, now: datetime) -> None:
    folder = _taking_part(state, observation.folder)
    if folder is None:
        return
    before = folder.state
    folder.state, folder.state_changed_at = observation.state, observation.at
    folder.error = observation.error
    if observation.state not in SCANNING:
        folder.scan_progress = None
    if observation.state in SYNCING:
        folder.settled = False
    if folder.counts is None:
        state.outcome.read(Read("folder", observation.folder))
    if before in SCANNING and observation.state not in SCANNING:
        state.outcome.read(Read("scan_errors", observation.folder))  # they send no event
    if observation.state == "idle":
        state.outcome.read(Read("statistics"))  # last scan and last file send none either
    if observation.state == ERROR != before:
        state.outcome.happened(
            "folder_error",
            observation.at,
            folder=observation.folder,
            label=folder.config.label,
            error=observation.error,
        )
    state.folder_changed(observation.folder, now)


def _watch_error(state: State, observation: seen.WatchErrorChanged, now: datetime) -> None:
    if folder := _taking_part(state, observation.folder):
        folder.watch_error = observation.error
        state.folder_changed(observation.folder, now)


def _errors(state: State, observation: seen.FolderErrorsRead, now: datetime) -> None:
    if folder := _taking_part(state, observation.folder):
        folder.failed = observation.items
        if folder.counts is not None:
            folder.counts = replace(folder.counts, failed=len(observation.items))
        state.outcome.change(failed_address(observation.folder))
        state.folder_changed(observation.folder, now)


def _scan_progress(state: State, observation: seen.ScanProgressed, _: datetime) -> None:
    folder = state.folders.get(observation.folder)
    if folder is None or folder.state not in SCANNING:
        return  # the last one can come after the scan has ended
    if observation.total > 0:
        folder.scan_progress = round(100 * min(1.0, observation.current / observation.total), 1)
        state.outcome.change(folder_address(observation.folder))


def _statistics(state: State, observation: seen.FolderStatisticsRead, _: datetime) -> None:
    for folder, statistics in observation.statistics.items():
        folder_state = state.folders.get(folder)
        if folder_state is not None and folder_state.statistics != statistics:
            folder_state.statistics = statistics
            state.outcome.change(folder_address(folder))


RULES: Rules = {
    seen.FolderRead: _read,
    seen.FolderStateChanged: _state_changed,
    seen.WatchErrorChanged: _watch_error,
    seen.FolderErrorsRead: _errors,
    seen.ScanProgressed: _scan_progress,
    seen.FolderStatisticsRead: _statistics,
}
