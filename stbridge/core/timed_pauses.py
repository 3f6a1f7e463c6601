"""Timed pauses: the folders and devices that the bridge resumes at a given time."""

from collections.abc import Container
from datetime import datetime, timedelta
from typing import NamedTuple

RETRY = timedelta(seconds=30)
"""Interval between two attempts to resume a folder or device that is still paused."""

PAUSING_COMMANDS = ("pause", "resume", "set_paused", "pause_all", "resume_all", "reset")
"""The commands that set timed pauses or resume folders and devices."""


def may_resume(allowed: Container[str]) -> bool:
    """Return whether an allow-list (command names) permits the bridge to resume folders and devices.

    A timed pause that was restored from the broker may be forged by any client that may publish there.
    """
    return any(command in allowed for command in PAUSING_COMMANDS)


class Paused(NamedTuple):
    """A folder or a device that is paused; `kind` is `folder` or `device`, `id` the full ID."""

    kind: str
    id: str


class TimedPauses:
    """The folders and devices that the bridge resumes at a given time."""

    def __init__(self) -> None:
        self._until: dict[Paused, datetime] = {}
        self._next_try: dict[Paused, datetime] = {}
        self._restored: set[Paused] = set()

    def set(self, paused: Paused, until: datetime | None, *, restored: bool = False) -> None:
        """Set when a pause ends; None removes it.

        Args:
            paused: the folder or device.
            until: when it is resumed.
            restored: whether the previous run set it; its time then does not change when the clock is set.
        """
        self._restored.discard(paused)
        if restored:
            self._restored.add(paused)
        if until is None:
            self._until.pop(paused, None)
            self._next_try.pop(paused, None)
        else:
            self._until[paused] = self._next_try[paused] = until

    def shift(self, by: timedelta) -> None:
        """Move the pauses of this run, because the clock was set by this much; their duration stays the same."""
        for times in (self._until, self._next_try):
            times.update({paused: at + by for paused, at in times.items() if paused not in self._restored})

    @property
    def paused(self) -> frozenset[Paused]:
        """The folders and devices that are resumed some time."""
        return frozenset(self._until)

    def until(self, kind: str, identifier: str) -> datetime | None:
        """Return when a pause ends; None if it is not timed."""
        return self._until.get(Paused(kind, identifier))

    @property
    def next_try(self) -> datetime | None:
        """When the next attempt to resume a folder or device is due."""
        return min(self._next_try.values(), default=None)

    def take_due(self, now: datetime) -> list[Paused]:
        """Return the folders and devices to resume now; each is returned again after RETRY while it is still paused."""
        due = [paused for paused, at in self._next_try.items() if at <= now]
        self._next_try.update(dict.fromkeys(due, now + RETRY))
        return due
