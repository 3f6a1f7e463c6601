"""Raises and clears the problems of each folder, device or instance that changed or became due."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from stbridge.core.alerts import DEVICE, FOLDER, INSTANCE, STALE, Problem, Subject
from stbridge.core.entities import FolderState
from stbridge.core.outcome import SYSTEM, device_address, folder_address
from stbridge.core.problems import ROWS_BY_SUBJECT, Finding, Measure, Row, note_last_peer_contact
from stbridge.core.state import State
from stbridge.core.timing import in_utc
from stbridge.core.topics import Address

_STALE = next(row for row in ROWS_BY_SUBJECT[FOLDER] if row.code == STALE)


def evaluate(state: State, now: datetime) -> None:
    """Raise and clear the problems of everything that was touched or has become due since the last call.

    Args:
        state: its `outcome` contains the changes, and receives the resulting changes and events.
        now: the time of the bridge's own clock, in UTC.
    """
    for address in state.outcome.changed:
        if (subject := _subject_of(state, address)) is not None:
            state.touched[subject] = None
    if not state.may_publish:
        return  # the touched subjects are evaluated later
    removed, state.removed = state.removed, {}
    for subject in removed:
        _forget(state, subject, now)
    for subject in state.problem_timers.due(now):
        state.touched[subject] = None
    touched, state.touched = state.touched, {}
    for subject in touched:
        if _exists(state, subject):
            _evaluate(state, subject, now)
    state.evaluates_late = False


def address_of(state: State, subject: Subject) -> Address:
    """Return the address whose payload contains the problems of a subject."""
    if subject.kind == FOLDER:
        return folder_address(subject.id)
    return device_address(state.short_name(subject.id)) if subject.kind == DEVICE else SYSTEM


def _subject_of(state: State, address: Address) -> Subject | None:
    match address.kind:
        case "folder":
            return Subject(FOLDER, address.folder)
        case "device":
            return Subject(DEVICE, state.device_ids[address.device]) if address.device in state.device_ids else None
    return None


def _exists(state: State, subject: Subject) -> bool:
    return subject.kind == INSTANCE or subject.id in (state.folders if subject.kind == FOLDER else state.devices)


def _entity(state: State, subject: Subject, thresholds: Mapping[str, float], now: datetime) -> Any:
    """Return the folder or device of a subject, ready to be evaluated; None for the instance."""
    if subject.kind == FOLDER:
        folder = state.folders[subject.id]
        if _may_be_stale(folder, thresholds, now):
            note_last_peer_contact(state, folder, now)
        return folder
    if subject.kind == DEVICE:
        device = state.devices[subject.id]
        device.note_sync(now)
        if device.note_inactive(now):
            state.outcome.change(address_of(state, subject))
        return device
    return None


def _evaluate(state: State, subject: Subject, now: datetime) -> None:
    thresholds = state.alerts.thresholds_of(subject)
    entity = _entity(state, subject, thresholds, now)
    raised, known = state.problems.get(subject, {}), state.pending_since.pop(subject, {})
    found: dict[str, Problem] = {}
    pending_since: dict[str, datetime] = {}
    inactive_at = entity.inactive_at if subject.kind == DEVICE else None
    due = [] if inactive_at is None or inactive_at <= now else [inactive_at]
    for row in ROWS_BY_SUBJECT[subject.kind]:
        threshold = thresholds.get(row.code, row.threshold)
        finding = row.look(state, entity) if threshold else None
        if finding is None:
            continue
        if row.code in known:
            pending_since[row.code] = known[row.code]
        since = _since(row, finding, raised.get(row.code)) or pending_since.setdefault(row.code, now)
        change_at = since + timedelta(seconds=threshold) if row.measure in (Measure.SECONDS, Measure.NOTICE) else None
        if change_at is not None and row.code in raised and since > now:
            found[row.code] = raised[row.code]  # a time in the future: the clock has not been set yet
        elif _holds(row, finding, threshold, now, change_at):
            found[row.code] = Problem(row.code, finding.message, since)
        if change_at is not None and change_at > now:
            due.append(change_at)
    if pending_since:
        state.pending_since[subject] = pending_since
    state.problem_timers.set(subject, min(due, default=None))
    _compare(state, subject, raised, found, now)


def _may_be_stale(folder: FolderState, thresholds: Mapping[str, float], now: datetime) -> bool:
    """Return whether `last_peer_contact_at` of a folder is older than the threshold, so that it must be updated.

    It is not updated with every contact, so a later contact may exist.
    """
    threshold = thresholds.get(STALE, _STALE.threshold)
    if not threshold or not folder.in_sync:
        return False
    noted_at = folder.last_peer_contact_at
    return noted_at is None or now - noted_at >= timedelta(seconds=threshold)


def _since(row: Row, finding: Finding, raised: Problem | None) -> datetime | None:
    """Return when a finding began: the published time, else the time of its source; None if there is none.

    A duration that began again, the latest one of several errors and a second event that raises the same notice have a
    later time than the published one.
    """
    may_move = row.measure is not Measure.SWITCH
    if raised is not None and not (may_move and finding.since and finding.since > raised.since):
        return raised.since
    return finding.since


def _holds(row: Row, finding: Finding, threshold: float, now: datetime, change_at: datetime | None) -> bool:
    if row.measure is Measure.COUNT:
        return finding.count >= threshold
    if change_at is None:
        return True
    return now < change_at if row.measure is Measure.NOTICE else now >= change_at


def _compare(
    state: State, subject: Subject, before: Mapping[str, Problem], after: Mapping[str, Problem], now: datetime
) -> None:
    if before == after:
        return
    if after:
        state.problems[subject] = dict(after)
    else:
        state.problems.pop(subject, None)
    state.outcome.change(address_of(state, subject), SYSTEM)
    _emit(state, "problem_raised", subject, (after[code] for code in after if code not in before), now)
    _emit(state, "problem_cleared", subject, (before[code] for code in before if code not in after), now)


def _emit(state: State, event_type: str, subject: Subject, problems: Iterable[Problem], now: datetime) -> None:
    for problem in problems:
        state.emit(
            event_type,
            now,
            late=state.evaluates_late,
            **identify(state, subject),
            code=problem.code,
            message=problem.message,
            since=in_utc(problem.since),
        )


def _forget(state: State, subject: Subject, now: datetime) -> None:
    """Clear the problems of a removed folder or device."""
    before = state.problems.get(subject, {})
    state.problem_timers.set(subject, None)
    state.pending_since.pop(subject, None)
    _compare(state, subject, before, {}, now)


def identify(state: State, subject: Subject) -> dict[str, Any]:
    """Return the keys that identify a subject in payloads; none for the instance itself."""
    if subject.kind == FOLDER:
        folder = state.folders.get(subject.id)
        return {"folder": subject.id, "label": folder.config.label if folder else ""}
    if subject.kind == DEVICE:
        device = state.devices.get(subject.id)
        return {"device": state.short_name(subject.id), "name": device.config.name if device else ""}
    return {}
