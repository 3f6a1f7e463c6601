"""Rules that apply observations of folders to the state: state, counts, errors, scans."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from stbridge.core import observations as seen
from stbridge.core.entities import ERROR, SCANNING, SYNCING, FolderState
from stbridge.core.model import FolderCounts
from stbridge.core.observations import Read
from stbridge.core.outcome import failed_address, folder_address
from stbridge.core.progress import SyncProgress, progress
from stbridge.core.rules.conflicts import search_if_due
from stbridge.core.rules.devices import TRANSFER_LINGERS
from stbridge.core.state import Rules, State
from stbridge.core.versions import reports_completion_of_disconnected_devices

BUSY = SYNCING | SCANNING
"""States in which Syncthing rebuilds its list of failed items."""

MAX_FAILED_EVENTS = 50
"""Maximum number of events for items that fail at once; the list of failed items has the full count."""

MAX_REPORTED_FAILED = 10_000
"""Maximum number of failed items of a running sync whose events are not repeated."""


def _active_folder(state: State, folder: str) -> FolderState | None:
    """Return a folder; None if it was removed or is paused, because the response may be from before that."""
    folder_state = state.folders.get(folder)
    return None if folder_state is None or folder_state.config.paused else folder_state


def _read(state: State, observation: seen.FolderRead, now: datetime) -> None:
    folder = _active_folder(state, observation.folder)
    if folder is None:
        return
    counts_before, error_only = folder.counts and _sync_counts(folder.counts), _out_of_sync_by_error_only(folder)
    if not _is_older(observation.state_changed_at, folder.state_changed_at):
        before = folder.state
        if not _is_same(folder, observation):
            folder.follow_state(observation.state)
            folder.state_changed_at = observation.state_changed_at
        folder.error = observation.error
        _emit_error(state, folder, before, now)
    folder.watch_error = observation.watch_error
    folder.counts = observation.counts
    folder.settled = folder.state not in SYNCING
    if folder.counts is None or _sync_counts(folder.counts) != counts_before:
        state.note_progress(observation.folder, now)
    _follow_sync(state, folder, now)
    _compare_failed(state, folder)
    _expect_cleared_errors(state, folder)
    _emit_synced(state, folder, now)
    _read_completions_without_events(state, folder, observation.sequence)
    search_if_due(state, folder)
    _end_error(folder, was_error_only=error_only)
    state.folder_changed(observation.folder, now)


def _out_of_sync_by_error_only(folder: FolderState) -> bool:
    """Return whether a folder counts as out of sync only because it is in error."""
    return folder.state == ERROR and (folder.counts is None or folder.counts.complete)


def _end_error(folder: FolderState, *, was_error_only: bool) -> None:
    """Reset the start of the time out of sync if the folder was out of sync only because of its error."""
    if was_error_only and not _out_of_sync_by_error_only(folder):
        folder.out_of_sync_since = None


def _read_completions_without_events(state: State, folder: FolderState, sequence: int) -> None:
    """Request the completions of disconnected devices if the folder has changed and no event will report them."""
    before, folder.sequence = folder.sequence, sequence
    version = None if state.version is None else state.version.version
    if before in (0, sequence) or reports_completion_of_disconnected_devices(version):
        return
    for device in folder.config.devices:
        if device in state.devices and not state.devices[device].connection.connected:
            state.outcome.read(Read("completion_without_event", folder.config.id, device))


def _sync_counts(counts: FolderCounts) -> tuple[int, ...]:
    """Return the counts that change while a sync makes progress."""
    return counts.need_bytes, counts.need_items, counts.need_deletes, counts.local_bytes, counts.local_files


def _follow_sync(state: State, folder: FolderState, now: datetime) -> None:
    """Compute the progress of a running sync."""
    if folder.state not in SYNCING or folder.counts is None:
        folder.sync = folder.sync_progress = None
        return
    state.transfer_until = now + TRANSFER_LINGERS
    if folder.sync is None:
        folder.sync = SyncProgress(folder.counts.need_bytes, now)
    folder.sync_progress = folder.sync.read(folder.counts.need_bytes, now, complete=folder.counts.complete)


def _emit_synced(state: State, folder: FolderState, now: datetime) -> None:
    """Emit the end of a sync, also if its counts were unknown in between, but not at the first read."""
    if folder.known and not (folder.known.complete and folder.settled):
        folder.was_out_of_sync = True
    elif folder.in_sync and folder.was_out_of_sync:
        folder.was_out_of_sync = False
        state.emit("folder_synced", now, folder=folder.config.id, label=folder.config.label)


def _emit_error(state: State, folder: FolderState, before: str | None, at: datetime) -> None:
    if folder.state == ERROR != before and state.complete:
        state.emit("folder_error", at, folder=folder.config.id, label=folder.config.label, error=folder.error)


def _is_older(stamp: datetime | None, known: datetime | None) -> bool:
    """Return whether the state that was read is older than the state of the last event.

    The time stamp of a state may be up to a second earlier than its event; both are then the same change.
    """
    return stamp is not None and known is not None and stamp < known - timedelta(seconds=1)


def _is_same(folder: FolderState, observation: seen.FolderRead) -> bool:
    """Return whether an event already reported this state, with a more precise time (1.19 reads in whole seconds)."""
    return (
        folder.state == observation.state
        and folder.state_changed_at is not None
        and observation.state_changed_at is not None
        and abs(observation.state_changed_at - folder.state_changed_at) <= timedelta(seconds=1)
    )


def _compare_failed(state: State, folder: FolderState) -> None:
    """Request the list of failed items if its length differs from the count; no event reports that it was cleared."""
    failed = folder.counts.failed if folder.counts else 0
    if failed and failed != len(folder.failed):
        state.outcome.read(Read("folder_errors", folder.config.id))
    elif not failed and folder.failed:
        folder.failed = ()
        state.outcome.change(failed_address(folder.config.id))
    if not failed and folder.state not in BUSY and folder.counts and folder.counts.complete:
        folder.reported_failed = frozenset()


def _expect_cleared_errors(state: State, folder: FolderState) -> None:
    """Request the errors of a folder that needs nothing: Syncthing clears those of items that are no longer needed.

    It does so without an event, when it next tries to sync (`pull` in its lib/model/folder.go): usually right after the
    scan or the update that removed the need. Errors of a scan stay.
    """
    if folder.counts and folder.counts.failed and folder.counts.complete:
        state.outcome.read(Read("outdated_errors", folder.config.id))


def _state_changed(state: State, observation: seen.FolderStateChanged, now: datetime) -> None:
    folder = _active_folder(state, observation.folder)
    if folder is None:
        return
    before, error_only = folder.state, _out_of_sync_by_error_only(folder)
    folder.follow_state(observation.state)
    folder.state_changed_at = observation.at
    folder.error = observation.error
    state.note_progress(observation.folder, now)
    if observation.state in SYNCING:
        folder.was_out_of_sync = True  # a short sync ends before its counts are read
    _follow_sync(state, folder, now)
    if folder.counts is None:
        state.outcome.read(Read("folder", observation.folder))
    if before in SCANNING and observation.state not in SCANNING:
        state.outcome.read(Read("scan_errors", observation.folder))  # no event reports them
        _expect_cleared_errors(state, folder)
    if before in SYNCING and observation.state not in SYNCING:
        state.outcome.read(Read("last_file"))  # no event reports it
    elif observation.state == "idle":
        state.outcome.read(Read("folder_statistics"))  # no event reports the last scan
    _emit_error(state, folder, before, observation.at)
    _end_error(folder, was_error_only=error_only)
    state.folder_changed(observation.folder, now)


def _watch_error(state: State, observation: seen.WatchErrorChanged, now: datetime) -> None:
    if folder := _active_folder(state, observation.folder):
        folder.watch_error = observation.error
        state.folder_changed(observation.folder, now)


def _errors(state: State, observation: seen.FolderErrorsRead, now: datetime) -> None:
    if folder := _active_folder(state, observation.folder):
        before, folder.failed = folder.failed, observation.items
        _emit_failed(state, folder, now)
        if folder.counts is not None:
            folder.counts = replace(folder.counts, failed=len(observation.items))
        if folder.failed != before:  # otherwise errors that stay would be read again and again
            _expect_cleared_errors(state, folder)
        state.outcome.change(failed_address(observation.folder))
        state.folder_changed(observation.folder, now)


def _emit_failed(state: State, folder: FolderState, now: datetime) -> None:
    """Emit an event for each item that newly failed; retries of Syncthing cause no further event."""
    reported, paths = folder.reported_failed, frozenset(item.path for item in folder.failed)
    remembers = folder.state in BUSY and len(reported) < MAX_REPORTED_FAILED
    folder.reported_failed = reported | paths if remembers else paths
    if state.complete:
        new = (item for item in folder.failed if item.path not in reported)
        for item in islice(new, MAX_FAILED_EVENTS):
            state.emit(
                "item_failed",
                now,
                folder=folder.config.id,
                label=folder.config.label,
                path=item.path,
                error=item.error,
            )


def _scan_progress(state: State, observation: seen.ScanProgressed, now: datetime) -> None:
    folder = state.folders.get(observation.folder)
    if folder is None or folder.state not in SCANNING:
        return  # the last event may arrive after the end of the scan
    if observation.total > 0:
        state.note_progress(observation.folder, now)
        folder.scan_progress = progress(
            done=observation.current, total=observation.total, rate=observation.rate, now=now
        )
        state.outcome.change(folder_address(observation.folder))


def _statistics(state: State, observation: seen.FolderStatisticsRead, _: datetime) -> None:
    for folder, statistics in observation.statistics.items():
        folder_state = state.folders.get(folder)
        if folder_state is None:
            continue
        newest = statistics.completed_by(folder_state.statistics)
        if folder_state.statistics != newest:
            folder_state.statistics = newest
            state.outcome.change(folder_address(folder))


RULES: Rules = {
    seen.FolderRead: _read,
    seen.FolderStateChanged: _state_changed,
    seen.WatchErrorChanged: _watch_error,
    seen.FolderErrorsRead: _errors,
    seen.ScanProgressed: _scan_progress,
    seen.FolderStatisticsRead: _statistics,
}
