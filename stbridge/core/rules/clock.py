"""The rule for a wall clock that was set: all durations stay the same."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from stbridge.core import observations as seen
from stbridge.core.entities import DeviceState, FolderState
from stbridge.core.state import Rules, State

Past = Callable[[datetime | None], datetime | None]
"""Converts a time in the past to the clock as it is now."""


def moved(at: datetime | None, by: timedelta, *, began: datetime, now: datetime) -> datetime | None:
    """Convert a time in the past to the clock as it is now, so that no duration changes because the clock was set.

    Times of the previous run stay unchanged: the clock may have been right then. Times of another machine stay
    unchanged if the step would move them to the future. The result is never in the future.

    Args:
        at: a time in the past, by the clock before it was set.
        by: the amount by which the clock was set.
        began: the first time of this run, by the clock before it was set.
        now: the current time, by the clock as it is now.
    """
    if at is None:
        return None
    shifted = at if at < began else at + by
    return shifted if shifted <= now else min(at, now)


def _clock_set(state: State, observation: seen.ClockSet, now: datetime) -> None:
    by, began = observation.by, state.began or now
    past = partial(moved, by=by, began=began, now=now)
    state.began = began + by
    state.since, state.usable_until = past(state.since), past(state.usable_until)
    for folder in state.folders.values():
        _move_folder(folder, past, now)
    for device in state.devices.values():
        _move_device(device, past, by)
    for problems in (*state.problems.values(), state.notices):
        problems.update({code: replace(one, since=past(one.since) or now) for code, one in problems.items()})
    for times in state.pending_since.values():
        times.update({code: past(since) or now for code, since in times.items()})
    if state.transfer_until is not None:
        state.transfer_until += by
    if state.uptime is not None:
        state.uptime = state.uptime.shifted(by)
    state.in_lifetime.shift(by)
    state.out_lifetime.shift(by)
    for timers in (state.connection_timers, state.expected_completions, state.timed_pauses):
        timers.shift(by)
    state.everything_changed()  # evaluates all problems, which sets their timers


def _move_folder(folder: FolderState, past: Past, now: datetime) -> None:
    folder.progress_at = past(folder.progress_at)
    folder.out_of_sync_since = past(folder.out_of_sync_since)
    folder.last_peer_contact_at = past(folder.last_peer_contact_at)
    if folder.state_changed_at is not None and folder.state_changed_at > now:
        folder.state_changed_at = now  # otherwise later reads would be taken for older


def _move_device(device: DeviceState, past: Past, by: timedelta) -> None:
    device.last_seen_at = past(device.last_seen_at)
    device.away_since = past(device.away_since)
    device.out_of_sync_since = past(device.out_of_sync_since)
    if device.connection_quiet_at is not None:
        device.connection_quiet_at += by


RULES: Rules = {seen.ClockSet: _clock_set}
